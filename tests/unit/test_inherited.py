"""Endpoints on sockets that are bound already."""

import errno
import os
import socket

import pytest
from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.certificates import self_signed
from zs3.inherited import InheritedPort, inherit_endpoint


class Reactor(MemoryReactorClock):
    """Keeps what it is given to adopt."""

    def __init__(self):
        super().__init__()
        self.adopted = []
        self.error = None

    def adoptStreamConnection(self, fd, family, factory):
        if self.error is not None:
            raise self.error
        self.adopted.append((os.dup(fd), family, factory))


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    for fd, _, _ in reactor.adopted:
        os.close(fd)


@pytest.fixture(params=["tcp", "tcp6", "unix"])
def listening(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    family, address = {
        "tcp": (socket.AF_INET, ("127.0.0.1", 0)),
        "tcp6": (socket.AF_INET6, ("::1", 0)),
        "unix": (socket.AF_UNIX, "s"),
    }[request.param]
    with socket.socket(family) as listening:
        listening.bind(address)
        listening.listen()
        yield listening


@pytest.fixture
def tcp():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def fd_of(listening):
    """As a worker gets it: its own descriptor, of a socket that does not block."""
    listening.setblocking(False)
    return os.dup(listening.fileno())


def client(listening):
    connection = socket.socket(listening.family)
    connection.connect(listening.getsockname())
    return connection


@pytest.fixture
def factory():
    return Factory.forProtocol(Protocol)


class TestPort:
    def test_accepts_one_connection_a_turn_until_it_stops(self, reactor, listening, factory):
        port = InheritedPort(reactor, fd_of(listening), factory)
        assert IListeningPort.providedBy(port)
        assert IReadDescriptor.providedBy(port)
        port.startListening()
        assert reactor.getReaders() == [port]
        assert factory.numPorts == 1
        with client(listening), client(listening):
            port.doRead()
            assert [each[1:] for each in reactor.adopted] == [(listening.family, factory)]
            port.doRead()
            assert len(reactor.adopted) == 2
            port.doRead()  # another process was faster
            assert len(reactor.adopted) == 2
        stopped = []
        port.stopListening().addCallback(stopped.append)
        assert stopped == [None]
        assert reactor.getReaders() == []
        assert factory.numPorts == 0
        port.connectionLost(None)
        with client(listening):  # it still listens for the others, and is still there
            pass

    def test_its_address_is_that_of_the_socket(self, reactor, listening, factory):
        port = InheritedPort(reactor, fd_of(listening), factory)
        port.startListening()
        host = port.getHost()
        name = listening.getsockname()
        assert (host.name.decode() if listening.family == socket.AF_UNIX else (host.host, host.port)) == (
            name if listening.family == socket.AF_UNIX else name[:2]
        )
        port.stopListening()

    def test_is_not_passed_on_to_other_programs(self, reactor, tcp, factory):
        fd = fd_of(tcp)
        os.set_inheritable(fd, True)
        port = InheritedPort(reactor, fd, factory)
        assert not os.get_inheritable(port.fileno())
        port.startListening()
        port.stopListening()

    def test_without_descriptors_it_pauses_and_says_so_once(self, reactor, tcp, factory, logged):
        port = InheritedPort(reactor, fd_of(tcp), factory)
        port.startListening()
        reactor.error = OSError(errno.EMFILE, "Too many open files")
        with client(tcp), client(tcp), client(tcp):
            for _ in range(2):
                port.doRead()
                assert reactor.getReaders() == []
                reactor.advance(0.1)
                assert reactor.getReaders() == [port]
            assert logged() == ["no connection can be accepted: Too many open files"]
            reactor.error = None
            port.doRead()
            assert len(reactor.adopted) == 1
        port.stopListening()

    def test_a_stop_during_the_pause_is_final(self, reactor, tcp, factory):
        port = InheritedPort(reactor, fd_of(tcp), factory)
        port.startListening()
        reactor.error = OSError(errno.ENFILE, "")
        with client(tcp):
            port.doRead()
        port.stopListening()
        assert reactor.getDelayedCalls() == []
        assert reactor.getReaders() == []

    def test_a_client_that_has_gone_again_is_nobodys_fault(self, reactor, tcp, factory, logged):
        port = InheritedPort(reactor, fd_of(tcp), factory)
        port.startListening()
        reactor.error = OSError(errno.ENOTCONN, "")
        with client(tcp):
            port.doRead()
        assert logged() == []
        reactor.error = OSError(errno.EINVAL, "")
        with client(tcp):
            port.doRead()
        assert logged() == ["a connection was not taken"]
        port.stopListening()


class TestEndpoint:
    def listen(self, reactor, description, listening, factory, *certificates):
        ports = []
        inherit_endpoint(reactor, description, certificates, fd_of(listening)).listen(factory).addCallback(ports.append)
        (port,) = ports
        with client(listening):
            port.doRead()
        port.stopListening()
        ((_, family, factory),) = reactor.adopted
        assert family == listening.family
        return factory

    @pytest.mark.parametrize("description", ["tcp:1", "tcp6:1", "unix:/nowhere/s", "systemd:domain=INET:name=nobody"])
    def test_whatever_it_says_it_listens_on_the_socket(self, reactor, tcp, factory, description):
        assert self.listen(reactor, description, tcp, factory).wrappedFactory is factory
        assert reactor.tcpServers == reactor.unixServers == []

    @pytest.mark.parametrize("description", ["haproxy:tcp:1", "haproxy:systemd:domain=INET:index=7"])
    def test_with_the_proxy_protocol_around_it(self, reactor, tcp, factory, description):
        made = self.listen(reactor, description, tcp, factory)
        assert isinstance(made, HAProxyWrappingFactory)
        assert made.wrappedFactory is factory

    @pytest.mark.parametrize("description", ["ssl:1", "ssl:1:privateKey={}", "tls:tls:port=1"])
    def test_with_tls_around_it(self, reactor, tcp, factory, description, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "tls").mkdir()
        pem = tmp_path / "tls" / "localhost.pem"
        pem.write_bytes(b"".join(self_signed()))
        made = self.listen(reactor, description.format(pem), tcp, factory, str(pem)).wrappedFactory
        assert isinstance(made, TLSMemoryBIOFactory)
        assert made.wrappedFactory is factory

    def test_what_is_wrong_by_now_is_told(self, reactor):
        with pytest.raises(ValueError, match=r"^ssl:1: there is no "):
            inherit_endpoint(reactor, "ssl:1", ["/nowhere/server.pem"], -1)
