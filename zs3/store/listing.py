"""Listing a bucket: a walk in key order that goes straight to where a page starts, and the pages.

Blocking.  Order is that of the UTF-8 bytes of whole keys.  The walk reads each
directory on its way once and holds few descriptors, however deep it goes.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zs3.store import directory, layout, lookup, paths
from zs3.store.buckets import Bucket
from zs3.store.dircache import DirectoryCache, Listing
from zs3.store.directory import Exclusive
from zs3.store.interface import ListPage, ListQuery, ObjectInfo
from zs3.store.metadata import plain_info
from zs3.store.records import Records, has_stable_inodes


@dataclass(frozen=True, slots=True)
class Source:
    """How directories are read; see `zs3.store.directory.read`."""

    cache: DirectoryCache
    report: Callable[[bytes], None]
    exclusive: Exclusive | None = None


class _Level:
    """A directory that the walk is in.

    :ivar order: its entries as they sort.
    :ivar index: the next of them.
    """

    def __init__(self, prefix: bytes, names: tuple[bytes, ...], listing: Listing) -> None:
        self.prefix = prefix
        self.names = names
        self.listing = listing
        self.order = listing.order
        self.index = 0

    def seek(self, floor: bytes) -> None:
        """Go forward to the first entry that can hold a key not less than `floor`."""
        if not floor.startswith(self.prefix):
            if floor > self.prefix:
                self.index = len(self.order)
            return
        rest = floor[len(self.prefix) :]
        at = bisect_left(self.order, rest)
        if at and self.order[at - 1].endswith(b"/") and rest.startswith(self.order[at - 1]):
            at -= 1
        self.index = max(self.index, at)


class Walk:
    """The keys of a bucket in order, from `floor` on, as (key, way to its file) pairs.

    :ivar floor: the least key of interest; may be raised between two steps to leave out what is below.
    :ivar cut: a delimiter: of a directory whose keys all have it behind the prefix, one is enough, or instead of it the
        directory itself, without a way.
    """

    def __init__(self, bucket: Bucket, prefix: bytes, floor: bytes, source: Source) -> None:
        """:param prefix: only keys that begin with it."""
        self._bucket = bucket
        self._prefix = prefix
        self._source = source
        self.floor = max(prefix, floor)
        self.cut = b""

    def _level(self, prefix: bytes, names: tuple[bytes, ...]) -> _Level:
        fd = directory.open_directory(self._bucket.fd, names)
        if fd is None:
            return _Level(prefix, names, Listing([]))
        with paths.opened(fd):
            source = self._source
            return _Level(prefix, names, directory.read(fd, source.cache, source.exclusive, source.report))

    def _is_group(self, key: bytes, names: tuple[bytes, ...]) -> bool:
        """Whether a directory has keys that all fall into one common prefix."""
        # What sorts before the floor has been told already.
        if not self.cut or key < self.floor or key.find(self.cut, len(self._prefix)) < 0:
            return False
        fd = directory.open_directory(self._bucket.fd, names)
        if fd is None:
            return False
        with paths.opened(fd):
            return directory.holds_object(fd, layout.KEY_MAX - len(key))

    def __iter__(self) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
        above = self._prefix[: self._prefix.rfind(b"/") + 1]
        stack = [self._level(above, layout.directory_names(above.decode()))]
        floor = b""
        while stack:
            level = stack[-1]
            if level.index == 0 or floor != self.floor:
                floor = self.floor
                for each in stack:
                    each.seek(floor)
            if level.index >= len(level.order):
                stack.pop()
                continue
            sort = level.order[level.index]
            level.index += 1
            key = level.prefix + sort
            if not key.startswith(self._prefix):
                # The walk began below every directory of the prefix, at its least key: this is behind its last.
                return
            names = (*level.names, *level.listing.way(sort))
            if len(key) > layout.KEY_MAX:
                self._source.report(names[-1])
            elif not sort.endswith(b"/"):
                if key:
                    yield key, names
            elif self._is_group(key, names):
                yield key, ()
            else:
                stack.append(self._level(key, names))


def _past(prefix: bytes) -> bytes:
    """The least string greater than all that begin with `prefix`; UTF-8 has no byte 0xff."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def list_page(bucket: Bucket, query: ListQuery, source: Source) -> ListPage:
    """One page of a listing, see `ListQuery`.

    Source: Amazon S3 API Reference, ListObjectsV2.
    """
    prefix, delimiter, after = query.prefix.encode(), query.delimiter.encode(), query.after.encode()
    if query.limit <= 0 or not layout.is_listable(query.prefix):
        return ListPage((), (), False, "")
    walk = Walk(bucket, prefix, after + b"\0" if after else b"", source)
    walk.cut = delimiter
    kept = bucket.records()
    objects: list[ObjectInfo] = []
    prefixes: list[str] = []
    last = b""
    for key, names in walk:
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        if end >= 0:
            common = key[: end + len(delimiter)]
            walk.floor = _past(common)
            if after.startswith(common):
                continue
            if len(objects) + len(prefixes) == query.limit:
                return ListPage(objects, prefixes, True, last.decode())
            prefixes.append(common.decode())
            last = common
            continue
        # What died since its directory was read is dropped here.
        info = describe(bucket, key.decode(), names, kept)
        if info is None:
            continue
        if len(objects) + len(prefixes) == query.limit:
            return ListPage(objects, prefixes, True, last.decode())
        objects.append(info)
        last = key
    return ListPage(objects, prefixes, False, last.decode())


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


def is_empty(bucket: Bucket, source: Source) -> bool:
    """Whether a bucket has no object.  The caller holds the bucket's lock."""
    return next(iter(Walk(bucket, b"", b"", source)), None) is None
