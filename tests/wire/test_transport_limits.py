"""What a connection may take how long for, by the clock; and how all of them come to an end."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.protocols.haproxy import proxyEndpoint

from tests.wire.harness import EPOCH, Connection, Handler, MemoryTransport, Server
from zs3.errors import S3Error
from zs3.web.accesslog import RequestLog
from zs3.web.limits import Limits
from zs3.web.request import Request
from zs3.web.responses import send_xml

GET = b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n"
PUT = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"
LIMITS = Limits(idle=60, head=30, body=50, stall=300, linger=2)


async def size(request: Request) -> None:
    total = 0
    while data := await request.body.read():
        total += len(data)
    send_xml(request, b"%d" % total)


async def never(request: Request) -> None:
    await Deferred()


def connect(handler: Handler, **options: Any) -> tuple[Server, Connection]:
    server = Server(handler, limits=LIMITS)
    return server, server.connect(**options)


def pass_time(server: Server, seconds: int) -> None:
    for _ in range(seconds):
        server.clock.advance(1)


def test_silent_connection_is_closed() -> None:
    server, connection = connect(Handler(size))
    pass_time(server, 59)
    assert connection.open
    pass_time(server, 1)
    assert connection.transport.closed == "clean"
    assert connection.received() == b""


def test_drained_rest_of_a_body_has_one_limit_however_it_drips() -> None:
    async def deny(request: Request) -> None:
        raise S3Error("AccessDenied")

    server, connection = connect(Handler(deny))
    connection.send(PUT.replace(b"Content-Length: 10", b"Content-Length: 100000"))
    assert connection.receive().status == 403
    for _ in range(49):
        pass_time(server, 1)
        connection.send(b"x")
    assert connection.open
    pass_time(server, 1)
    assert not connection.open


def test_of_too_many_connections_the_oldest_idle_one_goes() -> None:
    server = Server(Handler(never), limits=LIMITS, max_connections=3)
    busy, idle, newer = (server.connect() for _ in range(3))
    busy.send(GET)
    fourth = server.connect()
    assert [each.open for each in (busy, idle, newer, fourth)] == [True, False, True, True]
    for each in (newer, fourth):
        each.send(GET)
    fifth = server.connect()
    assert [each.open for each in (busy, newer, fourth, fifth)] == [True, True, True, False]


def test_idle_connection_is_closed_some_time_after_its_last_request() -> None:
    server, connection = connect(Handler(size))
    for _ in range(5):
        pass_time(server, 50)
        connection.send(GET)
        assert connection.receive().status == 200
    pass_time(server, 59)
    assert connection.open
    pass_time(server, 1)
    assert not connection.open


def test_head_has_a_deadline_that_no_byte_prolongs() -> None:
    server, connection = connect(Handler(size))
    pass_time(server, 10)
    for n in range(29):
        connection.send(GET[n : n + 1])
        pass_time(server, 1)
    assert connection.open
    pass_time(server, 1)
    response = connection.receive()
    assert (response.status, response.error_code) == (400, "RequestTimeout")
    assert response.headers["connection"] == "close"
    assert not connection.open


def test_second_head_has_a_deadline_of_its_own() -> None:
    server, connection = connect(Handler(size))
    connection.send(GET[:5])
    pass_time(server, 20)
    connection.send(GET[5:] + GET[:5])
    assert connection.receive().status == 200
    pass_time(server, 29)
    connection.send(GET[5:])
    assert connection.receive().status == 200
    pass_time(server, 59)
    assert connection.open


def test_body_that_stops_coming_is_given_up() -> None:
    server, connection = connect(Handler(size))
    connection.send(PUT)
    for _ in range(5):
        pass_time(server, 49)
        connection.send(b"x")
    assert connection.open
    pass_time(server, 50)
    response = connection.receive()
    assert (response.status, response.error_code) == (400, "RequestTimeout")
    assert response.headers["connection"] == "close"
    assert connection.transport.half_closed


def test_no_limit_while_the_client_waits_for_us() -> None:
    server, connection = connect(Handler(never))
    connection.send(GET)
    pass_time(server, 1000)
    assert connection.open


def test_no_limit_while_the_client_awaits_100_continue() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        await go
        await size(request)

    server, connection = connect(Handler(serve))
    connection.send(PUT[:-2] + b"Expect: 100-continue\r\n\r\n")
    pass_time(server, 1000)
    assert connection.open
    go.callback(None)
    connection.skip(b"HTTP/1.1 100 Continue\r\n\r\n")
    pass_time(server, 50)
    assert connection.receive().error_code == "RequestTimeout"


def test_no_limit_while_it_is_we_who_do_not_read() -> None:
    handler = Handler(never)
    server, connection = connect(handler)
    connection.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 300_000)
    assert connection.transport.paused
    assert not connection.transport.network
    pass_time(server, 1000)
    assert connection.open
    body = handler.requests[0].body
    body.read()
    assert not connection.transport.paused
    pass_time(server, 50)
    errors: list[str] = []
    body.read().addErrback(lambda failure: errors.append(failure.value.code))
    assert errors == ["RequestTimeout"]


def test_unread_body_that_stops_coming_is_told_to_the_next_reader() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        await go
        await size(request)

    server, connection = connect(Handler(serve))
    connection.send(PUT + b"x")
    pass_time(server, 50)
    assert connection.received() == b""
    go.callback(None)
    assert connection.receive().error_code == "RequestTimeout"
    assert connection.transport.half_closed


def test_drain_that_stops_is_given_up() -> None:
    async def deny(request: Request) -> None:
        raise S3Error("AccessDenied")

    server, connection = connect(Handler(deny))
    connection.send(PUT + b"x")
    assert connection.receive().status == 403
    pass_time(server, 50)
    assert connection.transport.half_closed
    pass_time(server, 2)
    assert not connection.transport.connected


def test_client_that_does_not_take_the_response_is_dropped() -> None:
    async def large(request: Request) -> None:
        request.write(b"x" * 100_000)
        await Deferred()

    server, connection = connect(Handler(large), buffer_size=50_000)
    connection.send(GET)
    pass_time(server, 299)
    assert connection.open
    pass_time(server, 1)
    assert connection.aborted


def test_client_that_takes_the_response_slowly_is_served() -> None:
    async def large(request: Request) -> None:
        send_xml(request, b"x" * 100_000)

    server, connection = connect(Handler(large), buffer_size=50_000)
    connection.send(GET)
    pass_time(server, 299)
    assert len(connection.receive().body) == 100_000
    pass_time(server, 59)
    assert connection.open
    pass_time(server, 1)
    assert not connection.open


def test_client_has_time_to_fetch_the_end_of_a_last_response() -> None:
    async def large(request: Request) -> None:
        send_xml(request, b"x" * 100_000)

    for patience in (299, 300):
        server, connection = connect(Handler(large), buffer_size=50_000)
        connection.send(GET[:-2] + b"Connection: close\r\n\r\n")
        pass_time(server, patience)
        assert connection.aborted == (patience == 300)
    server, connection = connect(Handler(large), buffer_size=50_000)
    connection.send(GET[:-2] + b"Connection: close\r\n\r\n")
    pass_time(server, 299)
    assert len(connection.receive().body) == 100_000
    pass_time(server, 1)
    assert connection.transport.closed == "clean"


def test_nothing_stays_in_the_clock() -> None:
    server, connection = connect(Handler(size))
    connection.send(GET * 10)
    assert len(server.clock.getDelayedCalls()) == 1, "one timer for a connection"
    connection.hang_up()
    assert server.clock.getDelayedCalls() == []


# The end of the site


def test_drain_closes_idle_connections() -> None:
    server, idle = connect(Handler(size))
    used = server.connect()
    used.request("GET", "/")
    drained = server.site.drain()
    assert not idle.open
    assert not used.open
    assert drained.called


def test_drain_without_connections_fires_at_once() -> None:
    assert Server(Handler(size)).site.drain().called


def test_drain_lets_requests_finish() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        await go
        await size(request)

    server, connection = connect(Handler(serve))
    connection.send(PUT + b"hel")
    drained = server.site.drain()
    again = server.site.drain()
    connection.send(b"lo67890" + GET)
    go.callback(None)
    response = connection.receive()
    assert (response.body, response.headers["connection"]) == (b"10", "close")
    assert connection.received() == b"", "no further request is served"
    assert not drained.called
    pass_time(server, 2)
    assert drained.called
    assert again.called


def test_drain_lets_a_response_under_way_finish() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        request.setHeader("Content-Length", "2")
        request.write(b"a")
        await go
        request.write(b"b")
        request.finish()

    server, connection = connect(Handler(serve))
    connection.send(GET)
    drained = server.site.drain()
    go.callback(None)
    assert connection.receive().body == b"ab"
    assert not connection.open
    assert drained.called


def test_drain_serves_a_request_whose_head_has_begun() -> None:
    server, connection = connect(Handler(size))
    connection.send(GET[:10])
    drained = server.site.drain()
    assert connection.open
    connection.send(GET[10:])
    assert connection.receive().headers["connection"] == "close"
    assert drained.called


def test_connection_accepted_while_draining_is_closed() -> None:
    server, busy = connect(Handler(never))
    busy.send(GET)
    server.site.drain()
    assert not server.connect().open


def test_abort_drops_what_is_left() -> None:
    server, connection = connect(Handler(never))
    connection.send(GET)
    drained = server.site.drain()
    server.site.abort()
    server.clock.advance(0)
    assert connection.aborted
    assert drained.called


# The access log


class Records:
    """Takes the place of an AccessLog."""

    def __init__(self) -> None:
        self.all: list[tuple[RequestLog, dict[str, Any]]] = []

    def record(self, log: RequestLog, **facts: Any) -> None:
        self.all.append((log, facts))


def test_access_log_is_told_of_a_request_when_it_is_over() -> None:
    go: Deferred[None] = Deferred()

    async def serve(request: Request) -> None:
        request.log.operation = "PutObject"
        await go
        await size(request)

    records = Records()
    server = Server(Handler(serve), access_log=records)
    connection = server.connect()
    connection.send(PUT + b"0123456789")
    server.clock.advance(1.5)
    assert records.all == []
    go.callback(None)
    response = connection.receive()
    ((log, facts),) = records.all
    assert (log.operation, log.bytes_in, log.bytes_out, log.error) == ("PutObject", 10, 2, "")
    assert facts == {
        "received_ns": EPOCH * 10**9,
        "remote": "192.0.2.7",
        "status": 200,
        "seconds": pytest.approx(1.5, abs=1e-3),
        "request_id": response.headers["x-amz-request-id"],
    }


def test_behind_a_proxy_the_client_is_who_the_proxy_says_it_is() -> None:
    """The PROXY protocol (`haproxy:` endpoints) tells it with the first bytes, after the connection was made."""
    records, factories = Records(), []

    class Endpoint:
        def listen(self, factory: Any) -> Deferred[None]:
            factories.append(factory)
            return Deferred()

    server = Server(Handler(size), access_log=records)
    proxyEndpoint(Endpoint()).listen(server.site)
    transport = MemoryTransport(server.clock)
    transport.protocol = factories[0].buildProtocol(transport.getPeer())
    transport.protocol.makeConnection(transport)
    connection = Connection(transport, 65536)
    connection.send(b"PROXY TCP4 198.51.100.9 203.0.113.1 4711 9000\r\n" + PUT + b"0123456789")
    assert connection.receive().status == 200
    ((_, facts),) = records.all
    assert facts["remote"] == "198.51.100.9"


def test_access_log_is_told_of_a_client_that_went_away() -> None:
    records = Records()
    connection = Server(Handler(never), access_log=records).connect()
    connection.send(PUT + b"012")
    connection.hang_up()
    ((log, facts),) = records.all
    assert (facts["status"], log.bytes_in) == (0, 3)


def test_access_log_is_told_of_malformed_requests() -> None:
    records = Records()
    connection = Server(Handler(size), access_log=records).connect()
    connection.send(b"nonsense\r\n\r\n")
    ((log, facts),) = records.all
    assert (facts["status"], log.error) == (400, "BadRequest")


def test_silent_connection_is_not_logged() -> None:
    records = Records()
    connection = Server(Handler(size), access_log=records).connect()
    connection.hang_up()
    assert records.all == []
