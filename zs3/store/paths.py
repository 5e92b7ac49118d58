"""Opening what is below a directory fd: no symlink is followed, no path is too long, nothing blocks.

Blocking code; raises `OSError`.  Who calls gets an fd and closes it.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from zs3.store import kernel

#: Below PATH_MAX (4096) with room: the longest path given to the kernel at once.
_PIECE = 3500
#: How often something is looked for again, and after how many seconds for the second time; each time twice as many.
_STALE_TRIES = 9
_STALE_DELAY_S = 0.001
#: O_NONBLOCK: opening a FIFO or a device must not wait; it means nothing for files and directories.
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW

_T = TypeVar("_T")

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
    return looked_again(lambda: _open_once(directory, names or (b".",), flags), directory)


def looked_again(look: Callable[[], _T], directory: int = -1) -> _T:
    """What `look` gives, which looks something up, tried again while a name has just ceased to stand for that.

    A clustered file system says ESTALE where another host has replaced it since it was looked up; a race with a symlink
    gives EAGAIN.

    :param directory: the fd of where the look begins: if another host has removed that, too, ENOENT is raised.
    """
    delay = 0.0
    for _ in range(_STALE_TRIES):
        try:
            return look()
        except OSError as error:
            if error.errno not in (errno.ESTALE, errno.EAGAIN):
                raise
            if error.errno == errno.ESTALE:
                if directory >= 0 and is_gone(directory):
                    raise _missing() from error
                time.sleep(delay)
                delay = delay * 2 or _STALE_DELAY_S
    return look()


def is_gone(directory: int) -> bool:
    """Whether another host has removed an open directory: on a clustered file system, where that is to be told."""
    try:
        os.fstat(directory)
    except OSError as error:
        return error.errno == errno.ESTALE
    return False


@contextmanager
def stale_is_missing() -> Iterator[None]:
    """Let what is done in a block to what another host has removed raise ENOENT, as it does on a local file system."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        raise _missing() from error


def _missing() -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


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
        return looked_again(lambda: os.stat(name, dir_fd=directory, follow_symlinks=False), directory)
    except FileNotFoundError:
        return None


def exists(path: bytes) -> bool:
    """Whether there is something at a path of our own.

    :raises OSError: that cannot be known, which is not the same as "no".
    """
    try:
        looked_again(lambda: os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_file(status: HasMode | None) -> bool:
    return status is not None and stat.S_ISREG(status.st_mode)


def open_file(directory: int, names: Sequence[bytes]) -> tuple[int, os.stat_result] | None:
    """Open a regular file for reading; None if there is none: nothing, or something else, or no way to it."""
    return _open_regular(lambda: _open_once(directory, names, READ), directory)


def open_path(path: bytes) -> tuple[int, os.stat_result] | None:
    """The same for one of our own files, whose directories are trusted."""
    return _open_regular(lambda: os.open(path, READ | os.O_CLOEXEC))


def read_file(path: bytes) -> bytes:
    """The content of one of our own files, which others replace whole."""

    def read() -> bytes:
        with open(path, "rb") as file:
            return file.read()

    return looked_again(read)


def _open_regular(opening: Callable[[], int], directory: int = -1) -> tuple[int, os.stat_result] | None:
    def look() -> tuple[int, os.stat_result] | None:
        fd = opening()
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode):
                result, fd = (fd, status), -1
                return result
            return None
        finally:
            if fd >= 0:
                os.close(fd)

    try:
        return looked_again(look, directory)
    except OSError as error:
        # ENXIO: a socket, or a device without a driver.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise
        return None


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
