"""Listing the versions of a bucket: its objects and their histories, key by key in one order.

Blocking.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
import time
from bisect import bisect_left
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from zs3.store import history, layout, listing, lookup, paths, versions
from zs3.store.buckets import Bucket
from zs3.store.dircache import is_local
from zs3.store.history import History, closed
from zs3.store.memo import PER_VALUE, Memo, is_settled, state
from zs3.store.values import NULL_VERSION, ListQuery, ObjectInfo, Show, ShowVersion, VersionsPage, VersionsQuery
from zs3.store.versionids import DELETED, Entry, is_id, marker_of, null_order, parse_marker, parse_order
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
        if root < 0:
            return _page_of_objects(bucket, query, show, objects)
        return _Page(bucket, root, query, show, histories.memo).fill(objects, histories)


def _page_of_objects(bucket: Bucket, query: VersionsQuery, show: ShowVersion, source: Source) -> VersionsPage:
    """The same where there are no histories: each object is its only one, and has no id where versions were never kept.

    There are none either where others have removed them all.
    """
    asked = ListQuery(query.prefix, query.delimiter, query.key_marker, query.limit)
    shown = _latest(show) if versions.is_versioned(bucket) else _only_version(show)
    page = listing.list_page(bucket, asked, shown, source)
    prefix = bool(page.prefixes) and page.last == page.prefixes[-1]
    following = (page.last, "" if prefix else NULL_VERSION) if page.truncated else ("", "")
    return VersionsPage(page.objects, page.prefixes, page.truncated, *following)


@functools.lru_cache(maxsize=64)
def _only_version(show: ShowVersion) -> Show:
    """How an object is shown as the only version; the same for the same, so that it is remembered."""
    return lambda info: show(replace(info, version=NULL_VERSION), True)


@functools.lru_cache(maxsize=64)
def _latest(show: ShowVersion) -> Show:
    """Likewise where it may have an id."""
    return lambda info: show(info, True)


def is_empty(bucket: Bucket, source: Source) -> bool:
    """Whether no key of a bucket has an older version.  The caller holds the bucket's lock."""
    with history.opened_root(bucket) as root:
        if root < 0:
            return True
        return not any(_has_versions(bucket, root, key.decode()) for key in Keys(root, source, b"", b"", b""))


def _has_versions(bucket: Bucket, root: int, key: str) -> bool:
    with closing(History(bucket, root, key)) as older:
        return any(map(parse_order, older.orders())) or older.deleted() is not None


class Keys:
    """The keys of a tree in order, and common prefixes.

    :ivar common: whether what came last is one.
    :ivar level: the directory that a key came from.
    :ivar sort: as what it is there.
    """

    def __init__(self, root: int, source: Source, prefix: bytes, floor: bytes, cut: bytes) -> None:
        self._walk = Walk(root, source, prefix=prefix, floor=floor, cut=cut)
        self._prefix, self._cut = prefix, cut
        self.common = False
        self.level: Level | None = None
        self.sort = b""
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
                    self.common, self.level, self.sort = False, step, sort
                    yield key


_TRIES = 10
_NONE = Entry("", False)


class _Shown(NamedTuple):
    """A version as it is shown, and its id."""

    version: str
    shown: bytes
    mtime_ns: int


class _Seen(NamedTuple):
    """What there is of a key.

    :ivar marker: the delete marker `DELETED`.
    :ivar covers: which version that one covers.
    :ivar orders: as what the others sort, the oldest first.
    """

    current: _Shown | None
    marker: ObjectInfo | None
    covers: str
    orders: list[bytes]


class _Last(NamedTuple):
    key: str
    version: str


class _Page:
    """A page that is being filled."""

    def __init__(self, bucket: Bucket, root: int, query: VersionsQuery, show: ShowVersion, memo: Memo) -> None:
        self._memo = memo
        self._records = bucket.records()
        self._began = time.time_ns()
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
        walks = [
            Keys(fd, source, prefix, floor, cut) for fd, source in ((self._bucket.fd, objects), (self._root, histories))
        ]
        try:
            full = self._merge(walks, marker)
        finally:
            for walk in walks:
                walk.close()
        return VersionsPage(self._versions, self._prefixes, full, *(self._last if full else _Last("", "")))

    def _merge(self, walks: list[Keys], marker: bytes) -> bool:
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
                there = heads[0] is not None and heads[0][0] == key
                full = self._add_versions(key.decode(), walks[0] if there else None)
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

    def _add_versions(self, key: str, keys: Keys | None, tries: int = _TRIES) -> bool:
        """Add the versions of a key; whether there are more than the page may hold.

        :param keys: where it was found in the bucket, if it was.
        :param tries: how often to begin again, where what was to be the latest is gone.
        """
        query = self._query
        after, was_first = parse_marker(query.version_marker if key == query.key_marker else "")
        with closing(History(self._bucket, self._root, key)) as older:
            current, marker, orders = self._look(key, older, keys)
            latest, shown = current is None, current
            if after and after in (current and current.version, marker and marker.version):
                # The youngest of the others follows, but behind the object a delete marker.
                if marker is not None and marker.version == after:
                    marker = None
                latest, shown = False, None
            elif after:
                at, there = (len(orders), False) if was_first else _place(orders, after)
                latest = latest and not there and at == len(orders)
                orders = orders[:at]
                bound = NULL_VERSION if was_first else after
                # What was behind one that is gone may be the object by now, or what hides it.
                if current is None or there or not _is_behind(current.version, False, current.mtime_ns, bound):
                    shown = None
                if marker is None or there or not _is_behind(marker.version, True, marker.mtime_ns, bound):
                    marker, latest = None, latest and marker is None
            if shown is not None:
                # It is asked for where the page ends here, and costs something.
                first = self._room == 1 and (marker is not None or _has_younger(orders, shown.version))
                if not self._add(key, shown, first=first):
                    return True
            entries: Iterator[tuple[bytes, Entry | None]] = ((b"", parse_order(each)) for each in reversed(orders))
            if marker is not None:
                entries = itertools.chain([(DELETED, Entry(marker.version, True))], entries)
            for name, entry in entries:
                if entry is None or entry.version in (after, current and current.version):
                    continue
                shown = self._read(older, name or entry.name, entry, latest)
                if shown is None:
                    if latest and tries:
                        # Then another is the latest.
                        return self._add_versions(key, None, tries - 1)
                    # Others made what is no version, or there is no end of changes.
                    continue
                if not self._add(key, shown):
                    return True
                latest = False
        return False

    def _add(self, key: str, shown: _Shown, *, first: bool = False) -> bool:
        """Add a version; False if there is no room.

        :param first: see `marker_of`.
        """
        if not self._room:
            return False
        self._versions.append(shown.shown)
        self._last = _Last(key, marker_of(shown.version, first=first))
        self._room -= 1
        return True

    def _look(
        self, key: str, older: History, keys: Keys | None
    ) -> tuple[_Shown | None, ObjectInfo | None, list[bytes]]:
        """What there is of a key: the object, the delete marker `DELETED` if it counts, and the others.

        All as at one moment, as far as that can be had: whatever changes which version is current changes first what
        the older ones are, or afterwards.
        """
        before = None
        for _ in range(_TRIES):
            seen, settled = self._glance(key, older, keys)
            what = (seen.current and seen.current.version, seen.marker, seen.orders)
            if settled or what == before:
                break
            before, keys = what, None
        if seen.marker is None or (seen.current is not None and seen.covers == seen.current.version):
            return seen.current, None, seen.orders
        return seen.current, seen.marker, seen.orders

    def _glance(self, key: str, older: History, keys: Keys | None) -> tuple[_Seen, bool]:
        """What there is of a key, and whether it was so at one moment."""
        # The directory may be another than before.
        older.close()
        now = time.time_ns()
        before = older.status()
        orders = older.orders(self._memo)
        marker = older.deleted() if before is not None else None
        current = self._current(key, keys)
        after = older.status()
        if before is None or after is None:
            settled = before is after
        else:
            settled = is_settled(before, now) and state(after) == state(before)
        return _Seen(current, marker.info if marker else None, marker.covers if marker else "", orders), settled

    def _current(self, key: str, keys: Keys | None) -> _Shown | None:
        """The object of a key, if there is one."""
        level = None if keys is None else keys.level
        if keys is not None and level is not None and (fd := level.open()) is not None:
            way = level.way(keys.sort)
            if len(way) == 1 and (found := self._known_or_read(fd, way[0], key, None)) is not None:
                return found
        info = lookup.find_info(self._bucket, key)
        return None if info is None else _Shown(info.version, self._show(info, True), info.mtime_ns)

    def _known_or_read(self, directory: int, name: bytes, key: str, entry: Entry | None) -> _Shown | None:
        """The version in a file; None if there is none, or it must be looked for.

        :param entry: of an older one.
        """
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            return None
        known = self._memo.get(("version", state(status)))
        if known is not None and known[:3] == (key, name, self._show):
            shown: _Shown = known[3]
            return shown
        found = paths.open_file(directory, (name,))
        if found is None:
            return None
        with paths.opened(found[0]) as fd:
            try:
                info, inside = self._records.info_and_source(*found, key)
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
                inside = False
            if not inside:
                # It may just have been replaced.
                return None
            info = info if entry is None else replace(info, version=entry.version)
            shown = _Shown(info.version, self._show(info, entry is None), info.mtime_ns)
            if is_settled(found[1], self._began) and is_local(fd):
                cost = PER_VALUE + len(key) + len(name) + len(shown.shown)
                self._memo.keep([(("version", state(found[1])), (key, name, self._show, shown, cost))])
            return shown

    def _read(self, older: History, name: bytes, entry: Entry, latest: bool) -> _Shown | None:
        """An older version as it is, or if it is the current one by now, as that; None if it is gone.

        :param latest: whether a delete marker is the latest.
        """
        if not entry.is_delete_marker and (fd := older.open()) >= 0:
            shown = self._known_or_read(fd, name, older.key, entry)
            if shown is not None:
                return shown
        for _ in range(2):
            version = closed(older.read(name, entry))
            if version is not None:
                text = self._show(version.info, latest and entry.is_delete_marker)
                return _Shown(entry.version, text, version.info.mtime_ns)
            # It has another name by now, if it has any.
            name = entry.name if name == DELETED else DELETED if entry.is_delete_marker else name
            current = None if entry.is_delete_marker else lookup.find_info(self._bucket, older.key)
            if current is not None and current.version == entry.version:
                return _Shown(entry.version, self._show(current, False), current.mtime_ns)
        return None


def _place(orders: list[bytes], after: str) -> tuple[int, bool]:
    """Where in the order of versions one is, or would be if it is gone; and whether it is there.

    Of the null version that is gone nothing is known: who removes what each page tells must not miss what follows.
    """
    if after == NULL_VERSION:
        at = next((at for at, each in enumerate(orders) if (parse_order(each) or _NONE).version == after), -1)
        return (at, True) if at >= 0 else (len(orders), False)
    if not is_id(after):
        return 0, True
    name = Entry(after, False).name
    at = bisect_left(orders, name)
    return at, at < len(orders) and orders[at].startswith(name)


def _has_younger(orders: list[bytes], version: str) -> bool:
    """Whether one of the older versions is younger than the object, as they are once it was put back by hand."""
    return bool(orders) and is_id(version) and orders[-1][: len(name := Entry(version, False).name)] > name


def _is_behind(version: str, is_delete_marker: bool, mtime_ns: int, after: str) -> bool:
    """Whether a version comes behind one that is gone."""
    if after == NULL_VERSION:
        return True
    name = Entry(version, is_delete_marker).name
    order = null_order(name, max(mtime_ns, 0)) if version == NULL_VERSION else name
    return order < Entry(after, False).name
