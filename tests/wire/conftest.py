"""Fixtures for tests over the whole tree."""

import pytest

from tests.wire.daemon import ALICE, BOB, Daemon


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


@pytest.fixture
def alice(daemon):
    """An admin of an account of her own."""
    return daemon.client(ALICE)


@pytest.fixture
def bob(daemon):
    """A writer of another account."""
    return daemon.client(BOB)


@pytest.fixture
def nobody(daemon):
    """A client that signs nothing."""
    return daemon.client(None)
