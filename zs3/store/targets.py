"""What a body can be written to, step by step: an object, or a part of an upload.

Blocking.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from zs3.store import commit, layout, lookup, preconditions, uploads, versions
from zs3.store.buckets import Bucket
from zs3.store.metadata import Record
from zs3.store.staged import StagedFile
from zs3.store.values import Attributes, Digests, ObjectInfo, PartInfo, WriteCondition

if TYPE_CHECKING:
    from zs3.store.posix import PosixStore


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
        layout.check(self._key)
        if self._condition != preconditions.ALWAYS:
            # What fails now need not be sent; what decides is the same check under the key's lock.
            preconditions.check(self._condition, lookup.find_info(bucket, self._key))
        return self._store.stage(bucket, self._length)

    def seal(self, bucket: Bucket, staged: StagedFile, digests: Digests) -> None:
        version = versions.id_for_new(bucket)
        record = Record(digests.size, 0, digests.md5, 0, self._attributes, digests.checksum, version=version)
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
