"""What `--metrics` costs: CPU time of a request in one process that has no socket and no thread.

    python -m bench.metrics

Sites over real directories answer signed requests from an in-memory transport: one counts nothing, one for itself, and
one in a directory that it could share with other workers.  They take turns in short batches, and what is told of one
beside the first is the median of the differences within a turn.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack

from bench.cases import content
from bench.inprocess import Daemon
from bench.signing import Call, sha256
from zs3.metrics.setup import Setup
from zs3.metrics.shared import SharedDirectory

_KEY = "/bucket/read/object"
_SIZE = 1024
#: What has just changed is looked at each time: that is not what is measured.
_SETTLED_S = 1.5
_THREADS = 16
_TITLES = ("without --metrics", "with --metrics", "with --metrics, in a worker")
_KINDS = ("GET of 1 KiB", "PUT of 1 KiB", "HEAD of a bucket")


def _requests(daemon: Daemon) -> list[bytes]:
    """One of each of `_KINDS`."""
    body = content(_SIZE)
    return [
        daemon.signed(Call("GET", _KEY)),
        daemon.signed(Call("PUT", _KEY + "2", (), _SIZE, sha256(body))) + body,
        daemon.signed(Call("HEAD", "/bucket")),
    ]


def measure(rounds: int, times: int) -> list[tuple[str, str, float, float, float]]:
    """For each kind and case in microseconds the least, the median, and the median difference to the first case."""
    with ExitStack() as stack:
        directory = SharedDirectory(os.environ)
        directory.make()
        stack.callback(directory.remove)
        cases = []
        for title in _TITLES:
            setup = None
            if title != _TITLES[0]:
                setup = Setup(_THREADS, None if title == _TITLES[1] else directory.path, 1)
            data = stack.enter_context(tempfile.TemporaryDirectory(prefix="zs3-bench-"))
            daemon = Daemon(data, observer=None if setup is None else setup.instruments)
            stack.callback(daemon.stop)
            daemon.write("/bucket")
            daemon.write(_KEY, content(_SIZE))
            cases.append((daemon, _requests(daemon)))
            for request in cases[-1][1]:
                daemon.send(request)
        time.sleep(_SETTLED_S)
        for daemon, requests in cases * 3:
            for request in requests:
                daemon.run(request, times)
        gc.collect()
        figures = []
        for number, kind in enumerate(_KINDS):
            turns = [[daemon.run(requests[number], times) for daemon, requests in cases] for _ in range(rounds)]
            for case, title in enumerate(_TITLES):
                taken = [turn[case] for turn in turns]
                more = statistics.median(turn[case] - turn[0] for turn in turns)
                figures.append((kind, title, min(taken), statistics.median(taken), more))
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = argparse.ArgumentParser(prog="python -m bench.metrics", description="Measures what --metrics costs.")
    options.add_argument("--rounds", type=int, default=200, help="how often all take their turn")
    options.add_argument("--times", type=int, default=50, help="requests in a turn")
    given = options.parse_args(arguments)
    sys.stdout.write(f"{'CPU microseconds':50}  least  median  more\n")
    for kind, title, least, median, more in measure(given.rounds, given.times):
        sys.stdout.write(f"{kind + ' ' + title:50} {least:6.1f} {median:7.1f} {more:+5.1f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
