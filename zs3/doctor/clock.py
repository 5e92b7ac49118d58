"""Whether the clock is right: signatures are valid for fifteen minutes, and caches trust the file system's times.

Blocking.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator

from zs3.doctor.findings import Finding, note, ok, problem, warning
from zs3.doctor.scratch import Scratch

#: No release of Twisted that this needs is older.
_PAST = 1_790_000_000
_SKEW_S = 2.0
_SYNCHRONISE = "timedatectl set-ntp true, or install chrony"
# adjtimex(2): the status bit of a clock that nobody keeps right, and what the call gives then.
_UNSYNCHRONISED, _ERROR = 0x40, 5


class _Timex(ctypes.Structure):
    """The beginning of struct timex, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def synchronised() -> bool | None:
    """Whether the kernel has been told that the clock is kept right; None if it does not say."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except AttributeError:
        return None
    if state < 0:
        return None
    return state != _ERROR and not timex.status & _UNSYNCHRONISED


def examine() -> Iterator[Finding]:
    """The clock of this machine."""
    now = time.time()
    told = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < _PAST:
        fact = f"it is {told} here: before this program was made"
        yield problem("clock.time", fact, f"set the clock: {_SYNCHRONISE}", time=now)
    else:
        yield ok("clock.time", f"it is {told}", time=now)
    state = synchronised()
    if state:
        yield ok("clock.synchronised", "the clock is kept right", synchronised=True)
        return
    fact = (
        "nobody says that the clock is kept right"
        if state is None
        else "the clock is not synchronised, says the kernel"
    )
    advice = f"{_SYNCHRONISE}; requests of clients whose clock differs by 15 minutes are refused"
    yield note("clock.synchronised", fact, advice, synchronised=state)


def of_filesystem(scratch: Scratch) -> Finding:
    """How far the clock that stamps files is from that of this machine."""
    check = "clock.filesystem"
    before = time.time()
    with scratch.file(b"clock", b"x") as fd:
        stamped, after = os.fstat(fd).st_mtime, time.time()
    skew = stamped - before if stamped < before else max(0.0, stamped - after)
    fact = f"the file system's clock is {abs(skew):.3f} s {'behind' if skew < 0 else 'ahead'}"
    if abs(skew) <= _SKEW_S:
        return ok(check, fact, skew_s=round(skew, 3))
    advice = f"synchronise the clocks of this host and of the file server: {_SYNCHRONISE}"
    return warning(check, f"{fact}: listings are not remembered, or too long", advice, skew_s=round(skew, 3))
