"""Fixtures for tests over the whole tree."""

import pytest

from tests.wire.daemon import Daemon


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.stop()


@pytest.fixture
def client(daemon):
    """An admin's client."""
    return daemon.client()


@pytest.fixture
def bucket(client):
    """The path of an empty bucket."""
    client.put("/photos")
    return "/photos"
