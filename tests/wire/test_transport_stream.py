"""Any stream of requests, cut anywhere, is answered as if it had come at once; any other bytes do no harm."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.wire.harness import Connection, Handler, Server
from zs3.errors import S3Error
from zs3.web.request import Request
from zs3.web.responses import send_xml


class Service:
    """Serves a path of letters: what is done with the body, in order.

    r: read a piece.  a: read all.  w: wait.  d: deny.  At the end the path and what was read are answered.
    """

    def __init__(self) -> None:
        self.waiting: list[Deferred[None]] = []
        self.server = Server(Handler(self.serve))

    async def serve(self, request: Request) -> None:
        body = b""
        for letter in request.raw_path.decode():
            if letter == "r":
                body += await request.body.read()
            elif letter == "a":
                while data := await request.body.read():
                    body += data
            elif letter == "w":
                self.waiting.append(Deferred())
                await self.waiting[-1]
            elif letter == "d":
                raise S3Error("AccessDenied")
        send_xml(request, request.raw_path + b" " + body)

    def go_on(self) -> None:
        """Whoever waits has waited long enough."""
        while self.waiting:
            self.waiting.pop(0).callback(None)


def responses(site: Service, connection: Connection, pieces: Sequence[bytes]) -> list[tuple[int, bytes]]:
    for piece in pieces:
        connection.send(piece)
        site.go_on()
    received = []
    while connection.received():
        response = connection.receive()
        received.append((response.status, response.body if response.status == 200 else response.error_code.encode()))
    return received


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, tuple[int, bytes]]:
    """A request, and its answer."""
    # Without reading to the end, what the reader gets depends on the cuts, and chunks on the connection.
    actions = draw(st.sampled_from(["/", "/a", "/wa", "/aw", "/d", "/wd", "/waw"]))
    body = draw(st.binary(max_size=40))
    head = f"PUT {actions} HTTP/1.1\r\nHost: h\r\n".encode()
    if draw(st.booleans()) and "a" in actions:
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
        chunks = [body[i:j] for i, j in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n\r\n"
        data = head + b"Transfer-Encoding: chunked\r\n\r\n" + framed
    else:
        data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if "d" in actions:
        return data, (403, b"AccessDenied")
    return data, (200, actions.encode() + b" " + (body if "a" in actions else b""))


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    points = [0, *sorted(point % (len(data) + 1) for point in cuts), len(data)]
    return [data[i:j] for i, j in itertools.pairwise(points) if i < j]


@settings(max_examples=150, deadline=None)
@given(st.lists(requests(), max_size=6), st.lists(st.integers(0, 10_000), max_size=20))
def test_cuts_do_not_matter(stream: list[tuple[bytes, tuple[int, bytes]]], cuts: list[int]) -> None:
    site = Service()
    connection = site.server.connect()
    data = b"".join(request for request, _ in stream)
    assert responses(site, connection, cut(data, cuts)) == [answer for _, answer in stream]
    assert connection.open
    connection.hang_up()
    assert site.server.clock.getDelayedCalls() == []


LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"PUT /r HTTP/1.1\r\n",
        b"PUT /rd HTTP/1.1\r\n",
        b"PUT /wa HTTP/1.0\r\n",
        b"Host: h\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 5000000\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"x" * 3000,
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(LINES, st.binary(max_size=20)), max_size=30))
def test_any_bytes_do_no_harm(pieces: list[bytes]) -> None:
    site = Service()
    connection = site.server.connect()
    for piece in pieces:
        connection.send(piece)
        site.go_on()
    for _ in range(400):
        site.server.clock.advance(1)
        connection.received()
    assert not connection.transport.connected, "sooner or later every connection ends"
    assert site.server.site.drain().called
    assert site.server.clock.getDelayedCalls() == []
