"""What is configured of accounts is remembered, and never for longer than it is so."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.support import Client, fired, open_client
from tests.unit.test_store_states import await_next_tick
from zs3.store import accounts, hot
from zs3.store.values import Configuration


@pytest.fixture
def client(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    client = open_client(data, sync=False)
    if client.store._hot._fd < 0:
        pytest.skip("the temporary directory is on no file system that this works on")
    # As if nothing had changed for a while; what changes must be in another tick of the kernel's clock.
    now = time.time_ns
    monkeypatch.setattr(accounts.time, "time_ns", lambda: now() + 2 * 10**9)
    yield client
    fired(client.store.stop())


def configure(client: Client, data: Path, value: object, account: str = "alice") -> None:
    await_next_tick(data)
    fired(client.store.change_account(account, lambda configuration: configuration.update(block=value)))


def told(client: Client, account: str = "alice") -> Configuration | None:
    """What is told at once, where the kernel has been asked before."""
    fired(client.store.get_account(account))
    return client.store.get_account_now(account)


def is_remembered(client: Client, monkeypatch: pytest.MonkeyPatch, account: str = "alice") -> bool:
    """Whether it is told without opening anything."""
    with monkeypatch.context() as patch:
        patch.setattr(hot, "_open_file", lambda *_: -1)
        patch.setattr(hot.os, "open", None)
        patch.setattr(accounts, "_open_directory", lambda *_: -1)
        try:
            return client.store.get_account_now(account) is not None
        except TypeError:
            return False


@pytest.mark.parametrize("value", [None, ["a"]])
def test_it_is_remembered_until_it_changes(data, client, monkeypatch, value):
    other = open_client(data, sync=False)
    if value:
        configure(client, data, value)
    for each in ("b", "c"):
        before = told(client)
        assert before is not None
        assert is_remembered(client, monkeypatch)
        configure(other, data, each)
        assert not is_remembered(client, monkeypatch)
        assert told(client) == {"block": each}
    fired(other.store.stop())


def test_what_one_account_changes_leaves_no_other_remembered_wrongly(data, client):
    configure(client, data, 1)
    configure(client, data, 2, "bob")
    assert [told(client, name) for name in ("alice", "bob")] == [{"block": 1}, {"block": 2}]
    configure(client, data, 3, "bob")
    assert told(client) == {"block": 1}
    assert told(client, "bob") == {"block": 3}


def test_what_changed_just_now_is_not_remembered(data, client, monkeypatch):
    monkeypatch.undo()
    configure(client, data, 1)
    assert told(client) == {"block": 1}
    assert not is_remembered(client, monkeypatch)


def test_it_is_looked_at_anew_after_a_while(data, client, monkeypatch):
    assert told(client) == {}
    known = client.store._hot._accounts
    assert known.knows("alice", known._since + 0.9) == {}
    assert known.knows("alice", known._since + 1.1) is None
    configure(client, data, 1)
    assert told(client) == {"block": 1}
    assert is_remembered(client, monkeypatch)
    (data / ".zs3" / "accounts" / "alice.json").write_text('{"block":2}')
    moment = time.monotonic() + 1.1
    client.store._hot._now = lambda: moment
    assert told(client) == {"block": 2}


def test_so_many_are_remembered_and_not_more(client, monkeypatch):
    monkeypatch.setattr(accounts, "_MOST", 3)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(10):
        told(client, f"account{number}")
    assert len(client.store._hot._accounts._found) <= 3
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_a_directory_without_that_of_accounts_is_served(data, client):
    (data / ".zs3" / "accounts").rmdir()
    client.store._hot._accounts.close()
    assert told(client) in (None, {})
    assert fired(client.store.get_account("alice")) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_damaged(data, client):
    configure(client, data, 1)
    await_next_tick(data)
    path = data / ".zs3" / "accounts" / "alice.json"
    path.chmod(0)
    client.store._hot._accounts.close()
    with pytest.raises(accounts.DamagedError):
        fired(client.store.get_account("alice"))
