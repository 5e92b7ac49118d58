"""Thousands of connections that wait for their next request: ``python -m proof.connections [N]``.

What they cost in memory, whether others are served meanwhile, and whether all is given back when their time is over.
The daemon is started with a soft limit of 1,024 files, as many systems have it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.daemon import Daemon, Endpoint
from tests.e2e.workers import pids
from tests.load.crowd import Crowd, latencies, told
from tests.load.growth import Sample, cpu_seconds, sample

_KIB = 1024
_IDLE_S = 10.0
#: Seconds after which the daemon closes a connection that asks nothing, see `zs3.web.limits`; and some more.
_PATIENCE_S = 60.0 + 15.0


@contextmanager
def _few_files() -> Iterator[None]:
    """In this block, a soft limit that is as low as it often is; afterwards as high as it may be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(home: Path, number: int, *, secure: bool, workers: int) -> list[str]:
    """One round; what was wrong."""
    (home / "data" / "bucket").mkdir(parents=True)
    (home / "data" / "bucket" / "key").write_bytes(b"x" * 1000)
    daemon = Daemon(home, home / "data", "--workers", str(workers), "--access-log", "off")
    with _few_files():
        daemon.start()
    try:
        processes = [daemon.pid, *pids(daemon).values()]
        endpoint = daemon.tls if secure else daemon.plain
        # What the first ones leave behind, the second ones find there.
        return [wrong for _ in range(2) for wrong in _crowd(endpoint, processes, number)]
    finally:
        daemon.kill()


def _crowd(endpoint: Endpoint, processes: list[int], number: int) -> list[str]:
    path = "/bucket/key"

    def held() -> Sample:
        taken = sample(processes)
        assert taken is not None, "a process of the daemon has ended"
        return taken

    alone = latencies(endpoint, path, 500)
    time.sleep(1)
    before, crowd = held(), Crowd(endpoint, path)
    start = time.monotonic()
    crowd.come(number)
    took, full = time.monotonic() - start, held()
    used = sum(map(cpu_seconds, processes))
    time.sleep(_IDLE_S)
    used = sum(map(cpu_seconds, processes)) - used
    meanwhile = latencies(endpoint, path, 500)
    during_end: list[float] = []
    end = start + took + _PATIENCE_S
    while len(crowd) and time.monotonic() < end:
        crowd.wait_until_closed(0.1)
        during_end += latencies(endpoint, path, 5)
    left = len(crowd)
    crowd.go()
    time.sleep(1)
    after = held()
    print(
        f"{number} connections in {took:.1f} s ({told(crowd.seconds)}), {len(crowd.errors)} errors; "
        f"{(full.memory - before.memory) / number / _KIB:.2f} KiB each, fds {before.fds} -> {full.fds} -> {after.fds}, "
        f"MiB {before.memory / _KIB**2:.1f} -> {full.memory / _KIB**2:.1f} -> {after.memory / _KIB**2:.1f}\n"
        f"   CPU in {_IDLE_S:.0f} idle seconds: {used:.2f} s; all closed after {time.monotonic() - start:.0f} s, "
        f"{left} left\n"
        f"   another client: alone {told(alone)}\n"
        f"                   among them {told(meanwhile)}\n"
        f"                   while they are closed {told(during_end)}",
        flush=True,
    )
    wrong = crowd.errors[:5]
    if left:
        wrong.append(f"{left} connections are left")
    if after.fds > before.fds + 2:
        wrong.append(f"{after.fds} descriptors instead of {before.fds}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.connections", description=__doc__)
    parser.add_argument("number", type=int, nargs="?", default=10_000, metavar="N")
    parser.add_argument("--tls", type=int, default=2_000, help="how many over TLS")
    options = parser.parse_args()
    wrong: list[str] = []
    for number, secure, workers in (
        (options.number, False, 1),
        (options.number, False, 2),
        (options.tls, True, 1),
    ):
        with tempfile.TemporaryDirectory() as name:
            print(f"{'TLS' if secure else 'plain'}, --workers {workers}:", flush=True)
            wrong += _run(Path(name), number, secure=secure, workers=workers)
    for each in wrong:
        print(f"WRONG: {each}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
