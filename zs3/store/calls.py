"""System calls that answer from memory, made in one of two ways.

`os` gives up the GIL around every call.  For a call that takes a microsecond
that is the costly part where threads compete for it: each time another thread
is woken, and this one waits until that gives the GIL back.  On a local file
system what is in memory is answered at once: `AtOnce` keeps the GIL for that,
and leaves what is not in memory to `Calls`, as it does every other file system.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from zs3.store import kernel, paths

#: File systems that ask neither a network nor another process.
_LOCAL = (kernel.EXT, kernel.XFS, kernel.BTRFS, kernel.TMPFS)

_libc = ctypes.PyDLL(None, use_errno=True)
_close = _libc.close
_close.argtypes = [ctypes.c_int]
_statx = _libc.statx
_statx.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
_fcntl = _libc.fcntl
_fcntl.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
_fgetxattr = _libc.fgetxattr
_fgetxattr.restype = ctypes.c_ssize_t
_fgetxattr.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t]
_ioctl = _libc.ioctl
_ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_STATX_BASIC_STATS = 0x7FF
#: struct statx of statx(2), the same on every architecture: mode, inode, size, mtime (s, ns), device (major, minor)
_STATX = struct.Struct("=28xH2xQQ64xqI12xII112x")
_ABSENT = (-errno.ENOENT, -errno.ENOTDIR)

_open_directory = kernel.CachedOpen(paths.DIRECTORY)
_open_bucket = kernel.CachedOpen(os.O_RDONLY | os.O_DIRECTORY, beneath=False)
_open_lock = kernel.CachedOpen(os.O_RDWR | os.O_NOFOLLOW, beneath=False)
_find = kernel.CachedOpen(os.O_PATH | os.O_NOFOLLOW)
_find_path = kernel.CachedOpen(os.O_PATH | os.O_NOFOLLOW, beneath=False)


class Status(NamedTuple):
    """What is used here of an `os.stat_result`."""

    st_mode: int
    st_ino: int
    st_dev: int
    st_size: int
    st_mtime_ns: int


class Calls:
    """The calls as `os` makes them: they may wait."""

    def close(self, fd: int) -> None:
        """Close a directory or a lock file."""
        os.close(fd)

    @contextmanager
    def opened(self, fd: int) -> Iterator[int]:
        """Close an fd at the end of a block."""
        try:
            yield fd
        finally:
            self.close(fd)

    def status(self, fd: int) -> os.stat_result | Status:
        """fstat."""
        return os.fstat(fd)

    def get_attribute(self, fd: int, name: str) -> bytes:
        """fgetxattr of a short attribute."""
        return os.getxattr(fd, name)

    def generation(self, fd: int) -> int | None:
        """As `kernel.generation`."""
        return kernel.generation(fd)

    def look(self, directory: int, name: bytes) -> os.stat_result | Status | None:
        """lstat of a name in a directory; None if there is nothing."""
        return paths.look(directory, name)

    def exists(self, path: bytes) -> bool:
        """Whether there is something of ours at a path."""
        return paths.exists(path)

    def open_bucket(self, path: bytes) -> int:
        """Open a bucket's directory: a symlink to it is followed."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open_directory(self, directory: int, names: Sequence[bytes]) -> int:
        """As `paths.open_below`."""
        return paths.open_below(directory, names, paths.DIRECTORY)

    def open_lock(self, path: bytes) -> int:
        """Open a lock file that exists."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def try_lock(self, fd: int, start: int, length: int) -> bool:
        """As `kernel.try_lock`."""
        return kernel.try_lock(fd, start, length)


class AtOnce(Calls):
    """The same for a local file system, without giving up the GIL where nothing is waited for."""

    def close(self, fd: int) -> None:
        # Nothing was written to it that could fail now.
        _close(fd)

    def status(self, fd: int) -> os.stat_result | Status:
        buffer = ctypes.create_string_buffer(256)
        if _statx(fd, b"", _AT_EMPTY_PATH, _STATX_BASIC_STATS, buffer) != 0:
            return os.fstat(fd)
        mode, inode, size, seconds, nanoseconds, major, minor = _STATX.unpack(buffer)
        return Status(mode, inode, os.makedev(major, minor), size, seconds * 1_000_000_000 + nanoseconds)

    def get_attribute(self, fd: int, name: str) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        size: int = _fgetxattr(fd, name.encode(), buffer, 256)
        return buffer.raw[:size] if size >= 0 else super().get_attribute(fd, name)

    def generation(self, fd: int) -> int | None:
        value = ctypes.c_long()
        return value.value if _ioctl(fd, kernel.GETVERSION, ctypes.byref(value)) == 0 else None

    def look(self, directory: int, name: bytes) -> os.stat_result | Status | None:
        fd = _find(directory, name)
        if fd == -errno.ENOENT:
            return None
        if fd < 0:
            return super().look(directory, name)
        try:
            return self.status(fd)
        finally:
            _close(fd)

    def exists(self, path: bytes) -> bool:
        fd = _find_path(_AT_FDCWD, path)
        if fd < 0:
            return fd not in _ABSENT and super().exists(path)
        _close(fd)
        return True

    def open_bucket(self, path: bytes) -> int:
        fd = _open_bucket(_AT_FDCWD, path)
        return fd if fd >= 0 else super().open_bucket(path)

    def open_directory(self, directory: int, names: Sequence[bytes]) -> int:
        fd = _open_directory(directory, b"/".join(names) or b".")
        return fd if fd >= 0 else super().open_directory(directory, names)

    def open_lock(self, path: bytes) -> int:
        fd = _open_lock(_AT_FDCWD, path)
        return fd if fd >= 0 else super().open_lock(path)

    def try_lock(self, fd: int, start: int, length: int) -> bool:
        return _fcntl(fd, fcntl.F_OFD_SETLK, kernel.write_lock(start, length)) == 0 or super().try_lock(
            fd, start, length
        )


WAITING = Calls()
AT_ONCE = AtOnce()


def is_local(fd: int) -> bool:
    """Whether `AT_ONCE` may be used on the file system of an open file."""
    return kernel.filesystem_type(fd) in _LOCAL
