"""How connections and requests are counted by address, by a clock."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from zs3.addresses import Networks
from zs3.web import admission
from zs3.web.admission import CONNECTIONS_PER_ADDRESS, MOST_WAIT_S, REQUESTS_PER_ADDRESS, Admission, Rate

A, B = b"\xc0\0\2\1", b"\xc0\0\2\2"
PAUSES = st.one_of(st.just(0.0), st.floats(0, 2), st.floats(0, 60))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([A, B])), max_size=60), st.integers(1, 4))
def test_no_address_has_more_connections_than_it_may(sequence: list[tuple[bool, bytes]], limit: int) -> None:
    counted = Admission(Clock().seconds, connections=limit)
    there: Counter[bytes] = Counter()
    for comes, network in sequence:
        if comes:
            refusal = "" if there[network] < limit else CONNECTIONS_PER_ADDRESS
            assert counted.refusal(network) == counted.enter(network) == refusal
            there[network] += not refusal
        elif there[network]:
            counted.leave(network)
            there[network] -= 1
        assert all(count <= limit for count in there.values())
    for network in there.elements():
        counted.leave(network)
    assert not counted._clients


@given(st.lists(PAUSES, max_size=100), st.floats(0.2, 50), st.integers(1, 20))
def test_no_more_requests_have_their_turn_in_any_time_than_may(
    pauses: list[float], per_second: float, burst: int
) -> None:
    clock = Clock()
    counted = Admission(clock.seconds, requests=Rate(per_second, burst))
    counted.enter(A)
    turns = [clock.seconds()]
    for pause in pauses:
        clock.advance(pause)
        seconds = counted.turn(A)
        assert 0 <= seconds <= MOST_WAIT_S or seconds == math.inf
        if seconds <= MOST_WAIT_S:
            turns.append(clock.seconds() + seconds)
    assert turns == sorted(turns), "who came first is served first"
    for first in range(len(turns)):
        for last in range(first, len(turns)):
            assert last - first + 1 <= burst + (turns[last] - turns[first]) * per_second + 1 + 1e-6


@given(st.lists(st.tuples(PAUSES, st.sampled_from([A, B])), max_size=100))
def test_an_address_does_not_wait_for_what_others_do(sequence: list[tuple[float, bytes]]) -> None:
    clock = Clock()
    both, alone = (Admission(clock.seconds, requests=Rate(1, 3)) for _ in range(2))
    for each in (both, alone):
        each.enter(A)
    both.enter(B)
    for pause, network in sequence:
        clock.advance(pause)
        seconds = both.turn(network)
        if network == A:
            assert seconds == alone.turn(A)


def test_requests_wait_for_their_turn_and_are_refused_where_that_is_too_far_off(clock: Clock) -> None:
    counted = Admission(clock.seconds, requests=Rate(2, 3))
    counted.enter(A)  # counts as one
    assert [counted.turn(A) for _ in range(13)] == [0, 0, *(number / 2 for number in range(1, 11)), math.inf]
    assert counted.refusal(A) == REQUESTS_PER_ADDRESS
    clock.advance(0.5)
    assert not counted.refusal(A)
    assert [counted.turn(A), counted.turn(A)] == [5.0, math.inf]
    clock.advance(3600)
    assert [counted.turn(A) for _ in range(4)] == [0, 0, 0, 0.5]


def test_going_and_coming_again_forgives_nothing(clock: Clock) -> None:
    counted = Admission(clock.seconds, requests=Rate(1, 2))
    entered = 0
    while not counted.enter(A):
        counted.leave(A)
        entered += 1
    assert entered == 2 + MOST_WAIT_S
    clock.advance(1)
    assert not counted.enter(A)


def test_what_is_remembered_of_who_is_gone_has_a_bound(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_REMEMBERED", 10)
    monkeypatch.setattr(admission, "_MAX_KNOWN", 10)
    counted = Admission(clock.seconds, requests=Rate(0.001, 1))
    for number in range(100):
        network = counted.network(f"192.0.2.{number}")
        assert network is not None
        assert not counted.enter(network)
        counted.leave(network)
        assert len(counted._gone) <= 10
        assert len(counted._known) <= 10
    assert not counted._clients
    # The last ones are.
    assert counted.refusal(network) == REQUESTS_PER_ADDRESS


def test_a_client_that_waited_long_enough_is_not_remembered(clock: Clock) -> None:
    counted = Admission(clock.seconds, requests=Rate(1, 2))
    counted.enter(A)
    clock.advance(10)
    counted.leave(A)
    assert not counted._clients
    assert not counted._gone


def test_a_clock_that_is_put_back_gives_nothing_and_takes_nothing(clock: Clock) -> None:
    clock.advance(1000)
    counted = Admission(clock.seconds, requests=Rate(1, 3))
    counted.enter(A)
    clock.rightNow = 10
    assert [counted.turn(A) for _ in range(3)] == [0, 0, 1]


def test_what_is_not_limited_is_not_counted(clock: Clock) -> None:
    nothing = Admission(clock.seconds, unlimited=Networks(["::/0"]))
    assert nothing.network("192.0.2.1") is None
    assert not nothing.limits_requests
    some = Admission(clock.seconds, connections=1, unlimited=Networks(["192.0.2.0/28", "2001:db8::/32"]))
    assert not some.limits_requests
    for host in (None, "", "/run/zs3.sock", "192.0.2.15", "::ffff:192.0.2.1", "2001:db8::1"):
        assert some.network(host) is None
    assert some.network("192.0.2.16") == b"\xc0\0\2\x10"
    assert some.network("::ffff:192.0.2.16") == b"\xc0\0\2\x10"
    assert some.network("2001:db9::1") == some.network("2001:db9::2") != some.network("2001:db9:0:1::1")


@pytest.mark.parametrize(
    ("text", "rate"),
    [("0", (0, 1)), ("0.5", (0.5, 1)), ("20", (20, 20)), ("20:100", (20, 100)), ("0.001:1", (0.001, 1))],
)
def test_a_rate(text: str, rate: tuple[float, float]) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "-1", "1:", ":1", "1:0", "1:0.5", "1e3", "x", "1:2:3", "1 ", "\u0661", "9999999"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"is needed|at least"):
        Rate.parse(text)


def test_pairs_of_turns_are_apart_as_the_rate_says(clock: Clock) -> None:
    counted = Admission(clock.seconds, requests=Rate(4, 1))
    counted.enter(A)
    turns = [counted.turn(A) for _ in range(10)]
    assert [later - earlier for earlier, later in pairwise(turns)] == [0.25] * 9
