"""Locks that exclude threads, processes and hosts alike: OFD locks on bytes of a bucket's lock file.

Blocking code that never waits: a lock that another holds is `WouldBlock`, and
who called tries again later (see `zs3.store.deferred`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from zs3.store import kernel, paths

_RANGE = 1 << 62


class WouldBlock(Exception):
    """Another holds the lock; nothing was done that would harm when the operation is begun again."""


def offset(name: str) -> int:
    """The byte of the lock file that stands for `name`.  Two names may share one: they only wait for each other."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % _RANGE


@contextmanager
def locked(path: bytes, start: int, length: int, mode: int) -> Iterator[None]:
    """Hold a lock on bytes of the file at `path` (length 0: all of it, whatever its size) for a block.

    The file is opened each time: descriptors held open and shared by threads would not exclude each other.

    :raises WouldBlock: another holds it.
    :raises FileNotFoundError: its directory is gone.
    """
    with paths.opened(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)) as fd:
        if not kernel.try_lock(fd, start, length):
            raise WouldBlock
        yield
