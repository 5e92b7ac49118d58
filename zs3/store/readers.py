"""Open objects, read in threads, or at once where the bytes are in memory; they may be given up at any moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from zs3.store import posix
from zs3.store.hot import HotFiles
from zs3.store.interface import IFileReader, IObjectReader
from zs3.store.lookup import OpenObject
from zs3.store.values import ObjectInfo

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Runs a function with its arguments in a thread of the pool, e.g. ``partial(deferToThreadPool, reactor, pool)``.
Hop = Callable[..., Deferred[Any]]


def shielded(work: Deferred[_T]) -> Deferred[_T]:
    """A Deferred that may be cancelled while the work goes on: a thread cannot be stopped half-way."""
    outer: Deferred[_T] = Deferred()

    def relay(result: Any) -> None:
        if not outer.called:
            outer.callback(result)

    work.addBoth(relay)
    return outer


@implementer(IObjectReader)
class Reader:
    """An open object, read in threads."""

    def __init__(self, found: OpenObject, hop: Hop) -> None:
        self._found = found
        self._hop = hop
        self._busy = False
        self._closed = False

    def info(self) -> ObjectInfo:
        return self._found.info

    def _call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        if self._closed or self._busy:
            return fail(ValueError("the reader is closed, or a call is under way"))
        self._busy = True
        work: Deferred[_T] = self._hop(posix.call, function, *args, **kwargs)
        work.addBoth(self._done)
        return shielded(work)

    def _done(self, result: Any) -> Any:
        self._busy = False
        if self._closed:
            self._found.close()
        return result

    def read(self, offset: int, size: int) -> Deferred[bytes]:
        return self._call(self._found.read, offset, size)

    def unchanged(self) -> Deferred[bool]:
        return self._call(self._found.unchanged)

    def close(self) -> None:
        # A thread that is reading needs its descriptor until it has read.
        if not self._closed:
            self._closed = True
            if not self._busy:
                self._found.close()


@implementer(IFileReader)
class FileReader(Reader):
    """An open object whose bytes are read at once where they are in memory."""

    def __init__(self, found: OpenObject, hop: Hop, hot: HotFiles) -> None:
        super().__init__(found, hop)
        self._hot = hot

    def read_now(self, offset: int, size: int) -> bytes | None:
        return None if self._closed or self._busy else self._hot.read(self._found.fd, offset, size)

    def is_warm(self, offset: int, size: int) -> bool:
        return not self._closed and not self._busy and self._hot.is_warm(self._found.fd, offset, size)

    def warm(self, offset: int, size: int) -> Deferred[bool]:
        return self._call(self._found.warm, offset, size)

    def unchanged_now(self) -> bool:
        return not self._closed and self._found.unchanged()

    def fileno(self) -> int:
        return self._found.fd
