"""What must be on disk before an answer, and which directories are known to be.

Blocking.  `--sync=off` makes this a no-op, and nothing else.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
from collections.abc import Callable, Sequence

from zs3.store import paths
from zs3.store.calls import WAITING, Calls
from zs3.store.observer import StoreObserver

#: errno of an fsync that says nothing of what was synced before: there is no room, or a clustered file system cannot be
#: reached, or another host has removed the file.
_NOT_LOST = (errno.ENOSPC, errno.EDQUOT, errno.ENOTCONN, errno.ECONNABORTED, errno.ETIMEDOUT, errno.ESTALE)
#: Directories remembered; some 100 bytes each.
_KNOWN_MAX = 100_000
# Device, inode and generation, in half the memory that they take as three numbers.
_PACKED = struct.Struct("=QQq")


class Durability:
    """The fsyncs of one store.

    :ivar broken: whether the disk has failed to keep what it was given: never forgotten, as the kernel forgets it.
    """

    def __init__(self, *, enabled: bool, report: Callable[[str], None], observer: StoreObserver | None = None) -> None:
        """:param report: told what the administrator must know."""
        self.enabled = enabled
        self._report = report
        self._observer = observer
        self.broken = False
        self._warned = False
        self._known: set[bytes] = set()

    def flush(self, fd: int) -> None:
        """fsync a file or directory.  A failure is final: the kernel has dropped the pages, trying again would lie."""
        if not self.enabled:
            return
        try:
            self._fsync(fd)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP) and stat.S_ISDIR(os.fstat(fd).st_mode):
                # Some network mounts have no fsync of directories, and that is all there is to be had there.
                if not self._warned:
                    self._warned = True
                    self._report("directories cannot be synced here: names may be lost in a power failure")
                return
            if error.errno not in _NOT_LOST:
                self.broken = True
                if self._observer is not None:
                    self._observer.lost()
                self._report(f"the disk does not keep what it is given ({error.strerror}): check it")
            raise

    def _fsync(self, fd: int) -> None:
        observer = self._observer
        if observer is None:
            os.fsync(fd)
            return
        began = time.perf_counter()
        try:
            os.fsync(fd)
        finally:
            observer.synced(time.perf_counter() - began)

    def flush_path(self, path: bytes) -> None:
        """fsync the directory at `path`."""
        if self.enabled:
            with paths.opened(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
                self.flush(fd)

    def settle(self, bucket: int, names: Sequence[bytes], parent: int, calls: Calls = WAITING) -> None:
        """Make the entries of a directory durable, and its own and all above it up to the bucket's directory.

        The ancestors are fsynced once: what this process has seen durable is known by device, inode and generation.
        Where there are no generations an inode number proves nothing, and they are fsynced each time.

        :param bucket: the fd of the bucket's directory.
        :param names: the way from there to the directory.
        :param parent: the fd of the directory.
        """
        if not self.enabled:
            return
        self.flush(parent)
        if not names:
            return
        identity = _identity(parent, calls)
        if identity is not None and identity in self._known:
            return
        for depth in range(len(names)):
            try:
                ancestor = paths.open_below(bucket, names[:depth], paths.DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                # Pruned since, with the object that was put in it: the deletion answers for it.  Another object may be
                # there by now.
                return
            with paths.opened(ancestor):
                self.flush(ancestor)
        if identity is not None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known.add(identity)


def _identity(fd: int, calls: Calls) -> bytes | None:
    generation = calls.generation(fd)
    if generation is None:
        return None
    status = calls.status(fd)
    return _PACKED.pack(status.st_dev, status.st_ino, generation)
