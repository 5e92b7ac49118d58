"""How wrong signatures are counted, by a clock."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from zs3.auth import attempts
from zs3.auth.attempts import FREE, MAX_DELAY_S, MAX_REMEMBERED, MAX_WAITING, Attempts

A, B = b"\xc0\0\2\1", b"\xc0\0\2\2"
PAUSES = st.one_of(st.just(0.0), st.floats(0, 5), st.floats(0, 600))


@given(st.lists(PAUSES, max_size=150))
def test_no_more_are_answered_at_once_in_any_time_than_are_free(pauses):
    clock = Clock()
    counted = Attempts(clock.seconds)
    at_once = []
    for pause in pauses:
        clock.advance(pause)
        if counted.wrong(A) == 0:
            at_once.append(clock.seconds())
    for first in range(len(at_once)):
        for last in range(first, len(at_once)):
            assert last - first + 1 <= FREE + (at_once[last] - at_once[first]) * FREE / 60 + 1e-6


@given(st.lists(st.tuples(PAUSES, st.sampled_from([A, B])), max_size=150))
def test_an_address_is_not_slowed_by_what_others_do(sequence):
    clock = Clock()
    both, alone = Attempts(clock.seconds), Attempts(clock.seconds)
    for pause, network in sequence:
        clock.advance(pause)
        delay = both.wrong(network)
        assert 0 <= delay <= MAX_DELAY_S
        if network == A:
            assert delay == alone.wrong(A)


def test_the_delay_grows_to_its_limit_and_two_minutes_later_all_is_forgotten():
    clock = Clock()
    counted = Attempts(clock.seconds)
    delays = [counted.wrong(A) for _ in range(FREE + 50)]
    assert delays == sorted(delays)
    assert delays[FREE - 1] == 0 < delays[FREE]
    assert delays[-1] == MAX_DELAY_S
    clock.advance(120)
    assert [counted.wrong(A) for _ in range(FREE)] == [0] * FREE
    assert counted.wrong(A) > 0


def test_a_clock_that_is_put_back_forgives_nothing_and_adds_nothing():
    clock = Clock()
    clock.advance(1000)
    counted = Attempts(clock.seconds)
    for _ in range(FREE):
        counted.wrong(A)
    clock.rightNow = 10
    assert counted.wrong(A) == attempts.STEP_S


def test_only_so_many_addresses_are_remembered_and_those_of_late():
    counted = Attempts(Clock().seconds)
    for _ in range(FREE):
        counted.wrong(A)
        counted.wrong(B)
    for number in range(MAX_REMEMBERED - 1):
        counted.wrong(b"%016d" % number)
        assert number % 1000 or counted.wrong(B) > 0
    assert counted.wrong(A) == 0, "it was the longest ago"
    assert counted.wrong(B) > 0
    assert len(counted._levels) == MAX_REMEMBERED


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([A, B])), max_size=200))
def test_only_so_many_answers_wait_for_each_address(steps):
    counted, waiting = Attempts(Clock().seconds), {A: 0, B: 0}
    for begin, network in steps:
        if begin:
            assert counted.begin_waiting(network) == (waiting[network] < MAX_WAITING)
            waiting[network] = min(MAX_WAITING, waiting[network] + 1)
        elif waiting[network]:
            counted.end_waiting(network)
            waiting[network] -= 1
    assert counted._waiting == {network: count for network, count in waiting.items() if count}
