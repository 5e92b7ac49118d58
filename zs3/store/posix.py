"""The store's operations on a POSIX file system, blocking: what `zs3.store.deferred` runs in threads.

Each method is one operation, or the longest part of one that needs no waiting.
Those that mutate may raise `WouldBlock`, having done nothing that harms when
they are called again.  `call` turns `OSError` into `S3Error`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import ParamSpec, Protocol, TypeVar

from zs3 import checksums
from zs3.checksums import DEFAULT, FULL_OBJECT, Checksum
from zs3.errors import S3Error
from zs3.store import (
    changes,
    commit,
    completion,
    configuration,
    layout,
    listing,
    lookup,
    paths,
    preconditions,
    records,
    uploads,
)
from zs3.store.buckets import Bucket, Buckets
from zs3.store.dircache import DirectoryCache
from zs3.store.durability import Durability
from zs3.store.interface import (
    NOT_LOCKED,
    Attributes,
    AttributesChange,
    BucketInfo,
    BucketState,
    CompletedPart,
    Configuration,
    ConfigurationChange,
    Digests,
    ListPage,
    ListQuery,
    Lock,
    ObjectInfo,
    PartInfo,
    PartsPage,
    PinnedName,
    Show,
    SourceCheck,
    UploadInfo,
    UploadsPage,
    WriteCondition,
)
from zs3.store.lookup import OpenObject
from zs3.store.memo import Memo
from zs3.store.metadata import Record, parse_etag
from zs3.store.staged import StagedFile
from zs3.store.walk import Source

_P = ParamSpec("_P")
_T = TypeVar("_T")

_READ = 1 << 20
_COPY_TRIES = 3
_REPORTED_MAX = 1000

_ERRORS = {
    errno.ENOSPC: ("StorageFull", None),
    errno.EDQUOT: ("StorageFull", None),
    errno.EFBIG: ("EntityTooLarge", None),
    errno.EROFS: ("AccessDenied", "The data directory is read-only."),
    errno.EACCES: ("AccessDenied", "The server may not do this with the file or directory of this key."),
    errno.EPERM: ("AccessDenied", "The server may not do this with the file or directory of this key."),
    errno.EMFILE: ("SlowDown", None),
    errno.ENFILE: ("SlowDown", None),
    errno.ENOMEM: ("SlowDown", None),
    # Another program holds a lease on the file (Samba's oplocks, NFS delegations) and has just been asked for it.
    errno.EAGAIN: ("SlowDown", "Another program has this file open; try again."),
    errno.ENAMETOOLONG: ("KeyTooLongError", None),
    errno.EXDEV: ("InvalidRequest", "The key's path leads to another file system."),
}


def call(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call `function`; what the file system answers and a client should know becomes an `S3Error`."""
    try:
        return function(*args, **kwargs)
    except OSError as error:
        if error.errno not in _ERRORS:
            raise
        raise S3Error(*_ERRORS[error.errno]) from error


class Target(Protocol):
    """What a body is being written to: an object or a part, in a bucket that is opened once for several steps."""

    def opened(self) -> AbstractContextManager[Bucket]:
        """The bucket, for a block in which the steps are done."""

    def begin(self, bucket: Bucket) -> StagedFile:
        """Check that it can be written to, and make its temporary file."""

    def seal(self, bucket: Bucket, staged: StagedFile, digests: Digests) -> None:
        """Make the temporary file durable with all that belongs to it."""

    def publish(self, bucket: Bucket, staged: StagedFile) -> ObjectInfo | PartInfo:
        """Make it visible; may raise `WouldBlock` and be called again."""


class PosixStore:
    """A data directory.

    :param report: told, once each, what the administrator should know.
    """

    def __init__(
        self,
        data: str,
        *,
        sync: bool,
        file_mode: int,
        directory_mode: int,
        cache_size: int,
        report: Callable[[str], None],
    ) -> None:
        path = os.path.realpath(os.fsencode(data))
        self.durability = Durability(enabled=sync, report=report)
        self.buckets = Buckets(path, self.durability, directory_mode=directory_mode)
        self.file_mode = file_mode
        self.directory_mode = directory_mode
        self._directories = DirectoryCache(cache_size // 2)
        self._memo = Memo(cache_size // 2)
        self._report = report
        self._reported: set[str] = set()

    def start(self) -> None:
        """Make what is needed for writing, and clear away what dead processes left.

        A directory that cannot be written to is served for reading.
        """
        try:
            self.buckets.start(self._report_once)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._report("there is no space left in the data directory")
            elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                self._report("the data directory is not writable: serving it for reading only")
            else:
                raise
            return
        for staging in self.buckets.stagings():
            uploads.sweep(self.buckets, staging)
        fd, path = self.buckets.shared.create(0o600)
        with paths.opened(fd):
            for warning in records.warnings(fd):
                self._report(warning)
            os.unlink(path)

    def stop(self) -> None:
        self.buckets.stop()

    # Buckets

    def list_buckets(self) -> list[BucketInfo]:
        return self.buckets.list(self._report_once)

    def create_bucket(self, name: str, configured: Configuration) -> BucketInfo:
        return self.buckets.create(name, time.time_ns(), configured)

    def get_configuration(self, name: str) -> Configuration:
        with self.buckets.opened(name) as bucket:
            return configuration.read(bucket)

    def look_at(self, name: str) -> BucketState:
        with self.buckets.opened(name) as bucket:
            return BucketState(PinnedName.of(name, bucket.id), configuration.read(bucket))

    def change_configuration(self, name: str, change: ConfigurationChange) -> Configuration:
        with self.buckets.opened(name, claim=True) as bucket:
            return configuration.change(bucket, change, self.buckets.internals)

    def get_bucket(self, name: str) -> BucketInfo:
        return self.buckets.info(name)

    def delete_bucket(self, name: str) -> None:
        with self._opened_to_delete(name) as bucket, bucket.locked(None):
            if bucket.is_gone():
                raise S3Error("NoSuchBucket", BucketName=name)
            if not listing.is_empty(bucket, Source(self._directories, self._memo, self._report_name)):
                raise S3Error("BucketNotEmpty", BucketName=name)
            pending = uploads.of_bucket(self.buckets.internals, bucket)
            self.buckets.remove(bucket)
            for upload in pending:
                upload.discard()

    def _report_name(self, name: bytes) -> None:
        self._report_once(f"the name {name!r} stands for no key: the file or directory is not served")

    def _report_once(self, message: str) -> None:
        if message not in self._reported and len(self._reported) < _REPORTED_MAX:
            self._reported.add(message)
            self._report(message)

    # Reading

    def open_object(self, bucket: str, key: str) -> OpenObject:
        with self.buckets.opened(bucket) as opened:
            return lookup.open_object(opened, key)

    def get_object_info(self, bucket: str, key: str) -> ObjectInfo:
        with self.buckets.opened(bucket) as opened:
            found = lookup.find_info(opened, key)
        if found is None:
            raise S3Error("NoSuchKey", Key=key)
        return found

    def get_part_checksums(self, bucket: str, info: ObjectInfo) -> Sequence[bytes]:
        with self.buckets.opened(bucket) as opened:
            return opened.records().part_checksums(info)

    def list_objects(self, bucket: str, query: ListQuery, show: Show, exclusive: bool) -> ListPage:
        """:param exclusive: take the bucket's lock for a directory that does not hold still; it may block."""
        with self.buckets.opened(bucket) as opened:
            lock = (lambda: _locked_if_possible(opened)) if exclusive and opened.id else None
            source = Source(self._directories, self._memo, self._report_name, lock)
            return listing.list_page(opened, query, show, source)

    # Writing

    def stage(self, bucket: Bucket, length: int | None = None) -> StagedFile:
        return StagedFile.create(bucket.staging(), self.durability, self.file_mode, length, bucket.calls)

    def publish(self, bucket: str, key: str, staged: StagedFile, condition: WriteCondition) -> ObjectInfo:
        """Make a sealed file the object of `key`; see `commit.publish`."""
        with self.buckets.opened(bucket, claim=True) as opened:
            return commit.publish(opened, key, staged, condition, self.durability, self.directory_mode)

    def delete_object(self, bucket: str, key: str, condition: WriteCondition) -> bool:
        with self._opened_to_delete(bucket) as opened:
            if not layout.is_key(key):
                preconditions.check(condition, None)
                return False
            return commit.remove(opened, key, condition, self.durability)

    def change_object(self, bucket: str, key: str, change: AttributesChange) -> ObjectInfo:
        """Change an object's record; see `changes.change`."""
        with self.buckets.opened(bucket, claim=True) as opened:
            return changes.change(opened, key, change, self.stage, self.durability)

    @contextmanager
    def _opened_to_delete(self, name: str) -> Iterator[Bucket]:
        """Open a bucket for a block, with an id if there is room for one: a full disk must not stop what makes room."""
        with ExitStack() as stack:
            try:
                bucket = stack.enter_context(self.buckets.opened(name, claim=True))
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                bucket = stack.enter_context(self.buckets.opened(name))
            yield bucket

    def stage_copy(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        check: SourceCheck,
        attributes: AttributesChange | None,
        checksum_algorithm: str,
    ) -> StagedFile:
        """A sealed copy of an object, to be published as `key`."""
        check_key(key)
        with self.buckets.opened(bucket, claim=True) as opened:
            staged, source = self._copied(source_bucket, source_key, opened, check, None)
            try:
                checksum = source.checksum
                if checksum_algorithm and (
                    checksum is None or checksum.kind != FULL_OBJECT or checksum.algorithm != checksum_algorithm
                ):
                    checksum = _checksum(staged, checksum_algorithm)
                digest, suffix = parse_etag(source.etag)
                kept = source.attributes if attributes is None else attributes(source)
                record = Record(staged.size, 0, digest, suffix, kept, checksum)
                staged.seal(record, opened.records(), key)
                return staged
            except BaseException:
                staged.discard()
                raise

    def _copied(
        self,
        source_bucket: str,
        source_key: str,
        bucket: Bucket,
        check: SourceCheck,
        span: tuple[int, int] | None,
    ) -> tuple[StagedFile, ObjectInfo]:
        """The bytes of an object, or some of them, in a temporary file for `bucket`; and what the object was."""
        for _ in range(_COPY_TRIES):
            source = self.open_object(source_bucket, source_key)
            try:
                check(source.info)
                first, last = span or (0, source.info.size - 1)
                if span is not None and not 0 <= first <= last < source.info.size:
                    raise S3Error("InvalidRange", ActualObjectSize=str(source.info.size))
                staged = self.stage(bucket)
                try:
                    length = last - first + 1
                    if staged.copy(source.fd, first, length) == length and source.unchanged():
                        return staged, source.info
                except BaseException:
                    staged.discard()
                    raise
                staged.discard()
            finally:
                source.close()
        raise S3Error("SlowDown", "The source is being changed by another program.")

    # Multipart uploads

    def create_upload(
        self,
        bucket: str,
        key: str,
        attributes: Attributes,
        checksum_algorithm: str,
        checksum_type: str,
        initiator: str,
    ) -> UploadInfo:
        check_key(key)
        with self.buckets.opened(bucket, claim=True) as opened:
            now = time.time_ns()
            return uploads.create(
                self.buckets.internals, opened, key, now, attributes, checksum_algorithm, checksum_type, initiator
            )

    def get_upload(self, bucket: str, key: str, upload_id: str) -> UploadInfo:
        with self.buckets.opened(bucket) as opened:
            return uploads.find(self.buckets.internals, opened, key, upload_id).info

    def copy_part(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        check: SourceCheck,
        span: tuple[int, int] | None,
    ) -> PartInfo:
        with self.buckets.opened(bucket, claim=True) as opened:
            upload = uploads.find(self.buckets.internals, opened, key, upload_id)
            staged, source = self._copied(source_bucket, source_key, opened, check, span)
            try:
                whole = staged.size == source.size and "-" not in source.etag
                # Not read, so no MD5 but for a whole object: a number that is the same for the same bytes.
                named = f"{source.etag} {span}".encode()
                digest = bytes.fromhex(source.etag) if whole else hashlib.blake2b(named, digest_size=16).digest()
                algorithm = upload.info.checksum_algorithm
                checksum = source.checksum if staged.size == source.size else None
                if checksum is None or (checksum.algorithm, checksum.kind) != (algorithm or DEFAULT, FULL_OBJECT):
                    checksum = _checksum(staged, algorithm) if algorithm else None
                upload.seal(number, staged, Record(staged.size, 0, digest, checksum=checksum))
                return upload.put(number, staged)
            finally:
                staged.discard()

    def list_parts(self, bucket: str, key: str, upload_id: str, after: int, limit: int) -> PartsPage:
        with self.buckets.opened(bucket) as opened:
            return uploads.list_parts(
                uploads.find(self.buckets.internals, opened, key, upload_id), after=after, limit=limit
            )

    def list_uploads(
        self, bucket: str, prefix: str, delimiter: str, key_marker: str, upload_id_marker: str, limit: int
    ) -> UploadsPage:
        with self.buckets.opened(bucket) as opened:
            return uploads.list_page(
                uploads.of_bucket(self.buckets.internals, opened),
                prefix=prefix,
                delimiter=delimiter,
                key_marker=key_marker,
                upload_id_marker=upload_id_marker,
                limit=limit,
            )

    def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[CompletedPart],
        condition: WriteCondition,
        checksum: Checksum | None,
        size: int | None,
        default_lock: Lock = NOT_LOCKED,
    ) -> ObjectInfo:
        with self.buckets.opened(bucket, claim=True) as opened:
            try:
                upload = uploads.find(self.buckets.internals, opened, key, upload_id)
                with upload.locked():
                    return self._complete(opened, upload, parts, condition, checksum, size, default_lock)
            except S3Error as error:
                if error.code != "NoSuchUpload" or not upload_id:
                    raise
                # Completed before, and the answer lost: tell again what was made, if it still stands.
                info = lookup.find_info(opened, key)
                if info is None or info.upload_id != upload_id:
                    raise
                commit.settle(opened, key, self.durability)
                return info

    def _complete(
        self,
        bucket: Bucket,
        upload: uploads.Upload,
        parts: Sequence[CompletedPart],
        condition: WriteCondition,
        checksum: Checksum | None,
        size: int | None,
        default_lock: Lock,
    ) -> ObjectInfo:
        """Complete an upload whose lock is held."""
        key = upload.info.key
        intent = upload.intent()
        if intent is not None and upload.is_published():
            # A crash came after the rename.  A newer object must survive: never again, only the rest.
            commit.settle(bucket, key, self.durability)
            upload.finish()
            return intent.record.info(key)
        if intent is not None and intent.parts != tuple((part.number, part.etag) for part in parts):
            upload.restore(intent)
            intent = None
        if intent is None:
            intent = completion.plan(upload, parts, checksum, size, default_lock)
            # What fails now need not be copied; what decides is the same check under the key's lock.
            preconditions.check(condition, lookup.find_info(bucket, key))
            upload.assemble(intent)
        staged = upload.assembled()
        try:
            self._seal_whole(bucket, staged, intent.record, key)
            info = commit.publish(bucket, key, staged, condition, self.durability, self.directory_mode)
        except (S3Error, OSError):
            # Not if only its name could not be made durable: it is visible, and must never be published again.
            if not upload.is_published():
                staged.forget_sidecar()
                upload.restore(upload.intent() or intent)
            raise
        finally:
            # Not discarded: of an upload of one part it is the part.
            staged.close()
        upload.finish()
        return info

    def _seal_whole(self, bucket: Bucket, staged: StagedFile, record: Record, key: str) -> None:
        """Seal what was assembled, unless it was before: it may be tried often where the key's lock is busy."""
        status = os.fstat(staged.fd)
        if status.st_size != record.size:
            raise ValueError("what was assembled has not the size of its parts")
        kept = bucket.records()
        found = kept.read(staged.fd, status, key)
        if found is not None and found == record.stamped(status.st_size, status.st_mtime_ns):
            staged.resume(found, kept, key)
            return
        os.fchmod(staged.fd, self.file_mode)
        staged.seal(record, kept, key)

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        with self.buckets.opened(bucket, claim=True) as opened:
            upload = uploads.find(self.buckets.internals, opened, key, upload_id)
            with upload.locked():
                assembled = paths.open_path(upload.file(".object"))
                if assembled is not None:
                    # It may have been sealed as the object, by a completion that did not get further.
                    with paths.opened(assembled[0]) as fd:
                        records.remove_sidecars(opened.records().sidecars(fd, assembled[1], key))
                upload.discard()


class ObjectTarget:
    """An object that is being put."""

    def __init__(
        self,
        store: PosixStore,
        bucket: str,
        key: str,
        attributes: Attributes,
        condition: WriteCondition,
        length: int | None,
    ) -> None:
        self._store, self._bucket, self._key = store, bucket, key
        self._attributes, self._condition, self._length = attributes, condition, length

    def opened(self) -> AbstractContextManager[Bucket]:
        return self._store.buckets.opened(self._bucket, claim=True)

    def begin(self, bucket: Bucket) -> StagedFile:
        check_key(self._key)
        if self._condition != preconditions.ALWAYS:
            # What fails now need not be sent; what decides is the same check under the key's lock.
            preconditions.check(self._condition, lookup.find_info(bucket, self._key))
        return self._store.stage(bucket, self._length)

    def seal(self, bucket: Bucket, staged: StagedFile, digests: Digests) -> None:
        record = Record(digests.size, 0, digests.md5, 0, self._attributes, digests.checksum)
        staged.seal(record, bucket.records(), self._key)

    def publish(self, bucket: Bucket, staged: StagedFile) -> ObjectInfo:
        store = self._store
        return commit.publish(bucket, self._key, staged, self._condition, store.durability, store.directory_mode)


class PartTarget:
    """A part that is being put."""

    def __init__(
        self, store: PosixStore, bucket: str, key: str, upload_id: str, number: int, length: int | None
    ) -> None:
        self._store, self._bucket, self._key = store, bucket, key
        self._upload_id, self._number, self._length = upload_id, number, length

    def opened(self) -> AbstractContextManager[Bucket]:
        return self._store.buckets.opened(self._bucket, claim=True)

    def _upload(self, bucket: Bucket) -> uploads.Upload:
        return uploads.find(self._store.buckets.internals, bucket, self._key, self._upload_id)

    def begin(self, bucket: Bucket) -> StagedFile:
        self._upload(bucket)
        return self._store.stage(bucket, self._length)

    def seal(self, bucket: Bucket, staged: StagedFile, digests: Digests) -> None:
        record = Record(digests.size, 0, digests.md5, checksum=digests.checksum, second=digests.second)
        self._upload(bucket).seal(self._number, staged, record)

    def publish(self, bucket: Bucket, staged: StagedFile) -> PartInfo:
        return self._upload(bucket).put(self._number, staged)


@contextmanager
def _locked_if_possible(bucket: Bucket) -> Iterator[None]:
    """Hold a bucket's lock for a block, or where it cannot be written to, do without."""
    with ExitStack() as stack:
        try:
            stack.enter_context(bucket.locked(None))
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
        yield


def check_key(key: str) -> None:
    """:raises S3Error: for what can be no object's key."""
    if not layout.is_key(key):
        if len(key.encode("utf-8", "surrogatepass")) > layout.KEY_MAX:
            raise S3Error("KeyTooLongError", MaxSizeAllowed=str(layout.KEY_MAX))
        raise S3Error("InvalidArgument", "This key is empty or has characters that XML 1.0 cannot carry.")


def _checksum(staged: StagedFile, algorithm: str) -> Checksum:
    hasher = checksums.new(algorithm)
    offset = 0
    while data := os.pread(staged.fd, _READ, offset):
        hasher.update(data)
        offset += len(data)
    return Checksum(algorithm, hasher.digest())
