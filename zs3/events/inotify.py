"""The kernel's inotify as a reader of the reactor.

Not Twisted's own: that passes over an overflow, drops the cookies by which the
two ends of a move are told to be one, and ends when any watched directory does.

Source: inotify(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

MODIFY, CLOSE_WRITE = 0x2, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED = 0x4000, 0x8000
ONLYDIR, ISDIR = 0x1000000, 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_add_watch = _libc.inotify_add_watch
_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
_HEAD = struct.Struct("@iIII")
_READ = 64 << 10


class Happening(NamedTuple):
    """What inotify tells.

    :ivar watch: the number of the watch; -1 for an overflow.
    :ivar mask: what has happened.
    :ivar cookie: equal for both ends of a move; else 0.
    :ivar name: in the directory that is watched; b"" for itself.
    """

    watch: int
    mask: int
    cookie: int
    name: bytes


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


@implementer(IReadDescriptor)
class Inotify:
    """Watches directories, from `start` to `stop`.

    :param happened: is given what has happened, in order, as much as is known at once.
    :raises OSError: there are too many of these.
    """

    def __init__(self, reactor: Any, happened: Callable[[list[Happening]], object]) -> None:
        self._reactor, self._happened = reactor, happened
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def start(self) -> None:
        """Begin to listen."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._fd >= 0:
            self._reactor.removeReader(self)
            os.close(self._fd)
            self._fd = -1

    def watch(self, path: bytes, mask: int) -> int:
        """Watch a directory; gives the number of the watch, the same one for the same directory.  In any thread.

        :raises OSError: it is none; ENOSPC: there are as many watches as a user may have.
        """
        return _checked(_add_watch(self._fd, path, mask | ONLYDIR))

    def forget(self, watch: int) -> None:
        """Watch a directory no more."""
        # Where it is gone already there is nothing to do.
        _libc.inotify_rm_watch(self._fd, watch)

    # For the reactor

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "inotify"

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002
        self.stop()

    def doRead(self) -> None:
        try:
            data = os.read(self._fd, _READ)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            raise
        found, at = [], 0
        while at < len(data):
            watch, mask, cookie, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            found.append(Happening(watch, mask, cookie, data[at : at + size].rstrip(b"\0")))
            at += size
        self._happened(found)
