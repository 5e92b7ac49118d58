"""One directory as part of the key space: its names decoded, sorted, and never missing a live key.

Blocking.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice

from zs3.store import layout, paths
from zs3.store.dircache import DirectoryCache, version
from zs3.store.layout import Kind
from zs3.store.names import Listing, Names

_PASSES = 3
#: Names that are read at once.
_SCANNED = 10_000
#: Names, with NULs between them, of printable ASCII that are segments of keys as they are, as nearly all are.
_ORDINARY = re.compile(rb"[ -\-/-~][ -~]*+(?:\0[ -\-/-~][ -~]*+)*+").fullmatch

#: Holds the bucket's lock for a block, so that nobody of ours changes a directory meanwhile.
Exclusive = Callable[[], AbstractContextManager[None]]


def open_directory(fd: int, names: Sequence[bytes], *, private: bool = True) -> int | None:
    """Open a directory below another for listing; None if it went, or is something else now, or is private.

    :param private: False: one that may not be opened is an error.
    """
    try:
        return paths.open_below(fd, names, paths.DIRECTORY)
    except OSError as error:
        # Any other trouble must not pass for an empty directory: clients delete what a list does not show.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and not (
            private and error.errno == errno.EACCES
        ):
            raise
        return None


class Tree:
    """What the names in directories stand for: here, in those of a bucket.

    An entry is an object, or a directory of keys.
    """

    def directory_names(self, prefix: str) -> tuple[bytes, ...]:
        """The names of the directories that hold the keys beginning with `prefix`, "" or ending in ``/``."""
        return layout.directory_names(prefix)

    def add(
        self,
        found: list[bytes],
        is_file: bool,
        chain: tuple[bytes, ...],
        names: Names,
        continued: set[bytes],
        report: Callable[[bytes], None],
    ) -> None:
        """Add entries.

        :param found: the names in a directory of files, or of directories.
        :param chain: the continuation directories that lead to it.
        :param continued: is given the names of continuation directories.
        :param report: told of each name that stands for nothing.
        """
        if not chain and _ORDINARY(b"\0".join(found)):
            names.extend(found if is_file else [name + b"/" for name in found])
            return
        for name in found:
            kind, segment = layout.decode_name(chain, name)
            if kind is Kind.NATURAL:
                way = None if segment == name else (*chain, name)
                names.add(segment if is_file else segment + b"/", way)
            elif kind is Kind.BESIDE and is_file:
                # N, if it is a file, is the object: its way is the lesser one, or it has none.
                names.add(segment, (*chain, name))
            elif kind is Kind.CONTINUED and not is_file and len(segment) <= layout.KEY_MAX:
                continued.add(name)
            elif name != layout.INTERNAL:
                report(name)

    def holds_object(self, fd: int, room: int) -> bool:
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


class HistoryTree(Tree):
    """The same among the histories of a bucket: an object is a directory of versions; see `layout.encode_history`."""

    def directory_names(self, prefix: str) -> tuple[bytes, ...]:
        return layout.history_directory_names(prefix)

    def add(
        self,
        found: list[bytes],
        is_file: bool,
        chain: tuple[bytes, ...],
        names: Names,
        continued: set[bytes],
        report: Callable[[bytes], None],
    ) -> None:
        for name in found:
            kind, segment = (Kind.INVISIBLE, b"") if is_file else layout.decode_history_name(chain, name)
            if kind is Kind.BESIDE:
                names.add(segment, (*chain, name))
            elif kind is Kind.NATURAL:
                names.add(segment + b"/", None if segment == name else (*chain, name))
            elif kind is Kind.CONTINUED and len(segment) <= layout.KEY_MAX:
                continued.add(name)
            else:
                report(name)

    def holds_object(self, fd: int, room: int) -> bool:
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    kind, segment = layout.decode_history_name((), os.fsencode(entry.name))
                    if kind is Kind.BESIDE and len(segment) <= room:
                        return True
        return False


OBJECTS, HISTORIES = Tree(), HistoryTree()


def read(
    fd: int,
    floor: bytes,
    cache: DirectoryCache,
    exclusive: Exclusive | None,
    report: Callable[[bytes], None],
    tree: Tree = OBJECTS,
) -> Listing:
    """The entries of a directory of keys; of very many, some from `floor` on.

    :param exclusive: how to take the bucket's lock for a moment, or None where there is none to take.
    :param report: told each name that stands for nothing.
    :raises WouldBlock: by `exclusive`.
    """
    known = cache.get(fd, floor)
    if known is not None:
        return known
    began, names = time.time_ns(), Names(floor, cache.room)
    try:
        before = version(fd)
        lasting = _read(fd, (), names, exclusive, report, tree)
    except OSError:
        if paths.is_gone(fd):
            return Names(floor, cache.room).listing(lasting=False)
        raise
    listing = names.listing(lasting=lasting)
    cache.put(fd, began, before, listing)
    return listing


def _read(
    fd: int,
    chain: tuple[bytes, ...],
    names: Names,
    exclusive: Exclusive | None,
    report: Callable[[bytes], None],
    tree: Tree,
) -> bool:
    """Add all entries of a directory that were there throughout, and perhaps some that came or went meanwhile.

    A single pass over a directory that changes can miss names that are being replaced (on btrfs they move to the
    end), so passes are united until one was undisturbed; if none is, the bucket's lock gives one.

    :param chain: the continuation directories that lead to it.
    :returns: whether nothing changed, and nothing of it is in another directory.
    """
    continued: set[bytes] = set()
    lasting = False

    def one_pass() -> None:
        for found, is_file in _scan(fd):
            tree.add(found, is_file, chain, names, continued, report)

    for number in range(_PASSES):
        before = version(fd)
        one_pass()
        if version(fd) == before:
            lasting = number == 0
            break
    else:
        if exclusive is not None:
            with exclusive():
                one_pass()
    for name in continued:
        below = open_directory(fd, (name,))
        if below is not None:
            with paths.opened(below):
                _read(below, (*chain, name), names, exclusive, report, tree)
    return lasting and not continued


def _scan(fd: int) -> Iterator[tuple[list[bytes], bool]]:
    """The names in a directory, some at a time: of files (and True), or of directories; nothing else counts."""
    # btrfs shows the names that were there when the directory was opened or rewound: a name that was replaced since
    # would be missing, with no sign of a change during this pass.
    os.lseek(fd, 0, os.SEEK_SET)
    with os.scandir(fd) as entries:
        while some := list(islice(entries, _SCANNED)):
            files = [entry.name for entry in some if entry.is_file(follow_symlinks=False)]
            if files:
                yield _encoded(files), True
            if len(files) < len(some):
                directories = [entry.name for entry in some if entry.is_dir(follow_symlinks=False)]
                if directories:
                    yield _encoded(directories), False


def _encoded(names: list[str]) -> list[bytes]:
    # At once, which is much faster; no name has a NUL.
    return os.fsencode("\0".join(names)).split(b"\0")
