"""The names of a directory: sorted whatever the order they come in, each once, and no more than there is room for."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zs3.store import names
from zs3.store.names import Listing, Names


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_BLOCK", 4)
    monkeypatch.setattr(names, "_RUN", 10)
    monkeypatch.setattr(names, "_MERGED", 2)


def everything(listing: Listing) -> list[tuple[bytes, tuple[bytes, ...] | None]]:
    found = []
    for number in range(len(listing)):
        order, ways = listing.block(number)
        assert order
        found += [(sort, ways.get(sort)) for sort in order]
    return found


segment = st.text("abé\n\t~ ", min_size=1, max_size=3).map(str.encode)
entry = st.tuples(
    st.one_of(segment, segment.map(lambda name: name + b"/")),
    st.one_of(st.none(), st.lists(segment, min_size=1, max_size=2).map(tuple)),
)


def least(entries: list[tuple[bytes, tuple[bytes, ...] | None]]) -> list[tuple[bytes, tuple[bytes, ...] | None]]:
    """What a listing of them all must tell."""
    kept: dict[bytes, tuple[bytes, ...] | None] = {}
    for sort, way in entries:
        ways = [way, kept[sort]] if sort in kept else [way]
        kept[sort] = min(ways, key=lambda each: b"" if each is None else b"\0" + b"/".join(each))
    return sorted(kept.items())


@settings(deadline=None)
@given(st.lists(entry, max_size=60), st.booleans())
def test_all_names_are_there_in_order_and_each_once(
    entries: list[tuple[bytes, tuple[bytes, ...] | None]], simple: bool
) -> None:
    if simple:
        entries = [(sort, None) for sort, _ in entries]
    taken = Names(b"", 1 << 20)
    for sort, way in entries:
        taken.add(sort, way)
    listing = taken.listing(lasting=True)
    assert everything(listing) == least(entries)
    assert (listing.floor, listing.ceiling, listing.lasting) == (b"", None, True)
    for sort, _ in least(entries):
        assert sort in listing.block(listing.find(sort))[0]


@settings(deadline=None, max_examples=200)
@given(st.lists(entry, max_size=150), segment, st.integers(1, 3000))
def test_windows_join_to_all_that_is_wanted(
    entries: list[tuple[bytes, tuple[bytes, ...] | None]], wanted: bytes, room: int
) -> None:
    found: list[tuple[bytes, tuple[bytes, ...] | None]] = []
    floor: bytes | None = wanted
    while floor is not None:
        taken = Names(floor, room)
        for sort, way in entries:
            taken.add(sort, way)
        listing = taken.listing(lasting=True)
        assert listing.floor <= floor
        assert listing.ceiling is None or floor < listing.ceiling
        told = everything(listing)
        # All from its floor up to its ceiling, and nothing else.
        assert told == [
            (sort, way)
            for sort, way in least(entries)
            if sort >= listing.floor and (listing.ceiling is None or sort < listing.ceiling)
        ]
        found += [(sort, way) for sort, way in told if sort >= floor]
        floor = listing.ceiling
    assert found == [(sort, way) for sort, way in least(entries) if sort >= wanted]


def test_many_names_take_no_more_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    numbers = list(range(300_000))
    random.Random(1).shuffle(numbers)
    every = [b"%x-%06d" % (hash((1, number)) & 0xFFFFFFFFFF, number) for number in numbers]
    taken = Names(sorted(every)[100_000], 400_000)
    for start in range(0, len(every), 1000):
        taken.extend(every[start : start + 1000])
        assert taken._used <= 400_000
        assert len(taken._names) < 51_000
    listing = taken.listing(lasting=True)
    # Better packed than while they came, as more of one beginning are beside each other.
    assert 100_000 < listing.cost < 450_000
    order = [sort for sort, _ in everything(listing)]
    assert order == [sort for sort in sorted(every) if listing.floor <= sort < (listing.ceiling or b"")]
    assert listing.floor == sorted(every)[100_000]
    assert len(order) > 10_000
