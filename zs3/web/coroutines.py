"""Running a coroutine that seldom has to wait."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

from twisted.internet.defer import Deferred


def begin(coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
    """Run a coroutine that nobody waits for, as `Deferred.fromCoroutine` does, which costs more.

    What awaits only Deferreds that have fired is over when this returns.  What it raises before it waits is raised
    here, and later it is logged as unhandled.
    """
    try:
        waiting = coroutine.send(None)
    except StopIteration:
        return
    Deferred.fromCoroutine(_rest(coroutine, waiting))


def _rest(
    coroutine: Coroutine[Deferred[Any], Any, None], waiting: Deferred[Any]
) -> Generator[Deferred[Any], Any, None]:
    try:
        while True:
            try:
                result = yield waiting
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # the Deferred failed
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(result)
    except StopIteration:
        return
