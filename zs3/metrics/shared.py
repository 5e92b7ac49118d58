"""Counting across workers: a directory in memory that the parent makes and the workers count in.

Each worker has a table of its own there, by its number; the one that replaces it
goes on with that.  So what a worker has counted is there however it ends, any of
them can tell the sum of all, and nothing has to be told to the parent.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress

from zs3.metrics import table
from zs3.metrics.table import Key, Table
from zs3.store import kernel

_PREFIX = "zs3-metrics-"
_PROCESS = "worker-"
_TABLE = "table-"
BUCKETS = "buckets"


class SharedDirectory:
    """The directory, for the parent.

    :param environ: what says where there may be memory for it.
    :ivar path: of the directory, which is there between `make` and `remove`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._base = _place(environ)
        self.path = os.path.join(self._base, _PREFIX + secrets.token_hex(8))
        self._fd = -1

    def make(self) -> None:
        """Make it, and remove those of daemons that are no more.  `OSError`."""
        _sweep(self._base)
        while self._fd < 0:
            os.mkdir(self.path, 0o700)
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            # Whoever finds it locked knows that its daemon lives.  Another one that starts may have found it before.
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.path.isdir(self.path):
                self._fd = fd
            else:
                os.close(fd)

    def worker_ended(self, number: int) -> None:
        """Forget that there is such a worker, and what was under way in it; what it has counted stays."""
        with suppress(OSError):
            os.unlink(os.path.join(self.path, f"{_PROCESS}{number}"))

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def join(path: str, number: int) -> Table:
    """What a worker counts in, from now on or again, under the number that only one at a time has."""
    found = Table(os.path.join(path, f"{_TABLE}{number}"))
    with open(os.path.join(path, f"{_PROCESS}{number}"), "w") as file:
        file.write(str(os.getpid()))
    return found


def tables(path: str) -> Iterator[tuple[bool, Iterator[tuple[Key, list[float]]]]]:
    """Of each worker that there is or was, whether it is alive, and its numbers."""
    alive = dict(processes(path))
    for name in sorted(os.listdir(path)):
        if name.startswith(_TABLE) and name.endswith(".keys"):
            stem = name.removesuffix(".keys")
            yield int(stem.removeprefix(_TABLE)) in alive, table.read(os.path.join(path, stem))


def processes(path: str) -> Iterator[tuple[int, int]]:
    """The number and the process id of each worker, for one of them; their parent as number 0."""
    yield 0, os.getppid()
    for name in sorted(os.listdir(path)):
        if name.startswith(_PROCESS):
            with suppress(OSError, ValueError), open(os.path.join(path, name)) as file:
                yield int(name.removeprefix(_PROCESS)), int(file.read())


def _place(environ: Mapping[str, str]) -> str:
    """A directory that is in memory: values that change all the time shall not keep a disk awake."""
    for path in (environ.get("RUNTIME_DIRECTORY", "").partition(":")[0], "/dev/shm", "/run"):  # noqa: S108
        with suppress(OSError):
            if path and os.access(path, os.W_OK | os.X_OK) and _is_in_memory(path):
                return path
    return tempfile.gettempdir()


def _is_in_memory(path: str) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return kernel.filesystem_type(fd) == kernel.TMPFS
    finally:
        os.close(fd)


def _sweep(base: str) -> None:
    """Remove what daemons of this user left that did not end in good order."""
    for name in os.listdir(base):
        path = os.path.join(base, name)
        if not name.startswith(_PREFIX):
            continue
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(fd).st_uid == os.geteuid():
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(fd)
