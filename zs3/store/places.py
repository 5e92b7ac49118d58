"""The two names that an object can have: its natural path N, and E beside it, used while N is a directory.

Blocking.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from zs3.store import paths
from zs3.store.layout import KeyPath


@dataclass(frozen=True, slots=True)
class Place:
    """Where the two names of an object are: fds of directories, and names in them.

    :ivar beside: the directory of E, or -1 if it does not exist (then E does not).
    """

    parent: int
    name: bytes
    beside: int
    beside_name: bytes

    def open(self) -> Found | None:
        """Open the object, at N before E; None if there is none."""
        for directory, name in ((self.parent, self.name), (self.beside, self.beside_name)):
            if directory >= 0 and (found := paths.open_file(directory, (name,))) is not None:
                return Found(*found, directory, name)
        return None


class Found(NamedTuple):
    """An object's file, open for reading, and its directory and name."""

    fd: int
    status: os.stat_result
    directory: int
    name: bytes


@contextmanager
def place_of(parent: int, path: KeyPath, *, make: int | None = None) -> Iterator[Place]:
    """The two names of an object below the fd of its parent directory.

    :param make: the mode to make E's directory with, if it is one of its own and missing.
    """
    *way, beside_name = path.beside
    if not way:
        yield Place(parent, path.name, parent, beside_name)
        return
    if make is not None:
        make_directory(parent, way[0], make)
    try:
        beside = paths.open_below(parent, way, paths.DIRECTORY)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        yield Place(parent, path.name, -1, beside_name)
        return
    with paths.opened(beside):
        yield Place(parent, path.name, beside, beside_name)


def make_directory(parent: int, name: bytes, mode: int) -> None:
    """Make a directory of keys where it is missing, of exactly this mode."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    if mode != 0o700:
        # A directory whose group is inherited makes such directories.
        inherited = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & stat.S_ISGID
        os.chmod(name, mode | inherited, dir_fd=parent)
