"""Queues of events on the disk: files of lines, to which every process appends its own, and which one reads in order.

Blocking.  A queue is a directory.  A line is a number, a checksum and a document;
numbers are nanoseconds since the epoch, and ascend within a file.  Who writes a
file holds a lock on it: a file that nobody holds gets no more.  When there is too
much, the oldest goes.
"""

from __future__ import annotations

import errno
import heapq
import json
import os
import secrets
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from zs3.store import kernel
from zs3.store.filelock import FileLock
from zs3.store.internals import Internals

_SUFFIX = b".events"
_CURSOR, _LOCK = b"cursor", b"lock"
#: A file gets no more than this part of what the queue may hold, or this many bytes.
_PART = 8
_MOST = 4 << 20
#: What is read of a file at a time; a line is shorter: a key of 1024 bytes takes three times as many at most.
_CHUNK = 256 << 10
#: The clocks of hosts that share a queue may differ by so much.
_AHEAD_NS = 10_000_000_000
_FOREVER = 1 << 64
#: number, blank, checksum, blank
_HEAD = 16 + 1 + 8 + 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that was read.

    :ivar number: in nanoseconds since the epoch.
    :ivar file: the name of the file that it is in, and `end` where it ends there.
    """

    number: int
    document: bytes
    file: bytes
    end: int


def _line(number: int, document: bytes) -> bytes:
    text = b"%016x" % number
    return b"%b %08x %b\n" % (text, zlib.crc32(document, zlib.crc32(text)), document)


def _parse(line: bytes) -> tuple[int, bytes] | None:
    """The number and the document of a line without its end; None for one that is not as it was written."""
    try:
        number, checksum = int(line[:16], 16), int(line[17:25], 16)
    except ValueError:
        return None
    document = line[_HEAD:]
    return (number, document) if zlib.crc32(document, zlib.crc32(line[:16])) == checksum else None


def _files(directory: bytes) -> list[bytes]:
    """The names of the files of a queue, the oldest first; none where it was never written to."""
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(_SUFFIX))
    except FileNotFoundError:
        return []


def _read_cursor(directory: bytes) -> dict[bytes, int]:
    """How far each file was read.  What cannot be known was not."""
    try:
        with open(os.path.join(directory, _CURSOR), "rb") as file:
            return {name.encode(): int(offset) for name, offset in json.load(file).items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def pending(directory: bytes) -> bool:
    """Whether there may be something that was not read."""
    offsets = _read_cursor(directory)
    for name in _files(directory):
        with suppress(FileNotFoundError):
            if os.stat(os.path.join(directory, name)).st_size > offsets.get(name, 0):
                return True
    return False


def ends(directory: bytes) -> dict[bytes, int]:
    """Where each file ends by now: from there on a `Reader` reads what is appended later."""
    found = {}
    for name in _files(directory):
        with suppress(FileNotFoundError):
            found[name] = os.stat(os.path.join(directory, name)).st_size
    return found


def clear(directory: bytes) -> None:
    """Remove the files that get no more, read or not."""
    for name in _files(directory):
        path = os.path.join(directory, name)
        with suppress(FileNotFoundError), open(path, "r+b") as file:
            if kernel.try_lock(file.fileno(), 0, 0):
                os.unlink(path)


class Writer:
    """Appends to a queue, for one process; one call at a time.

    :param limit: the most bytes that the queue may hold, or a little more.
    :param durable: whether what was appended survives a power failure.
    """

    def __init__(self, directory: bytes, internals: Internals, limit: int, *, durable: bool = True) -> None:
        self._directory, self._internals, self._limit, self._durable = directory, internals, limit, durable
        self._most = min(_MOST, limit // _PART)
        self._fd = -1
        self._size = 0

    def append(self, entries: Sequence[tuple[int, bytes]]) -> int:
        """Append numbers and documents without line ends; gives how many older ones that nobody read had to go.

        :param entries: of ascending numbers, greater than all before.
        :raises OSError: nothing was appended, or nobody knows.
        """
        data = b"".join(_line(number, document) for number, document in entries)
        lost = 0
        while True:
            if self._fd >= 0 and self._size and self._size + len(data) > self._most:
                self.close()
            if self._fd < 0:
                lost += self._make_room(len(data))
                self._open(entries[0][0])
            try:
                self._write(data)
                if self._durable:
                    self._internals.durability.flush(self._fd)
                # Who found it before it was locked, or needed room, may have removed it.
                if os.fstat(self._fd).st_nlink:
                    return lost
            except BaseException:
                # What follows a torn line must not be taken for its rest.
                self.close()
                raise
            self.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._fd, rest, self._size)
            self._size += written
            rest = rest[written:]

    def _open(self, number: int) -> None:
        while self._fd < 0:
            name = b"%016x-%b%b" % (number, secrets.token_hex(4).encode(), _SUFFIX)
            path = os.path.join(self._directory, name)
            try:
                fd = self._internals.open_lock(path)
            except FileNotFoundError:
                self._internals.make_directory(self._directory)
                fd = self._internals.open_lock(path)
            if kernel.try_lock(fd, 0, 0):
                self._fd, self._size = fd, 0
            else:
                # The reader takes it for one that nobody writes to any more, and is about to remove it.
                os.close(fd)
        if self._durable:
            self._internals.durability.flush_path(self._directory)

    def _make_room(self, size: int) -> int:
        """Remove the oldest files, until another one may follow."""
        sizes = {}
        for name in _files(self._directory):
            with suppress(FileNotFoundError):
                sizes[name] = os.stat(os.path.join(self._directory, name)).st_size
        total, lost = sum(sizes.values()), 0
        offsets = _read_cursor(self._directory) if total + self._most > self._limit else {}
        for name, each in sizes.items():
            if total + max(size, self._most) <= self._limit:
                break
            path = os.path.join(self._directory, name)
            with suppress(FileNotFoundError), open(path, "r+b") as file:
                if not kernel.try_lock(file.fileno(), 0, 0):
                    # What another process writes to must not vanish: of those files there are few.
                    continue
                file.seek(offsets.get(name, 0))
                lost += file.read().count(b"\n")
                os.unlink(path)
            total -= each
        return lost

    def close(self) -> None:
        """Append no more to the file, but to another."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Lock(FileLock):
    """The right to read a queue and to remove what was read.

    :param name: of the file, for what else one process at a time does.
    """

    def __init__(self, directory: bytes, internals: Internals, name: bytes = _LOCK) -> None:
        super().__init__(internals, os.path.join(directory, name))


class Reader:
    """Reads a queue from where it was left, for who has its `Lock`; or from anywhere, for who changes nothing.

    :param offsets: how far each file was read, for who changes nothing: reads in spite of others, and leaves all files.
    :ivar damaged: how many lines were not as they were written, and passed over.
    :ivar waiting: whether the last `read` has left something only because it was too new.
    """

    def __init__(self, directory: bytes, internals: Internals, offsets: dict[bytes, int] | None = None) -> None:
        self._directory, self._internals = directory, internals
        self._changes = offsets is None
        self._offsets = _read_cursor(directory) if offsets is None else offsets
        if self._changes:
            with suppress(FileNotFoundError):
                for name in os.listdir(directory):
                    # Of one who was killed as it wrote it.
                    if name.startswith(_CURSOR + b"."):
                        os.unlink(os.path.join(directory, name))
        self.damaged = 0
        self.waiting = False

    def read(self, until: int, most: int = 1000) -> list[Entry]:
        """The next entries, in the order of their numbers; none if there is nothing more by now.

        What is read stays the next until `done`.  Files that will get no more and were read are removed.

        :param until: greater numbers are left: taken from the clock before this is called, it keeps what was appended
            later in one file from being taken for earlier than what is not yet seen in another.
        """
        runs, known = [], _FOREVER
        for name in _files(self._directory):
            entries, up_to = self._read_file(name)
            runs.append(entries)
            known = min(known, up_to)
        self.waiting = False
        merged: Iterator[Entry] = heapq.merge(*runs, key=lambda entry: entry.number)
        found: list[Entry] = []
        for entry in merged:
            if entry.number > known or len(found) == most:
                break
            # What is far ahead is of a clock that was wrong, and need not wait until that is right.
            if until < entry.number < until + _AHEAD_NS:
                self.waiting = True
                break
            found.append(entry)
        return found

    def _read_file(self, name: bytes) -> tuple[list[Entry], int]:
        """The next entries of a file, and up to which number they are all."""
        path, start = os.path.join(self._directory, name), self._offsets.get(name, 0)
        try:
            file = open(path, "r+b" if self._changes else "rb")  # noqa: SIM115 - closed below; to be locked it must be open for writing
        except FileNotFoundError:
            self._offsets.pop(name, None)
            return [], _FOREVER
        entries, at = [], start
        with file:
            file.seek(start)
            data = file.read(_CHUNK)
            for line in data.split(b"\n")[:-1]:
                at += len(line) + 1
                parsed = _parse(line)
                if parsed is None:
                    self.damaged += 1
                else:
                    entries.append(Entry(*parsed, name, at))
            if entries and len(data) == _CHUNK:
                return entries, entries[-1].number
            if not entries:
                if at > start:
                    self._offsets[name] = at
                if len(data) == _CHUNK:
                    # Nothing but damage: others need not wait for its end.
                    self._offsets[name] = max(at, start + len(data) - (_CHUNK // 2))
                elif (
                    self._changes
                    and kernel.try_lock(file.fileno(), 0, 0)
                    and os.fstat(file.fileno()).st_size == start + len(data)
                ):
                    # Its writer is gone; what it has begun to write, nobody was told of.
                    with suppress(FileNotFoundError):
                        os.unlink(path)
                    self._offsets.pop(name, None)
        return entries, _FOREVER

    def done(self, entries: Sequence[Entry]) -> None:
        """These need not be read again."""
        for entry in entries:
            self._offsets[entry.file] = max(entry.end, self._offsets.get(entry.file, 0))
        there = set(_files(self._directory))
        self._offsets = {name: offset for name, offset in self._offsets.items() if name in there}
        if not self._changes:
            return
        text = json.dumps({name.decode("ascii"): offset for name, offset in self._offsets.items()})
        path = os.path.join(self._directory, _CURSOR)
        try:
            self._internals.write_file(path, text.encode("ascii"), durable=False, alone=True)
        except OSError as error:
            # They are sent once more, perhaps; that is less than not to be sent.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
