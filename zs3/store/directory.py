"""One directory as part of the key space: its names decoded, sorted, and never missing a live key.

Blocking.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from zs3.store import layout, paths
from zs3.store.layout import Kind

_PASSES = 3

#: Holds the bucket's lock for a block, so that nobody of ours changes a directory meanwhile.
Exclusive = Callable[[], AbstractContextManager[None]]


#: What a directory holds: the segment of each object, and that of each directory with a ``/`` behind it, which is how
#: the keys below it sort; with the way to it from the directory.
Entries = dict[bytes, tuple[bytes, ...]]


def _scan(fd: int, found: dict[bytes, bool]) -> None:
    """Add the names of the files (False) and directories (True) in a directory; nothing else counts."""
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found[os.fsencode(entry.name)] = True
            elif entry.is_file(follow_symlinks=False):
                found[os.fsencode(entry.name)] = False


def _version(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_mtime_ns, status.st_ctime_ns


def _names(fd: int, exclusive: Exclusive | None) -> dict[bytes, bool]:
    """The names in a directory: all that were there throughout, and perhaps some that came or went meanwhile.

    A single pass over a directory that changes can miss names that are being replaced (on btrfs they move to the
    end), so passes are united until one was undisturbed; if none is, the bucket's lock gives one.
    """
    found: dict[bytes, bool] = {}
    for _ in range(_PASSES):
        before = _version(fd)
        _scan(fd, found)
        if _version(fd) == before:
            return found
    if exclusive is not None:
        with exclusive():
            _scan(fd, found)
    return found


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
    for name, is_directory in _names(fd, exclusive).items():
        kind, segment = layout.decode_name(chain, name)
        names = (*chain, name)
        if kind is Kind.NATURAL:
            found[segment + b"/" if is_directory else segment] = names
        elif kind is Kind.BESIDE and not is_directory:
            # N, if it is a file, is the object.
            found.setdefault(segment, names)
        elif kind is Kind.CONTINUED and is_directory and len(segment) <= layout.KEY_MAX:
            with paths.opened(paths.open_below(fd, (name,), paths.DIRECTORY)) as below:
                _collect(below, names, found, exclusive, report)
        elif name != layout.INTERNAL:
            report(name)
