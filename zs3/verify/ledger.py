"""How far verifying has come, and who is at it: two files in the ``.zs3`` of a data directory.

Blocking.  Of two that verify a directory, the one that has the lock is the only
one; it ends with the process.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from zs3.store import layout
from zs3.store.durability import Durability
from zs3.store.filelock import FileLock
from zs3.store.internals import Internals
from zs3.verify.findings import Finding, Tally

#: Runs over a part of the directory that were not ended; of more the oldest is forgotten.
_RUNS = 8


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run is about: only the same is gone on with.

    :ivar buckets: their names; empty for all.
    :ivar prefix: only keys that begin with it.
    :ivar adopting: whether files from outside are given their MD5.
    """

    buckets: tuple[str, ...] = ()
    prefix: str = ""
    adopting: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """How far a run has come.

    :ivar bucket: those before this one are done...
    :ivar key: ...and of this one the keys up to this...
    :ivar objects: ...or all keys...
    :ivar upload: ...and the uploads up to this.
    """

    bucket: str = ""
    key: str = ""
    objects: bool = False
    upload: str = ""


@dataclass(slots=True)
class Progress:
    """A run that was not ended.

    :ivar seconds: how long it took so far.
    """

    position: Position = field(default_factory=Position)
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0


class Ledger(FileLock):
    """The files, and the lock.

    :param data: the data directory, which a daemon has served once.
    """

    def __init__(self, data: bytes) -> None:
        # What a power failure takes from these files is verified once more, and that is all.
        internals = Internals(data, Durability(enabled=False, report=lambda _: None))
        directory = os.path.join(data, layout.INTERNAL)
        super().__init__(internals, os.path.join(directory, b"verify.lock"))
        self._progress = os.path.join(directory, b"verify.json")

    def read(self, selection: Selection) -> Progress | None:
        """How far the last run has come, if it was not ended."""
        return next((progress for each, progress in self._read() if each == selection), None)

    def write(self, selection: Selection, progress: Progress | None) -> None:
        """Note how far it has come, or that it was ended; the caller holds the lock."""
        runs = [(each, known) for each, known in self._read() if each != selection]
        if progress is not None:
            runs.append((selection, progress))
        if runs:
            text = json.dumps([_pack(*each) for each in runs[-_RUNS:]])
            self._internals.write_file(self._progress, text.encode("ascii"), alone=True)
        else:
            with suppress(FileNotFoundError):
                os.unlink(self._progress)

    def _read(self) -> list[tuple[Selection, Progress]]:
        try:
            with open(self._progress, "rb") as file:
                return [_unpack(each) for each in json.load(file)]
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return []


def _pack(selection: Selection, progress: Progress) -> dict[str, Any]:
    return {
        "selection": asdict(selection),
        "position": asdict(progress.position),
        "tally": progress.tally.as_json(),
        "findings": [each.as_json() for each in progress.tally.kept],
        "seconds": progress.seconds,
    }


def _unpack(values: dict[str, Any]) -> tuple[Selection, Progress]:
    selection = Selection(**values["selection"])
    kept = [Finding.from_json(each) for each in values["findings"]]
    return (
        Selection(tuple(selection.buckets), selection.prefix, selection.adopting),
        Progress(Position(**values["position"]), Tally.from_json(values["tally"], kept), float(values["seconds"])),
    )
