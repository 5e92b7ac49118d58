"""How much of a site one address may have."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import MemoryReactorClock

from tests.wire.harness import Connection, Handler, MemoryTransport, Server
from zs3.addresses import Networks
from zs3.listen import make_endpoint
from zs3.web.accesslog import RequestLog
from zs3.web.admission import Admission, Rate
from zs3.web.request import Request
from zs3.web.responses import send_xml

GET = b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n"
PUT = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
ANN, BOB = (IPv4Address("TCP", f"192.0.2.{number}", 4000) for number in (1, 2))


async def size(request: Request) -> None:
    total = 0
    while data := await request.body.read():
        total += len(data)
    send_xml(request, b"%d" % total)


class Watcher:
    """What a site tells its observer."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.now = self.under_way = 0
        self.codes: list[str] = []

    def connections(self, change: int) -> None:
        self.now += change

    def requests(self, change: int) -> None:
        self.under_way += change

    def refused(self, limit: str) -> None:
        self.refusals.append(limit)

    def record(self, log: RequestLog, **_: Any) -> None:
        self.codes.append(log.error)


class Limited:
    """A server with limits, and what it tells."""

    def __init__(self, handler: Handler | None = None, **limits: Any) -> None:
        self.watcher = Watcher()
        self.server = Server(handler or Handler(size), observer=self.watcher, max_connections=50)
        self.clock = self.server.clock
        self.site = self.server.site
        self.site.admission = Admission(self.clock.seconds, **limits)

    def connect(self, peer: IAddress = ANN) -> Connection:
        return self.server.connect(peer=peer)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)


def test_an_address_has_no_more_connections_than_it_may() -> None:
    limited = Limited(connections=2)
    first, second, third = (limited.connect() for _ in range(3))
    assert (first.open, second.open, third.aborted) == (True, True, True)
    assert limited.connect(BOB).open
    assert not limited.site.admits(ANN)
    assert limited.site.admits(BOB)
    assert limited.watcher.refusals == ["connections_per_address"] * 2
    first.hang_up()
    assert limited.site.admits(ANN)
    assert limited.connect().open
    assert second.request("GET", "/b/k").status == 200
    assert limited.watcher.now == 3


def test_what_a_refused_connection_sends_is_not_looked_at() -> None:
    handler = Handler(size)
    limited = Limited(handler, connections=1)
    limited.connect()
    refused = limited.connect()
    if refused.transport.connected:
        refused.send(GET)
    assert handler.requests == []
    assert refused.aborted
    assert limited.clock.getDelayedCalls(), "the other one waits for a request"


@pytest.mark.parametrize(
    "peer", [UNIXAddress(b""), IPv4Address("TCP", "10.1.2.3", 1), IPv6Address("TCP", "::ffff:10.1.2.3", 1)]
)
def test_what_is_not_limited(peer: IAddress) -> None:
    limited = Limited(connections=1, requests=Rate(1, 1), unlimited=Networks(["10.0.0.0/8"]))
    connections = [limited.connect(peer) for _ in range(20)]
    assert all(each.request("GET", "/b/k").status == 200 for each in connections)
    assert limited.watcher.refusals == []


def test_neighbours_in_a_network_of_ipv6_are_one_client() -> None:
    limited = Limited(connections=1)
    assert limited.connect(IPv6Address("TCP", "2001:db8::1", 1)).open
    assert not limited.connect(IPv6Address("TCP", "2001:db8::2", 1)).open
    assert limited.connect(IPv6Address("TCP", "2001:db8:0:1::1", 1)).open


def test_requests_over_the_rate_wait_for_their_turn() -> None:
    limited = Limited(requests=Rate(2, 3))
    connections = [limited.connect(), limited.connect()]
    assert connections[0].request("GET", "/b/k").status == 200
    for each in connections:
        each.send(GET)
        assert each.received() == b""
    assert limited.connect(BOB).request("GET", "/b/k").status == 200
    limited.pass_time(0.5)
    assert [bool(each.received()) for each in connections] == [True, False]
    limited.pass_time(0.5)
    assert connections[1].receive().status == 200
    assert limited.watcher.refusals == []


def test_a_request_whose_turn_is_too_far_off_hears_so_later() -> None:
    limited = Limited(requests=Rate(0.5, 1))
    connection = limited.connect()
    connection.send(GET)
    connection.send(GET)
    limited.pass_time(2)
    assert connection.receive().status == 200
    other = limited.connect()
    assert other.open
    other.send(GET)
    limited.pass_time(2)
    assert connection.receive().status == 200
    limited.pass_time(2.75)
    assert other.received() == b""
    limited.pass_time(0.25)
    refusal = other.receive()
    assert (refusal.status, refusal.error_code) == (503, "SlowDown")
    assert other.open
    assert limited.watcher.refusals == ["requests_per_address"]
    assert limited.watcher.codes[-1] == "SlowDown"
    # It did not count.
    limited.pass_time(2)
    assert other.request("GET", "/b/k").status == 200


def test_who_floods_costs_no_more_than_one_answer_in_five_seconds_a_connection() -> None:
    handler = Handler(size)
    limited = Limited(handler, requests=Rate(1, 1), connections=20)
    connections = []
    for _ in range(20):
        connections.append(limited.connect())
        limited.pass_time(1)
    for each in connections:
        each.send(GET * 1000)
    for _ in range(100):
        limited.clock.advance(1)
        for each in connections:
            each.received()
    assert len(handler.requests) <= 1 + 100
    assert 200 < len(limited.watcher.refusals) <= 20 * 100 / 5


def test_a_body_waits_with_its_head() -> None:
    limited = Limited(requests=Rate(1, 1))
    connection = limited.connect()
    connection.send(PUT + b"12345" + GET)
    assert connection.received() == b""
    limited.pass_time(1)
    assert connection.receive().body == b"5"
    limited.pass_time(1)
    assert connection.receive().body == b"0"


def test_who_waits_is_not_told_to_go_on() -> None:
    limited = Limited(requests=Rate(1, 1))
    connection = limited.connect()
    connection.send(PUT.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert connection.received() == b""
    limited.pass_time(1)
    connection.skip(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.send(b"12345")
    assert connection.receive().body == b"5"


def test_a_large_body_does_not_come_before_its_turn() -> None:
    limited = Limited(requests=Rate(0.25, 1))
    connection = limited.connect()
    connection.send(PUT.replace(b"Content-Length: 5", b"Content-Length: 1000000"))
    for _ in range(20):
        connection.send(b"x" * 50_000)
    assert connection.transport.paused
    limited.pass_time(4)
    assert not connection.transport.paused
    assert connection.receive().body == b"1000000"


def test_a_refused_upload_ends_the_connection_and_not_without_an_answer() -> None:
    handler = Handler(size)
    limited = Limited(handler, requests=Rate(0.1, 2))
    first, second = limited.connect(), limited.connect(BOB)
    assert first.request("GET", "/b/k").status == 200
    first.send(PUT.replace(b"Content-Length: 5", b"Content-Length: 10000000") + b"x")
    limited.pass_time(5)
    refusal = first.receive()
    assert (refusal.error_code, refusal.headers["connection"]) == ("SlowDown", "close")
    limited.pass_time(3)
    assert not first.open
    assert second.open
    assert len(handler.requests) == 1


def test_who_leaves_while_waiting_leaves_nothing() -> None:
    handler = Handler(size)
    limited = Limited(handler, requests=Rate(1, 1))
    connection = limited.connect()
    connection.send(GET)
    connection.hang_up()
    assert limited.clock.getDelayedCalls() == []
    limited.pass_time(10)
    assert handler.requests == []
    assert (limited.watcher.now, limited.watcher.under_way) == (0, 0)


def test_a_daemon_that_ends_serves_who_waits_for_its_turn() -> None:
    limited = Limited(requests=Rate(1, 1))
    connection = limited.connect()
    connection.send(GET)
    drained = limited.site.drain()
    assert not drained.called
    limited.pass_time(1)
    response = connection.receive()
    assert (response.status, response.headers["connection"]) == (200, "close")
    assert drained.called


def test_a_new_connection_is_refused_where_its_request_would_be() -> None:
    limited = Limited(requests=Rate(1, 1))
    connections = [limited.connect() for _ in range(8)]
    assert [each.open for each in connections] == [True] * 6 + [False] * 2
    assert not limited.site.admits(ANN)
    limited.pass_time(1)
    assert limited.site.admits(ANN)


def test_what_comes_by_a_proxy_counts_for_whom_it_names() -> None:
    reactor = MemoryReactorClock()
    limited = Limited(connections=1)
    make_endpoint(reactor, "haproxy:tcp:1", []).listen(limited.site)
    factory = reactor.tcpServers[0][1]

    def connect(first: bytes) -> MemoryTransport:
        transport = MemoryTransport(limited.clock)
        transport.protocol = factory.buildProtocol(transport.getPeer())
        transport.protocol.makeConnection(transport)
        if first:
            transport.protocol.dataReceived(first)
        limited.clock.advance(0)
        return transport

    waiting = [connect(b"") for _ in range(3)]
    assert all(each.connected for each in waiting)
    head = b"PROXY TCP4 %b 192.0.2.9 1000 9000\r\n" + GET
    assert connect(head % b"192.0.2.1").sent.startswith(b"HTTP/1.1 200")
    assert connect(head % b"192.0.2.2").sent.startswith(b"HTTP/1.1 200")
    again = connect(head % b"192.0.2.1")
    assert (again.closed, again.sent) == ("aborted", b"")
    assert limited.watcher.refusals == ["connections_per_address"]


def test_of_all_connections_the_newest_is_refused_where_none_is_idle() -> None:
    async def never(request: Request) -> None:
        await Deferred()

    limited = Limited(Handler(never))
    busy = [limited.connect() for _ in range(50)]
    for each in busy:
        each.send(GET)
    assert not limited.connect().open
    assert limited.watcher.refusals == ["connections"]


def test_the_log_tells_of_refusals_once_a_minute(logged: Any) -> None:
    limited = Limited(connections=1)
    limited.connect()
    for _ in range(10):
        limited.connect()
    assert logged() == ["192.0.2.1 was refused for the limit of connections per address"]
    limited.pass_time(30)
    limited.connect()
    assert len(logged()) == 1
    limited.site.abort()
