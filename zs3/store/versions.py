"""Keeping versions: what happens to an object that is replaced, deleted or brought back.

Blocking; the caller holds the lock of the key.  At any moment, and after a
crash at any moment, exactly one version is current, or a delete marker is:

* What is replaced or deleted gets its name among the older versions first, and
  that is durable before anything else happens.
* A deletion writes the delete marker, which names what it covers, and then
  removes the object: until it is gone, the marker does not count.
* An older version that becomes current has both names for a while, and its
  older one does not count then.
* What is current is durable before anything is done because of it.

Where versions were never kept, nothing of this is done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import NamedTuple

from zs3.errors import S3Error
from zs3.store import configuration, history, layout, lookup, paths, records
from zs3.store.buckets import Bucket
from zs3.store.durability import Durability
from zs3.store.history import History, Version, protected
from zs3.store.immutable import Thaw, thawing
from zs3.store.lookup import OpenObject
from zs3.store.memo import State
from zs3.store.metadata import Record
from zs3.store.places import Found, Place
from zs3.store.preconditions import check, check_noncurrent
from zs3.store.staged import StagedFile
from zs3.store.values import (
    ENABLED,
    NULL_VERSION,
    OBJECT_LOCK,
    VERSIONING,
    Attributes,
    DeleteMarkerError,
    Deletion,
    ObjectInfo,
    WriteCondition,
)
from zs3.store.versionids import DELETED, Entry, new_id, sequence

_NULL_ENTRIES = (Entry(NULL_VERSION, False), Entry(NULL_VERSION, True))
_TRIES = 10
#: MD5 of nothing
_EMPTY = bytes.fromhex("d41d8cd98f00b204e9800998ecf8427e")


def id_for_new(bucket: Bucket) -> str:
    """The id for a version that is made now."""
    return new_id(time.time_ns()) if configuration.read(bucket).get(VERSIONING) == ENABLED else NULL_VERSION


def is_versioned(bucket: Bucket) -> bool:
    """Whether versions of the bucket's objects are, or were, kept; at little cost where nothing is configured of it.

    The directory of the histories does not tell: others may have removed it.
    """
    return configuration.read(bucket).get(VERSIONING) is not None


@contextmanager
def kept(bucket: Bucket, key: str, durability: Durability) -> Iterator[Versions | None]:
    """The versions of a key, for a block; None where they were never kept."""
    values = configuration.read(bucket)
    state = values.get(VERSIONING)
    if state is None:
        yield None
        return
    with (
        history.opened_root(bucket, make=True) as root,
        closing(History(bucket, root, key)) as older,
        thawing(enabled=bucket.immutable) as thaw,
    ):
        enabled, locking = state == ENABLED, OBJECT_LOCK in values
        yield Versions(bucket, key, older, durability, thaw, enabled=enabled, locking=locking)


def open_version(bucket: Bucket, key: str, version: str) -> OpenObject:
    """Open a version of an object by its id.

    Takes no lock.  What becomes an older version gets its name as such before it is not current any more, and the
    other way round; who looks at one place after the other, and again where anything was changed, does not miss it.

    :raises S3Error: NoSuchVersion, or `DeleteMarkerError`.
    """
    error = S3Error("NoSuchVersion", Key=key, VersionId=version)
    if not layout.is_key(key):
        raise error
    if not is_versioned(bucket):
        found = lookup.find(bucket, key) if version == NULL_VERSION else None
        if found is None:
            raise error
        return found
    with history.opened_root(bucket) as root:
        for _ in range(_TRIES):
            before = _state(History(bucket, root, key))
            current = lookup.find(bucket, key)
            if current is not None:
                if current.info.version == version:
                    return current
                current.close()
            info = current.info if current else None
            found = _open_older(History(bucket, root, key), version, info)
            if found is not None:
                return found
            # Not the times of the directory alone: they may be coarse.
            if _state(History(bucket, root, key)) == before and lookup.find_info(bucket, key) == info:
                break
    raise error


def _state(older: History) -> State | None:
    with closing(older):
        return older.state()


def _open_older(older: History, version: str, current: ObjectInfo | None) -> OpenObject | None:
    with closing(older):
        found = older.find(version)
    if found is None:
        return None
    if not found.info.is_delete_marker:
        return OpenObject(found.fd, found.info)
    os.close(found.fd)
    if found.name == DELETED and current is not None and found.covers == current.version:
        return None
    raise DeleteMarkerError(found.info, current=False)


def marker_of(bucket: Bucket, key: str) -> ObjectInfo | None:
    """The delete marker of an object that is not there, if it is because of one."""
    if not layout.is_key(key) or not is_versioned(bucket):
        return None
    with history.opened_root(bucket) as root, closing(History(bucket, root, key)) as older:
        marker = older.deleted()
        if marker is None and (entry := older.youngest()) is not None and entry.is_delete_marker:
            # The object that was to come behind it did not.
            marker = history.closed(older.read(entry.name, entry))
        return marker.info if marker else None


class Versions:
    """The versions of a key, current and older.

    :ivar older: those that are not current.
    :ivar thaw: the files of locked versions that something is done with.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        older: History,
        durability: Durability,
        thaw: Thaw,
        *,
        enabled: bool,
        locking: bool,
    ) -> None:
        """:param enabled: whether what is replaced is kept; otherwise only if it was made while that was so.
        :param locking: whether versions may be locked.
        """
        self.older = older
        self.thaw = thaw
        self._bucket = bucket
        self._key = key
        self._durability = durability
        self._enabled = enabled
        self._locking = locking
        self._records = bucket.records()
        self._current: ObjectInfo | None = None
        self._rubbish: list[bytes] = []

    # Looking

    @contextmanager
    def _looked(self, place: Place | None) -> Iterator[Found | None]:
        """The object's file as it is, open for a block; `_current` is what is known of it."""
        found = None if place is None else place.open()
        self._current, self._rubbish = None, []
        if found is None:
            yield None
            return
        with paths.opened(found.fd):
            self._current = self._records.info(found.fd, found.status, self._key)
            # Who put it there may not have come so far: what is done to the older ones because of it must not be on the
            # disk before it is.
            self._durability.flush(found.directory)
            yield found

    def _marker(self) -> Version | None:
        """The delete marker `DELETED`, if its deletion happened; otherwise it is removed."""
        marker = self.older.deleted()
        if marker is not None and self._current is not None and marker.covers == self._current.version:
            self.older.remove(DELETED)
            return None
        return marker

    def _last(self, marker: Version | None) -> int:
        """The greatest `sequence` of what is or was current."""
        known = [each for each in (self._current, marker.info if marker else None) if each is not None]
        if known:
            return max(map(order, known))
        # Somebody may have made way for an object that was not put here, or others have removed it.
        youngest = self.older.youngest()
        return sequence(youngest.version) if youngest is not None and youngest.version != NULL_VERSION else -1

    # Replacing

    def make_way(self, place: Place, condition: WriteCondition, staged: StagedFile) -> list[bytes]:
        """Before a sealed file takes the place of the object: keep what was there.

        May be called again if it could not take it.

        :returns: the sidecars that are rubbish once the new one is durable.
        :raises S3Error: see `check`; AccessDenied.
        """
        with self._looked(place) as found:
            check(condition, self._current)
            marker = self._marker()
            self._keep_current(found)
            self._keep_marker(marker)
            self.older.settle(self._durability)
            self._stamp(staged, self._last(marker))
        return self._rubbish

    def _keep_current(self, found: Found | None) -> None:
        if found is None or self._current is None:
            return
        if self._enabled or self._current.version != NULL_VERSION:
            self.thaw.add(found.fd, self._current.attributes.lock)
            self.older.keep(found, self._current.version, self.thaw, locking=self._locking)
        else:
            self._check_unlocked(found, bypass=False)
            self._rubbish = self.older.rubbish(found.fd, found.status)

    def _keep_marker(self, marker: Version | None) -> None:
        """What is current next is not deleted any more: its delete marker becomes one of the older ones."""
        if marker is not None and (self._enabled or marker.info.version != NULL_VERSION):
            self.older.rename(DELETED, Entry(marker.info.version, True).name)

    def _stamp(self, staged: StagedFile, last: int) -> None:
        """Give what is new an id that is greater than all before."""
        record = staged.record
        if not self._enabled:
            if record.version != NULL_VERSION:
                staged.seal(replace(record, version=NULL_VERSION), self._records, self._key)
        elif record.version == NULL_VERSION or sequence(record.version) <= last:
            staged.seal(replace(record, version=new_id(time.time_ns(), last)), self._records, self._key)

    def forget_null(self, directory: int, *, put: bool) -> None:
        """Once a null version is current, or its delete marker: there is only one, so the older one goes.

        :param directory: the fd of the one that changed; -1 if that is durable.
        :param put: it is a version, no delete marker.
        """
        if self._enabled or self.older.open() < 0:
            return
        if directory >= 0:
            self._durability.flush(directory)
        for entry in _NULL_ENTRIES:
            self.drop(entry)
        marker = self.older.deleted() if put else None
        if marker is not None and marker.info.version == NULL_VERSION:
            self.older.remove(DELETED)

    def drop(self, entry: Entry) -> None:
        """Remove an older version, if it is there, and its sidecars."""
        version = self.older.read(entry.name, entry)
        if version is not None:
            with paths.opened(version.fd):
                self._check_unlocked(version, bypass=False)
                rubbish = self._records.sidecars(version.fd, version.status, self._key)
            self.older.remove(entry.name)
            records.remove_sidecars(rubbish)

    # Deleting

    def mark_deleted(
        self, place: Place | None, condition: WriteCondition, access: str, stage: Callable[[Bucket], StagedFile]
    ) -> tuple[Deletion, list[bytes]]:
        """Before the object is removed: keep it, and write a delete marker that covers it.

        :param place: None if not even its directory is there.
        :param access: of the marker.
        :returns: what becomes of it, and the sidecars that are rubbish then.
        """
        with self._looked(place) as found:
            check(condition, self._current)
            marker = self._marker()
            version = new_id(time.time_ns(), self._last(marker)) if self._enabled else NULL_VERSION
            covers = self._current.version if self._current else ""
            record = Record(0, 0, _EMPTY, attributes=Attributes(access=access), version=version, covers=covers)
            staged = stage(self._bucket)
            try:
                staged.seal(record, self._records, self._key)
                self._keep_current(found)
                self._keep_marker(marker)
                self.older.put(staged.path, DELETED)
                staged.published()
            finally:
                staged.discard()
            self.older.settle(self._durability)
        return Deletion(self._current is not None, version, True), self._rubbish

    # Removing

    def remove_current(self, place: Place, version: str, condition: WriteCondition, bypass: bool) -> Removal | None:
        """Before the current version is removed for good: see what becomes current then.

        :returns: None if this is not the current version.
        :raises S3Error: see `check`; AccessDenied.
        """
        with self._looked(place) as found:
            if found is None or self._current is None or self._current.version != version:
                return None
            check_noncurrent(condition)
            check(condition, self._current)
            self._check_unlocked(found, bypass=bypass)
            self._check_twin(version, bypass=bypass)
            marker = self._marker()
            if marker is not None:
                # Of a deletion before other programs put the object there.
                self.older.rename(DELETED, Entry(marker.info.version, True).name)
            rubbish = self.older.rubbish(found.fd, found.status)
            # It must not come back as an older one.
            if self.older.remove(Entry(version, False).name):
                rubbish = []
                self.older.settle(self._durability)
            return Removal(found.directory, found.name, self.older.youngest(), rubbish)

    def remove_older(
        self, place: Place | None, version: str, condition: WriteCondition, bypass: bool
    ) -> tuple[Deletion, Entry | None]:
        """Remove an older version for good, or a delete marker.

        :returns: what became of it; and what is to become current, of which nothing is done yet: then the marker that
            is in its way is still there.
        """
        with self._looked(place):
            self._marker()
        found = self.older.find(version)
        if found is None or (self._current is not None and self._current.version == version):
            if found is not None:
                os.close(found.fd)
            check(condition, None)
            return Deletion(False, version), None
        with paths.opened(found.fd):
            check(condition, found.info)
            done = Deletion(True, version, found.info.is_delete_marker)
            hides = self._hides(found)
            rubbish: list[bytes] = []
            if not found.info.is_delete_marker:
                self._check_unlocked(found, bypass=bypass)
                rubbish = self._records.sidecars(found.fd, found.status, self._key)
        if hides:
            successor = self.older.youngest()
            if successor is not None and not successor.is_delete_marker:
                self._cover(successor.version)
                return done, successor
            if successor is not None:
                self.older.rename(successor.name, DELETED)
                self.older.settle(self._durability)
                return done, None
        self.older.remove(DELETED if hides else found.name)
        self.older.settle(self._durability)
        records.remove_sidecars(rubbish)
        self.older.prune()
        return done, None

    def _hides(self, found: Version) -> bool:
        """Whether there is no object because of this delete marker, which is `DELETED` then, see `marker_of`."""
        if self._current is not None or not found.info.is_delete_marker:
            return False
        if found.name == DELETED:
            return True
        if self.older.deleted() is not None or self.older.youngest() != Entry(found.info.version, True):
            return False
        self.older.rename(found.name, DELETED)
        self.older.settle(self._durability)
        return True

    def _cover(self, version: str) -> None:
        """Let the delete marker `DELETED` cover the version that is to be current: it does not count once that is.

        What it covered may have been removed since.
        """
        marker = self.older.read(DELETED)
        if marker is None:
            return
        with paths.opened(marker.fd):
            record = self._records.read(marker.fd, marker.status, self._key)
            if record is not None and record.covers != version:
                record = replace(record, covers=version)
                if not self._records.attach(marker.fd, record):
                    self._records.keep_by_key(marker.fd, record, self._key)
                self._durability.flush(marker.fd)

    def is_deleted_by(self, place: Place, marker: str, newest: Entry) -> bool:
        """Whether the object is not there because of this delete marker, and this is the youngest version before."""
        with self._looked(place):
            current = self._marker()
        if self._current is not None or current is None or current.info.version != marker:
            return False
        return self.older.youngest() == newest

    def finish_undelete(self, place: Place | None, marker: str, current: Entry) -> None:
        """Remove a delete marker, once the version before it is current."""
        with self._looked(place) as found:
            deleted = self.older.deleted()
            name = DELETED if deleted is not None and deleted.info.version == marker else Entry(marker, True).name
            self.older.remove(name)
            if found is not None and self._current is not None and self._current.version == current.version:
                self.thaw.add(found.fd, self._current.attributes.lock)
                self.older.remove(current.name)
        self.older.settle(self._durability)
        self.older.prune()

    def _check_twin(self, version: str, *, bypass: bool) -> None:
        """As `_check_unlocked`, of the older version that has the id of the current one, if there is one.

        It may be another file with another lock, where others have put a copy of it back.
        """
        entry = Entry(version, False)
        twin = self.older.read(entry.name, entry)
        if twin is not None:
            with paths.opened(twin.fd):
                self._check_unlocked(twin, bypass=bypass)

    def _check_unlocked(self, file: Found | Version, *, bypass: bool) -> None:
        """:raises S3Error: AccessDenied: the version is locked, or that cannot be known where it may be."""
        lock = self._records.lock(file.fd, file.status, self._key)
        if (lock is None and self._locking) or (lock is not None and lock.protects(time.time_ns(), bypass=bypass)):
            raise protected()
        self.thaw.add(file.fd, lock)


class Removal(NamedTuple):
    """A version that is current, and is to be removed.

    :ivar directory: the fd of the directory that it is in.
    :ivar name: of its file there.
    :ivar successor: what becomes current then.
    :ivar rubbish: the sidecars that go with it.
    """

    directory: int
    name: bytes
    successor: Entry | None
    rubbish: list[bytes]


def order(info: ObjectInfo) -> int:
    """What orders a version among those of its key; see `sequence`."""
    return max(info.mtime_ns, 0) if info.version == NULL_VERSION else sequence(info.version)
