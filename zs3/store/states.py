"""The states of buckets, remembered so that a request need neither open a bucket nor read what is configured of it.

Three things are held open: the directory of the bucket, which so keeps its
inode number; that of its internals, which the kernel gives another change time
when a file appears there, is replaced or removed; and the file of the
configuration, if there is one, whose own change time tells of what is written
into it.  What is asked of the kernel is in memory for as long.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from zs3.store.values import BucketState

#: Of so many buckets, whose configurations have together so many bytes as files; parsed, they take a few times that.
_MOST = 64
_MOST_BYTES = 2 << 20
#: What nobody changes but by hand, the id of a directory that stays, is looked at anew after so long.
_LOOK_S = 1.0
#: Two changes within a tick of the kernel's clock may have one time: what changed less than so long ago proves nothing.
_GRAIN_NS = 1_000_000_000


class Watch(NamedTuple):
    """Where a bucket's configuration is, or would be, open, and what these were like before it was read.

    :ivar directory: of the bucket.
    :ivar home: of its internals.
    :ivar file: of its configuration, -1 if there was none.
    """

    directory: int
    home: int
    home_changed_ns: int
    file: int
    file_changed_ns: int
    size: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that are open, in their order."""
        return (self.directory, self.home) if self.file < 0 else (self.directory, self.home, self.file)


def watched(directory: int, home: int) -> Watch:
    """Begin to watch directories in which nothing was looked for yet."""
    return Watch(directory, home, os.fstat(home).st_ctime_ns, -1, 0, 0)


def with_file(watch: Watch, file: int) -> Watch:
    """The same with the file of the configuration, which was not read yet."""
    status = os.fstat(file)
    return watch._replace(file=file, file_changed_ns=status.st_ctime_ns, size=status.st_size)


class _Seen(NamedTuple):
    """:ivar state: what is known.
    :ivar watch: what proves it, in descriptors of its own.
    :ivar since: when that was found out, in seconds.
    """

    state: BucketState
    device: int
    inode: int
    watch: Watch
    since: float


class States:
    """The buckets below one data directory of which it is known what is configured, if anything.

    :param data: the data directory, open.
    """

    def __init__(self, data: int) -> None:
        self._data = data
        self._seen: dict[str, _Seen] = {}
        self._bytes = 0

    def knows(self, bucket: str, now: float) -> BucketState | None:
        """The bucket, if it is known and still so.

        :param now: seconds on a clock that never goes back.
        """
        seen = self._seen.get(bucket)
        if seen is None:
            return None
        state, device, inode, (_, home, home_changed_ns, file, file_changed_ns, _), since = seen
        try:
            status = os.stat(bucket, dir_fd=self._data, follow_symlinks=False)
            if (
                now - since < _LOOK_S
                and status.st_ino == inode
                and status.st_dev == device
                and os.fstat(home).st_ctime_ns == home_changed_ns
                and (file < 0 or os.fstat(file).st_ctime_ns == file_changed_ns)
            ):
                return state
        except OSError:
            pass
        self.discard(bucket)
        return None

    def keep(self, state: BucketState, watch: Watch, looked_ns: int, now: float) -> None:
        """Remember a bucket, if that can be.

        :param watch: began before what the state says was read.
        :param looked_ns: when that was or before, in nanoseconds since the epoch.
        :param now: as for `knows`.
        """
        bucket = str(state.name)
        self.discard(bucket)
        if not looked_ns - max(watch.home_changed_ns, watch.file_changed_ns) > _GRAIN_NS or watch.size > _MOST_BYTES:
            return
        while len(self._seen) >= _MOST or self._bytes + watch.size > _MOST_BYTES:
            self.discard(next(iter(self._seen)))
        status = os.fstat(watch.directory)
        own: list[int] = []
        try:
            for fd in watch.descriptors:
                own.append(os.dup(fd))
        except OSError:
            # There are too many: what serves requests needs them more.
            for fd in own:
                os.close(fd)
            return
        kept = Watch(own[0], own[1], watch.home_changed_ns, own[2] if len(own) > 2 else -1, *watch[4:])
        self._seen[bucket] = _Seen(state, status.st_dev, status.st_ino, kept, now)
        self._bytes += watch.size

    def discard(self, bucket: str) -> None:
        """Know nothing of a bucket."""
        seen = self._seen.pop(bucket, None)
        if seen is not None:
            self._bytes -= seen.watch.size
            for fd in seen.watch.descriptors:
                os.close(fd)

    def close(self) -> None:
        """Know nothing any more."""
        for bucket in tuple(self._seen):
            self.discard(bucket)
