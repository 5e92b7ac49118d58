"""How much room there is in the data directory, and whether it can be used.

Blocking, on a broken disk for as long as that takes; but nothing is read from
the disk or written to it: it may sleep.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

#: The least that must be free: so many bytes and files, or on a small file system this part of it.
LEAST_BYTES = 64 << 20
LEAST_FILES = 1000
LEAST_PART = 0.01

#: What can be wrong.
NOT_THERE, NOT_WRITABLE, NO_SPACE = "not-there", "not-writable", "disk-space"


@dataclass(frozen=True, slots=True)
class Disk:
    """What was found.

    :ivar size: of the file system, in bytes.
    :ivar available: to this process, in bytes.
    :ivar inodes: the most files that it may hold; 0 where there is no such limit.
    :ivar inodes_available: to this process.
    :ivar problem: "" or one of those above.
    """

    size: int = 0
    available: int = 0
    inodes: int = 0
    inodes_available: int = 0
    problem: str = ""


class DiskProbe:
    """Looks at one data directory.

    :param data: the directory.
    :param read_only: whether it is served to readers alone, so that nothing must be written.
    """

    def __init__(self, data: bytes, *, read_only: bool) -> None:
        self._data, self._read_only = os.path.realpath(data), read_only
        self._identity: tuple[int, int] | None = None

    def start(self) -> None:
        """Take note of which directory it is.  `OSError`."""
        self._identity = _identity(self._data)

    def look(self) -> Disk:
        """Ask the file system.

        :raises OSError: it does not answer.
        """
        try:
            identity = _identity(self._data)
        except FileNotFoundError:
            return Disk(problem=NOT_THERE)
        if identity != self._identity and self._identity is not None:
            # What was mounted here is no more, or another directory has its name.
            return Disk(problem=NOT_THERE)
        found = os.statvfs(self._data)
        disk = Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, found.f_files, found.f_favail, "")
        return disk if self._read_only else self._judged(disk)

    def _judged(self, disk: Disk) -> Disk:
        problem = ""
        if not os.access(self._data, os.W_OK | os.X_OK, effective_ids=True):
            problem = NOT_WRITABLE
        elif disk.available < min(LEAST_BYTES, disk.size * LEAST_PART) or (
            disk.inodes and disk.inodes_available < min(LEAST_FILES, disk.inodes * LEAST_PART)
        ):
            problem = NO_SPACE
        return Disk(disk.size, disk.available, disk.inodes, disk.inodes_available, problem)


def _identity(path: bytes) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
