"""`zs3 user`: the people and programs in a users file, and their keys.

A running daemon reads the file again by itself, within a second of the next request.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Mapping
from typing import Any, TextIO

from zs3.auth import useradmin, users
from zs3.auth.generated import credentials_path


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the parser of `zs3 user`."""
    where = argparse.ArgumentParser(add_help=False)
    file = where.add_mutually_exclusive_group()
    file.add_argument("--users", metavar="FILE", help="the users file that the daemon has as --auth zs3:FILE")
    file.add_argument("--data", metavar="DIR", help="the daemon's data directory, for the file in it that it made")
    where.add_argument("--json", action="store_true", help="answer in JSON")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def add(name: str, run: Any, text: str, *, named: bool = True) -> argparse.ArgumentParser:
        description = text[0].upper() + text[1:] + ". Without --users and --data, the file is that of $ZS3_USERS."
        command = commands.add_parser(name, parents=[where], help=text, description=description, allow_abbrev=False)
        command.set_defaults(run=run, parser=command)
        if named:
            command.add_argument("name", metavar="NAME")
        return command

    new = add("add", _add, "add a user with a new key pair, which is shown once")
    new.add_argument("--role", choices=users.ROLES, default="writer", help="default: writer")
    new.add_argument("--account", metavar="NAME", help="what owns the user's buckets; default: default")
    new.add_argument("--bucket", metavar="NAME", action="append", help="only this bucket; may be repeated")
    add("list", _list, "list the users, without their secrets", named=False)
    add("rotate", _rotate, "give a user one more key pair, which is shown once; the others stay valid")
    key = add("remove-key", _remove_key, "remove a key pair of a user")
    key.add_argument("key", metavar="ACCESS_KEY")
    for name, run, text in (
        ("disable", _disable, "refuse a user, or one key pair, until it is enabled again"),
        ("enable", _enable, "accept a user, or one key pair, again"),
    ):
        add(name, run, text).add_argument("--key", metavar="ACCESS_KEY", help="only this key pair")
    add("remove", _remove, "remove a user with all key pairs; what the user stored stays")


def _path(options: argparse.Namespace) -> str:
    if options.users is not None:
        return str(options.users)
    if options.data is not None:
        return credentials_path(options.data)
    path = os.environ.get("ZS3_USERS")
    if not path:
        options.parser.error("which users file? give --users FILE or --data DIR, or set ZS3_USERS")
    return str(path)


def _add(options: argparse.Namespace, output: TextIO) -> None:
    settings: dict[str, Any] = {"role": options.role}
    if options.bucket is not None:
        settings["buckets"] = options.bucket
    if options.account is not None:
        settings["account"] = options.account
    # A data directory without the file has no daemon that would read it.
    pair = useradmin.add_user(_path(options), options.name, settings, create=options.data is None)
    _show_pair(options, output, pair, f"Added {options.name}.")


def _rotate(options: argparse.Namespace, output: TextIO) -> None:
    pair, old = useradmin.add_key(_path(options), options.name)
    _show_pair(options, output, pair, f"{options.name} has a new key pair; what was valid before still is.")
    if not options.json:
        output.write("Once the access log shows no more requests with the old access key:\n")
        where = ["--users", options.users] if options.users else ["--data", options.data] if options.data else []
        commands = (["zs3", "user", "remove-key", options.name, each, *where] for each in old)
        output.writelines(shlex.join(each) + "\n" for each in commands)


def _show_pair(options: argparse.Namespace, output: TextIO, pair: Mapping[str, Any], text: str) -> None:
    access_key, secret_key = pair["access_key"], pair["secret_key"]
    if options.json:
        _show_json(output, {"name": options.name, "access_key": access_key, "secret_key": secret_key})
        return
    output.write(f"{text} The secret is not shown again.\n\naccess_key = {access_key}\nsecret_key = {secret_key}\n\n")


def _remove_key(options: argparse.Namespace, output: TextIO) -> None:
    useradmin.remove_key(_path(options), options.name, options.key)
    _tell(options, output, "removed")


def _disable(options: argparse.Namespace, output: TextIO) -> None:
    useradmin.set_enabled(_path(options), options.name, False, options.key)
    _tell(options, output, "disabled")


def _enable(options: argparse.Namespace, output: TextIO) -> None:
    useradmin.set_enabled(_path(options), options.name, True, options.key)
    _tell(options, output, "enabled")


def _remove(options: argparse.Namespace, output: TextIO) -> None:
    useradmin.remove_user(_path(options), options.name)
    _tell(options, output, "removed")


def _tell(options: argparse.Namespace, output: TextIO, done: str) -> None:
    key = getattr(options, "key", None)
    if options.json:
        _show_json(output, {"name": options.name, **({} if key is None else {"access_key": key}), "outcome": done})
    else:
        output.write(f"{options.name if key is None else f'{key} of {options.name}'}: {done}\n")


def _list(options: argparse.Namespace, output: TextIO) -> None:
    found = useradmin.describe_users(_path(options))
    if options.json:
        _show_json(output, found)
        return
    rows = [("USER", "ROLE", "POLICIES", "ACCOUNT", "ACCOUNT ID", "BUCKETS", "ACCESS KEY", "CREATED", "STATE")]
    for each in found:
        buckets = "all" if each["buckets"] is None else ",".join(each["buckets"]) or "none"
        for key in each["keys"]:
            state = "user disabled" if not each["enabled"] else "enabled" if key["enabled"] else "disabled"
            policies = "-" if each["policies"] is None else ",".join(each["policies"]) or "none"
            about = (each["name"], each["role"] or "-", policies, each["account"], each["account_id"], buckets)
            rows.append((*about, key["access_key"], key["created"] or "-", state))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (_printable(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        output.write("  ".join(cells).rstrip() + "\n")


def _printable(text: str) -> str:
    """A name of the file as one cell, whatever is in it."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _show_json(output: TextIO, value: object) -> None:
    output.write(json.dumps(value, indent=2) + "\n")
