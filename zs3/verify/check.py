"""Checking one file: read it, compare it with its record, and be sure before saying that something is wrong.

Blocking; takes no lock and writes nothing.  Whoever changes the file meanwhile,
or its record, gives it another state (size, times of modification and of
change): then it is looked at again from the beginning.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from zs3.store import paths
from zs3.store.memo import state
from zs3.store.metadata import Record
from zs3.store.records import Records, State
from zs3.store.values import Digests
from zs3.verify.evidence import Evidence, Hashing
from zs3.verify.findings import Verdict
from zs3.verify.reading import Reader

_TRIES = 5
#: How long a file must have been as it is before it is adopted, in nanoseconds: a change of it that comes later gets
#: another time, however coarse times are.
YOUNG_NS = 2_000_000_000

#: Opens a file anew, by its name: gives a descriptor and what fstat says, or None if there is none any more.
Opener = Callable[[], tuple[int, os.stat_result] | None]


class Checked(NamedTuple):
    """What a file was found to be.

    :ivar status: what it was before it was read; None if that is not known.
    :ivar digests: of its content, if it may be adopted.
    :ivar version: what its version id is, from its record or its state.
    """

    verdict: Verdict
    status: os.stat_result | None = None
    evidence: Evidence = Evidence()
    reason: str = ""
    locked: bool = False
    digests: Digests | None = None
    version: str = ""


class _Look(NamedTuple):
    """What was seen in one reading; `settled` is whether nothing changed meanwhile."""

    checked: Checked
    settled: bool


class Checker:
    """Checks files.

    :param adopting: whether the digests of files from outside are wanted.
    """

    def __init__(self, reader: Reader, *, adopting: bool = False) -> None:
        self._reader, self._adopting = reader, adopting

    def check(self, opener: Opener, kept: Records, key: str, *, part: bool = False) -> Checked | None:
        """Check a file; None if it is not there any more.

        :param key: what its record is bound to.
        :param part: it is a part of an upload.
        :raises Stopped: it is to end.
        """
        status = None
        try:
            for _ in range(_TRIES):
                found = opener()
                if found is None:
                    return None
                fd, status = found
                with paths.opened(fd):
                    checked, settled = self._look(fd, kept, key, part=part)
                if checked.verdict is Verdict.OK:
                    return checked
                if settled and (sure := self._confirm(checked, opener, kept, key, part=part)) is not None:
                    return sure
        except OSError as error:
            return Checked(Verdict.UNREADABLE, status, reason=_tell(error))
        return Checked(Verdict.CHANGING, status)

    def _look(self, fd: int, kept: Records, key: str, *, part: bool) -> _Look:
        """Read a file."""
        status = os.fstat(fd)
        found, record = kept.look(fd, status, key)
        may_adopt = self._adopting and not part and _is_from_outside(found, record)
        if may_adopt:
            # What is mapped into the memory of a program that writes to it is written protected by this, so that what
            # it writes from now on shows in the times.  And the content is on the disk before its MD5 is.
            os.fdatasync(fd)
            status = os.fstat(fd)
            found, record = kept.look(fd, status, key)
        if found is State.YOUNG:
            return _Look(Checked(Verdict.CHANGING, status), False)
        may_adopt = may_adopt and _is_from_outside(found, record) and not _is_young(status)
        hashing = Hashing(record, part=part, adopting=may_adopt)
        size = 0
        for data in self._reader.read(fd, status.st_size):
            hashing.feed(data)
            size += len(data)
        after = os.fstat(fd)
        settled = state(after) == state(status)
        if size != status.st_size or (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            return _Look(Checked(Verdict.CHANGING, status), False)
        evidence = hashing.evidence()
        verdict, reason = _judge(found, evidence)
        locked = False
        if verdict is Verdict.EDITED:
            lock = kept.lock(fd, status, key)
            locked = lock is not None and lock.protects(time.time_ns(), bypass=False)
        digests = hashing.digests() if may_adopt else None
        version = kept.info(fd, status, key).version if may_adopt else ""
        return _Look(Checked(verdict, status, evidence, reason, locked, digests, version), settled)

    def _confirm(self, checked: Checked, opener: Opener, kept: Records, key: str, *, part: bool) -> Checked | None:
        """What is not simply right is looked for once more, by its name: it may have been replaced before its record
        was read, or the times that a network mount told may have been old.

        :returns: None if it is to be looked at again.
        """
        found = opener()
        if found is None or checked.status is None:
            return None
        fd, status = found
        with paths.opened(fd):
            if state(status) != state(checked.status):
                return None
            if checked.verdict is not Verdict.DAMAGED:
                return checked
            again, settled = self._look(fd, kept, key, part=part)
        if not settled:
            return None
        if (again.verdict, again.evidence) != (checked.verdict, checked.evidence):
            return checked._replace(verdict=Verdict.UNREADABLE, reason="read twice, and not the same both times")
        return checked


def _is_from_outside(found: State, record: Record | None) -> bool:
    if record is not None:
        return record.is_derived
    return found in (State.NONE, State.VOID)


def _is_young(status: os.stat_result) -> bool:
    """Whether a change might leave a file looking as it does.

    Who sets the modification time, be it far ahead, sets the change time to now; where there is none, as on FAT, the
    other is all there is.
    """
    now = time.time_ns()
    return now - status.st_ctime_ns < YOUNG_NS or 0 <= now - status.st_mtime_ns < YOUNG_NS


def _judge(found: State, evidence: Evidence) -> tuple[Verdict, str]:
    if found is State.NONE:
        return Verdict.FOREIGN, ""
    if found is State.VOID:
        return Verdict.EDITED, ""
    if found is State.LOST:
        return Verdict.LOST, "what was recorded of it is gone or cannot be read"
    if evidence.differs:
        return Verdict.DAMAGED, ""
    if found is State.VALID_IN_PART:
        return Verdict.LOST, "the checksums of its parts are gone"
    return (Verdict.OK if evidence.agrees else Verdict.UNVERIFIABLE), ""


def _tell(error: OSError) -> str:
    return " ".join([error.strerror or str(error), *getattr(error, "__notes__", ())])
