"""`zs3 client-config`: a configuration of an S3 client that works as it is printed.

So it has the secret key, from a users file that the caller can read anyway, and
never from an argument.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from zs3.auth import usersfile
from zs3.auth.generated import create_file, credentials_path
from zs3.auth.users import User, make_users
from zs3.clientconfig import CLIENTS, PLACEHOLDER, Connection, check, check_endpoint


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add a command for each client to the parser of `zs3 client-config`."""
    parser.description = "Prints a ready configuration of an S3 client, with the key pair of a user."
    common = argparse.ArgumentParser(add_help=False)
    file = common.add_mutually_exclusive_group()
    file.add_argument("--users", metavar="FILE", help="the users file that the daemon has as --auth zs3:FILE")
    file.add_argument("--data", metavar="DIR", help="the daemon's data directory, for the file in it that it made")
    who = common.add_mutually_exclusive_group()
    who.add_argument("--user", metavar="NAME", help="whose key pair; needed if there are several users")
    who.add_argument("--access-key", metavar="KEY", help="which key pair; by default the newest that is enabled")
    common.add_argument(
        "--endpoint",
        metavar="URL",
        default="http://127.0.0.1:9000",
        type=_endpoint,
        help="where clients find the daemon; default: %(default)s",
    )
    common.add_argument("--region", metavar="NAME", default="us-east-1", help="default: %(default)s")
    common.add_argument(
        "--ca-file", metavar="FILE", default="", help="the certificate that the client shall trust, where that runs"
    )
    common.add_argument(
        "--without-secret",
        action="store_true",
        help=f"print {PLACEHOLDER} in place of the secret key, to show it around",
    )
    commands = parser.add_subparsers(required=True, metavar="CLIENT", title="clients")
    for name, (_, text) in CLIENTS.items():
        description = (
            f"Prints a configuration for {text}. Without --users and --data, the file is that of $ZS3_USERS, or the "
            "key pair that of $ZS3_ACCESS_KEY and $ZS3_SECRET_KEY."
        )
        command = commands.add_parser(name, parents=[common], help=text, description=description, allow_abbrev=False)
        where = command.add_mutually_exclusive_group()
        where.add_argument("--output", metavar="FILE", help="make this file, readable by you alone, and print nothing")
        command.set_defaults(run=_run, parser=command, client=name, bucket="", name="zs3", append=None)
        if name == "restic":
            command.add_argument("--bucket", metavar="NAME", required=True, help="where the repository is, or will be")
        if name in ("aws", "rclone"):
            where.add_argument("--append", metavar="FILE", help="append it to this file, which you alone can read")
            what = "the profile; default may be one" if name == "aws" else "the remote"
            command.add_argument("--name", metavar="NAME", default="zs3", help=f"what to call {what}; default: zs3")


def _endpoint(text: str) -> str:
    try:
        return check_endpoint(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _run(options: argparse.Namespace, output: TextIO) -> None:
    render = CLIENTS[options.client][0]
    connection = Connection(
        options.endpoint,
        "",
        "",
        options.region,
        os.path.abspath(options.ca_file) if options.ca_file else "",
        options.name,
        options.bucket,
    )
    try:
        check(connection)
    except ValueError as error:
        options.parser.error(str(error))
    user = _user(options)
    secret = PLACEHOLDER if options.without_secret else user.secret_key
    text = render(replace(connection, access_key=user.access_key, secret_key=secret))
    if options.output is not None:
        if not create_file(os.path.abspath(options.output), text.encode()):
            raise ValueError(f"{options.output} is there already")
    elif options.append is not None:
        _append(options.append, text)
    else:
        output.write(text)
        if not options.without_secret:
            # Not into what a shell may be sending to a file.
            sys.stderr.write(
                f"zs3: the secret key of {_printable(user.name)} is in this: keep it where only you can read it "
                "(--output FILE makes such a file)\n"
            )


def _append(path: str, text: str) -> None:
    """Append a section to a file, made for its owner alone where missing.

    :raises ValueError: others can read the file, or it has such a section.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    with os.fdopen(fd, "r+b") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is not a file")
        if status.st_mode & 0o077:
            raise ValueError(f"{path}: others can read it, and the secret key would be in it: chmod 600 it")
        data = text.encode()
        section = data.partition(b"\n")[0]
        before = file.read()
        if section in (line.strip() for line in before.splitlines()):
            raise ValueError(f"{path}: there is a section {section.decode()} already; --name gives it another name")
        gap = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
        file.write(gap + data)


def _user(options: argparse.Namespace) -> User:
    """The key pair that is asked for.

    :raises ValueError: there is none, or there are several.
    """
    found, where = _users(options)
    if options.access_key is not None:
        found = [each for each in found if each.access_key == options.access_key]
        if not found:
            raise ValueError(f"{where}: there is no access key {options.access_key}")
    if options.user is not None:
        found = [each for each in found if each.name == options.user]
        if not found:
            raise ValueError(f"{where}: there is no user {options.user}")
    enabled = [each for each in found if each.enabled]
    if not enabled:
        raise ValueError(
            f"{where}: no key pair is enabled" if len(found) != 1 else f"{where}: the key pair is disabled"
        )
    names = list(dict.fromkeys(each.name for each in enabled))
    if len(names) > 1:
        raise ValueError(f"{where}: which user? give --user, one of {', '.join(map(_printable, names))}")
    # New ones are appended.
    return enabled[-1]


def _users(options: argparse.Namespace) -> tuple[Sequence[User], str]:
    """The users, and where they come from."""
    path = options.users or (credentials_path(options.data) if options.data else os.environ.get("ZS3_USERS"))
    if path:
        return usersfile.read_users(path), path
    access_key, secret_key = os.environ.get("ZS3_ACCESS_KEY"), os.environ.get("ZS3_SECRET_KEY")
    if access_key is None or secret_key is None:
        options.parser.error("which key pair? give --users FILE or --data DIR, or set ZS3_USERS")
    entry = {"access_key": access_key, "secret_key": secret_key, "role": "admin"}
    try:
        return make_users("admin", entry), "the environment"
    except ValueError as error:
        raise ValueError(f"ZS3_ACCESS_KEY and ZS3_SECRET_KEY in the environment: {error}") from None


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
