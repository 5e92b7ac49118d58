"""Locks that exclude threads, processes and hosts alike: OFD locks on bytes of a bucket's lock file.

Blocking code that never waits: a lock that another holds is `WouldBlock`, and
who called tries again later (see `zs3.store.deferred`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from zs3.store.calls import WAITING, Calls

_RANGE = 1 << 62


class WouldBlock(Exception):
    """Another holds the lock; nothing was done that would harm when the operation is begun again."""


def offset(name: str) -> int:
    """The byte of the lock file that stands for `name`.  Two names may share one: they only wait for each other."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % _RANGE


@contextmanager
def held(fd: int, start: int = 0, length: int = 0, calls: Calls = WAITING) -> Iterator[None]:
    """Hold a lock on bytes of an open file (length 0: all of it, whatever its size) for a block, and close the file.

    The file must have been opened for this: descriptors held open and shared by threads would not exclude each other.

    :raises WouldBlock: another holds it.
    """
    with calls.opened(fd):
        if not calls.try_lock(fd, start, length):
            raise WouldBlock
        yield
