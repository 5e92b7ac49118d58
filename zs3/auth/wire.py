"""What every signature version shares: the signed parts of a request, a claim to be checked, and a signer.

Pure values without a word about how a signature is computed; `sigv4` and
`sigv2` say that.  Nothing here decodes or rebuilds what the client sent.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zs3.errors import S3Error

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
#: the forms of SigV4A, which needs asymmetric keys that no user of this server has
STREAMING_ECDSA = ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER")

_WORDS = frozenset((UNSIGNED_PAYLOAD, STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER))
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Wire:
    """The signed parts of a request, exactly as received.

    :ivar method: e.g. ``"GET"``.
    :ivar target: the request-target in origin form, ``path[?query]``, never decoded or rebuilt.
    :ivar headers: pairs in their order, names in lower case, values without white space around them.
    """

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    _by_name: dict[bytes, list[bytes]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def by_name(self) -> Mapping[bytes, Sequence[bytes]]:
        """The values of all headers, in order, by their names."""
        found = self._by_name
        if not found:
            for name, value in self.headers:
                if name in found:
                    found[name].append(value)
                else:
                    found[name] = [value]
        return found

    def values(self, name: bytes) -> Sequence[bytes]:
        """All values of a header, in order; `name` in lower case."""
        return self.by_name().get(name, ())

    def value(self, name: bytes) -> bytes | None:
        """The first value of a header, or None.  Where a second one would matter, ask `single` or `values`."""
        found = self.values(name)
        return found[0] if found else None

    def single(self, name: bytes) -> bytes | None:
        """The value of a header that may come once only, or None.  InvalidArgument if it comes twice."""
        found = self.values(name)
        if len(found) > 1:
            text = name.decode("ascii")
            raise S3Error("InvalidArgument", f"The header {text} may be given once only.", ArgumentName=text)
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Signer:
    """What a verified request leaves behind for the signatures inside its body.

    :ivar seed: the signature of the request, which the first chunk's signature is chained to.
    :ivar timestamp: ``YYYYMMDDTHHMMSSZ`` of the request.
    :ivar scope: ``date/region/s3/aws4_request``; "" for SigV2, which has no signed chunks.
    :ivar key: the signing key, derived from the secret for that day and region.
    """

    timestamp: str
    scope: str
    seed: str = field(repr=False)
    key: bytes = field(repr=False)

    def sign(self, text: str) -> str:
        """The signature of `text` in lower-case hex."""
        return hmac.digest(self.key, text.encode("utf-8"), "sha256").hex()


class Claim(ABC):
    """A decoded, not yet verified credential.

    :ivar access_key: whose secret it must be checked with.
    :ivar kind: where it came from: ``"header"``, ``"query"``, ``"query-v2"``, ``"form"`` or ``"form-v2"``; ``"none"``
        if there is none.
    :ivar payload_hash: a SHA-256 in lower-case hex, or one of the words that may stand in its place;
        covered by the signature.
    """

    __slots__ = ("access_key", "kind", "payload_hash")

    def __init__(self, access_key: str, kind: str, payload_hash: str) -> None:
        self.access_key, self.kind, self.payload_hash = access_key, kind, payload_hash

    @abstractmethod
    def check(self, secret: str) -> Signer | None:
        """A signer if the signature was made with `secret`, else None.  Compared in constant time."""

    @abstractmethod
    def mismatch(self) -> S3Error:
        """SignatureDoesNotMatch with what the client needs to find its mistake, and nothing that it did not send."""


class NoClaim(Claim):
    """In the place of a claim where a request has none.

    :raises S3Error: InvalidArgument for a wrong x-amz-content-sha256, which may say here too how the body travels.
    """

    __slots__ = ()

    def __init__(self, wire: Wire) -> None:
        value = wire.single(b"x-amz-content-sha256")
        super().__init__("", "none", UNSIGNED_PAYLOAD if value is None else payload_hash(value))

    def check(self, secret: str) -> Signer | None:  # noqa: ARG002
        """There is no signature that could be right."""
        return None

    def mismatch(self) -> S3Error:
        return S3Error("AccessDenied")


def payload_hash(value: bytes) -> str:
    """The value of an x-amz-content-sha256, if it is one: InvalidArgument, or NotImplemented for SigV4A."""
    text = value.decode("latin-1")
    if _SHA256.fullmatch(text):
        return text
    if text in STREAMING_ECDSA:
        raise S3Error("NotImplemented", f"{text} is not implemented. Please use {STREAMING_SIGNED}.")
    if text not in _WORDS:
        raise S3Error(
            "InvalidArgument",
            f"x-amz-content-sha256 must be {UNSIGNED_PAYLOAD}, {STREAMING_UNSIGNED_TRAILER}, {STREAMING_SIGNED}, "
            f"{STREAMING_SIGNED_TRAILER} or a valid sha256 value.",
            ArgumentName="x-amz-content-sha256",
            ArgumentValue=echo(value),
        )
    return text


def echo(value: bytes) -> str:
    """Bytes of the client as text that an error document can hold: what XML 1.0 cannot carry becomes U+FFFD."""
    return _NOT_IN_XML.sub("\ufffd", value.decode("utf-8", "replace"))


def mismatch(access_key: str, string_to_sign: bytes, signature: str, canonical_request: bytes = b"") -> S3Error:
    """SignatureDoesNotMatch with the fields of AWS.  All of it is computed from the request alone, without a secret."""
    fields = {
        "AWSAccessKeyId": access_key,
        "StringToSign": echo(string_to_sign),
        "SignatureProvided": signature,
        "StringToSignBytes": string_to_sign.hex(" "),
    }
    if canonical_request:
        fields["CanonicalRequest"] = echo(canonical_request)
        fields["CanonicalRequestBytes"] = canonical_request.hex(" ")
    return S3Error(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        headers=None,
        **fields,
    )
