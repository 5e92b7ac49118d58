"""What a power cut may leave of a directory, by a model: every change that no fsync followed may be lost.

A `Recorder` watches a store work on real files.  After each call that changes
something it looks at the whole tree, so it need not know what the call does.
A state of the disk after a cut takes, for each file and directory by itself,
what the last fsync of it saw or anything that came later, so an order between
two of them holds only where an fsync made it:

* a file may also have its length, time and attributes, but zeros for its bytes
  (seen on ext4), or its bytes without its attributes;
* a rename from one directory to another is in both or in neither, as all
  journals keep it.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from zs3.store import kernel

#: What changes files or directories, as the store calls it.
_CHANGING = (
    *("open", "write", "pwrite", "writev", "pwritev", "copy_file_range", "sendfile", "truncate", "ftruncate"),
    *("rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "setxattr", "removexattr", "utime"),
)
_SYNCING = ("fsync", "fdatasync")
_MADE = os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class File:
    """What a file has: bytes and what stands in its inode."""

    data: bytes
    attributes: tuple[tuple[str, bytes], ...]
    mtime_ns: int


@dataclass(frozen=True)
class Directory:
    """What a directory has: the inode numbers behind its names, and attributes."""

    entries: tuple[tuple[str, int], ...]
    attributes: tuple[tuple[str, bytes], ...]
    mode: int


State = File | Directory
#: What each inode number stands for after a cut.
Disk = Mapping[int, State]


@dataclass(frozen=True)
class Moment:
    """A time at which the power may fail.

    :ivar step: counts the changes.
    :ivar floors: of each inode, the step of the version that the last fsync saw.
    :ivar allowed: what may be found then.
    """

    step: int
    floors: Mapping[int, int]
    allowed: list[Any]


class Recorder:
    """Watches the changes below a directory while it is entered; what was there before is durable.

    :param skip: told the number and status of each fsync, from 0 on: whether it is to be left out.
    """

    def __init__(self, root: Path, skip: Callable[[int, os.stat_result], bool] = lambda *_: False) -> None:
        self.root = root
        self.skip = skip
        self.moments: list[Moment] = []
        self.syncs = 0
        self._allowed: list[Any] = []
        self._step = 0
        self._versions: dict[int, list[tuple[int, State]]] = {}
        self._floors: dict[int, int] = {}
        # (step, from, to) of each rename from one directory to another
        self._moves: list[tuple[int, int, int]] = []
        # An inode number must not be used again while it is watched.
        self._pins: dict[int, int] = {}
        self._patch = pytest.MonkeyPatch()
        self._real = {name: getattr(os, name) for name in (*_CHANGING, *_SYNCING)}
        self._top = os.stat(root).st_ino

    def __enter__(self) -> Recorder:
        self._observe()
        self._floors = dict.fromkeys(self._versions, 0)
        for name in _CHANGING:
            self._patch.setattr(os, name, self._after(self._real[name], only_made=name == "open"))
        for name in _SYNCING:
            self._patch.setattr(os, name, self._sync)
        self._patch.setattr(kernel, "rename_new", self._after(kernel.rename_new))
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        for fd in self._pins.values():
            os.close(fd)
        self._pins.clear()

    def may_be(self, allowed: list[Any]) -> None:
        """From now on one of these must be found after a cut; the list may be filled later."""
        self._allowed = allowed
        self._mark()

    def _after(self, real: Callable[..., Any], *, only_made: bool = False) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            if not only_made or args[1] & _MADE:
                self._step += 1
                self._observe()
                self._mark()
            return result

        return call

    def _sync(self, fd: int) -> None:
        status = os.fstat(fd)
        number, self.syncs = self.syncs, self.syncs + 1
        if self.skip(number, status):
            return
        self._step += 1
        # What was changed without a call that is watched, as by a buffered file, is seen here.
        self._observe()
        if status.st_ino in self._versions:
            self._floors[status.st_ino] = self._versions[status.st_ino][-1][0]
        self._mark()

    def _mark(self) -> None:
        self.moments.append(Moment(self._step, dict(self._floors), self._allowed))

    def _observe(self) -> None:
        before = {inode: versions[-1][1] for inode, versions in self._versions.items()}
        seen: dict[int, State] = {}
        self._look(self._real["open"](self.root, os.O_PATH), seen)
        gone, come = {}, {}
        for inode, state in seen.items():
            old = before.get(inode)
            if state == old:
                continue
            self._versions.setdefault(inode, []).append((self._step, state))
            # What nobody has synced may be as if it had never been: an empty file or directory.
            self._floors.setdefault(inode, -1)
            if isinstance(state, Directory):
                had = {entry[1] for entry in old.entries} if isinstance(old, Directory) else set()
                has = {entry[1] for entry in state.entries}
                gone |= dict.fromkeys(had - has, inode)
                come |= dict.fromkeys(has - had, inode)
        self._moves += [(self._step, gone[moved], come[moved]) for moved in gone.keys() & come.keys()]

    def _look(self, fd: int, seen: dict[int, State]) -> None:
        """Take the state of what is open by path only, and of all below it; keeps or closes `fd`."""
        status = os.fstat(fd)
        path = f"/proc/self/fd/{fd}"
        attributes = tuple(sorted((name, os.getxattr(path, name)) for name in os.listxattr(path)))
        if stat.S_ISDIR(status.st_mode):
            entries = {}
            for entry in os.scandir(path):
                if entry.is_symlink():
                    # For people alone: as if it was always lost.
                    continue
                entries[entry.name] = entry.inode()
                if entry.inode() not in seen:
                    self._look(self._real["open"](entry.path, os.O_PATH | os.O_NOFOLLOW), seen)
            seen[status.st_ino] = Directory(tuple(sorted(entries.items())), attributes, stat.S_IMODE(status.st_mode))
        else:
            seen[status.st_ino] = File(Path(path).read_bytes(), attributes, status.st_mtime_ns)
        if status.st_ino in self._pins:
            os.close(fd)
        else:
            self._pins[status.st_ino] = fd

    # States of the disk

    def cuts(self, most: int, seed: int = 0) -> Iterator[tuple[Moment, Disk]]:
        """The states that power cuts may leave: no two alike of those of which the same is allowed.

        :param most: how many to choose at one moment, where there are more.
        """
        chance = random.Random(seed)
        seen = set()
        for moment in self.moments:
            for disk in self._disks(moment, most, chance):
                tree = _reachable(disk, self._top)
                if (seal := (tree, id(moment.allowed))) not in seen:
                    seen.add(seal)
                    yield moment, disk

    def _disks(self, moment: Moment, most: int, chance: random.Random) -> Iterator[Disk]:
        choices: dict[int, list[tuple[int, State]]] = {}
        for inode, versions in self._versions.items():
            floor = moment.floors.get(inode)
            if floor is not None and versions[0][0] <= moment.step:
                choices[inode] = list(_choices(versions, floor, moment.step))
        open_ = [inode for inode, states in choices.items() if len(states) > 1]
        for picked in _picks([len(choices[inode]) for inode in open_], most, chance):
            chosen = {inode: states[-1] for inode, states in choices.items()}
            chosen |= {inode: choices[inode][index] for inode, index in zip(open_, picked, strict=True)}
            self._keep_renames_whole(chosen, moment.step)
            yield {inode: state for inode, (_, state) in chosen.items()}

    def _keep_renames_whole(self, chosen: dict[int, tuple[int, State]], until: int) -> None:
        changed = True
        while changed:
            changed = False
            for step, *both in self._moves:
                if step <= until and min(chosen[each][0] for each in both) < step <= max(
                    chosen[each][0] for each in both
                ):
                    for late in both:
                        if chosen[late][0] < step:
                            chosen[late] = next(each for each in self._versions[late] if each[0] >= step)
                    changed = True

    def make(self, disk: Disk, path: Path) -> None:
        """Make a state of the disk real in a new directory, whose inode numbers are others."""
        made: dict[int, Path] = {}

        def build(inode: int, at: Path) -> None:
            state = disk[inode]
            if inode in made:
                os.link(made[inode], at)
                return
            made[inode] = at
            if isinstance(state, Directory):
                at.mkdir(mode=0o700)
                for name, below in state.entries:
                    build(below, at / name)
                at.chmod(state.mode)
            else:
                at.write_bytes(state.data)
            for name, value in state.attributes:
                os.setxattr(at, name, value)
            if isinstance(state, File):
                os.utime(at, ns=(state.mtime_ns, state.mtime_ns))

        build(self._top, path)
        for document in path.glob(".zs3/buckets/*/bucket"):
            with suppress(ValueError):
                _renumber(document, made)


def _choices(versions: list[tuple[int, State]], floor: int, until: int) -> Iterator[tuple[int, State]]:
    """What may be left of one file or directory, the newest last."""
    known = [version for version in versions if version[0] <= until]
    durable = [version for version in known if version[0] <= floor]
    first = durable[-1] if durable else (-1, _empty(known[0][1]))
    later = [version for version in known if version[0] > floor]
    yield first
    if not later:
        return
    step, newest = later[-1]
    if isinstance(newest, File) and isinstance(first[1], File):
        if newest.data != first[1].data:
            yield step, replace(newest, data=bytes(len(newest.data)))
        yield step, replace(newest, attributes=first[1].attributes)
    yield from later


def _empty(state: State) -> State:
    if isinstance(state, File):
        return File(b"", (), 0)
    return Directory((), (), state.mode)


def _picks(counts: list[int], most: int, chance: random.Random) -> Iterable[tuple[int, ...]]:
    """Choices of one of each: all, or where they are too many, those at the edges and some by chance."""
    total = 1
    for count in counts:
        total *= count
    if total <= most:
        return itertools.product(*map(range, counts))
    oldest, newest = (0,) * len(counts), tuple(count - 1 for count in counts)
    picks = [oldest, newest]
    # One file or directory that is behind, or ahead of, all others.
    for index, count in enumerate(counts):
        picks += [(*newest[:index], each, *newest[index + 1 :]) for each in range(count - 1)]
        picks.append((*oldest[:index], count - 1, *oldest[index + 1 :]))
    picks += [tuple(chance.randrange(count) for count in counts) for _ in range(most)]
    return dict.fromkeys(picks)


def _reachable(disk: Disk, inode: int) -> Any:
    state = disk[inode]
    if isinstance(state, Directory):
        return (state.attributes, *((name, below, _reachable(disk, below)) for name, below in state.entries))
    return state


def _renumber(document: Path, made: Mapping[int, Path]) -> None:
    """A bucket's record names its directory's inode number: give it that of the copy."""
    record = json.loads(document.read_bytes())
    directory = made.get(record["inode"])
    if directory is None:
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        record |= {"inode": os.fstat(fd).st_ino, "device": os.fstat(fd).st_dev, "generation": kernel.generation(fd)}
    finally:
        os.close(fd)
    document.write_text(json.dumps(record))
