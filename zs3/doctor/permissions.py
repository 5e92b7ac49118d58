"""Who may do what with the data directory, and whether anybody can read or replace what is secret.

Blocking.  Looks, and writes nothing.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator

from zs3.auth import usersfile
from zs3.auth.generated import credentials_path
from zs3.doctor.findings import Finding, note, ok, problem, warning


def user_name(uid: int) -> str:
    """What the user is called, or the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """What the group is called, or the number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def daemon_user(data: str) -> int:
    """The user that the daemon most likely runs as: whose its own files are, or else the directory."""
    try:
        return os.stat(os.path.join(data, ".zs3")).st_uid
    except OSError:
        return os.stat(data).st_uid


def examine(data: str, users_file: str | None) -> Iterator[Finding]:
    """The data directory, the daemon's own part of it, and the files with secrets.

    :param data: an absolute path.
    :param users_file: that of `--auth zs3:FILE`, if any.
    """
    yield _process(data)
    yield _directory(data)
    yield _internals(data)
    yield from _group(data)
    if users_file is not None:
        yield _secrets("permissions.users", users_file, "the users")
    else:
        yield _credentials(data)


def _process(data: str) -> Finding:
    check, uid, expected = "permissions.user", os.geteuid(), daemon_user(data)
    name = user_name(uid)
    values = {"uid": uid, "user": name, "daemon_uid": expected}
    if uid == expected:
        return ok(check, f"this runs as {name}, whose the directory is", **values)
    other = user_name(expected)
    fact = f"this runs as {name}, and the directory is {other}'s: what {other} may do is not seen so"
    # sudo takes a number so.
    account = shlex.quote(f"#{other}" if other.isdecimal() else other)
    again = f"if the daemon runs as {other}: sudo -u {account} zs3 doctor --data {shlex.quote(data)}"
    return note(check, fact, again, **values)


def _mode(status: os.stat_result) -> str:
    return f"{user_name(status.st_uid)}:{group_name(status.st_gid)} {stat.S_IMODE(status.st_mode):04o}"


def _facts(status: os.stat_result) -> dict[str, object]:
    return {"uid": status.st_uid, "gid": status.st_gid, "mode": f"{stat.S_IMODE(status.st_mode):04o}"}


def _directory(data: str) -> Finding:
    check, status, name = "permissions.data", os.stat(data), shlex.quote(data)
    fact, values = f"the directory is {_mode(status)}", _facts(status)
    if not os.access(data, os.R_OK | os.X_OK):
        advice = f"chown -R {user_name(os.geteuid())} {name}, or setfacl -R -m u:{user_name(os.geteuid())}:rwX {name}"
        return problem(check, f"{fact} and may not be read by this user", advice, **values)
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        advice = f"chmod o-w {name}; who shall write there gets a group, or an ACL (setfacl)"
        return problem(check, f"{fact}: everybody can replace buckets, and what is secret", advice, **values)
    if not os.access(data, os.W_OK) and not os.statvfs(data).f_flag & os.ST_RDONLY:
        advice = f"to write: chown {user_name(os.geteuid())} {name}; to serve it for reading, give --auth zs3:FILE"
        return warning(
            check, f"{fact} and may not be written to by this user: it is served for reading", advice, **values
        )
    return ok(check, fact, **values)


def _internals(data: str) -> Finding:
    check, path = "permissions.internals", os.path.join(data, ".zs3")
    try:
        status = os.lstat(path)
    except PermissionError:
        # Told of the directory already.
        return note(check, f"{path} is out of sight for this user", "let this user enter the directory", exists=None)
    except FileNotFoundError:
        return ok(check, "no daemon has been started here yet: the first start makes .zs3", exists=False)
    name = shlex.quote(path)
    fact, values = f".zs3 is {_mode(status)}", {"exists": True, **_facts(status)}
    if not stat.S_ISDIR(status.st_mode):
        advice = f"move it away: the daemon makes a directory there ({name})"
        return problem(check, ".zs3 is no directory", advice, **values)
    if status.st_mode & stat.S_IWOTH:
        advice = f"chmod o-w {name}"
        return problem(check, f"{fact}: everybody can change what is configured of buckets", advice, **values)
    if os.access(data, os.W_OK) and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        user = user_name(os.geteuid())
        advice = f"run the daemon as {user_name(status.st_uid)}, or chown -R {user} {name}"
        return problem(check, f"{fact} and cannot be used by this user: nothing can be written", advice, **values)
    return ok(check, fact, **values)


def _group(data: str) -> Iterator[Finding]:
    """The daemon's own files take the group of the directory, if its user is in that."""
    status = os.stat(data)
    if not status.st_mode & stat.S_IWGRP or os.geteuid() == 0:
        return
    check, group = "permissions.group", group_name(status.st_gid)
    if status.st_gid in (os.getegid(), *os.getgroups()):
        yield ok(check, f"members of {group} can share the directory with this user", gid=status.st_gid)
    else:
        user = user_name(os.geteuid())
        advice = (
            f"usermod -a -G {shlex.quote(group)} {shlex.quote(user)}, if daemons of several users serve this directory"
        )
        yield note(
            check, f"members of {group} may write here, and this user is none of them", advice, gid=status.st_gid
        )


def _credentials(data: str) -> Finding:
    check, path = "permissions.credentials", credentials_path(data)
    try:
        os.lstat(path)
    except FileNotFoundError:
        return ok(check, "no key pair has been made here; --users FILE looks at one of your own", exists=False)
    except OSError:
        user = user_name(daemon_user(data))
        fact = f"{path} is out of sight for this user"
        who = user if user == "root" else f"{user}, or as root"
        return note(check, fact, f"run this as {who}, to have it looked at", exists=None)
    try:
        directory = os.stat(os.path.dirname(path))
    except OSError:
        directory = None
    if directory is not None and directory.st_mode & 0o022:
        advice = f"chmod 700 {shlex.quote(os.path.dirname(path))}"
        return problem(check, f"{os.path.dirname(path)}: others can write to this directory", advice, exists=True)
    return _secrets(check, path, "the key pair")


def _secrets(check: str, path: str, what: str) -> Finding:
    """Whether a users file is one that the daemon takes."""
    name = shlex.quote(path)
    try:
        found = usersfile.read_users(path)
    except PermissionError:
        advice = "run this as the user of the daemon, or as root"
        return note(check, f"{path} cannot be read by this user", advice, exists=True, users=None)
    except OSError as error:
        advice = "give --users FILE, as the daemon has it in --auth zs3:FILE"
        return problem(check, f"{path}: {error.strerror}", advice, exists=False, users=None)
    except ValueError as error:
        return problem(
            check, str(error), f"chown it to the daemon's user, chmod 600 {name}, and correct what is told", users=None
        )
    enabled = {user.name for user in found if user.enabled}
    if not enabled:
        advice = f"zs3 user enable NAME --users {name}"
        return warning(check, f"{path}: no user is enabled, nobody can sign a request", advice, exists=True, users=0)
    count = len({user.name for user in found})
    return ok(check, f"{what} in {path} can be read by its owner alone", exists=True, users=count)
