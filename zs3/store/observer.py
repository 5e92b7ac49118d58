"""What a store tells of its work to who counts it.

The store knows nothing of metrics; without an observer it measures nothing.
"""

from __future__ import annotations

from typing import Protocol


class StoreObserver(Protocol):
    """Is told, in any thread and in the midst of the work: it returns at once and raises nothing."""

    def synced(self, seconds: float) -> None:
        """An fsync has ended, well or not, after so long."""

    def lost(self) -> None:
        """An fsync has failed: the disk does not keep what it was given."""

    def looked_up(self, *, remembered: bool) -> None:
        """A listing needed a directory; whether it was known what that holds."""
