"""What is no request, or one that could be read in two ways, is refused in S3's form (see also `tests.security`)."""

from __future__ import annotations

import pytest

from tests.wire.harness import Handler, Server
from zs3.web.http1 import MAX_HEAD
from zs3.web.request import Request
from zs3.web.responses import send_xml


async def path(request: Request) -> None:
    send_xml(request, request.raw_path)


def get(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET /b/k HTTP/1.1", *lines, b"", b""])


MALFORMED = {
    # 27 of the list of tests.security
    "content-length and transfer-encoding": (
        get(b"Host: h", b"Content-Length: 4", b"Transfer-Encoding: chunked"),
        "BadRequest",
    ),
    "transfer-encoding and content-length": (
        get(b"Host: h", b"Transfer-Encoding: chunked", b"Content-Length: 4"),
        "BadRequest",
    ),
    "two content-lengths": (get(b"Host: h", b"Content-Length: 4", b"Content-Length: 5"), "BadRequest"),
    "two equal content-lengths": (get(b"Host: h", b"Content-Length: 4", b"Content-Length: 4"), "BadRequest"),
    "a list of content-lengths": (get(b"Host: h", b"Content-Length: 4, 4"), "BadRequest"),
    "content-length with a sign": (get(b"Host: h", b"Content-Length: +4"), "BadRequest"),
    "negative content-length": (get(b"Host: h", b"Content-Length: -4"), "BadRequest"),
    "hexadecimal content-length": (get(b"Host: h", b"Content-Length: 0x3"), "BadRequest"),
    "content-length with an underscore": (get(b"Host: h", b"Content-Length: 1_0"), "BadRequest"),
    "content-length in other digits": (get(b"Host: h", "Content-Length: ٣".encode()), "BadRequest"),
    "content-length with a space inside": (get(b"Host: h", b"Content-Length: 1 0"), "BadRequest"),
    "empty content-length": (get(b"Host: h", b"Content-Length:"), "BadRequest"),
    "space before the colon": (get(b"Host: h", b"Content-Length : 4"), "BadRequest"),
    "nul in a value": (get(b"Host: h", b"A: \0"), "BadRequest"),
    "cr in a value": (get(b"Host: h", b"A: a\rb"), "BadRequest"),
    "lf in a value": (get(b"Host: h", b"A: a\nb: c"), "BadRequest"),
    "escape in a value": (get(b"Host: h", b"A: \x1b[2J"), "BadRequest"),
    # 28 of the list of tests.security
    "no host": (get(), "BadRequest"),
    "two hosts": (get(b"Host: h", b"Host: h"), "BadRequest"),
    "a host that is a path": (get(b"Host: h/b"), "BadRequest"),
    "a host with a user": (get(b"Host: u@h"), "BadRequest"),
    "folded field": (get(b"Host: h", b"A: b", b" c"), "BadRequest"),
    "folded first field": (get(b" Host: h", b"Host: h"), "BadRequest"),
    "fragment": (b"GET /b/k#f HTTP/1.1\r\nHost: h\r\n\r\n", "InvalidURI"),
    "transfer-encoding identity": (get(b"Host: h", b"Transfer-Encoding: identity"), "BadRequest"),
    "unknown transfer-encoding": (get(b"Host: h", b"Transfer-Encoding: gzip"), "BadRequest"),
    "chunked not last": (get(b"Host: h", b"Transfer-Encoding: chunked, gzip"), "BadRequest"),
    "chunked twice": (get(b"Host: h", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), "BadRequest"),
    "chunked after another coding": (get(b"Host: h", b"Transfer-Encoding: gzip, chunked"), "NotImplemented"),
    "chunked with a kelvin sign": (get(b"Host: h", "Transfer-Encoding: chun\u212aed".encode()), "BadRequest"),
    "chunked with a vertical tab": (get(b"Host: h", b"Transfer-Encoding: \x0bchunked"), "BadRequest"),
    "chunked in http/1.0": (b"PUT /b/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "BadRequest"),
    "enormous content-length": (get(b"Host: h", b"Content-Length: 99999999999999999999999"), "EntityTooLarge"),
    "content-length of 5000 digits": (get(b"Host: h", b"Content-Length: " + b"9" * 5000), "EntityTooLarge"),
    # the request line
    "no version": (b"GET /b/k\r\nHost: h\r\n\r\n", "BadRequest"),
    "http/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "BadRequest"),
    "version in lower case": (b"GET / http/1.1\r\nHost: h\r\n\r\n", "BadRequest"),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "BadRequest"),
    "space in the target": (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "BadRequest"),
    "tab for a space": (b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", "BadRequest"),
    "raw utf-8 in the target": ("GET /é HTTP/1.1\r\nHost: h\r\n\r\n".encode(), "BadRequest"),
    "control in the target": (b"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", "BadRequest"),
    "bad method": (b"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", "BadRequest"),
    "lf as the end of a line": (b"GET / HTTP/1.1\nHost: h\r\n\r\n", "BadRequest"),
    "white space before the request line": (b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", "BadRequest"),
    "relative target": (b"GET b/k HTTP/1.1\r\nHost: h\r\n\r\n", "InvalidURI"),
    "asterisk": (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", "InvalidURI"),
    "authority-form": (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", "InvalidURI"),
    "another scheme": (b"GET ftp://h/b HTTP/1.1\r\nHost: h\r\n\r\n", "InvalidURI"),
    "absolute-form without a host": (b"GET http:///b HTTP/1.1\r\nHost: h\r\n\r\n", "InvalidURI"),
    "absolute-form with a user": (b"GET http://u@h/b HTTP/1.1\r\nHost: h\r\n\r\n", "InvalidURI"),
    # fields
    "field without a colon": (get(b"Host: h", b"nonsense"), "BadRequest"),
    "field without a name": (get(b"Host: h", b": x"), "BadRequest"),
    "field name with a bracket": (get(b"Host: h", b"A(b): x"), "BadRequest"),
    # 30 of the list of tests.security
    "request line too long": (b"GET /" + b"x" * MAX_HEAD, "RequestHeaderSectionTooLarge"),
    "field too long": (get(b"Host: h", b"A: " + b"x" * MAX_HEAD), "RequestHeaderSectionTooLarge"),
    "fields too long": (get(b"Host: h", *[b"A: b"] * 5000), "RequestHeaderSectionTooLarge"),
}


@pytest.mark.parametrize("segment", [1, 65536])
@pytest.mark.parametrize(("data", "code"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_request_is_refused(data: bytes, code: str, segment: int) -> None:
    handler = Handler(path)
    server = Server(handler)
    connection = server.connect(segment=segment)
    connection.send(data)
    response = connection.receive(head=False)
    assert response.error_code == code
    assert response.status == (501 if code == "NotImplemented" else 400)
    assert response.headers["content-type"] == "application/xml"
    assert response.headers["connection"] == "close"
    assert response.element("RequestId") == response.headers["x-amz-request-id"]
    assert response.element("HostId") == response.headers["x-amz-id-2"]
    assert handler.requests == []
    connection.send(get(b"Host: h"))
    assert connection.received() == b"", "nothing is served after it"
    server.clock.advance(2)
    assert not connection.transport.connected


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("http://evil/b/k", b"/b/k"),
        ("HTTPS://evil:9000/b/k?x#y".replace("#y", ""), b"/b/k?x"),
        ("http://evil", b"/"),
        ("http://evil?list-type=2", b"/?list-type=2"),
        ("http://[::1]:9000/b//k", b"/b//k"),
    ],
)
def test_absolute_form_is_normalised_and_replaces_host(target: str, origin: bytes) -> None:
    handler = Handler(path)
    Server(handler).connect().request("GET", target, {"Host": "good"})
    (request,) = handler.requests
    assert request.wire.target == origin
    authority = target.split("/")[2].split("?")[0]
    assert request.wire.values(b"host") == [authority.encode()]
    assert request.header("host") == authority


@pytest.mark.parametrize("host", ["", "h", "h:9000", "192.0.2.1", "[2001:db8::1]:9000", "b.s3.example.com", "a_b"])
def test_ordinary_hosts_are_accepted(host: str) -> None:
    assert Server(Handler(path)).connect().request("GET", "/b", {"Host": host}).status == 200


@pytest.mark.parametrize("segment", [1, 65536])
def test_head_of_the_greatest_size_is_accepted(segment: int) -> None:
    start = b"GET /b HTTP/1.1\r\nHost: h\r\nA: "
    connection = Server(Handler(path)).connect(segment=segment)
    connection.send(start + b"x" * (MAX_HEAD - len(start)) + b"\r\n\r\n")
    assert connection.receive().status == 200
    connection.send(start + b"x" * (MAX_HEAD + 1 - len(start)) + b"\r\n\r\n")
    assert connection.receive().error_code == "RequestHeaderSectionTooLarge"


def test_greatest_content_length_is_accepted() -> None:
    handler = Handler(path)
    Server(handler).connect().send(get(b"Host: h", b"Content-Length: %d" % (2**63 - 1)))
    assert handler.requests[0].content_length == 2**63 - 1


def test_leading_zeros_of_a_length_mean_nothing() -> None:
    handler = Handler(path)
    Server(handler).connect().send(get(b"Host: h", b"Content-Length: " + b"0" * 5000 + b"7"))
    assert handler.requests[0].content_length == 7


def test_later_minor_version_is_served_as_1_1() -> None:
    connection = Server(Handler(path)).connect()
    connection.send(b"GET /b HTTP/1.2\r\nHost: h\r\n\r\n")
    assert connection.receive().version == "HTTP/1.1"
    assert connection.open


def test_what_is_echoed_is_escaped() -> None:
    response = Server(Handler(path)).connect().request("GET", "/b/<script>&?x=%ff")
    assert response.element("Resource") == "/b/&lt;script&gt;&amp;"


def test_smuggled_request_is_not_served() -> None:
    handler = Handler(path)
    connection = Server(handler).connect()
    inner = b"GET /secret HTTP/1.1\r\nHost: h\r\n\r\n"
    connection.send(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner
    )
    assert connection.receive().status == 400
    assert connection.received() == b""
    assert handler.requests == []


def test_a_flood_of_empty_lines_before_a_request_is_malformed() -> None:
    connection = Server(Handler(path)).connect()
    for _ in range(2):
        connection.send(b"\r\n" + get(b"Host: h"))
        assert connection.receive().status == 200
    connection.send(b"\r\n" * 1000 + get(b"Host: h"))
    assert connection.receive().error_code == "BadRequest"
    assert not connection.open
