"""Copies within the store: CopyObject and UploadPartCopy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from zs3 import checksums
from zs3.auth.access import GET_OBJECT, GET_TAGGING
from zs3.errors import S3Error
from zs3.events.rules import CREATED_COPY
from zs3.store.values import NULL_VERSION, VERSIONING, Attributes, DeleteMarkerError, ObjectInfo, PartInfo
from zs3.web import documents, headers, names
from zs3.web.announcing import announcing
from zs3.web.authorize import Denied, Gate
from zs3.web.call import Call
from zs3.web.conditions import check_copy_source, write_condition
from zs3.web.created import attributes_of_new_object
from zs3.web.documents import STORAGE_CLASS
from zs3.web.headers import WEBSITE_REDIRECT
from zs3.web.lifecycle import expiration_headers
from zs3.web.ranges import parse_copy_range, parse_part_number
from zs3.web.slowly import answer_slowly
from zs3.web.uploads import check_begun_by_account
from zs3.web.versions import SOURCE_VERSION_ID, check_version, kept_header, version_header

COPY_SOURCE = "x-amz-copy-source"

#: What a copy does not take from its source: S3 says so of both.
_OWN_HEADERS = (STORAGE_CLASS, WEBSITE_REDIRECT)


@dataclass(frozen=True, slots=True)
class Source:
    """:ivar version: its id; "" for the current one."""

    bucket: str
    key: str
    version: str = ""


def parse_source(text: str) -> Source:
    """What `x-amz-copy-source` names: ``bucket/key`` or ``/bucket/key``, percent-encoded, perhaps with a versionId.

    :raises S3Error: InvalidArgument, KeyTooLongError; NotImplemented for an ARN.
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
    return Source(bucket, key, check_version(version.removeprefix("versionId=")) if mark else "")


def _invalid(text: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ArgumentName=COPY_SOURCE,
        ArgumentValue=text,
    )


@dataclass
class _Original:
    """The source of a copy, as the request may see it.

    :ivar bucket: which very one.
    :ivar gate: to the source.
    :ivar found: the version of it that was last found.
    """

    call: Call
    source: Source
    gate: Gate
    found: str = NULL_VERSION

    @property
    def bucket(self) -> str:
        return self.gate.name

    def check(self, info: ObjectInfo) -> None:
        """Refuse the source as it is found, if it may not be read or not be copied."""
        self.gate.check(GET_OBJECT, info.attributes)
        check_copy_source(self.call.header, info)
        self.found = info.version

    def headers(self) -> dict[str, str]:
        """What is said of what was copied."""
        return kept_header(self.found, SOURCE_VERSION_ID)

    def tell(self, failure: Failure) -> NoReturn:
        """That the source is not there is told to who may list its bucket."""
        if not isinstance(failure.value, S3Error):
            failure.raiseException()
        error = self.gate.told(failure.value, GET_OBJECT)
        if isinstance(error, DeleteMarkerError):
            # The headers that tell of a marker are about what a request is for, and this is the source.
            raise S3Error("NoSuchKey", Key=self.source.key)
        if error.code == "InvalidRequest" and self.source.version and not self.gate.may_know():
            raise Denied("it may be a delete marker, and who may not list the versions is not told")
        raise error


async def _readable_source(call: Call) -> _Original:
    """The source.  What can be decided now is, before anything is said of what is there."""
    source = parse_source(call.header(COPY_SOURCE) or "")
    gate = await call.gate_to(source.bucket, source.key, GET_OBJECT, source.version)
    if not gate.depends_on_object(GET_OBJECT):
        gate.check(GET_OBJECT)
    headers.check_bucket_owner(call.header, call.owner.id)
    source_owner = documents.owner_of(gate.access.owner).id
    headers.check_bucket_owner(call.header, source_owner, name="x-amz-source-expected-bucket-owner")
    headers.check_copy_source_encryption(call.header)
    return _Original(call, source, gate)


def _directive(call: Call, name: str) -> str:
    value = call.header(name) or "COPY"
    if value not in ("COPY", "REPLACE"):
        what = name.removeprefix("x-amz-").replace("-", " ")
        raise S3Error("InvalidArgument", f"Unknown {what}.", ArgumentName=name, ArgumentValue=value)
    return value


async def copy_object(call: Call) -> None:
    """CopyObject."""
    original = await _readable_source(call)
    source, gate = original.source, original.gate
    headers.check_new_object(call.header)
    new_tags = _directive(call, "x-amz-tagging-directive") == "REPLACE"
    given = attributes_of_new_object(call)
    replaces = _directive(call, "x-amz-metadata-directive") == "REPLACE"
    changes = replaces or any(call.header(name) is not None for name in _OWN_HEADERS)
    # An older version may be made the current one again.
    is_itself = (original.bucket, source.key) == (call.bucket, call.key)
    if is_itself and not changes and not (source.version and VERSIONING in gate.configuration):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the"
            " object's metadata, storage class, website redirect location or encryption attributes.",
        )

    def check(info: ObjectInfo) -> None:
        original.check(info)
        if info.attributes.tags and not new_tags:
            gate.check(GET_TAGGING, info.attributes)
            call.gate.request_tags = info.attributes.tags
            call.gate.check_tags_of_new_object()

    algorithm = _checksum_algorithm(call)
    condition = write_condition(call.header)
    copying: Deferred[ObjectInfo] = call.store.copy_object(
        original.bucket,
        source.key,
        call.bucket,
        call.key,
        check=check,
        attributes=lambda info: _attributes(info.attributes, given, replaces=replaces, new_tags=new_tags),
        condition=condition,
        checksum_algorithm=algorithm,
        source_version=source.version,
    )
    copying.addErrback(original.tell)
    copying.addCallback(announcing(call, CREATED_COPY))

    def told(info: ObjectInfo) -> dict[str, str]:
        version = version_header(call.gate.configuration, info.version)
        return version | original.headers() | expiration_headers(call, info)

    await answer_slowly(call, copying, documents.copy_result, told)


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
    return replace(source, headers=kept | own, tags=tags, access=given.access, lock=given.lock)


def _checksum_algorithm(call: Call) -> str:
    algorithm = (call.header("x-amz-checksum-algorithm") or "").upper()
    if algorithm and algorithm not in checksums.ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    return algorithm


async def upload_part_copy(call: Call) -> None:
    """UploadPartCopy."""
    original = await _readable_source(call)
    headers.check_part(call.header)
    number = parse_part_number(call.parameter("partNumber") or "")
    text = call.header("x-amz-copy-source-range")
    span = None if text is None else parse_copy_range(text)
    upload_id = call.parameter("uploadId") or ""
    check_begun_by_account(call, await call.store.get_upload(call.bucket, call.key, upload_id))
    copying: Deferred[PartInfo] = call.store.copy_part(
        original.bucket,
        original.source.key,
        call.bucket,
        call.key,
        upload_id,
        number,
        check=original.check,
        span=span,
        source_version=original.source.version,
    )
    copying.addErrback(original.tell)
    await answer_slowly(call, copying, documents.copy_part_result, lambda _: original.headers())
