"""That a bucket has no configuration is remembered, and never for longer than it is so."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.support import Client, fired, open_client, told_now
from zs3.store import hot, states
from zs3.store.interface import Configuration


@pytest.fixture
def client(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """With a bucket of which that is remembered."""
    client = open_client(data, sync=False)
    if client.store._hot._fd < 0:
        pytest.skip("the temporary directory is on no file system that this works on")
    # As if the bucket had been there for a while; what changes must be in another tick of the kernel's clock.
    now = time.time_ns
    monkeypatch.setattr(states.time, "time_ns", lambda: now() + 2 * 10**9)
    make(client, data, "bucket")
    yield client
    fired(client.store.stop())


@pytest.fixture
def other(data: Path, client: Client) -> Iterator[Client]:
    """Another daemon on the same directory."""
    other = open_client(data, sync=False)
    yield other
    fired(other.store.stop())


def make(client: Client, data: Path, name: str) -> None:
    fired(client.store.create_bucket(name))
    await_next_tick(data)
    assert told_now(client, name) == {}


def await_next_tick(directory: Path) -> None:
    """Until a file that changes has another time."""
    path = directory / ".zs3" / "tick"
    path.touch()
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        path.touch()


def is_remembered(client: Client, monkeypatch: pytest.MonkeyPatch, name: str = "bucket") -> bool:
    """Whether it is told without looking at the bucket's id."""
    with monkeypatch.context() as patch:
        patch.setattr(hot, "_open_bucket", lambda *_: -1)
        told = told_now(client, name)
    assert told in (None, {})
    return told is not None


def told(client: Client, name: str = "bucket") -> Configuration:
    """What is told at once; where nothing is, what is told then."""
    now = told_now(client, name)
    return fired(client.store.get_configuration(name)) if now is None else now


def configure(client: Client, name: str = "bucket") -> None:
    fired(client.store.change_configuration(name, lambda values: values.update(owner="me")))


def test_it_is_remembered(client, monkeypatch):
    assert is_remembered(client, monkeypatch)
    client.put("key", b"content")
    assert is_remembered(client, monkeypatch), "a bucket that is written to has no other configuration"


def swap(data: Path, client: Client) -> None:
    (data / "bucket").rename(data / "elsewhere")
    fired(client.store.create_bucket("bucket", {"owner": "me"}))


def remake(_: Path, client: Client) -> None:
    fired(client.store.delete_bucket("bucket"))
    fired(client.store.create_bucket("bucket", {"owner": "me"}))


def put_another_in_its_place(data: Path, client: Client) -> None:
    fired(client.store.create_bucket("another", {"owner": "me"}))
    (data / "bucket").rename(data / "elsewhere")
    (data / "another").rename(data / "bucket")


@pytest.mark.parametrize("by_itself", [True, False], ids=["by itself", "by another daemon"])
@pytest.mark.parametrize("change", [lambda _, client: configure(client), swap, remake, put_another_in_its_place])
def test_a_configuration_is_seen_at_once(
    data: Path,
    client: Client,
    other: Client,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, Client], None],
    by_itself: bool,
) -> None:
    assert is_remembered(client, monkeypatch)
    change(data, client if by_itself else other)
    assert dict(told(client)) == {"owner": "me"}
    assert not is_remembered(client, monkeypatch)


def test_a_bucket_that_is_gone_has_none(data, client, other):
    fired(other.store.delete_bucket("bucket"))
    assert client.store.look_now("bucket") is None


def test_what_changed_just_now_is_not_remembered(data, client, monkeypatch):
    monkeypatch.undo()
    fired(client.store.create_bucket("young"))
    assert told_now(client, "young") == {}
    assert not is_remembered(client, monkeypatch, "young")


def test_it_is_looked_at_anew_after_a_while(client, monkeypatch):
    known = client.store._hot._states
    (seen,) = known._seen.values()
    assert known.knows("bucket", seen.since + 0.9)
    assert not known.knows("bucket", seen.since + 1.1)
    assert not known._seen


def test_so_many_are_remembered_and_not_more(data, client, monkeypatch):
    monkeypatch.setattr(states, "_MOST", 3)

    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    for number in range(3):
        make(client, data, f"bucket{number}")
    before = descriptors()
    for number in range(3, 6):
        make(client, data, f"bucket{number}")
    assert descriptors() == before
    assert is_remembered(client, monkeypatch, "bucket5")
    assert not is_remembered(client, monkeypatch, "bucket0")
    client.store._hot._states.close()
    assert descriptors() == before - 6
