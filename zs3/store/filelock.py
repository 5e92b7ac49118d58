"""A lock that one process at a time has, whatever host it is on: the whole of a file in ``.zs3``.

Blocking code that never waits.  It ends with the process; what it is about is the
affair of who makes it.
"""

from __future__ import annotations

import os

from zs3.store import kernel
from zs3.store.internals import Internals


class FileLock:
    """The lock.

    :param path: of its file, which is made where it is missing.
    """

    def __init__(self, internals: Internals, path: bytes) -> None:
        self._internals, self._lock = internals, path
        self._held = -1

    def is_free(self) -> bool:
        """Whether nobody has it, found out so that those who wait for its file to be closed are not told of it."""
        try:
            fd = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return True
        try:
            return kernel.is_unlocked(fd)
        finally:
            os.close(fd)

    def acquire(self) -> bool:
        """Take it, without waiting; False if another has it.

        :raises OSError: this user may not write there.
        """
        fd = self._internals.open_lock(self._lock)
        if not kernel.try_lock(fd, 0, 0):
            os.close(fd)
            return False
        self._held = fd
        return True

    def release(self) -> None:
        """Give it back."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
