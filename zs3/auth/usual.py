"""The signature of a request as SDKs usually make it, checked at little cost.

A short cut through `sigv4` for what has no query, no body and no repeated or
oddly spaced header.  It knows only one answer: whose signature it is.  All
else, a wrong signature too, is for `sigv4` to look at and to give a name to.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Mapping

from zs3.auth import dates
from zs3.auth.credentials import UsersChecker
from zs3.auth.sigv4 import ALGORITHM, BOUND_ANYWAY, MAX_SKEW_S, read_authorization, signing_key
from zs3.auth.users import User
from zs3.auth.wire import EMPTY_SHA256, UNSIGNED_PAYLOAD
from zs3.errors import S3Error

_SCHEME = ALGORITHM.encode("ascii") + b" "
_PAYLOADS = frozenset((EMPTY_SHA256.encode("ascii"), UNSIGNED_PAYLOAD.encode("ascii")))


def signer_of(
    method: bytes, path: bytes, values: Mapping[bytes, bytes], users: UsersChecker, *, now: float, region: str | None
) -> User | None:
    """The user who signed a request that has neither query nor body; None if that takes a closer look.

    :param path: of unreserved characters and slashes only, so that it is its own canonical form.
    :param values: the headers, names in lower case; several lines of one name joined by a comma.
    :param now: seconds since the epoch.
    :param region: the only region that credentials may be scoped to; None accepts any.
    """
    authorization = values.get(b"authorization", b"")
    payload = values.get(b"x-amz-content-sha256", b"")
    if payload not in _PAYLOADS or not authorization.startswith(_SCHEME):
        return None
    timestamp = values.get(b"x-amz-date", b"").decode("latin-1")
    issued = dates.parse_timestamp(timestamp)
    if issued is None or abs(now - issued) > MAX_SKEW_S:
        return None
    try:
        (scope, signed), signature = read_authorization(authorization[len(_SCHEME) :], region)
    except S3Error:
        return None
    # More names than headers: some are not there.  What is remembered of anybody's requests stays small.
    if len(signed) > len(values):
        return None
    if not timestamp.startswith(scope.date) or not _is_covered(tuple(values), signed):
        return None
    lines = [method, path, b""]
    for name in signed:
        value = values[name]
        if b"  " in value or b"\t" in value:
            return None
        lines.append(b"%b:%b" % (name, value))
    lines += (b"", b";".join(signed), payload)
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest()
    user = users.lookup(scope.access_key)
    # The same work for a key that nobody has.
    key = signing_key(users.secret_of(user), scope.date, scope.region)
    text = f"{ALGORITHM}\n{timestamp}\n{scope.text}\n{digest}".encode("ascii")
    expected = hmac.digest(key, text, "sha256").hex()
    return user if hmac.compare_digest(expected, signature) else None


@functools.lru_cache(maxsize=256)  # a client's requests have the same headers
def _is_covered(names: tuple[bytes, ...], signed: tuple[bytes, ...]) -> bool:
    """Whether all that is said to be signed is there, and all that must be signed is."""
    must = {name for name in names if name.startswith(b"x-amz-")} - BOUND_ANYWAY | {b"host"}
    return must <= set(signed) <= set(names)
