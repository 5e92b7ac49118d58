"""GET and HEAD of an ordinary object that the kernel has at hand.

A short cut through `guard`, `resources` and `objects`, for the requests of which
there are most.  It serves what they would serve, in the same words, and leaves
alone what it is not sure of: other operations, odd names and headers, refusals.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from twisted.python.failure import Failure

from zs3.auth.access import BucketAccess, Principal, bucket_access
from zs3.auth.credentials import UsersChecker
from zs3.auth.usual import signer_of
from zs3.auth.wire import UNSIGNED_PAYLOAD
from zs3.errors import S3Error
from zs3.store.interface import IFileReader
from zs3.store.values import BucketState, Configuration, ObjectInfo
from zs3.web import operations
from zs3.web.accesslog import RequestLog
from zs3.web.authorize import Gate, account_block_now
from zs3.web.call import Settings
from zs3.web.channel import Channel
from zs3.web.context import Asked, RequestContext
from zs3.web.coroutines import begin
from zs3.web.headers import TAG_COUNT, representation
from zs3.web.http1 import Head, header_lines, header_text
from zs3.web.lifecycle import EXPIRATION, expiration
from zs3.web.locking import lock_headers
from zs3.web.objects import Answer
from zs3.web.producers import SMALL, answer_object
from zs3.web.query import Query
from zs3.web.ranges import Span
from zs3.web.request import Request, new_request_id
from zs3.web.responses import send_error
from zs3.web.versions import version_header

#: Header fields that choose what is answered.
_SELECTING = frozenset(
    (
        *(b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"),
        *(b"range", b"if-range", b"x-amz-checksum-mode"),
    )
)
#: All others that are served here: they mean nothing to GetObject and HeadObject, or are the signature's.
_ORDINARY = _SELECTING | frozenset(
    (
        *(b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"connection", b"content-length"),
        *(b"authorization", b"date", b"x-amz-date", b"x-amz-content-sha256", b"x-amz-user-agent"),
        *(b"amz-sdk-invocation-id", b"amz-sdk-request", b"x-amzn-trace-id", b"traceparent"),
    )
)
#: A bucket and a key that are spelled like this stand for themselves, and the signature is over this spelling.
_TARGET = re.compile(rb"/([A-Za-z0-9][A-Za-z0-9.-]{0,62})/([A-Za-z0-9._~/-]{1,1024})", re.ASCII).fullmatch
_NO_QUERY = Query()
#: Of so many buckets it is remembered what their configurations mean: as many as the store remembers.
_REMEMBERED = 64
#: Of so many objects it is remembered what is said of them, if that is no more than so many bytes.
_OBJECTS = 1024
_SHORT = 1024
_OPERATIONS = {
    method: operations.find(operations.OBJECT, method.decode("ascii"), (), lambda _: None)
    for method in (b"GET", b"HEAD")
}


class Express:
    """Knows what the guard and the realm know.

    :param store: an `IStore`.
    :param unsigned: whether requests that nobody signed are let in.
    """

    def __init__(self, store: Any, users: UsersChecker, settings: Settings, *, unsigned: bool) -> None:
        self._store, self._users, self._settings, self._unsigned = store, users, settings, unsigned
        self._known: dict[str, tuple[Configuration, BucketAccess]] = {}
        self._shown: dict[int, _Plain] = {}

    def serve(self, head: Head, channel: Channel) -> bool:
        """Answer, now or later, or do nothing and say False.

        :param head: of a request without a body.
        """
        now = self._settings.clock.seconds()
        try:
            found = self._find(head, channel, now)
        except S3Error:
            return False  # the ordinary way finds it too, and says it
        except Exception:
            send_error(channel.begin_request(head), Failure())
            return True
        if found is None:
            return False
        if found.content is None:
            request = channel.begin_request(head)
            request.log = found.log
            begin(_send(request, found))
            return True
        request_id = new_request_id()
        found.log.bytes_out = len(found.content)
        channel.answer_at_once(request_id, head, found.status, found.lines, found.content)
        channel.site.log_answer(found.log, channel.getPeer(), now, found.status, request_id)
        return True

    def _find(self, head: Head, channel: Channel, now: float) -> _Found | None:
        """The answer, or None where the ordinary way must see to it.

        :raises S3Error: there is one, but not this.
        """
        operation = _OPERATIONS.get(head.method)
        target = _TARGET(head.target)
        if operation is None or target is None or not head.values.keys() <= _ORDINARY:
            return None
        bucket, key = target[1].decode("ascii"), target[2].decode("ascii")
        user = None
        if b"authorization" in head.values:
            user = signer_of(head.method, head.target, head.values, self._users, now=now, region=self._settings.region)
            if user is None:
                return None
        elif not self._unsigned or b"x-amz-content-sha256" in head.values:
            return None
        state = self._store.look_now(bucket)
        if state is None:
            return None
        access = self._access(state)
        block = account_block_now(self._store, access.owner)
        if block is None:
            return None
        access = access.within(block)
        reader: IFileReader | None = self._store.open_now(bucket, key)
        if reader is None:
            return None
        info = reader.info()
        principal = Principal(user)
        gate = Gate(principal, bucket, access, key)
        if access.policy is not None or principal.policy is not None:
            ask = functools.partial(self._asked, head, channel, principal, now, operation.name)
            gate.context = RequestContext(ask, access.owner)
        if not gate.may(operation.iam, info.attributes):
            reader.close()
            return None
        content: bytes | None = b""
        try:
            if _SELECTING.isdisjoint(head.values):
                _, headers, lines = self._plain(info)
                status, span = 200, Span(0, info.size)
            else:
                answer = Answer(functools.partial(_header, head), _NO_QUERY, info)
                status, headers, lines, span = answer.status, answer.headers, b"", answer.span
            if not gate.may_see_tags(info.attributes):
                headers = {name: value for name, value in headers.items() if name != TAG_COUNT}
                lines = b""
            more = {
                name: value.encode("ascii") for name, value in version_header(state.configuration, info.version).items()
            }
            if status != 304:
                more |= lock_headers(gate, info.attributes)
                expires = expiration(state.configuration, self._settings, info)
                if expires is not None:
                    more[EXPIRATION] = expires.encode("ascii")
            if more:
                headers, lines = {**headers, **more}, b""
            if span.size and status != 304 and operation.method != "HEAD":
                content = reader.read_now(span.first, span.size) if span.size <= SMALL else None
                if content and not reader.unchanged_now():
                    content = None
        except BaseException:
            reader.close()
            raise
        if content is not None:
            reader.close()
            lines = lines or header_lines(headers)
        log = RequestLog(operation.name, bucket, key, "" if user is None else user.access_key)
        log.at_once = content is not None
        return _Found(status, headers, lines, span, content, reader, log)

    def _plain(self, info: ObjectInfo) -> _Plain:
        """What is said of all of an object; of one that the store remembers it is as it was before."""
        known = self._shown.get(id(info))
        if known is not None and known.info is info:
            return known
        headers = representation(info)
        headers["content-length"] = b"%d" % info.size
        plain = _Plain(info, headers, header_lines(headers))
        about = info.attributes
        # Others are read from the disk each time, and can be large.
        if not (about.metadata or about.tags or about.access or info.part_sizes) and len(plain.lines) <= _SHORT:
            if len(self._shown) >= _OBJECTS:
                self._shown.clear()
            self._shown[id(info)] = plain
        return plain

    def _access(self, state: BucketState) -> BucketAccess:
        """What is known of a bucket, as long as the store has one and the same configuration of it."""
        name, configuration = state
        known = self._known.get(name)
        if known is not None and known[0] is configuration:
            return known[1]
        access = bucket_access(configuration, self._settings.ownership, name)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[str(name)] = configuration, access
        return access

    def _asked(self, head: Head, channel: Channel, principal: Principal, now: float, operation: str) -> Asked:
        return Asked(
            principal,
            "none" if principal.user is None else "header",
            header_text(head.values.get(b"x-amz-content-sha256", UNSIGNED_PAYLOAD.encode("ascii"))),
            "" if principal.user is None else header_text(head.values[b"x-amz-date"]),
            self._settings.region_name,
            channel,
            now,
            operation,
            functools.partial(_header, head),
            lambda _: None,
        )


class _Plain(NamedTuple):
    """The headers of a whole object, which nobody may change, and as they are sent."""

    info: ObjectInfo
    headers: Mapping[str, bytes]
    lines: bytes


class _Found(NamedTuple):
    """An answer: all of it, with `lines`, or with `content` None, what of `reader` must be sent."""

    status: int
    headers: Mapping[str, bytes]
    lines: bytes
    span: Span
    content: bytes | None
    reader: IFileReader
    log: RequestLog


def _header(head: Head, name: str) -> str | None:
    value = head.values.get(name.encode("ascii"))
    return None if value is None else header_text(value)


async def _send(request: Request, found: _Found) -> None:
    try:
        await answer_object(request, found.status, found.headers, found.reader, found.span.first, found.span.size)
    except Exception:
        send_error(request, Failure())
    finally:
        found.reader.close()
