"""Listing the versions of a bucket: its objects and their histories, key by key in one order.

Blocking.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from zs3.store import history, layout, lookup
from zs3.store.buckets import Bucket
from zs3.store.history import History, closed
from zs3.store.interface import NULL_VERSION, ObjectInfo, ShowVersion, VersionsPage, VersionsQuery
from zs3.store.memo import Memo
from zs3.store.versionids import DELETED, Entry, is_id, parse_order
from zs3.store.walk import Level, Source, Walk, past


def list_page(
    bucket: Bucket, query: VersionsQuery, show: ShowVersion, objects: Source, histories: Source
) -> VersionsPage:
    """One page of the versions of a bucket, see `VersionsQuery`.

    Source: Amazon S3 API Reference, ListObjectVersions.

    :param objects: how the bucket's directories are read.
    :param histories: likewise those of the histories of its keys.
    """
    if query.limit <= 0 or not layout.is_listable(query.prefix):
        return VersionsPage((), (), False)
    with history.opened_root(bucket) as root:
        return _Page(bucket, root, query, show, histories.memo).fill(objects, histories)


def is_empty(bucket: Bucket, source: Source) -> bool:
    """Whether no key of a bucket has an older version.  The caller holds the bucket's lock."""
    with history.opened_root(bucket) as root:
        if root < 0:
            return True
        return not any(_has_versions(bucket, root, key.decode()) for key in _Keys(root, source, b"", b"", b""))


def _has_versions(bucket: Bucket, root: int, key: str) -> bool:
    with closing(History(bucket, root, key)) as older:
        return older.youngest() is not None or older.deleted() is not None


class _Keys:
    """The keys of a tree in order, and common prefixes.

    :ivar common: whether what came last is one.
    """

    def __init__(self, root: int, source: Source, prefix: bytes, floor: bytes, cut: bytes) -> None:
        self._walk = Walk(root, source, prefix=prefix, floor=floor, cut=cut)
        self._prefix, self._cut = prefix, cut
        self.common = False
        self._keys = self._steps()

    def __iter__(self) -> Generator[bytes, None, None]:
        return self._keys

    def skip(self, common: bytes) -> None:
        """Leave out what begins with a common prefix."""
        self._walk.floor = max(self._walk.floor, past(common))

    def close(self) -> None:
        self._keys.close()

    def _group(self, key: bytes) -> bytes:
        self.common = True
        return key[: key.find(self._cut, len(self._prefix)) + len(self._cut)]

    def _steps(self) -> Generator[bytes, None, None]:
        with closing(self._walk.steps(1)) as steps:
            for step in steps:
                if not isinstance(step, Level):
                    for key in step:
                        yield self._group(key)
                    continue
                for sort in islice(step.order, step.index, None):
                    key = step.prefix + sort
                    if sort.endswith(b"/") or len(key) > layout.KEY_MAX or not key.startswith(self._prefix):
                        break
                    step.index += 1
                    if key < self._walk.floor:
                        continue
                    if self._walk.is_cut(key):
                        yield self._group(key)
                        break
                    self.common = False
                    yield key


_TRIES = 10
_NONE = Entry("", False)


class _Marker(NamedTuple):
    info: ObjectInfo
    covers: str


class _Last(NamedTuple):
    key: str
    version: str


class _Page:
    """A page that is being filled."""

    def __init__(self, bucket: Bucket, root: int, query: VersionsQuery, show: ShowVersion, memo: Memo) -> None:
        self._memo = memo
        self._bucket = bucket
        self._root = root
        self._query = query
        self._show = show
        self._room = query.limit
        self._versions: list[bytes] = []
        self._prefixes: list[str] = []
        self._last = _Last("", "")

    def fill(self, objects: Source, histories: Source) -> VersionsPage:
        query = self._query
        prefix, cut, marker = query.prefix.encode(), query.delimiter.encode(), query.key_marker.encode()
        floor = marker + b"\0" if marker else b""
        if marker and query.version_marker:
            floor = marker
        walks = [_Keys(self._bucket.fd, objects, prefix, floor, cut)]
        if self._root >= 0:
            walks.append(_Keys(self._root, histories, prefix, floor, cut))
        try:
            full = self._merge(walks, marker)
        finally:
            for walk in walks:
                walk.close()
        return VersionsPage(self._versions, self._prefixes, full, *(self._last if full else _Last("", "")))

    def _merge(self, walks: list[_Keys], marker: bytes) -> bool:
        """Add what comes first, of all walks, until there is more than the page may hold; whether there is."""
        heads: list[tuple[bytes, bool] | None] = []
        steps = [iter(walk) for walk in walks]
        for walk, step in zip(walks, steps, strict=True):
            key = next(step, None)
            heads.append(None if key is None else (key, walk.common))
        while any(head is not None for head in heads):
            key, common = min(head for head in heads if head is not None)
            if common:
                for walk in walks:
                    walk.skip(key)
                full = not marker.startswith(key) and self._add_prefix(key)
            else:
                full = self._add_versions(key.decode())
            if full:
                return True
            for index, head in enumerate(heads):
                while head is not None and (head[0] == key or (common and head[0].startswith(key))):
                    following = next(steps[index], None)
                    head = None if following is None else (following, walks[index].common)
                heads[index] = head
        return False

    def _add_prefix(self, common: bytes) -> bool:
        if not self._room:
            return True
        self._prefixes.append(common.decode())
        self._last = _Last(common.decode(), "")
        self._room -= 1
        return False

    def _add_versions(self, key: str) -> bool:
        """Add the versions of a key; whether there are more than the page may hold."""
        query = self._query
        after = query.version_marker if key == query.key_marker else ""
        with closing(History(self._bucket, self._root, key)) as older:
            current, marker, orders = self._look(key, older)
            latest = current is None
            if after and after in (current and current.version, marker and marker.version):
                # The youngest of the others follows, but behind the object a delete marker.
                if marker is not None and marker.version == after:
                    marker = None
                after, latest = "", False
            elif after:
                marker, latest = None, False
                del orders[_place(orders, after) :]
            elif current is not None and not self._add(current, latest=True):
                return True
            entries: Iterator[tuple[bytes, Entry | None]] = ((b"", parse_order(each)) for each in reversed(orders))
            if marker is not None:
                entries = itertools.chain([(DELETED, Entry(marker.version, True))], entries)
            for name, entry in entries:
                if entry is None or (current is not None and entry.version == current.version):
                    continue
                info = self._read(older, name or entry.name, entry)
                if info is None or info.version != entry.version:
                    if latest:
                        # Then another is the latest.
                        return self._add_versions(key)
                    continue
                if not self._add(info, latest=latest and entry.is_delete_marker):
                    return True
                latest = False
        return False

    def _add(self, info: ObjectInfo, *, latest: bool) -> bool:
        """Add a version; False if there is no room."""
        if not self._room:
            return False
        self._versions.append(self._show(info, latest))
        self._last = _Last(info.key, info.version)
        self._room -= 1
        return True

    def _look(self, key: str, older: History) -> tuple[ObjectInfo | None, ObjectInfo | None, list[bytes]]:
        """The object, the delete marker `DELETED` if it counts, and as what the others sort, the oldest first.

        All as at one moment, as far as that can be had.
        """
        before = None
        for _ in range(_TRIES):
            now = time.time_ns()
            seen = self._glance(key, older)
            if seen == before or (older.is_unchanged_since(now) and lookup.find_info(self._bucket, key) == seen[0]):
                break
            before = seen
        current, marker, orders = seen
        if self._root < 0:
            return (None if current is None else replace(current, version=NULL_VERSION)), None, []
        if marker is None or (current is not None and marker.covers == current.version):
            return current, None, list(orders)
        return current, marker.info, list(orders)

    def _glance(self, key: str, older: History) -> tuple[ObjectInfo | None, _Marker | None, list[bytes]]:
        current = lookup.find_info(self._bucket, key)
        if self._root < 0:
            return current, None, []
        # The directory may be another than before.
        older.close()
        orders = older.orders(self._memo)
        marker = older.deleted()
        return current, None if marker is None else _Marker(marker.info, marker.covers), orders

    def _read(self, older: History, name: bytes, entry: Entry) -> ObjectInfo | None:
        """An older version as it is, or if it is the current one by now, as that; None if it is gone."""
        for _ in range(2):
            version = closed(older.read(name, entry))
            if version is not None:
                return version.info
            # It has another name by now, if it has any.
            name = entry.name if name == DELETED else DELETED if entry.is_delete_marker else name
            current = None if entry.is_delete_marker else lookup.find_info(self._bucket, older.key)
            if current is not None and current.version == entry.version:
                return current
        return None


def _place(orders: list[bytes], after: str) -> int:
    """Where in the order of versions one is, or would be if it is gone."""
    if after == NULL_VERSION:
        return next((at for at, each in enumerate(orders) if (parse_order(each) or _NONE).version == after), 0)
    if not is_id(after):
        return 0
    return bisect_left(orders, Entry(after, False).name)
