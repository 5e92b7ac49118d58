"""Other programs, which know nothing of zs3, make, replace, change, move and remove files."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

from hypothesis.stateful import precondition, rule

from tests.e2e.machine.base import Base, keys, picks, sides, sizes
from tests.versionmodel import NULL, History, Version
from zs3.store import layout


def _now() -> int:
    """The kernel's clock is that of zs3, but goes in steps; and a time may not look rounded."""
    return time.time_ns() // 1000 * 1000 + 1


class Others(Base):
    @property
    def new(self) -> Path:
        return self.two.data.parent / "new"

    def paths(self, key: str) -> list[Path]:
        """The natural path of an object, and the one beside it."""
        path = layout.encode(key)
        ways = ((*path.parent, path.name), (*path.parent, *path.beside))
        return [self.two.data / self.bucket / os.fsdecode(b"/".join(way)) for way in ways]

    def file_of(self, key: str) -> Path | None:
        return next((path for path in self.paths(key) if path.is_file()), None)

    def put_by_others(self, key: str, file: Path) -> bool:
        """Move a file to where the object is, or should be; False where it cannot be."""
        natural, beside = self.paths(key)
        path = self.file_of(key) or (beside if natural.is_dir() else natural)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            # An object is in the way, and others do not know how to make it give way.
            return False
        file.replace(path)
        self.changed("put", key)
        return True

    def changed(self, what: str, key: str) -> None:
        self.trace.append(("others", what, key))
        self.two.done["changes by others"] += 1

    def found_by_others(self, key: str, data: bytes, turn: int, side: int) -> None:
        """Learn of a file that others made what only zs3 knows, and that it is another version."""
        answer = self.ok(self.ask(side, "HEAD", key))
        etag = answer.headers["ETag"].strip('"')
        version = self.rows_of(side, key)[0].id
        told = self.histories[key].told()
        assert etag not in {each.etag for each in told}
        assert not self.state or version not in {each.id for each in told}
        headers = (("content-type", answer.headers["Content-Type"]),)
        new = Version(version, turn, data, etag, plain=True, headers=headers)
        self.set(key, self.histories[key].replaced_by_others(new), side)

    @rule(number=keys, size=sizes, side=sides)
    def replace_by_rename(self, number: int, size: int, side: int) -> None:
        key, turn = self.key(number), self.turn()
        data = self.body(size)
        self.new.write_bytes(data)
        now = _now()
        os.utime(self.new, ns=(now, now))
        if self.put_by_others(key, self.new):
            self.found_by_others(key, data, turn, side)

    @rule(number=keys, side=sides)
    def change_in_place(self, number: int, side: int) -> None:
        """As an editor does that does not rename."""
        key = self.key(number)
        path, current = self.file_of(key), self.histories[key].current
        if path is None or current is None:
            return
        turn = self.turn()
        with path.open("ab") as file:
            file.write(b", changed")
        now = _now()
        os.utime(path, ns=(now, now))
        self.changed("in place", key)
        self.found_by_others(key, current.data + b", changed", turn, side)

    @rule(number=keys, side=sides)
    def remove_by_hand(self, number: int, side: int) -> None:
        key = self.key(number)
        path = self.file_of(key)
        if path is not None:
            path.unlink()
            self.changed("removed", key)
        self.set(key, self.histories[key].removed_by_others(), side)

    @precondition(lambda self: not self.state)
    @rule(number=keys, to=keys, side=sides)
    def move_by_hand(self, number: int, to: int, side: int) -> None:
        """As ``mv`` does it, in a bucket without versions: what is kept with an object goes with it."""
        source, key = self.likely_key(number), self.key(to)
        path, current = self.file_of(source), self.histories[source].current
        if path is None or current is None or source == key:
            return
        if not self.put_by_others(key, path):
            return
        if current.plain:
            # Its type is guessed from its name.
            told = self.ok(self.ask(side, "HEAD", key)).headers["Content-Type"]
            current = replace(current, headers=(("content-type", told),))
        self.set_all({source: History(), key: History(current)}, side)

    @precondition(lambda self: self.state)
    @rule(number=keys, pick=picks, side=sides)
    def put_back_by_hand(self, number: int, pick: int, side: int) -> None:
        """As ``cp -a`` does it; of a file that others made a copy is another."""
        key = self.key(number)
        older = [each for each in self.histories[key].older if not each.marker and not each.plain]
        if not older:
            return
        version = older[pick % len(older)]
        where = self.two.data / ".zs3" / "versions" / self.bucket / os.fsdecode(b"/".join(layout.encode_history(key)))
        [kept] = where.glob(f"*_{version.id}") if version.id != NULL else where.glob(NULL)
        shutil.copy2(kept, self.new)
        if self.put_by_others(key, self.new):
            self.set(key, self.histories[key].replaced_by_others(version), side)
