"""What this process takes of the machine's memory: the settings of glibc's allocator, and memory that is given back.

What a request takes for a moment, of some 100 KiB, lies in the heap between what is kept for long, so that the heap
grows although hardly more of it is in use at any time.  By itself glibc gives back only what is free at its end.

Source: mallopt(3), malloc_trim(3).  Other C libraries have neither, and are left alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from zs3.store.readers import Hop
from zs3.web.accesslog import RequestLog

#: Seconds from an answer to the next time that memory is given back.
PAUSE_S = 15.0

# In malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
#: Bytes that are mapped alone, or free at the end of the heap, before the kernel is asked for them and given them back
#: each time.  glibc begins with 128 KiB, so that every large piece of a body is made of pages that the kernel has
#: cleared just for it.
_LARGE = 4 << 20
#: More than one heap is for threads that allocate at the same time; those of Python do not.
_SETTINGS = {_M_TRIM_THRESHOLD: _LARGE, _M_MMAP_THRESHOLD: _LARGE, _M_ARENA_MAX: 1}

_libc = ctypes.CDLL(None)


def tune(environment: Mapping[str, str]) -> None:
    """Set the allocator up for a process that serves, before it has threads; not where the administrator has."""
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is None or any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in environment):
        return
    for setting, value in _SETTINGS.items():
        mallopt(ctypes.c_int(setting), ctypes.c_int(value))


def give_back() -> None:
    """Give all pages that are free to the system.  Takes a few milliseconds, without the GIL."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


class MemoryService(Service):
    """Gives memory back as long as there is something to do; where there is nothing, nothing wakes.

    A `zs3.web.site.Recorder`.

    :param hop: runs a function in a thread.
    """

    def __init__(self, clock: IReactorTime, hop: Hop) -> None:
        self._clock, self._hop = clock, hop
        self._timer: IDelayedCall | None = None

    def record(self, log: RequestLog, **about: Any) -> None:  # noqa: ARG002 - as for the access log
        """A request is over."""
        if self._timer is None and self.running:
            self._timer = self._clock.callLater(PAUSE_S, self._give_back)

    def _give_back(self) -> None:
        self._timer = None
        self._hop(give_back)

    def stopService(self) -> None:
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
