"""How a body reaches its reader: framing, back-pressure, and the ways it can end too early."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred

from tests.wire.harness import Handler, Server
from zs3.errors import S3Error
from zs3.web.request import Request
from zs3.web.responses import send_xml

CHUNKED = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMIT = 512 * 1024


def put(length: int) -> bytes:
    return b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length


class Reader:
    """Reads the body when it is told to.

    :ivar pieces: what it got.
    :ivar error: what it got instead.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.error: BaseException | None = None
        self._turn: Deferred[None] = Deferred()
        self._free = False

    async def __call__(self, request: Request) -> None:
        while True:
            if not self._free:
                await self._turn
                self._turn = Deferred()
            try:
                data = await request.body.read()
            except S3Error as error:
                self.error = error
                raise
            self.pieces.append(data)
            if not data:
                break
        send_xml(request, b"%d" % sum(map(len, self.pieces)))

    def read(self) -> None:
        """One piece."""
        self._turn.callback(None)

    def read_all(self) -> None:
        self._free = True
        self.read()


def test_unread_body_is_bounded_and_pauses_the_connection() -> None:
    reader = Reader()
    size = 2_000_000
    connection = Server(Handler(reader)).connect()
    connection.send(put(size) + b"x" * size)
    assert connection.transport.paused
    taken = size - sum(map(len, connection.transport.network))
    assert LIMIT // 2 < taken <= LIMIT


def test_reading_lets_the_connection_go_on() -> None:
    reader = Reader()
    size = 2_000_000
    connection = Server(Handler(reader)).connect()
    connection.send(put(size) + b"x" * size)
    first = size - sum(map(len, connection.transport.network))
    reader.read()
    assert len(reader.pieces[0]) == first, "all that was there at once"
    assert connection.transport.paused, "and the next lot is waiting"
    assert size - first - sum(map(len, connection.transport.network)) <= LIMIT
    reader.read_all()
    assert connection.receive().body == b"%d" % size
    assert not connection.transport.paused
    assert max(map(len, reader.pieces)) <= LIMIT


def test_waiting_reader_gets_every_piece_as_it_comes() -> None:
    reader = Reader()
    connection = Server(Handler(reader)).connect()
    reader.read_all()
    connection.send(put(6))
    connection.send(b"a")
    assert reader.pieces == [b"a"]
    connection.send(b"bc")
    assert reader.pieces == [b"a", b"bc"]
    connection.send(b"def")
    assert reader.pieces == [b"a", b"bc", b"def", b""]


def test_end_can_be_read_again() -> None:
    async def serve(request: Request) -> None:
        assert await request.body.read() == b"x"
        assert await request.body.read() == b""
        assert await request.body.read() == b""
        send_xml(request, b"ok")

    assert Server(Handler(serve)).connect().request("PUT", "/b/k", body=b"x").body == b"ok"


def test_request_without_a_body_reads_its_end_at_once() -> None:
    async def serve(request: Request) -> None:
        assert await request.body.read() == b""
        send_xml(request, b"ok")

    assert Server(Handler(serve)).connect().request("GET", "/b/k").body == b"ok"


def test_two_reads_at_a_time_are_a_programming_error() -> None:
    errors = []

    async def serve(request: Request) -> None:
        request.body.read()
        try:
            request.body.read()
        except RuntimeError as error:
            errors.append(error)
        send_xml(request, b"ok")

    Server(Handler(serve)).connect().send(put(1))
    assert len(errors) == 1


def test_cancelled_read_loses_nothing() -> None:
    async def serve(request: Request) -> None:
        reading = request.body.read()
        reading.cancel()
        with pytest.raises(CancelledError):
            await reading
        await go
        send_xml(request, await request.body.read())

    go: Deferred[None] = Deferred()
    connection = Server(Handler(serve)).connect()
    connection.send(put(5))
    connection.send(b"hello")
    go.callback(None)
    assert connection.receive().body == b"hello"


def test_bytes_received_are_counted_also_when_they_are_not_read() -> None:
    async def serve(request: Request) -> None:
        raise S3Error("AccessDenied")

    handler = Handler(serve)
    connection = Server(handler).connect()
    connection.send(put(5) + b"hello")
    assert handler.requests[0].body.received == 5


# Abort


def test_client_gone_mid_body_fails_the_read() -> None:
    reader = Reader()
    handler = Handler(reader)
    connection = Server(handler).connect()
    reader.read_all()
    connection.send(put(10) + b"hello")
    connection.hang_up()
    assert isinstance(reader.error, S3Error)
    assert reader.error.code == "IncompleteBody"
    assert handler.requests[0].gone
    assert handler.requests[0].log.error == "IncompleteBody"


def test_client_gone_while_nobody_reads_fails_the_next_read() -> None:
    async def serve(request: Request) -> None:
        await go
        try:
            await request.body.read()
        except S3Error as error:
            codes.append(error.code)
            raise

    class Uncancelled(Handler):
        def render(self, request: Request) -> int:
            Deferred.fromCoroutine(serve(request)).addErrback(lambda _: None)
            return 1

    codes: list[str] = []
    go: Deferred[None] = Deferred()
    connection = Server(Uncancelled(serve)).connect()
    connection.send(put(10) + b"hello")
    connection.hang_up()
    go.callback(None)
    assert codes == ["IncompleteBody"]


def test_client_gone_cancels_the_handler() -> None:
    seen = []

    async def serve(request: Request) -> None:
        try:
            await Deferred()
        except CancelledError:
            seen.append("cancelled")
            raise

    connection = Server(Handler(serve)).connect()
    connection.send(put(0))
    connection.hang_up()
    assert seen == ["cancelled"]


# Transfer-Encoding: chunked


@pytest.mark.parametrize("segment", [1, 4, 65536])
def test_chunked_body_is_read_without_its_framing(segment: int) -> None:
    reader = Reader()
    reader.read_all()
    handler = Handler(reader)
    connection = Server(handler).connect(segment=segment)
    connection.send(CHUNKED + b"3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n")
    assert connection.receive().status == 200
    assert b"".join(reader.pieces) == b"abc0123456789"
    (request,) = handler.requests
    assert request.has_body
    assert request.content_length is None
    assert request.body.received == 13


def test_chunked_body_keeps_the_connection() -> None:
    async def serve(request: Request) -> None:
        data = b""
        while piece := await request.body.read():
            data += piece
        send_xml(request, data)

    connection = Server(Handler(serve)).connect()
    connection.send((CHUNKED + b"1\r\na\r\n0\r\n\r\n") * 3)
    for _ in range(3):
        assert connection.receive().body == b"a"
    assert connection.open


def test_unread_chunked_body_is_bounded() -> None:
    connection = Server(Handler(Reader())).connect()
    connection.send(CHUNKED + b"1E8480\r\n" + b"x" * 2_000_000)
    assert connection.transport.paused
    assert 2_000_000 - sum(map(len, connection.transport.network)) <= LIMIT


@pytest.mark.parametrize(
    "chunks",
    [b"x\r\n", b"0x3\r\nabc\r\n", b"+3\r\nabc\r\n", b"-1\r\n", b"1_0\r\n", b"3\r\nabcd\r\n", b"3;a\nb\r\nabc", b"\r\n"],
)
def test_malformed_chunks_are_told_to_the_reader_and_the_client(chunks: bytes) -> None:
    reader = Reader()
    reader.read_all()
    connection = Server(Handler(reader)).connect()
    connection.send(CHUNKED + chunks + b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    response = connection.receive()
    assert (response.status, response.error_code) == (400, "BadRequest")
    assert response.headers["connection"] == "close"
    assert isinstance(reader.error, S3Error)
    assert connection.received() == b"", "what follows is not served"
    assert connection.transport.half_closed


def test_malformed_chunks_are_told_to_a_reader_that_comes_later() -> None:
    reader = Reader()
    connection = Server(Handler(reader)).connect()
    connection.send(CHUNKED + b"1\r\nx\r\nnonsense\r\n")
    connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert connection.received() == b""
    reader.read_all()
    assert connection.receive().error_code == "BadRequest"
    assert connection.received() == b""


def test_malformed_chunks_while_draining_end_the_connection() -> None:
    async def serve(request: Request) -> None:
        request.write(b"early")
        request.finish()

    connection = Server(Handler(serve)).connect()
    connection.send(CHUNKED)
    assert connection.receive().body == b"early"
    connection.send(b"nonsense\r\n")
    assert connection.transport.half_closed
