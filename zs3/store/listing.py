"""Listing a bucket: the pages.

Blocking.  An object is opened once to know what to tell of it; after that a
look at the state of its file is enough, as long as that is the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Hashable
from contextlib import closing
from itertools import islice

from zs3.store import layout, lookup, paths
from zs3.store.buckets import Bucket
from zs3.store.dircache import is_local
from zs3.store.interface import ListPage, ListQuery, ObjectInfo, Show
from zs3.store.memo import PER_VALUE, State, is_settled, state
from zs3.store.metadata import plain_info
from zs3.store.records import Records, has_stable_inodes
from zs3.store.walk import Level, Source, Walk

_READ = paths.READ | os.O_CLOEXEC


def list_page(bucket: Bucket, query: ListQuery, show: Show, source: Source) -> ListPage:
    """One page of a listing, see `ListQuery`.

    Source: Amazon S3 API Reference, ListObjectsV2.
    """
    if query.limit <= 0 or not layout.is_listable(query.prefix):
        return ListPage((), (), False, "")
    return _Page(bucket, query, show, source).fill()


def is_empty(bucket: Bucket, source: Source) -> bool:
    """Whether a bucket has no object.  The caller holds the bucket's lock."""
    with closing(Walk(bucket, source).steps(1)) as steps:
        return next(steps, None) is None


def _past(prefix: bytes) -> bytes:
    """The least string greater than all that begin with `prefix`; UTF-8 has no byte 0xff."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


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
        self._found: list[tuple[State, tuple[bytes, Show, bytes], int]] = []
        self._local: dict[int, bool] = {}

    def fill(self) -> ListPage:
        """Walk until there is more than it may hold, or nothing."""
        floor = self._after + b"\0" if self._after else b""
        walk = Walk(self._bucket, self._source, prefix=self._prefix, floor=floor, cut=self._delimiter)
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
        walk.floor = _past(common)
        return False

    def _add_objects(self, level: Level, walk: Walk) -> bool:
        """Add the objects that come next in a directory, or a common prefix; whether there are more than it may hold.

        What died since the directory was read is left out.
        """
        memo, show, prefix, delimiter = self._source.memo, self._show, level.prefix, self._delimiter
        ways = level.listing.ways
        fd = level.open()
        used: list[Hashable] = []
        try:
            for sort in islice(level.order, level.index, None):
                key = prefix + sort
                if sort.endswith(b"/") or len(key) > layout.KEY_MAX or not key.startswith(self._prefix):
                    return False
                if delimiter and key.find(delimiter, len(self._prefix)) >= 0:
                    return self._add_prefixes([key], walk)
                level.index += 1
                name = sort if sort not in ways else ways[sort][0] if len(ways[sort]) == 1 else b""
                shown = None
                if fd is not None and name:
                    try:
                        now = state(os.stat(name, dir_fd=fd, follow_symlinks=False))
                    except OSError:
                        known = None
                    else:
                        known = memo.get(now)
                    if known is not None and known[0] == key and known[1] is show:
                        used.append(now)
                        shown = known[2]
                    else:
                        shown = self._look(fd, name, key)
                if shown is None:
                    info = describe(self._bucket, key.decode(), level.way(sort), self._kept)
                    if info is None:
                        continue
                    shown = show(info)
                if not self._room:
                    return True
                self._objects.append(shown)
                self._last = key
                self._room -= 1
            return False
        finally:
            memo.keep(used, self._found)
            self._found.clear()

    def _look(self, directory: int, name: bytes, key: bytes) -> bytes | None:
        """Open the file of an object to know what to show; None if it is none, or not to be had so."""
        try:
            fd = os.open(name, _READ, dir_fd=directory)
        except OSError:
            return None
        with paths.opened(fd):
            status = os.fstat(fd)
            if not paths.is_file(status):
                return None
            info, inside = self._kept.info_and_source(fd, status, key.decode())
            shown = self._show(info)
            if inside and is_settled(status, self._began) and self._is_local(fd, status.st_dev):
                cost = PER_VALUE + len(key) + len(shown)
                self._found.append((state(status), (key, self._show, shown), cost))
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
