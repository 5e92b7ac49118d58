"""Fixtures for every kind of test."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

# How long an example takes depends on what else the machine does: nothing is asserted of that.
settings.register_profile("zs3", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("zs3")


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
def data(tmp_path: Path) -> Path:
    """An empty data directory."""
    path = tmp_path / "data"
    path.mkdir()
    return path
