"""Sends the content of an object at the speed of the client, with bounded memory.

One piece is on its way to the client while the next is read.  What was
announced is sent, or the connection is aborted: never less, never padding.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from zs3.store.interface import IObjectReader
from zs3.web.request import Request

#: bytes read and written at a time
PIECE = 256 * 1024

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


async def _send(request: Request, reader: IObjectReader, first: int, size: int) -> None:
    try:
        if request.gone:
            return
        if size == 0 or request.method == b"HEAD":
            request.write(b"")
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
    piece = reader.read(position, min(PIECE, end - position))
    try:
        while True:
            wanted = min(PIECE, end - position)
            data = await piece
            position += len(data)
            if len(data) != wanted or (position == end and not await reader.unchanged()):
                raise _Changed
            if position < end and not request.gone:
                piece = reader.read(position, min(PIECE, end - position))
            request.write(data)
            if position == end:
                return
            await flow.room()
            if request.gone:
                return
    finally:
        piece.addErrback(lambda _: None)  # of a piece that nobody waits for any more
        if not request.gone:
            request.unregisterProducer()


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
