"""Who is refused before anything is made for it."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import WrappingFactory

from zs3.listen import make_endpoint

ANN, BOB = (IPv4Address("TCP", f"192.0.2.{number}", 1) for number in (1, 2))


class Choosy(Factory[Protocol]):
    """A site that admits Ann alone."""

    protocol = Protocol

    def admits(self, address: IAddress) -> bool:
        return address == ANN


@pytest.fixture
def reactor() -> MemoryReactorClock:
    return MemoryReactorClock()


def listening(reactor: MemoryReactorClock, description: str, factory: Factory[Protocol]) -> Factory[Protocol]:
    make_endpoint(reactor, description, []).listen(factory)
    found: Factory[Protocol] = [*reactor.tcpServers, *reactor.unixServers][0][1]
    return found


@pytest.mark.parametrize("description", ["tcp:1", "tcp6:1", "unix:/nowhere"])
def test_who_is_not_admitted_gets_no_protocol(reactor: MemoryReactorClock, description: str) -> None:
    door = listening(reactor, description, Choosy())
    assert type(door.buildProtocol(ANN)) is Protocol
    assert door.buildProtocol(BOB) is None


def test_the_site_may_be_behind_other_factories(reactor: MemoryReactorClock) -> None:
    door = listening(reactor, "tcp:1", WrappingFactory(Choosy()))
    assert door.buildProtocol(ANN) is not None
    assert door.buildProtocol(BOB) is None


def test_what_admits_nobody_in_particular_admits_all(reactor: MemoryReactorClock) -> None:
    door = listening(reactor, "tcp:1", Factory.forProtocol(Protocol))
    assert door.buildProtocol(BOB) is not None


def test_behind_a_proxy_it_is_not_known_who_comes(reactor: MemoryReactorClock) -> None:
    factory = listening(reactor, "haproxy:tcp:1", Choosy())
    assert factory.buildProtocol(BOB) is not None


def test_it_starts_and_stops_with_what_is_behind_it(reactor: MemoryReactorClock) -> None:
    site = Choosy()
    door = listening(reactor, "tcp:1", site)
    door.doStart()
    assert site.numPorts == 1
    door.doStop()
    assert site.numPorts == 0
