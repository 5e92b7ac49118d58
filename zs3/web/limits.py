"""How long a connection may take for what, and a timer that is cheap to move.

Every request moves the limit of its connection several times.  Here a move is
an assignment: the one `DelayedCall` looks, when it comes, whether it is due.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds after which a connection is given up.

    :ivar idle: between two requests, or before the first.
    :ivar head: from the first byte of a request's head to its last.
    :ivar body: without a byte of the body, while it is wanted.
    :ivar stall: without the client taking a full buffer of what we send.
    :ivar linger: to discard what a client sends after an answer that ends the connection.
    """

    idle: float = 60
    head: float = 30
    body: float = 60
    stall: float = 300
    linger: float = 2


class Deadline:
    """Calls `expired` once the time last `set` has passed, unless it was cleared meanwhile.

    :param clock: gives the time in seconds.
    """

    def __init__(self, clock: IReactorTime, expired: Callable[[], None]) -> None:
        self._clock, self._expired = clock, expired
        self._at = math.inf
        self._call: IDelayedCall | None = None

    def set(self, seconds: float) -> None:
        """Expire in so many seconds from now, instead of what was set before."""
        self._at = self._clock.seconds() + seconds
        if self._call is None:
            self._call = self._clock.callLater(seconds, self._look)
        elif self._call.getTime() > self._at:
            self._call.reset(seconds)

    def clear(self) -> None:
        """Do not expire."""
        self._at = math.inf

    def stop(self) -> None:
        """Clear it and leave nothing behind in the clock."""
        self._at = math.inf
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        if self._at == math.inf:
            return
        left = self._at - self._clock.seconds()
        if left > 0:
            self._call = self._clock.callLater(left, self._look)
        else:
            self._at = math.inf
            self._expired()
