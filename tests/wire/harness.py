"""Drives our own Site over an in-memory transport and clock: raw bytes in, parsed responses out.

    server = Server(resource)
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    response = connection.receive()

Nothing happens by itself: what the site does later, it does in `server.clock.advance(seconds)`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableDescriptor,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import directlyProvides, implementer, providedBy

from zs3.web.request import Request
from zs3.web.responses import send_error
from zs3.web.site import Site

#: the time at which a Server's clock starts: 2026-01-02 03:04:05 UTC
EPOCH = 1_767_323_045


@dataclass
class Response:
    """One response as received; `headers` by lower-case name, the last one of each; `pairs` all of them."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    version: str = "HTTP/1.1"
    pairs: list[tuple[str, str]] = field(default_factory=list)

    @property
    def error_code(self) -> str:
        """The Code of the S3 error document, or ""."""
        match = re.search(rb"<Error><Code>(\w+)</Code>", self.body)
        return match[1].decode("ascii") if match else ""

    def element(self, name: str) -> str | None:
        """The text of the first XML element of this name, entities as they are."""
        match = re.search(rf"<{name}>([^<]*)</{name}>".encode(), self.body)
        return match[1].decode("utf-8") if match else None


@implementer(ITCPTransport, IHalfCloseableDescriptor, IPushProducer)
class MemoryTransport:
    """A TCP connection without a network.

    What the server writes stands in its send buffer until the client takes it; where that exceeds `buffer_size`
    the server's producer is paused, as Twisted's own transports do.  While the server has paused the transport,
    what the client sends waits in the network.

    :ivar closed: None, ``"clean"`` or ``"aborted"``: how the server closed the connection.
    :ivar half_closed: whether the server closed its sending side.
    :ivar paused: whether the server does not read.
    """

    disconnecting = False

    def __init__(self, clock: Clock, *, buffer_size: int | None = None, secure: bool = False) -> None:
        self.clock = clock
        self.buffer_size = buffer_size
        self.protocol: Any = None
        self.connected = True
        self.closed: str | None = None
        self.half_closed = False
        self.paused = False
        self.sent = b""
        self.network: deque[bytes] = deque()
        self.producer: Any = None
        self._producer_paused = False
        self._delivering = False
        self.peer: IAddress = IPv4Address("TCP", "192.0.2.7", 54321)
        if secure:
            directlyProvides(self, ISSLTransport, providedBy(self))

    # For the server

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if not self.connected or self.disconnecting or self.half_closed:
            return
        self.sent += data
        full = self.buffer_size is not None and len(self.sent) > self.buffer_size
        if full and self.producer is not None and not self._producer_paused:
            self._producer_paused = True
            self.producer.pauseProducing()

    def writeSequence(self, data: list[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self.clock.callLater(0, self._finish_closing)

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        if self.connected:
            self.disconnecting = True
            self.clock.callLater(0, self._lose, "aborted", ConnectionAborted())

    def registerProducer(self, producer: object, streaming: bool) -> None:
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self.deliver()

    def stopProducing(self) -> None:
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed."""

    def getPeer(self) -> IAddress:
        return self.peer

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 9000)

    # For the client

    def deliver(self) -> None:
        """Give the server what waits in the network, as far as it reads."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self.network and not self.paused and self.connected:
                data = self.network.popleft()
                if not self.disconnecting:
                    self.protocol.dataReceived(data)
        finally:
            self._delivering = False

    def take(self) -> bytes:
        """All that the server has sent so far, out of its buffer."""
        taken, self.sent = self.sent, b""
        if self._producer_paused:
            self._producer_paused = False
            if self.producer is not None:
                self.producer.resumeProducing()
        if self.disconnecting:
            self.clock.advance(0)
        return taken

    def hang_up(self) -> None:
        """The client closes the connection."""
        self._lose(None, ConnectionDone())

    def _finish_closing(self) -> None:
        if self.buffer_size is None or not self.sent:
            self._lose("clean", ConnectionDone())
        else:
            self.clock.callLater(0.01, self._finish_closing)

    def _lose(self, how: str | None, reason: Exception) -> None:
        if not self.connected:
            return
        self.connected = False
        self.closed = how
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.protocol.connectionLost(Failure(reason))


class Connection:
    """A client's end of one connection.

    :param segment: the most bytes that reach the server at once.
    """

    def __init__(self, transport: MemoryTransport, segment: int) -> None:
        self.transport = transport
        self._segment = segment
        self._received = b""

    def send(self, data: bytes) -> None:
        """Send bytes; those that the server does not read now wait in the network."""
        step = self._segment
        self.transport.network.extend(data[i : i + step] for i in range(0, len(data), step))
        self.transport.deliver()
        self.transport.clock.advance(0)

    def request(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Send a whole request, with Host and the body's Content-Length added, and receive its response."""
        lines = {"Host": "s3.test", **(headers or {})}
        if body is not None:
            lines.setdefault("Content-Length", str(len(body)))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        self.send(head.encode("latin-1") + (body or b""))
        return self.receive(head=method == "HEAD")

    def received(self) -> bytes:
        """What has come and was not yet taken by `receive`."""
        # Taking makes room, and the server may use it at once.
        while data := self.transport.take():
            self._received += data
        return self._received

    def skip(self, data: bytes) -> None:
        """Take `data`, which must be what comes next."""
        received = self.received()
        assert received.startswith(data), received
        self._received = received[len(data) :]

    def receive(self, *, head: bool = False) -> Response:
        """Take the next response, which must be complete.

        :param head: it answers HEAD, so there is no body whatever the headers say.
        """
        response, self._received = _parse(self.received(), head, not self.open)
        return response

    @property
    def open(self) -> bool:
        """Whether the server may still send."""
        self.transport.clock.advance(0)
        return self.transport.connected and not self.transport.half_closed

    @property
    def aborted(self) -> bool:
        """Whether the server dropped the connection."""
        self.transport.clock.advance(0)
        return self.transport.closed == "aborted"

    def hang_up(self) -> None:
        """Close the connection from the client's end."""
        self.transport.hang_up()


class Server:
    """A Site on a clock of its own.

    :param resource: its root.
    :param options: for `Site`.
    """

    def __init__(self, resource: IResource, **options: Any) -> None:
        self.clock = Clock()
        self.clock.rightNow = EPOCH
        self.site = Site(resource, clock=self.clock, **options)

    def connect(
        self,
        *,
        segment: int = 65536,
        buffer_size: int | None = None,
        secure: bool = False,
        peer: IAddress | None = None,
    ) -> Connection:
        """A new connection.

        :param segment: the most bytes that reach the server at once.
        :param buffer_size: of the server's send buffer; by default the client takes everything at once.
        :param secure: pretend to be TLS.
        :param peer: where the client is.
        """
        transport = MemoryTransport(self.clock, buffer_size=buffer_size, secure=secure)
        transport.peer = peer or transport.peer
        protocol = self.site.buildProtocol(transport.getPeer())
        assert protocol is not None
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return Connection(transport, segment)


class Handler(Resource):
    """A root that serves every request with one coroutine, as the resources of the real tree do it.

    :ivar requests: all that were handed on.
    """

    isLeaf = True

    def __init__(self, serve: Callable[[Request], Awaitable[None]]) -> None:
        super().__init__()
        self._serve = serve
        self.requests: list[Request] = []

    def render(self, request: Any) -> int:
        self.requests.append(request)

        async def serve() -> None:
            await self._serve(request)

        serving = Deferred.fromCoroutine(serve())
        request.notifyFinish().addErrback(lambda _: serving.cancel())
        serving.addErrback(lambda failure: send_error(request, failure))
        return NOT_DONE_YET


def _parse(data: bytes, head_only: bool, closed: bool) -> tuple[Response, bytes]:
    head, found, rest = data.partition(b"\r\n\r\n")
    assert found, f"no complete response head in {data!r}"
    status_line, *lines = head.decode("utf-8").split("\r\n")
    version, status, reason = status_line.split(" ", 2)
    pairs = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    headers = {name.lower(): value for name, value in pairs}
    response = Response(int(status), reason, headers, b"", version, pairs)
    if head_only or response.status in (204, 304) or response.status < 200:
        return response, rest
    if headers.get("transfer-encoding") == "chunked":
        response.body, rest = _dechunk(rest)
    elif "content-length" in headers:
        length = int(headers["content-length"])
        assert len(rest) >= length, f"{len(rest)} of {length} bytes of the body"
        response.body, rest = rest[:length], rest[length:]
    else:
        assert closed, "a body without an end"
        response.body, rest = rest, b""
    return response, rest


def _dechunk(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, found, data = data.partition(b"\r\n")
        assert found, "a chunk is missing"
        length = int(size, 16)
        assert data[length : length + 2] == b"\r\n", "an incomplete chunk"
        body, data = body + data[:length], data[length + 2 :]
        if not length:
            return body, data
