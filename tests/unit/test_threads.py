"""The pool of threads: everything is done once, in order, and told to the reactor in batches."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from zs3.threads import Threads


class Reactor:
    """Keeps what threads want called until it is asked to call it."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.woken = threading.Event()

    def call_from_thread(self, call: Callable[[], None]) -> None:
        self.calls.append(call)
        self.woken.set()

    def run(self) -> None:
        while self.calls:
            self.calls.pop(0)()


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def threads(reactor: Reactor) -> Iterator[Threads]:
    threads = Threads(reactor.call_from_thread, 2, "test")
    yield threads
    threads.stop()


def outcomes(*deferreds: Deferred[Any]) -> list[Any]:
    found: list[Any] = []
    for deferred in deferreds:
        deferred.addBoth(found.append)
    return found


def test_results_and_failures_come_by_the_reactor(reactor: Reactor, threads: Threads) -> None:
    good = threads.call(lambda a, b: (a, b, threading.current_thread().name), 1, b=2)
    bad = threads.call(int, "x")
    threads.stop()
    found = outcomes(good, bad)
    assert not found
    reactor.run()
    assert found[0][:2] == (1, 2)
    assert found[0][2].startswith("test-")
    assert found[1].check(ValueError)


def test_what_is_ready_together_wakes_the_reactor_once(reactor: Reactor, threads: Threads) -> None:
    found = outcomes(*(threads.call(int, number) for number in range(100)))
    threads.stop()
    assert len(reactor.calls) == 1
    reactor.run()
    assert sorted(found) == list(range(100))


def test_a_result_that_comes_while_others_are_delivered_is_not_forgotten(reactor: Reactor, threads: Threads) -> None:
    found: list[object] = []

    def one_more(result: object) -> None:
        found.append(result)
        if len(found) < 50:
            threads.call(len, found).addCallback(one_more)

    threads.call(len, found).addCallback(one_more)
    while len(found) < 50:
        assert reactor.woken.wait(60)
        reactor.woken.clear()
        reactor.run()
    assert found == list(range(50))


def test_threads_are_made_as_they_are_needed_and_no_more_than_asked_for(reactor: Reactor, threads: Threads) -> None:
    before = threading.active_count()
    both = threading.Barrier(3)
    deferreds = [threads.call(both.wait, 60) for _ in range(2)]
    both.wait(60)
    deferreds += [threads.call(len, ()) for _ in range(10)]
    assert threading.active_count() == before + 2
    threads.stop()
    assert threading.active_count() == before
    reactor.run()
    assert len(outcomes(*deferreds)) == 12


def test_one_call_after_another_needs_one_thread(reactor: Reactor, threads: Threads) -> None:
    before = threading.active_count()
    for _ in range(5):
        found = outcomes(threads.call(int))
        assert reactor.woken.wait(60)
        reactor.woken.clear()
        reactor.run()
        assert found == [0]
    assert threading.active_count() == before + 1


def test_who_watches_is_told_how_many_calls_have_no_result_yet(reactor: Reactor) -> None:
    told: list[int] = []
    threads = Threads(reactor.call_from_thread, 1, "test", told.append)
    go = threading.Event()
    threads.call(go.wait)
    threads.call(lambda: None)
    assert told == [1, 2]
    go.set()
    threads.stop()
    reactor.run()
    assert told[-1] == 0


def test_a_reactor_that_cannot_be_woken_is_woken_again(reactor: Reactor) -> None:
    refused = [errno.ENOSPC, errno.ENOMEM]

    def call_from_thread(call: Callable[[], None]) -> None:
        # As Twisted does it: what is to be called is noted before the byte is written.
        reactor.calls.append(call)
        if refused:
            raise OSError(refused.pop(), "no byte goes into the pipe")
        reactor.woken.set()

    threads = Threads(call_from_thread, 1, "test")
    for _ in range(2):
        found = outcomes(threads.call(int))
        assert reactor.woken.wait(60)
        reactor.woken.clear()
        reactor.run()
        assert found == [0]
    threads.stop()
    assert not refused
