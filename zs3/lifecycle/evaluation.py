"""What lifecycle rules lead to: which versions and uploads are due, and when.  Pure and total.

A version is judged by itself and by where it stands among those of its key, so
that a key may have any number of them; `Placing` finds that out as they come.

Sources: Amazon S3 User Guide, "Lifecycle configuration elements", "How Amazon S3 calculates how long an object has
been noncurrent", "Removing expired object delete markers", "Managing object lifecycle with Object Lock".
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from zs3.lifecycle.rules import Rule
from zs3.store.values import EMPTY, NOT_LOCKED, Lock

_S = 1_000_000_000
#: Seconds.
REAL_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Day:
    """How long the days of the rules are.

    A real day ends at midnight UTC: what is to happen after some days happens at the midnight that follows.  Shorter
    ones, for tests, are just so long.
    """

    seconds: float = REAL_DAY

    @property
    def is_real(self) -> bool:
        return self.seconds == REAL_DAY

    def after(self, start_ns: int, days: int) -> int:
        """When so many days have passed since a time; both in nanoseconds since the epoch."""
        due = start_ns + days * round(self.seconds * _S)
        if self.is_real:
            due += -due % (86_400 * _S)
        return due


@dataclass(frozen=True, slots=True)
class Version:
    """What is known of a version, or of a delete marker; see `zs3.store.values.ObjectInfo`."""

    key: str
    mtime_ns: int
    size: int = 0
    etag: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    lock: Lock = NOT_LOCKED
    version: str = "null"
    is_delete_marker: bool = False
    is_latest: bool = True


class Place(NamedTuple):
    """Where a version stands among those of its key.

    :ivar newer_mtime_ns: when the next newer one was made; None for the current one.
    :ivar newer: how many there are between it and the current one, delete markers not counted.
    :ivar alone: whether the key has no other.
    """

    newer_mtime_ns: int | None = None
    newer: int = 0
    alone: bool = True


class Placing:
    """Gives versions their places, as they come: by key, and of each key the current one first.

    The last one is kept back until it is known what follows.
    """

    def __init__(self) -> None:
        self._pending: Version | None = None
        self._is_first = True
        self._newer_mtime_ns = 0
        self._newer = 0

    @property
    def key(self) -> str:
        """The key of what is kept back, "" for none."""
        return self._pending.key if self._pending else ""

    def add(self, versions: Iterable[Version]) -> Iterator[tuple[Version, Place]]:
        """More versions; gives those whose places are known by now."""
        for version in versions:
            yield from self._settle(version)

    def end(self) -> Iterator[tuple[Version, Place]]:
        """There are no more of this key."""
        return self._settle(None)

    def _settle(self, following: Version | None) -> Iterator[tuple[Version, Place]]:
        settled, self._pending = self._pending, following
        if settled is None:
            return
        continues = following is not None and following.key == settled.key
        if self._is_first:
            yield settled, Place(None, 0, not continues)
            self._newer = 0
        else:
            yield settled, Place(self._newer_mtime_ns, self._newer, alone=False)
            self._newer += not settled.is_delete_marker
        self._is_first, self._newer_mtime_ns = not continues, settled.mtime_ns


class What(enum.Enum):
    """What is to be done."""

    #: delete the object; where versions are kept, by a delete marker
    EXPIRE = "expire"
    #: remove a version that is not current
    REMOVE = "remove-version"
    #: remove a delete marker that is all there is of its key
    REMOVE_MARKER = "remove-delete-marker"
    #: abort a multipart upload
    ABORT = "abort-upload"


class Verdict(NamedTuple):
    """What is to be done, and by which rule."""

    what: What
    rule: str


def judge(
    rules: Iterable[Rule], version: Version, place: Place, now_ns: int, day: Day, *, versioned: bool
) -> Verdict | None:
    """What is to be done with a version; None for nothing.

    A locked version is never removed, but where versions are kept, an object is deleted although it is locked: that
    removes nothing.

    :param rules: those that are enabled.
    :param now_ns: nanoseconds since the epoch.
    :param versioned: whether the bucket keeps versions at this time.
    """
    what = _what(version, place)
    if what is None:
        return None
    removes = what is not What.EXPIRE or not versioned
    if removes and version.lock.protects(now_ns, bypass=False):
        return None
    for rule in rules:
        due = _due(rule, what, version, place, day)
        if due is not None and due <= now_ns and rule.filter.covers(version.key, version.size, version.tags):
            return Verdict(what, rule.id)
    return None


def _what(version: Version, place: Place) -> What | None:
    """The only thing that can be done with it."""
    if place.newer_mtime_ns is not None:
        return None if version.is_latest else What.REMOVE
    if not version.is_latest:
        return None  # the first of its key that was seen, and not the current one: it is not known enough
    if not version.is_delete_marker:
        return What.EXPIRE
    return What.REMOVE_MARKER if place.alone else None


def _due(rule: Rule, what: What, version: Version, place: Place, day: Day) -> int | None:
    """When a rule does this, in nanoseconds since the epoch; None if it does not."""
    if what is What.REMOVE:
        if rule.noncurrent_days is None or place.newer < (rule.newer_versions or 0):
            return None
        # A file that others put in its place may be older than it, and tells nothing then.
        since = max(version.mtime_ns, place.newer_mtime_ns or 0)
        return day.after(since, rule.noncurrent_days)
    if what is What.REMOVE_MARKER and rule.filter.tags:
        return None
    if what is What.REMOVE_MARKER and rule.expired_markers:
        return version.mtime_ns
    return _expiry(rule, version.mtime_ns, day)


def _expiry(rule: Rule, mtime_ns: int, day: Day) -> int | None:
    if rule.days is not None:
        return day.after(mtime_ns, rule.days)
    return None if rule.date_s is None else rule.date_s * _S


class Due(NamedTuple):
    """When a rule does what it does first; nanoseconds since the epoch."""

    at_ns: int
    rule: str


def expiry(rules: Iterable[Rule], key: str, size: int, tags: Mapping[str, str], mtime_ns: int, day: Day) -> Due | None:
    """When an object expires that stays the current one, by the first of the rules that let it; None for never.

    :param rules: those that are enabled.
    """
    found: Due | None = None
    for rule in rules:
        due = _expiry(rule, mtime_ns, day)
        if due is not None and (found is None or due < found.at_ns) and rule.filter.covers(key, size, tags):
            found = Due(due, rule.id)
    return found


def abortion(rules: Iterable[Rule], key: str, initiated_ns: int, day: Day) -> Due | None:
    """When a multipart upload is aborted that is not completed; see `expiry`."""
    found: Due | None = None
    for rule in rules:
        if rule.abort_days is None or not key.startswith(rule.filter.prefix or ""):
            continue
        due = day.after(initiated_ns, rule.abort_days)
        if found is None or due < found.at_ns:
            found = Due(due, rule.id)
    return found
