"""The canonical spelling of paths, queries and header values that signatures are made over.

Pure functions on bytes.  A client may spell one path or query in several ways
(`(` or `%28`, `%2f` or `%2F`); what is signed is the one spelling AWS defines.

Source: Amazon S3 API Reference, "Signature Calculations for the Authorization
Header", UriEncode().
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote_from_bytes, unquote_to_bytes

#: a query as pairs of decoded name and value in their order; the value is None where there was no ``=``
Query = list[tuple[bytes, bytes | None]]

_PLAIN_PATH = re.compile(rb"[A-Za-z0-9\-._~/]*")


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """The raw path and the raw query of an origin-form request-target."""
    path, _, query = target.partition(b"?")
    return path or b"/", query


def split_query(query: bytes) -> Query:
    """The parameters of a raw query; `+` means a space, as it does to whoever acts on them."""
    pairs: Query = []
    if not query:
        return pairs
    for parameter in query.split(b"&"):
        if parameter:
            name, equals, value = parameter.replace(b"+", b" ").partition(b"=")
            pairs.append((unquote_to_bytes(name), unquote_to_bytes(value) if equals else None))
    return pairs


def uri_encode(value: bytes) -> bytes:
    """AWS's UriEncode: all but ``A-Z a-z 0-9 - . _ ~`` as %XY, upper case."""
    return quote_from_bytes(value, safe="~").encode("ascii")


def canonical_path(path: bytes) -> bytes:
    """A raw path with every segment decoded once and encoded again: neither normalised nor encoded twice."""
    if _PLAIN_PATH.fullmatch(path):
        return path
    return b"/".join(uri_encode(unquote_to_bytes(segment)) for segment in path.split(b"/"))


def path_spellings(path: bytes) -> list[bytes]:
    """The spellings of a raw path that a client may have signed, the canonical one first.

    Some sign a slash inside a key as `%2F` and some as `/`, some the path just
    as they send it.  All of them decode to the same key, so a signature over one
    says nothing less than a signature over another.
    """
    if _PLAIN_PATH.fullmatch(path):
        return [path]
    canonical = canonical_path(path)
    return list(dict.fromkeys((canonical, canonical.replace(b"%2F", b"/"), path)))


def canonical_query(query: Query, leave_out: bytes = b"") -> bytes:
    """The parameters encoded, then sorted by name and value; a missing value counts as empty."""
    if not query:
        return b""
    encoded = sorted((uri_encode(name), uri_encode(value or b"")) for name, value in query if name != leave_out)
    return b"&".join(name + b"=" + value for name, value in encoded)


def canonical_value(values: Sequence[bytes]) -> bytes:
    """The values of one header: white space around them dropped, inside them folded to one space, joined by commas."""
    if len(values) == 1:
        return b" ".join(values[0].split())
    return b",".join(b" ".join(value.split()) for value in values)
