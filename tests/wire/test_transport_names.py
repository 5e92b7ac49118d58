"""Canaries: what the channel needs of Twisted beyond its public interface, one test for each.

If one fails after an update of Twisted, zs3/web/channel.py is the only place to look at.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import ModuleType

import pytest
from twisted.internet.testing import StringTransport
from twisted.web import http, server

import zs3
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
