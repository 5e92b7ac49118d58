"""How long it takes until the disk says that something is on it.

Blocking, for a few seconds at most.
"""

from __future__ import annotations

import errno
import os
import statistics
import time
from collections.abc import Callable

from zs3.doctor.filesystem import Probe
from zs3.doctor.findings import Finding, note, ok, warning
from zs3.doctor.scratch import Scratch
from zs3.store import kernel

_TRIES = 25
_LONGEST_S = 3.0
#: No disk is so fast, not even one with a battery: the call does nothing.
_NOTHING_S = 5e-6
_SLOW_S, _VERY_SLOW_S = 0.02, 0.1


def of_files(scratch: Scratch) -> Finding:
    """fsync of files of 4 KiB."""
    number = iter(range(_TRIES))

    def once() -> float:
        with scratch.file(b"file%d" % next(number), os.urandom(4096)) as fd:
            return _fsync(fd)

    return _judge("filesystem.fsync", "of a file", _measured(once), scratch)


def of_directories(scratch: Scratch) -> Finding:
    """fsync of a directory with a new name in it."""
    number = iter(range(_TRIES))

    def once() -> float:
        # Not synced itself: that writes the name, too, where there is a journal.
        with scratch.file(b"name%d" % next(number)):
            return _fsync(scratch.fd)

    check = "filesystem.fsync-directory"
    try:
        return _judge(check, "of a directory", _measured(once), scratch)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        return warning(
            check,
            "directories cannot be synced: names may be lost in a power failure",
            "use a local file system where answered writes must survive one",
            works=False,
        )


def _fsync(fd: int) -> float:
    began = time.perf_counter()
    os.fsync(fd)
    return time.perf_counter() - began


def _measured(once: Callable[[], float]) -> list[float]:
    deadline = time.monotonic() + _LONGEST_S
    took = [once()]
    while len(took) < _TRIES and time.monotonic() < deadline:
        took.append(once())
    return took


def _judge(check: str, what: str, took: list[float], scratch: Scratch) -> Finding:
    median, longest = statistics.median(took), max(took)
    fact = f"an fsync {what} takes {_ms(median)}, at most {_ms(longest)} ({len(took)} tried)"
    values = {"median_s": round(median, 6), "max_s": round(longest, 6), "tries": len(took)}
    if median < _NOTHING_S:
        if kernel.filesystem_type(scratch.fd) == kernel.TMPFS:
            return ok(check, fact, **values)
        return warning(
            check,
            f"{fact}: that is no disk, and a power failure may take what was answered",
            "use no libeatmydata, no volume with unsafe caching, and no container layer for data that matters",
            **values,
        )
    advice = (
        "an SSD, or for ext4 a journal on one; for data that can be had again --sync off. Many small writes at once "
        "are slowed less than one after the other"
    )
    if median >= _VERY_SLOW_S:
        return warning(check, f"{fact}: each small write takes several of them", advice, **values)
    if median >= _SLOW_S:
        return note(check, f"{fact}: each small write takes several of them", advice, **values)
    return ok(check, fact, **values)


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.2g} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


#: All probes here.
PROBES: tuple[tuple[str, Probe], ...] = (
    ("filesystem.fsync", of_files),
    ("filesystem.fsync-directory", of_directories),
)
