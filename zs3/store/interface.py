"""The contract between the S3 operations and what keeps the objects.

The store knows no HTTP: it is told buckets, keys, bytes and attributes (see
`zs3.store.values`), and fails with `zs3.errors.S3Error`.  Every method that
touches the disk returns a Deferred.

`tests/contract` holds what every implementation must do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Interface

from zs3.checksums import Checksum
from zs3.store.values import (
    NOT_CONFIGURED,
    NOT_LOCKED,
    Attributes,
    AttributesChange,
    BucketInfo,
    BucketState,
    CompletedPart,
    Configuration,
    ConfigurationChange,
    Deletion,
    Ingest,
    ListPage,
    ListQuery,
    Lock,
    ObjectInfo,
    PartInfo,
    PartsPage,
    Show,
    ShowVersion,
    SourceCheck,
    UploadInfo,
    UploadsPage,
    VersionsPage,
    VersionsQuery,
    WriteCondition,
)


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
