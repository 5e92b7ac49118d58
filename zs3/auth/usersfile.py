"""Changing a users file by a program, while daemons read it and people edit it.

Blocking and without Twisted.  A reader finds the old file or the new one, whole;
what is not to be changed stays as it was written, comments too.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
import tomllib
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, BinaryIO

import tomlkit
from tomlkit.exceptions import TOMLKitError

from zs3.auth import users
from zs3.auth.generated import create_file, fsync_directory

#: Seconds that another program may take to change the file.
PATIENCE_S = 10.0
_PAUSE_S = 0.05

#: Changes a parsed file in place.  It is called more than once and must do the same each time.
Change = Callable[[MutableMapping[str, Any]], None]


def change_text(text: str, change: Change) -> str:
    """A TOML text after a change; all that is not changed is as it was, to the letter.

    :raises ValueError: it cannot be changed so, or is no TOML; what `change` raises.
    """
    wanted = tomllib.loads(text)
    change(wanted)
    try:
        document = tomlkit.parse(text)
        change(document)
        result = tomlkit.dumps(document)
        # A program that edits text can be wrong about it: here keys that people need are at stake.
        faithful = tomllib.loads(result) == wanted
    except (TOMLKitError, tomllib.TOMLDecodeError):
        faithful = False
    if not faithful:
        raise ValueError("it is laid out in a way that no program can change safely: edit it by hand")
    return result


def change_file(path: str, change: Change, *, create: bool = False) -> None:
    """Change the users file `path` durably, keeping owner, mode and POSIX ACL.  Whoever else calls this waits.

    :param create: make it, with mode 0600, if there is none.
    :raises ValueError: as `change_text`, and if it is no users file before or after, or not to be trusted (see
        `users.check_trust`), or another program does not let go of it.  Nothing is changed.
    :raises OSError: if it cannot be read or written.
    """
    path = os.path.realpath(path)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            if not create:
                raise
            if create_file(path, _changed(path, b"", change)):
                return
            continue
        with os.fdopen(fd, "rb") as file:
            # A file whose lock is free may be the old one: then its successor is to be locked.
            if _try_lock(fd) and _is_still(fd, path):
                _replace(file, path, change)
                return
        if time.monotonic() > deadline:
            raise ValueError(f"{path}: another program keeps it locked")
        time.sleep(_PAUSE_S)


def read_entries(path: str) -> dict[str, dict[str, Any]]:
    """The tables of a users file by the names of the users.

    :raises ValueError: as `users.load`.
    :raises OSError: if it cannot be read.
    """
    entries: dict[str, dict[str, Any]] = read_document(path)["users"]
    return entries


def read_document(path: str) -> dict[str, Any]:
    """All of a users file.  As `read_entries`."""
    data = _data(path)
    users.parse_file(path, data)
    return tomllib.loads(data.decode("utf-8"))


def read_users(path: str) -> list[users.User]:
    """The users of a users file, with each of their key pairs.  As `read_entries`."""
    return list(users.parse_file(path, _data(path)).values())


def _data(path: str) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        return _read(file, path)


def _read(file: BinaryIO, path: str) -> bytes:
    # Root looks after the files of daemons that run as other users.
    uid = os.geteuid() or os.fstat(file.fileno()).st_uid
    users.check_trust(file.fileno(), path, uid)
    return file.read(users.MAX_FILE_SIZE + 1)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(fd: int, path: str) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), os.stat(path))
    return False


def _changed(path: str, data: bytes, change: Change) -> bytes:
    if data:
        users.parse_file(path, data)
    try:
        result = change_text(data.decode("utf-8"), change).encode("utf-8")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    users.parse_file(path, result)
    return result


def _replace(file: BinaryIO, path: str, change: Change) -> None:
    old = file.fileno()
    status = os.fstat(old)
    data = _changed(path, _read(file, path), change)
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.new")
    # We have the lock: this was left by one who was killed.
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as new:
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, status.st_uid, status.st_gid)
            try:
                acl = os.getxattr(old, users.ACL_XATTR)
            except OSError:
                os.fchmod(fd, stat.S_IMODE(status.st_mode))
            else:
                os.setxattr(fd, users.ACL_XATTR, acl)  # the mode too: with an ACL it is a view of that
            new.write(data)
            new.flush()
            os.fsync(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    fsync_directory(directory)
