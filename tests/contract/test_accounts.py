"""What is configured of an account belongs to it, and is changed as one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.support import Client, fired, open_client
from zs3.errors import S3Error
from zs3.store.values import DamagedError


def configured(client: Client, account: str = "alice") -> dict[str, Any]:
    """Asked in both ways there are."""
    found = dict(fired(client.store.get_account(account)))
    assert client.store.get_account_now(account) in (None, found)
    return found


def configure(client: Client, account: str = "alice", **values: Any) -> dict[str, Any]:
    return dict(fired(client.store.change_account(account, lambda configuration: configuration.update(values))))


def test_what_is_configured_stays_until_it_is_changed(client: Client) -> None:
    assert configured(client) == {}
    assert configure(client, block=["a"]) == {"block": ["a"]} == configured(client)
    assert configure(client, other=None) == {"block": ["a"], "other": None} == configured(client)
    fired(client.store.change_account("alice", lambda configuration: configuration.clear()))
    assert configured(client) == {}
    fired(client.store.change_account("alice", lambda configuration: configuration.clear()))


@pytest.mark.parametrize(
    "name", ["bob", "Alice", "ALICE", "alice.json", "..", ".", "a/../alice", "@anonymous", "%41lice", "é"]
)
def test_every_account_has_its_own(client: Client, data: Path, name: str) -> None:
    configure(client, block=1)
    assert configured(client, name) == {}
    configure(client, name, block=2)
    assert (configured(client), configured(client, name)) == ({"block": 1}, {"block": 2})
    names = [path.name for path in (data / ".zs3" / "accounts").iterdir()]
    assert len(names) == 3
    assert len({each.lower() for each in names}) == 3


def test_a_change_that_fails_changes_nothing(client: Client) -> None:
    configure(client, block=["a"])

    def change(configuration: dict[str, Any]) -> None:
        configuration["block"].append("b")
        raise S3Error("MalformedXML")

    with pytest.raises(S3Error, match="MalformedXML"):
        fired(client.store.change_account("alice", change))
    assert configured(client) == {"block": ["a"]}


def test_another_store_sees_it_and_changes_it(client: Client, data: Path) -> None:
    other = open_client(data, sync=False)
    for number in range(3):
        configure(client, mine=number)
        assert configured(other)["mine"] == number
        assert configure(other, theirs=number) == {"mine": number, "theirs": number} == configured(client)
    fired(other.store.stop())


def test_what_is_damaged_is_told_so_until_it_is_replaced(client: Client, data: Path) -> None:
    configure(client, block=["a"])
    (data / ".zs3" / "accounts" / "alice.json").write_bytes(b"{")
    # What is written in place, nobody does but by hand; it is seen after a moment at the latest.
    client.store._hot._accounts.close()
    with pytest.raises(DamagedError):
        fired(client.store.get_account("alice"))
    assert configured(client, "bob") == {}
    assert configure(client, block=["b"]) == {"block": ["b"]} == configured(client)


def test_the_directory_may_be_cleared_away(client: Client, data: Path) -> None:
    configure(client, block=["a"])
    (data / ".zs3" / "accounts").rename(data / ".zs3" / "elsewhere")
    assert configured(client) == {}
    assert configure(client, block=["b"]) == configured(client) == {"block": ["b"]}
