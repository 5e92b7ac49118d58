"""Listing the versions of a bucket: its objects and their histories, key by key in one order.

Blocking.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from zs3.store import history, layout, lookup
from zs3.store.buckets import Bucket
from zs3.store.history import History, closed
from zs3.store.interface import NULL_VERSION, ObjectInfo, ShowVersion, VersionsPage, VersionsQuery
from zs3.store.versionids import DELETED, Entry, is_id, sequence
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
        return _Page(bucket, root, query, show).fill(objects, histories)


def is_empty(bucket: Bucket, source: Source) -> bool:
    """Whether no key of a bucket has an older version.  The caller holds the bucket's lock."""
    with history.opened_root(bucket) as root:
        if root < 0:
            return True
        return not any(_has_versions(bucket, root, key.decode()) for key in _Keys(root, source, b"", b"", b""))


def _has_versions(bucket: Bucket, root: int, key: str) -> bool:
    with closing(History(bucket, root, key)) as older:
        return bool(older.entries()) or older.deleted() is not None


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
#: What its file is called, and the version.
_Named = tuple[bytes, Entry]


class _Marker(NamedTuple):
    info: ObjectInfo
    covers: str


class _Last(NamedTuple):
    key: str
    version: str


class _Page:
    """A page that is being filled."""

    def __init__(self, bucket: Bucket, root: int, query: VersionsQuery, show: ShowVersion) -> None:
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
            current, entries = self._look(key, older)
            if current is not None and not after and not self._add(current, latest=True):
                return True
            youngest = entries[0] if entries and current is None else None
            if after and (current is None or current.version != after):
                entries = _following(older, entries, after)
            for name, entry in entries:
                info = self._read(older, name, entry)
                if info is None or info.version != entry.version:
                    if (name, entry) == youngest:
                        # Then another is the latest.
                        return self._add_versions(key)
                    continue
                if not self._add(info, latest=entry.is_delete_marker and (name, entry) == youngest):
                    return True
        return False

    def _add(self, info: ObjectInfo, *, latest: bool) -> bool:
        """Add a version; False if there is no room."""
        if not self._room:
            return False
        self._versions.append(self._show(info, latest))
        self._last = _Last(info.key, info.version)
        self._room -= 1
        return True

    def _look(self, key: str, older: History) -> tuple[ObjectInfo | None, list[_Named]]:
        """The object, and what is older, the youngest first: all as at one moment, as far as that can be had."""
        before = None
        for _ in range(_TRIES):
            now = time.time_ns()
            seen = self._glance(key, older)
            if seen == before or (older.is_unchanged_since(now) and lookup.find_info(self._bucket, key) == seen[0]):
                break
            before = seen
        current, marker, entries = seen
        if self._root < 0:
            return (None if current is None else replace(current, version=NULL_VERSION)), []
        if marker is not None and (current is None or marker.covers != current.version):
            entries.insert(0, (DELETED, Entry(marker.info.version, True)))
        if current is not None:
            entries = [(name, entry) for name, entry in entries if entry.version != current.version]
        return current, entries

    def _glance(self, key: str, older: History) -> tuple[ObjectInfo | None, _Marker | None, list[_Named]]:
        current = lookup.find_info(self._bucket, key)
        if self._root < 0:
            return current, None, []
        # The directory may be another than before.
        older.close()
        entries = [(entry.name, entry) for entry in older.entries()]
        marker = older.deleted()
        return current, None if marker is None else _Marker(marker.info, marker.covers), entries

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


def _following(older: History, entries: list[_Named], after: str) -> list[_Named]:
    """Those after one by its id; if that is gone, after where it was."""
    for index, (_, entry) in enumerate(entries):
        if entry.version == after:
            return entries[index + 1 :]
    if not is_id(after):
        return []
    return [(name, entry) for name, entry in entries if older.order(entry) < sequence(after)]
