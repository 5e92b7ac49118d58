"""What directories hold, remembered as long as it is certain that they have not changed.

Names and types only: nothing here could make an ETag stale, or claim that
there are objects below a directory.  Shared by all threads of a store.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict

from zs3.store import kernel
from zs3.store.names import Listing
from zs3.store.observer import StoreObserver

_LOCAL = (kernel.EXT, kernel.XFS, kernel.BTRFS, kernel.ZFS, kernel.TMPFS)
#: Since Linux 6.13 a change that comes after somebody has looked at the times gets a time of its own on these
#: (https://docs.kernel.org/filesystems/multigrain-ts.html).
_MULTIGRAIN = (kernel.EXT, kernel.XFS, kernel.BTRFS, kernel.TMPFS)
_GRAIN_NS = 20_000_000
#: Room for a listing of some 100,000 names where the cache has less, or there is none.
_LEAST = 1 << 20


Version = tuple[int, int]
Identity = tuple[int, int, int | None]


def _identity(fd: int) -> Identity:
    """What tells an open directory from all others, also from one that has its inode number after it.

    That one may have been made within the same tick of the clock, and show the same times.
    """
    status = os.fstat(fd)
    return status.st_dev, status.st_ino, kernel.generation(fd)


def version(fd: int) -> Version:
    """The times of an open directory that tell whether it has changed."""
    status = os.fstat(fd)
    return status.st_mtime_ns, status.st_ctime_ns


def _linux() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def grain_ns(filesystem: int, linux: tuple[int, int]) -> int | None:
    """How long a directory must have been still for its times to prove anything; None where they never do.

    Elsewhere, on network mounts above all, times may be told from a cache that others' changes do not reach.

    :param filesystem: the number of `zs3.store.kernel.filesystem_type`.
    """
    if filesystem not in _LOCAL:
        return None
    return 0 if filesystem in _MULTIGRAIN and linux >= (6, 13) else _GRAIN_NS


def is_local(fd: int) -> bool:
    """Whether an open file is on a file system whose times tell of every change at once."""
    return kernel.filesystem_type(fd) in _LOCAL


class DirectoryCache:
    """The listings of directories that were read last.

    :param size: the most bytes that they may take, about; 0 for no cache.
    """

    def __init__(self, size: int, observer: StoreObserver | None = None) -> None:
        self._size = size
        self._observer = observer
        self._linux = _linux()
        self._lock = threading.Lock()
        self._known: OrderedDict[Identity, tuple[Version, Listing]] = OrderedDict()
        self._used = 0

    @property
    def room(self) -> int:
        """About the most bytes that a listing may take."""
        return max(self._size, _LEAST)

    def get(self, fd: int, floor: bytes) -> Listing | None:
        """What an open directory holds from an entry on, if that is known."""
        listing = self._find(fd, floor)
        if self._observer is not None:
            self._observer.looked_up(remembered=listing is not None)
        return listing

    def _find(self, fd: int, floor: bytes) -> Listing | None:
        key, now = _identity(fd), version(fd)
        with self._lock:
            known = self._known.get(key)
            if known is None:
                return None
            then, listing = known
            if then == now:
                if listing.floor <= floor and (listing.ceiling is None or floor < listing.ceiling):
                    self._known.move_to_end(key)
                    return listing
                return None
            self._forget(key)
            return None

    def put(self, fd: int, began: int, before: Version, listing: Listing) -> None:
        """Remember what an open directory holds, if it can be told when that changes.

        :param began: when it was not yet read, in nanoseconds since the epoch.
        :param before: its version then.
        """
        if not listing.lasting or listing.cost > self._size or version(fd) != before:
            return
        grain = grain_ns(kernel.filesystem_type(fd), self._linux)
        # A time in the future proves nothing: the clock was set back.
        if grain is None or not max(before) + grain <= began:
            return
        key = _identity(fd)
        with self._lock:
            self._forget(key)
            self._known[key] = (before, listing)
            self._used += listing.cost
            while self._used > self._size:
                self._forget(next(iter(self._known)))

    def _forget(self, key: Identity) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._used -= known[1].cost
