"""Whether the daemon is well: what `/-/ready`, the metrics and the watchdog want to know.

A look takes a thread for a moment and is good for a second, however many ask.
Where the disk does not answer, no further thread waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from zs3.store.diskspace import Disk
from zs3.store.readers import Hop

#: How long a look is good for, and how long it may take, in seconds.
FRESH_S = 1.0
PATIENCE_S = 5.0

#: What can be wrong beside the words of `zs3.store.diskspace`.
IO_ERROR, STUCK = "io-error", "stuck"

log = Logger()


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    :ivar problem: "" if the daemon is ready; else one word that tells nothing of the data.
    :ivar disk: None if it did not answer.
    """

    problem: str
    disk: Disk | None


class Health:
    """Looks when it is asked, and logs when the daemon is no longer ready, and when it is again.

    :param hop: runs a function in a thread.
    :param look: of `zs3.store.diskspace.DiskProbe`.
    :param healthy: whether the disk has kept what it was given until now.
    """

    def __init__(self, clock: IReactorTime, hop: Hop, look: Callable[[], Disk], healthy: Callable[[], bool]) -> None:
        self._clock, self._hop, self._look, self._healthy = clock, hop, look, healthy
        self._report: Report | None = None
        self._looked = 0.0
        self._looking = False
        self._timer: IDelayedCall | None = None
        self._waiting: list[Deferred[Report]] = []
        self._told = ""
        self._failed = False

    def fail(self) -> None:
        """Another process on the same disk has seen that it does not keep what it is given."""
        self._failed = True

    def check(self) -> Deferred[Report]:
        """Fires with what was found within the last second, or is found now."""
        if not self._looking and not self._is_fresh():
            self._looking = True
            self._timer = self._clock.callLater(PATIENCE_S, self._is_late)
            self._hop(self._look).addBoth(self._has_looked)
        if self._report is not None and (not self._looking or self._timer is None):
            return succeed(self._judged(self._report))
        waiting: Deferred[Report] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def beat(self) -> Deferred[None]:
        """See to it that what is wrong is logged; fires at once: whatever that is, a restart would not mend it."""
        self.check()
        return succeed(None)

    def _is_fresh(self) -> bool:
        return self._report is not None and 0 <= self._clock.seconds() - self._looked < FRESH_S

    def _judged(self, report: Report) -> Report:
        # What was answered before may be lost: that is not forgotten when there is room again.
        kept = self._healthy() and not self._failed
        return report if report.problem or kept else Report(IO_ERROR, report.disk)

    def _is_late(self) -> None:
        self._timer = None
        self._found(Report(STUCK, None))

    def _has_looked(self, result: Any) -> None:
        self._looking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._looked = self._clock.seconds()
        if isinstance(result, Failure):
            if not result.check(OSError):
                log.failure("looking at the disk failed", result)
            self._found(Report(IO_ERROR, None))
        else:
            self._found(Report(result.problem, result))

    def _found(self, report: Report) -> None:
        self._report = report
        judged = self._judged(report)
        if judged.problem != self._told:
            self._told = judged.problem
            if judged.problem:
                log.error("not ready: {problem}", problem=judged.problem)
            else:
                log.info("ready again")
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(judged)
