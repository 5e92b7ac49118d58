"""The service of event notifications: whose its files are, and who is told that the disk does not keep them."""

import errno
import os

import pytest
from twisted.internet.defer import execute
from twisted.internet.testing import MemoryReactorClock

from zs3.events.queue import Writer
from zs3.events.records import OUTSIDE, Event
from zs3.events.rules import Rule, kept
from zs3.events.service import EventsService
from zs3.events.targets import Target


@pytest.mark.parametrize(
    ("mode", "directory", "file"), [(0o755, 0o700, 0o600), (0o2775, 0o2770, 0o660), (0o777, 0o777, 0o666)]
)
def test_only_who_may_write_to_the_data_directory_can_read_events(tmp_path, mode, directory, file):
    tmp_path.chmod(mode)
    (tmp_path / ".zs3").mkdir()
    service = EventsService(MemoryReactorClock(), str(tmp_path), execute, dict, "eu-x", sync=False)
    service.startService()
    Writer(os.path.join(service.directory, b"queues", b"hook"), service.internals, 1 << 20).append([(1, b"{}")])
    service.configured()
    found = list((tmp_path / ".zs3" / "events").rglob("*"))
    assert {path.stat().st_mode & 0o7777 for path in found if path.is_dir()} == {directory}
    assert {path.stat().st_mode & 0o7777 for path in found if path.is_file()} == {file}
    service.stopService()


class Observer:
    def __init__(self):
        self.losses = 0

    def synced(self, seconds):
        pass

    def lost(self):
        self.losses += 1


def test_who_counts_is_told_of_a_disk_that_does_not_keep_events(tmp_path, monkeypatch):
    observer, targets = Observer(), {"hook": Target("hook", "http://127.0.0.1:1")}
    service = EventsService(
        MemoryReactorClock(), str(tmp_path), execute, lambda: targets, "eu-x", sync=True, observer=observer
    )
    service.startService()
    rules = [Rule("r", "Queue", "arn:aws:sqs:::hook", ("s3:ObjectCreated:*",))]
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        service.announce({"notification": kept(rules)}, "default", [Event("ObjectCreated:Put", "b", "k", OUTSIDE)])
    assert (observer.losses, service.healthy) == (1, False)
    service.stopService()


def fail(fd):
    raise OSError(errno.EIO, "Input/output error")
