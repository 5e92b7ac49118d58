"""A tiny file system: directories of names, each change of which can be lost until it is synced.  Pure.

Everything is a tuple, so that states can be compared and kept in sets.  A node is ``("d", names, kept)``, a directory
as it is and as it is on the disk, or ``("f", content, kept)``, a file.  A directory that was removed has None for its
names.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

Names = tuple[tuple[str, int], ...]
Node = tuple[str, Any, Any]
#: Of one directory: its number, and (name, number of what it is to stand for) or (name, None).
Part = tuple[int, tuple[tuple[str, int | None], ...]]
#: What happens to one directory or, by a rename, to two: both or neither.
Change = tuple[Part, ...]
#: A call, its name first, as the operations of the model make them.
Call = tuple[Any, ...]

ROOT = 0
#: What a file holds whose bytes never came to the disk.
TORN = "torn"


class State(NamedTuple):
    """A file system.

    :ivar pending: the changes of directories that are not on the disk for sure, in their order.
    :ivar times: of directories, how often they were changed, where they were.
    """

    nodes: tuple[Node, ...]
    pending: tuple[Change, ...] = ()
    times: tuple[tuple[int, int], ...] = ()


class Error(NamedTuple):
    """What a call answers that fails."""

    name: str


ENOENT, EEXIST, EISDIR, ENOTEMPTY, ENOTDIR = map(Error, ("ENOENT", "EEXIST", "EISDIR", "ENOTEMPTY", "ENOTDIR"))


class Found(NamedTuple):
    """What a name stands for.

    :ivar kind: d or f.
    :ivar content: of a file.
    """

    kind: str
    number: int
    content: Any = None


def _changed(names: Names, part: Part) -> Names:
    after = dict(names)
    for name, number in part[1]:
        if number is None:
            after.pop(name, None)
        else:
            after[name] = number
    return tuple(sorted(after.items()))


class _Draft:
    """A state that a call is changing."""

    def __init__(self, state: State) -> None:
        self.nodes = list(state.nodes)
        self.pending = state.pending
        self.times = dict(state.times)

    def add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def change(self, *parts: Part) -> None:
        for number, _ in parts:
            self.times[number] = self.times.get(number, 0) + 1
            kind, names, kept = self.nodes[number]
            self.nodes[number] = (kind, _changed(names, next(each for each in parts if each[0] == number)), kept)
        self.pending += (parts,)

    def sync(self, number: int, *, journal: bool) -> None:
        """Bring a directory to the disk, and what the same renames changed.

        :param journal: all directories.
        """
        waiting = {number}
        cut = {number: len(self.pending)}
        if journal:
            waiting = {part[0] for change in self.pending for part in change}
            cut = dict.fromkeys(waiting, len(self.pending))
        else:
            while waiting:
                at = waiting.pop()
                for place, change in enumerate(self.pending[: cut[at]]):
                    if any(part[0] == at for part in change):
                        for part in change:
                            if cut.get(part[0], 0) <= place:
                                cut[part[0]] = place + 1
                                waiting.add(part[0])
        left: list[Change] = []
        for place, change in enumerate(self.pending):
            if place < cut.get(change[0][0], 0):
                for part in change:
                    kind, names, kept = self.nodes[part[0]]
                    self.nodes[part[0]] = (kind, names, _changed(kept, part))
            else:
                left.append(change)
        self.pending = tuple(left)

    def done(self) -> State:
        return State(tuple(self.nodes), self.pending, tuple(sorted(self.times.items())))


def _find(state: State, directory: int, name: str) -> Found | None:
    number = dict(state.nodes[directory][1] or ()).get(name)
    if number is None:
        return None
    kind, content, _ = state.nodes[number]
    return Found(kind, number, None if kind == "d" else content)


def _walk(state: State, at: int, names: tuple[str, ...]) -> int | Error:
    for name in names:
        found = _find(state, at, name)
        if found is None:
            return ENOENT
        if found.kind != "d":
            return ENOTDIR
        at = found.number
    return at


def call(state: State, what: Call, journal: bool) -> tuple[State, Any]:
    """Do a call.

    :param journal: whether a sync of one directory brings the changes of all to the disk.
    :returns: the state after it, and what it answers.
    """
    kind, *arguments = what
    if kind == "look":
        return state, _find(state, *arguments)
    if kind == "walk":
        return state, _walk(state, *arguments)
    if kind == "names":
        return state, tuple(name for name, _ in state.nodes[arguments[0]][1] or ())
    if kind == "version":
        # A directory's number and time of change.
        (number,) = arguments
        return state, (number, dict(state.times).get(number, 0))
    if kind == "time":
        # It never goes back.
        return state, len(state.nodes)
    draft = _Draft(state)
    answer = _change(state, draft, kind, arguments, journal)
    return (state if isinstance(answer, Error) else draft.done()), answer


def _change(state: State, draft: _Draft, kind: str, arguments: list[Any], journal: bool) -> Any:
    if kind == "sync":
        (number,) = arguments
        node = state.nodes[number]
        if node[0] == "f":
            draft.nodes[number] = ("f", node[1], node[1])
        else:
            draft.sync(number, journal=journal)
        return None
    if kind == "write":
        number, content = arguments
        draft.nodes[number] = ("f", content, state.nodes[number][2])
        return None
    directory, name, *rest = arguments
    if state.nodes[directory][1] is None:
        return ENOENT
    there = _find(state, directory, name)
    if kind == "put":
        # A staged file that is renamed into place, or with new=True linked.
        content, synced, new = rest
        if there is not None and new:
            return EEXIST
        if there is not None and there.kind == "d":
            return EISDIR
        number = draft.add(("f", content, content if synced else TORN))
        draft.change((directory, ((name, number),)))
        return number
    if kind == "link":
        (number,) = rest
        if there is not None:
            return EEXIST
        if not any(number in dict(node[1]).values() for node in state.nodes if node[0] == "d" and node[1]):
            return ENOENT
        draft.change((directory, ((name, number),)))
        return None
    if kind == "move":
        other, target = rest
        if there is None or state.nodes[other][1] is None:
            return ENOENT
        over = _find(state, other, target)
        if over is not None and over.kind != there.kind:
            return EISDIR if over.kind == "d" else ENOTDIR
        if over is not None and over.number == there.number:
            # Two names of one file: nothing is done then.
            return None
        if directory == other:
            draft.change((directory, ((name, None), (target, there.number))))
        else:
            draft.change((directory, ((name, None),)), (other, ((target, there.number),)))
        return None
    if kind == "unlink":
        if there is None:
            return ENOENT
        if there.kind == "d":
            return EISDIR
        draft.change((directory, ((name, None),)))
        return None
    if kind == "mkdir":
        if there is not None:
            return EEXIST
        number = draft.add(("d", (), ()))
        draft.change((directory, ((name, number),)))
        return number
    assert kind == "rmdir", kind
    if there is None:
        return ENOENT
    if there.kind != "d":
        return ENOTDIR
    if state.nodes[there.number][1]:
        return ENOTEMPTY
    draft.nodes[there.number] = ("d", None, state.nodes[there.number][2])
    draft.change((directory, ((name, None),)))
    return None


def at_rest(state: State) -> State:
    """The same with everything on the disk."""
    return State(tuple((kind, content, content) for kind, content, _ in state.nodes))


def crashes(state: State, journal: bool) -> Iterator[State]:
    """What a crash may leave: of each directory and file what is on the disk for sure, or any of what came later.

    :param journal: of the changes of all directories some first ones, instead.
    """
    files = [number for number, node in enumerate(state.nodes) if node[0] == "f" and node[1] != node[2]]
    for choice in itertools.product((False, True), repeat=len(files)):
        newer = {number for number, new in zip(files, choice, strict=True) if new}
        for changes in _first(state, journal):
            nodes = list(state.nodes)
            for number in newer:
                nodes[number] = ("f", nodes[number][1], nodes[number][1])
            for change in changes:
                for part in change:
                    kind, names, kept = nodes[part[0]]
                    nodes[part[0]] = (kind, names, _changed(kept, part))
            yield State(tuple((kind, kept, kept) for kind, _, kept in nodes))


def _first(state: State, journal: bool) -> Iterator[list[Change]]:
    if journal:
        for number in range(len(state.pending) + 1):
            yield list(state.pending[:number])
        return
    directories = sorted({part[0] for change in state.pending for part in change})
    of = {each: [change for change in state.pending if any(part[0] == each for part in change)] for each in directories}
    seen = set()
    for cuts in itertools.product(*(range(len(of[each]) + 1) for each in directories)):
        # By identity: the same may be done twice.
        chosen = [{id(change) for change in of[each][:cut]} for each, cut in zip(directories, cuts, strict=True)]
        kept = set().union(*chosen) if chosen else set()
        whole = all(
            (id(change) in kept) == (id(change) in mine)
            for each, mine in zip(directories, chosen, strict=True)
            for change in of[each]
        )
        if whole and (key := tuple(cuts)) not in seen:
            seen.add(key)
            yield [change for change in state.pending if id(change) in kept]
