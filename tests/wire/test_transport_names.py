"""Canaries: what the channel needs of Twisted beyond its public interface, one test for each.

If one fails after an update of Twisted, zs3/web/channel.py is the only place to look at.
"""

from __future__ import annotations

import ast
import inspect
import socket
from pathlib import Path
from types import ModuleType

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, DefaultOpenSSLContextFactory
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web import http, server

import zs3
from tests.certificates import self_signed
from zs3.web import channel, request


class Producer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


def test_handling_request_leaves_reading_to_us_and_passes_back_pressure_on() -> None:
    """`HTTPChannel._handlingRequest`"""
    plain = http.HTTPChannel()
    assert plain._handlingRequest is False
    plain._handlingRequest = True
    transport = StringTransport()
    plain.makeConnection(transport)
    producer = Producer()
    plain.registerProducer(producer, True)
    plain.pauseProducing()
    assert transport.producerState == "producing"
    transport.pauseProducing()
    plain.resumeProducing()
    assert transport.producerState == "paused"
    assert producer.told == ["pause", "resume"]


def test_chunked_transfer_decoder_gives_pieces_and_what_follows() -> None:
    """`twisted.web.http._ChunkedTransferDecoder`"""
    pieces: list[bytes] = []
    rests: list[bytes] = []
    decoder = http._ChunkedTransferDecoder(pieces.append, rests.append)
    decoder.dataReceived(b"3\r\nab")
    assert pieces == [b"ab"]
    decoder.dataReceived(b"c\r\n0\r\nTrailer: x\r\n\r\nrest")
    assert (pieces, rests) == ([b"ab", b"c"], [b"rest"])


def test_malformed_chunked_data_error_is_what_the_decoder_raises() -> None:
    """`twisted.web.http._MalformedChunkedDataError`"""
    decoder = http._ChunkedTransferDecoder(lambda _: None, lambda _: None)
    with pytest.raises(http._MalformedChunkedDataError):
        decoder.dataReceived(b"nonsense\r\n")


def test_a_connection_tells_what_waits_to_be_sent() -> None:
    """`tcp.Connection.dataBuffer`, `_tempDataLen`, `TLS`: nothing waits if and only if both are empty."""
    ours, theirs = socket.socketpair()
    clock = MemoryReactorClock()
    with ours, theirs:
        connection = Connection(ours, Protocol(), clock)  # type: ignore[arg-type]
        connection.startReading()
        connection.connected = True
        assert (connection.TLS, connection.dataBuffer, connection._tempDataLen) == (False, b"", 0)
        connection.write(b"some")
        assert connection._tempDataLen == 4
        connection.doWrite()
        assert (connection.dataBuffer, connection._tempDataLen) == (b"", 0)
        connection.write(bytes(1 << 24))
        connection.doWrite()
        assert connection.dataBuffer, "more than the socket takes"


def test_a_pull_producer_is_resumed_at_once_and_when_nothing_waits() -> None:
    """Public, but `Channel.begin_file` relies on each of it: also that an empty write is enough."""
    ours, theirs = socket.socketpair()
    clock = MemoryReactorClock()
    with ours, theirs:
        connection = Connection(ours, Protocol(), clock)  # type: ignore[arg-type]
        connection.connected = True
        producer = Producer()
        connection.registerProducer(producer, False)  # type: ignore[arg-type]
        assert producer.told == ["resume"]
        connection.startWriting()
        assert connection in clock.getWriters()
        connection.doWrite()
        assert producer.told == ["resume"] * 2
        assert connection not in clock.getWriters()
        connection.unregisterProducer()
        connection.doWrite()
        assert producer.told == ["resume"] * 2


def test_tls_hands_over_what_was_encrypted_in_one_piece(tmp_path: Path) -> None:
    """`TLSMemoryBIOProtocol._tlsConnection`, `_appSendBuffer`, `_lostTLSConnection`, `_flushSendBIO`, and
    `BufferingTLSTransport._aggregator`: what is written to them, in this order, the other side reads.
    """
    pem = tmp_path / "server.pem"
    pem.write_bytes(b"".join(self_signed()))
    context = DefaultOpenSSLContextFactory(str(pem), str(pem))
    ours, theirs = StringTransport(), StringTransport()
    received: list[bytes] = []
    client, reader = Protocol(), Protocol()
    reader.dataReceived = received.append  # type: ignore[method-assign]
    clock = MemoryReactorClock()
    served = TLSMemoryBIOFactory(context, False, Factory.forProtocol(lambda: client), clock)
    asked = TLSMemoryBIOFactory(CertificateOptions(), True, Factory.forProtocol(lambda: reader), clock)
    tls, other = served.buildProtocol(None), asked.buildProtocol(None)
    tls.makeConnection(ours)
    other.makeConnection(theirs)

    def exchange() -> None:
        while ours.value() or theirs.value():
            outgoing, incoming = ours.value(), theirs.value()
            ours.clear()
            theirs.clear()
            if incoming:
                tls.dataReceived(incoming)
            if outgoing:
                other.dataReceived(outgoing)

    exchange()
    assert (tls._appSendBuffer, tls._lostTLSConnection, tls.disconnecting) == ([], False, False)
    client.transport.write(b"first ")  # type: ignore[union-attr]
    assert ours.value() == b""
    tls._aggregator.flush()
    assert ours.value()
    assert tls._tlsConnection.send(memoryview(bytes(2**14))) == 2**14
    assert tls._tlsConnection.send(memoryview(bytes(5))) == 5
    before = len(ours.value())
    ours.write(tls._tlsConnection.bio_read(2**15))
    assert len(ours.value()) > before + 2**14
    rest = len(ours.value())
    tls._flushSendBIO()
    assert len(ours.value()) == rest
    exchange()
    assert b"".join(received) == b"first " + bytes(2**14 + 5)


def private_names_defined_in(module: ModuleType) -> set[str]:
    """Of methods, and of attributes assigned to `self`."""
    names = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def private_names_of_twisted(instance: object) -> set[str]:
    return {name for name in dir(instance) if name.startswith("_")}


def test_no_private_name_of_our_channel_is_one_of_twisted() -> None:
    """A subclass shares one namespace with its bases: a new private name there must not be one of ours."""
    theirs = private_names_of_twisted(http.HTTPChannel())
    assert private_names_defined_in(channel) & theirs == {"_handlingRequest"}


def test_no_private_name_of_our_request_is_one_of_twisted() -> None:
    """As for the channel."""
    plain = http.HTTPChannel()
    plain.makeConnection(StringTransport())
    theirs = private_names_of_twisted(server.Request(plain, parsePOSTFormSubmission=False))
    assert private_names_defined_in(request) & theirs == set()


def test_only_the_channel_imports_private_names() -> None:
    offenders = []
    for path in Path(zs3.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("twisted"):
                offenders += [(path.name, alias.name) for alias in node.names if alias.name.startswith("_")]
    assert {name for name, _ in offenders} == {"channel.py"}
