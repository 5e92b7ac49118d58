"""How requests get in and answers get out: order, keep-alive, 100-continue, answers before the end of the body."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource

from tests.wire.harness import Connection, Handler, Server
from zs3.errors import S3Error
from zs3.web.channel import MAX_AHEAD, MAX_DRAIN
from zs3.web.request import Request
from zs3.web.responses import send_empty, send_xml

GET = b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n"


async def read_body(request: Request) -> bytes:
    pieces = []
    while data := await request.body.read():
        pieces.append(data)
    return b"".join(pieces)


async def echo(request: Request) -> None:
    """Answers with the path and the body."""
    send_xml(request, request.raw_path + b" " + await read_body(request))


async def deny(request: Request) -> None:
    raise S3Error("AccessDenied")


async def never(request: Request) -> None:
    await Deferred()


def put(length: int, *lines: str, target: str = "/b/k") -> bytes:
    return "\r\n".join([f"PUT {target} HTTP/1.1", "Host: h", f"Content-Length: {length}", *lines, "", ""]).encode()


def still_usable(connection: Connection) -> bool:
    return connection.request("GET", "/next").status in (200, 403)


# The request


def test_request_is_handed_on_when_its_head_is_complete() -> None:
    handler = Handler(never)
    connection = Server(handler).connect()
    connection.send(put(10)[:-1])
    assert handler.requests == []
    connection.send(b"\n")
    (request,) = handler.requests
    assert (request.method, request.content_length, request.has_body) == (b"PUT", 10, True)


def test_request_shows_what_was_received() -> None:
    handler = Handler(echo)
    connection = Server(handler).connect()
    connection.send(b"GET /b/a%20b/+?x=1+2&y=%C3%A9&x=&flag&&z=a=b HTTP/1.1\r\nHOST:h \r\nX-A: 1\r\nx-a:\t2 \r\n\r\n")
    assert connection.receive().status == 200
    (request,) = handler.requests
    assert request.wire.method == "GET"
    assert request.wire.target == b"/b/a%20b/+?x=1+2&y=%C3%A9&x=&flag&&z=a=b"
    assert request.wire.headers == ((b"host", b"h"), (b"x-a", b"1"), (b"x-a", b"2"))
    assert request.raw_path == b"/b/a%20b/+"
    assert request.postpath == [b"b", b"a b", b"+"]
    assert request.query.pairs == (("x", "1 2"), ("y", "é"), ("x", ""), ("flag", ""), ("z", "a=b"))
    assert request.query.get("x") == "1 2"
    assert "flag" in request.query
    assert "nothing" not in request.query
    assert request.query.get("nothing") is None
    assert request.header("X-A") == "1,2"
    assert request.header("x-b") is None
    assert request.requestHeaders.getRawHeaders("x-a") == ["1", "2"]
    assert not request.has_body
    assert request.content_length is None


def test_header_is_utf_8_or_else_latin_1() -> None:
    handler = Handler(echo)
    connection = Server(handler).connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: h\r\nA: \xc3\xa9\r\nB: \xe9\r\n\r\n")
    (request,) = handler.requests
    assert request.header("a") == "é"
    assert request.header("b") == "é"


def test_query_that_is_not_utf_8_is_an_invalid_uri() -> None:
    connection = Server(Handler(echo)).connect()
    response = connection.request("GET", "/b/k?prefix=%ff")
    assert (response.status, response.error_code) == (400, "InvalidURI")
    assert still_usable(connection)


@pytest.mark.parametrize("segment", [1, 2, 3, 7])
def test_segments_do_not_matter(segment: int) -> None:
    connection = Server(Handler(echo)).connect(segment=segment)
    connection.send(put(5) + b"hello" + b"\r\n" + GET)
    assert connection.receive().body == b"/b/k hello"
    assert connection.receive().body == b"/b/k "


def test_every_response_has_ids_and_date_but_no_version_of_the_server() -> None:
    connection = Server(Handler(echo)).connect()
    first, second = connection.request("GET", "/b"), connection.request("GET", "/b")
    assert first.headers["server"] == "zs3"
    assert first.headers["date"] == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert first.headers["x-content-type-options"] == "nosniff"
    assert len(first.headers["x-amz-request-id"]) == 16
    assert first.headers["x-amz-request-id"] != second.headers["x-amz-request-id"]
    assert first.headers["x-amz-id-2"]


def test_date_follows_the_clock() -> None:
    server = Server(Handler(echo))
    connection = server.connect()
    connection.request("GET", "/b")
    server.clock.advance(1)
    assert connection.request("GET", "/b").headers["date"] == "Fri, 02 Jan 2026 03:04:06 GMT"


def test_no_content_type_is_made_up() -> None:
    async def empty(request: Request) -> None:
        send_empty(request, 200, {"Content-Length": "0"})

    assert "content-type" not in Server(Handler(empty)).connect().request("GET", "/b").headers


# Keep-alive and order


def test_connection_is_kept() -> None:
    connection = Server(Handler(echo)).connect()
    for _ in range(3):
        assert connection.request("PUT", "/b/k", body=b"x").body == b"/b/k x"
    assert connection.open


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close", "close ,x"])
def test_connection_close_is_obeyed_and_confirmed(value: str) -> None:
    connection = Server(Handler(echo)).connect()
    assert connection.request("GET", "/b", {"Connection": value}).headers["connection"] == "close"
    assert not connection.open


def test_http_2_is_not_offered() -> None:
    assert Server(Handler(echo)).site.acceptableProtocols() == [b"http/1.1"]


def test_http_1_0_is_answered_and_closed() -> None:
    connection = Server(Handler(echo)).connect()
    connection.send(b"GET /b HTTP/1.0\r\n\r\n")
    response = connection.receive()
    assert (response.status, response.version, response.body) == (200, "HTTP/1.0", b"/b ")
    assert not connection.open


def test_pipelined_requests_are_answered_in_order() -> None:
    waiting: list[Deferred[None]] = []

    async def later(request: Request) -> None:
        deferred: Deferred[None] = Deferred()
        waiting.append(deferred)
        await deferred
        await echo(request)

    connection = Server(Handler(later)).connect()
    connection.send(b"".join(put(1, target=f"/{n}") + b"%d" % n for n in range(4)))
    for n in range(4):
        assert len(waiting) == n + 1, "one request at a time"
        waiting[n].callback(None)
        assert connection.receive().body == b"/%d %d" % (n, n)


def test_many_pipelined_requests_do_not_recurse() -> None:
    connection = Server(Handler(echo)).connect(segment=1 << 20)
    connection.send(GET * 3000)
    for _ in range(3000):
        assert connection.receive().status == 200


def test_pipelined_requests_beyond_a_limit_stay_in_the_network() -> None:
    handler = Handler(never)
    connection = Server(handler).connect(segment=1000)
    connection.send(GET * 10_000)
    assert len(handler.requests) == 1
    assert connection.transport.paused
    left = sum(map(len, connection.transport.network))
    assert len(GET) * 10_000 - left <= MAX_AHEAD + 1000 + len(GET)


def test_client_that_takes_no_answers_gets_no_more_of_them() -> None:
    handler = Handler(echo)
    connection = Server(handler).connect(segment=1000, buffer_size=2000)
    connection.send(GET * 1000)
    assert len(handler.requests) < 10
    for _ in range(1000):
        assert connection.receive().status == 200
    assert len(handler.requests) == 1000


def test_empty_lines_before_a_request_are_ignored() -> None:
    connection = Server(Handler(echo)).connect()
    connection.send(b"\r\n\r\n" + GET)
    assert connection.receive().status == 200


# HEAD


def test_head_gets_headers_without_a_body() -> None:
    async def head(request: Request) -> None:
        send_empty(request, 200, {"Content-Length": "1234", "ETag": '"e"'})

    connection = Server(Handler(head)).connect()
    response = connection.request("HEAD", "/b/k")
    assert (response.status, response.headers["content-length"], response.body) == (200, "1234", b"")
    assert connection.received() == b""


def test_error_to_head_has_no_body() -> None:
    connection = Server(Handler(deny)).connect()
    response = connection.request("HEAD", "/b/k")
    assert (response.status, response.body) == (403, b"")
    assert "transfer-encoding" not in response.headers
    assert connection.received() == b""
    assert still_usable(connection)


def test_malformed_head_request_gets_no_body() -> None:
    connection = Server(Handler(echo)).connect()
    connection.send(b"HEAD / HTTP/1.1\r\n\r\n")
    assert connection.receive(head=True).status == 400
    assert connection.received() == b""


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_status_has_neither_length_nor_chunks(status: int) -> None:
    async def serve(request: Request) -> None:
        send_empty(request, status)

    connection = Server(Handler(serve)).connect()
    response = connection.request("GET", "/b/k")
    assert response.status == status
    assert not {"content-length", "transfer-encoding"} & set(response.headers)
    assert connection.received() == b""


# 100-continue


def test_continue_is_sent_with_the_first_read_only() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        await go
        await echo(request)

    connection = Server(Handler(serve)).connect()
    connection.send(put(5, "Expect: 100-Continue"))
    assert connection.received() == b""
    go.callback(None)
    assert connection.received() == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.skip(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.send(b"he")
    connection.send(b"llo")
    assert connection.receive().body == b"/b/k hello"
    assert connection.open


def test_denied_request_gets_no_continue_and_the_connection_ends() -> None:
    connection = Server(Handler(deny)).connect()
    connection.send(put(5, "Expect: 100-continue"))
    response = connection.receive()
    assert (response.status, response.error_code) == (403, "AccessDenied")
    # Whether the next bytes are the body or another request cannot be known.
    assert response.headers["connection"] == "close"
    assert connection.transport.half_closed


def test_body_that_is_already_there_needs_no_continue() -> None:
    connection = Server(Handler(echo)).connect()
    connection.send(put(5, "Expect: 100-continue") + b"hello")
    assert connection.receive().body == b"/b/k hello"


def test_body_that_comes_uninvited_needs_no_continue() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        await go
        await echo(request)

    connection = Server(Handler(serve)).connect()
    connection.send(put(5, "Expect: 100-continue"))
    connection.send(b"he")
    go.callback(None)
    assert connection.received() == b""
    connection.send(b"llo")
    assert connection.receive().body == b"/b/k hello"
    assert connection.open


@pytest.mark.parametrize(
    "head",
    [
        b"PUT /b/k HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: something\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_no_continue_where_none_is_due(head: bytes) -> None:
    connection = Server(Handler(echo)).connect()
    connection.send(head)
    connection.send(b"x")
    assert connection.receive().status == 200


# Answers before the end of the body


def test_small_rest_of_a_body_is_drained() -> None:
    connection = Server(Handler(deny)).connect()
    connection.send(put(MAX_DRAIN))
    assert connection.receive().status == 403
    connection.send(b"x" * MAX_DRAIN)
    assert connection.open
    assert still_usable(connection)


def test_drain_ends_where_the_body_ends() -> None:
    handler = Handler(deny)
    connection = Server(handler).connect(segment=1000)
    connection.send(put(2500) + b"x" * 2500 + GET)
    assert connection.receive().status == 403
    assert connection.receive().status == 403
    assert [request.method for request in handler.requests] == [b"PUT", b"GET"]


def test_rest_of_a_half_read_body_is_drained() -> None:
    async def serve(request: Request) -> None:
        await request.body.read()
        raise S3Error("BadDigest")

    connection = Server(Handler(serve)).connect()
    connection.send(put(5) + b"he")
    assert connection.receive().error_code == "BadDigest"
    connection.send(b"llo" + GET)
    assert connection.open


def test_paused_body_is_drained_too() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        await go
        raise S3Error("AccessDenied")

    connection = Server(Handler(serve)).connect()
    connection.send(put(MAX_DRAIN) + b"x" * MAX_DRAIN + GET)
    assert connection.transport.paused
    go.callback(None)
    assert connection.receive().status == 403
    assert connection.receive().status == 403
    assert not connection.transport.paused


def test_large_rest_of_a_body_ends_the_connection_without_a_reset() -> None:
    server = Server(Handler(deny))
    connection = server.connect()
    connection.send(put(MAX_DRAIN + 1))
    response = connection.receive()
    assert (response.status, response.headers["connection"]) == (403, "close")
    assert connection.transport.half_closed
    connection.send(b"x" * 5_000_000)
    assert not connection.transport.network, "what still comes is discarded"
    server.clock.advance(1.99)
    assert connection.transport.connected
    server.clock.advance(0.02)
    assert not connection.transport.connected


def test_large_paused_body_is_discarded_after_its_answer() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        await go
        raise S3Error("AccessDenied")

    connection = Server(Handler(serve)).connect()
    connection.send(put(5_000_000) + b"x" * 5_000_000)
    assert connection.transport.paused
    go.callback(None)
    assert connection.receive().status == 403
    assert not connection.transport.network
    assert connection.transport.half_closed


def test_large_body_over_tls_ends_with_a_close_notify() -> None:
    server = Server(Handler(deny))
    connection = server.connect(secure=True)
    connection.send(put(MAX_DRAIN + 1))
    assert connection.receive().headers["connection"] == "close"
    assert connection.transport.closed == "clean"
    assert not connection.transport.half_closed


def test_rest_of_a_chunked_body_ends_the_connection() -> None:
    connection = Server(Handler(deny)).connect()
    connection.send(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert connection.receive().headers["connection"] == "close"
    assert connection.transport.half_closed


def test_nothing_is_served_after_an_answer_that_ended_the_connection() -> None:
    handler = Handler(deny)
    connection = Server(handler).connect()
    connection.send(put(MAX_DRAIN + 1) + b"x" * (MAX_DRAIN + 1) + GET)
    assert connection.receive().status == 403
    assert connection.received() == b""
    assert len(handler.requests) == 1


def test_client_that_sent_too_much_still_gets_its_answer() -> None:
    connection = Server(Handler(echo)).connect()
    connection.send(b"GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + b"x" * 100)
    assert connection.receive().status == 200
    assert connection.transport.half_closed


def test_answer_before_the_end_of_a_chunked_body_that_is_already_there() -> None:
    async def serve(request: Request) -> None:
        send_xml(request, await request.body.read())

    connection = Server(Handler(serve)).connect()
    connection.send(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + GET)
    response = connection.receive()
    assert (response.body, response.headers["connection"]) == (b"a", "close")
    assert connection.received() == b""


def test_no_continue_once_the_answer_has_begun() -> None:
    async def serve(request: Request) -> None:
        request.write(b"begun ")
        send_xml(request, await request.body.read())

    connection = Server(Handler(serve)).connect()
    connection.send(put(5, "Expect: 100-continue"))
    connection.send(b"hello")
    response = connection.receive()
    assert (response.status, response.body) == (200, b"begun hello")


def test_answer_after_the_connection_was_dropped_goes_nowhere() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        await go
        await echo(request)

    server = Server(Handler(serve))
    connection = server.connect()
    connection.send(GET)
    server.site.abort()
    go.callback(None)
    connection.send(GET)
    assert connection.aborted


# Resources as Twisted knows them


class Plain(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return b"plain"

    def render_HEAD(self, request: Request) -> bytes:
        return b"plain"

    def render_PUT(self, request: Request) -> str:
        return "not bytes"


def test_resource_may_answer_with_bytes() -> None:
    connection = Server(Plain()).connect()
    response = connection.request("GET", "/")
    assert (response.body, response.headers["content-length"]) == (b"plain", "5")
    assert "content-type" not in response.headers
    response = connection.request("HEAD", "/")
    assert (response.body, response.headers["content-length"]) == (b"", "5")


@pytest.mark.parametrize("method", ["POST", "BREW", "get", "M-SEARCH"])
def test_unknown_method_is_not_allowed(method: str) -> None:
    response = Server(Plain()).connect().request(method, "/")
    assert (response.status, response.error_code) == (405, "MethodNotAllowed")
    assert response.element("Method") == method
    assert "GET" in response.headers["allow"]


def test_options_asterisk_is_not_allowed() -> None:
    connection = Server(Handler(echo)).connect()
    assert connection.request("OPTIONS", "*").error_code == "MethodNotAllowed"
    assert still_usable(connection)
