"""How often an address has signed wrongly of late, and how long it is to wait for being told so.

Pure, with a clock.  Nobody is shut out by this: what is right is answered at once,
whoever else was wrong from the same address.  So it is no protection of a secret,
which is too long to be guessed; it bounds what those cost who try it all the same.
"""

from __future__ import annotations

from collections.abc import Callable

#: So many wrong signatures an address has free, and gets back in a minute.
FREE = 20
#: Seconds that each further one makes the next answer later, and at most.
STEP_S, MAX_DELAY_S = 0.25, 5.0
#: The most answers to one address that wait at a time.
MAX_WAITING = 16
#: The most addresses that are remembered.
MAX_REMEMBERED = 4096

_A_SECOND = FREE / 60
_FULL = FREE + MAX_DELAY_S / STEP_S


class Attempts:
    """The wrong signatures by the network (see `zs3.addresses.network_of`) that they came from.

    :param now: seconds on a clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        # How many it has against it, and when that was; those that were last wrong at the end.
        self._levels: dict[bytes, tuple[float, float]] = {}
        self._waiting: dict[bytes, int] = {}

    def wrong(self, network: bytes) -> float:
        """One more; gives the seconds that its answer shall wait."""
        now = self._now()
        level, before = self._levels.pop(network, (0.0, now))
        level = min(max(0.0, level - max(0.0, now - before) * _A_SECOND) + 1, _FULL)
        if len(self._levels) >= MAX_REMEMBERED:
            del self._levels[next(iter(self._levels))]
        self._levels[network] = level, now
        return max(0.0, level - FREE) * STEP_S

    def begin_waiting(self, network: bytes) -> bool:
        """Whether one more answer may wait; if so, `end_waiting` must be called when it does no longer."""
        waiting = self._waiting.get(network, 0)
        if waiting >= MAX_WAITING:
            return False
        self._waiting[network] = waiting + 1
        return True

    def end_waiting(self, network: bytes) -> None:
        """An answer waits no longer."""
        self._waiting[network] -= 1
        if not self._waiting[network]:
            del self._waiting[network]
