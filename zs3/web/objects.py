"""The operations on one object: put, get, head, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from zs3 import checksums
from zs3.auth.payload import Payload
from zs3.checksums import Checksum
from zs3.errors import S3Error
from zs3.events.rules import CREATED_PUT
from zs3.store.values import Deletion, ObjectInfo
from zs3.web import headers
from zs3.web.announcing import announce, announce_deletions
from zs3.web.call import Call
from zs3.web.conditions import delete_condition, is_not_modified, range_applies, write_condition
from zs3.web.created import access_of_delete_marker, attributes_of_new_object
from zs3.web.documents import quoted
from zs3.web.lifecycle import expiration_headers
from zs3.web.locking import bypasses_governance, check_digest, lock_headers
from zs3.web.producers import answer_object
from zs3.web.query import Query
from zs3.web.ranges import Span, parse_part_number, part_span, resolve_range
from zs3.web.responses import send_empty
from zs3.web.versions import deletion_headers, kept_header, version_header

#: S3's limit for one request; more goes by a multipart upload.
MAX_PUT_SIZE = 5 * 1024**3

#: A body of up to so many bytes is sent without asking the store first whether it can take it.
_SMALL = 1024 * 1024


# Writing --------------------------------------------------------------------------------------------------------------


async def receive(
    call: Call, writer: Any, length: int | None, read: Callable[[], Awaitable[bytes]] | None = None
) -> Any:
    """Pass the body on to an `IWriter` and commit it; fires with what that fires with.

    When anything fails, the client's going included, nothing stays of it.

    :param length: of the object, if it is known.
    :param read: gives the next piece, ``b""`` at the end; by default that of the request's body.
    """
    read = read or call.request.body.read
    received = 0
    try:
        if length is None or length > _SMALL or call.header("expect") is not None:
            # What must be refused is refused before the client sends it.
            await writer.open()
        while data := await read():
            received += len(data)
            if length is None and received > MAX_PUT_SIZE:
                raise _too_large(received)
            await writer.write(data)
        return await writer.commit()
    except Exception:
        await writer.abort()
        raise


def body_length(call: Call, payload: Payload) -> int | None:
    """The size of the body to store; None for one in the chunks of HTTP, which S3 would not take.

    :raises S3Error: MissingContentLength where there is no body and no length either; EntityTooLarge above 5 GiB.
    """
    length = payload.decoded_length
    if length is None and not call.request.has_body:
        raise S3Error("MissingContentLength")
    if length is not None and length > MAX_PUT_SIZE:
        raise _too_large(length)
    return length


def _too_large(size: int) -> S3Error:
    return S3Error("EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed=str(MAX_PUT_SIZE))


def checksum_headers(checksum: Checksum | None) -> dict[str, str]:
    if checksum is None:
        return {}
    return {checksum.header: checksum.text, "x-amz-checksum-type": checksum.kind}


async def put_object(call: Call) -> None:
    """PutObject."""
    headers.check_bucket_owner(call.header, call.owner.id)
    headers.check_new_object(call.header)
    attributes = attributes_of_new_object(call)
    check_digest(call, attributes.lock, "Put Object")
    condition = write_condition(call.header)
    payload = call.payload(default_algorithm=checksums.DEFAULT)
    length = body_length(call, payload)
    writer = call.store.put_object(
        call.bucket, call.key, payload, attributes=attributes, condition=condition, length=length
    )
    info: ObjectInfo = await receive(call, writer, length)
    await announce(call, CREATED_PUT, info)
    send_empty(call.request, 200, uploaded_headers(call, info))


def uploaded_headers(call: Call, info: ObjectInfo) -> dict[str, str]:
    """What is said of an object that a request brought."""
    checksum, version = checksum_headers(info.checksum), kept_header(info.version)
    return {"ETag": quoted(info.etag), **checksum, **version, **expiration_headers(call, info)}


async def delete_object(call: Call) -> None:
    """DeleteObject: what is not there is as good as deleted, though a delete marker is made for it."""
    headers.check_bucket_owner(call.header, call.owner.id)
    condition = delete_condition(call.header)
    deletion: Deletion = await call.store.delete_object(
        call.bucket,
        call.key,
        condition,
        access=access_of_delete_marker(call),
        version=call.version,
        bypass=bypasses_governance(call),
    )
    await announce_deletions(call, [(call.key, call.version, deletion)])
    send_empty(call.request, 204, deletion_headers(deletion, call.version))


# Reading --------------------------------------------------------------------------------------------------------------


def wants_checksum(header: headers.Header) -> bool:
    """Whether the header `x-amz-checksum-mode` asks for the checksum."""
    return (header("x-amz-checksum-mode") or "").upper() == "ENABLED"


def part_checksum(info: ObjectInfo, values: Sequence[bytes], number: int) -> Checksum | None:
    """The checksum of part `number` of an object, if it is among those of all its parts."""
    if info.checksum is None or number > len(values):
        return None
    return Checksum(info.checksum.algorithm, values[number - 1], info.checksum.kind)


class Answer:
    """What GET and HEAD say of an object, and which of its bytes they mean.

    :param part: the checksum of the part that is asked for, if it is known.
    :ivar status: 200, 206 or 304.
    :ivar headers: all of them, Content-Length among them.
    """

    def __init__(self, header: headers.Header, query: Query, info: ObjectInfo, part: Checksum | None = None) -> None:
        """:raises S3Error: PreconditionFailed, InvalidRange, InvalidPartNumber, InvalidRequest, InvalidArgument."""
        self.status = 200
        self.span = Span(0, info.size)
        overrides = headers.parse_overrides(query.pairs)
        if is_not_modified(header, info):
            self.status, self.headers = 304, headers.not_modified(info)
            return
        self.headers = headers.representation(info)
        self.headers.update(overrides)
        checksum = self._select(header, query, info, part)
        self.headers["content-length"] = b"%d" % self.span.size
        if checksum is not None and wants_checksum(header):
            for name, value in checksum_headers(checksum).items():
                self.headers[name] = value.encode("ascii")

    def _select(self, header: headers.Header, query: Query, info: ObjectInfo, part: Checksum | None) -> Checksum | None:
        """Find the bytes; the checksum of just these, if it is known: a client holds it against what it gets."""
        wanted, number = header("range"), query.get("partNumber")
        checksum = None
        if number is not None:
            if wanted is not None:
                raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
            self.span = part_span(parse_part_number(number), info.part_sizes, info.size)
            checksum = part if info.part_sizes else info.checksum
            if info.part_sizes:
                self.headers["x-amz-mp-parts-count"] = b"%d" % len(info.part_sizes)
        elif wanted is not None and range_applies(header, info):
            span = resolve_range(wanted, info.size)
            if span is None:
                return info.checksum
            self.span = span
        else:
            return info.checksum
        # Of no byte there is no Content-Range.
        if self.span.size:
            self.status = 206
            self.headers["content-range"] = self.span.content_range(info.size).encode("ascii")
        return checksum


async def _requested_part(call: Call, info: ObjectInfo) -> Checksum | None:
    """The checksum of the part that is asked for, if it is, and is known.  InvalidArgument."""
    number = call.parameter("partNumber")
    if number is None or not info.part_sizes or not wants_checksum(call.header):
        return None
    return part_checksum(info, await call.store.get_part_checksums(call.bucket, info), parse_part_number(number))


def check_read(call: Call) -> None:
    """Refuse what no read of an object may ask for.

    :raises S3Error: AccessDenied, InvalidRequest.
    """
    headers.check_bucket_owner(call.header, call.owner.id)
    headers.check_read(call.header)
    if call.principal.user is None and any(name in headers.OVERRIDES for name, _ in call.request.query.pairs):
        raise S3Error("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")


async def _answer(call: Call, info: ObjectInfo) -> Answer:
    answer = Answer(call.header, call.request.query, info, await _requested_part(call, info))
    if not call.gate.may_see_tags(info.attributes):
        answer.headers.pop(headers.TAG_COUNT, None)
    extra = version_header(call.gate.configuration, info.version)
    if answer.status != 304 and not call.version:
        # A version that was asked for may not be the current one, and that alone expires.
        extra |= expiration_headers(call, info)
    for name, value in extra.items():
        answer.headers[name] = value.encode("ascii")
    if answer.status != 304:
        answer.headers |= lock_headers(call.gate, info.attributes)
    return answer


async def get_object(call: Call) -> None:
    """GetObject."""
    check_read(call)
    reader = await call.store.open_object(call.bucket, call.key, call.version)
    try:
        info = reader.info()
        answer = await _answer(call, info)
    except Exception:
        reader.close()
        raise
    if answer.status == 304:
        reader.close()
        send_empty(call.request, 304, answer.headers)
        return
    span = answer.span
    await answer_object(call.request, answer.status, answer.headers, reader, span.first, span.size)


async def head_object(call: Call) -> None:
    """HeadObject."""
    check_read(call)
    info = await call.store.get_object_info(call.bucket, call.key, call.version)
    answer = await _answer(call, info)
    send_empty(call.request, answer.status, answer.headers)
