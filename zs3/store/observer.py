"""What a store tells of its work to who counts it.

The store knows nothing of metrics; without an observer it measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class StoreObserver(Protocol):
    """Is told, in any thread and in the midst of the work: it returns at once and raises nothing."""

    def synced(self, seconds: float) -> None:
        """An fsync has ended, well or not, after so long."""

    def lost(self) -> None:
        """An fsync has failed: the disk does not keep what it was given."""

    def looked_up(self, *, remembered: bool) -> None:
        """A listing needed a directory; whether it was known what that holds."""


class LossObserver:
    """Tells another what it is told, and somebody more of the losses.

    :param lost: is called in any thread.
    """

    def __init__(self, other: StoreObserver | None, lost: Callable[[], object]) -> None:
        self._other, self._lost = other, lost

    def synced(self, seconds: float) -> None:
        """An fsync has ended."""
        if self._other is not None:
            self._other.synced(seconds)

    def lost(self) -> None:
        """An fsync has failed."""
        self._lost()
        if self._other is not None:
            self._other.lost()

    def looked_up(self, *, remembered: bool) -> None:
        """A listing needed a directory."""
        if self._other is not None:
            self._other.looked_up(remembered=remembered)
