"""Streams: who listens hears what every process does, from the last event on that it has seen."""

import json
import os
import subprocess
import sys

import pytest
from twisted.internet.defer import execute
from twisted.internet.testing import MemoryReactorClock

from zs3.errors import S3Error
from zs3.events import streams as module
from zs3.events.announcer import Announcer
from zs3.events.listeners import Listeners
from zs3.events.records import OUTSIDE, Event
from zs3.events.streams import Streams
from zs3.store.durability import Durability
from zs3.store.internals import Internals
from zs3.store.values import PinnedName


class Process:
    """One of those that serve a directory."""

    def __init__(self, data):
        self.reactor = MemoryReactorClock()
        self.directory = os.path.join(os.fsencode(data), b"events")
        internals = Internals(os.fsencode(data), Durability(enabled=False, report=lambda _: None))
        self.streams = Streams(self.reactor, self.directory, internals, execute)
        self.announcer = Announcer({}.get, "eu-x", self.streams)
        self.streams.start()

    def write(self, key, bucket="photos", identifier="1"):
        event = Event("ObjectCreated:Put", PinnedName.of(bucket, identifier), key, OUTSIDE, 1, "e")
        self.announcer.announce({}, "default", [event])


class Client:
    def __init__(self, process, bucket="photos", identifier="1", after=None):
        self.heard, self.numbers, self.ended = [], [], False
        listening = process.streams.listen(bucket, identifier, self.hear, self.end, after)
        self.listening, self.whole = None, None
        listening.addCallback(self.begin)

    def begin(self, result):
        self.listening, self.whole = result
        self.listening.begin()

    def hear(self, number, document):
        self.numbers.append(number)
        self.heard.append(document["key"])

    def end(self):
        self.ended = True


@pytest.fixture
def one(tmp_path):
    process = Process(tmp_path)
    yield process
    process.streams.stop()


@pytest.fixture
def other(tmp_path, one):
    process = Process(tmp_path)
    yield process
    process.streams.stop()


def told_by_the_kernel(process):
    """The in-memory reactor does not listen to it."""
    for reader in list(process.reactor.readers):
        reader.doRead()


def test_nothing_is_put_down_while_nobody_listens(one):
    assert not one.streams.wanted("photos")
    one.write("a")
    assert os.listdir(os.path.join(one.directory, b"stream")) == []


def test_who_listens_hears_what_happens_in_the_bucket_from_then_on(one):
    client, elsewhere = Client(one), Client(one, "music")
    one.write("a")
    one.write("b", "music")
    assert (client.heard, elsewhere.heard) == (["a"], ["b"])
    assert client.whole


def test_who_listens_hears_what_other_processes_do(one, other):
    client = Client(one)
    assert other.streams.wanted("photos")
    other.write("a")
    told_by_the_kernel(one)
    assert client.heard == ["a"]


def test_another_bucket_of_the_same_name_is_not_heard_of(one):
    client, new = Client(one), Client(one, identifier="")
    one.write("a")
    one.write("b", identifier="2")
    assert client.heard == new.heard == ["a"]


def test_who_comes_back_hears_what_it_missed_at_any_process(one, other):
    client = Client(one)
    for key in "abc":
        one.write(key)
    client.listening.close()
    other.write("d")
    again = Client(other, after=client.numbers[0])
    assert again.whole
    assert again.heard == ["b", "c", "d"]
    other.write("e")
    assert again.heard == ["b", "c", "d", "e"]


def test_who_comes_back_too_late_is_told_that_something_is_missing(one):
    client = Client(one)
    one.write("a")
    client.listening.close()
    one.reactor.advance(61)
    assert not one.streams.wanted("photos")
    one.write("b")
    again = Client(one, after=client.numbers[0])
    assert not again.whole
    one.write("c")
    assert again.heard == ["c"]


def test_what_no_longer_fits_is_told_to_be_missing(one, monkeypatch):
    client = Client(one)
    one.write("first")
    for number in range(9000):
        one.write(f"{number:0400}")
    assert len(client.heard) == 9001
    kept = sum(entry.stat().st_size for entry in os.scandir(os.path.join(one.directory, b"stream")))
    assert kept <= module._KEPT_BYTES
    assert not Client(one, after=client.numbers[0]).whole
    late = Client(one, after=client.numbers[-3])
    assert late.whole
    assert len(late.heard) == 2


def test_what_happens_while_the_past_is_read_is_heard_once(one):
    client = Client(one)
    one.write("a")
    one.write("b")
    listening, whole = one.streams.listen("photos", "1", client.hear, client.end, client.numbers[0]).result
    client.heard.clear()
    one.write("c")
    assert client.heard == ["c"]
    client.heard.clear()
    listening.begin()
    assert whole
    assert client.heard == ["b", "c"]


def test_an_event_is_read_once_however_many_listen(one, monkeypatch):
    clients = [Client(one) for _ in range(5)]
    read = []
    loads = json.loads
    monkeypatch.setattr(module.json, "loads", lambda text, **more: (read.append(text), loads(text, **more))[1])
    one.write("a")
    assert [client.heard for client in clients] == [["a"]] * 5
    assert len([text for text in read if "ObjectCreated" in str(text)]) == 1


def test_the_number_of_streams_has_a_limit(one, monkeypatch):
    monkeypatch.setattr(module, "MAX_STREAMS", 2)
    first = Client(one)
    Client(one)
    with pytest.raises(S3Error, match="SlowDown"):
        Client(one)
    first.listening.close()
    assert Client(one).listening


def test_streams_end_with_the_process_and_none_begins(one):
    client = Client(one)
    one.streams.end_streams()
    assert client.ended
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        Client(one)


def test_nothing_is_left_when_nobody_listens_any_more(one):
    client = Client(one)
    one.write("a")
    client.listening.close()
    one.reactor.advance(61)
    assert one.reactor.getDelayedCalls() == []
    assert one.reactor.readers == set() or list(one.reactor.readers) == []
    assert os.listdir(os.path.join(one.directory, b"stream")) == []
    assert os.listdir(os.path.join(one.directory, b"listeners")) == []


LISTEN_AND_DIE = """
import os, sys
from zs3.events.listeners import Listeners
from zs3.store.durability import Durability
from zs3.store.internals import Internals
data, directory = map(os.fsencode, sys.argv[1:])
listeners = Listeners(directory, Internals(data, Durability(enabled=False, report=print)))
listeners.start()
listeners.add("photos")
os.kill(os.getpid(), 9)
"""


def test_who_was_killed_does_not_listen(tmp_path):
    directory = os.path.join(os.fsencode(tmp_path), b"listeners")
    arguments = [os.fsdecode(tmp_path), os.fsdecode(directory)]
    assert subprocess.run([sys.executable, "-c", LISTEN_AND_DIE, *arguments], check=False).returncode == -9
    listeners = Listeners(directory, Internals(os.fsencode(tmp_path), Durability(enabled=False, report=print)))
    listeners.start()
    assert len(os.listdir(directory)) == 1
    assert listeners.since("photos") is None
    assert os.listdir(directory) == []
    listeners.stop()


def test_each_change_of_who_listens_is_seen_at_once(tmp_path):
    directory = os.path.join(os.fsencode(tmp_path), b"listeners")
    internals = Internals(os.fsencode(tmp_path), Durability(enabled=False, report=print))
    one, other = Listeners(directory, internals), Listeners(directory, internals)
    one.start()
    other.start()
    for _ in range(50):
        one.add("photos")
        assert other.since("photos") is not None
        assert other.buckets == {"photos"}
        one.remove("photos")
        assert other.since("photos") is None
    one.stop()
    other.stop()
