"""Delivers the queue of one target, in its order, each message until the target has taken it.

Of all processes and hosts that serve a directory one delivers at a time: the one
that has the lock, and only while there is something.  Whoever appends tries for
it.  Where nothing waits there is no lock held, no timer and no I/O.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.client import ResponseFailed

from zs3.events.announcer import Hop
from zs3.events.queue import Entry, Lock, Reader, pending
from zs3.events.records import message
from zs3.events.webhook import Webhook
from zs3.store.internals import Internals

#: Seconds until a message is sent again, or another's work is looked at again: doubled each time, up to the last.
FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0
#: Seconds until what is too new to be known to be the next is looked at again.
_AHEAD_PAUSE_S = 0.05
#: Seconds that a message under way is given when the daemon stops.
_END_S = 5.0

log = Logger()


def pause_after(tries: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(FIRST_PAUSE_S * 2.0 ** min(tries - 1, 10), LAST_PAUSE_S) * random.uniform(0.8, 1.0)  # noqa: S311


def reason_of(error: BaseException) -> str:
    """Why a message did not arrive, in one line."""
    if isinstance(error, ResponseFailed) and error.reasons:
        return reason_of(error.reasons[0].value)
    reasons = getattr(error, "reasons", None)  # of a request that failed while it was sent
    if reasons:
        return reason_of(reasons[0].value)
    return " ".join(str(error).split()) or type(error).__name__


class Delivery:
    """The deliverer.

    :param directory: of the queue.
    :param reactor: also tells the time.
    :param hop: runs a function in a thread; fires with its result.
    """

    def __init__(
        self,
        directory: bytes,
        internals: Internals,
        webhook: Webhook,
        reactor: Any,
        hop: Hop,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._directory, self._internals = directory, internals
        self.webhook = webhook
        self._reactor, self._hop, self._now = reactor, hop, now
        self._lock = Lock(directory, internals)
        self._reader: Reader | None = None
        self._working: Deferred[None] | None = None
        self._sleeping: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._again = self._stopped = False
        self._tries = self._looks = 0

    @property
    def _name(self) -> str:
        return self.webhook.target.name

    def wake(self) -> None:
        """There may be something to deliver."""
        if self._stopped:
            return
        if self._working is not None:
            self._again = True
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._again = False
        self._working = Deferred.fromCoroutine(self._work())
        self._working.addErrback(lambda failure: log.failure("events for {name} wait", failure, name=self._name))
        self._working.addBoth(self._worked)

    def _worked(self, _: Any) -> None:
        self._working = None
        if self._again:
            self.wake()

    def retry(self) -> None:
        """Do not wait for the time to try again: something is different now."""
        if self._sleeping is not None:
            self._sleeping.cancel()
        self.wake()

    async def _work(self) -> None:
        while not self._stopped:
            try:
                entries: list[Entry] | None = await self._hop(self._begin)
                if entries is None:
                    # Another delivers; should it die, this will see to it.
                    self._look_later()
                    return
                if self._reader is None:
                    break
                try:
                    await self._deliver(self._reader, entries)
                finally:
                    # What was appended while the lock was held by this is looked for once more, without it.
                    more: bool = await self._hop(self._end)
            except OSError as error:
                log.error("events for {name} wait: {reason}", name=self._name, reason=error.strerror)
                self._look_later()
                return
            if not more:
                break
        self._looks = 0

    # In a thread: little time at a time, for each hop costs as much as some of it.

    def _begin(self) -> list[Entry] | None:
        """Take the lock and the first entries, if there may be any: then there is a reader.  None: another has it."""
        if not pending(self._directory):
            return []
        if not self._lock.acquire():
            return None
        self._reader = Reader(self._directory, self._internals)
        return self._reader.read(self._now())

    def _go_on(self, reader: Reader, done: Sequence[Entry], rest: list[Entry]) -> list[Entry]:
        reader.done(done)
        return rest or reader.read(self._now())

    def _end(self) -> bool:
        """Give the lock back; whether there is more now."""
        reader, self._reader = self._reader, None
        try:
            if reader is not None and reader.damaged:
                reader.done(())  # what was passed over need not be looked at again either
        finally:
            self._lock.release()
        return pending(self._directory)

    def _look_later(self) -> None:
        self._looks += 1
        if not self._stopped:
            self._timer = self._reactor.callLater(pause_after(self._looks), self._look)

    def _look(self) -> None:
        self._timer = None
        self.wake()

    async def _deliver(self, reader: Reader, entries: list[Entry]) -> None:
        while not self._stopped:
            if entries:
                size = self.webhook.target.batch
                batch, rest = entries[:size], entries[size:]
                if not await self._send(batch):
                    return
                entries = await self._hop(self._go_on, reader, batch, rest)
            elif reader.waiting:
                await self._sleep(_AHEAD_PAUSE_S)
                entries = await self._hop(reader.read, self._now())
            else:
                break
        if reader.damaged:
            log.error("events for {name}: {count} were damaged on the disk", name=self._name, count=reader.damaged)

    async def _send(self, batch: Sequence[Entry]) -> bool:
        """Send some entries until the target has taken them; False: it is to stop before."""
        body = message(entry.document for entry in batch)
        while not self._stopped:
            try:
                await self.webhook.send(body)
            except CancelledError:
                return False
            except Exception as error:  # whatever it is, there is another time
                self._tries += 1
                if self._tries == 1:
                    log.warn(
                        "the target {name} does not take events: {reason}", name=self._name, reason=reason_of(error)
                    )
                await self._sleep(pause_after(self._tries))
            else:
                if self._tries:
                    log.info("the target {name} takes events again", name=self._name)
                    self._tries = 0
                return True
        return False

    async def _sleep(self, seconds: float) -> None:
        if self._stopped:
            return
        self._sleeping = deferLater(self._reactor, seconds, lambda: None)
        try:
            await self._sleeping
        except CancelledError:
            pass
        finally:
            self._sleeping = None

    def stop(self) -> Deferred[None]:
        """Deliver no more; fires when what is under way has ended, or had its time."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sleeping is not None:
            self._sleeping.cancel()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._working is not None:
            # What has not ended by then the target gets once more, after the next start.
            working = self._working
            cutting = self._reactor.callLater(_END_S, working.cancel)
            ended: Deferred[None] = Deferred()
            working.addBoth(lambda _: ended.callback(None))
            await ended
            if cutting.active():
                cutting.cancel()
        await self.webhook.close()
