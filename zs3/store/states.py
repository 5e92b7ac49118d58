"""Which buckets have no configuration, remembered so that a request need not look for it.

Two directories are held open: that of the bucket, which so keeps its inode
number, and that of its internals, which the kernel gives another change time
when a file appears there, or it is removed.  What is asked of the kernel is in
memory for as long.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from zs3.store import kernel, layout
from zs3.store.interface import BucketState

#: Of so many buckets.
_MOST = 64
#: What nobody changes but by hand, the id of a directory that stays, is looked at anew after so long.
_LOOK_S = 1.0
#: Two changes within a tick of the kernel's clock may have one: what changed less than so long ago proves nothing.
_GRAIN_NS = 1_000_000_000

_open_directory = kernel.CachedOpen(os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


class _Seen(NamedTuple):
    """:ivar state: what is known.
    :ivar directory: the bucket's, open.
    :ivar home: that of its internals, open.
    :ivar since: when that was found out, in seconds.
    """

    state: BucketState
    directory: int
    device: int
    inode: int
    home: int
    home_changed_ns: int
    since: float


class States:
    """The buckets below one data directory of which it is known that nothing is configured.

    :param data: the data directory, open.
    """

    def __init__(self, data: int) -> None:
        self._data = data
        self._seen: dict[str, _Seen] = {}

    def knows(self, bucket: str, now: float) -> BucketState | None:
        """The bucket, if that is known and still so.

        :param now: seconds on a clock that never goes back.
        """
        seen = self._seen.get(bucket)
        if seen is None:
            return None
        try:
            status = os.stat(bucket, dir_fd=self._data, follow_symlinks=False)
            if (
                now - seen.since < _LOOK_S
                and status.st_ino == seen.inode
                and status.st_dev == seen.device
                and os.fstat(seen.home).st_ctime_ns == seen.home_changed_ns
            ):
                return seen.state
        except OSError:
            pass
        self.discard(bucket)
        return None

    def begin(self, state: BucketState, directory: int, now: float) -> bool:
        """Remember a bucket, if that can be.  The caller looks then whether it has none, and `discard`s it if it has.

        :param directory: the bucket's, open.
        :param now: as for `knows`.
        """
        bucket = str(state.name)
        self.discard(bucket)
        home = _open_directory(self._data, b"%b/buckets/%b" % (layout.INTERNAL, state.name.identifier.encode()))
        if home < 0:
            return False
        changed = os.fstat(home).st_ctime_ns
        if not time.time_ns() - changed > _GRAIN_NS:
            os.close(home)
            return False
        while len(self._seen) >= _MOST:
            self.discard(next(iter(self._seen)))
        status = os.fstat(directory)
        self._seen[bucket] = _Seen(state, os.dup(directory), status.st_dev, status.st_ino, home, changed, now)
        return True

    def discard(self, bucket: str) -> None:
        """Know nothing of a bucket."""
        seen = self._seen.pop(bucket, None)
        if seen is not None:
            os.close(seen.directory)
            os.close(seen.home)

    def close(self) -> None:
        """Know nothing any more."""
        for bucket in tuple(self._seen):
            self.discard(bucket)
