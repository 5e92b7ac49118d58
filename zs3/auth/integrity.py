"""What a client claims about the bytes it sends: Content-MD5 and the additional checksum, in a header or a trailer.

Reads and judges headers only; the bytes are hashed in `payload`.

Source: Amazon S3 User Guide, "Checking object integrity for data uploads in
Amazon S3".
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from zs3 import checksums
from zs3.auth.wire import Wire, echo
from zs3.errors import S3Error

#: they share the prefix of the values and are none
_NO_VALUES = frozenset(checksums.HEADER_PREFIX + word for word in ("algorithm", "mode", "type"))


@dataclass(frozen=True, slots=True)
class Integrity:
    """What the bytes must turn out to be.

    :ivar md5: the raw MD5, or None if none was claimed.
    :ivar algorithm: the algorithm of the additional checksum, or "".
    :ivar checksum: its raw value; None if there is none, or if it comes in a trailer.
    :ivar trailers: the names of the trailers that must come, in lower case.
    """

    md5: bytes | None = None
    algorithm: str = ""
    checksum: bytes | None = None
    trailers: tuple[str, ...] = ()


def read_integrity(wire: Wire, *, trailers_possible: bool, checksum_headers: bool) -> Integrity:
    """What the headers claim.  InvalidDigest, or InvalidRequest for what cannot be meant.

    :param trailers_possible: whether the body has a place for trailers.
    :param checksum_headers: whether x-amz-checksum-* is about this body.
    """
    md5 = _content_md5(wire)
    trailers = _declared_trailers(wire)
    if trailers and not trailers_possible:
        raise S3Error("InvalidRequest", "x-amz-trailer needs a streaming x-amz-content-sha256 with trailers.")
    if not checksum_headers and not trailers:
        return Integrity(md5)
    names = [name for name in _checksum_names(wire) if checksum_headers]
    if len(names) + len(trailers) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    algorithm = next((checksums.HEADERS[name] for name in (*names, *trailers)), "")
    _check_algorithm(wire, algorithm)
    value = None
    for name in names:
        text = (wire.value(name.encode("ascii")) or b"").decode("latin-1")
        value = checksums.decode(algorithm, text)
        if value is None:
            raise S3Error("InvalidRequest", f"Value for {name} header is invalid.")
    return Integrity(md5, algorithm, value, trailers)


def _content_md5(wire: Wire) -> bytes | None:
    text = wire.single(b"content-md5")
    if text is None:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        value = b""
    if len(value) != 16:
        fields = {"Content-MD5": echo(text)}
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.", headers=None, **fields)
    return value


def _checksum_names(wire: Wire) -> list[str]:
    """The names of the headers that hold a checksum; one that comes twice is here twice."""
    names = []
    for raw, _ in wire.headers:
        name = raw.decode("latin-1")
        if name.startswith(checksums.HEADER_PREFIX) and name not in _NO_VALUES:
            if name not in checksums.HEADERS:
                raise S3Error(
                    "InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid."
                )
            names.append(name)
    return names


def _declared_trailers(wire: Wire) -> tuple[str, ...]:
    names = []
    for value in wire.values(b"x-amz-trailer"):
        for raw in value.decode("latin-1").split(","):
            name = raw.strip(" \t").lower()
            if name not in checksums.HEADERS:
                raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
            names.append(name)
    return tuple(names)


def _check_algorithm(wire: Wire, algorithm: str) -> None:
    """InvalidRequest unless x-amz-sdk-checksum-algorithm, if sent, names the algorithm whose value is sent."""
    named = wire.single(b"x-amz-sdk-checksum-algorithm")
    if named is None:
        return
    wanted = named.decode("latin-1").upper()
    if wanted not in checksums.ALGORITHMS:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(sorted(checksums.ALGORITHMS))}]",
        )
    if not algorithm:
        raise S3Error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found.",
        )
    if wanted != algorithm:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
