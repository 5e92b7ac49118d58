"""The messages between a parent and a worker."""

import threading

import pytest
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE

from zs3.messages import MessageChannel, socket_pair


@pytest.fixture
def pair():
    channels = [MessageChannel(each) for each in socket_pair()]
    yield channels
    for each in channels:
        each.close()


def test_messages_arrive_one_by_one_and_whole(pair):
    one, other = pair
    assert IReadDescriptor.providedBy(one)
    assert one.send("log", "info", "zs3.x", "two\nlines – ü\udcff")
    assert one.send("pong")
    assert other.receive() == ["log", "info", "zs3.x", "two\nlines – ü\udcff"]
    got = []
    other.received = got.append
    assert other.doRead() is None
    assert got == [["pong"]]


def test_the_end_is_told_once_and_after_all_that_was_sent(pair):
    one, other = pair
    events = []
    other.received = events.append
    other.ended = lambda: events.append("ended")
    one.send("ready")
    one.close()
    assert other.doRead() is None
    assert other.doRead() is CONNECTION_DONE
    assert other.doRead() is CONNECTION_DONE
    other.connectionLost(None)
    assert events == [["ready"], "ended"]
    with pytest.raises(EOFError):
        other.receive()


def test_a_reactor_that_stops_is_not_the_end(pair):
    events = []
    pair[0].ended = lambda: events.append("ended")
    pair[0].connectionLost(None)
    assert events == []


def test_what_cannot_be_sent_is_lost_and_nobody_waits(pair):
    one, other = pair
    while one.send("log", "info", "zs3", "x" * 10_000):
        pass
    assert other.receive()[0] == "log"
    other.close()
    assert not one.send("pong")
    with pytest.raises(EOFError):
        one.receive()


def test_the_rest_is_read_without_waiting(pair):
    one, other = pair
    got = []
    other.received = got.append
    one.send("log", "1")
    one.send("log", "2")
    other.read_rest()  # the other end is still open
    assert got == [["log", "1"], ["log", "2"]]
    one.send("log", "3")
    one.close()
    other.read_rest()
    assert got[2:] == [["log", "3"]]


def test_the_last_words_of_one_that_did_not_listen_are_heard(pair):
    one, other = pair
    got = []
    other.received = got.append
    other.ended = lambda: got.append("ended")
    other.send("ping")
    one.send("log", "1")
    one.close()
    other.read_rest()
    assert got == [["log", "1"], "ended"]


def test_sent_from_any_thread(pair):
    one, other = pair
    threads = [threading.Thread(target=one.send, args=("pong", n)) for n in range(8)]
    for each in threads:
        each.start()
    assert sorted(other.receive()[1] for _ in threads) == list(range(8))
    for each in threads:
        each.join()
