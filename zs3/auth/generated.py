"""The key pair made for a data directory that was given none.

Blocking and without Twisted.  There is no default password: where nobody
configured credentials, a random pair is made once and kept in a users file.
"""

from __future__ import annotations

import os
import secrets
import string

from zs3.auth.users import User, render

_HEAD = """\
# Made by zs3 when it was started without credentials. Whoever can read this file
# can read and write every bucket. The file may be edited; it is a users file as --auth zs3:FILE takes.

"""


def credentials_path(data: str) -> str:
    """Where the generated key pair of the data directory `data` is."""
    return os.path.join(data, ".zs3", "private", "credentials")


def random_pair() -> tuple[str, str]:
    """An access key and a secret key of 20 and 40 random characters, the lengths AWS's have."""
    upper = string.ascii_uppercase + string.digits
    both = string.ascii_letters + string.digits
    access_key = "".join(secrets.choice(upper) for _ in range(20))
    secret_key = "".join(secrets.choice(both) for _ in range(40))
    return access_key, secret_key


def ensure_users_file(path: str) -> bool:
    """Make the users file `path` with one random admin unless it exists; True if it was made.

    It appears whole and durable or not at all, with mode 0600 in a directory of mode 0700, made where missing, since
    who can write to that could put another file in its place.  Of several processes that come at once one makes
    it, and the others find that one.

    :raises OSError: if it cannot be made.
    """
    if os.path.lexists(path):
        return False
    directory = os.path.dirname(path)
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    else:
        os.chmod(directory, 0o700)
        fsync_directory(os.path.dirname(directory))
    return create_file(path, (_HEAD + render(User(*random_pair(), "admin", None, "admin"))).encode("ascii"))


def create_file(path: str, data: bytes) -> bool:
    """Make a file of mode 0600, whole and durable or not at all; False if there is one.

    :raises OSError: if it cannot be made.
    """
    directory = os.path.dirname(path)
    temporary = f"{path}.{secrets.token_hex(8)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, 0o600)  # whatever the umask
            file.write(data)
            file.flush()
            os.fsync(fd)
        try:
            os.link(temporary, path)  # unlike rename, never replaces
        except FileExistsError:
            return False
    finally:
        os.unlink(temporary)
        fsync_directory(directory)
    return True


def fsync_directory(path: str) -> None:
    """Make durable which names are in a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
