"""The timer of a connection."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from zs3.web.limits import Deadline


class Timer:
    def __init__(self) -> None:
        self.clock = Clock()
        self.expired: list[float] = []
        self.deadline = Deadline(self.clock, lambda: self.expired.append(self.clock.seconds()))

    def run(self, seconds: int) -> None:
        for _ in range(seconds * 2):
            self.clock.advance(0.5)


@pytest.fixture
def timer() -> Timer:
    return Timer()


def test_deadline_expires_once(timer: Timer) -> None:
    timer.deadline.set(10)
    timer.run(100)
    assert timer.expired == [10]
    assert timer.clock.getDelayedCalls() == []


def test_deadline_can_be_moved_on(timer: Timer) -> None:
    timer.deadline.set(10)
    timer.run(9)
    timer.deadline.set(10)
    timer.run(100)
    assert timer.expired == [19]


def test_deadline_can_be_moved_back(timer: Timer) -> None:
    timer.deadline.set(10)
    timer.deadline.set(3)
    timer.run(100)
    assert timer.expired == [3]


def test_cleared_deadline_does_not_expire(timer: Timer) -> None:
    timer.deadline.set(10)
    timer.deadline.clear()
    timer.run(100)
    assert timer.expired == []


def test_cleared_deadline_can_be_set_again(timer: Timer) -> None:
    timer.deadline.set(10)
    timer.deadline.clear()
    timer.run(5)
    timer.deadline.set(10)
    timer.run(100)
    timer.deadline.set(7)
    timer.run(100)
    assert timer.expired == [15, 112]


def test_moving_a_deadline_makes_no_calls(timer: Timer) -> None:
    timer.deadline.set(10)
    (call,) = timer.clock.getDelayedCalls()
    for _ in range(5):
        timer.run(1)
        timer.deadline.clear()
        timer.deadline.set(10)
    assert timer.clock.getDelayedCalls() == [call]
    assert call.getTime() == 10


def test_stopped_deadline_leaves_nothing_behind(timer: Timer) -> None:
    timer.deadline.set(10)
    timer.deadline.stop()
    timer.deadline.stop()
    assert timer.clock.getDelayedCalls() == []
