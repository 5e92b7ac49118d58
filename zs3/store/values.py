"""What the store is told and tells: buckets, objects, versions, uploads.

Values are frozen; times are integers of nanoseconds since the epoch (UTC),
sizes and offsets integers of bytes, keys and bucket names `str`.  Nothing here
does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

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

    def holds_as_long_as(self, other: Lock) -> bool:
        """Whether whatever the other keeps from being deleted, this does."""
        if other.legal_hold and not self.legal_hold:
            return False
        weaker = other.mode == COMPLIANCE and self.mode != COMPLIANCE
        return not other.until_ns or (self.until_ns >= other.until_ns and not weaker)


NOT_LOCKED = Lock()
#: Where it cannot be known: for good.
UNKNOWN_LOCK = Lock(COMPLIANCE, 1 << 63, True)


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
