"""Objects of a bucket that keeps no versions: the keys a, a/b and a/b/c, each of which may be in another's way.

As `zs3.store.commit`, `zs3.store.lookup` and `zs3.store.walk` do it, call by call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proof.protocol.filesystem import ENOENT, ROOT, Error, State, at_rest
from proof.protocol.legal import Event, Specification
from proof.protocol.search import Family, Operation, Rules, Scenario, mixed, run

KEYS = ("a", "a/b", "a/b/c")
#: What can be left out, and what goes wrong then.
RULES: Mapping[str, str] = {
    "lock": "every mutation of a key holds its lock while it looks and changes",
    "sync of the file": "a file is on the disk before it gets the name of the object",
    "sync of the directory": "an answer comes after the sync of the directory",
    "sync of the way": "and of all directories above it",
    "sync before pruning": "a deletion syncs the directory before it removes that",
    "sync of nothing": "a deletion that finds nothing syncs, too",
    "sticky": "nothing moves an object from E to N",
    "two passes": "a list reads a directory again that changed meanwhile",
}
_TRIES = 8


def split(key: str) -> tuple[tuple[str, ...], str, str]:
    """The way to a key's directory, its natural name N there, and E, the name beside that."""
    *way, name = key.split("/")
    return tuple(way), name, "@" + name


def publish(rules: Rules, key: str, content: str, *, new: bool = False) -> Operation:
    way, name, beside = split(key)
    for _ in range(_TRIES):
        parent = yield ("walk", ROOT, way)
        if isinstance(parent, Error):
            parent = yield from _made(rules, way)
            if parent is None:
                continue
        if "lock" in rules:
            yield ("lock", key)
        if new:
            # The condition, of the object as it is opened; then what stands there.
            for each in (name, beside):
                found = yield ("look", parent, each)
                if found is not None and found.kind == "f":
                    if "lock" in rules:
                        yield ("unlock", key)
                    return "exists"
        natural = yield ("look", parent, name)
        other = yield ("look", parent, beside)
        use_natural = (natural is not None and natural.kind == "f") or (natural is None and other is None)
        if "sticky" not in rules:
            use_natural = natural is None or natural.kind == "f"
        done = yield ("put", parent, name if use_natural else beside, content, "sync of the file" in rules, new)
        if not isinstance(done, Error) and use_natural and other is not None:
            yield ("unlink", parent, beside)
        if "lock" in rules:
            yield ("unlock", key)
        if not isinstance(done, Error):
            yield from _settle(rules, way, parent)
            return "done"
    return None


def _made(rules: Rules, way: Sequence[str]) -> Operation:
    """The directory of a key, made where missing; None: look again."""
    at = ROOT
    for depth, name in enumerate(way):
        yield ("mkdir", at, name)
        below = yield ("look", at, name)
        if below is None:
            return None
        if below.kind == "f":
            yield from _displace(rules, "/".join(way[: depth + 1]))
            return None
        at = below.number
    return at


def _displace(rules: Rules, key: str) -> Operation:
    """Move the object of a key from N to E, because N must be a directory."""
    way, name, beside = split(key)
    parent = yield ("walk", ROOT, way)
    if isinstance(parent, Error):
        return
    if "lock" in rules:
        yield ("lock", key)
    found = yield ("look", parent, name)
    if found is not None and found.kind == "f":
        yield ("move", parent, name, parent, beside)
        yield ("mkdir", parent, name)
    if "lock" in rules:
        yield ("unlock", key)


def _settle(rules: Rules, way: Sequence[str], parent: int) -> Operation:
    if "sync of the directory" in rules:
        yield ("sync", parent)
    if "sync of the way" in rules:
        for depth in range(len(way)):
            above = yield ("walk", ROOT, tuple(way[:depth]))
            if isinstance(above, Error):
                return
            yield ("sync", above)


def remove(rules: Rules, key: str) -> Operation:
    way, name, beside = split(key)
    names = way
    while isinstance(parent := (yield ("walk", ROOT, names)), Error):
        names = names[:-1]
    if names != way:
        if "sync of nothing" in rules:
            yield ("sync", parent)
        return "done"
    if "lock" in rules:
        yield ("lock", key)
    gone = False
    for each in (beside, name):
        found = yield ("look", parent, each)
        if found is not None and found.kind == "f":
            yield ("unlink", parent, each)
            gone = True
    if "lock" in rules:
        yield ("unlock", key)
    if "sync before pruning" in rules:
        yield ("sync", parent)
    if gone:
        at = ENOENT
        while way:
            above = yield ("walk", ROOT, way[:-1])
            at = above if isinstance(above, Error) else (yield ("rmdir", above, way[-1]))
            if isinstance(at, Error) and at != ENOENT:
                break
            way = way[:-1]
    if "sync before pruning" not in rules:
        while isinstance(parent := (yield ("walk", ROOT, names)), Error):
            names = names[:-1]
        yield ("sync", parent)
    return "done"


def get(key: str) -> Operation:
    way, name, beside = split(key)
    for each in (name, beside):
        parent = yield ("walk", ROOT, way)
        if not isinstance(parent, Error):
            found = yield ("look", parent, each)
            if found is not None and found.kind == "f":
                return (found.content,)
    return (None,)


def listed(rules: Rules) -> Operation:
    """The keys there are, of all three."""
    found: set[str] = set()
    yield from _read(rules, ROOT, "", found)
    told = set()
    for key in sorted(found):
        # The look that size and ETag need anyway drops what is gone.
        if "two passes" not in rules or (yield from get(key)) != (None,):
            told.add(key)
    return tuple(sorted(told))


def _read(rules: Rules, directory: int, prefix: str, found: set[str]) -> Operation:
    below: dict[str, int] = {}
    names = [key.removeprefix(prefix).partition("/")[0] for key in KEYS if key.startswith(prefix)]
    for _ in range(2 if "two passes" in rules else 1):
        before = yield ("version", directory)
        for name in dict.fromkeys(names):
            # The order in which it is worst.
            for each in ("@" + name, name):
                there = yield ("look", directory, each)
                if there is not None and there.kind == "f":
                    found.add(prefix + name)
                elif there is not None:
                    below[name] = there.number
        if (yield ("version", directory)) == before:
            break
    for name, number in below.items():
        yield from _read(rules, number, f"{prefix}{name}/", found)


def step(key: str, value: str | None, event: Event) -> Iterator[str | None]:
    """:param value: what is there; a list tells that of each key."""
    after: tuple[str | None, Any]
    match event.name.split()[0]:
        case "PUT":
            after = (event.who, "done")
        case "CREATE":
            after = (event.who, "done") if value is None else (value, "exists")
        case "DELETE":
            after = (None, "done")
        case "GET":
            after = (value, (value,))
        case _:
            is_right = event.answer is None or (key in event.answer) == (value is not None)
            after = (value, event.answer if is_right else "wrong")
    if event.answer in (None, after[1]):
        yield after[0]


def concerns(key: str, event: Event) -> bool:
    return event.name in ("LIST", *(f"{kind} {key}" for kind in ("PUT", "CREATE", "DELETE", "GET")))


def counts(event: Event) -> bool:
    return event.name.split()[0] in ("PUT", "CREATE", "DELETE") and event.answer != "exists"


def look(files: State, rules: Rules) -> list[Event]:
    """What is there of each key, and that a list tells the same."""
    seen = [Event(f"GET {key}", key, run(get(key), files)[1], None) for key in KEYS]
    return [*seen, Event("LIST", "list", run(listed(rules), files)[1], None)]


OPERATIONS: dict[str, Any] = {
    **{f"PUT {key}": lambda rules, who, key=key: publish(rules, key, who) for key in KEYS},
    **{f"CREATE {key}": lambda rules, who, key=key: publish(rules, key, who, new=True) for key in KEYS},
    **{f"DELETE {key}": lambda rules, _, key=key: remove(rules, key) for key in KEYS},
    **{f"GET {key}": lambda *_, key=key: get(key) for key in KEYS},
    "LIST": lambda rules, _: listed(rules),
}
SPECIFICATION = Specification(step, counts, KEYS, concerns)
FAMILY = Family("objects", RULES, OPERATIONS, SPECIFICATION, look, ("PUT a", "DELETE a/b", "PUT a/b/c"))
_STARTS = (
    *((), ("PUT a",), ("PUT a/b",), ("PUT a", "PUT a/b"), ("PUT a/b", "PUT a"), ("PUT a/b/c",)),
    *(("PUT a", "PUT a/b", "PUT a/b/c"), ("PUT a/b/c", "PUT a/b"), ("PUT a", "PUT a/b", "DELETE a/b")),
)
_ONE_AFTER_ANOTHER = (
    *(("PUT a", "PUT a/b"), ("DELETE a/b", "PUT a"), ("PUT a/b/c", "DELETE a/b/c")),
    *(("DELETE a", "PUT a"), ("PUT a", "DELETE a")),
)


def _start(names: tuple[str, ...]) -> tuple[State, tuple[str | None, ...]]:
    files, values = State((("d", (), ()),)), dict.fromkeys(KEYS)
    for number, name in enumerate(names):
        files, _ = run(OPERATIONS[name](frozenset(RULES), f"s{number}"), files)
        kind, key = name.split()
        values[key] = f"s{number}" if kind == "PUT" else None
    return at_rest(files), tuple(values.values())


def scenarios() -> Iterator[Scenario]:
    writes = [name for name in OPERATIONS if name.split()[0] in ("PUT", "CREATE", "DELETE") and name != "CREATE a/b/c"]
    reads = [*(f"GET {key}" for key in KEYS), "LIST"]
    for names in _STARTS:
        files, values = _start(names)
        yield from mixed(FAMILY, files, values, writes, reads, _ONE_AFTER_ANOTHER)
        # One removes what another has just left empty.
        yield Scenario(FAMILY, files, values, (("DELETE a/b/c",), ("DELETE a/b",), ("DELETE a/b",)))
