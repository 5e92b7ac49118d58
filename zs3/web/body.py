"""A request's body between the connection, which feeds it, and the handler, which reads it.

Bounded: the connection is paused while more than `HIGH_WATER` is unread.
Knows neither framing nor signatures: these are the bytes without the transfer
coding.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

#: unread bytes at which the connection is paused; one segment more may be on its way, so 512 KiB are never exceeded
HIGH_WATER = 256 * 1024


class Source(Protocol):
    """The connection, as a body sees it."""

    def start_body(self) -> None:
        """Somebody wants the body: tell a client that waits for it."""

    def pause_body(self) -> None:
        """Deliver no more for now."""

    def resume_body(self) -> None:
        """Go on."""


class Body:
    """The bytes of one request's body, in order.

    :ivar received: how many bytes have arrived.
    :ivar ended: whether the last byte has arrived.
    """

    def __init__(self, source: Source) -> None:
        self.received = 0
        self.ended = False
        self._source = source
        self._queue: list[bytes] = []
        self._queued = 0
        self._started = self._paused = self._discarding = False
        self._failure: Failure | None = None
        self._reader: Deferred[bytes] | None = None

    def read(self) -> Deferred[bytes]:
        """The next piece: fires with all that has arrived, at least one byte, or with ``b""`` at the end.

        The first call sends ``100 Continue`` where the client waits for it.  One call at a time; it may be
        cancelled, and nothing is lost then.

        Fails with `S3Error`: IncompleteBody (the client went away), RequestTimeout (it stopped sending),
        BadRequest (malformed chunks).  What was not read before that is dropped.
        """
        if self._reader is not None:
            raise RuntimeError("one read at a time")
        if not self._started:
            self._started = True
            if not self.ended:
                self._source.start_body()
        if self._failure is not None:
            return fail(self._failure)
        if self._queue:
            queue, self._queue, self._queued = self._queue, [], 0
            self._resume()
            return succeed(queue[0] if len(queue) == 1 else b"".join(queue))
        if self.ended:
            return succeed(b"")
        self._reader = Deferred(self._cancel)
        return self._reader

    def feed(self, data: bytes) -> None:
        """For the connection: these bytes came."""
        self.received += len(data)
        if self._discarding or not data:
            return
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.callback(data)
            return
        self._queue.append(data)
        self._queued += len(data)
        if self._queued > HIGH_WATER and not self._paused:
            self._paused = True
            self._source.pause_body()

    def end(self) -> None:
        """For the connection: that was all."""
        self.ended = True
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.callback(b"")

    def fail(self, failure: Failure) -> None:
        """For the connection: there will be no end.  Nothing happens to a body that has arrived."""
        if self.ended or self._failure is not None:
            return
        self._failure = failure
        self._drop()
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.errback(failure)

    def discard(self) -> None:
        """For the connection: nobody will read on; forget what is there and what comes."""
        self._drop()
        self._resume()

    def _drop(self) -> None:
        self._discarding = True
        self._queue, self._queued = [], 0

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._source.resume_body()

    def _cancel(self, _: Deferred[bytes]) -> None:
        self._reader = None
