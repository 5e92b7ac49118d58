"""The contract between the S3 operations and what keeps the objects.

The store knows no HTTP: it is told buckets, keys, bytes and attributes, and
fails with `zs3.errors.S3Error`.  Every method that touches the disk returns a
Deferred.  Values are frozen; times are integers of nanoseconds since the epoch
(UTC), sizes and offsets integers of bytes, keys and bucket names `str`.

`tests/contract` holds what every implementation must do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from zope.interface import Interface

from zs3.checksums import Checksum
from zs3.errors import S3Error

EMPTY: Mapping[str, str] = MappingProxyType({})

#: What is configured of a bucket: JSON values by name, not to be changed in place.  The store knows no meaning of them.
Configuration = Mapping[str, Any]
NOT_CONFIGURED: Configuration = MappingProxyType({})


#: The value of a bucket's configuration that the store does know: whether versions are kept.  Missing: never were.
VERSIONING = "versioning"
ENABLED, SUSPENDED = "Enabled", "Suspended"
#: Likewise: there if, and only if, versions can be locked, whatever its value.
OBJECT_LOCK = "objectLock"
#: The id of the one version of a key that was not made while versions were kept.
NULL_VERSION = "null"

# Retention modes
GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"


class DamagedError(ValueError):
    """What is configured is not what was written: nothing may be concluded from it."""


class PinnedName(str):
    """The name of a bucket that was looked at: it stands for that very bucket, and not for another that gets its name.

    Whatever takes a bucket's name takes this, and fails with NoSuchBucket once the name is another bucket's.

    :ivar identifier: of the bucket, "" for one that was never written to.
    """

    identifier = ""

    @classmethod
    def of(cls, name: str, identifier: str) -> PinnedName:
        pinned = cls(name)
        pinned.identifier = identifier
        return pinned


class BucketState(NamedTuple):
    """A bucket as it was at one moment."""

    name: PinnedName
    configuration: Configuration


MAX_PARTS = 10_000
MIN_PART_SIZE = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """A bucket.

    :ivar created_ns: when it was created; for a directory made by hand, when that last changed.
    :ivar configuration: what is configured of it.
    """

    name: str
    created_ns: int
    configuration: Configuration = field(default_factory=lambda: NOT_CONFIGURED)


@dataclass(frozen=True, slots=True)
class Lock:
    """What keeps a version from being deleted.

    Source: Amazon S3 User Guide, "Locking objects with Object Lock".

    :ivar mode: `GOVERNANCE`, `COMPLIANCE` or "" for no retention.
    :ivar until_ns: when the retention ends; 0 for none.
    :ivar legal_hold: whether it is kept for as long as this is so.
    """

    mode: str = ""
    until_ns: int = 0
    legal_hold: bool = False

    def is_retained(self, now_ns: int, *, bypass: bool) -> bool:
        """Whether the retention holds.

        :param bypass: whether who asks may pass over `GOVERNANCE`.
        """
        return self.until_ns > now_ns and not (bypass and self.mode == GOVERNANCE)

    def protects(self, now_ns: int, *, bypass: bool) -> bool:
        """Whether the version must not be deleted now; see `is_retained`."""
        return self.legal_hold or self.is_retained(now_ns, bypass=bypass)


NOT_LOCKED = Lock()


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a client stores beside an object's bytes.

    :ivar headers: S3's system headers, names in lower case, e.g. ``content-type``; values as sent.
    :ivar metadata: user metadata, names in lower case without ``x-amz-meta-``.
    :ivar tags: in the order in which they were given.
    :ivar access: whose it is and who else may do what with it, where that is not what it is by default, else "".
        The store knows no meaning of it.
    :ivar lock: what keeps this version from being deleted.
    """

    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    metadata: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    tags: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    access: str = ""
    lock: Lock = NOT_LOCKED


@dataclass(frozen=True, slots=True)
class PartChecksums:
    """The checksums of the parts of an object: few are here, many in a file of their own.

    :ivar values: one behind the other, in the order of the parts, in the algorithm of the object's checksum.
    :ivar file: what names that file, if they are not here.
    """

    values: bytes = b""
    file: bytes = b""


NO_PART_CHECKSUMS = PartChecksums()


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as it is now, or one of its versions.

    :ivar etag: without the quotes.
    :ivar part_sizes: the sizes of the parts of a multipart upload in order, else empty.
    :ivar upload_id: the multipart upload that made it, else "".
    :ivar second: of a part only: a checksum beside the one that it was sent with.
    :ivar part_checksums: where those of its parts are, for `IStore.get_part_checksums` only.
    :ivar version: its version id.  That of a file which others made or changed follows from its state.
    :ivar is_delete_marker: it stands for the object not being there; of such only key, time, version and access count.
    """

    key: str
    size: int
    mtime_ns: int
    etag: str
    attributes: Attributes = field(default_factory=Attributes)
    checksum: Checksum | None = None
    part_sizes: tuple[int, ...] = ()
    upload_id: str = ""
    second: Checksum | None = None
    part_checksums: PartChecksums = NO_PART_CHECKSUMS
    version: str = NULL_VERSION
    is_delete_marker: bool = False


class DeleteMarkerError(S3Error):
    """A delete marker is where an object was asked for: NoSuchKey if it is current, by its id MethodNotAllowed.

    :ivar marker: the marker.
    :ivar current: whether it was asked for as the current version.
    """

    def __init__(self, marker: ObjectInfo, *, current: bool) -> None:
        if current:
            super().__init__("NoSuchKey", Key=marker.key)
        else:
            super().__init__("MethodNotAllowed", Method="GET", ResourceType="DeleteMarker")
        self.marker = marker
        self.current = current


class Deletion(NamedTuple):
    """What became of a deletion.

    :ivar found: whether there was anything to delete.
    :ivar version: the id of the version that was removed, or of the delete marker that was made; "" in a bucket whose
        versions were never kept.
    :ivar is_delete_marker: whether that is a delete marker.
    """

    found: bool
    version: str = ""
    is_delete_marker: bool = False


@dataclass(frozen=True, slots=True)
class Digests:
    """What an `Ingest` knows once its last byte was accepted.

    :ivar checksum: the additional checksum that the client sent, or that was wanted.
    :ivar second: the one that was wanted beside it.
    """

    md5: bytes
    size: int
    checksum: Checksum | None = None
    second: Checksum | None = None


class Ingest(Protocol):
    """Turns the bytes of a request into the bytes of an object, verifying them.

    Pure and without locks; the store calls it from one thread at a time, not
    always the same one, because hashing belongs beside the writing.
    """

    def feed(self, data: bytes, /) -> Iterable[bytes | memoryview]:
        """Take raw bytes, give the object's bytes they hold.  Raises `S3Error` for what cannot be right."""

    def split(self) -> Callable[[bytes], object] | None:
        """Before the first byte: a part of the hashing that may be done beside `feed`, in another thread.

        What is returned takes the same bytes as `feed`, in the same order, all of them before `finish`.  None: `feed`
        does everything.
        """

    def finish(self) -> Digests:
        """There is no more: verify length, signatures and checksums (`S3Error`), give the digests."""


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """What must hold, under the key's lock, for a mutation to happen.

    :ivar if_match: an ETag without quotes, or ``*`` (something must exist).  Without an object: NoSuchKey.
        Another ETag: PreconditionFailed.
    :ivar if_none_match: ``*``: nothing may exist; or an ETag that what exists must not have.  Else PreconditionFailed.
    :ivar size: the size of what exists must be this (DeleteObject).
    :ivar mtime_s: the last-modified time of what exists must be this, in whole seconds (DeleteObject).
    :ivar noncurrent: the version that is removed must not be the current one.  Else PreconditionFailed.
    """

    if_match: str | None = None
    if_none_match: str | None = None
    size: int | None = None
    mtime_s: int | None = None
    noncurrent: bool = False


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One page of a listing, in UTF-8 byte order of whole keys.

    :ivar after: only what is greater than this; a common prefix that is a prefix of it, or equal, is left out too.
    :ivar limit: the most keys and common prefixes together; 0 gives an empty page that is not truncated.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000


#: What a listing tells of an object: a pure function of it, called in a thread; what it gives may be kept.
Show = Callable[[ObjectInfo], bytes]


@dataclass(frozen=True, slots=True)
class ListPage:
    """:ivar objects: as they are shown.
    :ivar last: the greatest key or common prefix of the page (to go on `after`), "" for an empty page.
    """

    objects: Sequence[bytes]
    prefixes: Sequence[str]
    truncated: bool
    last: str


@dataclass(frozen=True, slots=True)
class VersionsQuery:
    """One page of the versions of a bucket: keys in order, of each the current version first, then the younger ones.

    :ivar key_marker: only keys greater than this (for common prefixes see `ListQuery.after`).
    :ivar version_marker: also what comes after this version of `key_marker`; "" for nothing of that key.
    :ivar limit: the most versions, delete markers and common prefixes together.
    """

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_marker: str = ""
    limit: int = 1000


#: What a listing tells of a version, and whether that is the latest: pure, and called in a thread.
ShowVersion = Callable[[ObjectInfo, bool], bytes]


@dataclass(frozen=True, slots=True)
class VersionsPage:
    """:ivar versions: as they are shown, delete markers among them.
    :ivar next_key: where a truncated listing goes on, with `next_version` ("" for a common prefix).
    """

    versions: Sequence[bytes]
    prefixes: Sequence[str]
    truncated: bool
    next_key: str = ""
    next_version: str = ""


@dataclass(frozen=True, slots=True)
class UploadInfo:
    """A multipart upload under way.

    :ivar checksum_algorithm: what CreateMultipartUpload asked for, or "".
    :ivar checksum_type: `COMPOSITE` or `FULL_OBJECT`, or "".
    :ivar initiator: who began it, if that was recorded, else "".
    """

    upload_id: str
    bucket: str
    key: str
    initiated_ns: int
    attributes: Attributes = field(default_factory=Attributes)
    checksum_algorithm: str = ""
    checksum_type: str = ""
    initiator: str = ""


@dataclass(frozen=True, slots=True)
class PartInfo:
    number: int
    size: int
    mtime_ns: int
    etag: str
    checksum: Checksum | None = None
    second: Checksum | None = None


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """A part as CompleteMultipartUpload names it: its ETag without quotes, and its checksum if given."""

    number: int
    etag: str
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class PartsPage:
    upload: UploadInfo
    parts: Sequence[PartInfo]
    truncated: bool


@dataclass(frozen=True, slots=True)
class UploadsPage:
    """`next_key` and `next_upload_id` are where a truncated listing goes on (for a common prefix the id is "")."""

    uploads: Sequence[UploadInfo]
    prefixes: Sequence[str]
    truncated: bool
    next_key: str = ""
    next_upload_id: str = ""


#: What an object's attributes are to be, made of the object as it is.  Pure; raises `S3Error` to leave it so.
AttributesChange = Callable[[ObjectInfo], Attributes]

#: Changes a copy of what is configured of a bucket, in place; raises `S3Error` to leave everything as it is.
ConfigurationChange = Callable[[dict[str, Any]], None]

#: Called with the source of a copy as it is; raises `S3Error` if it may not be copied.
SourceCheck = Callable[[ObjectInfo], None]


class IObjectReader(Interface):
    """An open object.  Later overwrites and deletes do not disturb it."""

    def info() -> ObjectInfo:
        """The object as it was when it was opened; no I/O."""

    def read(offset: int, size: int) -> Deferred[bytes]:
        """Fires with up to `size` bytes from `offset`: fewer only at the end of what is on disk.

        The caller holds what it got against `info().size`: a file that someone
        shortens meanwhile ends early.  One call at a time.
        """

    def unchanged() -> Deferred[bool]:
        """Fires with whether size and modification time are still those of `info()`."""

    def close() -> None:
        """Give the file back.  May be called at any time, also twice; a `read` under way still ends."""


class IFileReader(IObjectReader):
    """An open object that is a file of this machine: what is in memory can be had at once."""

    def read_now(offset: int, size: int) -> bytes | None:
        """`size` bytes if all of them are in memory; else None.  Never waits; not while another call is under way."""

    def is_warm(offset: int, size: int) -> bool:
        """Whether these bytes are in memory, as far as a few looks can tell."""

    def warm(offset: int, size: int) -> Deferred[bool]:
        """Read these bytes into memory; fires with whether the file has all of them."""

    def unchanged_now() -> bool:
        """As `unchanged`, at once."""

    def fileno() -> int:
        """The file's descriptor, to be read from at offsets; it is valid until `close`."""


class IWriter(Interface):
    """A body on its way to the disk.  Nothing is visible before `commit` fires, and nothing stays after `abort`."""

    def open() -> Deferred[None]:
        """Check what can be checked before the first byte (NoSuchBucket, NoSuchUpload, StorageFull).

        Optional: `write` and `commit` do it where it was not done, so a small body costs one hop.
        """

    def write(data: bytes) -> Deferred[None]:
        """Take raw bytes for the `Ingest`; fires when more is welcome.  One call at a time."""

    def commit() -> Deferred[Any]:
        """Finish the `Ingest`, make it durable and visible; fires with `ObjectInfo` or `PartInfo`.

        Fails with `S3Error`; the old object stands then and the temporary file is gone.
        """

    def abort() -> Deferred[None]:
        """Throw away what was written.  Never fails; harmless after `commit` or a second time."""


class IStore(Interface):
    """Buckets of objects.  Every method may fail with NoSuchBucket where it takes an existing bucket,
    with StorageFull, SlowDown (a lock was not had in time) or AccessDenied (the directory is not writable)
    where it writes.
    """

    def list_buckets() -> Deferred[list[BucketInfo]]:
        """Fires with all buckets in byte order of their names."""

    def create_bucket(name: str, configuration: Configuration = NOT_CONFIGURED) -> Deferred[BucketInfo]:
        """Make an empty bucket, durably; it is never seen without what is configured of it.

        BucketAlreadyOwnedByYou if there is one, whosever it is; InvalidBucketName.
        """

    def get_bucket(name: str) -> Deferred[BucketInfo]:
        """Fires with the bucket, or fails with NoSuchBucket."""

    def get_configuration(name: str) -> Deferred[Configuration]:
        """Fires with what is configured of a bucket, as of now."""

    def look_at(name: str) -> Deferred[BucketState]:
        """Fires with which bucket has the name, and what is configured of it, as of now."""

    def look_now(name: str) -> BucketState | None:
        """As `look_at`, at once and without waiting; None where only that can tell."""

    def change_configuration(name: str, change: ConfigurationChange) -> Deferred[Configuration]:
        """Change what is configured of a bucket, durably and as one step; fires with all that is configured then.

        Once `VERSIONING` is `ENABLED`, what is answered later keeps what it replaces.  NotImplemented where the file
        system has no hard links.

        :param change: may be called more than once.
        """

    def delete_bucket(name: str) -> Deferred[None]:
        """Remove an empty bucket and all that belongs to it.  BucketNotEmpty."""

    def get_account(account: str) -> Deferred[Configuration]:
        """Fires with what is configured of an account, as of now; fails with `DamagedError` if that cannot be read.

        :param account: any name; of one that never was, nothing is configured.
        """

    def get_account_now(account: str) -> Configuration | None:
        """As `get_account`, at once and without waiting; None where only that can tell."""

    def change_account(account: str, change: ConfigurationChange) -> Deferred[Configuration]:
        """Change what is configured of an account, durably and as one step; fires with all that is configured then.

        What cannot be read is lost by that, as if nothing had been configured.

        :param change: may be called more than once.
        """

    def open_object(bucket: str, key: str, version: str = "") -> Deferred[IObjectReader]:
        """Open an object for reading.  NoSuchKey, NoSuchVersion, or `DeleteMarkerError`.

        :param version: its id; "" for the current one.
        """

    def get_object_info(bucket: str, key: str, version: str = "") -> Deferred[ObjectInfo]:
        """Fires with what is known of an object, without reading it; fails as `open_object`."""

    def get_part_checksums(bucket: str, info: ObjectInfo) -> Deferred[Sequence[bytes]]:
        """Fires with the checksums of an object's parts, in the algorithm of its own, as far as they are known.

        :param info: of the object, as it was told; nothing is known of its parts once it was replaced.
        """

    def open_now(bucket: str, key: str) -> IFileReader | None:
        """As `open_object`, at once and without waiting; None where only `open_object` can tell.  NoSuchKey."""

    def put_object(
        bucket: str,
        key: str,
        ingest: Ingest,
        *,
        attributes: Attributes,
        condition: WriteCondition,
        length: int | None,
    ) -> IWriter:
        """A writer of one object, at once.

        :param length: the object's size if it is known beforehand, to find out early that it cannot fit.
        """

    def copy_object(
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        *,
        check: SourceCheck,
        attributes: AttributesChange | None,
        condition: WriteCondition,
        checksum_algorithm: str = "",
        source_version: str = "",
    ) -> Deferred[ObjectInfo]:
        """Copy within the store; never through user space where the kernel can.

        NoSuchKey, NoSuchVersion; InvalidRequest where a delete marker is asked for by its id.

        :param attributes: makes the copy's of the source as it is; None keeps them.
        :param checksum_algorithm: what the copy's checksum is to be; "" keeps the source's.
        """

    def delete_object(
        bucket: str, key: str, condition: WriteCondition, *, access: str = "", version: str = "", bypass: bool = False
    ) -> Deferred[Deletion]:
        """Delete an object, or remove one of its versions for good; fires once that is durable.

        Where versions are kept, an object is deleted by a delete marker, also one that is not there.  A version that
        is not there is as good as removed.  AccessDenied for a version that its lock protects.

        :param access: of a delete marker that this makes; see `Attributes.access`.
        :param version: the id of what is to be removed; "" to delete the object.
        :param bypass: whether who asks may pass over a retention in governance mode.
        """

    def change_object(bucket: str, key: str, change: AttributesChange, version: str = "") -> Deferred[ObjectInfo]:
        """Change what is stored beside an object's bytes; fires with the object as it is then, durably.

        Fails as `open_object`.

        Bytes, ETag and modification time stay.

        :param change: called once no other can change or replace the object; in a thread, and perhaps more than once.
        """

    def list_objects(bucket: str, query: ListQuery, show: Show) -> Deferred[ListPage]:
        """Fires with one page.

        :param show: what is told of each object; what one and the same function gave is not asked for again as long
            as the object is the same.
        """

    def list_versions(bucket: str, query: VersionsQuery, show: ShowVersion) -> Deferred[VersionsPage]:
        """Fires with one page of the versions of a bucket; one without any has the objects, as `NULL_VERSION`."""

    def create_upload(
        bucket: str,
        key: str,
        *,
        attributes: Attributes,
        checksum_algorithm: str,
        checksum_type: str,
        initiator: str = "",
    ) -> Deferred[UploadInfo]:
        """Begin a multipart upload."""

    def get_upload(bucket: str, key: str, upload_id: str) -> Deferred[UploadInfo]:
        """Fires with the upload.  NoSuchUpload, also where the id belongs to another bucket or key."""

    def put_part(bucket: str, key: str, upload_id: str, number: int, ingest: Ingest, *, length: int | None) -> IWriter:
        """A writer of one part (1..10000), which replaces an earlier one of that number."""

    def copy_part(
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        *,
        check: SourceCheck,
        span: tuple[int, int] | None,
        source_version: str = "",
    ) -> Deferred[PartInfo]:
        """Make a part of an object or of its bytes `first`..`last` (both included); outside it: InvalidRange."""

    def list_parts(bucket: str, key: str, upload_id: str, *, after: int, limit: int) -> Deferred[PartsPage]:
        """Fires with the parts whose number is greater than `after`, ascending."""

    def list_uploads(
        bucket: str, *, prefix: str, delimiter: str, key_marker: str, upload_id_marker: str, limit: int
    ) -> Deferred[UploadsPage]:
        """Fires with the uploads under way by key, then by time of initiation.

        After `key_marker`; with `upload_id_marker` also those of that very key which come after that upload.
        """

    def complete_upload(
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[CompletedPart],
        *,
        condition: WriteCondition,
        checksum: Checksum | None = None,
        size: int | None = None,
        default_lock: Lock = NOT_LOCKED,
    ) -> Deferred[ObjectInfo]:
        """Make the object of these parts; takes effect once, however often it is called.

        InvalidPart, InvalidPartOrder, EntityTooSmall, NoSuchUpload; the upload stands then.

        :param checksum: the whole object's as the client states it (BadDigest).
        :param size: likewise its size (InvalidRequest).
        :param default_lock: gives the object its retention where none was asked for when the upload began.
        """

    def abort_upload(bucket: str, key: str, upload_id: str) -> Deferred[None]:
        """Forget an upload and its parts.  NoSuchUpload."""
