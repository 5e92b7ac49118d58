"""Buckets: directories below the data directory, and the random ids to which their internals belong.

Blocking.  A bucket's id is an attribute of its directory (or ``.zs3/id`` in it
where attributes are missing); ``.zs3/buckets/<id>`` records the name, device
and inode it was given to.  An id that is not recorded for this very directory
is not its own: ``cp -a photos copy`` and ``mv photos old; mkdir photos`` give
fresh private buckets, while ``mv photos old`` alone keeps what is the bucket's.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from zs3.errors import S3Error
from zs3.store import configuration, directory, kernel, layout, locks, paths, records, signposts
from zs3.store.calls import AT_ONCE, WAITING, Calls, Status, is_local
from zs3.store.durability import Durability
from zs3.store.internals import Internals, Staging, remove_tree
from zs3.store.records import Records
from zs3.store.values import NOT_CONFIGURED, BucketInfo, Configuration, DamagedError, PinnedName

ATTRIBUTE = "user.zs3.id"
#: What a directory must be called to be a bucket: S3's older rules, because people's folders have capitals.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
#: errno of a path that leads to no directory
_NONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
#: The scratch name in a bucket; invisible, as no key is encoded so.  One that a crash left goes with the next.
PROBE = b".zs3!"


class Bucket:
    """A bucket opened for one operation.

    :ivar fd: its directory.
    :ivar status: of that; it only tells which directory it is.
    :ivar calls: how what is in it and the lock file may be looked at.
    :ivar id: its id, or "" for one that was never written to.
    :ivar home: the directory of its internals.
    :ivar internals: how files are made there.
    :ivar immutable: whether the files of locked versions are to be so.
    """

    def __init__(
        self, buckets: Buckets, name: str, fd: int, status: os.stat_result | Status, calls: Calls, identifier: str
    ) -> None:
        self._buckets = buckets
        self.name = name
        self.fd = fd
        self.status = status
        self.calls = calls
        self.id = identifier
        self.home = buckets.home(identifier)
        self.internals = buckets.internals
        self.immutable = buckets.immutable

    def records(self) -> Records:
        return Records(os.path.join(self.home, b"records"), self.internals)

    @contextmanager
    def locked(self, key: str | None) -> Iterator[None]:
        """Hold the lock of a key, or of the whole bucket, for a block.

        In a bucket without an id it is the lock of all that give ids: nobody writes there who has not got one first.

        :raises WouldBlock: another holds it, or the bucket's internals are just being removed, or it has got an id.
        """
        if not self.id:
            with self._buckets.naming():
                if _read_id(self.fd):
                    raise locks.WouldBlock
                yield
            return
        start, length = (0, 0) if key is None else (locks.offset(key), 1)
        try:
            fd = self._buckets.internals.open_lock(self.home + b"/lock", self.calls)
        except FileNotFoundError:
            self._buckets.forget(self.id)
            raise locks.WouldBlock from None
        with locks.held(fd, start, length, self.calls):
            yield

    def staging(self) -> Staging:
        """Where files for this bucket are prepared: on its own file system."""
        return self._buckets.staging_for(self)

    def is_staged_inside(self) -> bool:
        """Whether that is in the bucket itself, as it is on a file system of its own."""
        return self.staging() is not self._buckets.shared

    def is_gone(self) -> bool:
        """Whether the bucket was deleted, or its name given to another directory, since it was opened."""
        path = self._buckets.path(self.name)
        try:
            now = paths.looked_again(lambda: os.stat(path))
        except OSError as error:
            if error.errno not in _NONE:
                raise
            return True
        return (now.st_dev, now.st_ino) != (self.status.st_dev, self.status.st_ino)


class Buckets:
    """The buckets of a data directory."""

    def __init__(self, data: bytes, durability: Durability, *, directory_mode: int, immutable: bool = False) -> None:
        self._data = data
        self.immutable = immutable
        self.internals = Internals(data, durability)
        self._durability = durability
        self._directory_mode = directory_mode
        self._base = os.path.join(data, layout.INTERNAL)
        self.shared = Staging(data, (b".uploads",), self.internals)
        self.internals.scratch_name = self.shared.name
        #: ids and the directories that they are known to belong to: device, inode and its generation, name
        self._recognised: set[tuple[str, int, int, int | None, str]] = set()
        #: those whose names are known to be durable: id, device and inode
        self._settled: set[tuple[str, int, int]] = set()
        self._stagings: dict[tuple[int, int], Staging] = {}
        self._finding_out = threading.Lock()
        #: the device of the data directory if it is local, and the buckets that were on it when they were last opened
        self._local_device = -1
        self._local: set[str] = set()

    def path(self, name: str) -> bytes:
        return os.path.join(self._data, name.encode())

    def home(self, identifier: str) -> bytes:
        return os.path.join(self._base, b"buckets", (identifier or "none").encode())

    def forget(self, identifier: str) -> None:
        """Look the id up anew next time."""
        self._recognised = {entry for entry in self._recognised.copy() if entry[0] != identifier}
        self._settled = {entry for entry in self._settled.copy() if entry[0] != identifier}

    @contextmanager
    def opened(self, name: str, *, claim: bool = False) -> Iterator[Bucket]:
        """Open a bucket for a block.

        :param name: a `PinnedName` stands for that bucket alone.
        :param claim: for writing: give it an id if it has none.
        :raises S3Error: NoSuchBucket.
        """
        if not is_name(name):
            raise S3Error("NoSuchBucket", BucketName=name)
        calls = AT_ONCE if name in self._local else WAITING
        try:
            # A symlink here is the administrator's way to have a bucket elsewhere, and is followed.
            fd = calls.open_bucket(self.path(name))
        except OSError as error:
            if error.errno in _NONE:
                raise S3Error("NoSuchBucket", BucketName=name) from None
            raise
        with calls.opened(fd):
            status = calls.status(fd)
            calls = self._calls(name, status.st_dev)
            identifier, current = self._identify(fd, status, name, calls)
            if isinstance(name, PinnedName) and name.identifier not in ("", identifier):
                raise S3Error("NoSuchBucket", BucketName=name)
            if claim and not current:
                with self.naming():
                    identifier = self._claim(fd, name)
            if claim:
                self._settle(identifier, status)
            bucket = Bucket(self, name, fd, status, calls, identifier)
            try:
                yield bucket
            except FileNotFoundError as error:
                # What is put into a directory that was just deleted finds nothing there.
                if bucket.is_gone():
                    raise S3Error("NoSuchBucket", BucketName=name) from error
                # Its internals may be what is missing.
                self.forget(identifier)
                raise

    def _settle(self, identifier: str, status: os.stat_result | Status) -> None:
        """Make the name of a bucket durable, once: another process, or program, may have made it just now."""
        here = (identifier, status.st_dev, status.st_ino)
        if here not in self._settled:
            self._durability.flush_path(self._data)
            self._settled.add(here)

    def _calls(self, name: str, device: int) -> Calls:
        """How the files of a bucket may be looked at: at once if they and our own are on one local file system."""
        if device == self._local_device:
            self._local.add(name)
            return AT_ONCE
        self._local.discard(name)
        return WAITING

    def _identify(
        self, fd: int, status: os.stat_result | Status, name: str, calls: Calls = WAITING
    ) -> tuple[str, bool]:
        """The id that is this directory's own, or "", and whether what is recorded of it is up to date."""
        identifier = _read_id(fd, calls)
        if not identifier:
            return "", False
        here = (identifier, status.st_dev, status.st_ino, calls.generation(fd), name)
        if here in self._recognised:
            return identifier, True
        record = self._read_record(identifier)
        if record is None or not self._is_own(record, identifier, name, fd, status):
            return "", False
        current = (record["name"], record["device"]) == (name, status.st_dev)
        if current:
            self._recognised.add(here)
        return identifier, current

    def _is_own(
        self, record: dict[str, Any], identifier: str, name: str, fd: int, status: os.stat_result | Status
    ) -> bool:
        """Whether the directory is the one that the id was given to, perhaps renamed."""
        if record["inode"] != status.st_ino:
            return False
        generation, known = kernel.generation(fd), record.get("generation")
        if known is not None and generation is not None and known != generation:
            return False
        if record["name"] == name:
            # Device numbers may change from boot to boot.
            return True
        if record["device"] != status.st_dev and generation is None:
            return False
        # Renamed, if what has the old name now is another; else both came to have this id and inode number by chance,
        # as the roots of two mounts may.
        try:
            with paths.opened(os.open(self.path(record["name"]), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as other:
                found = os.fstat(other)
                return _read_id(other) != identifier or (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)
        except OSError:
            return True

    def _read_record(self, identifier: str) -> dict[str, Any] | None:
        try:
            with open(os.path.join(self.home(identifier), b"bucket"), "rb") as file:
                record = json.load(file)
        except (FileNotFoundError, ValueError):
            return None
        return record if isinstance(record, dict) and {"name", "device", "inode", "created_ns"} <= set(record) else None

    def naming(self) -> AbstractContextManager[None]:
        """Exclude others that make buckets or give ids."""
        self.internals.make_directory(self._base)
        return self.internals.locked(os.path.join(self._base, b"lock"))

    def _claim(self, fd: int, name: str, created_ns: int | None = None) -> str:
        """Give a directory an id of its own, or bring its record up to date.  The caller holds `naming`."""
        status = os.fstat(fd)
        identifier, current = self._identify(fd, status, name)
        if current:
            return identifier
        known = self._read_record(identifier) if identifier else None
        if known is not None:
            created_ns = known["created_ns"]
        record = _record(fd, name, status.st_mtime_ns if created_ns is None else created_ns)
        claimed = identifier or secrets.token_hex(16)
        home = self.home(claimed)
        try:
            self.internals.make_directory(home)
            # Made now: on a full disk, when a deletion needs it, it could not be.
            with self.internals.locked(os.path.join(home, b"lock")):
                pass
            self.internals.write_file(os.path.join(home, b"bucket"), json.dumps(record).encode())
            signposts.put(home, name)
            if not identifier:
                self._write_id(fd, claimed)
        except (OSError, locks.WouldBlock):
            if not identifier:
                remove_tree(home)
            raise
        return claimed

    def adopt(self, name: str, *, pretend: bool = False) -> str:
        """Give a restored copy of a bucket what belongs to the bucket: its configuration and its older versions.

        A copy does not come by these by itself: who may write here could take a public policy along.

        :param pretend: only look whether it could be done.
        :returns: the name of the bucket that it is a copy of; "" if it has what is its own, or there is nothing for it.
        :raises S3Error: NoSuchBucket.
        :raises ValueError: another directory has it, or it is not certain which one is meant.
        :raises WouldBlock: a daemon is just making a bucket.
        """
        with self.naming(), self.opened(name) as bucket:
            if bucket.id:
                return ""
            written = _read_id(bucket.fd)
            found = {written: self._read_record(written)} if written else self._records_of(name)
            (identifier, record), *others = [*found.items()] or [("", None)]
            if record is None:
                return ""
            if others:
                raise ValueError(f"{name}: there are {len(found)} buckets of that name that it could be")
            for other, path in self.directories(lambda _: None):
                with suppress(OSError), paths.opened(os.open(path, paths.DIRECTORY | os.O_CLOEXEC)) as fd:
                    if self._identify(fd, os.fstat(fd), other)[0] == identifier:
                        raise ValueError(f"{name}: it is a copy of the bucket {other}, which keeps what it has")
            if not pretend:
                home = self.home(identifier)
                adopted = _record(bucket.fd, name, record["created_ns"])
                self.internals.write_file(os.path.join(home, b"bucket"), json.dumps(adopted).encode())
                if not written:
                    self._write_id(bucket.fd, identifier)
                signposts.put(home, name)
            return str(record["name"])

    def _records_of(self, name: str) -> dict[str, dict[str, Any]]:
        """What is recorded of buckets that had this name when they were written to last, by id."""
        homes = os.path.join(self._base, b"buckets")
        try:
            identifiers = [parse_id(each) for each in os.listdir(homes)]
        except FileNotFoundError:
            return {}
        known = {identifier: self._read_record(identifier) for identifier in identifiers if identifier}
        return {identifier: record for identifier, record in known.items() if record and record["name"] == name}

    def _write_id(self, fd: int, identifier: str) -> None:
        try:
            os.setxattr(fd, ATTRIBUTE, identifier.encode())
            if os.getxattr(fd, ATTRIBUTE) == identifier.encode():
                self._durability.flush(fd)
                return
        except OSError as error:
            if error.errno not in records.REFUSED:
                raise
        with paths.opened(self.internals.enter(fd, (layout.INTERNAL,))) as inner:
            self.internals.write_file(b"/proc/self/fd/%d/id" % inner, identifier.encode())

    def staging_for(self, bucket: Bucket) -> Staging:
        """Where files for a bucket are prepared: in the data directory, if they can be renamed from there."""
        identity = (bucket.status.st_dev, bucket.status.st_ino)
        known = self._stagings.get(identity)
        if known is not None:
            return known
        with self._finding_out:
            if identity not in self._stagings:
                path = self.path(bucket.name)
                staging = self.shared
                try:
                    inside = not self._can_rename_into(bucket.fd)
                except OSError as error:
                    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                    if not full or not staging.uploads or paths.exists(os.path.join(path, layout.INTERNAL, b"tmp")):
                        raise
                    # No room to find out, but uploads must be found to be aborted: where they are most likely.
                    return staging
                if inside:
                    staging = self._inner(path)
                    staging.start()
                self._stagings[identity] = staging
            return self._stagings[identity]

    def _inner(self, path: bytes) -> Staging:
        return Staging(path, (layout.INTERNAL, b"uploads"), self.internals)

    def _can_rename_into(self, fd: int) -> bool:
        """Only a rename tells: bind mounts share a device number, and project quotas forbid it within one."""
        temporary, path = self.shared.create(0o600)
        os.close(temporary)
        try:
            os.rename(path, PROBE, dst_dir_fd=fd)
            # Another process that tries, or a deletion of the bucket, may have cleared it away already.
            with suppress(FileNotFoundError):
                os.unlink(PROBE, dir_fd=fd)
            return True
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)

    def start(self, report: Callable[[str], None]) -> None:
        """Begin to write here: sweep what dead processes left.

        :param report: told of directories that are no buckets, and of buckets in trouble, which do not stop the others.
        """
        self.internals.make_directory(os.path.join(self._base, b"buckets"))
        self.shared.start()
        with paths.opened(os.open(self._data, paths.DIRECTORY | os.O_CLOEXEC)) as fd:
            self._local_device = os.fstat(fd).st_dev if is_local(fd) else -1
        for name, path in self.directories(report):
            if not is_name(name):
                report(f"the directory {name!r} is no bucket: a bucket's name has letters, digits and . _ - only")
                continue
            try:
                status = os.stat(path)
                if paths.exists(os.path.join(path, layout.INTERNAL, b"tmp")):
                    staging = self._inner(path)
                    staging.start()
                    self._stagings[status.st_dev, status.st_ino] = staging
            except OSError as error:
                report(f"the bucket {name!r} cannot be prepared for writing: {error.strerror}")

    def directories(self, report: Callable[[str], None]) -> Iterator[tuple[str, bytes]]:
        """The directories in the data directory, but for hidden ones: their names and paths.

        :param report: told of what cannot be looked at.
        """
        with os.scandir(self._data) as entries:
            for entry in entries:
                if entry.name.startswith(b"."):
                    continue
                try:
                    if entry.is_dir():
                        yield os.fsdecode(entry.name), entry.path
                except OSError as error:
                    # A looping link, a mount that is dead.
                    report(f"{os.fsdecode(entry.name)!r} cannot be looked at: {error.strerror}")

    def stagings(self) -> set[Staging]:
        """Those that are in use."""
        return {self.shared, *self._stagings.values()}

    def stop(self) -> None:
        for staging in self.stagings():
            staging.stop()

    def list(self, report: Callable[[str], None]) -> list[BucketInfo]:
        """All buckets by name."""
        found = []
        for name, _ in self.directories(report):
            if is_name(name):
                try:
                    found.append(self.info(name))
                except (S3Error, OSError, DamagedError) as error:
                    report(f"the bucket {name!r} cannot be listed: {error}")
        return sorted(found, key=lambda bucket: bucket.name)

    def info(self, name: str) -> BucketInfo:
        with self.opened(name) as bucket:
            record = self._read_record(bucket.id) if bucket.id else None
            created = record["created_ns"] if record else os.fstat(bucket.fd).st_mtime_ns
            return BucketInfo(name, int(created), configuration.read(bucket))

    def create(
        self,
        name: str,
        now_ns: int,
        configured: Configuration = NOT_CONFIGURED,
        prepare: Callable[[Bucket], None] | None = None,
    ) -> BucketInfo:
        """Make a bucket.

        :param configured: what is configured of it from the first moment on.
        :param prepare: called with the bucket before anybody sees it.
        :raises S3Error: BucketAlreadyOwnedByYou, InvalidBucketName.
        """
        if not is_name(name):
            raise S3Error("InvalidBucketName", BucketName=name)
        with self.naming():
            path = self.path(name)
            if paths.exists(path):
                raise _taken(name, path)
            # Made elsewhere and moved into place, so that nobody finds it without what is configured.
            place = self.shared.path() if configured else path
            try:
                os.mkdir(place, 0o700)
            except FileExistsError:
                raise _taken(name, path) from None
            try:
                with paths.opened(os.open(place, paths.DIRECTORY | os.O_CLOEXEC)) as fd:
                    # A data directory whose group is inherited makes such directories.
                    os.fchmod(fd, self._directory_mode | os.fstat(fd).st_mode & stat.S_ISGID)
                    identifier = self._claim(fd, name, now_ns)
                    if prepare is not None:
                        prepare(Bucket(self, name, fd, os.fstat(fd), WAITING, identifier))
                if configured:
                    self._publish(name, place, identifier, configured)
            except BaseException:
                remove_tree(os.path.join(place, layout.INTERNAL))
                with suppress(OSError):
                    os.rmdir(place)
                raise
            self._durability.flush_path(self._data)
        return self.info(name)

    def _publish(self, name: str, place: bytes, identifier: str, configured: Configuration) -> None:
        """Give a directory the name of a bucket that nobody has seen yet."""
        home = self.home(identifier)
        try:
            self.internals.write_file(os.path.join(home, configuration.NAME), configuration.render(configured))
            with paths.opened(os.open(self._data, paths.DIRECTORY | os.O_CLOEXEC)) as data:
                paths.move_new(place, data, name.encode())
        except BaseException as error:
            remove_tree(home)
            if isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise _taken(name, self.path(name)) from None
            raise

    def recognises(self, identifier: str, fd: int, name: str) -> bool:
        """Whether an id is known to be that of an open directory on a local file system, without looking further."""
        status = os.fstat(fd)
        return (identifier, status.st_dev, status.st_ino, AT_ONCE.generation(fd), name) in self._recognised

    def remove(self, bucket: Bucket) -> None:
        """Remove the directory of a bucket without objects, and its internals.  The caller holds the bucket's lock.

        :raises S3Error: BucketNotEmpty, also for a mount point or symlink.
        """
        path = self.path(bucket.name)
        with paths.opened(os.open(self._data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as data:
            elsewhere = os.path.islink(path) or kernel.mount_id(bucket.fd) != kernel.mount_id(data)
        if elsewhere:
            raise S3Error("BucketNotEmpty", "The bucket is a mount point or symbolic link; remove it on the server.")
        _remove_empty(bucket.fd)
        if set(os.listdir(bucket.fd)) - {os.fsdecode(layout.INTERNAL)}:
            raise S3Error("BucketNotEmpty", "There are files in the bucket that are no objects.")
        inner = self._stagings.pop((bucket.status.st_dev, bucket.status.st_ino), None)
        if inner is not None and inner is not self.shared:
            inner.stop()
        remove_tree(os.path.join(path, layout.INTERNAL))
        try:
            os.rmdir(path)
        except OSError as error:
            if bucket.id and not _read_id(bucket.fd):
                self._write_id(bucket.fd, bucket.id)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                raise S3Error("BucketNotEmpty", BucketName=bucket.name) from None
            raise
        self._durability.flush_path(self._data)
        # Last: until the directory is gone for good, what is configured of it counts.  If a crash comes before this, it
        # leaves rubbish that no other directory adopts: a new one has another id.
        signposts.remove(bucket.home)
        self.shared.discard(bucket.home)
        self.forget(bucket.id)


def is_name(name: str) -> bool:
    """Whether a directory that is called so is a bucket."""
    return _NAME.fullmatch(name) is not None


def _record(fd: int, name: str, created_ns: int) -> dict[str, Any]:
    """What is recorded of the directory to which an id is given."""
    status = os.fstat(fd)
    return {
        "name": name,
        "device": status.st_dev,
        "inode": status.st_ino,
        "generation": kernel.generation(fd),
        "created_ns": created_ns,
    }


def _taken(name: str, path: bytes) -> S3Error:
    return S3Error("BucketAlreadyOwnedByYou" if os.path.isdir(path) else "BucketAlreadyExists", BucketName=name)


def _read_id(fd: int, calls: Calls = WAITING) -> str:
    try:
        text = calls.get_attribute(fd, ATTRIBUTE)
    except OSError:
        try:
            with paths.opened(paths.open_below(fd, (layout.INTERNAL, b"id"), paths.READ)) as file:
                text = os.read(file, 64)
        except OSError:
            return ""
    return parse_id(text)


def parse_id(text: bytes) -> str:
    """The id that is written at a bucket, or "" if it is none."""
    identifier = text.decode("latin-1").strip()
    return identifier if _ID.fullmatch(identifier) else ""


def _remove_empty(fd: int) -> None:
    """Remove the empty directories in a bucket; with rmdir only, so that no file can be lost."""
    found: list[tuple[bytes, ...]] = [()]
    for names in found:
        below = directory.open_directory(fd, names)
        if below is None:
            continue
        with paths.opened(below), os.scandir(below) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if not names and name == layout.INTERNAL:
                    continue
                if not names and name.startswith(PROBE):
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=fd)
                elif entry.is_dir(follow_symlinks=False):
                    found.append((*names, name))
    for names in reversed(found[1:]):
        above = directory.open_directory(fd, names[:-1])
        if above is not None:
            with paths.opened(above), suppress(OSError):
                os.rmdir(names[-1], dir_fd=above)
