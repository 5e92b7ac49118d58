"""Listing a bucket: a walk in key order that goes straight to where a page starts, and the pages.

Blocking.  Order is that of the UTF-8 bytes of whole keys.  The walk reads each
directory on its way once and holds few descriptors, however deep it goes.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator

from zs3.store import directory, layout, lookup, paths
from zs3.store.buckets import Bucket
from zs3.store.directory import Entries, Exclusive
from zs3.store.interface import ListPage, ListQuery, ObjectInfo
from zs3.store.metadata import plain_info
from zs3.store.records import has_stable_inodes


class _Level:
    """A directory that the walk is in.

    :ivar order: its entries as they sort.
    :ivar index: the next of them.
    """

    def __init__(self, prefix: bytes, names: tuple[bytes, ...], entries: Entries) -> None:
        self.prefix = prefix
        self.names = names
        self.entries = entries
        self.order = sorted(entries)
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
    """

    def __init__(
        self, bucket: Bucket, prefix: bytes, floor: bytes, exclusive: Exclusive | None, report: Callable[[bytes], None]
    ) -> None:
        """:param prefix: only keys that begin with it."""
        self._bucket = bucket
        self._prefix = prefix
        self._exclusive = exclusive
        self._report = report
        self.floor = max(prefix, floor)

    def _level(self, prefix: bytes, names: tuple[bytes, ...]) -> _Level:
        fd = directory.open_directory(self._bucket.fd, names)
        if fd is None:
            return _Level(prefix, names, {})
        with paths.opened(fd):
            return _Level(prefix, names, directory.read(fd, self._exclusive, self._report))

    def __iter__(self) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
        above = self._prefix[: self._prefix.rfind(b"/") + 1]
        stack = [self._level(above, layout.directory_names(above.decode()))]
        while stack:
            level = stack[-1]
            level.seek(self.floor)
            if level.index >= len(level.order):
                stack.pop()
                continue
            sort = level.order[level.index]
            level.index += 1
            key = level.prefix + sort
            names = (*level.names, *level.entries[sort])
            if not key.startswith(self._prefix):
                # The walk began below every directory of the prefix, at its least key: this is behind its last.
                return
            if len(key) > layout.KEY_MAX:
                self._report(names[-1])
            elif sort.endswith(b"/"):
                stack.append(self._level(key, names))
            elif key:
                yield key, names


def _past(prefix: bytes) -> bytes:
    """The least string greater than all that begin with `prefix`; UTF-8 has no byte 0xff."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def list_page(
    bucket: Bucket, query: ListQuery, exclusive: Exclusive | None, report: Callable[[bytes], None]
) -> ListPage:
    """One page of a listing, see `ListQuery`.

    Source: Amazon S3 API Reference, ListObjectsV2.
    """
    prefix, delimiter, after = query.prefix.encode(), query.delimiter.encode(), query.after.encode()
    if query.limit <= 0 or not layout.is_listable(query.prefix):
        return ListPage((), (), False, "")
    walk = Walk(bucket, prefix, after + b"\0" if after else b"", exclusive, report)
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
        info = describe(bucket, key.decode(), names)
        if info is None:
            continue
        if len(objects) + len(prefixes) == query.limit:
            return ListPage(objects, prefixes, True, last.decode())
        objects.append(info)
        last = key
    return ListPage(objects, prefixes, False, last.decode())


def describe(bucket: Bucket, key: str, names: tuple[bytes, ...]) -> ObjectInfo | None:
    """What is known of the object at `names`, or wherever it has gone since; None if it is there no more."""
    try:
        found = lookup.open_names(bucket.fd, names, bucket, key) or lookup.find(bucket, key)
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
        return plain_info(key, status, inode=has_stable_inodes(fd)) if paths.is_file(status) else None


def is_empty(bucket: Bucket, report: Callable[[bytes], None]) -> bool:
    """Whether a bucket has no object.  The caller holds the bucket's lock."""
    return next(iter(Walk(bucket, b"", b"", None, report)), None) is None
