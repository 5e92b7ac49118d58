"""One request for one operation, as its handler sees it.

Holds what the guard and the resources found out.  No operation is in here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReactorTime

from zs3.auth.payload import Payload, make_payload
from zs3.auth.wire import Claim, Signer, Wire
from zs3.errors import S3Error
from zs3.events.announcer import Events, NoEvents
from zs3.lifecycle.evaluation import Day
from zs3.web.authorize import Gate, gate_of
from zs3.web.context import Asked, RequestContext
from zs3.web.documents import DEFAULT_REGION, Owner, owner_of
from zs3.web.http1 import header_text

if TYPE_CHECKING:
    from zs3.auth.access import BucketAccess, Principal
    from zs3.auth.credentials import IUserDirectory
    from zs3.web.request import Request

#: RFC 9110, 5.6.2 and 5.5: the name of a header, and what its value never holds.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII).fullmatch
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]").search

#: What belongs to the signature in the query, and is no header in another place.
_SIGNATURE_PARAMETERS = frozenset(
    "x-amz-" + name
    for name in ("algorithm", "credential", "date", "expires", "signedheaders", "signature", "security-token")
) | {"x-amz-content-sha256"}


def effective_wire(wire: Wire, claim: Claim, pairs: Sequence[tuple[str, str]]) -> Wire:
    """`wire` with the ``x-amz-*`` parameters of the query among its headers.

    S3 takes them from either place, and SDKs put them into the URL when they sign one beforehand.  A header that
    is there stands.  SigV2 does not cover them in the query: there they mean nothing.

    :param pairs: the query, decoded.
    :raises S3Error: InvalidArgument for what could not have come in a header.
    """
    if not pairs or claim.kind == "query-v2":
        return wire
    present = {name for name, _ in wire.headers}
    moved = []
    for name, value in pairs:
        header = name.lower()
        if header.startswith("x-amz-") and header not in _SIGNATURE_PARAMETERS:
            pair = header_pair(header, value)
            if pair[0] not in present:
                moved.append(pair)
    return Wire(wire.method, wire.target, (*wire.headers, *moved)) if moved else wire


def header_pair(name: str, value: str) -> tuple[bytes, bytes]:
    """A header that came in another place, as a `Wire` has it; `name` in lower case.

    :raises S3Error: InvalidArgument for what could not have come in a header.
    """
    if not _TOKEN(name) or _CONTROL(value):
        raise S3Error("InvalidArgument", ArgumentName=name, ArgumentValue=value)
    return name.encode("ascii"), value.encode("utf-8")


#: What the frames of aws-chunked may add to a document, beside a sixteenth of its size.
_FRAMES = 64 * 1024


REAL_DAY = Day()
NO_EVENTS = NoEvents()


def _pass() -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the whole daemon has in common.

    :ivar region: the only region there is, or None.
    :ivar ownership: the object ownership of the buckets that have no ownership controls.
    :ivar lifecycle_day: how long the days of lifecycle rules are.
    :ivar rules_seen: is called wherever a bucket is seen to have such rules.
    :ivar events: is told what happens to objects.
    """

    region: str | None
    clock: IReactorTime
    ownership: str
    lifecycle_day: Day = REAL_DAY
    rules_seen: Callable[[], object] = _pass
    events: Events = NO_EVENTS

    @property
    def region_name(self) -> str:
        return self.region or DEFAULT_REGION


def _joined(wire: Wire) -> dict[bytes, bytes]:
    """The headers by name, several lines of one name joined by a comma."""
    values: dict[bytes, bytes] = {}
    for name, value in wire.headers:
        values[name] = values[name] + b"," + value if name in values else value
    return values


@dataclass(slots=True)  # not frozen: that triples the cost of making one
class Call:
    """A request for an operation on what `bucket` and `key` name ("" where there is none).

    :ivar store: an `IStore`; where the right depends on the object, what of it this operation needs.
    :ivar gate: what the request may do in the bucket.
    :ivar users: knows the accounts.
    :ivar wire: as received, with the ``x-amz-*`` of the query among the headers.
    :ivar values: its headers by name, joined, where they are known already.
    """

    request: Request
    store: Any
    gate: Gate
    users: IUserDirectory
    claim: Claim
    signer: Signer | None
    settings: Settings
    wire: Wire
    bucket: str = ""
    key: str = ""
    values: Mapping[bytes, bytes] | None = None

    def header(self, name: str) -> str | None:
        """A header as text (UTF-8, or else Latin-1), several lines joined by a comma; `name` in lower case."""
        if self.values is None:
            self.values = _joined(self.wire)
        value = self.values.get(name.encode("ascii"))
        return None if value is None else header_text(value)

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter, or None."""
        return self.request.query.get(name)

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self.gate.principal

    @property
    def version(self) -> str:
        """The id of the version that the request names; "" for the current one."""
        return self.gate.version

    @property
    def access(self) -> BucketAccess:
        """What is known of the bucket."""
        return self.gate.access

    @property
    def owner(self) -> Owner:
        """The owner of the bucket; who asks, where there is no bucket."""
        return owner_of(self.gate.access.owner)

    async def gate_to(self, bucket: str, key: str, action: str, version: str = "") -> Gate:
        """What this request may do in a bucket, and to an object there; see `gate_of`.

        :param version: the id by which it names a version of the object, if it does.
        """
        gate = await gate_of(self.store, self.gate.principal, bucket, action, self.settings.ownership)
        gate.key, gate.version = key, version
        self.inform(gate)
        return gate

    def inform(self, gate: Gate) -> None:
        """Let a gate know of this request what conditions can ask for."""
        if gate.access.policy is not None or gate.principal.policy is not None:
            asked = self._asked()
            gate.context = RequestContext(lambda: asked, gate.access.owner)

    def _asked(self) -> Asked:
        return Asked(
            self.gate.principal,
            self.claim.kind,
            self.claim.payload_hash,
            self.signer.timestamp if self.signer else "",
            self.settings.region_name,
            self.request.channel,
            self.request.received_s,
            self.request.log.operation,
            self.header,
            self.parameter,
        )

    @property
    def resource(self) -> str:
        """The bucket or object as error documents name it."""
        return f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}"

    def url(self, path: str) -> str:
        """The URL of a path of this server as this client reaches it."""
        scheme = "https" if self.request.isSecure() else "http"
        return f"{scheme}://{self.request.header('host') or ''}{path}"

    def payload(
        self, *, default_algorithm: str = "", second_algorithm: str = "", checksum_headers: bool = True
    ) -> Payload:
        """What decodes and verifies the body; see `zs3.auth.payload.make_payload`."""
        return make_payload(
            self.wire,
            self.signer,
            content_length=self.request.content_length,
            payload_hash=self.claim.payload_hash,
            default_algorithm=default_algorithm,
            second_algorithm=second_algorithm,
            checksum_headers=checksum_headers,
        )

    async def configure(self, name: str, value: Any) -> None:
        """Give the bucket's configuration a JSON value, in place of what it has of that name."""
        await self.store.change_configuration(self.bucket, lambda configuration: configuration.update({name: value}))

    async def unconfigure(self, name: str) -> None:
        """Take from the bucket's configuration what it has of that name, if anything."""
        await self.store.change_configuration(self.bucket, lambda configuration: configuration.pop(name, None))

    async def read_document(self, limit: int, *, checksum_headers: bool = True) -> bytes:
        """The whole body, decoded and verified, of at most `limit` bytes.

        :raises S3Error: MaxMessageLengthExceeded, and what a body that is not as announced fails with.
        """
        payload = self.payload(checksum_headers=checksum_headers)
        pieces: list[bytes] = []
        size = 0
        announced = payload.decoded_length or 0
        while max(size, announced) <= limit:
            data = await self.request.body.read()
            if not data:
                payload.finish()
                return b"".join(pieces)
            # In small frames aws-chunked is many times what it holds, and each frame takes time.
            if self.request.body.received > announced + announced // 16 + _FRAMES and announced:
                break
            pieces.append(b"".join(payload.feed(data)))
            size += len(pieces[-1])
        raise S3Error("MaxMessageLengthExceeded", MaxMessageLengthBytes=str(limit))


Handler = Callable[[Call], Coroutine[Any, Any, None]]
