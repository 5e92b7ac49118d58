"""Whether what clients saw of a key at the same time can have happened one after the other.  Pure.

The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993), against the versions that a key
has.  In a bucket that keeps them a version is known by what was written, each time another, and a delete marker by its
id.  In one that keeps none there is one at most, and it may be what another was before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

#: When an operation ends of which no answer came: it happened at some time, or never.
NEVER = float("inf")
#: The answer to an operation that a condition stopped, and to one that found nothing.
FAILED, MISSING = "failed", "missing"


class Marker(NamedTuple):
    """A delete marker; with an id of "" one that nobody saw."""

    id: str


#: The versions of a key, the oldest first.
Versions = tuple[str | Marker, ...]
#: What is read where there never was anything, or nothing is left.
NOTHING = Marker("nothing")


_MOST = 1_000_000
_READS = ("get", "get version", "list")


class TooMany(Exception):
    """There are more orders than can be tried."""


@dataclass(frozen=True)
class Operation:
    """What a client did.

    :ivar kind: put, create, swap, delete, take, remove, get, get version, or list.  A take deletes what is expected.
    :ivar value: what was written; of remove and get version, the version.
    :ivar result: what came of it: "", `FAILED` or `MISSING` for a write; for a deletion its marker; for a reader what
        it saw, of a list all `Versions`.
    :ivar expected: of a swap or a take, what is to be replaced or deleted.
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

    @property
    def changes_nothing(self) -> bool:
        """Whether that is so whenever it happens, by its result."""
        return self.kind in _READS or (not self.is_open and self.result in (FAILED, MISSING))


class Known(NamedTuple):
    """What is known from the whole of a history.

    :ivar ids: of what was written.
    :ivar unclaimed: delete markers that were seen, of which no answer told who made them.
    :ivar keeps: whether the bucket keeps versions.
    """

    ids: Mapping[str | Marker, str] = MappingProxyType({})
    unclaimed: frozenset[Marker] = frozenset()
    keeps: bool = True


def step(operation: Operation, versions: Versions, known: Known = Known()) -> Iterator[Versions]:  # noqa: B008
    """What the versions may be once an operation has happened; nothing if it cannot have, with its result."""
    current = versions[-1] if versions else NOTHING
    made: Iterable[str | Marker] = ()
    after = versions
    wanted: object = ""
    match operation.kind:
        case "put":
            made = (operation.value,)
        case "create":
            made, wanted = ((), FAILED) if isinstance(current, str) else ((operation.value,), "")
        case "swap":
            wanted = _compared(current, operation.expected)
            made = () if wanted else (operation.value,)
        case "delete" if not known.keeps:
            after = ()
        case "take":
            wanted = _compared(current, operation.expected)
            after = versions if wanted else ()
        case "delete":
            wanted = operation.result
            made = {Marker(""), *known.unclaimed} if operation.is_open else (operation.result,)
        case "remove":
            after = tuple(each for each in versions if each != operation.value)
        case "get":
            wanted = current
        case "get version":
            wanted = operation.value if operation.value in versions else MISSING
        case "list":
            wanted = versions
    if not operation.is_open and wanted != operation.result:
        return
    if not made:
        yield after
    newest = known.ids.get(versions[-1], "") if versions else ""
    for each in made:
        if not known.keeps:
            yield (each,)
        # A later version of a key has a greater id.
        elif each not in versions and not "" < known.ids.get(each, "") < newest:
            yield (*versions, each)


def _compared(current: str | Marker, expected: str) -> str:
    """What comes of a condition on the current version."""
    return MISSING if isinstance(current, Marker) else "" if current == expected else FAILED


def _known(history: Sequence[Operation], keeps: bool) -> Known:
    ids: dict[str | Marker, str] = {}
    seen: set[Marker] = set()
    for each in history:
        if each.id:
            ids[each.result if isinstance(each.result, Marker) else each.value] = each.id
        for one in (each.value, *(each.result if each.kind == "list" else (each.result,))):
            if isinstance(one, Marker) and one != NOTHING:
                seen.add(one)
    claimed = {each.result for each in history if each.kind == "delete"}
    unclaimed = frozenset(seen - claimed)
    return Known({each: each.id for each in unclaimed} | ids, unclaimed, keeps)


def is_linearizable(history: Sequence[Operation], *, keeps: bool = True) -> bool:
    """Whether there is an order of the operations, each at some time between its start and its end, that explains all
    that was seen.  Those that are open may be left out.

    The ids of the versions make that a short search, even where many writes were under way at once.

    :param keeps: whether the bucket keeps versions.
    :raises TooMany: that took too long.
    """
    # In this order they are tried: it is nearly the right one, and what has no answer comes last.
    operations = sorted(history, key=lambda each: (each.is_open, each.id or "~", each.start))
    known = _known(history, keeps)
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
            for after in step(each, versions, known):
                following.append((rest & ~(1 << number), after))
                if each.changes_nothing and not each.is_open:
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


def explain(history: Sequence[Operation], *, keeps: bool = True) -> str:
    """Of a history that cannot have happened, the operation with which it could not any more, and what came before."""
    by_end = sorted(history, key=lambda each: each.end)
    for number, last in enumerate(by_end):
        later = (replace(each, end=NEVER, result="") for each in by_end[number + 1 :] if each.start < last.end)
        writes = [each for each in later if each.kind not in _READS]
        if not is_linearizable([*by_end[: number + 1], *writes], keeps=keeps):
            return "\n".join(map(str, sorted([*by_end[max(0, number - 20) : number + 1], *writes], key=_start)))
    return ""


def _start(operation: Operation) -> float:
    return operation.start
