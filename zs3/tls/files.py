"""Files that others change: whether they have changed, and what is in them now.

Blocking, and cheap where nothing has changed: a stat for each file, no reading.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass

from zs3.tls import pem

#: Device, inode, size and times; empty for what is not there.
State = tuple[int, ...]

MAX_FILE_SIZE = 1 << 20
#: A file that changed less than this many seconds ago may change again without a difference in its times.
_GRAIN_S = 2.0


@dataclass(frozen=True)
class File:
    """A PEM file as it was read.

    :ivar state: its state when it was read.
    :ivar settled: whether the next change to it will change its state too.
    :ivar contents: what is in it.
    """

    state: State
    settled: bool
    contents: pem.Contents


def state_of(path: str) -> State:
    """The state of what a path leads to, through all links."""
    try:
        return _state(os.stat(path))
    except OSError:
        return ()


def _state(status: os.stat_result) -> State:
    # ctime: so that a chmod which mends or breaks the file counts as a change
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read(path: str) -> File:
    """Read a PEM file.

    :raises OSError: if it cannot be read.
    :raises ValueError: if what is in it cannot be, or it is being written.
    """
    now = time.time()
    # Without waiting for the other end of a pipe.
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise ValueError("it is not a file")
        data = file.read(MAX_FILE_SIZE + 1)
        after = os.fstat(file.fileno())
    if len(data) > MAX_FILE_SIZE:
        raise ValueError("it is too large for a PEM file")
    if _state(before) != _state(after) or len(data) != after.st_size:
        raise ValueError("it is being written just now")
    return File(_state(after), now - after.st_ctime >= _GRAIN_S, pem.parse(data))


def find(directory: str) -> dict[str, State]:
    """The ``.pem`` files in a directory and those below it, in order, with their states.

    Links are followed, to files and to directories; what begins with a dot is left alone.

    :raises OSError: if one of the directories cannot be read: what is in there is not gone for that.
    """
    return dict(sorted(_walk(directory, set())))


def _walk(directory: str, entered: set[tuple[int, int]]) -> Iterator[tuple[str, State]]:
    status = os.stat(directory)
    if (status.st_dev, status.st_ino) in entered:  # a link to one above
        return
    entered.add((status.st_dev, status.st_ino))
    with os.scandir(directory) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in found:
        try:
            if entry.is_dir():
                yield from _walk(entry.path, entered)
            elif entry.name.endswith(".pem"):
                yield entry.path, state_of(entry.path)
        except FileNotFoundError:  # meanwhile
            continue
