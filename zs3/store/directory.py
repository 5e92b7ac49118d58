"""One directory as part of the key space: its names decoded, sorted, and never missing a live key.

Blocking.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from zs3.store import layout, paths
from zs3.store.dircache import DirectoryCache, Listing, version
from zs3.store.layout import Kind

_PASSES = 3

#: Holds the bucket's lock for a block, so that nobody of ours changes a directory meanwhile.
Exclusive = Callable[[], AbstractContextManager[None]]


_FILE, _DIRECTORY = 1, 2


def _scan(fd: int, found: dict[bytes, int]) -> None:
    """Add the names of the files and directories in a directory; nothing else counts."""
    # btrfs shows the names that were there when the directory was opened or rewound: a name that was replaced since
    # would be missing, with no sign of a change during this pass.
    os.lseek(fd, 0, os.SEEK_SET)
    with os.scandir(fd) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            # A name may have been a file in one pass and be a directory in the next: it counts as both.
            if entry.is_file(follow_symlinks=False):
                found[name] = found.get(name, 0) | _FILE
            elif entry.is_dir(follow_symlinks=False):
                found[name] = found.get(name, 0) | _DIRECTORY


def _names(fd: int, exclusive: Exclusive | None) -> tuple[dict[bytes, int], bool]:
    """The names in a directory: all that were there throughout, and perhaps some that came or went meanwhile.

    A single pass over a directory that changes can miss names that are being replaced (on btrfs they move to the
    end), so passes are united until one was undisturbed; if none is, the bucket's lock gives one.

    :returns: the names with their types, and whether nothing changed.
    """
    found: dict[bytes, int] = {}
    for number in range(_PASSES):
        before = version(fd)
        _scan(fd, found)
        if version(fd) == before:
            return found, number == 0
    if exclusive is not None:
        with exclusive():
            _scan(fd, found)
    return found, False


def open_directory(fd: int, names: Sequence[bytes]) -> int | None:
    """Open a directory below another for listing; None if it went, or is something else now, or is private."""
    try:
        return paths.open_below(fd, names, paths.DIRECTORY)
    except OSError as error:
        # Any other trouble must not pass for an empty directory: clients delete what a list does not show.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES):
            raise
        return None


def read(fd: int, cache: DirectoryCache, exclusive: Exclusive | None, report: Callable[[bytes], None]) -> Listing:
    """The entries of a directory of keys.

    :param exclusive: how to take the bucket's lock for a moment, or None where there is none to take.
    :param report: told each name that stands for nothing.
    :raises WouldBlock: by `exclusive`.
    """
    known = cache.get(fd)
    if known is not None:
        return known
    before = version(fd)
    found: dict[bytes, tuple[bytes, ...] | None] = {}
    lasting = _collect(fd, (), found, exclusive, report)
    listing = Listing(sorted(found), {sort: way for sort, way in found.items() if way is not None}, lasting)
    cache.put(fd, before, listing)
    return listing


def _collect(
    fd: int,
    chain: tuple[bytes, ...],
    found: dict[bytes, tuple[bytes, ...] | None],
    exclusive: Exclusive | None,
    report: Callable[[bytes], None],
) -> bool:
    """Add the entries of a directory: None for one that is simply called so, else the way to it.

    :returns: whether nothing changed meanwhile, and nothing of it is in another directory.
    """
    names, lasting = _names(fd, exclusive)
    for name, types in names.items():
        kind, segment = layout.decode_name(chain, name)
        if kind is Kind.NATURAL:
            way = None if segment == name else (*chain, name)
            if types & _FILE:
                found[segment] = way
            if types & _DIRECTORY:
                found[segment + b"/"] = way
        elif kind is Kind.BESIDE and types & _FILE:
            # N, if it is a file, is the object.
            found.setdefault(segment, (*chain, name))
        elif kind is Kind.CONTINUED and types & _DIRECTORY and len(segment) <= layout.KEY_MAX:
            lasting = False
            below = open_directory(fd, (name,))
            if below is not None:
                with paths.opened(below):
                    _collect(below, (*chain, name), found, exclusive, report)
        elif name != layout.INTERNAL:
            report(name)
    return lasting


def holds_object(fd: int, room: int) -> bool:
    """Whether an object is seen in a directory at the first look; False proves nothing.

    :param room: the longest segment that makes a key.
    """
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                kind, segment = layout.decode_name((), os.fsencode(entry.name))
                if kind in (Kind.NATURAL, Kind.BESIDE) and len(segment) <= room:
                    return True
    return False
