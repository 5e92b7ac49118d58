"""What the conditions of policies are told of a request.

Each value is found when a condition asks for it, and never in what a client can
say of itself beside its request: forwarding headers are not looked at.

Source: Service Authorization Reference, "Condition keys for Amazon S3"; IAM User
Guide, "AWS global condition context keys".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from twisted.internet.address import IPv4Address, IPv6Address

from zs3.auth import dates
from zs3.auth.policy_names import REQUEST_TAG, REQUEST_TAG_KEYS
from zs3.errors import S3Error
from zs3.web import retention
from zs3.web.dates import NS
from zs3.web.query import Query

if TYPE_CHECKING:
    from zs3.auth.access import Principal
    from zs3.web.channel import Channel

#: The operations that make an object, of those that need the right to.
_CREATING = frozenset(("PutObject", "CopyObject", "CompleteMultipartUpload", "PostObject"))
_WRITING = _CREATING | {"CreateMultipartUpload", "UploadPart", "UploadPartCopy"}
#: Those that give an object the tags and the lock of headers.
_TAGGING = frozenset(("PutObject", "CopyObject", "CreateMultipartUpload", "PostObject"))

_AUTH_TYPES = {
    "header": "REST-HEADER",
    **dict.fromkeys(("query", "query-v2"), "REST-QUERY-STRING"),
    **dict.fromkeys(("form", "form-v2"), "POST"),
}


@dataclass(slots=True)  # not frozen: that triples the cost of making one
class Asked:
    """A request, as far as conditions can ask for it.

    :ivar kind: of its claim, see `zs3.auth.wire.Claim`.
    :ivar signed_at: ``YYYYMMDDTHHMMSSZ``; "" if that is not known.
    :ivar received_s: in seconds since the epoch.
    :ivar operation: its name.
    :ivar header: gives the value of a header, or None.
    :ivar parameter: gives the first value of a parameter of the query, or None.
    """

    principal: Principal
    kind: str
    payload_hash: str
    signed_at: str
    region: str
    channel: Channel
    received_s: float
    operation: str
    header: Callable[[str], str | None]
    parameter: Callable[[str], str | None]


class RequestContext:
    """The `zs3.auth.policy_conditions.Context` of a request.

    :param ask: gives the request once a condition asks for anything: most policies have none that does.
    :param owner: the account that owns the bucket.
    """

    __slots__ = ("_ask", "_known", "_owner", "_request")

    def __init__(self, ask: Callable[[], Asked], owner: str) -> None:
        self._ask, self._owner = ask, owner
        self._request: Asked | None = None
        self._known: dict[str, Sequence[str] | None] = {}

    @property
    def _asked(self) -> Asked:
        if self._request is None:
            self._request = self._ask()
        return self._request

    def values(self, key: str) -> Sequence[str] | None:
        """What the request has of a condition key, in its normal form."""
        try:
            return self._known[key]
        except KeyError:
            found = self._known[key] = self._find(key)
            return found

    def _find(self, key: str) -> Sequence[str] | None:
        if key.startswith(REQUEST_TAG):
            value = self._tags().get(key.removeprefix(REQUEST_TAG))
        elif key == REQUEST_TAG_KEYS:
            return tuple(self._tags())
        elif key in _FINDERS:
            value = _FINDERS[key](self._asked)
        elif key.endswith(":resourceaccount"):
            value = self._owner
        elif key.startswith("s3:x-amz-"):
            value = self._asked.header(key.removeprefix("s3:"))
        else:
            value = None
        return None if value is None else (value,)

    def _tags(self) -> Mapping[str, str]:
        """The tags that the request gives in a header; none if they cannot be read, and it is refused then."""
        operation, header = self._asked.operation, self._asked.header
        if operation not in _TAGGING or (operation == "CopyObject" and header("x-amz-tagging-directive") != "REPLACE"):
            return {}  # the header is passed over
        text = header("x-amz-tagging")
        try:
            return dict(Query(text.encode("utf-8")).pairs) if text else {}
        except S3Error:
            return {}


def _header(name: str) -> Callable[[Asked], str | None]:
    return lambda asked: asked.header(name)


def _parameter(name: str) -> Callable[[Asked], str | None]:
    return lambda asked: asked.parameter(name)


def _of_user(make: Callable[[Asked, str], str]) -> Callable[[Asked], str | None]:
    """What there is only of who signed the request."""
    return lambda asked: make(asked, asked.principal.user.name) if asked.principal.user else None


def _address(asked: Asked) -> str | None:
    peer = asked.channel.getPeer()
    return peer.host if isinstance(peer, IPv4Address | IPv6Address) else None


def _tls_version(asked: Asked) -> str | None:
    name = asked.channel.tls_version()
    return None if name is None else name.removeprefix("TLSv")


def _auth_type(asked: Asked) -> str | None:
    return _AUTH_TYPES.get(asked.kind) if asked.principal.user else None


def _signature_version(asked: Asked) -> str | None:
    if asked.principal.user is None:
        return None
    return "AWS" if asked.kind in ("query-v2", "form-v2") else "AWS4-HMAC-SHA256"


def _signature_age(asked: Asked) -> str | None:
    """Milliseconds since it was signed; of the old signature that is not known."""
    signed = dates.parse_timestamp(asked.signed_at)
    return None if signed is None else str(max(0, int((asked.received_s - signed) * 1000)))


def _copy_source(asked: Asked) -> str | None:
    text = asked.header("x-amz-copy-source")
    return None if text is None else unquote(text.partition("?")[0]).removeprefix("/")


def _creation(asked: Asked) -> str | None:
    operation = asked.operation
    return str(operation in _CREATING).lower() if operation in _WRITING else None


def _lock(key: str) -> Callable[[Asked], str | None]:
    """What headers ask for of a lock, of which nothing is told if it cannot be meant, and is refused then."""

    def find(asked: Asked) -> str | None:
        if asked.operation not in _TAGGING:
            return None  # the header is passed over
        if key == retention.KEY_LEGAL_HOLD:
            return asked.header(retention.LEGAL_HOLD)
        now_ns = int(asked.received_s * NS)
        try:
            wanted, _ = retention.requested_lock(asked.header, now_ns)
        except S3Error:
            return None
        return None if wanted is None else retention.conditions_of(wanted, now_ns)[key]

    return find


_FINDERS: Mapping[str, Callable[[Asked], str | None]] = {
    "aws:currenttime": lambda asked: dates.iso(int(asked.received_s)),
    "aws:epochtime": lambda asked: str(int(asked.received_s)),
    "aws:principalaccount": _of_user(lambda asked, _: asked.principal.account),
    "aws:principalarn": _of_user(lambda asked, name: f"arn:aws:iam::{asked.principal.account}:user/{name}"),
    "aws:principalisawsservice": lambda _: "false",
    "aws:principaltype": lambda asked: "User" if asked.principal.user else "Anonymous",
    "aws:referer": _header("referer"),
    "aws:requestedregion": lambda asked: asked.region,
    "aws:securetransport": lambda asked: str(asked.channel.isSecure()).lower(),
    "aws:sourceip": _address,
    "aws:useragent": _header("user-agent"),
    "aws:userid": _of_user(lambda _, name: name),
    "aws:username": _of_user(lambda _, name: name),
    "aws:viaawsservice": lambda _: "false",
    "s3:authtype": _auth_type,
    "s3:delimiter": _parameter("delimiter"),
    "s3:if-match": _header("if-match"),
    "s3:if-none-match": _header("if-none-match"),
    "s3:max-keys": _parameter("max-keys"),
    **{key: _lock(key) for key in retention.KEYS},
    "s3:objectcreationoperation": _creation,
    "s3:prefix": _parameter("prefix"),
    "s3:signatureage": _signature_age,
    "s3:signatureversion": _signature_version,
    "s3:tlsversion": _tls_version,
    "s3:versionid": _parameter("versionId"),
    "s3:x-amz-content-sha256": lambda asked: asked.payload_hash,
    "s3:x-amz-copy-source": _copy_source,
}
