"""The operations on multipart uploads but for the copied part, which is in `copies`."""

from __future__ import annotations

import re

from zs3 import checksums
from zs3.auth.access import ABORT_UPLOAD, LIST_PARTS
from zs3.auth.integrity import read_integrity
from zs3.checksums import COMPOSITE, FULL_OBJECT, Checksum
from zs3.errors import S3Error
from zs3.events.rules import CREATED_UPLOAD
from zs3.store.values import MAX_PARTS, NOT_LOCKED, ObjectInfo, PartInfo, UploadInfo
from zs3.web import documents, headers
from zs3.web.announcing import announcing
from zs3.web.authorize import Denied
from zs3.web.bodies import COMPLETE_SIZE, parse_complete
from zs3.web.call import Call
from zs3.web.conditions import write_condition
from zs3.web.created import attributes_of_new_object
from zs3.web.documents import quoted
from zs3.web.lifecycle import abort_headers, expiration_headers
from zs3.web.listings import list_request
from zs3.web.locking import check_digest, default_lock
from zs3.web.objects import body_length, receive
from zs3.web.parameters import bounded_number, encoding_type
from zs3.web.ranges import parse_part_number
from zs3.web.responses import send_empty, send_xml
from zs3.web.slowly import answer_slowly
from zs3.web.versions import kept_header
from zs3.web.xml import Element

MAX_LISTED = 1000

_SIZE = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch
_PART_COUNT = re.compile(r"(.*?)-([0-9]{1,5})", re.ASCII).fullmatch


def _upload_id(call: Call) -> str:
    return call.parameter("uploadId") or ""


async def create_multipart_upload(call: Call) -> None:
    """CreateMultipartUpload."""
    headers.check_bucket_owner(call.header, call.owner.id)
    if call.principal.user is None:
        # One upload could not be told from that of another who is nobody.
        raise Denied("nobody began the upload, and so nobody could go on with it")
    headers.check_new_object(call.header)
    attributes = attributes_of_new_object(call, at_once=False)
    algorithm, kind = _checksum_choice(call)
    account = call.principal.account
    upload: UploadInfo = await call.store.create_upload(
        call.bucket,
        call.key,
        attributes=attributes,
        checksum_algorithm=algorithm,
        checksum_type=kind,
        initiator="" if account == call.access.owner else account,
    )
    extra = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind} if algorithm else {}
    send_xml(call.request, documents.initiated(upload), headers={**extra, **abort_headers(call, upload)})


def _checksum_choice(call: Call) -> tuple[str, str]:
    """The algorithm and type of checksum that the upload is to have, or twice "".  InvalidRequest."""
    algorithm = (call.header("x-amz-checksum-algorithm") or "").upper()
    kind = _checksum_type(call)
    if not algorithm:
        if kind:
            raise S3Error(
                "InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm"
            )
        return "", ""
    if algorithm not in checksums.ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    types = checksums.types(algorithm)
    if kind and kind not in types:
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return algorithm, kind or types[0]


def _checksum_type(call: Call) -> str:
    """What `x-amz-checksum-type` says, or "".  InvalidRequest."""
    kind = (call.header("x-amz-checksum-type") or "").upper()
    if kind not in ("", COMPOSITE, FULL_OBJECT):
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    return kind


async def upload_part(call: Call) -> None:
    """UploadPart."""
    headers.check_bucket_owner(call.header, call.owner.id)
    headers.check_part(call.header)
    number = parse_part_number(call.parameter("partNumber") or "")
    claimed = read_integrity(call.wire, trailers_possible=True, checksum_headers=True).algorithm
    upload: UploadInfo = await call.store.get_upload(call.bucket, call.key, _upload_id(call))
    check_begun_by_account(call, upload)
    lock = upload.attributes.lock
    check_digest(call, default_lock(call) if lock == NOT_LOCKED else lock, "Put Part")
    wanted = upload.checksum_algorithm
    if wanted and claimed not in ("", wanted):
        raise S3Error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {wanted.lower()}, actual checksum Type:"
            f" {claimed.lower()}",
        )
    # Of an upload without one, the object's is made of what its parts are given here.
    default = checksums.DEFAULT
    payload = call.payload(default_algorithm=wanted or default, second_algorithm="" if wanted else default)
    length = body_length(call, payload)
    writer = call.store.put_part(call.bucket, call.key, upload.upload_id, number, payload, length=length)
    part: PartInfo = await receive(call, writer, length)
    extra = {part.checksum.header: part.checksum.text} if part.checksum else {}
    send_empty(call.request, 200, {"ETag": quoted(part.etag), **extra})


async def complete_multipart_upload(call: Call) -> None:
    """CompleteMultipartUpload."""
    headers.check_bucket_owner(call.header, call.owner.id)
    headers.check_part(call.header)
    condition = write_condition(call.header)
    checksum, size = _stated_checksum(call), _stated_size(call)
    await _check_stated_type(call)
    await _check_completion(call)
    parts = parse_complete(await call.read_document(COMPLETE_SIZE, checksum_headers=False))
    completing = call.store.complete_upload(
        call.bucket,
        call.key,
        _upload_id(call),
        parts,
        condition=condition,
        checksum=checksum,
        size=size,
        default_lock=default_lock(call),
    )
    completing.addCallback(announcing(call, CREATED_UPLOAD))
    location = _location(call)

    def build(info: ObjectInfo) -> Element:
        return documents.completed(call.bucket, info, location=location)

    def told(info: ObjectInfo) -> dict[str, str]:
        return kept_header(info.version) | expiration_headers(call, info)

    await answer_slowly(call, completing, build, told)


async def _check_stated_type(call: Call) -> None:
    """Refuse to complete an upload as another type of checksum than its own.  BadDigest."""
    kind = _checksum_type(call)
    if not kind:
        return
    try:
        upload: UploadInfo = await call.store.get_upload(call.bucket, call.key, _upload_id(call))
    except S3Error:
        # It may have been completed before: completing it again will tell.
        return
    own = upload.checksum_type or FULL_OBJECT
    if kind != own:
        raise S3Error(
            "BadDigest",
            f"The upload was created using the {own} checksum mode. The complete request must use the same checksum"
            " mode.",
        )


def _stated_checksum(call: Call) -> Checksum | None:
    """The checksum of the whole object as `x-amz-checksum-*` states it.

    :raises S3Error: InvalidRequest for several; BadDigest for what no checksum looks like.
    """
    found = [(name, algorithm) for name, algorithm in checksums.HEADERS.items() if call.header(name) is not None]
    if not found:
        return None
    if len(found) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    ((name, algorithm),) = found
    text = call.header(name) or ""
    composite = _PART_COUNT(text)
    value = checksums.decode(algorithm, composite[1] if composite else text)
    if value is None:
        raise S3Error("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
    return Checksum(algorithm, value, COMPOSITE, int(composite[2])) if composite else Checksum(algorithm, value)


def _stated_size(call: Call) -> int | None:
    text = call.header("x-amz-mp-object-size")
    if text is None:
        return None
    if not _SIZE(text):
        raise S3Error("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.", ArgumentValue=text)
    return int(text)


def _location(call: Call) -> str:
    """The URL of the object as this client reaches it (git-annex reads it)."""
    # The path as sent is right whatever the style of host.
    return call.url(call.request.raw_path.decode("ascii"))


async def abort_multipart_upload(call: Call) -> None:
    """AbortMultipartUpload."""
    headers.check_bucket_owner(call.header, call.owner.id)
    await _check_initiator(call, ABORT_UPLOAD)
    headers.check_abort(call.header)
    await call.store.abort_upload(call.bucket, call.key, _upload_id(call))
    send_empty(call.request, 204)


def check_begun_by_account(call: Call, upload: UploadInfo) -> None:
    """Let nobody go on with an upload but the account that began it, whose the object will be.

    Source: Amazon S3 User Guide, "Multipart upload API and permissions".

    :raises Denied: another account began it.
    """
    if call.principal.account != (upload.initiator or call.access.owner):
        raise Denied("another account began the upload")


async def _check_completion(call: Call) -> None:
    """As `check_begun_by_account`, or NoSuchUpload; but who may know what is in the bucket may ask again."""
    try:
        upload: UploadInfo = await call.store.get_upload(call.bucket, call.key, _upload_id(call))
    except S3Error as error:
        if error.code != "NoSuchUpload" or not call.gate.may_know():
            raise
    else:
        check_begun_by_account(call, upload)


async def _check_initiator(call: Call, action: str) -> None:
    """Let nobody see or abort an upload but who began it, the owner of the bucket, and who may by its policy."""
    if call.principal.account != call.access.owner and not call.gate.decide(action).explicit:
        upload: UploadInfo = await call.store.get_upload(call.bucket, call.key, _upload_id(call))
        if call.principal.account != upload.initiator:
            raise Denied("another account began the upload")


async def list_parts(call: Call) -> None:
    """ListParts."""
    headers.check_bucket_owner(call.header, call.owner.id)
    headers.check_read(call.header)
    limit = bounded_number(call.parameter("max-parts"), "max-parts", default=MAX_LISTED, high=MAX_LISTED)
    marker = bounded_number(call.parameter("part-number-marker"), "part-number-marker", default=0, high=MAX_PARTS)
    encoding = encoding_type(call.parameter("encoding-type"))
    await _check_initiator(call, LIST_PARTS)
    page = await call.store.list_parts(call.bucket, call.key, _upload_id(call), after=marker, limit=limit)
    document = documents.parts(page, access=call.access, marker=marker, limit=limit, encoding_type=encoding)
    send_xml(call.request, document, headers=abort_headers(call, page.upload))


async def list_multipart_uploads(call: Call) -> None:
    """ListMultipartUploads."""
    request = list_request(call, limit="max-uploads", with_owner=False)
    key_marker = call.parameter("key-marker") or ""
    # Without a key marker S3 does not look at it.
    upload_id_marker = (call.parameter("upload-id-marker") or "") if key_marker else ""
    page = await call.store.list_uploads(
        call.bucket,
        prefix=request.prefix,
        delimiter=request.delimiter,
        key_marker=key_marker,
        upload_id_marker=upload_id_marker,
        limit=request.limit,
    )
    document = documents.uploads(
        request, page, access=call.access, key_marker=key_marker, upload_id_marker=upload_id_marker
    )
    send_xml(call.request, document)
