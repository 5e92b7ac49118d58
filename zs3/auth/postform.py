"""The credential in a browser's form: a policy and its signature, of Signature Version 4 or 2.

Pure.  What the policy says is `postpolicy`'s affair; that it was signed is found
out here.  The file itself is covered by no signature.

Source: Amazon S3 API Reference, "Authenticating Requests: Browser-Based Uploads Using POST".
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

from zs3.auth import sigv2 as v2
from zs3.auth import sigv4 as v4
from zs3.auth.wire import UNSIGNED_PAYLOAD, Claim, Signer, mismatch
from zs3.errors import S3Error

_FIELDS_V4 = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature")
_FIELDS_V2 = ("AWSAccessKeyId", "Signature")


def decode_form(fields: Mapping[str, str], *, now: float, region: str | None, sigv2: bool) -> Claim | None:
    """The credential among the fields of a form, or None if there is neither one nor a policy.

    :param fields: by their names in lower case.
    :param now: seconds since the epoch.
    :param region: the only region that it may be scoped to; None accepts any.
    :param sigv2: whether Signature Version 2 is accepted too.
    :raises S3Error: InvalidArgument where a part is missing, or for two credentials; and what
        `zs3.auth.sigv4.decode_claim` refuses.
    """
    has_v4 = any(name in fields for name in ("x-amz-algorithm", "x-amz-credential", "x-amz-signature"))
    has_v2 = any(name in fields for name in ("awsaccesskeyid", "signature"))
    if has_v4 and has_v2:
        raise S3Error("InvalidArgument", "Only one auth mechanism allowed", ArgumentName="X-Amz-Algorithm")
    if has_v4:
        return _decode_v4(fields, now, region)
    if has_v2:
        if not sigv2:
            raise v2.not_supported()
        access_key, signature, policy = _required(fields, *_FIELDS_V2, "Policy")
        return _V2FormClaim(access_key, signature, policy)
    if "policy" in fields:
        raise missing_field(_FIELDS_V4[0])
    return None


def _decode_v4(fields: Mapping[str, str], now: float, region: str | None) -> Claim:
    algorithm, credential, timestamp, signature, policy = _required(fields, *_FIELDS_V4, "Policy")
    if algorithm != v4.ALGORITHM:
        raise S3Error(
            "InvalidArgument", f'X-Amz-Algorithm only supports "{v4.ALGORITHM}"',
            ArgumentName="X-Amz-Algorithm", ArgumentValue=algorithm,
        )  # fmt: skip
    scope = v4.read_scope(credential, region, v4.credential_malformed)
    v4.check_begun(timestamp, v4.read_time(timestamp, scope), now)
    return _V4FormClaim(scope, timestamp, signature, policy)


def _required(fields: Mapping[str, str], *names: str) -> list[str]:
    for name in names:
        if not fields.get(name.lower()):
            raise missing_field(name)
    return [fields[name.lower()] for name in names]


def missing_field(name: str) -> S3Error:
    """What AWS answers where a field is missing, or comes behind the file."""
    return S3Error(
        "InvalidArgument",
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields.",
        ArgumentName=name,
        ArgumentValue="",
    )


class _FormClaim(Claim):
    """A signature that is said to be over a policy, which is signed as it is sent: in base64."""

    __slots__ = ("_policy", "_signature")
    _kind = "form"

    def __init__(self, access_key: str, signature: str, policy: str) -> None:
        super().__init__(access_key, self._kind, UNSIGNED_PAYLOAD)
        self._signature, self._policy = signature, policy

    def mismatch(self) -> S3Error:
        return mismatch(self.access_key, self._policy.encode("utf-8"), self._signature)

    def _matches(self, expected: str) -> bool:
        return hmac.compare_digest(expected.encode("ascii"), self._signature.encode("utf-8"))


class _V4FormClaim(_FormClaim):
    __slots__ = ("_scope", "_timestamp")

    def __init__(self, scope: v4.Scope, timestamp: str, signature: str, policy: str) -> None:
        super().__init__(scope.access_key, signature, policy)
        self._scope, self._timestamp = scope, timestamp

    def check(self, secret: str) -> Signer | None:
        key = v4.signing_key(secret, self._scope.date, self._scope.region)
        signer = Signer(self._timestamp, self._scope.text, self._signature, key)
        return signer if self._matches(signer.sign(self._policy)) else None


class _V2FormClaim(_FormClaim):
    __slots__ = ()
    _kind = "form-v2"

    def check(self, secret: str) -> Signer | None:
        digest = hmac.digest(secret.encode("utf-8"), self._policy.encode("utf-8"), "sha1")
        expected = base64.b64encode(digest).decode("ascii")
        return Signer(timestamp="", scope="", seed="", key=b"") if self._matches(expected) else None
