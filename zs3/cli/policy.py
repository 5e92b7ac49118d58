"""`zs3 policy check`: whether a policy is one, and what would be decided by it and by others.

It asks what the daemon asks, `zs3.auth.access.evaluate`, of a request that is
described by options instead of made.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from zs3.auth.access import ENFORCED, BucketAccess, Principal, evaluate
from zs3.auth.accounts import DEFAULT, is_account_name
from zs3.auth.acl import private
from zs3.auth.patterns import normal_key
from zs3.auth.policy import MAX_SIZE, Policy, parse_policy
from zs3.auth.policy_names import OTHER_ACTIONS, is_action, is_known_key, is_of_object
from zs3.auth.users import User
from zs3.auth.usersfile import read_users
from zs3.errors import S3Error

_ARN = "arn:aws:s3:::"


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the parser of `zs3 policy`."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    check = commands.add_parser(
        "check",
        help="say whether policies are valid, and what they decide",
        description="Checks policies; with --action and --resource, says what would be decided and for which reason, if"
        " no ACL says more. A request is that of --user, else one that nobody signed.",
        allow_abbrev=False,
    )
    check.set_defaults(run=_check, parser=check)
    check.add_argument(
        "file", metavar="FILE", nargs="?", help="a policy for users; tried as the only one that --user has"
    )
    check.add_argument("--users", metavar="FILE", help="the users file that the daemon has as --auth zs3:FILE")
    check.add_argument("--user", metavar="NAME", help="who asks; without --users somebody of the account default")
    check.add_argument("--bucket-policy", metavar="FILE", help="the policy of the bucket")
    check.add_argument("--bucket", metavar="NAME", help="the bucket that it is of, if --resource does not say that")
    check.add_argument("--owner", metavar="ACCOUNT", help="of the bucket; default: the account of the user")
    check.add_argument("--action", metavar="ACTION", help="of IAM, as s3:GetObject")
    check.add_argument("--resource", metavar="ARN", help=f"as {_ARN}bucket/key; * for what belongs to no bucket")
    check.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="what the request has of a condition key"
    )


class _Given:
    """A context of what options say."""

    def __init__(self, user: User | None, owner: str, settings: Sequence[str]) -> None:
        self._values: dict[str, tuple[str, ...]] = {"aws:principaltype": ("Anonymous",)}
        for key in ("aws:resourceaccount", "s3:resourceaccount"):
            self._values[key] = (owner,)
        if user is not None:
            self._values["aws:principaltype"] = ("User",)
            self._values["aws:username"] = self._values["aws:userid"] = (user.name,)
            self._values["aws:principalaccount"] = (user.account,)
            self._values["aws:principalarn"] = (f"arn:aws:iam::{user.account}:user/{user.name}",)
        said: dict[str, tuple[str, ...]] = {}
        for setting in settings:
            name, equals, value = setting.partition("=")
            key = normal_key(name)
            if not equals or not is_known_key(key):
                raise ValueError(f"--set {setting}: must be a condition key, = and a value")
            said[key] = (*said.get(key, ()), value)
        self._values |= said

    def values(self, key: str) -> tuple[str, ...] | None:
        return self._values.get(key)


def _read(path: str, bucket: str | None) -> Policy:
    with open(path, "rb") as file:
        data = file.read(MAX_SIZE + 1)
    try:
        return parse_policy(data.decode("utf-8"), bucket)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not UTF-8") from None
    except S3Error as error:
        raise ValueError(f"{path}: {error.message}") from None


def _find_user(name: str | None, path: str | None, policy: Policy | None) -> User | None:
    """Who asks; which key pair does not matter, for all of a user give the same rights.

    :param path: of the users file.
    :param policy: in place of what the user has.
    """
    known = None if path is None else {user.name: user for user in read_users(path)}
    if name is None:
        return None
    user = User("", "", None, None, name) if known is None else known.get(name)
    if user is None:
        raise ValueError(f"{path}: there is no user {name!r}")
    return user if policy is None else replace(user, policy=policy)


def _check(options: argparse.Namespace, output: TextIO) -> None:
    if (options.action is None) != (options.resource is None):
        options.parser.error("--action and --resource go together")
    if options.file is None and options.users is None and options.bucket_policy is None:
        options.parser.error("there is nothing to check: give FILE, --users or --bucket-policy")
    bucket, key = _resource(options)
    if options.bucket_policy is not None and not bucket:
        options.parser.error("of which bucket is --bucket-policy? give --bucket or --resource")
    if options.file is not None and options.action is not None and options.user is None:
        options.parser.error("FILE is tried as the policy of a user: give --user")
    mine = None if options.file is None else _read(options.file, None)
    of_bucket = None if options.bucket_policy is None else _read(options.bucket_policy, bucket)
    user = _find_user(options.user, options.users, mine)
    if options.action is None:
        output.write("valid\n")
        return
    owner = options.owner or (DEFAULT if user is None else user.account)
    if not is_account_name(owner):
        raise ValueError(f"--owner {owner}: is no name of an account")
    context = _Given(user, owner, options.set)
    access = BucketAccess(private(owner), ENFORCED, policy=of_bucket)
    decision = evaluate(Principal(user), options.action, bucket, access, key=key, context=context)
    output.write(f"{'allowed' if decision.allowed else 'denied'}: {decision.reason}\n")


def _resource(options: argparse.Namespace) -> tuple[str, str]:
    """Bucket and key that the request is about; ValueError."""
    if options.resource is None:
        return options.bucket or "", ""
    action, text = options.action, options.resource
    if not is_action(action):
        raise ValueError(f"--action {action}: there is no such action")
    if action in OTHER_ACTIONS:
        if text != "*":
            raise ValueError(f"--resource {text}: {action} is about no bucket, which is *")
        return "", ""
    bucket, _, key = text.removeprefix(_ARN).partition("/")
    if not text.startswith(_ARN) or not bucket or any(each in text for each in "*?"):
        raise ValueError(f"--resource {text}: must be {_ARN}BUCKET or {_ARN}BUCKET/KEY")
    if is_of_object(action) != bool(key):
        what = "an object" if is_of_object(action) else "a bucket"
        raise ValueError(f"--resource {text}: {action} is about {what}")
    return bucket, key
