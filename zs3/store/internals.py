"""The daemon's own files below ``.zs3``: modes, locks, temporary files, what a dead process left, and the trash.

Blocking.  There is one `Staging` in the data directory, and one inside each
bucket that lives on a file system of its own: a file can only be renamed into
place within one.  Whoever may write into a bucket may plant links there, so
the directories are entered without following any, and used by descriptor.
"""

from __future__ import annotations

import errno
import itertools
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from zs3.store import immutable, kernel, layout, locks, paths
from zs3.store.calls import WAITING, Calls
from zs3.store.durability import Durability

_START_TRIES = 1000


class Internals:
    """How the daemon's own files are made: durably, and with group and mode of the data directory.

    So daemons of two users can share it.

    :param confidential: whether what is in them is for daemons alone: the group, and others, get no rights unless they
        may write to the data directory.
    :ivar durability: of the whole store.
    :ivar keeping: the numbers of the devices that were seen to keep attributes.
    :ivar scratch_name: gives the path of a file that goes with the process, however that ends; b"" where there is none.
    """

    def __init__(self, data: bytes, durability: Durability, *, confidential: bool = False) -> None:
        status = os.stat(data)
        mode = stat.S_IMODE(status.st_mode)
        if confidential:
            for right, all_rights in ((stat.S_IWGRP, stat.S_IRWXG), (stat.S_IWOTH, stat.S_IRWXO)):
                mode &= ~(0 if mode & right else all_rights)
        self.durability = durability
        self.keeping: set[int] = set()
        self.scratch_name: Callable[[], bytes] = bytes
        self._gid = status.st_gid
        self._directory_mode = mode & 0o2777 | 0o700
        self._file_mode = mode & 0o666 | 0o600

    def _own(self, file: bytes | int, mode: int) -> None:
        with suppress(PermissionError):
            os.chmod(file, mode)
            if os.stat(file).st_gid != self._gid:
                os.chown(file, -1, self._gid)

    def make_scratch_directory(self, path: bytes) -> None:
        """Make a directory that nobody relies on yet."""
        os.mkdir(path)
        self._own(path, self._directory_mode)

    def make_directory(self, path: bytes, below: bytes = b"") -> None:
        """Make a directory, and those above it; durable when this returns, unless it was there before.

        :param below: one above it that is not made: who removed it wants nothing there any more.
        :raises FileNotFoundError: that is missing.
        """
        try:
            self.make_scratch_directory(path)
        except FileExistsError:
            return
        except FileNotFoundError:
            if os.path.dirname(path) == below:
                raise
            self.make_directory(os.path.dirname(path), below)
            with suppress(FileExistsError):
                self.make_scratch_directory(path)
        self.durability.flush_path(os.path.dirname(path))

    def enter(self, root: int, names: Sequence[bytes]) -> int:
        """The fd of a directory below another, made with those above it where missing; no link is followed."""
        at = os.dup(root)
        try:
            for name in names:
                try:
                    os.mkdir(name, dir_fd=at)
                except FileExistsError:
                    below = paths.open_below(at, (name,), paths.DIRECTORY)
                else:
                    below = paths.open_below(at, (name,), paths.DIRECTORY)
                    self._own(below, self._directory_mode)
                    self.durability.flush(at)
                os.close(at)
                at = below
            return at
        except BaseException:
            os.close(at)
            raise

    def write_file(self, path: bytes, data: bytes, *, durable: bool = True, alone: bool = False) -> None:
        """Write a small file whole, durably, in place of an older one.

        :param durable: False: a power failure may bring the older one back, or leave an empty one.
        :param alone: nobody else writes this one: the caller has a lock.  What a process leaves that dies in between,
            the next one takes.
        """
        if alone:
            temporary = path + b".new"
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            self._write_file(temporary, path, data, durable=durable)
            return
        temporary = self.scratch_name()
        if temporary:
            try:
                self._write_file(temporary, path, data, durable=durable)
                return
            except OSError as error:
                # Not on this file system; or somebody has cleared the directory away.
                if error.errno not in (errno.EXDEV, errno.ENOENT):
                    raise
        self._write_file(path + b"." + secrets.token_hex(8).encode(), path, data, durable=durable)

    def _write_file(self, temporary: bytes, path: bytes, data: bytes, *, durable: bool) -> None:
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._file_mode)
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                self._own(fd, self._file_mode)
                if durable:
                    self.durability.flush(fd)
            os.rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        if durable:
            self.durability.flush_path(os.path.dirname(path))

    def open_lock(self, path: bytes, calls: Calls = WAITING) -> int:
        """The fd of the lock file at `path`, made where missing.

        :raises FileNotFoundError: its directory is gone.
        """
        try:
            return calls.open_lock(path)
        except FileNotFoundError:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT, self._file_mode)
            self._own(fd, self._file_mode)
            return fd

    def locked(self, path: bytes, start: int = 0, length: int = 0) -> AbstractContextManager[None]:
        """Hold a lock on bytes of the file at `path`, made where missing, for a block; see `locks.held`.

        :raises WouldBlock: another holds it.
        :raises FileNotFoundError: its directory is gone.
        """
        return locks.held(self.open_lock(path), start, length)


class Staging:
    """The scratch room of one file system: temporary files, uploads, trash.

    :ivar uploads: the directory of the multipart uploads; usable once started.
    """

    def __init__(self, root: bytes, uploads: Sequence[bytes], internals: Internals) -> None:
        """:param root: the directory that ``.zs3`` is or will be in.
        :param uploads: the way from there to the uploads.
        """
        self._root = root
        self._internals = internals
        self._restarting = threading.Lock()
        self._ways = ((layout.INTERNAL, b"tmp"), (layout.INTERNAL, b"trash"), tuple(uploads))
        self._fds: list[int] = []
        self._temporary = self._trash = self.uploads = self._own = b""
        self._owner = -1
        # The directory has a random name and one process in it.
        self._numbers = itertools.count()

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Exclude other processes that begin or sweep here; short, at the start of a process only."""
        for attempt in range(_START_TRIES):
            try:
                with self._internals.locked(os.path.join(self._temporary, b"lock")):
                    yield
                return
            except locks.WouldBlock:
                if attempt == _START_TRIES - 1:
                    raise
                time.sleep(0.01)

    def start(self) -> None:
        """Make this process's own directory; remove those of processes that are gone, and the trash."""
        self.stop()
        with paths.opened(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
            for way in self._ways:
                self._fds.append(self._internals.enter(root, way))
        # By descriptor, so that they stay what they were when they were entered.
        self._temporary, self._trash, self.uploads = (b"/proc/self/fd/%d" % fd for fd in self._fds)
        with self._starting():
            for name in os.listdir(self._temporary):
                if name != b"lock":
                    sweep(os.path.join(self._temporary, name))
            own = os.path.join(self._temporary, secrets.token_hex(8).encode())
            os.mkdir(own, 0o700)
            owner = os.open(os.path.join(own, b"owner"), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            kernel.try_lock(owner, 0, 0)
        self._own, self._owner = own, owner
        # Else btrfs may keep, of a power cut, files in there but not that one, and nobody would clear them away.
        self._internals.durability.flush_path(own)
        for name in os.listdir(self._trash):
            remove_tree(os.path.join(self._trash, name))

    def stop(self) -> None:
        """Remove this process's own directory."""
        if self._owner >= 0:
            remove_tree(self._own)
            os.close(self._owner)
            self._owner, self._own = -1, b""
        while self._fds:
            os.close(self._fds.pop())

    def create(self, mode: int) -> tuple[int, bytes]:
        """A new temporary file of exactly this mode: its fd, open for reading and writing, and its path."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        path = self._name() if self._own else self.path()
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError:
            path = self.path()
            fd = os.open(path, flags, 0o600)
        if mode != 0o600:
            os.fchmod(fd, mode)
        return fd, path

    def path(self) -> bytes:
        """A new name in this process's own directory."""
        if not os.path.isdir(self._own):
            with self._restarting:
                if not os.path.isdir(self._own):
                    # Never started, or somebody has cleared the directory away.
                    self.start()
        return self._name()

    def name(self) -> bytes:
        """The same, without looking whether it is there; b"" if this was never started."""
        return self._name() if self._own else b""

    def _name(self) -> bytes:
        return b"%b/%x" % (self._own, next(self._numbers))

    def discard(self, path: bytes) -> None:
        """Make a directory invisible at once and for good, then remove it.  Gone already: nothing to do."""
        target = os.path.join(self._trash, secrets.token_hex(8).encode())
        try:
            os.rename(path, target)
        except FileNotFoundError:
            if not paths.exists(path):
                return
            # The trash is what is missing.
            remove_tree(path)
            return
        self._internals.durability.flush_path(os.path.dirname(path))
        remove_tree(target)


def sweep(directory: bytes) -> None:
    """Remove a process's temporary directory unless the process lives: it holds a lock as long as it does."""
    try:
        owner = os.open(os.path.join(directory, b"owner"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        # It died before it had made that; anything else in there is not ours.
        with suppress(OSError):
            os.rmdir(directory)
        return
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP):
            return
        raise
    with paths.opened(owner):
        if kernel.try_lock(owner, 0, 0):
            remove_tree(directory)


def remove_tree(path: bytes) -> None:
    """Remove a directory of ours with all that is in it; what cannot be removed stays for the next start."""
    shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        return
    # It may hold a name of a locked version that was on its way to be current again.
    with suppress(OSError):
        for _, _, names, directory in os.fwalk(path):
            for name in names:
                with suppress(OSError):
                    immutable.unlink(name, directory)
    shutil.rmtree(path, ignore_errors=True)
