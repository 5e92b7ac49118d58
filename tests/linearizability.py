"""Whether what clients saw of a key at the same time can have happened one after the other.  Pure.

The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993), against the versions that a key
of a bucket has which keeps them.  A version is known by what was written, each time another; a delete marker by its id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

#: When an operation ends of which no answer came: it happened at some time, or never.
NEVER = float("inf")
#: The answer to an operation that a condition stopped, and to one that found nothing.
FAILED, MISSING = "failed", "missing"


class Marker(NamedTuple):
    """A delete marker; with an id of "" one of which no answer told it."""

    id: str


#: The versions of a key, the oldest first.
Versions = tuple[str | Marker, ...]
#: What is read where there never was anything, or nothing is left.
NOTHING = Marker("nothing")


_MOST = 1_000_000


class TooMany(Exception):
    """There are more orders than can be tried."""


@dataclass(frozen=True)
class Operation:
    """What a client did.

    :ivar kind: put, create, swap, delete, remove, get, get version, or list.
    :ivar value: what was written; of remove and get version, the version.
    :ivar result: what came of it: "", `FAILED` or `MISSING` for a write; for a deletion its marker; for a reader what
        it saw, of a list all `Versions`.
    :ivar expected: of a swap, what is to be replaced.
    :ivar id: of the version that was made, if that is known: a later one of a key has a greater.
    """

    kind: str
    start: float
    end: float
    value: str | Marker = ""
    result: str | Marker | Versions = ""
    expected: str = ""
    id: str = ""

    @property
    def is_open(self) -> bool:
        return self.end == NEVER


#: The ids of versions, as far as they are known.
Ids = Mapping[str | Marker, str]


def step(operation: Operation, versions: Versions, ids: Ids = MappingProxyType({})) -> Iterator[Versions]:
    """What the versions are once an operation has happened; nothing if it cannot have, with its result."""
    current = versions[-1] if versions else NOTHING
    wanted: object = ""
    after = versions
    match operation.kind:
        case "put":
            after = (*versions, operation.value)
        case "create":
            after, wanted = (versions, FAILED) if isinstance(current, str) else ((*versions, operation.value), "")
        case "swap":
            wanted = MISSING if isinstance(current, Marker) else "" if current == operation.expected else FAILED
            after = versions if wanted else (*versions, operation.value)
        case "delete":
            marker = Marker("") if operation.is_open else operation.result
            after, wanted = (*versions, marker), operation.result  # type: ignore[assignment]
        case "remove":
            after = tuple(each for each in versions if not _is_same(each, operation.value, versions))
        case "get":
            wanted = operation.result if _is_same(current, operation.result, versions) else current
        case "get version":
            there = any(_is_same(each, operation.value, versions) for each in versions)
            wanted = operation.value if there else MISSING
        case "list":
            assert isinstance(operation.result, tuple)
            same = len(versions) == len(operation.result)
            same = same and all(map(_is_same, versions, operation.result, [versions] * len(versions)))
            wanted = operation.result if same else versions
    if not operation.is_open and wanted != operation.result:
        return
    if versions and len(after) > len(versions) and "" < ids.get(after[-1], "") < ids.get(versions[-1], ""):
        return
    yield after


def _is_same(version: str | Marker, seen: object, versions: Versions) -> bool:
    """Whether it is the version that was seen: a marker of which nothing is known may be any that is not there."""
    if version == Marker(""):
        return isinstance(seen, Marker) and seen != NOTHING and seen not in versions
    return version == seen


def is_linearizable(history: Sequence[Operation]) -> bool:
    """Whether there is an order of the operations, each at some time between its start and its end, that explains all
    that was seen.  Those that are open may be left out.

    The ids of the versions make that a short search, even where many writes were under way at once.

    :raises TooMany: that took too long.
    """
    # In this order they are tried: it is nearly the right one, and what has no answer comes last.
    operations = sorted(history, key=lambda each: (each.is_open, each.id or "~", each.start))
    ids: dict[str | Marker, str] = {}
    for each in operations:
        if each.id:
            ids[each.result if isinstance(each.result, Marker) else each.value] = each.id
    left = sum(1 << number for number, each in enumerate(operations) if not each.is_open)
    waiting: list[tuple[int, Versions]] = [((1 << len(operations)) - 1, ())]
    seen = set(waiting)
    while waiting:
        rest, versions = waiting.pop()
        if not rest & left:
            return True
        first_end = min(each.end for number, each in enumerate(operations) if rest >> number & 1)
        following: list[tuple[int, Versions]] = []
        for number, each in enumerate(operations):
            if not rest >> number & 1 or each.start > first_end:
                continue
            for after in step(each, versions, ids):
                following.append((rest & ~(1 << number), after))
                if each.kind != "remove" and not each.is_open and after == versions:
                    # It changes nothing, whenever it comes: then it may as well come now.
                    following = following[-1:]
                    break
            else:
                continue
            break
        waiting += [each for each in reversed(following) if each not in seen]
        seen.update(following)
        if len(seen) > _MOST:
            raise TooMany
    return False


def explain(history: Sequence[Operation]) -> str:
    """Of a history that cannot have happened, the operation with which it could not any more, and what came before."""
    by_end = sorted(history, key=lambda each: each.end)
    for number, last in enumerate(by_end):
        later = (replace(each, end=NEVER, result="") for each in by_end[number + 1 :] if each.start < last.end)
        writes = [each for each in later if each.kind not in ("get", "get version", "list")]
        if not is_linearizable([*by_end[: number + 1], *writes]):
            return "\n".join(map(str, sorted([*by_end[max(0, number - 20) : number + 1], *writes], key=_start)))
    return ""


def _start(operation: Operation) -> float:
    return operation.start
