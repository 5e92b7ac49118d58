"""What the kernel offers and Python's `os` does not: openat2, fallocate, OFD locks, statfs, inode generations.

Thin, blocking, and raising `OSError` like `os` does.  Linux only.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_fstatfs = _libc.fstatfs
_renameat2 = _libc.renameat2
_renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
_AT_FDCWD = -100
_fallocate = _libc.fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]

# Without giving up the GIL: for calls that never wait.  Every argument's type is declared, so none is guessed.
_openat2_cached = ctypes.PyDLL(None, use_errno=True).syscall
_openat2_cached.restype = ctypes.c_long
_openat2_cached.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t]

# Both are the same number on every architecture: https://man7.org/linux/man-pages/man2/openat2.2.html,
# https://www.kernel.org/doc/html/latest/arch/x86/x86_64/ and cachestat(2), Linux 6.5.
_SYS_OPENAT2 = 437
_SYS_CACHESTAT = 451
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_CACHED = 0x20
_FALLOC_FL_KEEP_SIZE = 0x01
GETVERSION = 0x80087601
_RENAME_NOREPLACE = 1
#: struct flock of fcntl(2) with 64-bit offsets: type, whence, start, len, pid
_FLOCK = struct.Struct("@hhqqi4x")

EXT, XFS, BTRFS, ZFS, TMPFS = 0xEF53, 0x58465342, 0x9123683E, 0x2FC12FC1, 0x01021994


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _raise() -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))


def openat2(directory: int, path: bytes, flags: int) -> int:
    """Open `path` below the directory fd, following no symlink and leaving the directory by no way.

    :raises OSError: ENOSYS (or EPERM, by a seccomp filter) where the kernel lacks the call.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)
    fd: int = _syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(directory),
        ctypes.c_char_p(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if fd < 0:
        _raise()
    return fd


class _Range(ctypes.Structure):
    _fields_ = (("off", ctypes.c_uint64), ("len", ctypes.c_uint64))


# Reused by the one thread that asks.  Of the five numbers the first is that of the pages in the cache.
_range, _statistics = _Range(), (ctypes.c_uint64 * 5)()
_cachestat = ctypes.PyDLL(None, use_errno=True).syscall
_cachestat.restype = ctypes.c_long
_cachestat.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint]
_ARGUMENTS = ctypes.addressof(_range), ctypes.addressof(_statistics)
_PAGE = mmap.PAGESIZE


class CachedOpen:
    """openat2 with fixed flags that answers from the kernel's caches of names, or not at all.

    It leaves neither the directory nor its file system, follows no symlink, and never waits for a disk.
    """

    def __init__(self, flags: int, *, beneath: bool = True) -> None:
        """:param beneath: False: any path may be opened, symlinks are followed and mounts entered."""
        resolve = _RESOLVE_CACHED
        if beneath:
            resolve |= _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_XDEV
        self._how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
        self._at, self._size = ctypes.addressof(self._how), ctypes.sizeof(self._how)

    def __call__(self, directory: int, path: bytes) -> int:
        """An fd, or an errno, negative: EAGAIN where only the disk could tell."""
        fd: int = _openat2_cached(_SYS_OPENAT2, directory, path, self._at, self._size)
        return fd if fd >= 0 else -ctypes.get_errno()


def is_cached(fd: int, offset: int, size: int) -> bool | None:
    """Whether the page cache has every page of a range of a file, be it that some are just being read (cachestat(2)).

    :returns: None where it cannot be told: an older kernel, or a file that is not ours.
    """
    _range.off, _range.len = offset, size
    if _cachestat(_SYS_CACHESTAT, fd, *_ARGUMENTS, 0) != 0:
        return None
    return _statistics[0] == (offset + size - 1) // _PAGE - offset // _PAGE + 1


def preallocate(fd: int, offset: int, size: int) -> None:
    """Reserve `size` bytes of disk for a file from an offset on, without changing its length, where that is supported.

    :raises OSError: ENOSPC, EDQUOT, EFBIG: they will not fit.
    """
    # Not os.posix_fallocate: where the file system cannot, glibc writes zeros instead.
    if _fallocate(fd, _FALLOC_FL_KEEP_SIZE, offset, size) != 0 and ctypes.get_errno() in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
    ):
        _raise()


def rename_new(source: bytes, directory: int, name: bytes) -> None:
    """Rename a file to a name in a directory fd that must not exist yet.

    :raises OSError: EEXIST; EINVAL or ENOSYS where the file system or kernel cannot.
    """
    if _renameat2(_AT_FDCWD, source, directory, name, _RENAME_NOREPLACE) != 0:
        _raise()


def mount_id(fd: int) -> int:
    """What tells the mount that an open file was reached by: bind mounts share all else (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        for line in file:
            if line.startswith(b"mnt_id:"):
                return int(line.split()[1])
    return 0


def filesystem_type(fd: int) -> int:
    """The magic number of the file system that an open file is on (statfs(2))."""
    buffer = ctypes.create_string_buffer(256)
    if _fstatfs(fd, buffer) != 0:
        _raise()
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def generation(fd: int) -> int | None:
    """The generation of an open file's inode number, or None where the file system has none.

    Together with device and inode it names a directory for ever: inode numbers are used again.
    """
    try:
        return int(struct.unpack("@l", fcntl.ioctl(fd, GETVERSION, b"\0" * struct.calcsize("@l")))[0])
    except OSError:
        return None


def write_lock(start: int, length: int) -> bytes:
    """The struct flock of an exclusive lock."""
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)


def is_unlocked(fd: int) -> bool:
    """Whether nobody has an OFD lock on any byte; for who may only read, too."""
    found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, write_lock(0, 0))
    return bool(_FLOCK.unpack(found)[0] == fcntl.F_UNLCK)


def try_lock(fd: int, start: int, length: int) -> bool:
    """Take an exclusive OFD lock on a range of bytes (length 0: to the end) without waiting; False if another has it.

    It belongs to the open file description: it excludes threads and processes alike, and closing `fd` gives it back.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, write_lock(start, length))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
