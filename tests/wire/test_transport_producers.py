"""Sending the content of an object: back-pressure, bounded memory, and never anything else than was announced."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import globalLogPublisher
from zope.interface import implementer

from tests.wire.harness import Connection, Handler, Server
from zs3.store.interface import IObjectReader
from zs3.store.values import ObjectInfo
from zs3.web.producers import PIECE, send_object
from zs3.web.request import Request

GET = b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n"


@implementer(IObjectReader)
class Reader:
    """An object in memory.

    :ivar waiting: reads that have not been answered, where they are not answered at once.
    :ivar reads: the offsets that were read.
    """

    def __init__(self, content: bytes, *, at_once: bool = True, changed: bool = False) -> None:
        self.content, self.at_once, self.changed = content, at_once, changed
        self.waiting: list[Deferred[bytes]] = []
        self.reads: list[int] = []
        self.closed = 0

    def info(self) -> ObjectInfo:
        return ObjectInfo("k", len(self.content), 0, "e")

    def read(self, offset: int, size: int) -> Deferred[bytes]:
        self.reads.append(offset)
        assert not [d for d in self.waiting if not d.called], "one read at a time"
        if self.at_once:
            return succeed(self.content[offset : offset + size])
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def unchanged(self) -> Deferred[bool]:
        return succeed(not self.changed)

    def close(self) -> None:
        self.closed += 1

    def answer(self) -> None:
        """Answer the last read."""
        offset = self.reads[-1]
        self.waiting[-1].callback(self.content[offset : offset + PIECE])


def get(
    reader: Reader, first: int, size: int, *, buffer_size: int | None = None, method: bytes = b"GET"
) -> tuple[Connection, Handler, list[str]]:
    """Ask for a part of an object; also what became of the handler."""
    ends: list[str] = []

    async def serve(request: Request) -> None:
        request.setHeader("Content-Length", str(size))
        try:
            await send_object(request, reader, first, size)
        except BaseException as error:
            ends.append(type(error).__name__)
            raise
        ends.append("done")

    handler = Handler(serve)
    connection = Server(handler).connect(buffer_size=buffer_size)
    connection.send(GET.replace(b"GET", method))
    return connection, handler, ends


CONTENT = bytes(range(256)) * 5000  # 1.28 MB: four whole pieces and a rest


@pytest.mark.parametrize(
    ("first", "size"),
    [(0, len(CONTENT)), (0, 1), (1000, 5), (7, PIECE), (0, PIECE + 1), (len(CONTENT) - 1, 1), (3, 2 * PIECE), (0, 0)],
)
@pytest.mark.parametrize("buffer_size", [None, 65536])
def test_object_is_sent(first: int, size: int, buffer_size: int | None) -> None:
    reader = Reader(CONTENT)
    connection, _, ends = get(reader, first, size, buffer_size=buffer_size)
    response = connection.receive()
    assert response.body == CONTENT[first : first + size]
    assert ends == ["done"]
    assert reader.closed == 1
    assert connection.open


def test_connection_serves_one_object_after_the_other() -> None:
    connection, _, ends = get(Reader(CONTENT), 0, 1000, buffer_size=100)
    connection.receive()
    for _ in range(2):
        connection.send(GET)
        assert connection.receive().body == CONTENT[:1000]
    assert ends == ["done"] * 3


def test_slow_client_holds_up_the_reading() -> None:
    reader = Reader(CONTENT)
    connection, _, ends = get(reader, 0, len(CONTENT), buffer_size=65536)
    assert reader.reads == [0, PIECE], "one piece sent, one read ahead"
    assert len(connection.transport.sent) < PIECE + 1000
    connection.transport.take()
    assert reader.reads == [0, PIECE, 2 * PIECE]
    assert ends == []
    connection.received()
    assert ends == ["done"]


def test_next_piece_is_read_while_the_last_one_is_sent() -> None:
    reader = Reader(CONTENT, at_once=False)
    connection, _, _ = get(reader, 0, len(CONTENT))
    assert connection.received() == b""
    reader.answer()
    assert reader.reads == [0, PIECE]
    assert connection.received().endswith(CONTENT[:PIECE])
    for _ in range((len(CONTENT) - 1) // PIECE):
        reader.answer()
    assert connection.receive().body == CONTENT


def test_head_gets_the_headers_only() -> None:
    reader = Reader(CONTENT)
    connection, _, ends = get(reader, 0, len(CONTENT), method=b"HEAD")
    response = connection.receive(head=True)
    assert response.headers["content-length"] == str(len(CONTENT))
    assert connection.received() == b""
    assert (reader.reads, reader.closed, ends) == ([], 1, ["done"])
    assert connection.open


@pytest.mark.parametrize("length", [0, 10, PIECE, len(CONTENT) - 1])
def test_shortened_file_aborts_the_connection(length: int) -> None:
    reader = Reader(CONTENT[:length])
    connection, _, ends = get(reader, 0, len(CONTENT))
    assert connection.aborted
    _, _, body = connection.received().partition(b"\r\n\r\n")
    assert CONTENT.startswith(body)
    assert len(body) < len(CONTENT), "no padding"
    assert reader.closed == 1
    assert ends in (["done"], ["CancelledError"])


@pytest.mark.parametrize("size", [10, len(CONTENT)])
def test_changed_file_aborts_the_connection_before_the_last_bytes(size: int, logged: Callable[[], list[str]]) -> None:
    reader = Reader(CONTENT, changed=True)
    connection, _, _ = get(reader, 0, size)
    assert connection.aborted
    assert len(connection.received().partition(b"\r\n\r\n")[2]) < size
    assert reader.closed == 1
    assert logged() == ["/b/k changed while it was sent"]


def test_client_gone_while_we_wait_for_it_closes_the_reader(logged: Callable[[], list[str]]) -> None:
    reader = Reader(CONTENT)
    connection, handler, ends = get(reader, 0, len(CONTENT), buffer_size=65536)
    connection.hang_up()
    assert reader.closed == 1
    assert len(ends) == 1
    assert len(reader.reads) == 2, "nothing is read for a client that is gone"
    assert handler.requests[0].gone
    assert logged() == [], "that is nothing to complain of"


def test_client_gone_while_we_read_closes_the_reader() -> None:
    reader = Reader(CONTENT, at_once=False)
    connection, _, ends = get(reader, 0, len(CONTENT))
    connection.hang_up()
    assert reader.closed == 1
    assert len(ends) == 1


@pytest.mark.parametrize("buffer_size", [None, 65536])
def test_client_gone_is_enough_without_a_cancelling_handler(buffer_size: int | None) -> None:
    reader = Reader(CONTENT, at_once=buffer_size is not None)
    done: list[object] = []

    class Uncancelled(Handler):
        def render(self, request: Request) -> int:
            send_object(request, reader, 0, len(CONTENT)).addBoth(done.append)
            return 1

    async def unused(request: Request) -> None:
        raise AssertionError

    connection = Server(Uncancelled(unused)).connect(buffer_size=buffer_size)
    connection.send(GET)
    connection.hang_up()
    if buffer_size is None:
        assert done == [], "the read under way is waited for"
        reader.answer()
    assert done == [None]
    assert reader.closed == 1


def test_client_gone_before_the_sending_begins_closes_the_reader() -> None:
    reader = Reader(CONTENT)
    go: Deferred[None] = Deferred()
    done: list[object] = []

    class Uncancelled(Handler):
        def render(self, request: Request) -> int:
            go.addCallback(lambda _: send_object(request, reader, 0, len(CONTENT))).addBoth(done.append)
            return 1

    async def unused(request: Request) -> None:
        raise AssertionError

    connection = Server(Uncancelled(unused)).connect()
    connection.send(GET)
    connection.hang_up()
    go.callback(None)
    assert (done, reader.closed, reader.reads) == ([None], 1, [])


def test_read_error_before_the_head_can_still_be_answered() -> None:
    class Failing(Reader):
        def read(self, offset: int, size: int) -> Deferred[bytes]:
            return fail(OSError(5, "Input/output error"))

    reader = Failing(CONTENT)
    events: list[object] = []
    globalLogPublisher.addObserver(events.append)
    try:
        connection, _, ends = get(reader, 0, len(CONTENT))
        response = connection.receive()
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert (response.status, response.error_code) == (500, "InternalError")
    assert response.headers["content-length"] == str(len(response.body)), "that of the object is gone"
    assert b"output" not in response.body
    assert ends == ["OSError"]
    assert reader.closed == 1
    assert connection.open


def test_read_error_after_the_head_aborts_the_connection() -> None:
    class Failing(Reader):
        def read(self, offset: int, size: int) -> Deferred[bytes]:
            return fail(OSError(5, "Input/output error")) if offset else super().read(offset, size)

    reader = Failing(CONTENT)
    connection, _, _ = get(reader, 0, len(CONTENT))
    assert connection.aborted
    assert reader.closed == 1
