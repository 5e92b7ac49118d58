"""Opening and reading what is in memory already, from the reactor's thread: no hop, and never a wait for a disk.

Only ever says yes: whatever is unusual (another file system, a name or inode
that is not cached, a symlink, a record in a file of its own) is left to
`zs3.store.lookup`, which decides.  What is answered here is what it would answer.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import stat
import time
from collections.abc import Callable
from contextlib import suppress

from zs3.errors import S3Error
from zs3.store import accounts, buckets, configuration, kernel, layout, metadata, paths, records, states
from zs3.store.accounts import KnownAccounts
from zs3.store.buckets import Buckets
from zs3.store.lookup import OpenObject
from zs3.store.metadata import Record
from zs3.store.states import States
from zs3.store.values import NOT_CONFIGURED, BucketState, Configuration, ObjectInfo, PinnedName

#: File systems that answer RESOLVE_CACHED and RWF_NOWAIT truly, or are in memory altogether.
_LOCAL = (kernel.EXT, kernel.XFS, kernel.TMPFS)
#: The most bytes that are read at a time.
MOST = 512 * 1024
#: How often the path of the data directory is looked at: it may be moved, or something mounted over it.
_LOOK_S = 1.0
#: The distance of the bytes that are looked at to see whether what is between them is in memory.
_STRIDE = 256 * 1024

#: Names that a bucket may have without any doubt.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}", re.ASCII).fullmatch

_open_file = kernel.CachedOpen(paths.READ)
_open_bucket = kernel.CachedOpen(os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
_open_directory = kernel.CachedOpen(os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)


def can_serve(fd: int) -> bool:
    """Whether the file system of an open directory is one that this can be done on."""
    return kernel.filesystem_type(fd) in _LOCAL


class HotFiles:
    """The objects of a data directory, as far as the kernel has them at hand.

    :param data: the data directory.
    :param now: seconds on a clock that never goes back.
    """

    def __init__(self, data: bytes, now: Callable[[], float] = time.monotonic) -> None:
        self._data = data
        self._now = now
        self._fd = -1
        self._device = -1
        self._identity: tuple[int, int] | None = None
        self._in_memory = False
        self._looked = 0.0
        self._states = States(-1)
        self._accounts = KnownAccounts(-1)
        # Only the reactor's thread reads.
        self._buffer = memoryview(bytearray(MOST))

    def start(self) -> None:
        """Open the data directory, if it is on a file system that this can be done on.  Blocking."""
        self.stop()
        self._looked = self._now()
        fd = os.open(self._data, paths.DIRECTORY | os.O_CLOEXEC)
        if not can_serve(fd):
            os.close(fd)
            return
        status = os.fstat(fd)
        self._fd, self._device, self._identity = fd, status.st_dev, (status.st_dev, status.st_ino)
        self._in_memory = kernel.filesystem_type(fd) == kernel.TMPFS
        self._states = States(fd)
        self._accounts = KnownAccounts(fd)

    def stop(self) -> None:
        self._states.close()
        self._accounts.close()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = self._device = -1

    def _is_there(self) -> bool:
        """Whether the directory is still what its path names."""
        if self._fd < 0:
            return False
        now = self._now()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            try:
                status = os.stat(self._data)
            except OSError:
                status = None
            if status is None or (status.st_dev, status.st_ino) != self._identity:
                self.stop()
                return False
        return True

    def open(self, bucket: str, key: str) -> OpenObject | None:
        """Open an object; None where `lookup` must find out.

        :raises S3Error: NoSuchKey, where that is certain.
        """
        if not self._is_there() or not _BUCKET(bucket):
            return None
        plain = layout.plain_path(key)
        if plain is None:
            if not layout.is_key(key):
                return None
            path = layout.encode(key)
            plain = b"/".join((*path.parent, path.name))
        fd = _open_file(self._fd, b"%b/%b" % (bucket.encode(), plain))
        if fd < 0:
            return self._open_elsewhere(bucket, key) if fd in (-errno.ENOENT, -errno.ENOTDIR) else None
        return self._opened(fd, bucket, key)

    def _open_elsewhere(self, bucket: str, key: str) -> OpenObject | None:
        """Look at both places of a key, in one and the same directory of the bucket.

        :raises S3Error: NoSuchKey, where there is nothing at either.
        """
        directory = _open_directory(self._fd, bucket.encode())
        if directory < 0:
            return None
        with paths.opened(directory):
            path = layout.encode(key)
            for names in ((*path.parent, path.name), (*path.parent, *path.beside)):
                fd = _open_file(directory, b"/".join(names))
                if fd >= 0:
                    return self._opened(fd, bucket, key)
                if fd not in (-errno.ENOENT, -errno.ENOTDIR):
                    return None
        raise S3Error("NoSuchKey", Key=key)

    def _opened(self, fd: int, bucket: str, key: str) -> OpenObject | None:
        try:
            info = self._info(fd, bucket, key)
        except OSError:
            info = None
        except BaseException:
            os.close(fd)
            raise
        if info is None:
            os.close(fd)
            return None
        return OpenObject(fd, info)

    def _info(self, fd: int, bucket: str, key: str) -> ObjectInfo | None:
        """What `Records.info` says of an open file; None where it must look further."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        try:
            data = os.getxattr(fd, records.ATTRIBUTE)
        except OSError as error:
            if error.errno != errno.ENODATA or self._may_have_sidecars(bucket):
                return None
        else:
            # Only what is short: the record of an upload may unfold to the sizes of 10,000 parts.
            record, info = (_read if data.endswith(b"}") else _told)(data, key)
            if record is None:
                return None
            if record.describes(status):
                # A rounded time may hide a change: `records` knows what to make of it.
                return info if status.st_mtime_ns % 1000 else None
        return metadata.plain_info(key, status, inode=records.has_stable_inodes(fd, status.st_dev))

    def look(self, bucket: str, known: Buckets) -> BucketState | None:
        """Which bucket has a name, and what is configured of it; None where that must be looked for.

        :param known: knows whose ids are whose.
        """
        if not self._is_there():
            return None
        now = self._now()
        remembered = self._states.knows(bucket, now)
        if remembered is not None:
            return remembered
        if not _BUCKET(bucket):
            return None
        directory = _open_bucket(self._fd, bucket.encode())
        if directory < 0:
            return None
        with paths.opened(directory):
            try:
                identifier = buckets.parse_id(os.getxattr(directory, buckets.ATTRIBUTE))
            except OSError as error:
                never_written = error.errno == errno.ENODATA and self._is_absent(directory, b"%b/id" % layout.INTERNAL)
                return BucketState(PinnedName(bucket), NOT_CONFIGURED) if never_written else None
            if not known.recognises(identifier, directory, bucket):
                return None
            return self._look_inside(PinnedName.of(bucket, identifier), directory, now)

    def account(self, name: str) -> Configuration | None:
        """What is configured of an account; None where that must be looked for.

        :raises DamagedError: as `accounts.read`.
        """
        if not self._is_there():
            return None
        now = self._now()
        found = self._accounts.knows(name, now)
        if found is not None:
            return found
        # First: what is found before one begins to watch proves nothing.
        watched = self._accounts.watch(now)
        fd = self._open_internal(self._fd, accounts.path(name))
        if fd == -errno.ENOENT:
            found = NOT_CONFIGURED
        elif fd < 0:
            return None
        else:
            data = None
            # Whatever else is in its place.
            with paths.opened(fd), suppress(OSError):
                data = self.read(fd, 0, os.fstat(fd).st_size)
            if data is None:
                return None
            found = configuration.parse(data)
        if watched:
            self._accounts.remember(name, found)
        return found

    def _look_inside(self, name: PinnedName, directory: int, now: float) -> BucketState | None:
        """What is configured of a bucket that is open; it is remembered, if that can be."""
        looked_ns = time.time_ns()
        home = _open_directory(self._fd, b"%b/buckets/%b" % (layout.INTERNAL, name.identifier.encode()))
        if home < 0:
            return None
        with paths.opened(home):
            watch = states.watched(directory, home)
            file = self._open_internal(home, configuration.NAME)
            if file == -errno.ENOENT:
                state = BucketState(name, NOT_CONFIGURED)
                self._states.keep(state, watch, looked_ns, now)
                return state
            if file < 0:
                return None
            with paths.opened(file):
                watch = states.with_file(watch, file)
                data = self.read(file, 0, watch.size)
                if data is None:
                    return None
                state = BucketState(name, configuration.parse(data))
                self._states.keep(state, watch, looked_ns, now)
                return state

    def _open_internal(self, directory: int, path: bytes) -> int:
        """Open a file of the daemon's own: an fd, or an errno, negative."""
        fd = _open_file(directory, path)
        if fd != -errno.EAGAIN or not self._in_memory:
            return fd
        # Such a file system does not remember what is not there, but never waits either.
        try:
            return os.open(path, paths.READ | os.O_CLOEXEC, dir_fd=directory)
        except OSError as error:
            return -(error.errno or errno.EIO)

    def _is_absent(self, directory: int, path: bytes) -> bool:
        """Whether it is known at once that there is nothing of that name."""
        if self._in_memory:
            return paths.look(directory, path) is None
        return _is_absent(directory, path)

    def _may_have_sidecars(self, bucket: str) -> bool:
        """Whether the bucket has records in files that are named by key, as far as the kernel knows at once."""
        homes = [b"none"]
        directory = _open_bucket(self._fd, bucket.encode())
        if directory < 0:
            return True
        with paths.opened(directory):
            try:
                homes.append(buckets.parse_id(os.getxattr(directory, buckets.ATTRIBUTE)).encode())
            except OSError as error:
                if error.errno != errno.ENODATA or not _is_absent(directory, b"%b/id" % layout.INTERNAL):
                    return True
        places = [b"%b/buckets/%b/records/key" % (layout.INTERNAL, home) for home in homes if home]
        return not all(_is_absent(self._fd, place) for place in places)

    def covers(self, fd: int) -> bool:
        """Whether `read` can be asked about an open file."""
        return self._fd >= 0 and os.fstat(fd).st_dev == self._device

    def read(self, fd: int, offset: int, size: int) -> bytes | None:
        """`size` bytes of a file that is covered, at most `MOST`, or None if not all of them are in memory."""
        if self._in_memory:
            data = os.pread(fd, size, offset)
            return data if len(data) == size else None
        view = self._buffer[:size]
        if len(view) < size:
            return None
        try:
            done = os.preadv(fd, (view,), offset, os.RWF_NOWAIT)
        except OSError:
            return None
        return bytes(view) if done == size else None

    def is_warm(self, fd: int, offset: int, size: int) -> bool:
        """Whether the bytes of a file that is covered are in memory, as far as can be told without reading them."""
        if self._in_memory:
            return os.fstat(fd).st_size >= offset + size
        cached = kernel.is_cached(fd, offset, size)
        if cached is False:
            return False
        # What is there may be on its way from the disk still, and then its end is the last to come.
        looks = () if cached else range(offset, offset + size, _STRIDE)
        buffers = (bytearray(1),)
        try:
            for at in (*looks, offset + size - 1):
                if os.preadv(fd, buffers, at, os.RWF_NOWAIT) != 1:
                    return False
        except OSError:
            return False
        return True


def _is_absent(directory: int, path: bytes) -> bool:
    """Whether the kernel knows that there is nothing of that name."""
    fd = _open_directory(directory, path)
    if fd >= 0:
        os.close(fd)
    return fd == -errno.ENOENT


def _read(data: bytes, key: str) -> tuple[Record | None, ObjectInfo | None]:
    """The record that `data` holds, and what it says of `key`."""
    record = metadata.unpack(data)
    return record, None if record is None else record.info(key)


#: Pure, so it may be remembered.
_told = functools.lru_cache(maxsize=1024)(_read)
