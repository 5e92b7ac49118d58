"""Reading files from the disk without harm to others: at a limited rate, and leaving the page cache as it was.

Blocking.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from zs3.store import kernel

#: Bytes that are read at a time.
CHUNK = 4 << 20
#: Seconds that are too few to sleep for.
_SHORT_S = 0.01
#: Seconds after which whoever sleeps looks whether to stop.
_SLICE_S = 0.2


class Stopped(Exception):
    """The run was asked to end."""


class Throttle:
    """Waits, so that on average no more than so many bytes pass in a second.

    :param rate: bytes per second; None for as fast as it goes.
    :param is_stopped: whether to end.
    """

    def __init__(
        self,
        rate: float | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._is_stopped, self._now, self._sleep = rate, is_stopped, now, sleep
        self._due = 0.0

    def check(self) -> None:
        """:raises Stopped: it is to end."""
        if self._is_stopped():
            raise Stopped

    def spend(self, size: int) -> None:
        """Take note of bytes that passed, and wait if they were too many.

        :raises Stopped: it is to end.
        """
        self.check()
        if self._rate is not None:
            # What was not used before is not saved up.
            self._due = max(self._due, self._now()) + size / self._rate
            self.pause(self._due - self._now())

    def pause(self, seconds: float) -> None:
        """Wait, if it is worth it."""
        until = self._now() + seconds
        if seconds >= _SHORT_S:
            while (rest := until - self._now()) > 0:
                self._sleep(min(rest, _SLICE_S))
                self.check()


class Reader:
    """Reads whole files.

    What the page cache has of a file is read from the disk again, as it would hide what became of that, and stays in
    the cache; what it did not have goes from there when it was read.  The next bytes are on their way while these are
    looked at.
    """

    def __init__(self, throttle: Throttle, progressed: Callable[[int], None] = lambda _: None) -> None:
        """:param progressed: told how many bytes were read."""
        self._throttle, self._progressed = throttle, progressed
        self._buffer = memoryview(bytearray(CHUNK))

    def read(self, fd: int, size: int) -> Iterator[memoryview]:
        """The bytes of an open file, piece by piece; each is good until the next is asked for.

        There are fewer only if the file has become shorter.

        :raises OSError: with a note of where.
        :raises Stopped: it is to end.
        """
        # No reading ahead but what is asked for: else it could not be told what was in memory before.
        _advise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        offset = 0
        cached = _fetch(fd, 0, size)
        while offset < size:
            length = min(CHUNK, size - offset)
            following = _fetch(fd, offset + length, size)
            try:
                done = os.preadv(fd, (self._buffer[:length],), offset)
            except OSError as error:
                error.add_note(f"at byte {offset}")
                raise
            if not done:
                return
            yield self._buffer[:done]
            if not cached:
                _advise(fd, offset, length, os.POSIX_FADV_DONTNEED)
            if done < length:
                # Rare: then what follows begins elsewhere.
                following = _fetch(fd, offset + done, size)
            offset, cached = offset + done, following
            self._progressed(done)
            self._throttle.spend(done)


def _fetch(fd: int, offset: int, size: int) -> bool:
    """Let the kernel read the next bytes of a file from the disk; whether it had all of them in memory."""
    length = min(CHUNK, size - offset)
    if length <= 0:
        return False
    cached = kernel.is_cached(fd, offset, length)
    _advise(fd, offset, length, os.POSIX_FADV_DONTNEED)
    _advise(fd, offset, length, os.POSIX_FADV_WILLNEED)
    return bool(cached)


def _advise(fd: int, offset: int, length: int, advice: int) -> None:
    # No more than that: a file system may not take it.
    with suppress(OSError):
        os.posix_fadvise(fd, offset, length, advice)
