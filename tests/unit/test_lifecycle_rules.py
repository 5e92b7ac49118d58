"""Lifecycle rules: which objects they are about, and what they lead to."""

import json
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.lifecycle.evaluation import Day, Due, Place, Placing, Verdict, Version, What, abortion, expiry, judge
from zs3.lifecycle.rules import LIFECYCLE, Filter, Lifecycle, Rule, kept, lifecycle_of, prefixes
from zs3.store.values import COMPLIANCE, GOVERNANCE, Lock

S = 1_000_000_000
DAY = 86_400 * S
#: 2026-01-15 10:30 UTC
MADE = 1_768_473_000 * S
MIDNIGHT = MADE // DAY * DAY
REAL, SHORT = Day(), Day(10)
OBJECT = Version("logs/a", MADE, size=100, etag="e", tags={"kind": "log"})


def verdicts(rules, versions, now_ns, *, day=SHORT, versioned=True):
    """What becomes of the versions of some keys, by number."""
    placing = Placing()
    placed = [*placing.add(versions), *placing.end()]
    assert [version for version, _ in placed] == list(versions)
    found = (judge(rules, version, place, now_ns, day, versioned=versioned) for version, place in placed)
    return {number: verdict for number, verdict in enumerate(found) if verdict is not None}


def history(*kinds, key="logs/a", step=20 * S):
    """The versions of a key, the current one first, each `step` older: "o" for an object, "d" for a delete marker."""
    return [
        Version(
            key,
            MADE - number * step,
            version=f"v{number}",
            is_delete_marker=kind == "d",
            size=0 if kind == "d" else 100,
            is_latest=number == 0,
        )
        for number, kind in enumerate(kinds)
    ]


# When


def test_real_days_end_at_midnight():
    # The example of the User Guide: made on the 15th at 10:30, after three days it is due on the 19th.
    assert REAL.after(MADE, 3) == MIDNIGHT + 4 * DAY
    assert REAL.after(MIDNIGHT, 3) == MIDNIGHT + 3 * DAY
    assert REAL.after(MIDNIGHT + 1, 3) == MIDNIGHT + 4 * DAY


def test_short_days_are_just_so_long():
    assert Day(2.5).after(MADE + 1, 3) == MADE + 1 + 7_500_000_000


@given(st.integers(0, 4 * 10**18), st.integers(1, 2**31 - 1), st.sampled_from([REAL, SHORT, Day(0.5)]))
def test_nothing_is_due_before_its_days_have_passed(start, days, day):
    due = day.after(start, days)
    length = days * round(day.seconds * S)
    assert due >= start + length
    assert due % DAY == 0 if day.is_real else due == start + length
    assert day.after(start + 1, days) >= due


# Which


@pytest.mark.parametrize(
    ("about", "covered"),
    [
        (Filter(), True),
        (Filter("logs/"), True),
        (Filter("log/"), False),
        (Filter(tags=(("kind", "log"),)), True),
        (Filter(tags=(("kind", "log"), ("x", ""))), False),
        (Filter(tags=(("kind", "other"),)), False),
        (Filter(larger_than=99, smaller_than=101), True),
        (Filter(larger_than=100), False),
        (Filter(smaller_than=100), False),
        (Filter("logs/", (("kind", "log"),), 99, 101), True),
        (Filter("x", (("kind", "log"),), 99, 101), False),
    ],
)
def test_a_filter_covers_what_meets_all_of_it(about, covered):
    assert about.covers(OBJECT.key, OBJECT.size, OBJECT.tags) is covered


def test_what_must_be_listed_is_no_more_than_the_prefixes():
    rules = [Rule(str(number), filter=Filter(prefix)) for number, prefix in enumerate(["b/", "a/x", "a/", "é", "b/"])]
    assert prefixes(rules) == ["a/", "b/", "é"]
    assert prefixes([*rules, Rule("all")]) == [""]
    assert prefixes([]) == []


# What


def test_an_object_expires_by_the_first_rule_that_lets_it():
    rules = [
        Rule("later", days=9),
        Rule("x", days=1, filter=Filter("x")),
        Rule("sooner", days=2),
        Rule("abort", abort_days=1),
    ]
    assert verdicts(rules, [OBJECT], MADE + 20 * S - 1) == {}
    assert verdicts(rules, [OBJECT], MADE + 20 * S) == {0: Verdict(What.EXPIRE, "sooner")}
    expected = Due(MADE + 20 * S, "sooner")
    assert expiry(rules, OBJECT.key, OBJECT.size, OBJECT.tags, OBJECT.mtime_ns, SHORT) == expected


def test_a_date_is_for_what_is_made_after_it_too():
    rules = [Rule("date", date_s=MIDNIGHT // S)]
    assert verdicts(rules, [OBJECT], MIDNIGHT - 1) == {}
    assert verdicts(rules, [OBJECT], MADE) == {0: Verdict(What.EXPIRE, "date")}
    assert expiry(rules, "a", 0, {}, MADE, REAL) == Due(MIDNIGHT, "date")


def test_nothing_of_a_key_whose_current_version_is_a_delete_marker_expires():
    assert verdicts([Rule("days", days=1)], history("d", "o", "o"), MADE + 99 * S) == {}


def test_versions_are_removed_so_long_after_the_next_one_was_made():
    versions = history("o", "o", "d", "o")
    rules = [Rule("old", noncurrent_days=4)]
    assert verdicts(rules, versions, MADE) == {number: Verdict(What.REMOVE, "old") for number in (3,)}
    assert verdicts(rules, versions, MADE + 20 * S).keys() == {2, 3}
    assert verdicts(rules, versions, MADE + 40 * S).keys() == {1, 2, 3}


def test_the_newest_of_the_versions_that_are_not_current_are_kept_whatever_their_age():
    versions = history("o", "o", "d", "o", "o", "o")
    rules = [Rule("old", noncurrent_days=1, newer_versions=2)]
    # Delete markers do not count: they hold nothing that could be had back.
    assert verdicts(rules, versions, MADE + 10**6 * S).keys() == {4, 5}


def test_a_file_with_an_old_time_in_place_of_a_newer_one_does_not_age_it():
    versions = [replace(OBJECT, mtime_ns=0, version="now"), replace(OBJECT, version="before", is_latest=False)]
    rules = [Rule("old", noncurrent_days=1)]
    assert verdicts(rules, versions, MADE + 10 * S - 1) == {}
    assert verdicts(rules, versions, MADE + 10 * S).keys() == {1}


@pytest.mark.parametrize("rule", [Rule("r", expired_markers=True), Rule("r", days=1), Rule("r", date_s=MADE // S)])
def test_a_delete_marker_goes_once_it_is_alone(rule):
    assert verdicts([rule], history("d"), MADE + 10 * S) == {0: Verdict(What.REMOVE_MARKER, "r")}
    assert verdicts([rule], history("d", "d"), MADE + 10 * S) == {}
    assert verdicts([rule], [*history("d"), *history("d", key="logs/b")], MADE + 10 * S).keys() == {0, 1}


def test_a_delete_marker_stays_where_no_rule_is_about_it():
    rules = [
        Rule("said", expired_markers=False),
        Rule("tags", days=1, filter=Filter(tags=(("a", "b"),))),
        Rule("size", days=1, filter=Filter(larger_than=0)),
        Rule("old", noncurrent_days=1),
        Rule("young", days=9),
    ]
    assert verdicts(rules, history("d"), MADE + 10 * S) == {}


def test_a_version_whose_place_is_not_known_stays():
    rules = [Rule("all", days=1, noncurrent_days=1, expired_markers=True)]
    assert verdicts(rules, history("o", "o")[1:], MADE + 999 * S) == {}
    assert verdicts(rules, history("d", "d")[1:], MADE + 999 * S) == {}
    assert judge(rules, OBJECT, Place(MADE), MADE + 999 * S, SHORT, versioned=True) is None


@pytest.mark.parametrize(
    "lock", [Lock(legal_hold=True), Lock(GOVERNANCE, MADE + 10**6 * S), Lock(COMPLIANCE, MADE + 10**6 * S)]
)
def test_what_is_locked_is_not_removed(lock):
    rules = [Rule("all", days=1, noncurrent_days=1)]
    versions = [replace(version, lock=lock) for version in history("o", "o")]
    # A delete marker before it takes nothing away.
    assert verdicts(rules, versions, MADE + 999 * S) == {0: Verdict(What.EXPIRE, "all")}
    assert verdicts(rules, versions, MADE + 999 * S, versioned=False) == {}
    if lock.until_ns:
        assert verdicts(rules, versions, lock.until_ns, versioned=False).keys() == {0, 1}


def test_an_upload_is_aborted_by_the_first_rule_that_lets_it():
    rules = [
        Rule("x", abort_days=1, filter=Filter("x")),
        Rule("9", abort_days=9),
        Rule("2", abort_days=2),
        Rule("d", days=1),
    ]
    assert abortion(rules, "a", MADE, REAL) == Due(MIDNIGHT + 3 * DAY, "2")
    assert abortion(rules[:1], "a", MADE, REAL) is None


# Laws


TAGS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))
FILTERS = st.builds(
    Filter,
    st.none() | st.sampled_from(["", "k", "k/", "l"]),
    TAGS.map(lambda tags: tuple(sorted(tags.items()))),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(1, 4),
)
DAYS = st.none() | st.integers(1, 5)
RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from(["r1", "r2", "r3"]),
        st.booleans(),
        FILTERS,
        st.booleans(),
        DAYS,
        st.none() | st.integers(0, 60),
        st.none() | st.booleans(),
        DAYS,
        st.none() | st.integers(1, 3),
        DAYS,
    ),
    max_size=4,
)
LOCKS = st.builds(Lock, st.just(GOVERNANCE), st.integers(0, 100 * S), st.booleans())


@st.composite
def versions_of_keys(draw):
    found = []
    for key in ["k/1", "k/2", "l"]:
        kinds = draw(st.lists(st.booleans(), max_size=5))
        for number, marker in enumerate(kinds):
            found.append(
                Version(
                    key,
                    draw(st.integers(0, 60 * S)),
                    0 if marker else draw(st.integers(0, 4)),
                    "" if marker else "e",
                    {} if marker else draw(TAGS),
                    Lock() if marker else draw(LOCKS),
                    f"v{number}",
                    marker,
                    number == 0,
                )
            )
    return found


NOW = st.integers(0, 200 * S)
DAY_LENGTHS = st.sampled_from([REAL, SHORT])


@given(RULES, versions_of_keys(), NOW, NOW, DAY_LENGTHS, st.booleans())
def test_later_nothing_is_left_that_would_have_gone_before(rules, versions, now, more, day, versioned):
    before = verdicts(rules, versions, now, day=day, versioned=versioned)
    after = verdicts(rules, versions, now + more, day=day, versioned=versioned)
    assert before.keys() <= after.keys()


@given(RULES, versions_of_keys(), NOW, DAY_LENGTHS, st.booleans(), st.integers(0, 3))
def test_without_a_rule_nothing_more_goes(rules, versions, now, day, versioned, which):
    fewer = rules[:which] + rules[which + 1 :]
    all_of_them = verdicts(rules, versions, now, day=day, versioned=versioned)
    assert verdicts(fewer, versions, now, day=day, versioned=versioned).keys() <= all_of_them.keys()


@given(RULES, versions_of_keys(), NOW, DAY_LENGTHS, st.booleans())
def test_what_goes_is_what_may(rules, versions, now, day, versioned):
    keys = [version.key for version in versions]
    for number, (what, name) in verdicts(rules, versions, now, day=day, versioned=versioned).items():
        version = versions[number]
        # What is current and an object goes by Expiration alone, and what is not by none.
        assert version.is_latest == (what is not What.REMOVE)
        if what is What.REMOVE_MARKER:
            assert version.is_delete_marker
            assert keys.count(version.key) == 1
        if what is not What.EXPIRE or not versioned:
            assert not version.lock.protects(now, bypass=False)
        assert any(rule.id == name and rule.filter.covers(version.key, version.size, version.tags) for rule in rules)


@given(RULES, versions_of_keys(), NOW)
def test_an_object_expires_when_it_was_said(rules, versions, now):
    for version in versions:
        if version.is_latest and not version.is_delete_marker:
            due = expiry(rules, version.key, version.size, version.tags, version.mtime_ns, SHORT)
            goes = judge(rules, version, Place(), now, SHORT, versioned=True) is not None
            assert goes == (due is not None and due.at_ns <= now)


@given(versions_of_keys(), st.lists(st.integers(0, 15), max_size=4))
def test_places_do_not_depend_on_where_the_pages_end(versions, ends):
    def placed(cuts):
        placing = Placing()
        for first, last in zip([0, *cuts], [*cuts, len(versions)], strict=True):
            yield from placing.add(versions[first:last])
        yield from placing.end()

    assert list(placed(sorted(min(each, len(versions)) for each in ends))) == list(placed([]))


# As kept


@given(RULES)
def test_what_is_kept_is_what_was_said(rules):
    lifecycle = Lifecycle(tuple(rules), "varies_by_storage_class")
    assert lifecycle_of({LIFECYCLE: kept(lifecycle)}) == lifecycle
    assert lifecycle.enabled == tuple(rule for rule in rules if rule.enabled)


def test_without_a_configuration_there_are_no_rules():
    assert lifecycle_of({}).rules == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"rules":[{}],"minimum_size":""}', json.dumps({"rules": [{"id": "a", "filter": 1}]})]
)
def test_damaged_rules_are_no_rules_but_an_error(text):
    with pytest.raises(ValueError, match="damaged"):
        lifecycle_of({LIFECYCLE: text})


def test_many_large_configurations_take_little_memory():
    """Whoever may configure a bucket may replace it as often as they like."""
    tags = tuple((f"name{number}", "value") for number in range(9))
    rules = tuple(Rule(str(number), filter=Filter("logs/", tags), days=1) for number in range(1000))
    text = kept(Lifecycle(rules))
    tracemalloc.start()
    try:
        for number in range(30):
            assert lifecycle_of({LIFECYCLE: text.replace("logs/", f"logs{number}/")}).enabled
        assert tracemalloc.get_traced_memory()[0] < 24 << 20
    finally:
        tracemalloc.stop()
