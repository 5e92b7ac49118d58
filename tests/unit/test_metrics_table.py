"""Numbers that survive whoever counted them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.metrics import table
from zs3.metrics.table import Table

KEYS = st.tuples(st.sampled_from(["a_total", "b_seconds"]), st.lists(st.text(max_size=3), max_size=2).map(tuple))


def test_a_number_is_0_until_it_is_counted_up(tmp_path):
    one = Table(str(tmp_path / "t"))
    one.cells[one.place("requests", ["GET"])] += 2
    one.place("errors")
    assert dict(table.read(str(tmp_path / "t"))) == {("requests", ("GET",)): [2.0], ("errors", ()): [0.0]}


@given(st.lists(st.lists(st.tuples(KEYS, st.integers(1, 1000)), max_size=8), max_size=4))
def test_what_several_processes_count_one_after_the_other_is_their_sum(tmp_path_factory, lives):
    path = str(tmp_path_factory.mktemp("table") / "t")
    expected = {}
    for life in lives:
        process = Table(path)
        for (name, labels), amount in life:
            process.cells[process.place(name, labels, 3) + 1] += amount
            expected.setdefault((name, labels), [0.0, 0.0, 0.0])[1] += amount
        assert dict(process.read()) == expected
    if lives:
        assert dict(table.read(path)) == expected


@pytest.mark.parametrize("cut", range(1, 15))
def test_who_is_killed_while_it_makes_a_number_has_not_made_it(tmp_path, cut):
    path = str(tmp_path / "t")
    first = Table(path)
    first.cells[first.place("kept")] = 7
    first.cells[first.place("lost")] = 0
    keys = tmp_path / "t.keys"
    os.truncate(keys, keys.stat().st_size - cut)

    assert dict(table.read(path)) == {("kept", ()): [7.0]}
    second = Table(path)
    second.cells[second.place("new")] += 1
    assert dict(table.read(path)) == {("kept", ()): [7.0], ("new", ()): [1.0]}


def test_what_there_is_no_room_for_spoils_nothing(monkeypatch):
    monkeypatch.setattr(table, "MOST", table._REST + 2)
    full = Table()
    first, second = full.place("first"), full.place("second")
    third = full.place("third", (), 16)
    for place in (first, second, third, third + 15):
        full.cells[place] += 1
    assert dict(full.read()) == {("first", ()): [1.0], ("second", ()): [1.0]}


@pytest.mark.parametrize("call", ["posix_fallocate", "write"])
def test_where_memory_is_full_nothing_is_counted_and_nothing_fails(tmp_path, monkeypatch, call):
    """A page that is mapped and not to be had would kill the process when it is touched."""
    path = str(tmp_path / "t")
    one = Table(path)
    one.cells[one.place("kept")] += 1

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(table.os, call, fail)
        one.cells[one.place("lost", (), 16) + 15] += 1
        one.cells[one.place("kept")] += 1
    one.cells[one.place("later")] += 1
    assert dict(table.read(path)) == dict(one.read()) == {("kept", ()): [2.0], ("later", ()): [1.0]}


def test_a_key_that_was_written_in_part_is_taken_back(tmp_path, monkeypatch):
    path = str(tmp_path / "t")
    one = Table(path)
    one.cells[one.place("kept")] += 1
    real = os.write
    with monkeypatch.context() as full:
        full.setattr(table.os, "write", lambda fd, data: real(fd, data[:5]))
        one.cells[one.place("lost")] += 1
    one.cells[one.place("later")] += 1
    assert dict(table.read(path)) == dict(Table(path).read()) == {("kept", ()): [1.0], ("later", ()): [1.0]}


def test_all_memory_that_is_counted_in_is_had_before(tmp_path):
    one = Table(str(tmp_path / "t"))
    one.place("many", (), 60)
    numbers = tmp_path / "t.numbers"
    # Writing to it needs no block more.
    before = numbers.stat().st_blocks
    for place in (one.place("many", (), 60), table.MOST - 1):
        one.cells[place] = 1

    assert numbers.stat().st_blocks == before > 0


def test_nothing_is_told_of_a_process_that_never_counted(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(table.read(str(tmp_path / "t")))


def test_the_files_take_memory_only_for_the_numbers_that_there_are(tmp_path):
    one = Table(str(tmp_path / "t"))
    one.cells[one.place("one")] = 1
    assert (tmp_path / "t.numbers").stat().st_blocks * 512 <= 64 * 1024
