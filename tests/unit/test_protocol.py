"""The explicit-state model of the store's protocol: nothing goes wrong in a sample, and each rule is needed.

All of it, `python -m proof.protocol`, takes an hour.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proof.protocol.__main__ import FAMILIES
from proof.protocol.filesystem import ENOENT, ROOT, TORN, State, at_rest, call, crashes
from proof.protocol.search import Scenario, explore

#: Of each rule the operations of the threads with which it is soon seen that it is needed.
NEEDED = {
    "objects": {
        "lock": "PUT a; PUT a/b | CREATE a",
        "sync of the file": "PUT a | PUT a/b",
        "sync of the directory": "PUT a | PUT a/b",
        "sync of the way": "PUT a/b | DELETE a",
        "sync before pruning": "PUT a/b/c | DELETE a/b",
        "sync of nothing": "DELETE a/b/c | DELETE a/b | DELETE a/b",
        "sticky": "PUT a | GET a",
        "two passes": "PUT a/b | LIST",
    },
    "versions": {
        "lock": "PUT | PUT",
        "name first": "PUT | PUT",
        "sync of the current": "PUT | REMOVE s0",
        "sync of the older": "PUT | PUT",
        "covers": "DELETE | DELETE",
        "covers the next": "REMOVE s2 | GET",
        "sync before the older goes": "REMOVE s1 | GET",
        "number": "PUT | PUT",
        "sync of the removal": "REMOVE s0 | GET",
        "look again": "REMOVE s1 | GET s0",
    },
    "uploads": {
        "lock": "COMPLETE one | ABORT",
        "intent": "COMPLETE one | ABORT",
        "published once": "COMPLETE two; PUT; COMPLETE two | COMPLETE two",
        "sync": "COMPLETE one | ABORT",
        "moved whole": "COMPLETE one | ABORT",
        "no abort of what is made": "COMPLETE one | GET",
        "sync of the abort": "ABORT | GET",
    },
    "buckets": {
        "nothing else": "DELETE BUCKET | PUT",
        "not made again": "DELETE BUCKET | PUT",
        "id": "DELETE BUCKET; CREATE | GET CONFIGURATION",
        "sync of the name": "CREATE | GET",
        "sync of the way": "PUT | GET",
        "sync before writing": "CREATE | PUT",
        "gone": "DELETE BUCKET | GET CONFIGURATION",
    },
}
EACH = [(family, rule) for family, rules in NEEDED.items() for rule in rules]


def scenarios(family: str, threads: str) -> Iterator[Scenario]:
    """Those of a family with these threads, from each state to begin with."""
    wanted = tuple(tuple(steps.split("; ")) for steps in threads.split(" | "))
    found = [scenario for scenario in FAMILIES[family].scenarios() if scenario.threads == wanted]
    assert found
    yield from found


def test_every_rule_is_taken_out() -> None:
    assert {name: NEEDED[name].keys() for name in NEEDED} == {
        name: each.RULES.keys() for name, each in FAMILIES.items()
    }


@pytest.mark.parametrize(("family", "rule"), EACH)
def test_nothing_goes_wrong_by_the_rules_and_something_without_one(family: str, rule: str) -> None:
    rules = frozenset(FAMILIES[family].RULES)
    missed = False
    for scenario in scenarios(family, NEEDED[family][rule]):
        for journal in (False, True):
            outcome = explore(scenario, rules, journal=journal, most=6000)
            assert not outcome.violations
        missed = missed or bool(explore(scenario, rules - {rule}, most=6000).violations)
    assert missed


def done(*calls: tuple[object, ...]) -> State:
    files = State((("d", (), ()), ("d", (), ())))
    for each in calls:
        files, _ = call(files, each, journal=False)
    return files


def names(files: State) -> list[tuple[tuple[str, int], ...]]:
    return [node[1] for node in files.nodes if node[0] == "d"]


def test_a_crash_keeps_of_each_directory_some_first_changes() -> None:
    files = done(("put", ROOT, "a", "x", True, False), ("put", 1, "b", "x", True, False), ("unlink", ROOT, "a"))
    left = {tuple(map(str, names(each))) for each in crashes(files, journal=False)}
    # a came and went, or only came, or never did; and b came or did not.
    assert left == {("()", "()"), ("()", "(('b', 3),)"), ("(('a', 2),)", "()"), ("(('a', 2),)", "(('b', 3),)")}
    journal = [names(each) for each in crashes(files, journal=True)]
    assert journal == [[(), ()], [(("a", 2),), ()], [(("a", 2),), (("b", 3),)], [(), (("b", 3),)]]
    synced, _ = call(files, ("sync", ROOT), journal=False)
    assert {str(names(each)[0]) for each in crashes(synced, journal=False)} == {"()"}
    assert {len(names(each)[1]) for each in crashes(synced, journal=False)} == {0, 1}


def test_a_crash_keeps_both_halves_of_a_rename_or_none() -> None:
    files = at_rest(done(("put", ROOT, "a", "x", True, False)))
    files, _ = call(files, ("move", ROOT, "a", 1, "b"), journal=False)
    assert [names(each) for each in crashes(files, journal=False)] == [[(("a", 2),), ()], [(), (("b", 2),)]]
    # The sync of one directory brings the other half along.
    files, _ = call(files, ("sync", ROOT), journal=False)
    assert [names(each) for each in crashes(files, journal=False)] == [[(), (("b", 2),)]]


def test_what_was_not_synced_of_a_file_may_be_torn() -> None:
    files, _ = call(done(("put", ROOT, "a", "x", False, False)), ("sync", ROOT), journal=False)
    assert {each.nodes[2][1] for each in crashes(files, journal=False)} == {"x", TORN}


def test_nothing_is_put_into_a_directory_that_is_gone() -> None:
    files = done(("mkdir", ROOT, "a"), ("rmdir", ROOT, "a"))
    assert call(files, ("put", 2, "b", "x", True, False), journal=False) == (files, ENOENT)
