"""What becomes of a handler that fails: an error document, or the end of the connection once content was sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.util import DeferredResource

from tests.wire.harness import Handler, Server
from zs3.errors import S3Error
from zs3.web.request import Request
from zs3.web.responses import error_document, send_empty, send_error, send_xml


@pytest.fixture
def failures() -> Iterator[list[LogEvent]]:
    """The failures that are logged."""
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def test_s3_error_is_told_with_its_fields_and_headers(failures: list[LogEvent]) -> None:
    async def serve(request: Request) -> None:
        raise S3Error("InvalidRange", "Not there.", headers={"Content-Range": "bytes */10"}, ActualObjectSize="10")

    handler = Handler(serve)
    connection = Server(handler).connect()
    response = connection.request("GET", "/b/k%20x?q")
    assert response.status == 416
    assert response.headers["content-range"] == "bytes */10"
    assert response.headers["content-type"] == "application/xml"
    assert response.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b"<Error><Code>InvalidRange</Code><Message>Not there.</Message>"
        b"<ActualObjectSize>10</ActualObjectSize><Resource>/b/k%%20x</Resource><RequestId>%b</RequestId>"
        b"<HostId>%b</HostId></Error>"
        % (response.headers["x-amz-request-id"].encode(), response.headers["x-amz-id-2"].encode())
    )
    assert handler.requests[0].log.error == "InvalidRange"
    assert failures == []
    assert connection.open


def test_resource_of_an_error_may_be_named() -> None:
    async def serve(request: Request) -> None:
        send_error(request, S3Error("NoSuchKey"), "/b/ké")

    assert Server(Handler(serve)).connect().request("GET", "/").element("Resource") == "/b/ké"


def test_error_document_escapes_and_replaces() -> None:
    document = error_document(S3Error("NoSuchKey", "<&>\0\x1b\ud800]]>", Key="a\r\n"), "/", "1", "2")
    assert b"<Message>&lt;&amp;&gt;\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd]]&gt;</Message>" in document
    assert b"<Key>a&#13;\n</Key>" in document


def test_other_exception_is_an_internal_error_that_tells_nothing(failures: list[LogEvent]) -> None:
    async def serve(request: Request) -> None:
        request.setHeader("ETag", '"of the object"')
        request.setResponseCode(206)
        raise ValueError("/secret/path")

    connection = Server(Handler(serve)).connect()
    response = connection.request("GET", "/b/k")
    assert (response.status, response.reason) == (500, "Internal Server Error")
    assert response.error_code == "InternalError"
    assert "etag" not in response.headers
    assert b"secret" not in response.body
    (event,) = failures
    assert event["log_failure"].type is ValueError
    assert event["request_id"] == response.headers["x-amz-request-id"]
    assert connection.open


class Raising(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> int:
        raise ValueError("GET")

    def render_PUT(self, request: Request) -> int:
        raise S3Error("AccessDenied")

    def render_POST(self, request: Request) -> str:
        return "this is not bytes"


@pytest.mark.parametrize(
    ("method", "code"), [("GET", "InternalError"), ("PUT", "AccessDenied"), ("POST", "InternalError")]
)
def test_exception_out_of_render_is_answered(method: str, code: str, failures: list[LogEvent]) -> None:
    connection = Server(Raising()).connect()
    assert connection.request(method, "/").error_code == code
    assert connection.open
    assert len(failures) == (code == "InternalError")


def test_failure_of_a_deferred_resource_is_answered(failures: list[LogEvent]) -> None:
    class Root(Resource):
        def getChild(self, path: bytes, request: object) -> Resource:
            deferred: Deferred[Resource] = Deferred()
            deferred.errback(Failure(S3Error("SlowDown")))
            return DeferredResource(deferred)

    assert Server(Root()).connect().request("GET", "/x").error_code == "SlowDown"


def test_error_after_the_head_aborts_the_connection(failures: list[LogEvent]) -> None:
    async def serve(request: Request) -> None:
        request.setHeader("Content-Length", "100")
        request.write(b"content")
        raise ValueError

    connection = Server(Handler(serve)).connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert connection.aborted
    assert connection.received().endswith(b"\r\n\r\ncontent")
    assert [event["log_failure"].type for event in failures] == [ValueError]


def test_s3_error_after_the_head_aborts_the_connection() -> None:
    async def serve(request: Request) -> None:
        request.write(b"content")
        raise S3Error("AccessDenied")

    handler = Handler(serve)
    connection = Server(handler).connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert connection.aborted
    assert b"AccessDenied" not in connection.received()
    assert handler.requests[0].log.error == "AccessDenied"


def test_error_after_the_answer_is_only_logged(failures: list[LogEvent]) -> None:
    async def serve(request: Request) -> None:
        send_empty(request, 200)
        raise ValueError

    connection = Server(Handler(serve)).connect()
    assert connection.request("GET", "/").status == 200
    assert connection.received() == b""
    assert connection.open
    assert len(failures) == 1


def test_answers_to_a_client_that_has_gone_are_dropped(failures: list[LogEvent]) -> None:
    go: Deferred[None] = Deferred()

    class Uncancelled(Handler):
        def render(self, request: Request) -> int:
            self.requests.append(request)
            go.addCallback(lambda _: send_xml(request, b"x"))
            go.addCallback(lambda _: send_error(request, S3Error("AccessDenied")))
            go.addCallback(lambda _: request.abort())
            return 1

    async def unused(request: Request) -> None:
        raise AssertionError

    connection = Server(Uncancelled(unused)).connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    connection.hang_up()
    results: list[object] = []
    go.addBoth(results.append)
    go.callback(None)
    assert results == [None]
    assert failures == []


def test_cancelled_handler_is_no_failure(failures: list[LogEvent]) -> None:
    async def serve(request: Request) -> None:
        await Deferred()

    connection = Server(Handler(serve)).connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    connection.hang_up()
    assert failures == []


def test_document_may_follow_what_kept_the_client_waiting() -> None:
    async def serve(request: Request) -> None:
        request.write(b" ")
        await go
        send_xml(request, b"<late/>")

    go: Deferred[None] = Deferred()
    connection = Server(Handler(serve)).connect()
    connection.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    assert connection.received().endswith(b"\r\n\r\n1\r\n \r\n")
    go.callback(None)
    assert connection.receive().body == b" <late/>"
    assert connection.open


def test_line_breaks_in_a_header_do_not_split_the_response() -> None:
    async def serve(request: Request) -> None:
        send_empty(request, 200, {"x-amz-meta-a": "b\r\nSet-Cookie: c\nd"})

    response = Server(Handler(serve)).connect().request("GET", "/")
    assert "set-cookie" not in response.headers
    assert response.headers["x-amz-meta-a"] == "b Set-Cookie: c d"


def test_controls_in_a_header_become_spaces() -> None:
    async def serve(request: Request) -> None:
        send_empty(request, 200, {"x-amz-meta-a": "b\0c\x1b\x7fd\te é"})

    response = Server(Handler(serve)).connect().request("GET", "/")
    assert response.headers["x-amz-meta-a"] == "b c  d\te é"
