"""The XML documents that S3 answers with.

Pure: values of the store in, bytes out.  Elements come in the order of the
Amazon S3 API Reference (some clients read by position).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote

from zs3.auth import accounts
from zs3.auth.access import BucketAccess, object_acl
from zs3.checksums import Checksum
from zs3.errors import S3Error
from zs3.store.values import (
    BucketInfo,
    Deletion,
    ListPage,
    ObjectInfo,
    PartInfo,
    PartsPage,
    Show,
    ShowVersion,
    UploadInfo,
    UploadsPage,
    VersionsPage,
)
from zs3.web import xml
from zs3.web.dates import iso_date
from zs3.web.xml import Element, escaped

#: S3's first region, the one whose name it does not say.
DEFAULT_REGION = "us-east-1"
STANDARD = "STANDARD"
STORAGE_CLASS = "x-amz-storage-class"


@dataclass(frozen=True, slots=True)
class Owner:
    """:ivar id: a canonical user id.
    :ivar name: for people.
    """

    id: str
    name: str

    def add_to(self, parent: Element, name: str = "Owner") -> Element:
        element = parent.add(name)
        element.add("ID", self.id)
        element.add("DisplayName", self.name)
        return element


def owner_of(account: str) -> Owner:
    """How an account is shown."""
    return Owner(accounts.canonical_id(account), accounts.display_name(account))


#: How names are written in a listing: as they are, or percent-encoded for ``encoding-type=url``.
Encoder = Callable[[str], str]


def encoder(encoding_type: str) -> Encoder:
    """For ``url``, everything but unreserved characters and the slash is escaped, a space as %20."""
    return quote if encoding_type else str


def quoted(etag: str) -> str:
    return f'"{etag}"'


def add_checksum(parent: Element, checksum: Checksum | None, *, with_type: bool = False) -> None:
    """Add the element of a checksum, if there is one, and that of its type, if wanted."""
    if checksum is not None:
        parent.add(checksum.element, checksum.text)
        if with_type:
            parent.add("ChecksumType", checksum.kind)


# Buckets --------------------------------------------------------------------------------------------------------------


def buckets(buckets: Iterable[BucketInfo], *, owner: Owner, region: str, prefix: str, token: str) -> bytes:
    root = xml.root("ListAllMyBucketsResult")
    owner.add_to(root)
    parent = root.add("Buckets")
    for each in buckets:
        bucket = parent.add("Bucket")
        bucket.add("Name", each.name)
        bucket.add("CreationDate", iso_date(each.created_ns))
        bucket.add("BucketRegion", region)
    root.add_if("ContinuationToken", token)
    root.add_if("Prefix", prefix)
    return root.document()


def location(region: str) -> bytes:
    """The region, but nothing for us-east-1, which is older than the element."""
    return xml.root("LocationConstraint", "" if region == DEFAULT_REGION else region).document()


def post_response(location: str, bucket: str, key: str, etag: str) -> bytes:
    """What a form asks for with ``success_action_status=201``; `etag` with its quotes."""
    root = xml.root("PostResponse", namespace="")
    for name, text in (("Location", location), ("Bucket", bucket), ("Key", key), ("ETag", etag)):
        root.add(name, text)
    return root.document()


# Listings of objects --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """An object's element in a listing, written by hand: there are a thousand of them on a page.

    :ivar access: of the bucket, where the owner is shown.
    """

    encoding_type: str
    access: BucketAccess | None

    def __call__(self, info: ObjectInfo) -> bytes:
        return self.element("Contents", info, "")

    def element(self, name: str, info: ObjectInfo, version: str) -> bytes:
        """:param version: the elements that tell of the version, "" for none."""
        checksum, owner = "", ""
        if info.checksum is not None:
            algorithm, kind = info.checksum.algorithm, info.checksum.kind
            checksum = f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"
        if self.access is not None:
            owner = _owner_element(object_acl(self.access, info.attributes.access).owner)
        storage = escaped(info.attributes.headers.get(STORAGE_CLASS, STANDARD))
        return (
            f"<{name}><Key>{escaped(encoder(self.encoding_type)(info.key))}</Key>{version}"
            f"<LastModified>{iso_date(info.mtime_ns)}</LastModified><ETag>{escaped(quoted(info.etag))}</ETag>{checksum}"
            f"<Size>{info.size}</Size>{owner}<StorageClass>{storage}</StorageClass></{name}>"
        ).encode()


@dataclass(frozen=True, slots=True)
class _VersionEntry:
    """As `_Entry`, of a version or a delete marker."""

    entry: _Entry

    def __call__(self, info: ObjectInfo, latest: bool) -> bytes:
        told = f"<VersionId>{escaped(info.version)}</VersionId><IsLatest>{'true' if latest else 'false'}</IsLatest>"
        if not info.is_delete_marker:
            return self.entry.element("Version", info, told)
        owner, access = "", self.entry.access
        if access is not None:
            owner = _owner_element(object_acl(access, info.attributes.access).owner)
        return (
            f"<DeleteMarker><Key>{escaped(encoder(self.entry.encoding_type)(info.key))}</Key>{told}"
            f"<LastModified>{iso_date(info.mtime_ns)}</LastModified>{owner}</DeleteMarker>"
        ).encode()


@functools.lru_cache(maxsize=1024)
def _owner_element(account: str) -> str:
    owner = owner_of(account)
    return f"<Owner><ID>{owner.id}</ID><DisplayName>{escaped(owner.name)}</DisplayName></Owner>"


#: The same function for the same, so that what it gave can be used again.
_entry = functools.lru_cache(maxsize=1024)(_Entry)
_version_entry = functools.lru_cache(maxsize=1024)(_VersionEntry)


def _add_prefixes(parent: Element, prefixes: Iterable[str], encode: Encoder) -> None:
    for prefix in prefixes:
        parent.add("CommonPrefixes").add("Prefix", encode(prefix))


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What a listing's answer repeats of its request.

    :ivar encoding_type: ``url`` or "".
    :ivar access: of the bucket, where the owner of every object is to be shown.
    """

    bucket: str
    prefix: str
    delimiter: str
    limit: int
    encoding_type: str
    access: BucketAccess | None = None

    @property
    def encode(self) -> Encoder:
        return encoder(self.encoding_type)

    def entry(self) -> Show:
        """How an object is shown in the answer."""
        return _entry(self.encoding_type, self.access)

    def version_entry(self) -> ShowVersion:
        """How a version is shown in the answer."""
        return _version_entry(_entry(self.encoding_type, self.access))


def _with_page(root: Element, request: ListRequest, page: ListPage | VersionsPage) -> bytes:
    """The document of a listing from where all three are alike: the rest of the request, then what was found."""
    found = page.objects if isinstance(page, ListPage) else page.versions
    encode = request.encode
    root.add("MaxKeys", request.limit)
    root.add_if("Delimiter", encode(request.delimiter))
    root.add_if("EncodingType", request.encoding_type)
    root.add("IsTruncated", page.truncated)
    prefixes = (
        f"<CommonPrefixes><Prefix>{escaped(encode(prefix))}</Prefix></CommonPrefixes>".encode()
        for prefix in page.prefixes
    )
    return root.document_with((*found, *prefixes))


def list_v1(request: ListRequest, page: ListPage, *, marker: str) -> bytes:
    encode = request.encode
    root = xml.root("ListBucketResult")
    root.add("Name", request.bucket)
    root.add("Prefix", encode(request.prefix))
    root.add("Marker", encode(marker))
    # Without a delimiter the last key is the next marker, and S3 leaves it to the client to see that.
    if page.truncated and request.delimiter:
        root.add("NextMarker", encode(page.last))
    return _with_page(root, request, page)


def list_v2(request: ListRequest, page: ListPage, *, token: str | None, next_token: str, start_after: str) -> bytes:
    encode = request.encode
    root = xml.root("ListBucketResult")
    root.add("Name", request.bucket)
    root.add("Prefix", encode(request.prefix))
    root.add_if("StartAfter", encode(start_after))
    if token is not None:
        root.add("ContinuationToken", token)
    root.add_if("NextContinuationToken", next_token)
    root.add("KeyCount", len(page.objects) + len(page.prefixes))
    return _with_page(root, request, page)


def list_versions(request: ListRequest, page: VersionsPage, *, key_marker: str, version_marker: str) -> bytes:
    encode = request.encode
    root = xml.root("ListVersionsResult")
    root.add("Name", request.bucket)
    root.add("Prefix", encode(request.prefix))
    root.add("KeyMarker", encode(key_marker))
    root.add("VersionIdMarker", version_marker)
    if page.truncated:
        root.add("NextKeyMarker", encode(page.next_key))
        root.add_if("NextVersionIdMarker", page.next_version)
    return _with_page(root, request, page)


# Copies, deletes ------------------------------------------------------------------------------------------------------


def copy_result(info: ObjectInfo) -> Element:
    root = xml.root("CopyObjectResult")
    root.add("LastModified", iso_date(info.mtime_ns))
    root.add("ETag", quoted(info.etag))
    add_checksum(root, info.checksum, with_type=True)
    return root


def copy_part_result(part: PartInfo) -> Element:
    root = xml.root("CopyPartResult")
    root.add("LastModified", iso_date(part.mtime_ns))
    root.add("ETag", quoted(part.etag))
    add_checksum(root, part.checksum)
    return root


def delete_result(outcomes: Iterable[tuple[str, str, Deletion | S3Error]], *, quiet: bool) -> bytes:
    """:param outcomes: key, version id as asked for ("" for none), and what was done or why it failed, in the order of
        the request.
    :param quiet: leave out what went well.
    """
    root = xml.root("DeleteResult")
    for key, version, outcome in outcomes:
        failed = isinstance(outcome, S3Error)
        if quiet and not failed:
            continue
        entry = root.add("Error" if failed else "Deleted")
        entry.add("Key", key)
        entry.add_if("VersionId", version)
        if isinstance(outcome, S3Error):
            entry.add("Code", outcome.code)
            entry.add("Message", outcome.message)
        elif outcome.is_delete_marker:
            entry.add("DeleteMarker", True)
            entry.add_if("DeleteMarkerVersionId", outcome.version)
    return root.document()


# Multipart uploads ----------------------------------------------------------------------------------------------------


def initiated(upload: UploadInfo) -> bytes:
    root = xml.root("InitiateMultipartUploadResult")
    root.add("Bucket", upload.bucket)
    root.add("Key", upload.key)
    root.add("UploadId", upload.upload_id)
    return root.document()


def completed(bucket: str, info: ObjectInfo, *, location: str) -> Element:
    root = xml.root("CompleteMultipartUploadResult")
    root.add("Location", location)
    root.add("Bucket", bucket)
    root.add("Key", info.key)
    root.add("ETag", quoted(info.etag))
    add_checksum(root, info.checksum, with_type=True)
    return root


def parts(page: PartsPage, *, access: BucketAccess, marker: int, limit: int, encoding_type: str) -> bytes:
    upload = page.upload
    root = xml.root("ListPartsResult")
    root.add("Bucket", upload.bucket)
    root.add("Key", encoder(encoding_type)(upload.key))
    root.add("UploadId", upload.upload_id)
    _add_initiator(root, upload, access)
    root.add("StorageClass", upload.attributes.headers.get(STORAGE_CLASS, STANDARD))
    root.add("PartNumberMarker", marker)
    root.add("NextPartNumberMarker", page.parts[-1].number if page.parts else 0)
    root.add("MaxParts", limit)
    root.add_if("EncodingType", encoding_type)
    root.add("IsTruncated", page.truncated)
    _add_checksum_choice(root, upload)
    for each in page.parts:
        part = root.add("Part")
        part.add("PartNumber", each.number)
        part.add("LastModified", iso_date(each.mtime_ns))
        part.add("ETag", quoted(each.etag))
        part.add("Size", each.size)
        add_checksum(part, each.checksum)
    return root.document()


def uploads(
    request: ListRequest, page: UploadsPage, *, access: BucketAccess, key_marker: str, upload_id_marker: str
) -> bytes:
    encode = request.encode
    root = xml.root("ListMultipartUploadsResult")
    root.add("Bucket", request.bucket)
    root.add("KeyMarker", encode(key_marker))
    root.add("UploadIdMarker", upload_id_marker)
    if page.truncated:
        root.add("NextKeyMarker", encode(page.next_key))
        root.add("NextUploadIdMarker", page.next_upload_id)
    root.add_if("Delimiter", encode(request.delimiter))
    root.add("Prefix", encode(request.prefix))
    root.add_if("EncodingType", request.encoding_type)
    root.add("MaxUploads", request.limit)
    root.add("IsTruncated", page.truncated)
    for each in page.uploads:
        upload = root.add("Upload")
        upload.add("Key", encode(each.key))
        upload.add("UploadId", each.upload_id)
        _add_initiator(upload, each, access)
        upload.add("StorageClass", each.attributes.headers.get(STORAGE_CLASS, STANDARD))
        upload.add("Initiated", iso_date(each.initiated_ns))
        _add_checksum_choice(upload, each)
    _add_prefixes(root, page.prefixes, encode)
    return root.document()


def _add_initiator(parent: Element, upload: UploadInfo, access: BucketAccess) -> None:
    owner_of(upload.initiator or access.owner).add_to(parent, "Initiator")
    owner_of(object_acl(access, upload.attributes.access).owner).add_to(parent)


def _add_checksum_choice(parent: Element, upload: UploadInfo) -> None:
    parent.add_if("ChecksumAlgorithm", upload.checksum_algorithm)
    parent.add_if("ChecksumType", upload.checksum_type)
