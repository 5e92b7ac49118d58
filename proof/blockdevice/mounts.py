"""Mounts and loop devices, by the system calls themselves: a cut must not cost the start of three programs.

All is done in a mount namespace of its own (`isolate`), and loop devices go with their last user: whatever becomes of
the process, nothing is left behind.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_LOOP_CTL_GET_FREE, _LOOP_CONFIGURE = 0x4C82, 0x4C0A
_AUTOCLEAR, _PARTITIONS_NOT_READ = 4, 0
#: struct loop_config: the file, a block size, struct loop_info64 of which only the flags are set.
_CONFIGURATION = struct.Struct("<II52xI176x64x")
_TRIES = 200


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def isolate() -> None:
    """Give this process mounts of its own, which end with it and those that it starts."""
    _check(_LIBC.unshare(_CLONE_NEWNS), "unshare")
    _check(_LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount --make-rprivate")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    result = _LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    _check(result, f"mount {kind}")


def unmount(target: str) -> None:
    """Unmount; who just closed the last file may not have let go of it yet."""
    for _ in range(_TRIES):
        if _LIBC.umount2(target.encode(), 0) == 0:
            return
        if ctypes.get_errno() != errno.EBUSY:
            break
        time.sleep(0.01)
    _check(-1, f"umount {target}")


def _loop(image: int) -> tuple[int, str]:
    """A loop device on an open file, which goes when what is returned is closed and nothing is mounted."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, _LOOP_CONFIGURE, _CONFIGURATION.pack(image, 0, _AUTOCLEAR))
            except OSError as error:
                os.close(fd)
                # Another was faster.
                if error.errno != errno.EBUSY:
                    raise
                time.sleep(0.01)
            else:
                return fd, path
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no loop device is to be had")


#: What the mount of each file system is told: nothing that was deleted is to be forgotten by the device.
OPTIONS = {"ext4": "nodiscard", "xfs": "nodiscard,nouuid", "btrfs": "nodiscard"}


@contextmanager
def mounted(image: Path, target: Path, kind: str) -> Iterator[None]:
    """A file system in a file, mounted over a loop device for the block."""
    file = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        device, path = _loop(file)
    finally:
        os.close(file)
    try:
        mount(path, str(target), kind, options=OPTIONS[kind])
    finally:
        os.close(device)
    try:
        yield
    finally:
        unmount(str(target))
