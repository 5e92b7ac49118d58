"""The daily pass over the buckets with lifecycle rules, as a service of every process that serves.

Of all processes and hosts that serve a directory one makes the pass, the one
that has the lock first.  Where no bucket is known to have rules there is no
timer and nothing is read: disks can sleep.  A process knows of rules because it
found some when it started, or because a request was about a bucket that has
some, be it the one that brought them.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from zs3.lifecycle.evaluation import Day
from zs3.lifecycle.ledger import Ledger, Progress
from zs3.lifecycle.passes import Action, Counts, Pass, Stopped
from zs3.lifecycle.rules import LIFECYCLE
from zs3.store.values import Deletion

#: Passes in one shortened day: there, days do not all end at once.
_PER_SHORT_DAY = 4
#: Within how many seconds after midnight the processes try, one after the other; less of shorter intervals.
_SPREAD_S = 60.0
#: After how many seconds a process tries again where another was making the pass, which may have died since.
_RETRY_S = 900.0
#: The least seconds between two pages, and between two notes of how far the pass has come.
_PAUSE_S = 0.005
_NOTE_S = 5.0

log = Logger()


class _Outcome(enum.Enum):
    DONE = 1
    #: no bucket has rules
    NO_RULES = 2
    #: another makes the pass, or it failed
    AGAIN = 3


class LifecycleService(Service):
    """Makes a pass shortly after each midnight UTC, or soon after the start if the last one is missing or not over.

    :param reactor: also tells the time.
    :param store: an `IStore`.
    :param hop: runs a function in a thread; fires with its result.
    :param announce: is told what happened to objects; see `zs3.lifecycle.passes.Pass`.
    """

    def __init__(
        self,
        reactor: Any,
        store: Any,
        ledger: Ledger,
        hop: Callable[..., Deferred[Any]],
        day: Day,
        announce: Callable[[Action, Deletion], Deferred[None]] = lambda *_: succeed(None),
    ) -> None:
        self._announce = announce
        self._reactor, self._store, self._ledger, self._hop, self._day = reactor, store, ledger, hop, day
        self._interval = day.seconds if day.is_real else day.seconds / _PER_SHORT_DAY
        self._timer: IDelayedCall | None = None
        self._known = False
        self._seen_at = 0.0
        self._noted_at = 0.0
        self._pausing: Deferred[None] | None = None
        self._working: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        # Not before: until then the threads are not there, and others wait for this.
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[None]:
        """Fires when what was being done is done."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pausing is not None:
            self._pausing.cancel()
        if self._working is None:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._working.addBoth(lambda _: ended.callback(None))
        return ended

    def rules_seen(self) -> None:
        """A bucket was seen to have rules."""
        self._seen_at = self._reactor.seconds()
        if not self._known:
            self._known = True
            if self.running and self._working is None and self._timer is None:
                self._wait_for_next()

    # When

    def _number(self) -> int:
        """Which pass it is time for: they are counted since the epoch."""
        return int(self._reactor.seconds() // self._interval)

    def _jitter(self) -> float:
        return random.uniform(0, min(_SPREAD_S, self._interval / 10))  # noqa: S311

    def _wait_for_next(self) -> None:
        self._wait((self._number() + 1) * self._interval - self._reactor.seconds() + self._jitter())

    def _wait(self, seconds: float) -> None:
        self._timer = self._reactor.callLater(seconds, self._work, self._run)

    def _begin(self) -> None:
        if self.running:
            self._work(self._look)

    def _work(self, what: Callable[[], Any]) -> None:
        self._timer = None
        self._working = Deferred.fromCoroutine(what())
        self._working.addErrback(lambda failure: log.failure("the lifecycle pass failed", failure))
        self._working.addBoth(self._worked)

    def _worked(self, _: Any) -> None:
        self._working = None
        if self.running and self._known and self._timer is None:
            self._wait_for_next()

    # What

    async def _look(self) -> None:
        """At the start: whether there are rules."""
        buckets = await self._store.list_buckets()
        if any(LIFECYCLE in bucket.configuration for bucket in buckets) and self.running:
            self._known = True
            self._wait(self._jitter())

    async def _run(self) -> None:
        outcome = _Outcome.AGAIN
        try:
            outcome = await self._make_pass_if_due()
        except Stopped:
            return
        except OSError as error:
            log.error("the lifecycle pass cannot be made: {error}", error=error.strerror or str(error))
        except Exception:
            log.failure("the lifecycle pass failed")
        if outcome is _Outcome.NO_RULES:
            # Unless there are some that came after the pass.
            self._known = self._seen_at >= self._number() * self._interval
        elif outcome is _Outcome.AGAIN and self.running:
            self._wait(min(_RETRY_S, self._interval / 2) + self._jitter())

    async def _make_pass_if_due(self) -> _Outcome:
        if not await self._hop(self._ledger.acquire):
            return _Outcome.AGAIN
        try:
            while True:
                last: Progress | None = await self._hop(self._ledger.read)
                if last is not None and last.done and last.number >= self._number():
                    return _Outcome.DONE if last.buckets else _Outcome.NO_RULES
                await self._make_pass(last if last is not None and not last.done else Progress(self._number()))
        finally:
            await self._hop(self._ledger.release)

    async def _make_pass(self, start: Progress) -> None:
        """Make a pass, or the rest of one."""
        position = start

        async def save(bucket: str, key: str) -> None:
            nonlocal position
            position = Progress(start.number, bucket, key)
            if self._reactor.seconds() - self._noted_at >= _NOTE_S:
                await note()

        async def note() -> None:
            self._noted_at = self._reactor.seconds()
            await self._hop(self._ledger.write, position)

        begun = self._reactor.seconds()
        making = Pass(
            self._store,
            self._reactor.seconds,
            self._day,
            pause=lambda took: Deferred.fromCoroutine(self._pause(took)),
            save=lambda bucket, key: Deferred.fromCoroutine(save(bucket, key)),
            announce=self._announce,
        )
        self._noted_at = 0.0
        try:
            counts = await making.run(start.bucket, start.key)
        except Stopped:
            await note()
            log.info("lifecycle: stopped, to be gone on with: {counts}", counts=making.counts)
            raise
        await self._hop(self._ledger.write, Progress(start.number, done=True, buckets=counts.buckets))
        self._tell(counts, self._reactor.seconds() - begun)

    def _tell(self, counts: Counts, seconds: float) -> None:
        # Of the many passes of shortened days, those that did something.
        if self._day.is_real or counts.done.total() + counts.failed:
            log.info("lifecycle: {counts}, in {seconds:.1f} s", counts=counts, seconds=seconds)

    async def _pause(self, took: float) -> None:
        """As long as the page took: requests have at least half of the disk."""
        if self.running:
            self._pausing = deferLater(self._reactor, max(took, _PAUSE_S), lambda: None)
            try:
                await self._pausing
            except CancelledError:
                pass
            finally:
                self._pausing = None
        if not self.running:
            raise Stopped
