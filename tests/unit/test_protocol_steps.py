"""That the model of the protocol does what the store does, call by call: the same changes and syncs, in the same order.

Each operation alone, from each state that the model begins with.  What two do to each other is the model's affair.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from proof.protocol import objects, versions
from proof.protocol.filesystem import Error, State, call
from proof.protocol.search import Family
from tests.contract.support import CREATE, Client, fired
from tests.powercut_store import open_client
from zs3.errors import S3Error
from zs3.store import kernel
from zs3.store.values import ENABLED, VERSIONING

#: A change or sync: its name, and where it is done.
Step = tuple[str, ...]
_REAL = ("rename", "link", "unlink", "mkdir", "rmdir", "fsync", "fdatasync")


def steps_of_model(family: Family, files: State, name: str, told: Callable[[Step], Step | None]) -> list[Step]:
    """What the model does to files for an operation.

    :param told: a step as it is compared; None for one that is not.
    """
    operation = family.operations[name](frozenset(family.rules), "new")
    done: list[Step] = []
    answer: Any = None
    with suppress(StopIteration):
        while True:
            what = operation.send(answer)
            answer = None
            if what[0] in ("lock", "unlock"):
                continue
            where = dict(_directories(files, 0, ""))
            files, answer = call(files, what, journal=False)
            if isinstance(answer, Error):
                continue
            match what:
                case ("put", directory, target, _, synced, _):
                    done.append(("put", where[directory], target, "synced" if synced else "not synced"))
                case ("unlink" | "mkdir" | "rmdir" | "link", directory, target, *_):
                    done.append((what[0], where[directory], target))
                case ("move", directory, source, other, target):
                    done.append(("move", where[directory], source, where[other], target))
                case ("sync", number) if number in where:
                    done.append(("sync", where[number]))
                case ("sync", _):
                    done.append(("sync of a file",))
    return [each for step in done if (each := told(step)) is not None]


def _directories(files: State, number: int, path: str) -> Iterator[tuple[int, str]]:
    yield number, path
    for name, below in files.nodes[number][1] or ():
        if files.nodes[below][0] == "d":
            yield from _directories(files, below, f"{path}/{name}" if path else name)


class Watch:
    """What a store does to the files below a directory, as `steps_of_model` tells it."""

    def __init__(self, top: Path) -> None:
        self._top = str(top)
        self.steps: list[Step] = []
        self._synced: set[int] = set()
        self._os = {name: getattr(os, name) for name in _REAL}
        self._rename_new = kernel.rename_new

    @contextmanager
    def watching(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("unlink", "mkdir", "rmdir"):
                patch.setattr(os, name, self._changing(name))
            patch.setattr(os, "rename", self._rename)
            patch.setattr(os, "link", self._link)
            patch.setattr(os, "fsync", self._sync)
            patch.setattr(os, "fdatasync", self._sync)
            patch.setattr(kernel, "rename_new", self._new)
            yield

    def _add(self, *step: str) -> None:
        # Whether files can be moved there, each process finds out for itself.
        if ".zs3!" not in step:
            self.steps.append(step)

    def _place(self, name: Any, directory: int | None = None) -> tuple[str, str]:
        """The directory, from the top, and the name in it."""
        text = os.fsdecode(name)
        if directory is not None:
            text = os.path.join(os.readlink(f"/proc/self/fd/{directory}"), text)
        elif match := re.match(r"(/proc/self/fd/[0-9]+)(/.*)", text):
            text = os.readlink(match[1]) + match[2]
        where, target = os.path.split(text)
        return self._relative(where), target

    def _relative(self, directory: str) -> str:
        where = os.path.relpath(directory, self._top)
        return "" if where == "." else where

    def _changing(self, kind: str) -> Callable[..., None]:
        def change(path: Any, *args: Any, dir_fd: int | None = None) -> None:
            place = self._place(path, dir_fd)
            self._os[kind](path, *args, dir_fd=dir_fd)
            self._add(kind, *place)

        return change

    def _rename(
        self, source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        before, after = self._place(source, src_dir_fd), self._place(target, dst_dir_fd)
        inode = os.stat(source, dir_fd=src_dir_fd).st_ino
        self._os["rename"](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self._note(before, after, inode)

    def _new(self, source: bytes, directory: int, name: bytes) -> None:
        before, after = self._place(source), self._place(name, directory)
        inode = os.stat(source).st_ino
        self._rename_new(source, directory, name)
        self._note(before, after, inode)

    def _note(self, before: tuple[str, str], after: tuple[str, str], inode: int) -> None:
        if "/tmp/" in f"/{before[0]}/":
            self._add("put", *after, "synced" if inode in self._synced else "not synced")
        else:
            self._add("move", *before, *after)

    def _link(self, source: Any, target: Any, *, dst_dir_fd: int | None = None, **options: Any) -> None:
        place = self._place(target, dst_dir_fd)
        self._os["link"](source, target, dst_dir_fd=dst_dir_fd, **options)
        self._add("link", *place)

    def _sync(self, fd: int) -> None:
        self._os["fsync"](fd)
        status = os.fstat(fd)
        self._synced.add(status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            self._add("sync", self._relative(os.readlink(f"/proc/self/fd/{fd}")))
        else:
            self._add("sync of a file")


def opened(data: Path, *names: str, do: Callable[[Client, str], None], **configured: Any) -> Client:
    """A store that has not done anything yet, after others have done these operations."""
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    if configured:
        client.configure(**configured)
    for name in names:
        do(client, name)
    fired(client.store.stop())
    return open_client(data)


# Objects


def _write(client: Client, name: str) -> None:
    kind, key = name.split()
    if kind == "DELETE":
        client.delete(key)
    elif kind == "PUT":
        client.put(key)
    else:
        with suppress(S3Error):
            client.put(key, condition=CREATE)


def _of_objects(step: Step) -> Step | None:
    """Without the staging of files, which is not in the model, and what is found out about it."""
    if step[0] == "sync of a file" or step[1].startswith(".."):
        return None
    return tuple(each.replace(".zs3@", "@") for each in step)


WRITES = [name for name in objects.OPERATIONS if name.split()[0] in ("PUT", "CREATE", "DELETE")]


@pytest.mark.parametrize("names", objects._STARTS, ids=", ".join)
def test_the_model_of_objects_does_what_the_store_does(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(WRITES):
        data = tmp_path / f"{number}"
        data.mkdir()
        client = opened(data, *names, do=_write)
        watch = Watch(data / "bucket")
        with watch.watching():
            _write(client, name)
        fired(client.store.stop())
        done = [each for step in watch.steps if (each := _of_objects(step)) is not None]
        files, _ = objects._start(names)
        assert done == steps_of_model(objects.FAMILY, files, name, _of_objects), name


# Versions

#: Those of a start by who made them, as the model calls them.
_Made = dict[str, str]


def _change(client: Client, name: str, made: _Made, who: str) -> None:
    kind, _, version = name.partition(" ")
    if kind == "PUT":
        made[who] = client.put("a").version
    elif kind == "DELETE":
        made[who] = client.remove("a", "").version
    else:
        client.remove("a", made[version])
        made[who] = ""


def _of_versions(step: Step) -> Step | None:
    """By what a place is for: the names of versions differ in each run."""
    match step:
        case ("sync of a file",) | ("link", _, "staged"):
            # Where a file waits for its place, the store has a directory of its own for.
            return None
        case ("move", _, "staged", *target):
            step = ("put", *target, "not synced")
    kind, *places = step
    return _known(kind, *(re.sub(r"^\.\./\.zs3/buckets/[0-9a-f]+/versions", "older", each) for each in places))


def _known(kind: str, *places: str) -> Step | None:
    roles = [_ROLES.get(each.replace("a,v", "a"), "version") for each in places]
    return None if places[0].startswith("..") else (kind, *roles)


#: What is called the same by both; everything else is the name of a version, or of a staged file.
_ROLES = {
    "": "the directory",
    "here": "the directory",
    "a": "the name",
    "deleted": "the marker",
    "synced": "synced",
    "older": "those of all keys",
    "older/a": "the older ones",
}
CHANGES = ("PUT", "DELETE", "REMOVE s0", "REMOVE s1", "REMOVE s2", "REMOVE s3")


@pytest.mark.parametrize("names", versions._STARTS, ids=", ".join)
def test_the_model_of_versions_does_what_the_store_does(tmp_path: Path, names: tuple[str, ...]) -> None:
    files, value = versions._start(names)
    there = {each.rstrip("*") for each in value}
    for number, name in enumerate(CHANGES):
        if name.startswith("REMOVE") and name.split()[1] not in there:
            continue
        data = tmp_path / f"{number}"
        data.mkdir()
        made: _Made = {}

        def do(client: Client, name: str, made: _Made = made) -> None:
            _change(client, name, made, f"s{len(made)}")

        client = opened(data, *names, do=do, **{VERSIONING: ENABLED})
        watch = Watch(data / "bucket")
        with watch.watching():
            _change(client, name, made, "new")
        fired(client.store.stop())
        done = [each for step in watch.steps if (each := _of_versions(step)) is not None]
        wanted = steps_of_model(versions.FAMILY, files, name, _of_versions)
        # What is synced twice is synced.
        assert [each for each, _ in groupby(done)] == [each for each, _ in groupby(wanted)], name
