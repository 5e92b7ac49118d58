"""The load generator: `wrk <https://github.com/wg/wrk>`_ with requests that were signed before."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.samples import SATURATED, Sent, Work

_SCRIPT = Path(__file__).with_name("wrk.lua")
_MARK = "bench: "


def write_requests(path: Path, work: Work) -> None:
    """The file that wrk.lua reads: the body's length and the body, then each head with its length before it."""
    with path.open("wb") as file:
        file.write(b"%d\n%s" % (len(work.body), work.body))
        for head in work.heads:
            file.write(b"%d\n%s" % (len(head), head))


def parse(output: str, cpu: float, threads: int) -> Sent:
    """What wrk.lua printed among the rest; `ValueError` if it did not."""
    found = next((line for line in output.splitlines() if line.startswith(_MARK)), None)
    if found is None:
        raise ValueError(f"wrk told no result:\n{output}")
    result: dict[str, Any] = json.loads(found.removeprefix(_MARK))
    seconds = result["duration_us"] / 1e6
    return Sent(
        requests=result["requests"] - result["status"],
        seconds=seconds,
        errors=sum(result[name] for name in ("connect", "read", "write", "status", "timeout")),
        latency_ms={name: result[name] / 1000 for name in ("p50", "p90", "p99", "max")} if result["requests"] else {},
        cpu=cpu,
        saturated=cpu > SATURATED * seconds * threads,
    )


class Wrk:
    """Runs wrk; its files are in the directory `home`."""

    title = "wrk"

    def __init__(self, program: str, home: Path) -> None:
        self._program = program
        self._home = home
        self._threads = min(2, os.cpu_count() or 1)

    def run(self, address: tuple[str, int], work: Work, connections: int, limit: float) -> Callable[[], Sent]:
        """Make all ready; what is returned sends, for `limit` seconds at most, and tells what it saw."""
        path = self._home / "requests"
        write_requests(path, work)
        # wrk spreads connections over threads; the count of requests that are sent once is kept in one.
        threads = 1 if work.once else min(self._threads, connections)
        duration = max(1, round(limit))  # whole seconds are all it knows
        command = [
            *(self._program, f"-t{threads}", f"-c{connections}", f"-d{duration}s", "--timeout", "60s"),
            *("-s", str(_SCRIPT), "http://{}:{}".format(*address), "--", str(path)),
            *((str(connections),) if work.once else ()),
        ]

        def send() -> Sent:
            before = os.times()
            ended = subprocess.run(command, capture_output=True, text=True, timeout=duration + 120, check=False)
            after = os.times()
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            if ended.returncode:
                raise ValueError(f"wrk: exit status {ended.returncode}: {ended.stderr.strip()}")
            return parse(ended.stdout, cpu, threads)

        return send
