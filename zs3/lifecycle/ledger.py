"""How far the lifecycle pass over a data directory has come, and who makes it: files in its ``.zs3``.

Blocking.  There is one pass at a time over a directory, however many processes
and hosts serve it: who makes it holds a lock, which ends with the process.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from zs3.store import layout
from zs3.store.durability import Durability
from zs3.store.filelock import FileLock
from zs3.store.internals import Internals


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass has come.

    :ivar number: of the pass: it is made because such a day began.
    :ivar bucket: what is done are the buckets before this one...
    :ivar key: ...and of this one the versions of keys up to this.
    :ivar done: whether it is over.
    :ivar buckets: once it is, how many buckets had rules.
    """

    number: int
    bucket: str = ""
    key: str = ""
    done: bool = False
    buckets: int = 0


class Ledger(FileLock):
    """The files, and the lock.

    :param data: the data directory, in which the store has started once.
    """

    def __init__(self, data: str) -> None:
        # What a power failure takes from these files is looked at once more, and that is all.
        internals = Internals(os.fsencode(data), Durability(enabled=False, report=lambda _: None))
        directory = os.path.join(os.fsencode(data), layout.INTERNAL)
        super().__init__(internals, os.path.join(directory, b"lifecycle.lock"))
        self._progress = os.path.join(directory, b"lifecycle.json")

    def read(self) -> Progress | None:
        """How far the last pass has come; None if that is not known."""
        try:
            with open(self._progress, "rb") as file:
                return Progress(**json.load(file))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, progress: Progress) -> None:
        """Note how far it has come; the caller holds the lock."""
        self._internals.write_file(self._progress, json.dumps(asdict(progress)).encode("ascii"), alone=True)
