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
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import ParamSpec, TypeVar

from zs3 import checksums
from zs3.checksums import DEFAULT, FULL_OBJECT, Checksum
from zs3.errors import S3Error
from zs3.store import (
    accounts,
    changes,
    commit,
    completion,
    configuration,
    history,
    immutable,
    layout,
    listing,
    lookup,
    paths,
    preconditions,
    records,
    removal,
    uploads,
    versionlist,
    versions,
)
from zs3.store.buckets import Bucket, Buckets
from zs3.store.dircache import DirectoryCache
from zs3.store.directory import HISTORIES, OBJECTS, Exclusive, Tree
from zs3.store.durability import Durability
from zs3.store.lookup import OpenObject
from zs3.store.memo import Memo
from zs3.store.metadata import Record, parse_etag
from zs3.store.observer import StoreObserver
from zs3.store.staged import StagedFile
from zs3.store.values import (
    NOT_LOCKED,
    VERSIONING,
    Attributes,
    AttributesChange,
    BucketInfo,
    BucketState,
    CompletedPart,
    Configuration,
    ConfigurationChange,
    DeleteMarkerError,
    Deletion,
    ListPage,
    ListQuery,
    Lock,
    ObjectInfo,
    PartInfo,
    PartsPage,
    PinnedName,
    Show,
    ShowVersion,
    SourceCheck,
    UploadInfo,
    UploadsPage,
    VersionsPage,
    VersionsQuery,
    WriteCondition,
)
from zs3.store.walk import Source

_P = ParamSpec("_P")
_T = TypeVar("_T")

_READ = 1 << 20
_COPY_TRIES = 3
#: How often an object is looked for that is not there, and no delete marker either.
_LOOKS = 3
_REPORTED_MAX = 1000

_VERSIONS_LEFT = "The bucket you tried to delete is not empty. You must delete all versions in the bucket."

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
    # A network or clustered file system, which may answer again.
    errno.ENOTCONN: ("ServiceUnavailable", "The file system of the data cannot be reached; try again."),
    errno.ECONNABORTED: ("ServiceUnavailable", "The file system of the data cannot be reached; try again."),
    errno.ETIMEDOUT: ("ServiceUnavailable", "The file system of the data does not answer; try again."),
    errno.ESTALE: ("SlowDown", "Others change this all the time; try again."),
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
        freeze: bool = False,
        report: Callable[[str], None],
        observer: StoreObserver | None = None,
    ) -> None:
        self._data = path = os.path.realpath(os.fsencode(data))
        self.durability = Durability(enabled=sync, report=report, observer=observer)
        self.buckets = Buckets(path, self.durability, directory_mode=directory_mode, immutable=freeze)
        self.file_mode = file_mode
        self.directory_mode = directory_mode
        self._directories = DirectoryCache(cache_size // 2, observer)
        self._memo = Memo(cache_size // 2)
        self._report = report
        self._reported: set[str] = set()

    def start(self) -> None:
        """Make what is needed for writing, and clear away what dead processes left.

        A directory that cannot be written to is served for reading.
        """
        try:
            self.buckets.start(self._report_once)
            # It is watched for changes: there from the beginning, that costs a request least.
            self.buckets.internals.make_directory(os.path.join(self._data, accounts.DIRECTORY))
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
            if self.buckets.immutable and not immutable.can_set(fd):
                self._report("no immutable flags can be set here: locked versions are only locked through S3")
            os.unlink(path)

    def stop(self) -> None:
        self.buckets.stop()

    # Buckets

    def list_buckets(self) -> list[BucketInfo]:
        return self.buckets.list(self._report_once)

    def create_bucket(self, name: str, configured: Configuration) -> BucketInfo:
        prepare = history.prepare if configured.get(VERSIONING) else None
        return self.buckets.create(name, time.time_ns(), configured, prepare)

    def get_configuration(self, name: str) -> Configuration:
        with self.buckets.opened(name) as bucket:
            return configuration.read(bucket)

    def look_at(self, name: str) -> BucketState:
        with self.buckets.opened(name) as bucket:
            return BucketState(PinnedName.of(name, bucket.id), configuration.read(bucket))

    def change_configuration(self, name: str, change: ConfigurationChange) -> Configuration:
        with self.buckets.opened(name, claim=True) as bucket:
            return configuration.change(bucket, change, self.buckets.internals, lambda: history.prepare(bucket))

    def get_bucket(self, name: str) -> BucketInfo:
        return self.buckets.info(name)

    def delete_bucket(self, name: str) -> None:
        with self._opened_to_delete(name) as bucket, bucket.locked(None):
            if bucket.is_gone():
                raise S3Error("NoSuchBucket", BucketName=name)
            if not listing.is_empty(bucket, self._source()):
                raise S3Error("BucketNotEmpty", BucketName=name)
            if not versionlist.is_empty(bucket, self._source(HISTORIES)):
                raise S3Error("BucketNotEmpty", _VERSIONS_LEFT, BucketName=name)
            pending = uploads.of_bucket(self.buckets.internals, bucket)
            self.buckets.remove(bucket)
            for upload in pending:
                upload.discard()

    def _source(self, tree: Tree = OBJECTS, lock: Exclusive | None = None) -> Source:
        return Source(self._directories, self._memo, self._report_name, lock, tree)

    def _report_name(self, name: bytes) -> None:
        self._report_once(f"the name {name!r} stands for no key: the file or directory is not served")

    def _report_once(self, message: str) -> None:
        if message not in self._reported and len(self._reported) < _REPORTED_MAX:
            self._reported.add(message)
            self._report(message)

    # Accounts

    def get_account(self, account: str) -> Configuration:
        return accounts.read(self._data, account)

    def change_account(self, account: str, change: ConfigurationChange) -> Configuration:
        return accounts.change(self._data, account, change, self.buckets.internals)

    # Reading

    def open_object(self, bucket: str, key: str, version: str = "") -> OpenObject:
        with self.buckets.opened(bucket) as opened:
            if version:
                return versions.open_version(opened, key, version)
            for last in (*[False] * (_LOOKS - 1), True):
                found = lookup.find(opened, key)
                if found is not None:
                    return found
                error = _missing(opened, key)
                # Others may have removed a delete marker, or written over it, before it was looked for.
                if last or isinstance(error, DeleteMarkerError) or not versions.is_versioned(opened):
                    raise error
            raise AssertionError("the last look is one")

    def get_object_info(self, bucket: str, key: str, version: str = "") -> ObjectInfo:
        found = self.open_object(bucket, key, version)
        found.close()
        return found.info

    def get_part_checksums(self, bucket: str, info: ObjectInfo) -> Sequence[bytes]:
        with self.buckets.opened(bucket) as opened:
            return opened.records().part_checksums(info)

    def list_objects(self, bucket: str, query: ListQuery, show: Show, exclusive: bool) -> ListPage:
        """:param exclusive: take the bucket's lock for a directory that does not hold still; it may block."""
        with self.buckets.opened(bucket) as opened:
            return listing.list_page(opened, query, show, self._source(lock=_exclusive(opened, exclusive)))

    def list_versions(self, bucket: str, query: VersionsQuery, show: ShowVersion, exclusive: bool) -> VersionsPage:
        """:param exclusive: as for `list_objects`."""
        with self.buckets.opened(bucket) as opened:
            lock = _exclusive(opened, exclusive)
            objects, histories = self._source(lock=lock), self._source(HISTORIES, lock)
            return versionlist.list_page(opened, query, show, objects, histories)

    # Writing

    def stage(self, bucket: Bucket, length: int | None = None) -> StagedFile:
        return StagedFile.create(bucket.staging(), self.durability, self.file_mode, length, bucket.calls)

    def publish(self, bucket: str, key: str, staged: StagedFile, condition: WriteCondition) -> ObjectInfo:
        """Make a sealed file the object of `key`; see `commit.publish`."""
        with self.buckets.opened(bucket, claim=True) as opened:
            return commit.publish(opened, key, staged, condition, self.durability, self.directory_mode)

    def delete_object(
        self, bucket: str, key: str, condition: WriteCondition, access: str, version: str, bypass: bool
    ) -> Deletion:
        with self._opened_to_delete(bucket) as opened:
            if not layout.is_key(key):
                preconditions.check(condition, None)
                return Deletion(False, version)
            if version:
                return removal.remove_version(
                    opened, key, version, condition, bypass, self.durability, self.directory_mode
                )
            if versions.is_versioned(opened):
                return removal.delete(opened, key, condition, access, self.stage, self.durability)
            return Deletion(commit.remove(opened, key, condition, self.durability))

    def change_object(self, bucket: str, key: str, change: AttributesChange, version: str) -> ObjectInfo:
        """Change an object's record; see `changes.change`."""
        with self.buckets.opened(bucket, claim=True) as opened:
            try:
                return changes.change(opened, key, version, change, self.stage, self.durability)
            except S3Error as error:
                raise (_missing(opened, key) if error.code == "NoSuchKey" else error) from None

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
        source_version: str,
    ) -> StagedFile:
        """A sealed copy of an object, to be published as `key`."""
        layout.check(key)
        with self.buckets.opened(bucket, claim=True) as opened:
            staged, source = self._copied(source_bucket, source_key, source_version, opened, check, None)
            try:
                checksum = source.checksum
                if checksum_algorithm and (
                    checksum is None or checksum.kind != FULL_OBJECT or checksum.algorithm != checksum_algorithm
                ):
                    checksum = _checksum(staged, checksum_algorithm)
                digest, suffix = parse_etag(source.etag)
                # A copy is not locked because its source is.
                kept = replace(source.attributes, lock=NOT_LOCKED) if attributes is None else attributes(source)
                record = Record(staged.size, 0, digest, suffix, kept, checksum, version=versions.id_for_new(opened))
                staged.seal(record, opened.records(), key)
                return staged
            except BaseException:
                staged.discard()
                raise

    def _open_source(self, bucket: str, key: str, version: str) -> OpenObject:
        try:
            return self.open_object(bucket, key, version)
        except DeleteMarkerError as error:
            if error.current:
                raise
            # Source: API Reference, CopyObject.
            raise S3Error("InvalidRequest", "The source of a copy request may not be a delete marker.") from None

    def _copied(
        self,
        source_bucket: str,
        source_key: str,
        source_version: str,
        bucket: Bucket,
        check: SourceCheck,
        span: tuple[int, int] | None,
    ) -> tuple[StagedFile, ObjectInfo]:
        """The bytes of an object, or some of them, in a temporary file for `bucket`; and what the object was."""
        for _ in range(_COPY_TRIES):
            source = self._open_source(source_bucket, source_key, source_version)
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
        layout.check(key)
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
        source_version: str,
    ) -> PartInfo:
        with self.buckets.opened(bucket, claim=True) as opened:
            upload = uploads.find(self.buckets.internals, opened, key, upload_id)
            staged, source = self._copied(source_bucket, source_key, source_version, opened, check, span)
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
            info = lookup.find_info(bucket, key)
            return info if info is not None and info.upload_id == upload.info.upload_id else intent.record.info(key)
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
        if found is not None and replace(found, version=record.version) == record.stamped(found.size, found.mtime_ns):
            staged.resume(found, kept, key)
            return
        os.fchmod(staged.fd, self.file_mode)
        staged.seal(replace(record, version=versions.id_for_new(bucket)), kept, key)

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        with self.buckets.opened(bucket, claim=True) as opened:
            upload = uploads.find(self.buckets.internals, opened, key, upload_id)
            with upload.locked():
                if upload.is_published():
                    # A crash came before its completion was answered.
                    commit.settle(opened, key, self.durability)
                    upload.finish()
                    raise uploads.no_such(upload_id)
                assembled = paths.open_path(upload.file(".object"))
                if assembled is not None:
                    # It may have been sealed as the object, by a completion that did not get further.
                    with paths.opened(assembled[0]) as fd:
                        records.remove_sidecars(opened.records().sidecars(fd, assembled[1], key))
                upload.discard()


def _missing(bucket: Bucket, key: str) -> S3Error:
    """What is told of an object that is not there."""
    marker = versions.marker_of(bucket, key)
    return S3Error("NoSuchKey", Key=key) if marker is None else DeleteMarkerError(marker, current=True)


def _exclusive(bucket: Bucket, wanted: bool) -> Exclusive | None:
    return (lambda: _locked_if_possible(bucket)) if wanted and bucket.id else None


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


def _checksum(staged: StagedFile, algorithm: str) -> Checksum:
    hasher = checksums.new(algorithm)
    offset = 0
    while data := os.pread(staged.fd, _READ, offset):
        hasher.update(data)
        offset += len(data)
    return Checksum(algorithm, hasher.digest())
