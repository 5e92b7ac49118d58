"""Copies within the store: CopyObject and UploadPartCopy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from zs3 import checksums
from zs3.auth.access import GET_OBJECT, GET_TAGGING, depends_on_object
from zs3.errors import S3Error
from zs3.store.interface import Attributes, ObjectInfo, PartInfo, SourceCheck
from zs3.web import documents, headers, names
from zs3.web.authorize import Gate
from zs3.web.call import Call
from zs3.web.conditions import check_copy_source, write_condition
from zs3.web.created import attributes_of_new_object
from zs3.web.documents import STORAGE_CLASS
from zs3.web.headers import WEBSITE_REDIRECT
from zs3.web.lifecycle import expiration_headers
from zs3.web.objects import is_null_version
from zs3.web.ranges import parse_copy_range, parse_part_number
from zs3.web.slowly import answer_slowly
from zs3.web.uploads import check_begun_by_account

COPY_SOURCE = "x-amz-copy-source"

#: What a copy does not take from its source: S3 says so of both.
_OWN_HEADERS = (STORAGE_CLASS, WEBSITE_REDIRECT)


@dataclass(frozen=True, slots=True)
class Source:
    bucket: str
    key: str


def parse_source(text: str) -> Source:
    """What `x-amz-copy-source` names: ``bucket/key`` or ``/bucket/key``, percent-encoded, perhaps with a versionId.

    :raises S3Error: InvalidArgument, NoSuchVersion, KeyTooLongError; NotImplemented for an ARN.
    """
    path, mark, version = text.partition("?")
    if path.startswith("arn:"):
        raise S3Error("NotImplemented", "Access points are not implemented.", Header=COPY_SOURCE)
    if mark and not version.startswith("versionId="):
        raise _invalid(text)
    try:
        decoded = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid(text) from None
    bucket, slash, key = decoded.removeprefix("/").partition("/")
    if not bucket or not slash or not key:
        raise _invalid(text)
    names.check_key(key)
    if mark and not is_null_version(version.removeprefix("versionId=")):
        raise S3Error("NoSuchVersion", Key=key, VersionId=version.removeprefix("versionId="))
    return Source(bucket, key)


def _invalid(text: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ArgumentName=COPY_SOURCE,
        ArgumentValue=text,
    )


async def _readable_source(call: Call) -> tuple[Source, SourceCheck, Gate]:
    """The source; what refuses it as it is found, if it may not be read or not be copied; and the gate to it.

    What can be decided now is, before anything is said of what is there.
    """
    source = parse_source(call.header(COPY_SOURCE) or "")
    gate = await call.gate_to(source.bucket, source.key, GET_OBJECT)
    if not depends_on_object(gate.principal, GET_OBJECT, gate.access):
        gate.check(GET_OBJECT)
    headers.check_bucket_owner(call.header, call.owner.id)
    source_owner = documents.owner_of(gate.access.owner).id
    headers.check_bucket_owner(call.header, source_owner, name="x-amz-source-expected-bucket-owner")
    headers.check_copy_source_encryption(call.header)

    def check(info: ObjectInfo) -> None:
        gate.check(GET_OBJECT, info.attributes)
        check_copy_source(call.header, info)

    return Source(gate.name, source.key), check, gate


def _directive(call: Call, name: str) -> str:
    value = call.header(name) or "COPY"
    if value not in ("COPY", "REPLACE"):
        what = name.removeprefix("x-amz-").replace("-", " ")
        raise S3Error("InvalidArgument", f"Unknown {what}.", ArgumentName=name, ArgumentValue=value)
    return value


async def copy_object(call: Call) -> None:
    """CopyObject."""
    source, check_source, gate = await _readable_source(call)
    headers.check_new_object(call.header)
    new_tags = _directive(call, "x-amz-tagging-directive") == "REPLACE"
    given = attributes_of_new_object(call)
    replaces = _directive(call, "x-amz-metadata-directive") == "REPLACE"
    changes = replaces or any(call.header(name) is not None for name in _OWN_HEADERS)
    if source == Source(call.bucket, call.key) and not changes:
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the"
            " object's metadata, storage class, website redirect location or encryption attributes.",
        )

    def check(info: ObjectInfo) -> None:
        check_source(info)
        if info.attributes.tags and not new_tags:
            gate.check(GET_TAGGING, info.attributes)
            call.gate.request_tags = info.attributes.tags
            call.gate.check_tags_of_new_object()

    algorithm = _checksum_algorithm(call)
    condition = write_condition(call.header)
    copying: Deferred[ObjectInfo] = call.store.copy_object(
        source.bucket,
        source.key,
        call.bucket,
        call.key,
        check=check,
        attributes=lambda info: _attributes(info.attributes, given, replaces=replaces, new_tags=new_tags),
        condition=condition,
        checksum_algorithm=algorithm,
    )
    copying.addErrback(_tell, gate)
    await answer_slowly(call, copying, documents.copy_result, lambda info: expiration_headers(call, info))


def _attributes(source: Attributes, given: Attributes, *, replaces: bool, new_tags: bool) -> Attributes:
    """Those of a copy.

    :param replaces: headers and metadata are those given.
    :param new_tags: likewise the tags.
    """
    tags = given.tags if new_tags else source.tags
    if replaces:
        return replace(given, tags=tags)
    kept = {name: value for name, value in source.headers.items() if name not in _OWN_HEADERS}
    own = {name: value for name, value in given.headers.items() if name in _OWN_HEADERS}
    return replace(source, headers=kept | own, tags=tags, access=given.access)


def _tell(failure: Failure, gate: Gate) -> NoReturn:
    """That the source is not there is told to who may list its bucket."""
    if isinstance(failure.value, S3Error):
        raise gate.told(failure.value, GET_OBJECT)
    failure.raiseException()


def _checksum_algorithm(call: Call) -> str:
    algorithm = (call.header("x-amz-checksum-algorithm") or "").upper()
    if algorithm and algorithm not in checksums.ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    return algorithm


async def upload_part_copy(call: Call) -> None:
    """UploadPartCopy."""
    source, check, gate = await _readable_source(call)
    headers.check_part(call.header)
    number = parse_part_number(call.parameter("partNumber") or "")
    text = call.header("x-amz-copy-source-range")
    span = None if text is None else parse_copy_range(text)
    upload_id = call.parameter("uploadId") or ""
    check_begun_by_account(call, await call.store.get_upload(call.bucket, call.key, upload_id))
    copying: Deferred[PartInfo] = call.store.copy_part(
        source.bucket,
        source.key,
        call.bucket,
        call.key,
        upload_id,
        number,
        check=check,
        span=span,
    )
    copying.addErrback(_tell, gate)
    await answer_slowly(call, copying, documents.copy_part_result)
