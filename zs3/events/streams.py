"""Streams of events: everything that happens in a bucket, to who listens at that moment.

What any process does in a bucket that somebody listens to is appended to a queue
that all of them share, and that forgets: it outlives no crash, and no more than
some of it is kept.  Who listens reads that queue, from the last event on that a
client has seen, if it can.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from zs3.errors import S3Error
from zs3.events.announcer import Appender, Hear, Hop
from zs3.events.inotify import CREATE, MODIFY, Happening, Inotify
from zs3.events.listeners import Listeners
from zs3.events.queue import Entry, Reader, Writer, clear, ends
from zs3.store.internals import Internals

#: Streams that one process keeps at once.
MAX_STREAMS = 100
#: The most bytes of new events that wait for one that does not take them.
MAX_BEHIND = 1 << 20
#: The most bytes that are kept for who comes back, and for how many seconds after the last stream of a bucket ended.
_KEPT_BYTES = 4 << 20
_KEPT_S = 60.0
#: Where the kernel tells nothing, the queue is looked at each so many seconds while anybody listens.
_POLL_S = 0.5
#: What is too new to be known to be the next is looked at again after so many seconds.
_AHEAD_PAUSE_S = 0.05

log = Logger()


class Listening:
    """What listens to one bucket.

    :ivar ended: is called when there is nothing more to hear, or more waits to be heard than may.
    :ivar watches: whether it is for no client.
    :ivar after: the number after which it hears.
    """

    def __init__(
        self,
        hub: Streams,
        bucket: str,
        identifier: str,
        hear: Hear,
        ended: Callable[[], object] = lambda: None,
        *,
        watches: bool = False,
    ) -> None:
        self.hub, self.bucket, self.identifier, self.hear, self.ended = hub, bucket, identifier, hear, ended
        self.watches = watches
        self.after = 0
        self._past: deque[Entry] = deque()
        self._new: deque[Entry] = deque()
        self._behind = 0
        self._begun = self._paused = False

    def begin(self) -> None:
        """Hear from now on, and first what is past."""
        numbers = {entry.number for entry in self._past}
        self._new = deque(entry for entry in self._new if entry.number not in numbers)
        self._begun = True
        self._go_on()

    def remember(self, past: Sequence[Entry], after: int) -> None:
        """Before `begin`: hear what came after a number, and of that first what is past."""
        self.after = after
        self._past.extend(past)

    def pause(self) -> None:
        """Hear nothing for now; what happens meanwhile is heard later, if it is not too much."""
        self._paused = True

    def resume(self) -> None:
        """Hear what was not heard meanwhile, and then what happens."""
        self._paused = False
        self._go_on()

    def _go_on(self) -> None:
        if not self._begun:
            return
        while self._past and not self._paused:
            entry = self._past.popleft()
            self._tell(entry, json.loads(entry.document))
        while self._new and not self._paused:
            entry = self._new.popleft()
            self._behind -= len(entry.document)
            self._tell(entry, json.loads(entry.document))

    def told(self, entry: Entry, document: Mapping[str, Any]) -> None:
        """Hear of an event, if it is of this bucket.

        :param document: that of the entry.
        """
        if self._begun and not self._paused:
            self._tell(entry, document)
        elif self._behind <= MAX_BEHIND:
            self._new.append(entry)
            self._behind += len(entry.document)
            if self._behind > MAX_BEHIND:
                self.ended()

    def _tell(self, entry: Entry, document: Mapping[str, Any]) -> None:
        if entry.number <= self.after or document["bucket"] != self.bucket:
            return
        # A directory is given its identifier when it is first written to; another that gets its name has another one.
        self.identifier = self.identifier or document["id"]
        if document["id"] == self.identifier:
            self.hear(entry.number, document)

    def close(self) -> None:
        """Hear no more."""
        self.hub.closed(self)


class Streams:
    """Those of one process.

    :param directory: of events.
    """

    def __init__(self, reactor: Any, directory: bytes, internals: Internals, hop: Hop) -> None:
        self._reactor, self._hop, self._internals = reactor, hop, internals
        self._directory = os.path.join(directory, b"stream")
        self._listeners = Listeners(os.path.join(directory, b"listeners"), internals)
        self._appender = Appender(Writer(self._directory, internals, _KEPT_BYTES, durable=False), hop, self._appended)
        self._open: list[Listening] = []
        self._leaving: dict[str, IDelayedCall] = {}
        self._reader: Reader | None = None
        self._inotify: Inotify | None = None
        self._poll: IDelayedCall | None = None
        self._reading: Deferred[None] | None = None
        self._again = self._failing = False
        self.running = False

    # From the start to the end

    def start(self) -> None:
        """:raises OSError: this user may not write there."""
        self._internals.make_directory(self._directory)
        self._listeners.start()
        if not self._listeners.buckets:
            clear(self._directory)
        self.running = True

    def end_streams(self) -> None:
        """End all streams, and begin no more."""
        self.running = False
        for each in list(self._open):
            each.ended()

    def stop(self) -> Deferred[None]:
        """Nothing is appended any more; fires when nothing is read either."""
        self.end_streams()
        for call in self._leaving.values():
            call.cancel()
        self._leaving.clear()
        self._rest()
        self._listeners.stop()
        self._appender.close()
        if self._reading is None:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._reading.addBoth(lambda _: ended.callback(None))
        return ended

    # Who writes

    def wanted(self, bucket: str) -> bool:
        """Whether anybody listens to a bucket."""
        return self._listeners.since(bucket) is not None

    def append(self, entries: Sequence[tuple[int, bytes]]) -> Deferred[None]:
        """Tell whoever listens; never fails."""
        return self._appender.append(entries).addErrback(self._not_appended)

    def _not_appended(self, failure: Failure) -> None:
        if not self._failing:
            self._failing = True
            log.warn("streams miss events: {reason}", reason=getattr(failure.value, "strerror", "") or failure.value)

    def _appended(self, _: int) -> None:
        self._failing = False
        self._wake()

    # Who listens

    def listen(
        self, bucket: str, identifier: str, hear: Hear, ended: Callable[[], object], after: int | None = None
    ) -> Deferred[tuple[Listening, bool]]:
        """Listen to a bucket; fires with what will `begin` to, and whether nothing was missed since the event `after`.

        :param identifier: of the bucket, "" for one that was never written to.
        :param after: the number of the last event that was heard before; None to hear what happens from now on.
        :raises S3Error: SlowDown: there are too many; ServiceUnavailable: the daemon is about to stop.
        """
        if not self.running:
            raise S3Error("ServiceUnavailable")
        if sum(not each.watches for each in self._open) >= MAX_STREAMS:
            raise S3Error("SlowDown", "There are too many streams: reduce their number.")
        return Deferred.fromCoroutine(self._listen(Listening(self, bucket, identifier, hear, ended), after))

    async def _listen(self, new: Listening, after: int | None) -> tuple[Listening, bool]:
        since = self._listeners.since(new.bucket)
        self._keep(new.bucket)
        self._begin(new)
        if after is None:
            new.remember((), time.time_ns())
            return new, True
        try:
            whole = await self._hop(self._is_kept, after) and since is not None and since <= after
            new.remember(await self._hop(self._past, after), after)
        except BaseException:
            self.closed(new)
            raise
        return new, whole

    def _is_kept(self, after: int) -> bool:
        """Whether all that came after an event is still there."""
        sizes = ends(self._directory)
        if sum(sizes.values()) < _KEPT_BYTES // 2:
            return True  # nothing had to go yet
        return int(min(sizes)[:16], 16) <= after

    def _past(self, after: int) -> list[Entry]:
        reader, found = Reader(self._directory, self._internals, {}), []
        while entries := reader.read(time.time_ns()):
            found += [entry for entry in entries if entry.number > after]
            reader.done(entries)
        return found

    def _begin(self, new: Listening) -> None:
        if self._reader is None:
            self._reader = Reader(self._directory, self._internals, ends(self._directory))
            self._attend()
        self._open.append(new)

    def watch(self, bucket: str, identifier: str, hear: Hear) -> Listening:
        """Hear what zs3 does in a bucket from now on, for who tells it from what others do.

        :raises OSError: this user may not write there.
        """
        new = Listening(self, bucket, identifier, hear, watches=True)
        self._listeners.add(bucket, watches=True)
        self._begin(new)
        new.remember((), time.time_ns())
        new.begin()
        return new

    @property
    def streamed(self) -> set[str]:
        """The buckets that clients of any process listen to."""
        return self._listeners.streamed

    def _keep(self, bucket: str) -> None:
        leaving = self._leaving.pop(bucket, None)
        if leaving is not None:
            leaving.cancel()
        self._listeners.add(bucket)

    def closed(self, listening: Listening) -> None:
        """For what listens: it does no more."""
        if listening not in self._open:
            return
        self._open.remove(listening)
        bucket = listening.bucket
        if listening.watches:
            self._listeners.remove(bucket, watches=True)
            self._rest_if_alone()
        elif self.running and not any(each.bucket == bucket and not each.watches for each in self._open):
            self._leaving[bucket] = self._reactor.callLater(_KEPT_S, self._leave, bucket)

    def _leave(self, bucket: str) -> None:
        self._leaving.pop(bucket, None)
        self._listeners.remove(bucket)
        self._rest_if_alone()

    def _rest_if_alone(self) -> None:
        if not self._open and not self._leaving:
            self._rest()
            if not self._listeners.buckets:
                self._appender.close()
                self._hop(clear, self._directory)

    # Reading

    def _attend(self) -> None:
        try:
            self._inotify = Inotify(self._reactor, self._happened)
            self._inotify.watch(self._directory, CREATE | MODIFY)
            self._inotify.start()
        except OSError as error:
            log.warn("streams look for events each {s} s: {reason}", s=_POLL_S, reason=error.strerror)
            self._look()

    def _look(self) -> None:
        self._poll = self._reactor.callLater(_POLL_S, self._look)
        self._wake()

    def _rest(self) -> None:
        if self._inotify is not None:
            self._inotify.stop()
            self._inotify = None
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        self._reader = None

    def _happened(self, _: list[Happening]) -> None:
        self._wake()

    def _wake(self) -> None:
        if self._reader is None:
            return
        if self._reading is not None:
            self._again = True
            return
        self._again = False
        self._reading = Deferred.fromCoroutine(self._read(self._reader))
        self._reading.addErrback(lambda failure: log.failure("streams miss events", failure))
        self._reading.addBoth(self._was_read)

    def _was_read(self, _: Any) -> None:
        self._reading = None
        if self._again:
            self._wake()

    async def _read(self, reader: Reader) -> None:
        while True:
            until = time.time_ns()
            entries: list[Entry] = await self._hop(reader.read, until)
            if not entries and reader.waiting:
                await deferLater(self._reactor, _AHEAD_PAUSE_S, lambda: None)
                continue
            if not entries:
                return
            reader.done(entries)
            for entry in entries:
                document = json.loads(entry.document)
                for each in list(self._open):
                    each.told(entry, document)
