"""Fixtures for every kind of test."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from zs3.store.deferred import FilesystemStore

# How long an example takes depends on what else the machine does: nothing is asserted of that.
settings.register_profile("zs3", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("zs3")


@pytest.fixture(autouse=True)
def stop_stores() -> Iterator[None]:
    """What stores hold open is closed when the test ends, also of those that "crashed" in it.

    There are hundreds, and select() knows no descriptor from 1024 on.
    """
    started: list[FilesystemStore] = []
    real = FilesystemStore.start

    def start(self: FilesystemStore) -> Deferred[None]:
        started.append(self)
        return real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FilesystemStore, "start", start)
        yield
    for store in started:
        store._hot.stop()
        store._posix.stop()


@pytest.fixture
def logged():
    """A function: the events of `twisted.logger` in this test so far, formatted, of a level and above."""
    events = []
    globalLogPublisher.addObserver(events.append)

    def texts(level="warn"):
        return [formatEvent(each) for each in events if each["log_level"] >= LogLevel.lookupByName(level)]

    yield texts
    globalLogPublisher.removeObserver(events.append)


@pytest.fixture
def numbered_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this test, a record of its own file is in another directory than the one before.

    Of random names every 256th is in the same one, which takes fewer calls; so for who counts calls over several runs.
    """
    numbers = itertools.count()
    monkeypatch.setattr("secrets.token_bytes", lambda size: bytes([next(numbers) % 256]) + os.urandom(size - 1))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty data directory."""
    path = tmp_path / "data"
    path.mkdir()
    return path
