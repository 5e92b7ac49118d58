"""What a bucket that keeps versions has to tell: a small model that the daemon is held against.  Pure.

It knows what S3 says of versions, and what zs3 says of files that others change.  A key has a history; what is done to
it gives another history, so what might have been done is compared with what is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

ENABLED, SUSPENDED = "Enabled", "Suspended"
NULL = "null"


class Checksum(NamedTuple):
    """An additional checksum, as S3 writes it."""

    algorithm: str
    text: str
    kind: str


class Stored(NamedTuple):
    """What is told of a part of an object: its size, and its checksum if that is known."""

    size: int
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A version, or a delete marker.

    :ivar turn: a later one has a greater.
    :ivar covers: of a delete marker: the id of the version that it deleted.
    :ivar plain: of a file that others made.
    :ivar headers: what clients stored with it, by names in lower case.
    :ivar parts: of a multipart upload.
    :ivar upload: the id of that.
    """

    id: str
    turn: int
    data: bytes = b""
    etag: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    marker: bool = False
    covers: str = ""
    plain: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    checksum: Checksum | None = None
    parts: tuple[Stored, ...] = ()
    upload: str = ""


class Row(NamedTuple):
    """What a listing tells of a version."""

    key: str
    id: str
    marker: bool
    latest: bool
    etag: str
    size: int


def _sorted(versions: Iterable[Version]) -> tuple[Version, ...]:
    return tuple(sorted(versions, key=lambda each: each.turn))


@dataclass(frozen=True, slots=True)
class History:
    """The versions of a key.

    :ivar current: whose file is at the object's own path.
    :ivar deleted: the marker of the deletion that came last.
    :ivar older: the others, the oldest first.  What others have put back as the object is still here, too.
    """

    current: Version | None = None
    deleted: Version | None = None
    older: tuple[Version, ...] = ()

    # Looking

    def marker(self) -> Version | None:
        """`deleted`, but for one that covers what is current: others have put that back."""
        if self.deleted is not None and self.current is not None and self.deleted.covers == self.current.id:
            return None
        return self.deleted

    def hidden_by(self) -> Version | None:
        """The delete marker because of which there is no object."""
        if self.current is not None:
            return None
        if self.deleted is None and self.older and self.older[-1].marker:
            return self.older[-1]
        return self.deleted

    def told(self) -> list[Version]:
        """Each version once, in the order of a listing."""
        first = [each for each in (self.current, self.marker()) if each is not None]
        return first + [each for each in reversed(self.older) if self.current is None or each.id != self.current.id]

    def find(self, version: str) -> Version | None:
        return next((each for each in self.told() if each.id == version), None)

    def rows(self, key: str) -> list[Row]:
        latest = self.current or self.hidden_by()
        return [Row(key, each.id, each.marker, each is latest, each.etag, len(each.data)) for each in self.told()]

    @property
    def is_simple(self) -> bool:
        """Whether all that there is is told."""
        return self.marker() is self.deleted and len(self.told()) == len(self.older) + bool(self.current) + bool(
            self.deleted
        )

    # What clients do

    def put(self, new: Version, state: str) -> History:
        """:param state: of the bucket's versioning, "" if there never was any."""
        return History(new, None, self._kept(state))

    def delete(self, marker: Version, state: str) -> History:
        """:param marker: that this makes, where versions are kept."""
        if not state:
            return History()
        return History(None, replace(marker, covers=self.current.id if self.current else ""), self._kept(state))

    def _kept(self, state: str) -> tuple[Version, ...]:
        """What is older once something else is current, or a delete marker is."""
        kept = {each.id: each for each in self.older}
        for each in (self.current, self.marker()):
            if each is not None:
                kept[each.id] = each
        if state != ENABLED:
            kept.pop(NULL, None)
        return _sorted(kept.values())

    def remove(self, version: str) -> History:
        """Remove a version for good, or a delete marker; what is the youngest then is current if this was."""
        marker = self.marker()
        if self.current is not None and self.current.id == version:
            rest = [each for each in (*self.older, *([marker] if marker else [])) if each.id != version]
            return History(None, None, _sorted(rest))._promoted()
        older = tuple(each for each in self.older if each.id != version)
        was_hiding = (hiding := self.hidden_by()) is not None and hiding.id == version
        if marker is not None and marker.id == version:
            marker = None
        done = History(self.current, marker, older)
        return done._promoted() if was_hiding else done

    def _promoted(self) -> History:
        if not self.older:
            return self
        *rest, youngest = self.older
        return History(None, youngest, tuple(rest)) if youngest.marker else History(youngest, None, tuple(rest))

    def tag(self, version: str, tags: tuple[tuple[str, str], ...]) -> History:
        if self.current is not None and self.current.id == version:
            return replace(self, current=replace(self.current, tags=tags))
        return replace(
            self, older=tuple(replace(each, tags=tags) if each.id == version else each for each in self.older)
        )

    # What others do

    def replaced_by_others(self, file: Version) -> History:
        """Another file is at the object's own path, or a copy of an older version is."""
        return replace(self, current=file)

    def removed_by_others(self) -> History:
        return replace(self, current=None)


class Page(NamedTuple):
    """A page of a listing; of one that is truncated, where it goes on."""

    rows: list[Any]
    prefixes: list[str]
    truncated: bool
    next_key: str = ""
    next_id: str = ""


#: May end the id at which a listing goes on, see `zs3.store.versionids.marker_of`.
CURRENT = "-current"


def page_of(entries: Iterable[Any], prefix: str, delimiter: str, key_marker: str, limit: int) -> Page:
    """One page of what has keys and ids, is in order, and comes after the marker."""
    rows: list[Any] = []
    prefixes: list[str] = []
    last = ("", "")
    for each in entries:
        if not each.key.startswith(prefix):
            continue
        at = each.key.find(delimiter, len(prefix)) if delimiter else -1
        common = each.key[: at + len(delimiter)] if at >= 0 else ""
        if common and (key_marker.startswith(common) or common in prefixes):
            continue
        if len(rows) + len(prefixes) >= limit:
            return Page(rows, prefixes, True, *last) if limit else Page([], [], False)
        if common:
            prefixes.append(common)
            last = (common, "")
        else:
            rows.append(each)
            last = (each.key, each.id)
    return Page(rows, prefixes, False)


def list_versions(
    histories: Mapping[str, History],
    prefix: str = "",
    delimiter: str = "",
    key_marker: str = "",
    version_marker: str = "",
    limit: int = 1000,
) -> Page:
    """ListObjectVersions.

    :param version_marker: "", or a version of `key_marker` that is there.
    """
    return page_of(_after(histories, key_marker, version_marker), prefix, delimiter, key_marker, limit)


def _after(histories: Mapping[str, History], key_marker: str, version_marker: str) -> list[Row]:
    found = []
    for key in sorted(histories, key=str.encode):
        rows = histories[key].rows(key)
        if key == key_marker:
            ids = [row.id for row in rows]
            rows = rows[ids.index(version_marker.removesuffix(CURRENT)) + 1 :] if version_marker else []
        elif key.encode() < key_marker.encode():
            continue
        found += rows
    return found


def list_objects(
    histories: Mapping[str, History], prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
) -> Page:
    """ListObjects: of each key the current version."""
    there = {key: History(history.current) for key, history in histories.items() if history.current is not None}
    return list_versions(there, prefix, delimiter, after, "", limit)
