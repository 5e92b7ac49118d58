"""The immutable flag of files, as ``chattr +i`` sets it: not even root changes, renames or removes such a file.

Blocking.  It needs CAP_LINUX_IMMUTABLE and a file system that has it (ext4,
xfs, btrfs, and from Linux 6.6 tmpfs).  Of a locked version it is set as long as
nothing has to be done with the file, and what the lock is worth does not depend
on it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from zs3.store.values import NOT_LOCKED, Lock

# ioctl_iflags(2)
_GET_FLAGS = 0x80086601
_SET_FLAGS = 0x40086602
_IMMUTABLE = 0x10


def is_immutable(fd: int) -> bool:
    """Whether an open file has the flag."""
    return bool(_flags(fd) & _IMMUTABLE)


def _flags(fd: int) -> int:
    try:
        flags: int = struct.unpack_from("i", fcntl.ioctl(fd, _GET_FLAGS, b"\0" * 8))[0]
    except OSError:
        return 0
    return flags


def set_immutable(fd: int, wanted: bool) -> bool:
    """Set or clear the flag of an open file; whether it is so now."""
    flags = _flags(fd)
    if bool(flags & _IMMUTABLE) == wanted:
        return True
    try:
        fcntl.ioctl(fd, _SET_FLAGS, struct.pack("iI", flags ^ _IMMUTABLE, 0))
    except OSError:
        return False
    return True


def can_set(fd: int) -> bool:
    """Whether the flag can be set, found out with an open scratch file."""
    return set_immutable(fd, True) and set_immutable(fd, False)


def unlink(path: bytes, directory: int | None = None) -> None:
    """Remove a name of a file, though it be immutable; if it has other names, it stays so.

    :param directory: the fd of the one that `path` begins at.
    """
    try:
        os.unlink(path, dir_fd=directory)
    except PermissionError:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            if not is_immutable(fd) or not set_immutable(fd, False):
                raise
            try:
                os.unlink(path, dir_fd=directory)
            finally:
                if os.fstat(fd).st_nlink:
                    set_immutable(fd, True)
        finally:
            os.close(fd)


class Thaw:
    """Files that something is done with.

    :param enabled: whether locked versions are given the flag; else those keep it that others gave it to.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._files: list[tuple[int, Lock]] = []

    def add(self, fd: int, lock: Lock | None) -> None:
        """Clear the flag of an open file, until `done`.

        :param lock: of the version in it; None if that is not known.
        """
        if lock != NOT_LOCKED:
            had = is_immutable(fd)
            set_immutable(fd, False)
            if lock is not None and (had or self._enabled):
                self._files.append((os.dup(fd), lock))

    def forget(self) -> None:
        """Leave them as they are now."""
        while self._files:
            os.close(self._files.pop()[0])

    def done(self) -> None:
        """Set it again, of what is locked still and was not removed."""
        now = time.time_ns()
        while self._files:
            fd, lock = self._files.pop()
            if lock.protects(now, bypass=False) and os.fstat(fd).st_nlink:
                set_immutable(fd, True)
            os.close(fd)


@contextmanager
def thawing(*, enabled: bool) -> Iterator[Thaw]:
    """A `Thaw`, for a block."""
    thaw = Thaw(enabled=enabled)
    try:
        yield thaw
    finally:
        thaw.done()
