"""What was asked of the store and when it was answered, and what may be seen of that after a cut.  Pure.

All that can be seen is a set of registers: an object, a version, a part, an upload, a bucket.  An operation writes some
of them.  When it was sent and answered is known twice: as a position in the log of the device, which tells whether it
must be or cannot be on the disk, and by the clock, which tells what came after what.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

NEVER = 1 << 62


class Content(NamedTuple):
    """An object as clients see it.

    :ivar digest: of its bytes.
    """

    digest: str
    etag: str
    metadata: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


#: What a register has: of a version also that it is a delete marker, of a part its ETag, else that it is there or not.
Value = Content | str | None
THERE, MARKER = "there", "delete marker"


class Register(NamedTuple):
    """:ivar kind: ``object``, ``version``, ``upload``, ``part`` or ``bucket``."""

    kind: str
    bucket: str
    key: str = ""
    id: str = ""
    number: int = 0


class Moment(NamedTuple):
    """:ivar position: how many records the log had.
    :ivar clock: by the monotonic clock.
    """

    position: int
    clock: int


_BEGINNING = Moment(-1, -1)
_END = Moment(NEVER, NEVER)


@dataclass(frozen=True, slots=True)
class Write:
    """What an operation made of a register."""

    value: Value
    sent: Moment
    answered: Moment


class Wrong(NamedTuple):
    """Something that no cut may leave.

    :ivar kind: ``lost``, ``torn`` or ``ghost``.
    """

    kind: str
    register: Register
    found: Value
    allowed: tuple[Value, ...]


class Ledger:
    """All that was written.  Threads may share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.writes: dict[Register, list[Write]] = {}
        #: When operations were answered.
        self.answers: list[int] = []
        #: Of each upload what was to become of its object.
        self._completed: dict[Register, tuple[Register, Write]] = {}

    def enter(self, changes: Mapping[Register, Value], sent: Moment, answered: Moment = _END) -> None:
        """Enter an operation; of one that was never answered nobody knows whether it took place."""
        with self._lock:
            for register, value in changes.items():
                self.writes.setdefault(register, []).append(Write(value, sent, answered))
                if register.kind == "upload" and value is None:
                    target = Register("object", register.bucket, register.key)
                    if target in changes:
                        self._completed[register] = target, Write(changes[target], sent, answered)
            if answered is not _END:
                self.answers.append(answered.position)

    def allowed(self, register: Register, position: int) -> list[Value]:
        """What may be seen of a register when the power failed at a position."""
        writes = [Write(None, _BEGINNING, _BEGINNING), *self.writes.get(register, ())]
        there = [each.sent.clock for each in writes if each.answered.position <= position]
        # What was answered before another was sent that was answered, too, has been replaced.
        last = max(there)
        # What changed nothing on the disk may be sent and answered at one position.
        return [
            each.value
            for each in writes
            if (each.sent.position < position or each.answered.position <= position) and each.answered.clock >= last
        ]

    def check(self, seen: Mapping[Register, Value], position: int) -> Iterator[Wrong]:
        """What is wrong with what is seen after a cut, of each key the youngest version first."""
        for register in {**seen, **self.writes}:
            found = seen.get(register)
            allowed = self.allowed(register, position)
            # Of an upload that is gone no parts are to be seen.
            if found in allowed or (register.kind == "part" and found is None and not _upload(seen, register)):
                continue
            yield Wrong(self._kind(register, found, allowed), register, found, tuple(allowed))
        yield from self._half_completed(seen, position)
        yield from self._misplaced(seen)

    def _half_completed(self, seen: Mapping[Register, Value], position: int) -> Iterator[Wrong]:
        """A completion that is under way takes the upload away only once its object is there."""
        for upload, (target, write) in self._completed.items():
            began = any(each.value and each.answered.position <= position for each in self.writes[upload])
            if began and write.answered.position > position and upload not in seen and seen.get(target) != write.value:
                yield Wrong("lost", target, seen.get(target), (write.value,))

    def _misplaced(self, seen: Mapping[Register, Value]) -> Iterator[Wrong]:
        """The versions of a key that were seen, the first one current, are in the order in which they were made."""
        versions: dict[tuple[str, str], list[Register]] = {}
        for register in seen:
            if register.kind == "version":
                versions.setdefault((register.bucket, register.key), []).append(register)
        for (bucket, key), of_key in versions.items():
            target = Register("object", bucket, key)
            current = seen[of_key[0]]
            if seen.get(target) != (None if current == MARKER else current):
                yield Wrong("torn", target, seen.get(target), (current,))
            made = [self.writes[each][0] for each in of_key if each in self.writes]
            for index, younger in enumerate(made):
                if any(younger.answered.clock < older.sent.clock for older in made[index + 1 :]):
                    yield Wrong("lost", target, younger.value, ())

    def _kind(self, register: Register, found: Value, allowed: Iterable[Value]) -> str:
        known = [each.value for each in self.writes.get(register, ())]
        if found is None or (found in known and any(each is not None for each in allowed)):
            return "lost"
        if found in known or not known:
            return "ghost"
        return "torn"


def _upload(seen: Mapping[Register, Value], part: Register) -> bool:
    return Register("upload", part.bucket, part.key, part.id) in seen
