"""The daemon's own files below ``.zs3``: modes, temporary files, what a dead process left, and the trash.

Blocking.  There is one `Staging` in the data directory, and one inside each
bucket that lives on a file system of its own: a file can only be renamed into
place within one.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from zs3.store import kernel, locks, paths
from zs3.store.durability import Durability

_START_TRIES = 1000


class Internals:
    """How the daemon's own files are made: durably, and with group and mode of the data directory.

    So daemons of two users can share it.

    :ivar durability: of the whole store.
    """

    def __init__(self, data: bytes, durability: Durability) -> None:
        status = os.stat(data)
        self.durability = durability
        self._gid = status.st_gid
        self._directory_mode = stat.S_IMODE(status.st_mode) & 0o2777 | 0o700
        self.file_mode = stat.S_IMODE(status.st_mode) & 0o666 | 0o600

    def _own(self, path: bytes, mode: int) -> None:
        with suppress(PermissionError):
            os.chmod(path, mode)
            if os.stat(path).st_gid != self._gid:
                os.chown(path, -1, self._gid)

    def make_scratch_directory(self, path: bytes) -> None:
        """Make a directory that nobody relies on yet."""
        os.mkdir(path)
        self._own(path, self._directory_mode)

    def make_directory(self, path: bytes) -> None:
        """Make a directory, and those above it; durable when this returns, unless it was there before."""
        try:
            self.make_scratch_directory(path)
        except FileExistsError:
            return
        except FileNotFoundError:
            self.make_directory(os.path.dirname(path))
            with suppress(FileExistsError):
                self.make_scratch_directory(path)
        self.durability.flush_path(os.path.dirname(path))

    def write_file(self, path: bytes, data: bytes) -> None:
        """Write a small file whole, durably, in place of an older one."""
        temporary = path + b"." + secrets.token_hex(8).encode()
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.file_mode)
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                self.durability.flush(fd)
            self._own(temporary, self.file_mode)
            os.rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        self.durability.flush_path(os.path.dirname(path))


class Staging:
    """The scratch room of one file system: temporary files, uploads, trash.

    :ivar uploads: the directory of the multipart uploads.
    """

    def __init__(self, base: bytes, uploads: bytes, internals: Internals) -> None:
        """:param base: a ``.zs3`` directory; it need not exist yet."""
        self.base = base
        self.uploads = uploads
        self._internals = internals
        self._restarting = threading.Lock()
        self._temporary = os.path.join(base, b"tmp")
        self._trash = os.path.join(base, b"trash")
        self._own = b""
        self._owner = -1

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Exclude other processes that begin or sweep here; short, at the start of a process only."""
        path = os.path.join(self._temporary, b"lock")
        for attempt in range(_START_TRIES):
            try:
                with locks.locked(path, 0, 0, self._internals.file_mode):
                    yield
                return
            except locks.WouldBlock:
                if attempt == _START_TRIES - 1:
                    raise
                time.sleep(0.01)

    def start(self) -> None:
        """Make this process's own directory; remove those of processes that are gone, and the trash."""
        for directory in (self._temporary, self._trash, self.uploads):
            self._internals.make_directory(directory)
        with self._starting():
            for name in os.listdir(self._temporary):
                if name != b"lock":
                    _sweep(os.path.join(self._temporary, name))
            own = os.path.join(self._temporary, secrets.token_hex(8).encode())
            os.mkdir(own, 0o700)
            owner = os.open(os.path.join(own, b"owner"), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            kernel.try_lock(owner, 0, 0)
        self._own, self._owner = own, owner
        for name in os.listdir(self._trash):
            remove_tree(os.path.join(self._trash, name))

    def stop(self) -> None:
        """Remove this process's own directory."""
        if self._owner >= 0:
            remove_tree(self._own)
            os.close(self._owner)
            self._owner = -1

    def create(self, mode: int) -> tuple[int, bytes]:
        """A new temporary file of exactly this mode: its fd, open for reading and writing, and its path."""
        path = self.path()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if mode != 0o600:
            os.fchmod(fd, mode)
        return fd, path

    def path(self) -> bytes:
        """A new name in this process's own directory."""
        if not os.path.isdir(self._own):
            # Never started, or somebody has cleared the directory away.
            with self._restarting:
                if not os.path.isdir(self._own):
                    self.stop()
                    self.start()
        return os.path.join(self._own, secrets.token_hex(8).encode())

    def discard(self, path: bytes) -> None:
        """Make a directory invisible at once and for good, then remove it.  Gone already: nothing to do."""
        target = os.path.join(self._trash, secrets.token_hex(8).encode())
        try:
            os.rename(path, target)
        except FileNotFoundError:
            return
        self._internals.durability.flush_path(os.path.dirname(path))
        remove_tree(target)


def _sweep(directory: bytes) -> None:
    """Remove a process's temporary directory unless the process lives: it holds a lock as long as it does."""
    try:
        owner = os.open(os.path.join(directory, b"owner"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        remove_tree(directory)
        return
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.ENOTDIR):
            return
        raise
    with paths.opened(owner):
        if kernel.try_lock(owner, 0, 0):
            remove_tree(directory)


def remove_tree(path: bytes) -> None:
    """Remove a directory of ours with all that is in it; what cannot be removed stays for the next start."""
    shutil.rmtree(path, ignore_errors=True)
