"""Whether the daemon is well: how often is looked, and what becomes of a look that does not end."""

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from zs3.health import FRESH_S, PATIENCE_S, Health
from zs3.store.diskspace import Disk

ROOM = Disk(100, 50, 10, 5)


class Disks:
    """Looks that end when the test says so, or at once."""

    def __init__(self):
        self.looks = 0
        self.pending = []
        self.disk = ROOM
        self.error = None
        self.slow = False
        self.kept = True

    def look(self):
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.disk

    def hop(self, function):
        if not self.slow:
            return execute(function)
        waiting = Deferred().addCallback(lambda _: function())
        self.pending.append(waiting)
        return waiting


@pytest.fixture
def clock():
    clock = Clock()
    clock.rightNow = 1_000_000.0
    return clock


@pytest.fixture
def disks():
    return Disks()


@pytest.fixture
def health(clock, disks):
    return Health(clock, disks.hop, disks.look, lambda: disks.kept)


@pytest.fixture
def logged():
    events = []

    def observe(event):
        if event.get("log_namespace") == "zs3.health":
            events.append((event["log_level"].name, event.get("problem", event["log_format"])))

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def problem(health):
    """What is told at once; None if that is not known yet."""
    found = []
    health.check().addCallback(lambda report: found.append(report.problem))
    return found[0] if found else None


def test_all_is_well_until_something_is_not(health, disks, clock):
    assert problem(health) == ""
    disks.disk = Disk(100, 0, 10, 5, "disk-space")
    clock.advance(FRESH_S)
    assert problem(health) == "disk-space"
    disks.disk = ROOM
    clock.advance(FRESH_S)
    assert problem(health) == ""


def test_however_many_ask_the_disk_is_asked_once_in_a_second(health, disks, clock):
    for _ in range(100):
        assert problem(health) == ""
    assert disks.looks == 1
    clock.advance(FRESH_S)
    for _ in range(100):
        problem(health)
    assert disks.looks == 2


def test_all_who_ask_meanwhile_get_what_one_look_finds(health, disks):
    disks.slow = True
    found = []
    for _ in range(5):
        health.check().addCallback(found.append)
    assert (found, disks.looks, len(disks.pending)) == ([], 0, 1)
    disks.pending[0].callback(None)
    assert [each.disk for each in found] == [ROOM] * 5


def test_a_disk_that_does_not_answer_holds_one_thread_and_no_more(health, disks, clock):
    disks.slow = True
    assert problem(health) is None
    clock.advance(PATIENCE_S)
    for _ in range(10):
        clock.advance(10)
        assert problem(health) == "stuck"
    assert len(disks.pending) == 1
    disks.pending.pop().callback(None)
    assert problem(health) == ""
    assert not clock.getDelayedCalls()


def test_who_waits_for_a_disk_that_does_not_answer_is_told_in_time(health, disks, clock):
    disks.slow = True
    found = []
    health.check().addCallback(found.append)
    clock.advance(PATIENCE_S - 0.1)
    assert found == []
    clock.advance(0.1)
    assert [(each.problem, each.disk) for each in found] == [("stuck", None)]


def test_a_disk_that_answers_with_an_error_is_an_io_error(health, disks):
    disks.error = OSError(5, "Input/output error")
    assert problem(health) == "io-error"


def test_an_fsync_that_failed_is_never_forgotten(health, disks, clock):
    assert problem(health) == ""
    disks.kept = False
    # At once, not when it is looked again.
    assert problem(health) == "io-error"
    clock.advance(1000)
    assert problem(health) == "io-error"


def test_what_another_worker_has_seen_fail_has_failed(health, clock):
    assert problem(health) == ""
    health.fail()
    assert problem(health) == "io-error"
    clock.advance(1000)
    assert problem(health) == "io-error"


def test_a_clock_that_is_set_back_makes_nothing_fresh(health, disks, clock):
    problem(health)
    clock.rightNow -= 3600
    problem(health)
    assert disks.looks == 2


def test_a_change_is_logged_once(health, disks, clock, logged):
    for disk in (ROOM, Disk(problem="not-there"), Disk(problem="not-there"), ROOM, ROOM):
        disks.disk = disk
        clock.advance(FRESH_S)
        problem(health)
    assert logged == [("error", "not-there"), ("info", "ready again")]


def test_the_watchdog_does_not_wait_and_logs_what_is_wrong(health, disks, clock, logged):
    disks.slow = True
    for _ in range(3):
        assert health.beat().called
        clock.advance(30)
    assert logged == [("error", "stuck")]
    disks.pending.pop().callback(None)
