"""The implementations that the contract holds for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import execute
from twisted.internet.task import Clock

from tests.contract.support import Client, fired
from zs3.store import buckets
from zs3.store.deferred import FilesystemStore


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["local", "elsewhere"])
def client(
    data: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Client]:
    """A started store with the empty bucket ``bucket``; add a parameter here for another implementation.

    On a local file system what is in memory is looked at in another way (`zs3.store.calls`).
    """
    if request.param == "elsewhere":
        monkeypatch.setattr(buckets, "is_local", lambda _: False)
    store = FilesystemStore(str(data), execute, clock, sync=False)
    fired(store.start())
    fired(store.create_bucket("bucket"))
    yield Client(store)
    fired(store.stop())
