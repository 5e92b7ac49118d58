"""What is fuzzed: functions of bytes that raise what no client may cause, and AssertionError if a law is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lxml import etree
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.unit import signing
from tests.wire.harness import Handler, Server
from zs3.auth.awschunked import ChunkedDecoder
from zs3.auth.sigv4 import Wire, decode_claim
from zs3.auth.wire import Signer
from zs3.errors import S3Error
from zs3.web import xml
from zs3.web.forms import Form
from zs3.web.http1 import parse_head
from zs3.web.ranges import parse_copy_range, parse_part_number, resolve_range
from zs3.web.request import Request
from zs3.web.responses import send_xml

SIGNER = Signer(timestamp=signing.TIMESTAMP, scope=signing.SCOPE, seed="0" * 64, key=signing.signing_key())


def chunks(data: bytes) -> None:
    """Cut anywhere it is the same body, or refused alike; of signed ones never more than was verified."""

    def decode(pieces: list[bytes], *, signed: bool) -> bytes | str:
        decoder = ChunkedDecoder(
            len(data) // 2, signer=SIGNER if signed else None, trailers=None if signed else ["x-amz-checksum-crc32"]
        )
        try:
            out = b"".join(bytes(part) for piece in pieces for part in decoder.feed(piece))
            decoder.finish()
        except S3Error as error:
            return error.code
        return out

    for signed in (False, True):
        whole = decode([data], signed=signed)
        bytewise = decode([data[position : position + 1] for position in range(len(data))], signed=signed)
        assert whole == bytewise


def signature(data: bytes) -> None:
    """No request is let in by chance, and none breaks what decides it."""
    first, *rest = data.split(b"\n")
    try:
        # As the channel hands it on: what is no head never comes there.
        asked = parse_head(b"\r\n".join([first + b" HTTP/1.1", *rest]))
        claim = decode_claim(Wire(asked.method.decode("ascii"), asked.target, asked.fields), now=signing.NOW)
        assert claim is None or claim.check("another secret") is None
    except S3Error:
        pass


def document(data: bytes) -> None:
    """What is taken for a document is one to a parser that is not ours, too, and says the same."""
    try:
        node = xml.parse(data, "Delete", max_elements=100)
    except S3Error:
        return
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, remove_comments=True)
    other = etree.fromstring(data, parser)
    assert etree.QName(other).localname == node.name
    assert [etree.QName(each).localname for each in other.iter(etree.Element)] == list(_names(node))


def _names(node: xml.Node) -> Iterator[str]:
    yield node.name
    for each in node.children:
        yield from _names(each)


class _Pieces:
    def __init__(self, data: bytes, size: int) -> None:
        self.pieces = [data[position : position + size] for position in range(0, len(data), size)]

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def form(data: bytes) -> None:
    """Whole or byte by byte it is the same form, or none."""

    async def read(size: int) -> tuple[object, bytes]:
        given = Form("multipart/form-data; boundary=b", _Pieces(data, size))  # type: ignore[arg-type]
        await given.read_fields()
        found = b""
        while piece := await given.read():
            found += bytes(piece)
        return dict(given.fields), found

    outcomes = []
    for size in (max(len(data), 1), 1):
        results: list[object] = []
        Deferred.fromCoroutine(read(size)).addBoth(results.append)
        (result,) = results
        if isinstance(result, Failure):
            result.trap(S3Error)
            result = None  # which of several faults is told may depend on the cut
        outcomes.append(result)
    assert outcomes[0] == outcomes[1]


def numbers(data: bytes) -> None:
    """A range is within the object; a number of a part is one that there can be."""
    text = data.decode("latin-1")
    for total in (0, 1, 10, 2**63):
        try:
            span = resolve_range(text, total)
        except S3Error:
            continue
        assert span is None or 0 <= span.first <= span.last < total
    try:
        first, last = parse_copy_range(text)
        assert 0 <= first <= last
    except S3Error:
        pass
    try:
        assert 1 <= parse_part_number(text) <= 10_000
    except S3Error:
        pass


def head(data: bytes) -> None:
    """A head has one host and one length, and names without what would part them."""
    try:
        found = parse_head(data)
    except S3Error:
        return
    assert b" " not in found.target
    assert b"\r" not in found.target
    assert len([name for name, _ in found.fields if name == b"host"]) <= 1
    assert not any(byte in b"\r\n\0" for name, value in found.fields for byte in name + value)


async def _echo(request: Request) -> None:
    body = b""
    while piece := await request.body.read():
        body += bytes(piece)
    send_xml(request, request.raw_path + b" " + body)


def channel(data: bytes) -> None:
    """Whole or byte by byte a connection is answered alike, in whole responses, and ends."""
    said = []
    for segment in (max(len(data), 1), 1):
        server = Server(Handler(_echo))
        connection = server.connect(segment=segment)
        connection.send(data)
        codes = []
        # The answer to HEAD has no body.
        while received := connection.received():
            if b"\r\n\r\n" not in received or b"HEAD" in data:
                break
            response = connection.receive()
            codes.append((response.status, response.error_code or response.body))
        said.append(codes)
        for _ in range(130):
            server.clock.advance(1)
        assert not connection.transport.connected
        assert not server.clock.getDelayedCalls()
    assert said[0] == said[1]


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (chunks, signature, document, form, numbers, head, channel)
}
