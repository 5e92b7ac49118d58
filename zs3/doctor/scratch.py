"""A directory for trying things out on the file system of the data directory, of which nothing stays.

It is no bucket, and no daemon minds it: it is among the temporary directories
of ``.zs3``, locked like those of the daemons, or where there is none yet, hidden
in the data directory.  What a `kill -9` leaves goes with the next examination, or
in ``.zs3`` with the next start of a daemon.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from zs3.store import kernel, layout, paths
from zs3.store.internals import remove_tree, sweep

_PREFIX = b".zs3-doctor-"
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Scratch:
    """The directory.

    :ivar path: its path; never longer than a few bytes, as it goes by a descriptor.
    :ivar fd: its descriptor.
    """

    path: bytes
    fd: int

    def at(self, name: bytes) -> bytes:
        return self.path + b"/" + name

    @contextmanager
    def file(self, name: bytes, data: bytes = b"") -> Iterator[int]:
        """A new file for a block, open for reading and writing.  It is removed, if it still has that name."""
        fd = os.open(self.at(name), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with paths.opened(fd):
                if data:
                    os.write(fd, data)
                yield fd
        finally:
            with suppress(OSError):
                os.unlink(self.at(name))


@contextmanager
def made(data: bytes) -> Iterator[Scratch]:
    """A scratch directory in the data directory, for a block.

    :raises OSError: EROFS, EACCES, EPERM: this user cannot write there; ENOSPC and the like.
    """
    with (
        paths.opened(os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root,
        paths.opened(_home(root)) as home,
    ):
        base = b"/proc/self/fd/%d" % home
        for name in os.listdir(base):
            if name.startswith(_PREFIX):
                sweep(os.path.join(base, name))
        name = _PREFIX + secrets.token_hex(8).encode()
        try:
            with (
                paths.opened(_make(os.path.join(base, name))),
                paths.opened(paths.open_below(home, (name,), paths.DIRECTORY)) as fd,
            ):
                yield Scratch(b"/proc/self/fd/%d" % fd, fd)
        finally:
            remove_tree(os.path.join(base, name))


def _home(root: int) -> int:
    """The directory that the scratch directory will be in."""
    with suppress(OSError):
        temporary = paths.open_below(root, (layout.INTERNAL, b"tmp"), paths.DIRECTORY)
        if os.access(b"/proc/self/fd/%d" % temporary, os.W_OK | os.X_OK):
            return temporary
        os.close(temporary)
    return os.dup(root)


def _make(path: bytes) -> int:
    """Make the directory, and give the descriptor of a file in it that tells others that it is in use."""
    for attempt in range(_TRIES):
        os.mkdir(path, 0o700)
        try:
            owner = os.open(os.path.join(path, b"owner"), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            # A daemon that starts took it for one that a dead process left.
            if attempt == _TRIES - 1:
                raise
            continue
        # Where there are no locks, that is found out later.
        with suppress(OSError):
            kernel.try_lock(owner, 0, 0)
        if os.path.isdir(path):
            return owner
        os.close(owner)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
