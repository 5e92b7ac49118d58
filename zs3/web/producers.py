"""Sends the content of an object at the speed of the client, with bounded memory.

One piece is on its way to the client while the next is read.  What was
announced is sent, or the connection is aborted: never less, never padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from zs3.store.interface import IFileReader, IObjectReader
from zs3.web.request import Request

#: bytes read and written at a time
PIECE = 512 * 1024

#: what is in memory goes out with the head, in one piece, up to so many bytes
SMALL = 64 * 1024

#: bytes of a file that are looked at at a time, whether they are in memory; a socket takes less before others have
#: their turn
WINDOW = 8 * 1024 * 1024

#: bytes that are looked at then, and read into memory if they are not
STEP = 1024 * 1024

_log = Logger()


def send_object(request: Request, reader: IObjectReader, first: int, size: int) -> Deferred[None]:
    """Send `size` bytes of an object from offset `first`, and finish the request.

    Status and headers, Content-Length among them, must have been set on the request.  To HEAD they alone are sent.
    The reader is closed in every case.

    Fires when the last byte was handed to the transport, or nothing more can be sent: the client went away, or the
    file is no longer what was announced (shortened or changed), for which the connection is aborted.  Fails with
    what `reader.read` fails with; whether that can still be answered is for `zs3.web.responses.send_error` to see.
    """
    return Deferred.fromCoroutine(_send(request, reader, first, size))


async def answer_object(
    request: Request, status: int, headers: Mapping[str, bytes], reader: IObjectReader, first: int, size: int
) -> None:
    """Answer with some bytes of an object, as `send_object` does.

    :param headers: all of them, Content-Length among them.
    """
    if size and request.method != b"HEAD" and not request.gone and IFileReader.providedBy(reader):
        if size <= SMALL:
            data = reader.read_now(first, size)
            if data is not None and reader.unchanged_now():
                reader.close()
                request.answer(status, headers, data)
                return
        elif request.channel.on_socket:
            request.begin_answer(status, headers)
    if not request.startedWriting:
        request.setResponseCode(status)
        for name, value in headers.items():
            request.setHeader(name, value)
    await _send(request, reader, first, size)


async def _send(request: Request, reader: IObjectReader, first: int, size: int) -> None:
    try:
        if request.gone:
            return
        if size == 0 or request.method == b"HEAD":
            request.write(b"")
        elif size > SMALL and request.channel.on_socket and IFileReader.providedBy(reader):
            request.write(b"")
            await _FileSender(request, reader, first, first + size).sent
        else:
            await _send_pieces(request, reader, first, first + size)
    except _Changed:
        _log.warn("{path} changed while it was sent", path=request.raw_path.decode("ascii"))
        request.abort()
        return
    finally:
        reader.close()
    if not request.gone:
        request.finish()


async def _send_pieces(request: Request, reader: IObjectReader, position: int, end: int) -> None:
    """Write the bytes from `position` up to `end`, or less to a client that goes away meanwhile.

    :raises _Changed: they are not what was announced; the last piece at least was not written then.
    """
    flow = _Flow()
    request.notifyFinish().addErrback(lambda _: flow.resumeProducing())
    request.registerProducer(flow, True)
    piece = _read(reader, position, min(PIECE, end - position))
    try:
        while True:
            wanted = min(PIECE, end - position)
            data = await piece
            position += len(data)
            if len(data) != wanted or (position == end and not await reader.unchanged()):
                raise _Changed
            if position < end and not request.gone:
                piece = _read(reader, position, min(PIECE, end - position))
            request.write(data)
            if position == end:
                return
            if not request.gone:
                await request.channel.turn_of_others()
            await flow.room()
            if request.gone:
                return
    finally:
        piece.addErrback(lambda _: None)  # of a piece that nobody waits for any more
        if not request.gone:
            request.unregisterProducer()


def _read(reader: IObjectReader, offset: int, size: int) -> Deferred[bytes]:
    data = reader.read_now(offset, size) if IFileReader.providedBy(reader) else None
    return reader.read(offset, size) if data is None else succeed(data)


@implementer(IPullProducer)
class _FileSender:
    """Sends bytes of a file from the page cache to the socket, without taking them into this process.

    What is not in memory is read into it in a thread first: neither a cold disk nor a slow client holds up others.

    :ivar sent: fires when all is sent or the client has gone; fails with `_Changed`, or with what reading fails with.
    """

    def __init__(self, request: Request, reader: Any, position: int, end: int) -> None:
        self._request, self._reader = request, reader
        self._channel = request.channel
        self._position, self._end = position, end
        self._warm_end = position
        self._warming = self._over = False
        self.sent: Deferred[None] = Deferred(lambda _: self._finish(CancelledError()))
        request.notifyFinish().addErrback(lambda _: self._finish())
        self._channel.begin_file(self)

    def resumeProducing(self) -> None:
        """The transport has sent all it had."""
        if not self._warming:
            self._try(self._go_on)

    def stopProducing(self) -> None:
        """The client has gone; but that the request is told next, and then it tells us."""

    def _try(self, step: Callable[[], object]) -> None:
        if self._over:
            return
        try:
            step()
        except EOFError:
            self._finish(_Changed())
        except Exception as error:
            self._finish(error)

    def _go_on(self) -> None:
        for most in (WINDOW, STEP):
            if self._position < self._warm_end:
                break
            size = min(most, self._end - self._position)
            if self._reader.is_warm(self._position, size):
                self._warm_end = self._position + size
        if self._position < self._warm_end:
            self._send()
        else:
            self._warm(size)

    def _warm(self, size: int) -> None:
        self._warming = True
        self._channel.wait_for_disk()

        def warmed(complete: bool) -> None:
            self._warming = False
            if not complete:
                raise EOFError
            self._warm_end = self._position + size
            self._send()

        self._reader.warm(self._position, size).addCallback(
            lambda complete: self._try(lambda: warmed(complete))
        ).addErrback(lambda failure: self._finish(failure.value))

    def _send(self) -> None:
        """Send of what is in memory as much as the socket takes, and see to what comes next."""
        if self._warm_end == self._end and not self._reader.unchanged_now():
            raise _Changed
        taken = self._channel.send_file(self._reader.fileno(), self._position, self._warm_end - self._position)
        self._position += taken
        self._request.sentLength += taken
        if self._position == self._end:
            self._finish()
        else:
            self._channel.wait_for_room()

    def _finish(self, error: Exception | None = None) -> None:
        if self._over:
            return
        self._over = True
        if not self._request.gone:
            self._channel.end_file()
        if error is None:
            self.sent.callback(None)
        else:
            self.sent.errback(error)


class _Changed(Exception):
    """The file is no longer the one that was announced."""


@implementer(IPushProducer)
class _Flow:
    """Whether the client takes more: what the transport says, for a coroutine to await."""

    def __init__(self) -> None:
        self._paused = False
        self._waiting: Deferred[None] | None = None

    def room(self) -> Deferred[None]:
        """Fires when more may be written, or when the client has gone."""
        if not self._paused:
            return succeed(None)
        self._waiting = Deferred()
        return self._waiting

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            if not waiting.called:  # it is, once it was cancelled
                waiting.callback(None)

    def stopProducing(self) -> None:
        """The client has gone; but that the request is told next, and then it tells us."""
