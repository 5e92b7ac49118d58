"""Delivery: each entry in its order until the target has taken it, by one at a time, and no timer when idle."""

import errno
import json
import os

import pytest
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from zs3.events.announcer import Announcer, Appender, Numbers
from zs3.events.delivery import LAST_PAUSE_S, Delivery, pause_after
from zs3.events.queue import Lock, Writer, pending
from zs3.events.records import OUTSIDE, Event
from zs3.events.rules import Rule, kept
from zs3.events.targets import Target
from zs3.store.durability import Durability
from zs3.store.internals import Internals

FOREVER = 1 << 62


class Webhook:
    """A target in this process.

    :ivar sending: what waits for `answer`.
    """

    def __init__(self, batch=1):
        self.target = Target("hook", "http://h", batch=batch)
        self.sending = []
        self.closed = False

    def send(self, message):
        deferred = Deferred()
        self.sending.append((json.loads(message)["Records"], deferred))
        return deferred

    def answer(self, error=None):
        records, deferred = self.sending.pop(0)
        if error is None:
            deferred.callback(None)
        else:
            deferred.errback(Failure(error))
        return records

    def close(self):
        self.closed = True
        return succeed(None)


class Place:
    def __init__(self, data):
        self.directory = os.path.join(os.fsencode(data), b"q")
        self.internals = Internals(os.fsencode(data), Durability(enabled=False, report=lambda _: None))
        self.clock = Clock()
        self.writer = Writer(self.directory, self.internals, 1 << 20)
        self.number = 0

    def append(self, *values):
        for value in values:
            self.number += 1
            self.writer.append([(self.number, json.dumps(value).encode())])

    def delivery(self, webhook):
        return Delivery(self.directory, self.internals, webhook, self.clock, execute, now=lambda: FOREVER)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_each_is_sent_when_the_one_before_was_taken(place):
    webhook = Webhook()
    delivery = place.delivery(webhook)
    place.append(1, 2)
    delivery.wake()
    assert len(webhook.sending) == 1
    assert webhook.answer() == [1]
    place.append(3)
    delivery.wake()
    assert [webhook.answer(), webhook.answer()] == [[2], [3]]
    assert not webhook.sending
    assert not pending(place.directory)
    assert place.clock.getDelayedCalls() == []


def test_several_go_together_where_the_target_takes_them(place):
    webhook = Webhook(batch=3)
    place.append(*range(7))
    place.delivery(webhook).wake()
    assert [webhook.answer() for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_what_was_not_taken_is_sent_again_with_longer_and_longer_pauses(place):
    webhook = Webhook()
    place.append("a", "b")
    place.delivery(webhook).wake()
    pauses = []
    for _ in range(12):
        assert webhook.answer(ConnectError()) == ["a"]
        (call,) = place.clock.getDelayedCalls()
        pauses.append(call.getTime() - place.clock.seconds())
        place.clock.advance(pauses[-1])
    assert pauses[0] <= 1
    assert 0.8 * LAST_PAUSE_S <= pauses[-1] <= LAST_PAUSE_S
    assert webhook.answer() == ["a"]
    assert webhook.answer() == ["b"]
    assert place.clock.getDelayedCalls() == []


def test_pauses_never_grow_beyond_the_last():
    assert all(0 < pause_after(tries) <= LAST_PAUSE_S for tries in range(1, 10_000, 7))


def test_one_of_two_delivers_and_the_other_takes_over_when_it_is_gone(place):
    place.append("a")
    dead = Lock(place.directory, place.internals)
    assert dead.acquire()
    webhook = Webhook()
    place.delivery(webhook).wake()
    assert not webhook.sending
    dead.release()
    place.clock.advance(LAST_PAUSE_S)
    assert webhook.answer() == ["a"]
    assert place.clock.getDelayedCalls() == []


def test_what_was_appended_as_the_lock_was_given_back_is_not_forgotten(place):
    webhook = Webhook()
    delivery = place.delivery(webhook)
    place.append("a")
    release = delivery._lock.release

    def late():
        if place.number == 1:
            place.append("b")  # by another process, which did not get the lock
        release()

    delivery._lock.release = late
    delivery.wake()
    assert webhook.answer() == ["a"]
    assert webhook.answer() == ["b"]


def test_damage_is_passed_over_once(place):
    webhook = Webhook()
    delivery = place.delivery(webhook)
    place.append("a", "b")
    (name,) = (each for each in os.listdir(place.directory) if each.endswith(b".events"))
    with open(os.path.join(place.directory, name), "r+b") as file:
        text = file.read()
        file.seek(text.index(b'"b"'))
        file.write(b"xxx")
    delivery.wake()
    assert webhook.answer() == ["a"]
    assert not pending(place.directory)
    place.append("c")
    delivery.wake()
    assert webhook.answer() == ["c"]


def test_what_was_under_way_at_the_end_is_sent_by_the_next(place):
    webhook = Webhook()
    delivery = place.delivery(webhook)
    place.append("a", "b")
    delivery.wake()
    ended = []
    delivery.stop().addCallback(ended.append)
    assert not ended
    assert webhook.answer() == ["a"]
    assert ended
    assert webhook.closed
    assert not webhook.sending
    place.delivery(later := Webhook()).wake()
    assert later.answer() == ["b"]


def test_a_target_that_never_answers_does_not_hold_up_the_end(place):
    webhook = Webhook()
    delivery = place.delivery(webhook)
    place.append("a")
    delivery.wake()
    ended = []
    delivery.stop().addCallback(ended.append)
    place.clock.advance(5)
    assert ended
    place.delivery(later := Webhook()).wake()
    assert later.answer() == ["a"]


def test_the_end_does_not_wait_for_the_next_try(place):
    webhook = Webhook()
    delivery = place.delivery(webhook)
    place.append("a")
    delivery.wake()
    webhook.answer(ConnectError())
    ended = []
    delivery.stop().addCallback(ended.append)
    assert ended
    assert place.clock.getDelayedCalls() == []


def test_a_disk_that_fails_for_a_while_holds_up_what_waits_no_longer_than_that(place, monkeypatch):
    webhook = Webhook()
    place.append("a", "b")
    place.delivery(webhook).wake()
    with monkeypatch.context() as broken:
        broken.setattr(place.internals, "write_file", lambda *_, **__: _fail(errno.EIO))
        webhook.answer()
    (call,) = place.clock.getDelayedCalls()
    place.clock.advance(call.getTime() - place.clock.seconds())
    # The first one again: nobody could take note that it was taken.
    assert [webhook.answer(), webhook.answer()] == [["a"], ["b"]]
    assert not pending(place.directory)
    assert place.clock.getDelayedCalls() == []


# Announcing


ARN = "arn:aws:sqs:us-east-1:000000000000:hook"
CONFIGURED = {"notification": kept([Rule("r", "Queue", ARN, ("s3:ObjectCreated:*",), suffix=".jpg")])}


def event(key, name="ObjectCreated:Put"):
    return Event(name, "photos", key, OUTSIDE, 1, "e")


class Slow:
    """A hop whose work is done when it is told."""

    def __init__(self):
        self.waiting = []

    def __call__(self, f, *args):
        deferred = Deferred()
        self.waiting.append((deferred, f, args))
        return deferred

    def work(self):
        deferred, f, args = self.waiting.pop(0)
        execute(f, *args).chainDeferred(deferred)


def test_what_comes_while_the_disk_is_busy_is_appended_together(place):
    hop, appended = Slow(), []
    appender = Appender(place.writer, hop, appended.append)
    announcer = Announcer({"hook": appender}.get, "eu-x")
    done = []
    for key in ("a.jpg", "b.jpg", "c.txt", "d.jpg"):
        announcer.announce(CONFIGURED, "default", [event(key)]).addCallback(lambda _, key=key: done.append(key))
    assert done == ["c.txt"]
    assert len(hop.waiting) == 1
    hop.work()
    assert done == ["c.txt", "a.jpg"]
    hop.work()
    assert done == ["c.txt", "a.jpg", "b.jpg", "d.jpg"]
    assert hop.waiting == []
    assert appended == [0, 0]


def test_a_file_is_not_closed_while_it_is_written_to(place):
    hop, done = Slow(), []
    appender = Appender(place.writer, hop, lambda _: None)
    for number in (1, 2):
        appender.append([(number, b"x")]).addCallbacks(lambda _: done.append("kept"), done.append)
    place.writer.append([(0, b"x")])
    appender.close()
    assert place.writer._fd >= 0
    hop.work()
    hop.work()
    assert done == ["kept", "kept"]
    assert place.writer._fd < 0
    appender.append([(3, b"x")])
    hop.work()
    assert place.writer._fd >= 0


def test_an_event_that_cannot_be_kept_fails_nothing_and_is_counted(place):
    def full(_f, *_args):
        return execute(_fail, errno.ENOSPC)

    announcer = Announcer({"hook": Appender(place.writer, full, lambda _: None)}.get, "eu-x")
    done = []
    announcer.announce(CONFIGURED, "default", [event("a.jpg"), event("b.jpg")]).addCallback(done.append)
    assert done == [None]
    assert announcer.failed == 2


def _fail(code):
    raise OSError(code, os.strerror(code))


def test_numbers_ascend_also_when_the_clock_goes_back():
    times = iter([5, 3, 3, 9])
    numbers = Numbers(lambda: next(times))
    assert [numbers.next() for _ in range(4)] == [5, 6, 7, 9]
