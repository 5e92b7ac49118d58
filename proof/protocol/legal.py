"""Whether operations can have happened one after the other: a search over their orders.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple


class Event(NamedTuple):
    """An operation that was begun.

    :ivar who: who did it, another for each.
    :ivar answer: None if it has not ended.
    :ivar before: who had ended when it began; None for nobody.
    """

    name: str
    who: str
    answer: Any
    before: tuple[str, ...] | None


class Specification(NamedTuple):
    """What operations are to do.

    :ivar step: of a part, its value and an event what the value may be then; nothing if it cannot have its answer.
    :ivar counts: whether an event matters once there was a crash: it changes something.
    :ivar parts: of each of which the order may be another, as of several keys.
    :ivar concerns: whether an event is about a part.
    """

    step: Callable[[str, Any, Event], Iterator[Any]]
    counts: Callable[[Event], bool]
    parts: tuple[str, ...] = ("",)
    concerns: Callable[[str, Event], bool] = lambda *_: True


def is_legal(
    specification: Specification, values: tuple[Any, ...], events: tuple[Event, ...], seen: tuple[Event, ...]
) -> bool:
    """Whether there is an order, of each part, that explains all answers.

    :param values: of the parts, before.
    :param events: those that have not ended may be left out.
    :param seen: what came after all of those, in this order.
    """
    return all(
        _is_legal(
            specification,
            part,
            value,
            tuple(each for each in events if specification.concerns(part, each)),
            tuple(each for each in seen if specification.concerns(part, each)),
        )
        for part, value in zip(specification.parts, values, strict=True)
    )


@lru_cache(200_000)
def _is_legal(
    specification: Specification, part: str, value: Any, events: tuple[Event, ...], seen: tuple[Event, ...]
) -> bool:
    order = {each.who: number for number, each in enumerate(events)}
    # Of each, those that must come before it.
    first = [sum(1 << order[who] for who in each.before or () if who in order) for each in events]
    must = sum(1 << number for number, each in enumerate(events) if each.answer is not None)
    waiting = [(0, value)]
    known = set(waiting)
    while waiting:
        done, now = waiting.pop()
        if done & must == must and _is_seen(specification, part, now, seen):
            return True
        for number, each in enumerate(events):
            if done >> number & 1 or first[number] & ~done & must:
                continue
            for after in specification.step(part, now, each):
                node = (done | 1 << number, after)
                if node not in known:
                    known.add(node)
                    waiting.append(node)
    return False


def _is_seen(specification: Specification, part: str, value: Any, seen: tuple[Event, ...]) -> bool:
    values = {value}
    for each in seen:
        values = {after for now in values for after in specification.step(part, now, each)}
    return bool(values)
