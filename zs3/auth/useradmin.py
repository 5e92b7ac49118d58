"""Looking after the users of a users file: who they are, and their key pairs.

Blocking and without Twisted.  For programs that people use: `zs3 user`, and the
console.  How a file is changed is told in `zs3.auth.usersfile`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any

from zs3.auth import accounts, users
from zs3.auth.generated import random_pair
from zs3.auth.usersfile import change_file, read_document, read_entries

#: As IAM: a name that needs no quoting anywhere.
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}", re.ASCII).fullmatch

Table = MutableMapping[str, Any]

#: Looks at the entry of a user that is to be changed, and raises what says why it must not be.
Check = Callable[[Mapping[str, Any]], object]


def _pass(_: Mapping[str, Any]) -> None:
    """It may be."""


def describe_users(path: str) -> list[dict[str, Any]]:
    """The users of the file as plain data, without their secrets.

    :raises ValueError: as `zs3.auth.usersfile.read_entries`.
    :raises OSError: as that.
    """
    return [
        {
            "name": name,
            "role": entry.get("role"),
            "policies": entry.get("policies"),
            "account": account_of(entry),
            "account_id": accounts.account_id(account_of(entry)),
            "buckets": entry.get("buckets"),
            "enabled": entry.get("enabled", True),
            "keys": [
                {
                    "access_key": pair["access_key"],
                    "enabled": pair is entry or pair.get("enabled", True),
                    "created": pair["created"].isoformat() if "created" in pair else None,
                }
                for pair in users.key_pairs(entry)
            ],
        }
        for name, entry in read_entries(path).items()
    ]


def policy_names(path: str) -> list[str]:
    """The names of the policies that the file has for users.  Raises what `describe_users` raises."""
    return sorted(read_document(path).get("policies", {}))


def account_of(entry: Mapping[str, Any]) -> str:
    """The account that the user of an entry acts for."""
    return str(entry.get("account", accounts.DEFAULT))


def add_user(path: str, name: str, settings: Mapping[str, Any], *, create: bool = False) -> dict[str, Any]:
    """Add a user, with a new key pair; gives that pair.

    :param settings: what else the entry has: `role`, `policies`, `buckets`, `account`.
    :param create: make the file if there is none.
    :raises ValueError: there is one, or it cannot be one.
    """
    if not _NAME(name):
        raise ValueError("a name is 1 to 64 letters, digits or any of _ + = , . @ -")
    pair = _new_pair()
    entry = {**settings, "keys": [pair]}

    def change(document: Table) -> None:
        if name in document.setdefault("users", {}):
            raise ValueError(f"there is a user {name!r} already")
        document["users"][name] = entry

    change_file(path, change, create=create)
    return pair


def add_key(path: str, name: str, check: Check = _pass) -> tuple[dict[str, Any], list[str]]:
    """Give a user one more key pair; gives that pair, and the access keys there were before."""
    pair = _new_pair()
    old: list[str] = []

    def change(document: Table) -> None:
        entry = _entry(document, name, check)
        old[:] = [str(each["access_key"]) for each in users.key_pairs(entry)]
        if "keys" in entry:
            entry["keys"].append(pair)
        else:
            entry["keys"] = [pair]

    change_file(path, change)
    return pair, old


def remove_key(path: str, name: str, key: str, check: Check = _pass) -> None:
    """Remove a key pair of a user, unless it is the only one."""

    def change(document: Table) -> None:
        entry = _entry(document, name, check)
        pairs = users.key_pairs(entry)
        index = _find_key(pairs, name, key)
        if len(pairs) == 1:
            raise ValueError(f"it is the only key pair of {name!r}: disable it, or remove the user")
        if pairs[index] is entry:
            del entry["access_key"], entry["secret_key"]
        elif len(entry["keys"]) == 1:
            del entry["keys"]
        else:
            del entry["keys"][index - len(pairs)]

    change_file(path, change)


def set_enabled(path: str, name: str, enabled: bool, key: str | None = None, check: Check = _pass) -> None:
    """Enable or disable a user, or one of the key pairs."""

    def change(document: Table) -> None:
        entry = _entry(document, name, check)
        if key is not None:
            keys = _keys_of(entry)
            entry = keys[_find_key(keys, name, key)]
        entry["enabled"] = enabled

    change_file(path, change)


def remove_user(path: str, name: str, check: Check = _pass) -> None:
    """Remove a user with all key pairs, unless there is no other."""

    def change(document: Table) -> None:
        _entry(document, name, check)
        if len(document["users"]) == 1:
            raise ValueError(f"{name!r} is the only user: add another one first")
        del document["users"][name]

    change_file(path, change)


def _entry(document: Mapping[str, Any], name: str, check: Check) -> Table:
    try:
        entry: Table = document["users"][name]
    except KeyError:
        raise ValueError(f"there is no user {name!r}") from None
    check(entry)
    return entry


def _new_pair() -> dict[str, Any]:
    access_key, secret_key = random_pair()
    return {"access_key": access_key, "secret_key": secret_key, "created": datetime.now(UTC).replace(microsecond=0)}


def _keys_of(entry: Table) -> list[Table]:
    """The key pairs as a list to be changed; one that is in the entry itself is moved there first."""
    if "access_key" in entry:
        pair = {name: entry.pop(name) for name in ("access_key", "secret_key")}
        # A list made anew, for the old one may be written in a place where nothing can come before it.
        entry["keys"] = [pair, *(dict(each) for each in entry.pop("keys", []))]
    keys: list[Table] = entry["keys"]
    return keys


def _find_key(keys: Sequence[Mapping[str, Any]], name: str, key: str) -> int:
    for index, pair in enumerate(keys):
        if pair["access_key"] == key:
            return index
    raise ValueError(f"{name!r} has no access key {key!r}")
