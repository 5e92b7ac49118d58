"""Opening what is below a directory fd: no symlink is followed, no path is too long, nothing blocks.

Blocking code; raises `OSError`.  Who calls gets an fd and closes it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from zs3.store import kernel

#: Below PATH_MAX (4096) with room: the longest path given to the kernel at once.
_PIECE = 3500
_STALE_TRIES = 10
#: O_NONBLOCK: opening a FIFO or a device must not wait; it means nothing for files and directories.
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW

_have_openat2 = True


class HasMode(Protocol):
    """What `os.stat_result` tells of the kind of a file."""

    @property
    def st_mode(self) -> int: ...


def _open_piece(directory: int, names: Sequence[bytes], flags: int) -> int:
    global _have_openat2
    if _have_openat2:
        try:
            return kernel.openat2(directory, b"/".join(names), flags)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            # EPERM is also what O_NOATIME and the like answer, which nobody asks for here: a seccomp filter.
            _have_openat2 = False
    return _walk(directory, names, flags)


def _walk(directory: int, names: Sequence[bytes], flags: int) -> int:
    """The same as openat2 where the kernel lacks it: a segment at a time, each without following."""
    at = directory
    try:
        for name in names[:-1]:
            below = os.open(name, _PASS, dir_fd=at)
            if at != directory:
                os.close(at)
            at = below
        return os.open(names[-1], flags | os.O_NOFOLLOW, dir_fd=at)
    finally:
        if at != directory:
            os.close(at)


def _pieces(names: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start = length = 0
    for index, name in enumerate(names):
        length += len(name) + 1
        if length > _PIECE:
            yield names[start:index]
            start, length = index, len(name) + 1
    yield names[start:]


def open_below(directory: int, names: Sequence[bytes], flags: int) -> int:
    """Open the file or directory at `names` below a directory fd; no names: that directory again.

    :raises OSError: ENOENT, ENOTDIR, ELOOP (a symlink on the way) and whatever open(2) gives.
    """
    for attempt in range(_STALE_TRIES):
        try:
            return _open_once(directory, names or (b".",), flags)
        except OSError as error:
            # A clustered file system may have lost the inode it had looked up; a symlink race gives EAGAIN.
            if error.errno not in (errno.ESTALE, errno.EAGAIN) or attempt == _STALE_TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _open_once(directory: int, names: Sequence[bytes], flags: int) -> int:
    at = directory
    *first, last = _pieces(names)
    try:
        for piece in first:
            below = _open_piece(at, piece, _PASS)
            if at != directory:
                os.close(at)
            at = below
        return _open_piece(at, last, flags)
    finally:
        if at != directory:
            os.close(at)


@contextmanager
def opened(fd: int) -> Iterator[int]:
    """Close an fd at the end of a block."""
    try:
        yield fd
    finally:
        os.close(fd)


def look(directory: int, name: bytes) -> os.stat_result | None:
    """lstat `name` in a directory fd; None if there is nothing."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_file(status: HasMode | None) -> bool:
    return status is not None and stat.S_ISREG(status.st_mode)


def open_file(directory: int, names: Sequence[bytes]) -> tuple[int, os.stat_result] | None:
    """Open a regular file for reading; None if there is none: nothing, or something else, or no way to it."""
    try:
        fd = open_below(directory, names, READ)
    except OSError as error:
        _expect_no_file(error)
        return None
    return _regular(fd)


def open_path(path: bytes) -> tuple[int, os.stat_result] | None:
    """The same for one of our own files, whose directories are trusted."""
    try:
        fd = os.open(path, READ | os.O_CLOEXEC)
    except OSError as error:
        _expect_no_file(error)
        return None
    return _regular(fd)


def _expect_no_file(error: OSError) -> None:
    # ENXIO: a socket, or a device without a driver.
    if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV):
        raise error


def _regular(fd: int) -> tuple[int, os.stat_result] | None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        return None
    return fd, status


def move_new(source: bytes, directory: int, name: bytes) -> None:
    """Rename to a name in a directory that must not exist yet, as far as the file system can tell.

    The caller holds the lock that excludes all but other programs.

    :raises OSError: EEXIST, or where the file system cannot, what rename says.
    """
    try:
        kernel.rename_new(source, directory, name)
    except OSError as error:
        # Not link and unlink, which some file systems have instead: after a crash between the two it could not be
        # told whether an object had been published.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        os.rename(source, name, dst_dir_fd=directory)
