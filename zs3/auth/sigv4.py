"""AWS Signature Version 4 in the Authorization header and in the query, and the way to it from a raw request.

`decode_claim` is the one entrance: it takes what was received, finds which
kind of credential there is, and refuses what no secret could make right.
Whether the secret is right is the claim's `check`; whose secret it is, is not
known here.

Source: Amazon S3 API Reference, "Authenticating Requests (AWS Signature
Version 4)", header-based and query-string.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from zs3.auth import canonical, dates
from zs3.auth import sigv2 as v2
from zs3.auth.wire import UNSIGNED_PAYLOAD, Claim, Signer, Wire, echo, mismatch, payload_hash
from zs3.errors import S3Error

__all__ = ["MAX_EXPIRES_S", "MAX_SKEW_S", "Claim", "Signer", "V4Claim", "Wire", "decode_claim"]

#: how far a client's clock may be off, in seconds
MAX_SKEW_S = 15 * 60
#: the longest life of a presigned URL, in seconds
MAX_EXPIRES_S = 7 * 24 * 60 * 60

ALGORITHM = "AWS4-HMAC-SHA256"
_ECDSA = "AWS4-ECDSA-P256-SHA256"
_SERVICE, _TERMINATOR = "s3", "aws4_request"
_EXPECTED = 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
_QUERY_PARAMETERS = (
    b"X-Amz-Algorithm",
    b"X-Amz-Credential",
    b"X-Amz-Signature",
    b"X-Amz-Date",
    b"X-Amz-SignedHeaders",
    b"X-Amz-Expires",
)
#: bound by the signature without being named in SignedHeaders: one is a line of the canonical request, the other of
#: the string to sign
BOUND_ANYWAY = frozenset((b"x-amz-content-sha256", b"x-amz-date"))

_PRINTABLE = re.compile(r"[!-~]+")
_DATE = re.compile(r"[0-9]{8}")
_HEX_SIGNATURE = re.compile(rb"[0-9a-f]{64}").fullmatch
_EXPIRES = re.compile(r"-?[0-9]{1,18}")

#: makes an error of the code and wording that header or query authentication has
_Malformed = Callable[..., S3Error]


def decode_claim(
    wire: Wire, *, now: float, region: str | None = None, sigv2: bool = True, bucket_from_host: str | None = None
) -> Claim | None:
    """The credential that came with a request, or None if there is none at all.

    :param now: seconds since the epoch.
    :param region: the only region that credentials may be scoped to; None accepts any.
    :param sigv2: whether SigV2's query form is accepted too.
    :param bucket_from_host: the bucket of a virtual-hosted request, which SigV2 signs as part of the path.
    :raises S3Error: as AWS does for a credential that is malformed, out of its time, or does not cover what it must:
        AuthorizationHeaderMalformed, AuthorizationQueryParametersError, RequestTimeTooSkewed, AccessDenied,
        InvalidArgument, InvalidRequest, NotImplemented.
    """
    path, raw_query = canonical.split_target(wire.target)
    query = canonical.split_query(raw_query)
    authorization = wire.values(b"authorization")
    if not query and len(authorization) == 1:
        return _from_header(wire, path, query, authorization[0], now, region)
    names = {name for name, _ in query}
    in_query_v4 = not names.isdisjoint(_QUERY_PARAMETERS[:3])
    in_query_v2 = v2.is_claimed(names)
    if len(authorization) + in_query_v4 + in_query_v2 > 1:
        raise S3Error(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified",
            ArgumentName="Authorization",
        )
    if authorization:
        return _from_header(wire, path, query, authorization[0], now, region)
    if in_query_v4:
        return _from_query(wire, path, query, now, region)
    if in_query_v2:
        if not sigv2:
            raise v2.not_supported()
        return v2.decode(wire, path, query, now=now, bucket_from_host=bucket_from_host)
    return None


class V4Claim(Claim):
    """A claim of Signature Version 4: the canonical request, and the signature it is said to have."""

    __slots__ = ("_requests", "_scope", "_signature", "_timestamp", "_whole")

    def __init__(
        self,
        scope: Scope,
        *,
        kind: str,
        payload: str,
        timestamp: str,
        signature: str,
        requests: list[bytes],
        whole: bool,
    ) -> None:
        super().__init__(scope.access_key, kind, payload)
        self._scope, self._timestamp, self._signature = scope, timestamp, signature
        self._requests = requests
        self._whole = whole

    def check(self, secret: str) -> Signer | None:
        key = signing_key(secret, self._scope.date, self._scope.region)
        signer = Signer(self._timestamp, self._scope.text, self._signature, key)
        given = self._signature.encode("ascii")
        matches = False
        for request in self._requests:
            expected = signer.sign(self._string_to_sign(request)).encode("ascii")
            matches |= hmac.compare_digest(expected, given)
        return signer if matches and self._whole else None

    def mismatch(self) -> S3Error:
        request = self._requests[0]
        string_to_sign = self._string_to_sign(request).encode("ascii")
        return mismatch(self.access_key, string_to_sign, self._signature, request)

    def _string_to_sign(self, request: bytes) -> str:
        return f"{ALGORITHM}\n{self._timestamp}\n{self._scope.text}\n{hashlib.sha256(request).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Scope:
    """A Credential, taken apart.

    :ivar text: all behind the access key.
    """

    access_key: str
    date: str
    region: str
    text: str


def _from_header(
    wire: Wire, path: bytes, query: canonical.Query, authorization: bytes, now: float, region: str | None
) -> Claim:
    scheme, _, rest = authorization.partition(b" ")
    if scheme == _ECDSA.encode():
        raise S3Error("NotImplemented", f"{_ECDSA} is not implemented. Please use {ALGORITHM}.")
    if scheme == b"AWS":
        raise v2.not_supported()
    if scheme != ALGORITHM.encode():
        raise S3Error("InvalidArgument", "Unsupported Authorization Type", ArgumentName="Authorization")
    (scope, signed), signature = read_authorization(rest, region)
    timestamp, issued = _header_time(wire)
    if abs(now - issued) > MAX_SKEW_S:
        raise S3Error(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            RequestTime=timestamp,
            ServerTime=dates.iso(now),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW_S * 1000),
        )
    if not timestamp.startswith(scope.date):
        raise _header_malformed(
            f'Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        )
    claimed = wire.single(b"x-amz-content-sha256")
    if claimed is None:
        raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    payload = payload_hash(claimed)
    _check_all_signed(wire, signed, BOUND_ANYWAY)
    requests, whole = _canonical_requests(wire, path, canonical.canonical_query(query), signed, payload)
    return V4Claim(
        scope,
        kind="header",
        payload=payload,
        timestamp=timestamp,
        signature=signature,
        requests=requests,
        whole=whole,
    )


def _from_query(wire: Wire, path: bytes, query: canonical.Query, now: float, region: str | None) -> Claim:
    parts = _query_parameters(query)
    if parts[b"X-Amz-Algorithm"] == _ECDSA:
        raise S3Error("NotImplemented", f"{_ECDSA} is not implemented. Please use {ALGORITHM}.")
    if parts[b"X-Amz-Algorithm"] != ALGORITHM:
        raise _query_malformed(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    scope = read_scope(parts[b"X-Amz-Credential"], region, credential_malformed)
    timestamp = parts[b"X-Amz-Date"]
    issued = read_time(timestamp, scope)
    lifetime = _lifetime(parts[b"X-Amz-Expires"])
    check_begun(timestamp, issued, now)
    if issued + lifetime < now:
        times = {"X-Amz-Expires": str(lifetime), "Expires": dates.iso(issued + lifetime), "ServerTime": dates.iso(now)}
        raise S3Error("AccessDenied", "Request has expired", headers=None, **times)

    signed = parts[b"X-Amz-SignedHeaders"].encode("ascii").split(b";")
    header = wire.single(b"x-amz-content-sha256")
    claimed = UNSIGNED_PAYLOAD.encode("ascii")
    if header is not None and b"x-amz-content-sha256" in signed:
        claimed = header
    else:
        claimed = next((value or b"" for name, value in query if name.lower() == b"x-amz-content-sha256"), claimed)
    # An unsigned header that repeats what is signed anyway says nothing new; any other would choose how the body
    # is read, which is for the one who signed to choose.
    _check_all_signed(wire, signed, frozenset((b"x-amz-content-sha256",)) if header == claimed else frozenset())
    payload = payload_hash(claimed)
    signed_query = canonical.canonical_query(query, leave_out=b"X-Amz-Signature")
    requests, whole = _canonical_requests(wire, path, signed_query, signed, payload)
    return V4Claim(
        scope,
        kind="query",
        payload=payload,
        timestamp=timestamp,
        signature=parts[b"X-Amz-Signature"],
        requests=requests,
        whole=whole,
    )


def _canonical_requests(
    wire: Wire, path: bytes, query: bytes, signed: Sequence[bytes], payload: str
) -> tuple[list[bytes], bool]:
    """The canonical request in each spelling of its path, and whether every header that is said to be signed is there.

    A header that is named but absent would be signed as an empty one; what the
    signer meant to be sent was not sent then, so such a claim never matches.
    """
    by_name = wire.by_name()
    lines = [name + b":" + canonical.canonical_value(by_name.get(name, ())) for name in signed]
    rest = [query, *lines, b"", b";".join(signed), payload.encode("ascii")]
    method = wire.method.encode("ascii")
    requests = [b"\n".join([method, spelling, *rest]) for spelling in canonical.path_spellings(path)]
    return requests, all(name in by_name for name in signed)


def _check_all_signed(wire: Wire, signed: Iterable[bytes], exempt: frozenset[bytes]) -> None:
    """AccessDenied unless `host` and every x-amz-* header is covered: else whoever holds the request could add some."""
    missing = {name for name in wire.by_name() if name.startswith(b"x-amz-")}
    missing.difference_update(exempt)
    missing.add(b"host")
    missing.difference_update(signed)
    if missing:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(echo(name) for name in sorted(missing)),
        )


#: What an Authorization header says before its signature: the same for all requests of a client on a day.
#: By region, as it is held against that.
_MAX_HEADERS = 1024
_MAX_REMEMBERED = 512
_headers: dict[tuple[bytes, str | None], tuple[Scope, tuple[bytes, ...]]] = {}


def read_authorization(text: bytes, region: str | None) -> tuple[tuple[Scope, tuple[bytes, ...]], str]:
    """The credential and the signed headers that an Authorization header names, and its signature."""
    before, _, signature = text.rpartition(b"Signature=")
    # The last component, and hex digits alone: then `before` decides whether the whole is well-formed.
    cacheable = (
        len(before) <= _MAX_REMEMBERED and before.rstrip().endswith(b",") and _HEX_SIGNATURE(signature) is not None
    )
    if cacheable:
        known = _headers.get((before, region))
        if known is not None:
            return known, signature.decode("ascii")
    parts = _components(text)
    scope = read_scope(parts["Credential"], region, _header_malformed)
    known = scope, tuple(parts["SignedHeaders"].encode("ascii").split(b";"))
    if cacheable:
        if len(_headers) >= _MAX_HEADERS:
            _headers.clear()
        _headers[before, region] = known
    return known, parts["Signature"]


def _components(text: bytes) -> dict[str, str]:
    """Credential, SignedHeaders and Signature of an Authorization header; libs3 puts no space after its commas."""
    parts: dict[str, str] = {}
    for component in text.split(b","):
        name, equals, value = component.strip().decode("latin-1").partition("=")
        if not equals or name in parts or not _PRINTABLE.fullmatch(value):
            raise _header_malformed(f'the authorization component "{echo(component.strip())}" is malformed.')
        parts[name] = value
    if parts.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise _header_malformed(
            "the authorization header requires three components: Credential, SignedHeaders, and Signature."
        )
    return parts


def _query_parameters(query: canonical.Query) -> dict[bytes, str]:
    """The six parameters of query authentication, each exactly once."""
    parts: dict[bytes, str] = {}
    for name, value in query:
        if name in _QUERY_PARAMETERS:
            text = (value or b"").decode("latin-1")
            if name in parts or (text and not _PRINTABLE.fullmatch(text)):
                raise _query_malformed(f"{name.decode('ascii')} is malformed or was given more than once.")
            parts[name] = text
    if len(parts) != len(_QUERY_PARAMETERS) or not all(parts.values()):
        raise _query_malformed(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    return parts


def read_scope(credential: str, region: str | None, malformed: _Malformed) -> Scope:
    """A Credential, for our service and, unless it is None, for `region`; else the error that `malformed` makes."""
    fields = credential.rsplit("/", 4)
    if len(fields) != 5 or not fields[0]:
        raise malformed(_EXPECTED)
    access_key, date, scope_region, service, terminator = fields
    if not _DATE.fullmatch(date):
        raise malformed(
            f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".'
        )
    if region is not None and scope_region != region:
        error = malformed(f"the region '{scope_region}' is wrong; expecting '{region}'", Region=region)
        # A HEAD has no document that could tell it.
        error.headers["x-amz-bucket-region"] = region
        raise error
    if service != _SERVICE:
        raise malformed(f'incorrect service "{service}". This endpoint belongs to "{_SERVICE}".')
    if terminator != _TERMINATOR:
        raise malformed(f'incorrect terminal "{terminator}". This endpoint uses "{_TERMINATOR}".')
    return Scope(access_key, date, scope_region, f"{date}/{scope_region}/{_SERVICE}/{_TERMINATOR}")


def _header_time(wire: Wire) -> tuple[str, float]:
    """The timestamp as it is signed, and the same in seconds: x-amz-date goes before Date."""
    value = wire.single(b"x-amz-date")
    if value is None:
        value = wire.single(b"date") or b""
    text = value.decode("latin-1")
    issued = dates.parse_timestamp(text)
    if issued is None:
        issued = dates.parse_http_date(text)
        if issued is None:
            raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
        text = dates.timestamp(issued)
    return text, issued


def read_time(timestamp: str, scope: Scope) -> float:
    """The time of an X-Amz-Date, which must be of the scope's day, in seconds since the epoch."""
    issued = dates.parse_timestamp(timestamp)
    if issued is None:
        raise _query_malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    if not timestamp.startswith(scope.date):
        raise _query_malformed(
            f'Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        )
    return issued


def check_begun(timestamp: str, issued: float, now: float) -> None:
    """AccessDenied for what was signed in the future."""
    if issued > now + MAX_SKEW_S:
        times = {"X-Amz-Date": timestamp, "ServerTime": dates.iso(now)}
        raise S3Error("AccessDenied", "Request is not valid yet", headers=None, **times)


def _lifetime(text: str) -> int:
    if not _EXPIRES.fullmatch(text):
        raise _query_malformed("X-Amz-Expires should be a number")
    lifetime = int(text)
    if lifetime < 0:
        raise _query_malformed("X-Amz-Expires must be non-negative")
    if lifetime == 0:
        raise _query_malformed("X-Amz-Expires must be at least 1 second")
    if lifetime > MAX_EXPIRES_S:
        raise _query_malformed(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{MAX_EXPIRES_S} seconds"
        )
    return lifetime


def _header_malformed(reason: str, **fields: str) -> S3Error:
    return S3Error(
        "AuthorizationHeaderMalformed", f"The authorization header is malformed; {reason}", headers=None, **fields
    )


def _query_malformed(reason: str, **fields: str) -> S3Error:
    return S3Error("AuthorizationQueryParametersError", reason, headers=None, **fields)


def credential_malformed(reason: str, **fields: str) -> S3Error:
    """What is wrong with a Credential that is no header's."""
    return _query_malformed(f"Error parsing the X-Amz-Credential parameter; {reason}", **fields)


#: Signing keys change once a day.  They are kept by a digest that only this process can make of a secret, so that a
#: secret which was replaced does not live on here.
_PROCESS_KEY = os.urandom(32)
_MAX_KEYS = 256
_signing_keys: dict[tuple[bytes, str, str], bytes] = {}


def signing_key(secret: str, date: str, region: str) -> bytes:
    raw = secret.encode("utf-8")
    index = (hashlib.blake2b(raw, digest_size=32, key=_PROCESS_KEY).digest(), date, region)
    key = _signing_keys.get(index)
    if key is None:
        key = b"AWS4" + raw
        for step in (date, region, _SERVICE, _TERMINATOR):
            key = hmac.digest(key, step.encode("utf-8"), "sha256")
        if len(_signing_keys) >= _MAX_KEYS:
            _signing_keys.clear()
        _signing_keys[index] = key
    return key
