"""What is told when the metrics are asked for: what was counted, of all workers, and how things are now.

Source: Prometheus, "Writing client libraries", process metrics.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString
from twisted.copyright import version as twisted_version

import zs3
from zs3.health import Report
from zs3.metrics import definitions
from zs3.metrics.definitions import COUNTER, GAUGE, HISTOGRAM, Definition
from zs3.metrics.table import Key

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

#: What ends with a worker.
_OF_THE_LIVING = {each.name for each in definitions.COUNTED if each.kind == GAUGE}


class Counted:
    """Gives the metrics of `definitions.COUNTED`.

    :param tables: gives of each worker that there is or was whether it is alive, and its numbers.
    """

    def __init__(self, tables: Callable[[], Iterable[tuple[bool, Iterable[tuple[Key, list[float]]]]]]) -> None:
        self._tables = tables

    def collect(self) -> Iterator[Metric]:
        """For a registry."""
        sums: dict[str, dict[tuple[str, ...], list[float]]] = {}
        for alive, numbers in self._tables():
            for (name, labels), values in numbers:
                known = sums.setdefault(name, {})
                if labels not in known:
                    known[labels] = [0.0] * len(values)
                if name == definitions.LOST.name:
                    known[labels] = [max(pair) for pair in zip(known[labels], values, strict=True)]
                elif alive or name not in _OF_THE_LIVING:
                    known[labels] = [a + b for a, b in zip(known[labels], values, strict=True)]
        for definition in definitions.COUNTED:
            yield _told(definition, sums.get(definition.name, {}))


def _told(definition: Definition, numbers: Mapping[tuple[str, ...], list[float]]) -> Metric:
    if definition.kind != HISTOGRAM:
        return _family(definition, ((labels, value) for labels, (value,) in numbers.items()))
    family = HistogramMetricFamily(definition.name, definition.help, labels=definition.labels)
    bounds = [*map(floatToGoString, definition.bounds), "+Inf"]
    for labels, (*counts, total) in numbers.items():
        family.add_metric(labels, [*zip(bounds, accumulate(counts), strict=True)], total)
    return family


class LookedUp:
    """Gives the metrics of `definitions.LOOKED_UP`.

    :param processes: gives the number and process id of each worker, that of their parent as 0; a process that serves
        alone is number 0 too.
    :ivar report: of `zs3.health`, the last one; whoever asks for the metrics sets it.
    """

    def __init__(self, processes: Callable[[], Iterable[tuple[int, int]]]) -> None:
        self._processes = processes
        self.report = Report("", None)

    def collect(self) -> Iterator[Metric]:
        """For a registry."""
        disk = self.report.disk
        if disk is not None and disk.size:
            yield _family(definitions.DISK_SIZE, [((), disk.size)])
            yield _family(definitions.DISK_AVAILABLE, [((), disk.available)])
            yield _family(definitions.INODES, [((), disk.inodes)])
            yield _family(definitions.INODES_AVAILABLE, [((), disk.inodes_available)])
        yield _family(definitions.READY, [((), 0 if self.report.problem else 1)])
        versions = (zs3.__version__, platform.python_version(), twisted_version)
        yield _family(definitions.BUILD, [(versions, 1)])
        found = dict(self._processes())
        yield _family(definitions.WORKERS, [((), max(1, len(found) - 1))])
        values: dict[Definition, list[tuple[tuple[str, ...], float]]] = {}
        for number, pid in sorted(found.items()):
            with suppress(OSError):  # it has ended
                for definition, value in _about(pid):
                    values.setdefault(definition, []).append(((str(number),), value))
        for definition, samples in values.items():
            yield _family(definition, samples)


def _family(definition: Definition, samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    kind = CounterMetricFamily if definition.kind == COUNTER else GaugeMetricFamily
    family = kind(definition.name, definition.help, labels=definition.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _about(pid: int) -> Iterator[tuple[Definition, float]]:
    """What the kernel tells of a process (proc(5)).

    Not the library's own collector: that needs /proc/stat, which systemd's ProcSubset=pid hides.
    """
    home = f"/proc/{pid}"
    with open(f"{home}/stat", "rb") as file:
        # Behind the name, which may hold anything.
        fields = file.read().rpartition(b")")[2].split()
    yield definitions.CPU, (int(fields[11]) + int(fields[12])) / _TICKS
    yield definitions.MEMORY, int(fields[21]) * _PAGE
    yield definitions.VIRTUAL, int(fields[20])
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    yield definitions.STARTED, round(booted + int(fields[19]) / _TICKS, 2)
    yield definitions.OPEN_FILES, len(os.listdir(f"{home}/fd"))
    with open(f"{home}/limits", "rb") as file:
        for line in file:
            if line.startswith(b"Max open files"):
                soft = line.split()[3]
                yield definitions.MOST_FILES, float("inf") if soft == b"unlimited" else int(soft)
