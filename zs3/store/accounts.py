"""What is configured of an account: named JSON values, kept in a file of ``.zs3/accounts`` for each.

As `zs3.store.configuration` keeps what is configured of a bucket, which see.  An
account of which nothing is configured has no file.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from contextlib import suppress
from types import MappingProxyType

from zs3.store import configuration, kernel, layout, paths
from zs3.store.internals import Internals
from zs3.store.values import NOT_CONFIGURED, Configuration, ConfigurationChange, DamagedError

DIRECTORY = b"%b/accounts" % layout.INTERNAL
#: What says nothing of the file: it may be read when asked for again.
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
_ESCAPED = re.compile(rb"[^a-z0-9._@+-]")
#: The name of no account's file: those end otherwise.
_LOCK = b"lock"

#: What is edited in place, which nobody does but by hand, is looked at anew after so long.
_LOOK_S = 1.0
#: Two changes within a tick of the kernel's clock may have one time: what changed less than so long ago proves nothing.
_GRAIN_NS = 1_000_000_000
#: Of so many accounts.
_MOST = 1024

_open_directory = kernel.CachedOpen(os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def path(account: str) -> bytes:
    """The file of an account, below the data directory.

    Another for each name, also where file names do not differ by case.
    """
    name = _ESCAPED.sub(lambda found: b"%%%02x" % found[0][0], account.encode("utf-8", "surrogatepass"))
    return b"%b/%b.json" % (DIRECTORY, name)


def read(data: bytes, account: str) -> Configuration:
    """What is configured of an account.

    :param data: the data directory.
    :raises DamagedError: it cannot be known.
    """
    try:
        with paths.opened(os.open(os.path.join(data, path(account)), paths.READ | os.O_CLOEXEC)) as fd:
            size = os.fstat(fd).st_size
            return configuration.parse(os.pread(fd, size, 0))
    except FileNotFoundError:
        return NOT_CONFIGURED
    except OSError as error:
        if error.errno in _PASSING:
            raise
        raise DamagedError(f"what is configured of the account {account!r} cannot be read: {error.strerror}") from error


def change(data: bytes, account: str, change: ConfigurationChange, internals: Internals) -> Configuration:
    """Change what is configured, durably; as one step for all who read or change it.

    What is there and cannot be read is replaced: there is no other way out.

    :param data: the data directory.
    :param change: raises `S3Error` to leave everything as it is.
    :returns: what is configured then.
    :raises WouldBlock: another changes it just now.
    """
    directory, file = os.path.join(data, DIRECTORY), os.path.join(data, path(account))
    internals.make_directory(directory)
    with internals.locked(os.path.join(directory, _LOCK)):
        try:
            before = read(data, account)
        except DamagedError:
            before = None
        # Not a copy of the outermost mapping alone: what is remembered is never written to.
        values = json.loads(configuration.render(before or NOT_CONFIGURED))
        change(values)
        if before is not None and values == before:
            return before
        if values:
            internals.write_file(file, configuration.render(values))
        else:
            with suppress(FileNotFoundError):
                os.unlink(file)
            internals.durability.flush_path(directory)
        return MappingProxyType(values)


class KnownAccounts:
    """What is configured of accounts, remembered for as long as nothing in their directory changes.

    The directory is held open, and so what is asked of the kernel is in memory.

    :param data: the data directory, open.
    """

    def __init__(self, data: int) -> None:
        self._data = data
        self._fd = -1
        self._changed_ns = 0
        self._since = 0.0
        self._found: dict[str, Configuration] = {}

    def knows(self, account: str, now: float) -> Configuration | None:
        """What is configured of an account, if that is known and still so.

        :param now: seconds on a clock that never goes back.
        """
        found = self._found.get(account)
        if found is not None and now - self._since < _LOOK_S and os.fstat(self._fd).st_ctime_ns == self._changed_ns:
            return found
        return None

    def watch(self, now: float) -> bool:
        """Before an account is looked for: whether what will be found may be remembered.

        :param now: as for `knows`.
        """
        if self._fd >= 0 and now - self._since < _LOOK_S and os.fstat(self._fd).st_ctime_ns == self._changed_ns:
            return True
        self.close()
        fd = _open_directory(self._data, DIRECTORY)
        if fd < 0:
            return False
        changed = os.fstat(fd).st_ctime_ns
        if not time.time_ns() - changed > _GRAIN_NS:
            os.close(fd)
            return False
        self._fd, self._changed_ns, self._since = fd, changed, now
        return True

    def remember(self, account: str, found: Configuration) -> None:
        """Keep what was found after `watch` said yes."""
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[account] = found

    def close(self) -> None:
        """Know nothing any more."""
        self._found.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
