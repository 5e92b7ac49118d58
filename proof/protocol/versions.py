"""The versions of one key in a bucket that keeps them.

As `zs3.store.versions`, `zs3.store.removal` and `zs3.store.history` do it, call by call.  A version is known by who
wrote it, and its file by that and its number, of which a later one has a greater; a delete marker's file says what it
covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from proof.protocol.filesystem import ROOT, Error, State, at_rest
from proof.protocol.legal import Event, Specification
from proof.protocol.search import Family, Operation, Rules, Scenario, mixed, run

RULES: Mapping[str, str] = {
    "lock": "every mutation of the key holds its lock",
    "name first": "what is replaced or deleted has its name among the older ones before it goes",
    "sync of the current": "what is current is on the disk before what is older is changed because of it",
    "sync of the older": "and that is on the disk before anything else happens",
    "covers": "a delete marker does not count while what it covers is there",
    "covers the next": "one that is removed covers what comes back, before that does",
    "sync before the older goes": "what comes back is on the disk at its own place before its older name goes",
    "number": "a version's number is greater than all before",
    "sync of the removal": "what was removed for good is off the disk when that is answered",
    "look again": "a reader that finds no such version looks again, until none has gone or come meanwhile",
}
#: The directory of the object, in which it is called a, and that of all older versions.
_HERE, _OLDER = "here", "older"
_KEY, _DELETED = "a", "deleted"
_TRIES = 8


class Content(NamedTuple):
    """Of the file of a version.

    :ivar covers: of a delete marker, who wrote what it deleted; None for a version.
    """

    number: int
    who: str
    covers: str | None = None


def _name(content: Content) -> str:
    # In order; a marker's says so.
    return f"{content.number:02} {content.who}" + ("" if content.covers is None else " marker")


class _Places(NamedTuple):
    here: int
    older: int


def _begin(rules: Rules) -> Operation:
    here = yield ("walk", ROOT, (_HERE,))
    if "lock" in rules:
        yield ("lock", _KEY)
    return here


def _end(rules: Rules) -> Operation:
    if "lock" in rules:
        yield ("unlock", _KEY)


def _older(make: bool = False) -> Operation:
    """The directory of the older versions; -1 if there is none."""
    while True:
        root = yield ("walk", ROOT, (_OLDER,))
        if make and not isinstance((yield ("mkdir", root, _KEY)), Error):
            yield ("sync", root)
        found = yield ("look", root, _KEY)
        if found is not None:
            return found.number
        if not make:
            return -1


def _look(rules: Rules, here: int) -> Operation:
    """What is current, and the delete marker of the deletion before, if that counts."""
    found = yield ("look", here, _KEY)
    if found is not None and "sync of the current" in rules:
        yield ("sync", here)
    older = yield from _older()
    marker = None if older < 0 else (yield ("look", older, _DELETED))
    if marker is not None and found is not None and marker.content.covers == found.content.who and "covers" in rules:
        yield ("unlink", older, _DELETED)
        marker = None
    return found, marker


def _keep(found: Any, marker: Any) -> Operation:
    """Give what is current, and its marker, their names among the older ones."""
    older = yield from _older(make=found is not None)
    if found is not None:
        yield ("link", older, _name(found.content), found.number)
    if marker is not None:
        yield ("move", older, _DELETED, older, _name(marker.content))
    return older


def _settle(rules: Rules, older: int, rule: str = "sync of the older") -> Operation:
    if older >= 0 and rule in rules:
        yield ("sync", older)
        yield ("sync", (yield ("walk", ROOT, (_OLDER,))))


def _number(rules: Rules, staged: int, found: Any, marker: Any) -> int:
    """:param staged: the time at which it was prepared."""
    known = [each.content.number for each in (found, marker) if each is not None]
    return max([staged, *(each + 1 for each in known)]) if "number" in rules else staged


def _prune() -> Operation:
    root = yield ("walk", ROOT, (_OLDER,))
    yield ("rmdir", root, _KEY)


def put(rules: Rules, who: str) -> Operation:
    staged = yield ("time",)
    here = yield from _begin(rules)
    found, marker = yield from _look(rules, here)
    if "name first" in rules:
        older = yield from _keep(found, marker)
        yield from _settle(rules, older)
    yield ("put", here, _KEY, Content(_number(rules, staged, found, marker), who), True, False)
    if "name first" not in rules:
        older = yield from _keep(found, marker)
        yield from _settle(rules, older)
    yield from _end(rules)
    yield ("sync", here)
    return "done"


def delete(rules: Rules, who: str) -> Operation:
    staged = yield ("time",)
    here = yield from _begin(rules)
    found, marker = yield from _look(rules, here)
    covers = found.content.who if found is not None else ""
    yield from _keep(found, marker)
    older = yield from _older(make=True)
    yield ("put", older, _DELETED, Content(_number(rules, staged, found, marker), who, covers), True, False)
    yield from _settle(rules, older)
    if found is not None:
        yield ("unlink", here, _KEY)
        yield ("sync", here)
    yield from _end(rules)
    return "done"


def _youngest(older: int) -> Operation:
    """The youngest of the older versions: its name and file."""
    if older < 0:
        return None
    names = yield ("names", older)
    names = [name for name in names if name != _DELETED]
    return (names[-1], (yield ("look", older, names[-1]))) if names else None


def remove(rules: Rules, version: str) -> Operation:
    """:param version: who wrote it."""
    here = yield from _begin(rules)
    found, marker = yield from _look(rules, here)
    older = yield from _older()
    if found is not None and found.content.who == version:
        yield from _remove_current(rules, here, found, marker, older)
        yield from _end(rules)
        return "done"
    name, there = yield from _find(older, version)
    if there is None:
        yield from _end(rules)
        return "done"
    hides = found is None and name == _DELETED
    if found is None and there.content.covers is not None and marker is None:
        youngest = yield from _youngest(older)
        if youngest is not None and youngest[0] == name:
            # The object that was to come behind it did not.
            yield ("move", older, name, older, _DELETED)
            yield from _settle(rules, older)
            hides = True
    successor = (yield from _youngest(older)) if hides else None
    if successor is not None and successor[1].content.covers is None:
        if "covers the next" in rules:
            yield ("write", there.number, there.content._replace(covers=successor[1].content.who))
            yield ("sync", there.number)
        yield from _end(rules)
        yield from _undelete(rules, version, successor)
        return "done"
    if successor is not None:
        yield ("move", older, successor[0], older, _DELETED)
    else:
        yield ("unlink", older, _DELETED if hides else name)
    yield from _settle(rules, older, "sync of the removal")
    if successor is None:
        yield from _prune()
    yield from _end(rules)
    return "done"


def _remove_current(rules: Rules, here: int, found: Any, marker: Any, older: int) -> Operation:
    if marker is not None:
        yield ("move", older, _DELETED, older, _name(marker.content))
    if older >= 0 and not isinstance((yield ("unlink", older, _name(found.content))), Error):
        # It must not come back as an older one.
        yield from _settle(rules, older, "sync of the removal")
    successor = yield from _youngest(older)
    if successor is None or successor[1].content.covers is not None:
        if successor is not None:
            yield ("move", older, successor[0], older, _DELETED)
            yield from _settle(rules, older)
        yield ("unlink", here, _KEY)
        if "sync of the removal" in rules:
            yield ("sync", here)
    else:
        # By another name of its own: it has both for a while.
        yield ("link", ROOT, "staged", successor[1].number)
        yield ("move", ROOT, "staged", here, _KEY)
        if "sync before the older goes" in rules:
            yield ("sync", here)
        yield ("unlink", older, successor[0])
        yield from _settle(rules, older)
        if "sync before the older goes" not in rules:
            yield ("sync", here)
    if older >= 0:
        yield from _prune()


def _undelete(rules: Rules, version: str, successor: Any) -> Operation:
    """Make what was before a deletion current; then remove its marker."""
    name, file = successor
    here = yield from _begin(rules)
    found, marker = yield from _look(rules, here)
    older = yield from _older()
    youngest = yield from _youngest(older)
    if found is not None or marker is None or marker.content.who != version or youngest != successor:
        # Another came in between: all again.
        yield from _end(rules)
        return (yield from remove(rules, version))
    yield ("link", here, "staged", file.number)
    yield ("move", here, "staged", here, _KEY)
    yield from _end(rules)
    if "sync before the older goes" in rules:
        yield ("sync", here)
    here = yield from _begin(rules)
    found = yield ("look", here, _KEY)
    if found is not None and "sync of the current" in rules:
        yield ("sync", here)
    older = yield from _older()
    if older >= 0:
        marker = yield ("look", older, _DELETED)
        if marker is not None and marker.content.who == version:
            yield ("unlink", older, _DELETED)
        else:
            for each in (yield ("names", older)):
                if each.endswith(f" {version} marker"):
                    yield ("unlink", older, each)
        if found is not None and found.content.who == file.content.who:
            yield ("unlink", older, name)
        yield from _settle(rules, older, "sync of the removal")
        yield from _prune()
    yield from _end(rules)
    return None


def _find(older: int, version: str) -> Operation:
    if older < 0:
        return "", None
    for name in (yield ("names", older)):
        # By its name, which is made of its id.
        if name != _DELETED and name.split()[1] == version and (found := (yield ("look", older, name))) is not None:
            return name, found
    found = yield ("look", older, _DELETED)
    return (_DELETED, found) if found is not None and found.content.who == version else ("", None)


def _state() -> Operation:
    """What the older versions' directory has after any change that it had not before."""
    older = yield from _older()
    return None if older < 0 else (yield ("version", older))


def get(version: str | None, rules: Rules) -> Operation:
    """What there is, or of a version whether there is that."""
    for _ in range(_TRIES):
        before = None if version is None else (yield from _state())
        here = yield ("walk", ROOT, (_HERE,))
        found = yield ("look", here, _KEY)
        if version is None or (found is not None and found.content.who == version):
            return (found.content.who if found is not None else None,)
        name, there = yield from _find((yield from _older()), version)
        if there is not None and (
            there.content.covers is None
            or name != _DELETED
            or found is None
            or there.content.covers != found.content.who
        ):
            return (version,)
        if "look again" not in rules:
            return (None,)
        if (yield from _state()) == before and (yield ("look", here, _KEY)) == found:
            return (None,)
    return None


def listed() -> Operation:
    """All versions and markers, the oldest first; at rest."""
    here = yield ("walk", ROOT, (_HERE,))
    found = yield ("look", here, _KEY)
    older = yield from _older()
    names = () if older < 0 else (yield ("names", older))
    told = []
    for name in names:
        each = yield ("look", older, name)
        mine = each.content
        covers = mine.covers if name == _DELETED else mine.who
        if found is not None and found.content.who in (mine.who, covers):
            continue
        told.append((mine.number, mine.who))
    told.sort()
    if found is not None:
        told.append((found.content.number, found.content.who))
    return tuple(told)


def step(_: str, value: tuple[str, ...], event: Event) -> Iterator[tuple[str, ...]]:
    """:param value: who made the versions and, with a * behind, the delete markers; the oldest first."""
    kind, _, version = event.name.partition(" ")
    after, answer = value, "done"
    current = value[-1] if value and not value[-1].endswith("*") else None
    match kind:
        case "PUT":
            after = (*value, event.who)
        case "DELETE":
            after = (*value, event.who + "*")
        case "REMOVE":
            after = tuple(each for each in value if each.rstrip("*") != version)
        case "GET":
            there = current if not version else version if version in [each.rstrip("*") for each in value] else None
            answer = (there,)  # type: ignore[assignment]
        case "LIST":
            numbers = [number for number, _ in event.answer]
            answer = event.answer
            whose = [who for _, who in event.answer]
            if whose != [each.rstrip("*") for each in value] or numbers != sorted(set(numbers)):
                return
    if event.answer in (None, answer):
        yield after


def counts(event: Event) -> bool:
    return event.name.split()[0] in ("PUT", "DELETE", "REMOVE")


def look(files: State, rules: Rules) -> list[Event]:
    told = run(listed(), files)[1]
    seen = [Event("LIST", "list", told, None), Event("GET", "get", run(get(None, rules), files)[1], None)]
    return seen + [Event(f"GET {who}", who, run(get(who, rules), files)[1], None) for _, who in told]


_EMPTY: State = State((("d", ((_HERE, 1), (_OLDER, 2)), ()), ("d", (), ()), ("d", (), ())))
_STARTS = (
    *((), ("PUT",), ("PUT", "PUT"), ("PUT", "DELETE")),
    *(("PUT", "DELETE", "PUT"), ("PUT", "PUT", "DELETE", "DELETE")),
    # The delete marker covers what is gone.
    ("PUT", "PUT", "DELETE", "REMOVE s1"),
)


def _start(names: tuple[str, ...]) -> tuple[State, tuple[str, ...]]:
    files, value = _EMPTY, ()
    for number, name in enumerate(names):
        files, answer = run(OPERATIONS[name](frozenset(RULES), f"s{number}"), files)
        [value] = step("", value, Event(name, f"s{number}", answer, None))  # type: ignore[assignment]
    return at_rest(files), value


OPERATIONS: dict[str, Any] = {
    "PUT": put,
    "DELETE": delete,
    # Of what was there before, and of what the first thread makes.
    **{f"REMOVE {each}": lambda rules, _, each=each: remove(rules, each) for each in ("s0", "s1", "s2", "s3", "0.0")},
    "GET": lambda rules, _: get(None, rules),
    **{f"GET {each}": lambda rules, _, each=each: get(each, rules) for each in ("s0", "s1", "s2", "s3")},
}
AGAIN = ("PUT", "DELETE", "REMOVE s0", "REMOVE s1")
FAMILY = Family("versions", RULES, OPERATIONS, Specification(step, counts), look, AGAIN)


def scenarios() -> Iterator[Scenario]:
    for names in _STARTS:
        files, value = _start(names)
        there = [each.rstrip("*") for each in value]
        writes, reads = (
            ["PUT", "DELETE", *(f"REMOVE {each}" for each in there)],
            ["GET", *(f"GET {each}" for each in there)],
        )
        both = (("PUT", "REMOVE 0.0"), ("DELETE", "REMOVE 0.0"), ("PUT", "DELETE"))
        yield from mixed(FAMILY, files, (value,), writes, reads, both)
