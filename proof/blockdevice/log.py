"""The log of a device, and what a power cut may leave of it.  Knows no file system."""

from __future__ import annotations

import mmap
import os
import random
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: The head of a record: what it is, offset on the device, bytes that follow.
RECORD = struct.Struct("<BQQ")
WRITE, FLUSH = 1, 2
#: What a disk writes whole; most disks write a page whole.
SECTORS = (512, 4096)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the log that belong on the device.

    :ivar at: where they are in the log.
    """

    offset: int
    at: int
    size: int


class Log:
    """The records of a log: of a write where its bytes are, of a flush None."""

    def __init__(self, data: bytes | memoryview | mmap.mmap) -> None:
        self.data = data
        self.records: list[Piece | None] = []
        self.flushes: list[int] = []
        at = 0
        while at + RECORD.size <= len(data):
            kind, offset, size = RECORD.unpack_from(data, at)
            at += RECORD.size
            if at + size > len(data):
                break
            if kind == FLUSH:
                self.flushes.append(len(self.records))
            self.records.append(Piece(offset, at, size) if kind == WRITE else None)
            at += size

    def flushed(self, position: int) -> int:
        """How many records of the first `position` are before the last flush among them, and on the disk for good."""
        before = bisect_right(self.flushes, position - 1)
        return self.flushes[before - 1] if before else 0

    def writes(self, start: int, stop: int) -> list[Piece]:
        return [record for record in self.records[start:stop] if record is not None]


@contextmanager
def opened(path: Path) -> Iterator[Log]:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        yield Log(data)


#: How the writes since the last flush are chosen.
MANNERS = ("none", "all", "few", "half", "most", "torn", "one less", "only one")


def survivors(writes: Sequence[Piece], manner: str, chance: random.Random) -> list[Piece]:
    """What is left of writes that no flush followed: any of them, whole or in part, in whatever order they came."""
    if manner == "none" or not writes:
        return []
    if manner == "all":
        return list(writes)
    if manner in ("one less", "only one"):
        chosen = chance.randrange(len(writes))
        return [each for index, each in enumerate(writes) if (index == chosen) == (manner == "only one")]
    if manner == "torn":
        sector = chance.choice(SECTORS)
        return [piece for each in writes for piece in _torn(each, sector, chance)]
    share = {"few": 0.15, "half": 0.5, "most": 0.85}[manner]
    return [each for each in writes if chance.random() < share]


def _torn(write: Piece, sector: int, chance: random.Random) -> Iterator[Piece]:
    """The sectors of a write that came to the disk: the first ones, or any."""
    sectors = [
        Piece(write.offset + at, write.at + at, min(sector, write.size - at)) for at in range(0, write.size, sector)
    ]
    if chance.random() < 0.3:
        return iter(sectors[: chance.randint(0, len(sectors))])
    share = chance.choice((0.2, 0.5, 0.9))
    return iter([each for each in sectors if chance.random() < share])


class Image:
    """A device as it is after ever more of a log.

    :param path: the image that the log begins with; it is changed.
    """

    def __init__(self, path: Path, log: Log) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._log = log
        self._done = 0

    def close(self) -> None:
        os.close(self._fd)

    def advance(self, position: int) -> None:
        """Write all up to a position, which is not before the last one."""
        assert position >= self._done
        self._write(self._fd, self._log.writes(self._done, position))
        self._done = position

    def copy(self, path: Path, pieces: Sequence[Piece]) -> None:
        """A copy with more written; holes stay holes."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(self._fd).st_size
            os.ftruncate(fd, size)
            at = 0
            while True:
                try:
                    start = os.lseek(self._fd, at, os.SEEK_DATA)
                except OSError:
                    break
                at = os.lseek(self._fd, start, os.SEEK_HOLE)
                os.lseek(fd, start, os.SEEK_SET)
                while start < at:
                    start += os.sendfile(fd, self._fd, start, at - start)
            self._write(fd, pieces)
        finally:
            os.close(fd)

    def _write(self, fd: int, pieces: Sequence[Piece]) -> None:
        view = memoryview(self._log.data)
        for each in pieces:
            os.pwrite(fd, view[each.at : each.at + each.size], each.offset)
