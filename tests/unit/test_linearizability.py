"""The checker of concurrent histories finds what is wrong, and nothing else."""

from __future__ import annotations

import random

import pytest

from tests.linearizability import FAILED, MISSING, NEVER, NOTHING, Marker, Operation, Versions, is_linearizable, step

M = Marker("m")


def history(*steps: tuple[object, ...], unanswered: int = -1) -> list[Operation]:
    """One operation after the other, each (kind, value, result, expected, id).

    :param unanswered: which has no answer.
    """
    done = []
    for number, (kind, value, result, *expected) in enumerate(steps):
        end = NEVER if number == unanswered else number + 0.5
        done.append(Operation(str(kind), number, end, value, result, *expected))  # type: ignore[arg-type]
    return done


GOOD = (
    ("get", "", NOTHING),
    ("put", "1", ""),
    ("swap", "2", "", "1"),
    ("delete", "", M),
    ("get", "", M),
    ("get version", "1", "1"),
    ("create", "3", ""),
    ("list", "", ("1", "2", M, "3")),
    ("remove", "3", ""),
    ("get version", "3", MISSING),
    ("get", "", M),
    ("remove", M, ""),
    ("get", "", "2"),
    ("swap", "4", FAILED, "1"),
    ("create", "5", FAILED),
)


def test_what_happened_one_after_the_other_is_right() -> None:
    assert is_linearizable(history(*GOOD))


@pytest.mark.parametrize(
    "steps",
    [
        [("put", "1", ""), ("put", "2", ""), ("get", "", "1")],
        [("put", "1", ""), ("swap", "2", "", "1"), ("swap", "3", "", "1")],
        [("put", "1", ""), ("put", "2", ""), ("list", "", ("2",))],
        [("create", "1", ""), ("create", "2", "")],
        [("put", "1", ""), ("remove", "1", ""), ("get version", "1", "1")],
        [("put", "1", ""), ("remove", "1", ""), ("put", "2", ""), ("list", "", ("1", "2"))],
        [("put", "1", ""), ("delete", "", M), ("get", "", "1")],
        [("put", "1", ""), ("delete", "", M), ("get version", "1", MISSING)],
        [("put", "1", ""), ("delete", "", M), ("remove", M, ""), ("get", "", NOTHING)],
        [("put", "1", ""), ("put", "2", ""), ("remove", "2", ""), ("get", "", NOTHING)],
        [("put", "1", ""), ("put", "2", ""), ("remove", "1", ""), ("get", "", "1")],
        [("swap", "2", "", "1")],
        [("delete", "", M), ("get", "", NOTHING)],
        [("put", "1", ""), ("put", "2", ""), ("list", "", ("2", "1"))],
        [("put", "1", "", "", "b"), ("put", "2", "", "", "a")],
    ],
    ids=[
        "stale read",
        "lost update",
        "lost version",
        "two creations",
        "resurrected version",
        "resurrected version in a list",
        "read of what is deleted",
        "version lost by a deletion",
        "no return of what was deleted",
        "no return of the version before",
        "removed version is current",
        "swap of nothing",
        "lost delete marker",
        "wrong order",
        "id of an older version",
    ],
)
def test_what_cannot_have_happened_is_found(steps: list[tuple[object, ...]]) -> None:
    assert not is_linearizable(history(*steps))


OBJECTS = (
    ("get", "", NOTHING),
    ("take", "", MISSING, "1"),
    ("put", "1", ""),
    ("swap", "2", "", "1"),
    ("take", "", FAILED, "1"),
    ("get", "", "2"),
    ("take", "", "", "2"),
    ("delete", "", ""),
    ("get", "", NOTHING),
    ("create", "3", ""),
    ("create", "4", FAILED),
    ("swap", "4", FAILED, "1"),
    # A copy of what was there before.
    ("put", "1", ""),
    ("get", "", "1"),
    ("delete", "", ""),
    ("swap", "4", MISSING, "1"),
)


def test_what_happened_to_an_object_is_right() -> None:
    assert is_linearizable(history(*OBJECTS), keeps=False)


@pytest.mark.parametrize(
    "steps",
    [
        [("put", "1", ""), ("put", "2", ""), ("get", "", "1")],
        [("put", "1", ""), ("swap", "2", "", "1"), ("swap", "3", "", "1")],
        [("create", "1", ""), ("create", "2", "")],
        [("put", "1", ""), ("delete", "", ""), ("get", "", "1")],
        [("put", "1", ""), ("get", "", NOTHING)],
        [("put", "1", ""), ("take", "", "", "1"), ("take", "", "", "1")],
        [("put", "1", ""), ("put", "2", ""), ("take", "", "", "1")],
        [("put", "1", ""), ("put", "2", ""), ("put", "3", ""), ("get", "", "1")],
        [("put", "1", ""), ("get", "", "2")],
    ],
    ids=[
        "stale read",
        "lost update",
        "two creations",
        "resurrected object",
        "lost object",
        "two deletions of one object",
        "deletion of another object",
        "a completion after a newer object",
        "read of what was not written",
    ],
)
def test_what_cannot_have_happened_to_an_object_is_found(steps: list[tuple[object, ...]]) -> None:
    assert not is_linearizable(history(*steps), keeps=False)


def test_a_deletion_that_found_nothing_at_first_may_have_come_later() -> None:
    reads = [Operation("get", 1, 2, "", NOTHING), Operation("get", 5, 6, "", "1"), Operation("get", 8, 9, "", NOTHING)]
    put, delete = Operation("put", 3, 4, "1"), Operation("delete", 0, 7)
    assert is_linearizable([*reads, put, delete], keeps=False)
    assert not is_linearizable([*reads, put], keeps=False)


def test_what_was_under_way_at_once_may_have_happened_in_any_order() -> None:
    racing = [Operation("put", 0, 10, value) for value in "123"]
    for first, last in ("12", "31", "23"):
        reads = [Operation("get", 11, 12, "", last), Operation("get version", 11, 12, first, first)]
        assert is_linearizable([*racing, *reads])
    assert not is_linearizable([*racing, Operation("get", 11, 12, "", "1"), Operation("get", 13, 14, "", "2")])
    swaps = [Operation("swap", 20, 30, value, "", "1") for value in "45"]
    assert not is_linearizable([*racing, *swaps])


@pytest.mark.parametrize("seen", [("1",), ("1", "2")])
def test_what_has_no_answer_happened_or_did_not(seen: Versions) -> None:
    steps = (("put", "1", ""), ("put", "2", ""), ("get", "", seen[-1]), ("list", "", seen))
    assert is_linearizable(history(*steps, unanswered=1))
    assert is_linearizable(history(*steps)) == (seen == ("1", "2"))


def test_what_was_seen_once_of_an_operation_without_an_answer_stays() -> None:
    steps = (("put", "1", ""), ("put", "2", ""), ("get", "", "2"), ("get", "", "1"))
    assert not is_linearizable(history(*steps, unanswered=1))
    deleted = (("put", "1", ""), ("delete", "", ""), ("get", "", M), ("list", "", ("1", M)), ("remove", M, ""))
    assert is_linearizable(history(*deleted, ("get", "", "1"), unanswered=1))
    assert not is_linearizable(history(*deleted, ("get", "", M), unanswered=1))


def test_a_delete_marker_of_which_no_answer_told_is_not_taken_for_another() -> None:
    other = Marker("n")
    steps = (("put", "1", ""), ("delete", "", M), ("remove", M, ""), ("delete", "", ""), ("remove", M, ""))
    assert is_linearizable(history(*steps, ("get version", M, MISSING), ("get", "", other), unanswered=3))
    assert not is_linearizable(history(*steps, ("get", "", other), ("get", "", "1"), unanswered=3))


def overlapping(number: int, most: float) -> tuple[list[Operation], Versions]:
    """Operations of which about so many are under way at once, and the versions that they leave."""
    chance = random.Random(number)
    versions: Versions = ()
    done: list[Operation] = []
    for at in range(number):
        value = str(at)
        kinds = [Operation("put", 0, 0, value), Operation("delete", 0, 0, "", Marker(value))]
        kinds.append(Operation("get", 0, 0, "", versions[-1] if versions else NOTHING))
        if versions:
            kinds.append(Operation("remove", 0, 0, chance.choice(versions)))
        each = chance.choice(kinds)
        (versions,) = step(each, versions)
        made = each.kind in ("put", "delete")
        start, end = at - chance.random() * most, at + 0.01 + chance.random() * most
        done.append(Operation(each.kind, start, end, each.value, each.result, id=f"{at:08}" if made else ""))
    return done, versions


def test_histories_of_a_hundred_operations_of_eight_clients_are_judged_soon() -> None:
    done, versions = overlapping(100, 8)
    assert is_linearizable([*done, Operation("list", 200, 201, "", versions)])


def test_in_what_was_under_way_at_once_a_lost_version_is_found() -> None:
    done, versions = overlapping(100, 3)
    for lost in range(0, len(versions), 4):
        seen = versions[:lost] + versions[lost + 1 :]
        assert not is_linearizable([*done, Operation("list", 200, 201, "", seen)])
