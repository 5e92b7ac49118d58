"""The head of an HTTP/1 request: request line, fields, and what they say about the body; and how answers spell theirs.

Pure: bytes in, a `Head` or an `S3Error` out.  Stricter than Twisted's own
parser where RFC 9112 asks for it (obs-fold, Host, transfer codings, length)
and one pass over the whole head instead of a call for each line.

Source: RFC 9110 (semantics), RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from twisted.web.http_headers import Headers

from zs3.errors import S3Error

#: the longest head accepted, request line and fields together, in bytes
MAX_HEAD = 16_384

#: a Content-Length above this is no length of anything
MAX_LENGTH = 2**63 - 1

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]++) HTTP/1\.([0-9])").fullmatch
# Neither obs-fold nor white space before the colon can match, nor any control character but HTAB in a value.
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb":[\t -~\x80-\xff]*+(?:\r\n|\Z))*+").fullmatch
# Once the whole is well-formed, this takes it apart.
_FIELD = re.compile(rb"([^:]++):([^\r]*+)(?:\r\n)?").findall
_ABSOLUTE = re.compile(rb"https?://([^/?]*+)(.*+)", re.IGNORECASE).fullmatch
# RFC 3986 section 3.2.2 without "," (no host has one), so that two Host fields, joined, do not match.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]++\]|[0-9A-Za-z\-._~!$&'()*+;=%]*+)(?::[0-9]*+)?").fullmatch
_DIGITS = re.compile(rb"[0-9]++").fullmatch


class Head(NamedTuple):
    """A request's head that is fit to be served.

    :ivar target: in origin-form (``/path?query``), otherwise as received; or ``*``.
    :ivar version: ``HTTP/1.1`` or ``HTTP/1.0``.
    :ivar fields: names in lower case, values without surrounding white space, in order of arrival.
    :ivar values: the same by name, several lines of one name joined by a comma (RFC 9110 section 5.3).
    :ivar length: the body's length in bytes: 0 if there is none, None if it is chunked.
    :ivar declared_length: the value of Content-Length, None without one.
    :ivar persistent: whether the client will take another response on this connection.
    :ivar expects_continue: whether the client waits for ``100 Continue`` before it sends the body.
    """

    method: bytes
    target: bytes
    version: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    values: Mapping[bytes, bytes]
    length: int | None
    declared_length: int | None
    persistent: bool
    expects_continue: bool


def header_text(value: bytes) -> str:
    """The value of a field as text: UTF-8, or what cannot be that, Latin-1."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def parse_head(data: bytes) -> Head:
    """Parse a head, given without the empty line that ends it.

    :raises S3Error: BadRequest (also for framing that could be read in two ways), InvalidURI, NotImplemented
        (a transfer coding other than chunked), EntityTooLarge (a Content-Length beyond `MAX_LENGTH`).
    """
    line, _, block = data.partition(b"\r\n")
    match = _REQUEST_LINE(line)
    if match is None:
        raise S3Error("BadRequest", "The request line is malformed.")
    method, target, minor = match.groups()
    version = b"HTTP/1.0" if minor == b"0" else b"HTTP/1.1"
    if _FIELDS(block) is None:
        raise S3Error("BadRequest", "A header field is malformed.")

    fields = [(name.lower(), value.strip(b" \t")) for name, value in _FIELD(block)]
    values = dict(fields)
    if len(values) != len(fields):
        values = {}
        for name, value in fields:
            values[name] = values[name] + b"," + value if name in values else value

    target, authority = _origin_form(method, target)
    host = values.get(b"host")
    if host is None:
        if version == b"HTTP/1.1":
            raise S3Error("BadRequest", "The Host header is missing.")
    elif _HOST(host) is None:
        raise S3Error("BadRequest", "The Host header is malformed or was sent more than once.")
    if authority is not None:
        # RFC 9112 section 3.2.2: the target's authority replaces whatever Host says.
        fields = [field for field in fields if field[0] != b"host"]
        fields.append((b"host", authority))
        values[b"host"] = authority

    declared = _declared_length(values.get(b"content-length"))
    length = declared or 0
    coding = values.get(b"transfer-encoding")
    if coding is not None:
        _check_coding(coding, version, declared)
    connection = values.get(b"connection")
    expect = values.get(b"expect")
    return Head(
        method=method,
        target=target,
        version=version,
        fields=tuple(fields),
        values=values,
        length=length if coding is None else None,
        declared_length=declared,
        persistent=version == b"HTTP/1.1" and (connection is None or not _lists(connection, b"close")),
        expects_continue=expect is not None
        and expect.lower() == b"100-continue"
        and version == b"HTTP/1.1"
        and (length > 0 or coding is not None),
    )


def salvage(data: bytes) -> tuple[bytes, bytes]:
    """Method and target of a head that was refused, for the log and for HEAD; ``-`` for what is not legible."""
    words = data.partition(b"\r\n")[0].split(b" ")
    match = _REQUEST_LINE(b" ".join([*words[:2], b"HTTP/1.1"]))
    return (match[1], match[2]) if match else (b"-", b"-")


def _origin_form(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """The target in origin-form, and the authority of an absolute-form (RFC 9112 section 3.2)."""
    authority = None
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE(target)
        if absolute is not None:
            authority, target = absolute.groups()
            if not authority or _HOST(authority) is None:
                raise S3Error("InvalidURI")
            if not target.startswith(b"/"):
                target = b"/" + target
        elif not (target == b"*" and method == b"OPTIONS"):
            raise S3Error("InvalidURI")
    if b"#" in target:
        raise S3Error("InvalidURI")
    return target, authority


def _declared_length(value: bytes | None) -> int | None:
    if value is None:
        return None
    # Also where it was sent twice, be it with equal values: the lines were joined by a comma.
    if _DIGITS(value) is None:
        raise S3Error("BadRequest", "The Content-Length header is malformed or was sent more than once.")
    digits = value.lstrip(b"0")
    # First by count: int() of thousands of digits is slow, then forbidden.
    if len(digits) > 19 or int(digits or b"0") > MAX_LENGTH:
        raise S3Error("EntityTooLarge")
    return int(digits or b"0")


def _check_coding(coding: bytes, version: bytes, declared: int | None) -> None:
    """Accept ``Transfer-Encoding: chunked`` and nothing else (RFC 9112 sections 6.1 and 6.3)."""
    if declared is not None:
        raise S3Error("BadRequest", "Content-Length and Transfer-Encoding must not be sent together.")
    if version == b"HTTP/1.0":
        raise S3Error("BadRequest", "HTTP/1.0 has no Transfer-Encoding.")
    codings = [token.strip(b" \t").lower() for token in coding.split(b",")]
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        raise S3Error("BadRequest", "The length of the request body cannot be determined.")
    if len(codings) > 1:
        raise S3Error("NotImplemented", Header="Transfer-Encoding")


def _lists(value: bytes, token: bytes) -> bool:
    """Whether a comma-separated field has `token`, whatever its case."""
    return any(item.strip(b" \t").lower() == token for item in value.split(b","))


@functools.lru_cache(maxsize=1024)
def name_as_sent(name: str) -> bytes:
    """The name of a response header as it is spelled on the wire."""
    canonical = next(iter(Headers({name: [""]}).getAllRawHeaders()))[0]
    # Capitalised by Twisted.  SDKs hand the names of user metadata on as they come, and on S3 they come so.
    return canonical.lower() if canonical.startswith(b"X-Amz-") else canonical


def header_lines(headers: Mapping[str, bytes]) -> bytes:
    """Response headers as they are sent."""
    return lines_of((name_as_sent(name), value) for name, value in headers.items())


def lines_of(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The same of names that are spelled already."""
    return b"".join([b"%b: %b\r\n" % pair for pair in pairs])
