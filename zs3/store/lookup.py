"""Finding an object and opening it.  Blocking; takes no lock and writes nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from zs3.store import layout, paths
from zs3.store.buckets import Bucket
from zs3.store.records import Records
from zs3.store.values import ObjectInfo

#: Bytes that are read at a time to have them in the page cache.
_STEP = 128 * 1024
#: How often a file is opened that is replaced each time before its record is read.
_TRIES = 10


class OpenObject:
    """An object's file, open, with what was known of it then.

    :ivar fd: closed by `close`.
    """

    def __init__(self, fd: int, info: ObjectInfo) -> None:
        self.fd = fd
        self.info = info

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`, fewer only at the end of the file."""
        data = os.pread(self.fd, size, offset)
        if 0 < len(data) < size:
            pieces = [data]
            while data and (size := size - len(data)) > 0:
                offset += len(data)
                data = os.pread(self.fd, size, offset)
                pieces.append(data)
            return b"".join(pieces)
        return data

    def warm(self, offset: int, size: int) -> bool:
        """Read bytes into memory, but not into this process; whether the file has all of them."""
        buffer = bytearray(min(size, _STEP))
        while size > 0:
            done = os.preadv(self.fd, (memoryview(buffer)[:size],), offset)
            if done == 0:
                return False
            offset, size = offset + done, size - done
        return True

    def unchanged(self) -> bool:
        """Whether nobody has written to the file since it was opened."""
        status = os.fstat(self.fd)
        return status.st_size == self.info.size and status.st_mtime_ns == self.info.mtime_ns

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def open_names(directory: int, names: Sequence[bytes], kept: Records, key: str) -> OpenObject | None:
    """Open the object that is known to be at `names` below a directory; None if it is there no more.

    :param kept: the records of its bucket.
    """
    for last in (*[False] * (_TRIES - 1), True):
        found = paths.open_file(directory, names)
        if found is None:
            return None
        fd, status = found
        try:
            info, inside = kept.info_and_source(fd, status, key)
            if last or inside or not is_gone(fd):
                opened, fd = OpenObject(fd, info), -1
                return opened
        except OSError as error:
            # What has no name any more has no attributes on clustered file systems.
            if last or error.errno != errno.ESTALE:
                raise
        finally:
            if fd >= 0:
                os.close(fd)
    raise AssertionError("the last try is one")


def is_gone(fd: int) -> bool:
    """Whether an open file has no name any more.

    Who replaces or deletes it removes its sidecar then, perhaps before that was read.
    """
    return os.fstat(fd).st_nlink == 0


def find(bucket: Bucket, key: str) -> OpenObject | None:
    """Open the object of a key: at its natural path N, else beside it at E; None if there is none.

    Nothing moves from E to N, so this order cannot miss an object that exists throughout.
    """
    if not layout.is_key(key):
        return None
    path, kept = layout.encode(key), bucket.records()
    return open_names(bucket.fd, (*path.parent, path.name), kept, key) or open_names(
        bucket.fd, (*path.parent, *path.beside), kept, key
    )


def find_info(bucket: Bucket, key: str) -> ObjectInfo | None:
    """What is known of the object of a key, or None."""
    found = find(bucket, key)
    if found is None:
        return None
    found.close()
    return found.info
