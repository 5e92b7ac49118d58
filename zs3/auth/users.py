"""Users, their roles, and the TOML file that names them.

Pure but for reading that one file; knows nothing of requests or signatures.
The file::

    [users.alice]
    access_key = "ALICE"
    secret_key = "at-least-eight-characters"
    role = "writer"                 # admin, writer or reader
    buckets = ["photos", "music"]   # optional: no others, not even to create
    account = "family"              # optional: what owns the buckets; "default" if left out
    policies = ["home"]             # optional: what is allowed; then the role may be left out
    enabled = false                 # optional: true if left out

    [[users.alice.keys]]            # optional: more key pairs, or all of them
    access_key = "ALICE2"
    secret_key = "another-long-secret"
    enabled = true                  # optional
    created = 2026-11-23T05:00:00Z  # optional

    [policies.home]
    document = '''{"Version": "2012-10-17", "Statement": ...}'''
"""

from __future__ import annotations

import os
import re
import stat
import struct
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from zs3.auth import accounts
from zs3.auth.attached import attached, parse_policies
from zs3.auth.policy import Policy

_T = TypeVar("_T")

ROLES = ("admin", "writer", "reader")
MAX_FILE_SIZE = 1 << 20

#: No character that ends an access key in a credential scope, a header or a line of the log.
_ACCESS_KEY = re.compile(r"[A-Za-z0-9._~@+-]{3,128}").fullmatch
_SECRET_KEY = re.compile(r"[\x21-\x7e]{8,256}").fullmatch

_PAIR = frozenset(("access_key", "secret_key"))

ACL_XATTR = "system.posix_acl_access"
_ACL_USER_OBJ, _ACL_USER, _ACL_MASK, _ACL_OTHER = 0x01, 0x02, 0x10, 0x20


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign requests, with one key pair: a user of several is in as many of these.

    :ivar role: `admin` may do all, `writer` reads and writes objects and buckets, `reader` reads; None limits nothing.
    :ivar buckets: the only buckets this user may touch; None: every bucket.
    :ivar name: what people call the user.
    :ivar account: the account that the user acts for: what the user makes belongs to it.
    :ivar enabled: whether the user and the key pair are; else it is as if the key pair did not exist.
    :ivar policy: all that the policies of the user say; None for a user without any, whom they do not limit.
    """

    access_key: str
    secret_key: str = field(repr=False)
    role: str | None
    buckets: frozenset[str] | None
    name: str
    account: str = accounts.DEFAULT
    enabled: bool = True
    policy: Policy | None = None

    def may(self, access: str, bucket: str | None) -> bool:
        """Whether this user may `read` or `write` in `bucket`; None is what belongs to no bucket (ListBuckets)."""
        if bucket is not None and self.buckets is not None and bucket not in self.buckets:
            return False
        return access == "read" or self.role != "reader"


def key_pairs(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tables of an entry of the file that hold a key pair: itself, if it does, and those of `keys`.

    :raises ValueError: there is none, or `keys` is something else.
    """
    keys = entry.get("keys", [])
    if not isinstance(keys, list) or not all(isinstance(each, dict) for each in keys):
        raise ValueError("keys must be tables [[users.NAME.keys]]")
    if "keys" in entry and _PAIR.isdisjoint(entry):
        if not keys:
            raise ValueError("there is no key pair")
        return keys
    return [entry, *keys]


def make_users(name: str, entry: Mapping[str, Any], policies: Mapping[str, Policy] | None = None) -> list[User]:
    """The user that an entry of the file describes, with each of the key pairs.

    :param policies: those of the file, by name.
    :raises ValueError: for anything missing, unknown or wrong; the message never holds the secret.
    """
    _check_settings(entry, {*_PAIR, "role", "buckets", "account", "policies", "enabled", "keys"})
    role, buckets, account = entry.get("role"), entry.get("buckets"), entry.get("account", accounts.DEFAULT)
    pairs = [_key_pair(each, within=entry) for each in key_pairs(entry)]
    policy = attached(entry["policies"], policies or {}) if "policies" in entry else None
    if not (role is None and policy is not None) and role not in ROLES:
        raise ValueError(f"role must be one of {', '.join(ROLES)}")
    if buckets is not None:
        if not isinstance(buckets, list) or not all(isinstance(each, str) for each in buckets):
            raise ValueError("buckets must be a list of names")
        if role == "admin":
            raise ValueError("an admin has every bucket: leave out buckets, or make it a writer")
    if not isinstance(account, str) or not accounts.is_account_name(account):
        raise ValueError("account must be 1 to 64 letters, digits or any of . _ @ + -, and not begin with @")
    only = None if buckets is None else frozenset(buckets)
    enabled = _is_enabled(entry)
    return [
        User(access_key, secret_key, role, only, name, account, enabled and pair_enabled, policy)
        for access_key, secret_key, pair_enabled in pairs
    ]


def _key_pair(table: Mapping[str, Any], within: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Access key, secret key, and whether it is enabled.

    :param within: the user's entry, which is the table itself where it has but one key pair.
    """
    if table is not within:
        _check_settings(table, {*_PAIR, "enabled", "created"})
    access_key, secret_key, created = (table.get(each) for each in ("access_key", "secret_key", "created"))
    if not isinstance(access_key, str) or not _ACCESS_KEY(access_key):
        raise ValueError("access_key must be 3 to 128 letters, digits or any of . _ ~ @ + -")
    if not isinstance(secret_key, str) or not _SECRET_KEY(secret_key):
        raise ValueError("secret_key must be 8 to 256 printable ASCII characters without spaces")
    if created is not None and (not isinstance(created, datetime) or created.tzinfo is None):
        raise ValueError("created must be a date with time and zone, as 2026-11-23T05:00:00Z")
    return access_key, secret_key, _is_enabled(table)


def _is_enabled(table: Mapping[str, Any]) -> bool:
    enabled = table.get("enabled", True)
    if not isinstance(enabled, bool):
        raise ValueError("enabled must be true or false")
    return enabled


def _check_settings(table: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r}")


def render(user: User) -> str:
    """`user`, who has a role and no policies, as an entry of the file (of the values `make_users` lets through)."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = [
        f"[users.{quoted(user.name)}]",
        f"access_key = {quoted(user.access_key)}",
        f"secret_key = {quoted(user.secret_key)}",
        f"role = {quoted(user.role or '')}",
    ]
    if user.buckets is not None:
        lines.append(f"buckets = [{', '.join(map(quoted, sorted(user.buckets)))}]")
    if user.account != accounts.DEFAULT:
        lines.append(f"account = {quoted(user.account)}")
    return "\n".join(lines) + "\n"


def parse(text: str) -> dict[str, User]:
    """The users by access key.

    :raises ValueError: with a message that names the entry.
    """
    document = tomllib.loads(text)
    unknown = sorted(document.keys() - {"users", "policies"})
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r}: every user is a table [users.NAME]")
    entries = document.get("users")
    if not isinstance(entries, dict) or not entries:
        raise ValueError("there is no user in it: every user is a table [users.NAME]")
    policies = parse_policies(document.get("policies", {}))
    users: dict[str, User] = {}
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise ValueError(f"users.{name}: must be a table [users.{name}]")
        try:
            made = make_users(name, entry, policies)
        except ValueError as error:
            raise ValueError(f"users.{name}: {error}") from None
        for user in made:
            if user.access_key in users:
                raise ValueError(f"users.{name}: access_key is that of users.{users[user.access_key].name}")
            users[user.access_key] = user
    return users


class UnreadableError(ValueError):
    """The file of the users cannot be read now, whatever is in it."""


def load(path: str, *, private: bool = False) -> dict[str, User]:
    """The users of the file `path` by access key.

    :param private: nobody else may be able to write to its directory either.
    :raises ValueError: if it is wrong, with a message that names the file and the entry; also if anybody but its owner
        and the user of this process could read it, or somebody else owns it.
    :raises UnreadableError: if it cannot be read.
    """
    try:
        # O_NONBLOCK: a FIFO must not stop the daemon before it is refused.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            check_trust(fd, path, os.geteuid())
            if private:
                _check_directory(os.path.dirname(path))
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    return parse_file(path, data)


def parse_file(path: str, data: bytes) -> dict[str, User]:
    """The users in `data` by access key.

    :raises ValueError: with a message that names the file and the entry.
    """
    return parse_data(path, data, parse)


def parse_data(path: str, data: bytes, parse: Callable[[str], _T]) -> _T:
    """What `parse` makes of the text of a file that people write.

    :param data: of no more than `MAX_FILE_SIZE` bytes, or it is refused.
    :raises ValueError: what `parse` raises, with the name of the file.
    """
    if len(data) > MAX_FILE_SIZE:
        raise ValueError(f"{path}: is larger than {MAX_FILE_SIZE} bytes")
    try:
        return parse(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def check_trust(fd: int, path: str, uid: int) -> None:
    """Whether the open file is one that belongs to a user (or root), and that nobody else can read.

    :param uid: the user, e.g. that of this process.
    :raises ValueError: it is not.
    """
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path}: is not a file")
    if status.st_uid not in (0, uid):
        raise ValueError(f"{path}: belongs to another user")
    if _is_open_to_others(fd, status.st_mode, uid):
        raise ValueError(f"{path}: others can read the secrets in it: chmod 600 it")


def _check_directory(path: str) -> None:
    """Who can write to a directory can put another file in the place of one in it."""
    status = os.stat(path)
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise ValueError(f"{path}: others can write to this directory: chown and chmod 700 it")


def _is_open_to_others(fd: int, mode: int, uid: int) -> bool:
    """Whether anybody but the owner, the user `uid` and this process's real one has a permission on the open file.

    Where there is a POSIX ACL the group bits of the mode are its mask: a file that systemd hands over with
    LoadCredential= shows 0440 and is readable by the service's user alone.
    """
    if not mode & 0o077:
        return False
    try:
        acl = os.getxattr(fd, ACL_XATTR)
    except OSError:
        return True
    # linux/posix_acl_xattr.h: version 2, then entries of tag, permissions and id, little endian
    entries = list(struct.iter_unpack("<HHI", acl[4:]))
    mask = next((permissions for tag, permissions, _ in entries if tag == _ACL_MASK), 0o7)
    ours = {(_ACL_USER, uid), (_ACL_USER, os.getuid())}
    return any(
        permissions & (mask if tag != _ACL_OTHER else 0o7)
        for tag, permissions, who in entries
        if tag not in (_ACL_USER_OBJ, _ACL_MASK) and (tag, who) not in ours
    )
