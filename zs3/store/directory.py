"""One directory as part of the key space: its names decoded, sorted, and never missing a live key.

Blocking.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from zs3.store import layout, paths
from zs3.store.layout import Kind

_PASSES = 3

#: Holds the bucket's lock for a block, so that nobody of ours changes a directory meanwhile.
Exclusive = Callable[[], AbstractContextManager[None]]


#: What a directory holds: the segment of each object, and that of each directory with a ``/`` behind it, which is how
#: the keys below it sort; with the way to it from the directory.
Entries = dict[bytes, tuple[bytes, ...]]


_FILE, _DIRECTORY = 1, 2


def _scan(fd: int, found: dict[bytes, int]) -> None:
    """Add the names of the files and directories in a directory; nothing else counts."""
    with os.scandir(fd) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            # A name may have been a file in one pass and be a directory in the next: it counts as both.
            if entry.is_file(follow_symlinks=False):
                found[name] = found.get(name, 0) | _FILE
            elif entry.is_dir(follow_symlinks=False):
                found[name] = found.get(name, 0) | _DIRECTORY


def _version(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_mtime_ns, status.st_ctime_ns


def _names(fd: int, exclusive: Exclusive | None) -> dict[bytes, int]:
    """The names in a directory: all that were there throughout, and perhaps some that came or went meanwhile.

    A single pass over a directory that changes can miss names that are being replaced (on btrfs they move to the
    end), so passes are united until one was undisturbed; if none is, the bucket's lock gives one.
    """
    found: dict[bytes, int] = {}
    for _ in range(_PASSES):
        before = _version(fd)
        _scan(fd, found)
        if _version(fd) == before:
            return found
    if exclusive is not None:
        with exclusive():
            _scan(fd, found)
    return found


def open_directory(fd: int, names: Sequence[bytes]) -> int | None:
    """Open a directory below another for listing; None if it went, or is something else now, or is private."""
    try:
        return paths.open_below(fd, names, paths.DIRECTORY)
    except OSError as error:
        # Any other trouble must not pass for an empty directory: clients delete what a list does not show.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES):
            raise
        return None


def read(fd: int, exclusive: Exclusive | None, report: Callable[[bytes], None]) -> Entries:
    """The entries of a directory of keys.

    :param exclusive: how to take the bucket's lock for a moment, or None where there is none to take.
    :param report: told each name that stands for nothing.
    :raises WouldBlock: by `exclusive`.
    """
    found: Entries = {}
    _collect(fd, (), found, exclusive, report)
    return found


def _collect(
    fd: int,
    chain: tuple[bytes, ...],
    found: Entries,
    exclusive: Exclusive | None,
    report: Callable[[bytes], None],
) -> None:
    for name, types in _names(fd, exclusive).items():
        kind, segment = layout.decode_name(chain, name)
        names = (*chain, name)
        if kind is Kind.NATURAL:
            if types & _FILE:
                found[segment] = names
            if types & _DIRECTORY:
                found[segment + b"/"] = names
        elif kind is Kind.BESIDE and types & _FILE:
            # N, if it is a file, is the object.
            found.setdefault(segment, names)
        elif kind is Kind.CONTINUED and types & _DIRECTORY and len(segment) <= layout.KEY_MAX:
            below = open_directory(fd, (name,))
            if below is not None:
                with paths.opened(below):
                    _collect(below, names, found, exclusive, report)
        elif name != layout.INTERNAL:
            report(name)
