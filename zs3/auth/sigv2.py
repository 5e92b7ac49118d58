"""AWS Signature Version 2 in the query, which boto3, aws-cli and s3cmd still presign with.

Only that form: its Authorization header is refused.  Nothing here knows
Signature Version 4; `sigv4.decode_claim` is the entrance to both.

Source: Amazon S3 API Reference, "Signing and authenticating REST requests
(AWS signature version 2)".
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Set

from zs3.auth import canonical, dates
from zs3.auth.wire import UNSIGNED_PAYLOAD, Claim, Signer, Wire, echo, mismatch, payload_hash
from zs3.errors import S3Error

_PARAMETERS = (b"AWSAccessKeyId", b"Signature", b"Expires")

#: The parameters that are signed, as AWS lists them and SDKs have them.
_LISTED = (
    "accelerate acl analytics cors defaultObjectAcl delete inventory lifecycle location logging metrics notification "
    "object-lock partNumber policy replication requestPayment response-cache-control response-content-disposition "
    "response-content-encoding response-content-language response-content-type response-expires restore select "
    "select-type storageClass tagging torrent uploadId uploads versionId versioning versions website"
)
#: Sub-resources that came after Signature Version 2.  Clients do not sign them, so a URL that has one never matches;
#: were they left out here, whoever holds a URL of an object could turn it into one of its retention.
_LATER = (
    "abac annotation attributes encryption intelligent-tiering legal-hold metadataConfiguration metadataInventoryTable "
    "metadataJournalTable metadataTable ownershipControls policyStatus publicAccessBlock renameObject retention session"
)
SIGNED_PARAMETERS = frozenset(name.encode("ascii") for name in f"{_LISTED} {_LATER}".split())

_ACCESS_KEY = re.compile(rb"[!-~]+")
_SECONDS = re.compile(rb"[0-9]{1,11}")


def is_claimed(names: Set[bytes]) -> bool:
    """Whether a query with parameters of these names claims a Signature Version 2."""
    return b"AWSAccessKeyId" in names or b"Signature" in names


def not_supported() -> S3Error:
    """What a region that never knew Signature Version 2 answers."""
    return S3Error(
        "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    )


def decode(wire: Wire, path: bytes, query: canonical.Query, *, now: float, bucket_from_host: str | None) -> V2Claim:
    """The claim in a query; AccessDenied if it is incomplete or has expired.

    :param path: the raw path; `query` are its decoded parameters.
    :param now: seconds since the epoch.
    """
    parts: dict[bytes, bytes] = {}
    for name, value in query:
        if name in _PARAMETERS:
            if name in parts:
                raise S3Error("AccessDenied", f"{name.decode('ascii')} was given more than once.")
            parts[name] = value or b""
    if len(parts) != len(_PARAMETERS) or not _ACCESS_KEY.fullmatch(parts[b"AWSAccessKeyId"]):
        raise S3Error(
            "AccessDenied", "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        )
    expires = parts[b"Expires"]
    if not _SECONDS.fullmatch(expires):
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {echo(expires)}")
    if int(expires) < now:
        raise S3Error("AccessDenied", "Request has expired", Expires=dates.iso(int(expires)), ServerTime=dates.iso(now))
    claimed = wire.single(b"x-amz-content-sha256")
    resource = path if bucket_from_host is None else b"/" + bucket_from_host.encode("utf-8") + path
    return V2Claim(
        parts[b"AWSAccessKeyId"].decode("ascii"),
        payload=UNSIGNED_PAYLOAD if claimed is None else payload_hash(claimed),
        signature=parts[b"Signature"],
        strings_to_sign=_strings_to_sign(wire, resource, query, expires),
    )


class V2Claim(Claim):
    """A claim of Signature Version 2: what is signed, and the signature it is said to have."""

    __slots__ = ("_signature", "_strings_to_sign")

    def __init__(self, access_key: str, *, payload: str, signature: bytes, strings_to_sign: list[bytes]) -> None:
        super().__init__(access_key, "query-v2", payload)
        self._signature, self._strings_to_sign = signature, strings_to_sign

    def check(self, secret: str) -> Signer | None:
        matches = False
        for text in self._strings_to_sign:
            expected = base64.b64encode(hmac.digest(secret.encode("utf-8"), text, "sha1"))
            matches |= hmac.compare_digest(expected, self._signature)
        return Signer(timestamp="", scope="", seed="", key=b"") if matches else None

    def mismatch(self) -> S3Error:
        return mismatch(self.access_key, self._strings_to_sign[0], echo(self._signature))


def _strings_to_sign(wire: Wire, resource: bytes, query: canonical.Query, expires: bytes) -> list[bytes]:
    # AWS's SDKs put Content-Type into the URL as well; a client that only follows the URL does not repeat it.  The
    # headers that change what a request does are signed only where they are sent.
    content_type = wire.single(b"content-type")
    if content_type is None:
        content_type = next((value or b"" for name, value in query if name == b"content-type"), b"")
        if b"\n" in content_type:  # no header could hold it, and it would pass for further lines of what is signed
            raise S3Error("AccessDenied", "The parameter content-type is malformed.")
    head = [wire.method.encode("ascii"), wire.single(b"content-md5") or b"", content_type, expires]
    amz: dict[bytes, list[bytes]] = {}
    for name, value in wire.headers:
        if name.startswith(b"x-amz-"):
            amz.setdefault(name, []).append(value)
    head += [name + b":" + b",".join(amz[name]) for name in sorted(amz)]
    signed = sorted((name, value or b"", value is not None) for name, value in query if name in SIGNED_PARAMETERS)
    if any(_hides_parameter(value) for _, value, _ in signed):
        raise S3Error("AccessDenied", "A signed parameter holds the name of another one.")
    suffix = b"&".join(name + b"=" + value if has_value else name for name, value, has_value in signed)
    # The path is signed as it is sent, but some sign the canonical spelling and send another; and AWS's SDKs sign a
    # bucket as "/bucket/" and send "/bucket".
    spellings = dict.fromkeys((resource, *canonical.path_spellings(resource)))
    if resource.count(b"/") == 1:
        spellings |= dict.fromkeys(path + b"/" for path in list(spellings))
    return [b"\n".join([*head, path + b"?" + suffix if suffix else path]) for path in spellings]


def _hides_parameter(value: bytes) -> bool:
    """Whether a value, which is signed decoded, reads like further signed parameters.

    ``?partNumber=1&uploadId=x`` and ``?partNumber=1%26uploadId=x`` are signed
    alike, but one writes a part and the other the object.
    """
    return any(piece.partition(b"=")[0] in SIGNED_PARAMETERS for piece in value.split(b"&")[1:])
