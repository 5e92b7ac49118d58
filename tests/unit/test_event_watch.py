"""Watching a directory: the keys of files, what is not missed, and what is told apart from what zs3 does."""

import errno
import os

import pytest
from hypothesis import given
from twisted.internet.defer import execute, fail
from twisted.internet.testing import MemoryReactorClock

from tests.unit.test_store_layout import key as keys
from zs3.errors import S3Error
from zs3.events import watch as module
from zs3.events.inotify import OVERFLOW, Happening, Inotify
from zs3.events.records import OUTSIDE, Cause, Event
from zs3.events.service import EventsService
from zs3.events.tree import key_of, scan
from zs3.store import layout
from zs3.store.deferred import FilesystemStore
from zs3.store.values import WriteCondition


@given(keys)
def test_the_key_of_both_places_of_an_object(key):
    place = layout.encode(key)
    assert key_of((*place.parent, place.name)) == key
    assert key_of((*place.parent, *place.beside)) == key


@pytest.mark.parametrize(
    "names",
    [
        (b".zs3",),
        (b".zs3", b"x"),
        (b".zs3=a",),
        (b"\xff",),
        (b".zs3@a", b"b"),
        (b".zs3+a",),
        (b"a\x01",),
    ],
)
def test_what_no_object_has_has_no_key(names):
    assert key_of(names) is None


class World:
    """A watcher of a real directory, in this thread; what inotify tells is taken by `settle`."""

    def __init__(self, data):
        self.data, self.reactor = data, MemoryReactorClock()
        (data / "photos").mkdir()
        self.store = FilesystemStore(str(data), execute, clock=self.reactor, sync=False)
        self.store.start()
        self.service = EventsService(self.reactor, str(data), execute, dict, "eu-x", sync=False)
        self.service.startService()
        self.told = []
        self.service.announce = self.announce
        self.watcher = self.service.watcher(self.store)
        self.store.change_configuration("photos", lambda configured: configured.update(notification=[]))

    def announce(self, configuration, owner, events):
        self.told += [(event.name, event.key, event.cause) for event in events]
        return EventsService.announce(self.service, configuration, owner, events)

    def start(self):
        self.watcher.startService()
        self.watcher._begin()
        self.settle()

    def settle(self, seconds=module.SETTLE_S * 2):
        for reader in list(self.reactor.readers):
            reader.doRead()
        self.reactor.advance(seconds)
        self.reactor.advance(0)

    def take(self):
        self.settle()
        self.settle(module.PATIENCE_S + 1)
        self.settle(module.PATIENCE_S + 1)
        told, self.told = self.told, []
        return [(name, key) for name, key, cause in told if cause is OUTSIDE]

    def zs3(self, name, key):
        """zs3 announces what it did."""
        info = None
        if name == "ObjectCreated:Put":
            info = self.store.get_object_info("photos", key).result
        size, mtime = (info.size, info.mtime_ns) if info else (None, 0)
        state = self.store.look_at("photos").result
        event = Event(name, state.name, key, Cause("somebody"), size, mtime_ns=mtime)
        self.service.announce(state.configuration, "default", [event])

    def stop(self):
        self.watcher.stopService()
        self.service.stopService()
        self.store.stop()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def photos(world):
    world.start()
    return world.data / "photos"


def test_files_that_come_change_and_go(world, photos):
    (photos / "a").write_bytes(b"1")
    assert world.take() == [("ObjectCreated:Put", "a")]
    (photos / "a").write_bytes(b"22")
    assert world.take() == [("ObjectCreated:Put", "a")]
    (photos / "a").unlink()
    assert world.take() == [("ObjectRemoved:Delete", "a")]
    assert world.take() == []


def test_a_file_in_a_directory_that_was_new_when_it_came(world, photos):
    (photos / "x/y").mkdir(parents=True)
    (photos / "x/y/a").write_bytes(b"1")
    assert world.take() == [("ObjectCreated:Put", "x/y/a")]
    (photos / "x/y/b").write_bytes(b"1")
    assert world.take() == [("ObjectCreated:Put", "x/y/b")]


def test_what_zs3_has_announced_is_not_of_others(world, photos):
    (photos / "a").write_bytes(b"1")
    world.zs3("ObjectCreated:Put", "a")
    assert world.take() == []
    (photos / "a").unlink()
    world.zs3("ObjectRemoved:Delete", "a")
    assert world.take() == []


def test_what_zs3_has_announced_is_known_until_it_was_looked_at_and_not_much_longer(world, photos, monkeypatch):
    monkeypatch.setattr(module, "_KEPT", 2)
    for key in "abcde":
        (photos / key).write_bytes(b"1")
        world.zs3("ObjectCreated:Put", key)
    assert world.take() == []
    assert len(world.watcher._known) == 2


def test_what_zs3_announces_late_is_waited_for(world, photos):
    (photos / "a").write_bytes(b"1")
    world.take()
    (photos / "a").unlink()
    world.settle()
    world.zs3("ObjectRemoved:Delete", "a")
    assert world.take() == []


def test_what_came_and_went_at_once_is_nothing(world, photos):
    (photos / "a").write_bytes(b"1")
    (photos / "a").unlink()
    assert world.take() == []


def test_after_an_overflow_what_changed_is_found(world, photos):
    (photos / "old").write_bytes(b"1")
    world.take()
    inotify = world.watcher._inotify
    (photos / "x").mkdir()
    (photos / "x/a").write_bytes(b"1")
    os.read(inotify.fileno(), 1 << 16)  # lost
    world.watcher._hear_kernel([Happening(-1, OVERFLOW, 0, b"")])
    assert ("ObjectCreated:Put", "x/a") in world.take()
    (photos / "x/b").write_bytes(b"1")
    assert world.take() == [("ObjectCreated:Put", "x/b")]


def test_a_bucket_that_is_configured_later_is_watched_then(world):
    world.start()
    music = world.data / "music"
    music.mkdir()
    (music / "before").write_bytes(b"1")
    (music / "a").write_bytes(b"1")
    assert world.take() == []
    world.store.change_configuration("music", lambda configured: configured.update(notification=[]))
    world.service.configured()
    world.settle()
    (music / "b").write_bytes(b"1")
    assert world.take() == [("ObjectCreated:Put", "b")]


def test_a_bucket_that_is_moved_is_watched_where_it_is_and_not_what_takes_its_place(world, photos):
    photos.rename(world.data / "elsewhere")
    photos.mkdir()
    world.settle()
    world.settle()
    assert world.watcher._buckets.keys() == {"elsewhere"}
    (world.data / "elsewhere" / "a").write_bytes(b"1")
    (photos / "b").write_bytes(b"1")
    assert world.take() == [("ObjectCreated:Put", "a")]


def test_without_room_for_watches_it_goes_on_with_those_that_it_has(world, monkeypatch):
    (world.data / "photos" / "x").mkdir()
    real, calls = Inotify.watch, []

    def watch(self, path, mask):
        if path.startswith(b"/proc"):
            calls.append(path)
            if len(calls) > 1:
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, path, mask)

    monkeypatch.setattr(Inotify, "watch", watch)
    world.start()
    (world.data / "photos" / "x" / "a").write_bytes(b"1")
    (world.data / "photos" / "b").write_bytes(b"1")
    assert world.take() == [("ObjectCreated:Put", "b")]


def test_a_directory_that_came_from_another_bucket_is_watched_when_that_one_is_not_any_more(world, photos):
    music = world.data / "music"
    music.mkdir()
    (photos / "x").mkdir()
    for bucket in ("photos", "music"):
        world.store.change_configuration(bucket, lambda configured: configured.update(notification=[]))
    world.service.configured()
    world.settle()
    (photos / "x").rename(music / "x")
    world.settle()
    world.store.change_configuration("photos", lambda configured: configured.pop("notification"))
    world.service.configured()
    world.take()
    (music / "x" / "a").write_bytes(b"1")
    assert world.take() == [("ObjectCreated:Put", "x/a")]


@pytest.mark.parametrize("error", [S3Error("AccessDenied"), OSError(errno.EIO, "Input/output error")])
def test_an_object_that_cannot_be_read_is_not_told_to_be_no_more(world, photos, monkeypatch, error):
    (photos / "a").write_bytes(b"1")
    world.take()
    (photos / "a").write_bytes(b"22")
    with monkeypatch.context() as unreadable:
        unreadable.setattr(world.store, "get_object_info", lambda *_: fail(error))
        assert world.take() == []
    (photos / "b").write_bytes(b"1")
    assert world.take() == [("ObjectCreated:Put", "b")]


def test_an_object_that_another_program_keeps_open_is_looked_at_again(world, photos, monkeypatch):
    (photos / "a").write_bytes(b"1")
    world.take()
    (photos / "a").write_bytes(b"22")
    with monkeypatch.context() as leased:
        leased.setattr(world.store, "get_object_info", lambda *_: fail(S3Error("SlowDown")))
        assert world.take() == []
    assert world.take() == [("ObjectCreated:Put", "a")]


def test_a_link_out_of_the_bucket_is_not_followed(tmp_path):
    (tmp_path / "bucket").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"1")
    (tmp_path / "bucket" / "link").symlink_to(tmp_path / "outside")
    found = scan(os.fsencode(tmp_path / "bucket"), (), lambda path: len(path), 0)
    assert list(found.watches.values()) == [()]
    assert found.files == []


def test_a_second_watcher_waits_for_the_first(world, photos):
    second = world.service.watcher(world.store)
    second.startService()
    second._begin()
    world.settle()
    assert not second._has_lock
    world.watcher.stopService()
    world.settle()
    world.settle()
    assert second._has_lock
    assert second._buckets.keys() == {"photos"}
    second.stopService()


def test_the_store_writes_what_is_recognised(world, photos):
    world.store.create_bucket("music")
    (photos / "a").write_bytes(b"1")
    world.zs3("ObjectCreated:Put", "a")
    world.take()
    world.store.delete_object("photos", "a", WriteCondition())
    world.zs3("ObjectRemoved:Delete", "a")
    assert world.take() == []
