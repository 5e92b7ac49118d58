"""Listing a bucket: the pages.

Blocking.  An object is opened once to know what to tell of it; after that a
look at the state of its file is enough, as long as that is the same.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import closing, suppress
from functools import partial
from itertools import islice

from zs3.store import layout, lookup, paths
from zs3.store.buckets import Bucket
from zs3.store.dircache import is_local
from zs3.store.memo import PER_VALUE, State, is_settled, state
from zs3.store.metadata import plain_info
from zs3.store.records import Records, has_stable_inodes
from zs3.store.values import ListPage, ListQuery, ObjectInfo, Show
from zs3.store.walk import Level, Source, Walk, past

_READ = paths.READ | os.O_CLOEXEC

#: What is to be remembered of an object: for which state of its file; key, what showed it, how, and the cost.
_Found = tuple[State, tuple[bytes, Show, bytes, int]]


def list_page(bucket: Bucket, query: ListQuery, show: Show, source: Source) -> ListPage:
    """One page of a listing, see `ListQuery`.

    Source: Amazon S3 API Reference, ListObjectsV2.
    """
    if query.limit <= 0 or not layout.is_listable(query.prefix):
        return ListPage((), (), False, "")
    return _Page(bucket, query, show, source).fill()


def is_empty(bucket: Bucket, source: Source) -> bool:
    """Whether a bucket has no object.  The caller holds the bucket's lock."""
    with closing(Walk(bucket.fd, source).steps(1)) as steps:
        return next(steps, None) is None


class _Page:
    """A page that is being filled."""

    def __init__(self, bucket: Bucket, query: ListQuery, show: Show, source: Source) -> None:
        self._bucket = bucket
        self._kept = bucket.records()
        self._show = show
        self._source = source
        self._began = time.time_ns()
        self._prefix, self._delimiter = query.prefix.encode(), query.delimiter.encode()
        self._after = query.after.encode()
        self._room = query.limit
        self._objects: list[bytes] = []
        self._prefixes: list[str] = []
        self._last = b""
        self._local: dict[int, bool] = {}

    def fill(self) -> ListPage:
        """Walk until there is more than it may hold, or nothing."""
        floor = self._after + b"\0" if self._after else b""
        walk = Walk(self._bucket.fd, self._source, prefix=self._prefix, floor=floor, cut=self._delimiter)
        full = False
        with closing(walk.steps(self._room + 1)) as steps:
            for step in steps:
                if isinstance(step, Level):
                    full = self._add_objects(step, walk)
                else:
                    full = self._add_prefixes(step, walk)
                if full:
                    break
        return ListPage(self._objects, self._prefixes, full, self._last.decode())

    def _add_prefixes(self, keys: list[bytes], walk: Walk) -> bool:
        """Add the common prefixes that keys fall into, each another; whether there are more than it may hold."""
        for key in keys:
            common = key[: key.find(self._delimiter, len(self._prefix)) + len(self._delimiter)]
            if not self._after.startswith(common):
                if not self._room:
                    return True
                self._prefixes.append(common.decode())
                self._last = common
                self._room -= 1
        walk.floor = past(common)
        return False

    def _add_objects(self, level: Level, walk: Walk) -> bool:
        """Add the objects that come next in a directory, or a common prefix; whether there are more than it may hold.

        What died since the directory was read is left out.
        """
        found: list[_Found] = []
        try:
            # No name has a slash: in this directory all keys are cut by it, or none.
            if self._delimiter in (b"", b"/") and not walk.is_cut(level.prefix) and self._add_known(level):
                return True
            for sort in islice(level.order, level.index, None):
                key = level.prefix + sort
                if sort.endswith(b"/") or len(key) > layout.KEY_MAX or not key.startswith(self._prefix):
                    return False
                if walk.is_cut(key):
                    return self._add_prefixes([key], walk)
                level.index += 1
                shown = self._shown(level, sort, key, found)
                if shown is not None:
                    if not self._room:
                        return True
                    self._objects.append(shown)
                    self._last = key
                    self._room -= 1
            return False
        finally:
            self._source.memo.keep(found)

    def _add_known(self, level: Level) -> bool:
        """Add the objects that come next in a directory, as far as it is known what to show of them.

        This is where the time of a page goes.

        :returns: whether there are more than it may hold.
        """
        fd = level.open()
        if fd is None:
            return False
        get, show, prefix, order = self._source.memo.get, self._show, level.prefix, level.order
        stat = partial(os.stat, dir_fd=fd, follow_symlinks=False)
        end = min(level.index + self._room + 1, level.end(self._prefix))
        end = next((at for at in range(level.index, end) if order[at].endswith(b"/")), end)
        sorts = order[level.index : end]
        used: list[State] = []
        # What raises at a name that is gone leaves those before it in `used`.
        with suppress(OSError):
            used.extend(map(state, map(stat, sorts)))
        shown = []
        for known, sort in zip(map(get, used), sorts, strict=False):
            if known is None or known[1] is not show or known[0] != prefix + sort:
                break
            shown.append(known[2])
        self._source.memo.touch(used[: len(shown)])
        level.index += len(shown)
        more = len(shown) > self._room
        if more:
            level.index -= 1
            shown.pop()
        if shown:
            self._objects += shown
            self._last = prefix + order[level.index - 1]
            self._room -= len(shown)
        return more

    def _shown(self, level: Level, sort: bytes, key: bytes, found: list[_Found]) -> bytes | None:
        """What to show of an object; None if it is there no more.

        :param found: is added to.
        """
        fd = level.open()
        way = level.way(sort)
        if fd is not None and len(way) == 1:
            try:
                known = self._source.memo.get(state(os.stat(way[0], dir_fd=fd, follow_symlinks=False)))
            except OSError:
                known = None
            if known is not None and known[0] == key and known[1] is self._show:
                shown: bytes = known[2]
                return shown
            looked = self._look(fd, way[0], key, found)
            if looked is not None:
                return looked
        info = describe(self._bucket, key.decode(), (*level.names, *way), self._kept)
        return None if info is None else self._show(info)

    def _look(self, directory: int, name: bytes, key: bytes, found: list[_Found]) -> bytes | None:
        """Open the file of an object to know what to show; None if it is none, or not to be had so, or gone."""
        try:
            fd = os.open(name, _READ, dir_fd=directory)
        except OSError:
            return None
        with paths.opened(fd):
            try:
                status = os.fstat(fd)
                if not paths.is_file(status):
                    return None
                info, inside = self._kept.info_and_source(fd, status, key.decode())
            except OSError as error:
                # On a clustered file system.
                if error.errno != errno.ESTALE:
                    raise
                return None
            if not inside and lookup.is_gone(fd):
                return None
            shown = self._show(info)
            if inside and is_settled(status, self._began) and self._is_local(fd, status.st_dev):
                cost = PER_VALUE + len(key) + len(shown)
                found.append((state(status), (key, self._show, shown, cost)))
            return shown

    def _is_local(self, fd: int, device: int) -> bool:
        known = self._local.get(device)
        if known is None:
            known = self._local[device] = is_local(fd)
        return known


def describe(bucket: Bucket, key: str, names: tuple[bytes, ...], kept: Records) -> ObjectInfo | None:
    """What is known of the object at `names`, or wherever it has gone since; None if it is there no more."""
    try:
        found = lookup.open_names(bucket.fd, names, kept, key) or lookup.find(bucket, key)
    except (PermissionError, BlockingIOError):
        # Somebody's file that the daemon may see but not read, or not now, as another holds a lease on it (Samba):
        # GET says so, the list shows it.
        return _describe_unreadable(bucket, key, names)
    if found is None:
        return None
    found.close()
    return found.info


def _describe_unreadable(bucket: Bucket, key: str, names: tuple[bytes, ...]) -> ObjectInfo | None:
    try:
        fd = paths.open_below(bucket.fd, names, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return None
    with paths.opened(fd):
        status = os.fstat(fd)
        return plain_info(key, status, inode=has_stable_inodes(fd, status.st_dev)) if paths.is_file(status) else None
