"""Who wants to hear at once what happens in which bucket: files by which the processes tell each other.

Blocking, but in memory.  For each bucket in which a process takes an interest it
has a file, locked as long as it lives.  Whoever writes into a bucket looks at the
directory: it is known without a call more than one whether anybody came or went.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress

from zs3.store import kernel
from zs3.store.internals import Internals

#: Two changes within a tick of the kernel's clock may have one time.
_GRAIN_NS = 1_000_000_000
#: Those of processes that were killed are found to be gone after so long at the latest.
_LOOK_NS = 60_000_000_000


class Listeners:
    """The files.

    :param directory: that they are in; it is made where it is missing.
    """

    def __init__(self, directory: bytes, internals: Internals) -> None:
        self._directory, self._internals = directory, internals
        self._fd = -1
        self._changed_ns = self._looked_ns = 0
        self._since: dict[str, int] = {}
        self._streamed: set[str] = set()
        self._own: dict[tuple[str, bool], tuple[bytes, int]] = {}

    def start(self) -> None:
        """:raises OSError: this user may not write there."""
        self._internals.make_directory(self._directory)
        self._fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in os.listdir(self._fd):
            if name.startswith("."):
                self._remove_if_dead(name)

    def stop(self) -> None:
        """Take no interest in anything."""
        for bucket, watches in list(self._own):
            self.remove(bucket, watches=watches)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def since(self, bucket: str) -> int | None:
        """Since when somebody wants to hear of a bucket, without a break, in nanoseconds; None if nobody does."""
        if self._fd < 0:
            return None
        changed_ns, now = os.fstat(self._fd).st_mtime_ns, time.time_ns()
        if (
            changed_ns != self._changed_ns
            or self._looked_ns - changed_ns < _GRAIN_NS
            or (self._since and now - self._looked_ns > _LOOK_NS)
        ):
            self._look(changed_ns, now)
        return self._since.get(bucket)

    @property
    def buckets(self) -> set[str]:
        """Those that somebody wants to hear of."""
        self.since("")
        return set(self._since)

    @property
    def streamed(self) -> set[str]:
        """Likewise, but for who only watches."""
        self.since("")
        return self._streamed

    def _look(self, changed_ns: int, now: int) -> None:
        self._since, self._streamed = {}, set()
        for name in os.listdir(self._fd):
            if name.startswith("."):
                continue
            if self._remove_if_dead(name):
                continue
            with suppress(OSError, ValueError), open(f"/proc/self/fd/{self._fd}/{name}", "rb") as file:
                bucket, since, watches = json.load(file)
                self._since[bucket] = min(since, self._since.get(bucket, since))
                if not watches:
                    self._streamed.add(bucket)
        self._changed_ns, self._looked_ns = changed_ns, now

    def _remove_if_dead(self, name: str) -> bool:
        """Whether a file was of a process that was killed."""
        with suppress(OSError), open(f"/proc/self/fd/{self._fd}/{name}", "r+b") as file:
            if kernel.try_lock(file.fileno(), 0, 0):
                os.unlink(name, dir_fd=self._fd)
                return True
        return False

    def add(self, bucket: str, *, watches: bool = False) -> None:
        """Want to hear of a bucket from now on.

        :param watches: to tell apart what others do there, and for no stream.
        """
        if (bucket, watches) in self._own:
            return
        name = secrets.token_hex(8).encode()
        # Under another name until it is locked: before, it would be taken for that of a dead process.
        path, hidden = (os.path.join(self._directory, each) for each in (name, b"." + name))
        fd = self._internals.open_lock(hidden)
        try:
            kernel.try_lock(fd, 0, 0)
            os.write(fd, json.dumps([bucket, time.time_ns(), watches]).encode("ascii"))
            os.rename(hidden, path)
        except BaseException:
            os.close(fd)
            raise
        self._own[bucket, watches] = (path, fd)

    def remove(self, bucket: str, *, watches: bool = False) -> None:
        """Want to hear no more of a bucket."""
        path, fd = self._own.pop((bucket, watches))
        with suppress(FileNotFoundError):
            os.unlink(path)
        os.close(fd)
