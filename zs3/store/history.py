"""The older versions of an object: plain files in a directory of their own, beside those of other keys.

Blocking.  A version comes here by a hard link, before another takes its place;
its bytes are never copied.  ``2024/cat.jpg,v/2026-11-30T17-05-09Z_<id>`` is one
of ``2024/cat.jpg``.  What zs3 knows of it is in its own record, as before.

* The object at its own path is the current version.  What is here under that
  one's id, whether a link that was not needed yet or a copy that was put back
  by hand, is not told a second time.
* ``deleted`` is the delete marker of an object that is not there.  It names the
  version that it covers: if that one is still current, the deletion never
  happened.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NamedTuple

from zs3.errors import S3Error
from zs3.store import layout, paths, records, signposts
from zs3.store.buckets import Bucket
from zs3.store.dircache import is_local
from zs3.store.durability import Durability
from zs3.store.immutable import Thaw
from zs3.store.memo import PER_VALUE, Memo, State, is_settled, state
from zs3.store.places import Found
from zs3.store.records import Records
from zs3.store.signposts import INSIDE, NAME
from zs3.store.values import NOT_LOCKED, NULL_VERSION, UNKNOWN_LOCK, Attributes, ObjectInfo
from zs3.store.versionids import DELETED, Entry, is_dated, is_id, is_null, null_order, parse_order

_LINKS = "Versions cannot be kept here: the file system of this bucket has no hard links."
_RECORDS = "Versions cannot be kept here: the file system of this bucket has neither attributes nor exact times."
#: errno of a file system without hard links
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_TRIES = 16
#: In no name.
_BETWEEN = b"\0"


def prepare(bucket: Bucket) -> None:
    """Make room for the histories of a bucket's keys, durably.

    :raises S3Error: NotImplemented: its file system has no hard links, or cannot keep the records of versions apart.
    """
    internals, path = bucket.internals, os.path.join(bucket.home, NAME)
    if bucket.is_staged_inside():
        root = internals.enter(bucket.fd, INSIDE)
        internals.write_file(path, b"")
    else:
        internals.make_directory(path)
        root = os.open(path, paths.DIRECTORY | os.O_CLOEXEC)
    with paths.opened(root):
        fd, temporary = bucket.staging().create(0o600)
        # No history is called so; one that a crash left goes with the next.
        name = layout.INTERNAL + b"-"
        try:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=root)
            if not records.can_tell_apart(fd):
                # Versions made in one tick would have one record, and one lock.
                raise S3Error("NotImplemented", _RECORDS)
            link(fd, root, name)
            os.unlink(name, dir_fd=root)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise S3Error("NotImplemented", _LINKS) from error
        finally:
            os.close(fd)
            os.unlink(temporary)
    signposts.put(bucket.home, bucket.name)


def link(fd: int, directory: int, name: bytes) -> None:
    """Give an open file another name.

    :raises OSError: EEXIST; ENOENT if it has no name any more.
    """
    with (
        paths.opened(os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as own,
        paths.stale_is_missing(),
    ):
        os.link(b"%d" % fd, name, src_dir_fd=own, dst_dir_fd=directory, follow_symlinks=True)


@contextmanager
def opened_root(bucket: Bucket, *, make: bool = False) -> Iterator[int]:
    """The fd of the directory of a bucket's histories, for a block; -1 if there is none.

    :param make: make it then: versions are kept, and others have removed it.
    """
    root = _open_root(bucket)
    if root < 0 and make:
        prepare(bucket)
        root = _open_root(bucket)
    try:
        yield root
    finally:
        if root >= 0:
            os.close(root)


def _open_root(bucket: Bucket) -> int:
    path = os.path.join(bucket.home, NAME)
    if not bucket.id or not bucket.calls.exists(path):
        return -1
    try:
        return os.open(path, paths.DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError:
        try:
            return paths.open_below(bucket.fd, INSIDE, paths.DIRECTORY)
        except FileNotFoundError:
            return -1


class Version(NamedTuple):
    """An older version, open.

    :ivar name: of its file.
    """

    fd: int
    status: os.stat_result
    name: bytes
    info: ObjectInfo
    covers: str


class History:
    """The older versions of a key.  Who changes anything holds the lock of the key.

    :ivar key: the key.
    """

    def __init__(self, bucket: Bucket, root: int, key: str) -> None:
        """:param root: the fd of the directory of the bucket's histories."""
        self._root = root
        self._names = layout.encode_history(key)
        self.key = key
        self._internals = bucket.internals
        self._kept: Records = bucket.records()
        self._fd = -1

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def open(self, *, make: bool = False) -> int:
        """The fd of the directory, -1 if there is none.

        :param make: make it then.
        """
        if self._fd < 0 and self._root >= 0:
            try:
                self._fd = paths.open_below(self._root, self._names, paths.DIRECTORY)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
                for attempt in range(_TRIES):
                    if not make:
                        break
                    try:
                        with paths.stale_is_missing():
                            self._fd = self._internals.enter(self._root, self._names)
                        break
                    except FileNotFoundError:
                        # Another has just removed an empty one on the way.
                        if attempt == _TRIES - 1:
                            raise
        return self._fd

    def status(self) -> os.stat_result | None:
        """That of the directory; None if there is none."""
        fd = self.open()
        try:
            return os.fstat(fd) if fd >= 0 else None
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            # Another host has removed it.
            self.close()
            return None

    def settle(self, durability: Durability) -> None:
        """Make what is here durable, and the way to it."""
        if self._fd >= 0:
            durability.settle(self._root, self._names, self._fd)

    def orders(self, memo: Memo | None = None) -> list[bytes]:
        """As what the versions sort, the oldest first, see `versionids`; but for `DELETED`.

        :param memo: remembers them for as long as the directory is as it is.
        """
        try:
            return self._orders(memo)
        except OSError:
            if self._fd >= 0 and paths.is_gone(self._fd):
                return []
            raise

    def _orders(self, memo: Memo | None) -> list[bytes]:
        fd = self.open()
        if fd < 0:
            return []
        now, status = time.time_ns(), os.fstat(fd)
        known = memo.get(("versions", state(status))) if memo is not None else None
        if known is not None:
            together: bytes = known[0]
            return together.split(_BETWEEN) if together else []
        names = os.fsencode("\0".join(os.listdir(fd))).split(b"\0")
        orders = [name for name in names if is_dated(name)]
        for name in filter(is_null, names):
            null = paths.look(fd, name)
            if null is not None:
                orders.append(null_order(name, max(null.st_mtime_ns, 0)))
        orders.sort()
        # What the null version sorts as is not of the directory's state.
        if memo is not None and is_settled(status, now) and is_local(fd) and not any(map(is_null, names)):
            # As one, which takes half of the room.
            together = _BETWEEN.join(orders)
            memo.keep([(("versions", state(status)), (together, PER_VALUE + len(together)))])
        return orders

    def youngest(self) -> Entry | None:
        """The youngest version, but for `DELETED`."""
        entries = filter(None, map(parse_order, reversed(self.orders())))
        # What others made that is no file is none.
        return next((entry for entry in entries if paths.is_file(paths.look(self._fd, entry.name))), None)

    def read(self, name: bytes, entry: Entry | None = None) -> Version | None:
        """Open a version; None if there is none.

        :param entry: what `name` says; None for that of `DELETED`.
        """
        return paths.looked_again(lambda: self._look(name, entry))

    def _look(self, name: bytes, entry: Entry | None) -> Version | None:
        fd = self.open()
        found = None if fd < 0 else paths.open_file(fd, (name,))
        if found is None:
            return None
        try:
            info = self._kept.info(*found, self.key)
            marker = entry is None or entry.is_delete_marker
            record = self._kept.read(*found, self.key) if marker else None
            info = replace(info, version=entry.version if entry else info.version, is_delete_marker=marker)
            if marker:
                info = replace(info, size=0, etag="", attributes=Attributes(access=info.attributes.access))
            return Version(*found, name, info, "" if record is None else record.covers)
        except BaseException:
            os.close(found[0])
            raise

    def deleted(self) -> Version | None:
        """The delete marker `DELETED`, its file closed."""
        return closed(self.read(DELETED))

    def find(self, version: str) -> Version | None:
        """Open an older version by its id: an object's, or a delete marker; None if there is none."""
        if version != NULL_VERSION and not is_id(version):
            return None
        for marker in (False, True):
            entry = Entry(version, marker)
            if (found := self.read(entry.name, entry)) is not None:
                return found
        current = self.read(DELETED)
        if current is not None and current.info.version != version:
            os.close(current.fd)
            return None
        return current

    def rubbish(self, fd: int, status: os.stat_result) -> list[bytes]:
        """As `Records.sidecars`, of the object, but for what an older version needs of which this is a copy.

        Whoever puts one back by hand copies its attribute, and with that the name of its sidecar.
        """
        found = self._kept.sidecars(fd, status, self.key)
        twin = self.find(self._kept.origin(fd)) if found else None
        if twin is None:
            return found
        with paths.opened(twin.fd):
            needed = [] if os.path.samestat(twin.status, status) else self._kept.needs(twin.fd)
        return [path for path in found if path not in needed]

    def state(self) -> State | None:
        """What the directory has after any change that it had not before; None if there is none."""
        status = self.status()
        return None if status is None else state(status)

    # Changes

    def keep(self, found: Found, version: str, thaw: Thaw, *, locking: bool) -> None:
        """Give an object's file a name here.

        :param thaw: takes what must give way.
        :param locking: whether what cannot be read may be locked.
        :raises FileNotFoundError: it has no name any more.
        :raises S3Error: AccessDenied: another null version has the name, and is locked.
        """
        name = Entry(version, False).name
        fd = self.open(make=True)
        try:
            link(found.fd, fd, name)
            return
        except FileExistsError:
            there = paths.open_file(fd, (name,))
        if there is not None:
            with paths.opened(there[0]) as other:
                if os.path.samestat(there[1], found.status):
                    # Done before, by one who did not get further.
                    return
                lock = self._kept.lock(*there, self.key) or (UNKNOWN_LOCK if locking else NOT_LOCKED)
                mine = self._kept.lock(found.fd, found.status, self.key) or NOT_LOCKED
                if not mine.holds_as_long_as(lock):
                    # A copy from before the lock, put back by hand, does not take the place of what is locked.
                    if version == NULL_VERSION:
                        raise protected()
                    return
                thaw.add(other, None)
        # It was put back by hand, with its record, which may have been changed since; or is another null version.
        self.remove(name)
        link(found.fd, fd, name)

    def put(self, path: bytes, name: bytes) -> None:
        """Move a file here, in place of another of that name."""
        os.rename(path, name, dst_dir_fd=self.open(make=True))

    def rename(self, name: bytes, other: bytes) -> None:
        os.rename(name, other, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def remove(self, name: bytes) -> bool:
        """Remove a version's file; whether there was one."""
        if self.open() < 0:
            return False
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return False
        return True

    def prune(self) -> None:
        """Remove the directory if it is empty, and those above that are then."""
        self.close()
        names = self._names
        while names:
            with suppress(FileNotFoundError):
                try:
                    with paths.opened(paths.open_below(self._root, names[:-1], paths.DIRECTORY)) as above:
                        os.rmdir(names[-1], dir_fd=above)
                except OSError as error:
                    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                        return
                    raise
            names = names[:-1]


def protected() -> S3Error:
    """The error for what the lock of a version does not let be done."""
    return S3Error("AccessDenied", "Access Denied because object protected by object lock.")


def closed(version: Version | None) -> Version | None:
    """The same, its file closed."""
    if version is not None:
        os.close(version.fd)
    return version
