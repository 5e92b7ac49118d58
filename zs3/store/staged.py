"""A file being prepared out of sight: a temporary file, its hashing, its record, its fsync.

Blocking.  It becomes visible by `zs3.store.commit.publish` or by a rename of
the uploads, or it is discarded.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from zs3.store import kernel, records
from zs3.store.calls import WAITING, Calls
from zs3.store.durability import Durability
from zs3.store.internals import Staging
from zs3.store.metadata import Record
from zs3.store.records import Records

#: Below this size there is nothing to gain from reserving the room first.
_PREALLOCATE = 1 << 20
_STEP = 64 << 20
_COPY = 1 << 30


class StagedFile:
    """A temporary file on its way.

    :ivar fd: open for reading and writing.
    :ivar path: where it is, until it is visible or gone.
    :ivar size: what was written so far.
    :ivar sealed: whether all was written and made durable.
    """

    def __init__(
        self, fd: int, path: bytes, durability: Durability, *, size: int | None = None, calls: Calls = WAITING
    ) -> None:
        """:param size: that of the file, if it is known."""
        self.fd = fd
        self.path = path
        self.size = os.fstat(fd).st_size if size is None else size
        self._length = self._reserved = 0
        self._record: Record | None = None
        self._visible = False
        self._durability = durability
        self._records: Records | None = None
        self._key = ""
        self._calls = calls

    @property
    def sealed(self) -> bool:
        return self._record is not None

    @property
    def record(self) -> Record:
        """What `seal` kept with it."""
        if self._record is None:
            raise ValueError("not sealed yet")
        return self._record

    @classmethod
    def create(
        cls, staging: Staging, durability: Durability, mode: int, length: int | None = None, calls: Calls = WAITING
    ) -> StagedFile:
        """A new empty one.

        :param length: the size it will have, if known: what cannot fit is refused at once.
        """
        staged = cls(*staging.create(mode), durability, size=0, calls=calls)
        if length is not None and length >= _PREALLOCATE:
            staged._length = length
            room = os.fstatvfs(staged.fd)
            if room.f_bavail * room.f_frsize < length:
                staged.discard()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return staged

    def write(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Append bytes."""
        if self.size >= self._reserved < self._length:
            # As they come: who only says that much will come takes no room from others.
            step = min(_STEP, self._length - self._reserved)
            kernel.preallocate(self.fd, self._reserved, step)
            self._reserved += step
        for piece in pieces:
            view = memoryview(piece)
            while view:
                done = os.write(self.fd, view)
                view = view[done:]
            self.size += len(piece)

    def copy(self, source: int, offset: int, length: int) -> int:
        """Append bytes of another open file within the kernel, sharing them where the file system can.

        :returns: how many there were: fewer than `length` only if the source ended.
        """
        copied = 0
        while copied < length:
            done = _copy_range(source, self.fd, min(length - copied, _COPY), offset + copied, self.size)
            if done == 0:
                break
            copied += done
            self.size += done
        return copied

    def seal(self, record: Record, kept: Records, key: str, *, differ_from: int | None = None) -> None:
        """Set its time, keep its record and make it durable.  Again where it must differ from what it replaces."""
        self.forget_sidecar()
        self._records, self._key = kept, key
        self._record = kept.write(self.fd, record, key, differ_from=differ_from, calls=self._calls)
        self._durability.flush(self.fd)

    def forget_sidecar(self) -> None:
        """Remove what was kept of it elsewhere, as it will not be visible, or be sealed again."""
        if self._records is not None:
            records.remove_sidecars(self._records.sidecars(self.fd, os.fstat(self.fd), self._key))

    def resume(self, record: Record, kept: Records | None = None, key: str = "") -> None:
        """It was sealed with this record before, by one who did not get further.

        :param kept: None if its sidecars stay whatever becomes of it: it has other names.
        """
        self._record, self._records, self._key = record, kept, key

    def published(self) -> None:
        """It is visible now under another name."""
        self._visible = True
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            # Not at once: of a large file that is gone, this frees what it took.
            os.close(self.fd)
            self.fd = -1

    def discard(self) -> None:
        """Throw it away, unless it is visible already."""
        if self.fd >= 0:
            if not self._visible:
                self.forget_sidecar()
                with suppress(FileNotFoundError):
                    os.unlink(self.path)
            self.close()


def _copy_range(source: int, target: int, length: int, source_offset: int, target_offset: int) -> int:
    with suppress(OSError):
        if done := os.copy_file_range(source, target, length, source_offset, target_offset):
            return done
    # Not between these two file systems (EXDEV, ENOSYS, EINVAL, EOPNOTSUPP...), or not from this one, which some say by
    # 0.  If it is the end, or another trouble, reading or writing meets it again and tells.
    return os.pwrite(target, os.pread(source, min(length, 1 << 20), source_offset), target_offset)
