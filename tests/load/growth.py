"""What processes hold over time, read from /proc, and whether that grows."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)

#: How much more memory in the last quarter of a life than in the second one is growth; and of descriptors and threads.
_MEMORY, _COUNTS = 0.05, 0.10
#: Descriptors and threads that may be more at one time than at another for no reason.
_FEW = 12
#: Minutes that a life must have lasted to be judged: the caches of a shorter one still fill.
LONG_MIN = 15.0


@dataclass(frozen=True)
class Sample:
    """What some processes held together.

    :ivar at: when, of the monotonic clock, in seconds.
    :ivar memory: bytes, what they share counted once (PSS).
    :ivar temporary: files that they had for what is being written.
    """

    at: float
    memory: float
    fds: int
    threads: int
    temporary: int = 0


def sample(processes: Iterable[int], temporary: int = 0) -> Sample | None:
    """Of processes as they are now; None if one of them has ended."""
    memory = fds = threads = 0
    try:
        for process in processes:
            root = Path(f"/proc/{process}")
            found = _PSS.search((root / "smaps_rollup").read_text())
            if found is None:
                return None
            memory += int(found[1]) * 1024
            fds += len(os.listdir(root / "fd"))
            threads += len(os.listdir(root / "task"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Sample(time.monotonic(), memory, fds, threads, temporary)


def cpu_seconds(process: int) -> float:
    """The time that a process has had of processors."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line through points, by least squares; 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    try:
        return statistics.linear_regression(*zip(*points, strict=True)).slope
    except statistics.StatisticsError:  # all at one time
        return 0.0


@dataclass
class Life:
    """One life of a daemon: from a start to its end.

    :ivar end: how it ended.
    """

    samples: list[Sample] = field(default_factory=list)
    end: str = ""

    @property
    def minutes(self) -> float:
        return (self.samples[-1].at - self.samples[0].at) / 60 if self.samples else 0.0

    def quarter(self, number: int) -> list[Sample]:
        """The samples of a quarter of the life, of which the first is 0 and counts as warm-up."""
        size = len(self.samples) / 4
        return self.samples[int(number * size) : int((number + 1) * size)]

    def slope(self, what: str) -> float:
        """Of something that is sampled, per hour, without the warm-up."""
        warm = self.samples[len(self.samples) // 4 :]
        return slope([(each.at / 3600, getattr(each, what)) for each in warm])

    def medians(self, what: str) -> tuple[float, float]:
        """Of something that is sampled, in the second quarter and in the last one."""
        second, last = ([getattr(each, what) for each in self.quarter(number)] for number in (1, 3))
        return (statistics.median(second), statistics.median(last)) if second and last else (0.0, 0.0)

    def growth(self) -> list[str]:
        """What grew, in words; nothing for a life that was too short to tell."""
        if self.minutes < LONG_MIN:
            return []
        found = []
        for what, share, few in (("memory", _MEMORY, 0), ("fds", _COUNTS, _FEW), ("threads", _COUNTS, _FEW)):
            second, last = self.medians(what)
            if last - second > second * share + few:
                found.append(f"{what} grew from {second:,.0f} to {last:,.0f}")
        return found
