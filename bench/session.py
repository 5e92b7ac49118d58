"""A run: the servers are started one after another, then every case goes round them, so that a ratio is of one time."""

from __future__ import annotations

import http.client
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from bench import processes
from bench.cases import Case, List, Put, WrongAnswer
from bench.client import call
from bench.large import LargeCase, Source, tools
from bench.loop import Loop
from bench.results import About, Report, Row
from bench.samples import Sample, Sent, Work
from bench.server import Server, ServerError

#: A measurement of requests that are sent once each ends by itself, but not later than this.
_ONCE_S = 60.0
#: What takes long is measured for longer: as long as this many answers on each connection take.
_ANSWERS = 2
_TROUBLES = (WrongAnswer, OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError)


class Generator(Protocol):
    """Sends `Work` to a server."""

    title: str

    def run(self, address: tuple[str, int], work: Work, connections: int, limit: float) -> Callable[[], Sent]:
        """Make ready; what is returned sends, for `limit` seconds at most."""


@dataclass(frozen=True)
class Settings:
    """How often and how long.

    :ivar seconds: of each measurement.
    :ivar longest: where a server is so slow that it hardly answers in that time.
    """

    connections: Sequence[int] = (1, 50)
    seconds: float = 2
    longest: float = 10
    rounds: int = 3


class Session:
    """Takes the measurements into `report`.

    :param home: for its own files.
    :param tell: is given a line when there is progress.
    """

    def __init__(self, report: Report, settings: Settings, home: Path, tell: Callable[[str], None]) -> None:
        self._report = report
        self._settings = settings
        self._home = home
        self._tell = tell
        self._servers: list[Server] = []

    def start(self, servers: Iterable[Server], cases: Iterable[Case]) -> None:
        """Start what can be started, with the buckets of plain files in place."""
        plants = [case for case in cases if isinstance(case, List) and case.dropped]
        for server in servers:
            for case in plants:
                if case.suits(server):
                    case.plant(server.data)
            try:
                server.start()
            except (ServerError, *_TROUBLES) as error:
                self._tell(f"{server.name}: {error}")
                server.stop()
                continue
            self._servers.append(server)
            self._report.servers[server.name] = About(
                server.note, server.version(), server.started_in, server.memory_at_start
            )
            self._tell(f"{server.name} has started in {server.started_in:.2f} s")

    def stop(self) -> None:
        """End all of them."""
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            server.stop()

    def measure(self, cases: Iterable[Case], generator: Generator, *, loop: bool) -> None:
        """Every case at every number of connections; with the bare loop as a limit of `Put` if `loop`."""
        for case in cases:
            ready: list[Server] = []
            refused: dict[str, str] = {}
            for server in self._servers:
                if case.suits(server) and self._ready(server, refused, case.prepare, case.check):
                    ready.append(server)
            for connections in dict.fromkeys(min(each, case.most) for each in self._settings.connections):
                row = Row(case.name, case.title, connections, refused=dict(refused))
                self._report.rows.append(row)
                for turn in range(self._settings.rounds):
                    for server in _rotated(ready, turn):
                        if server.name not in row.refused:
                            self._try(row, server, partial(self._once, server, case, row, generator))
                    if loop and isinstance(case, Put):
                        self._loop(row, case)
                self._told(row)

    def measure_large(self, cases: Iterable[LargeCase], source: Source, *, limit: bool) -> None:
        """The large transfers; with the tools as a limit of PUT if `limit`."""
        for case in cases:
            row = Row(case.name, case.title, 1)
            self._report.rows.append(row)
            ready = [
                server
                for server in self._servers
                if case.suits(server)
                and self._ready(
                    server, row.refused, partial(case.prepare, source=source), partial(case.check, source=source)
                )
            ]
            for turn in range(self._settings.rounds):
                for server in _rotated(ready, turn):
                    if server.name not in row.refused:
                        self._try(row, server, partial(self._large, server, case, row, source))
                if limit and case.method == "PUT" and not case.secure:
                    name = "md5+sha256+dd"
                    self._report.servers.setdefault(name, About("md5sum, sha256sum and dd conv=fsync at once"))
                    os.sync()
                    seconds, cpu = tools(source, self._home)
                    row.add(name, Sample(source.size / 1e6 / seconds, cpu * 1e12 / source.size, None, 1, 0, {}))
            self._told(row)

    def _ready(self, server: Server, refused: dict[str, str], *steps: Callable[[Server], None]) -> bool:
        try:
            for step in steps:
                step(server)
            server.settle()
        except (ServerError, *_TROUBLES) as error:
            refused[server.name] = f"{type(error).__name__}: {error}"[:300]
            return False
        return True

    def _try(self, row: Row, server: Server, step: Callable[[], None]) -> None:
        try:
            step()
        except (ServerError, *_TROUBLES) as error:
            row.refused[server.name] = f"{type(error).__name__}: {error}"[:300]

    def _once(self, server: Server, case: Case, row: Row, generator: Generator) -> None:
        work = case.work(server, row.connections)
        limit = _ONCE_S if work.once else self._duration(server, work, row.connections)
        if work.bodiless:
            generator = Loop()
        send = generator.run(server.address, work, row.connections, limit)
        if case.writes:
            os.sync()  # what the last one left in memory is not to be written during this one
        server.settle()
        pids = server.pids()
        processes.reset_peak(pids)
        before = processes.cpu_seconds(pids)
        sent = send()
        cpu = processes.cpu_seconds(pids) - before
        doubt = "g" if sent.saturated else ""
        if not work.once and sent.requests < 3 * row.connections:
            doubt += "f"
        row.add(
            server.name,
            Sample(
                sent.requests / sent.seconds,
                cpu * 1e6 / sent.requests if sent.requests else None,
                processes.peak_memory(pids),
                sent.requests,
                sent.errors,
                sent.latency_ms,
                doubt,
            ),
        )

    def _duration(self, server: Server, work: Work, connections: int) -> float:
        """Of a measurement in seconds: long enough for a slow server to answer at all."""
        began = time.perf_counter()
        call(server.address, work.heads[0], work.body)
        one = time.perf_counter() - began
        if connections * one < self._settings.seconds:
            return self._settings.seconds
        return max(self._settings.seconds, min(self._settings.longest, math.ceil(_ANSWERS * connections * one)))

    def _large(self, server: Server, case: LargeCase, row: Row, source: Source) -> None:
        if case.method == "PUT":
            os.sync()
        transfer = case.transfer(server, source)
        pids = server.pids()
        processes.reset_peak(pids)
        before, began = processes.cpu_seconds(pids), time.perf_counter()
        transfer()
        seconds = time.perf_counter() - began
        cpu = processes.cpu_seconds(pids) - before
        # cpu s per byte, as milliseconds per 10^9 bytes
        memory = processes.peak_memory(pids)
        row.add(server.name, Sample(source.size / 1e6 / seconds, cpu * 1e12 / source.size, memory, 1, 0, {}))

    def _loop(self, row: Row, case: Put) -> None:
        name = "fsync-loop"
        self._report.servers.setdefault(
            name, About("write, fsync, rename, fsync of the directory and no server; 16 threads at most")
        )
        directory = self._home / "loop"
        directory.mkdir(exist_ok=True)
        threads = min(16, row.connections)
        os.sync()
        arguments = [str(directory), str(case.size), str(threads), str(self._settings.seconds)]
        ended = subprocess.run(
            [sys.executable, "-m", "bench.fsyncloop", *arguments],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            check=True,
        )
        told = json.loads(ended.stdout)
        count = told["count"]
        row.add(
            name,
            Sample(count / told["seconds"], told["cpu"] * 1e6 / count, None, count, 0, told["latency_ms"]),
        )

    def _told(self, row: Row) -> None:
        medians = {name: row.median(name) for name in row.samples}
        figures = ", ".join(f"{name} {sample.rate:,.1f}" for name, sample in medians.items() if sample)
        reasons = "".join(f"; {name}: {reason[:80]}" for name, reason in row.refused.items())
        self._tell(f"{row.title}, {row.connections} connections: {figures or 'nothing'}{reasons}")


def _rotated(servers: Sequence[Server], turn: int) -> Sequence[Server]:
    """Another one begins in each round."""
    turn %= max(1, len(servers))
    return [*servers[turn:], *servers[:turn]]
