"""What a store tells of its work, and that it measures nothing if nobody wants to know."""

import os

import pytest
from twisted.internet.defer import execute
from twisted.internet.task import Clock

from tests.contract.support import Client, fired
from zs3.store import durability
from zs3.store.deferred import FilesystemStore
from zs3.store.observer import LossObserver


class Observer:
    def __init__(self):
        self.fsyncs, self.lookups, self.losses = [], [], 0

    def synced(self, seconds):
        self.fsyncs.append(seconds)

    def lost(self):
        self.losses += 1

    def looked_up(self, *, remembered):
        self.lookups.append(remembered)


@pytest.fixture
def observer():
    return Observer()


@pytest.fixture
def client(tmp_path, observer):
    store = FilesystemStore(str(tmp_path), execute, Clock(), observer=observer)
    fired(store.start())
    fired(store.create_bucket("bucket"))
    yield Client(store)
    fired(store.stop())


def test_every_fsync_is_told_of_with_its_time(client, observer, monkeypatch):
    real, made = os.fsync, []
    monkeypatch.setattr(durability.os, "fsync", lambda fd: made.append(real(fd)))
    before = len(observer.fsyncs)
    client.put("a/b/key")
    assert len(observer.fsyncs) - before == len(made) > 1
    assert all(0 < seconds < 10 for seconds in observer.fsyncs)


def test_an_fsync_that_fails_is_told_of_with_its_time_too(client, observer, monkeypatch):
    def fail(fd):
        raise OSError(5, "Input/output error")

    before = len(observer.fsyncs)
    monkeypatch.setattr(durability.os, "fsync", fail)
    with pytest.raises(OSError):
        client.put("key")
    assert len(observer.fsyncs) == before + 1
    assert observer.losses == 1
    assert not client.store.healthy


def test_a_full_disk_is_no_lost_write(client, observer, monkeypatch):
    def fail(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durability.os, "fsync", fail)
    with pytest.raises(Exception, match="StorageFull"):
        client.put("key")
    assert observer.losses == 0
    assert client.store.healthy


def test_listings_tell_whether_they_remembered(client, observer):
    client.put("key")
    os.utime(client.store._posix._data + b"/bucket", (1, 1))
    client.listed("bucket")
    first, observer.lookups = observer.lookups, []
    client.listed("bucket")
    assert True not in first
    assert False in first
    assert observer.lookups == [] or isinstance(observer.lookups[0], bool)


@pytest.mark.parametrize("counted", [True, False])
def test_losses_are_told_to_one_more(counted):
    other, losses = Observer() if counted else None, []
    observer = LossObserver(other, lambda: losses.append(1))
    observer.synced(0.1)
    observer.looked_up(remembered=True)
    assert losses == []
    observer.lost()
    assert losses == [1]
    if other is not None:
        assert (other.fsyncs, other.lookups, other.losses) == ([0.1], [True], 1)


def test_without_an_observer_nothing_is_measured(tmp_path, monkeypatch):
    def fail():
        raise AssertionError("the time was asked for")

    monkeypatch.setattr(durability.time, "perf_counter", fail)
    store = FilesystemStore(str(tmp_path), execute, Clock())
    fired(store.start())
    fired(store.create_bucket("bucket"))
    Client(store).put("key")
    fired(store.stop())
