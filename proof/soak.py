"""Mixed load with restarts, and whether memory, descriptors and threads grow: ``python -m proof.soak [MINUTES]``.

The first half is one life of the daemon; in the second it is ended every few minutes, in turn by SIGTERM in the middle
of its work and by ``kill -9``, and all that was acknowledged is read again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from tests.load.growth import MIB, Life
from tests.load.soak import DAY_S, Left, Soak, verdict

#: So little that it is full before it is looked whether memory grows: names that come anew fill it.
_CACHE = ("--cache-size", "4")
#: Options of the daemon, and whether it is without all that is not needed to serve.
VARIANTS: dict[str, tuple[tuple[str, ...], bool]] = {
    "full": (_CACHE, False),
    "workers": ((*_CACHE, "--workers", "2"), False),
    "bare": (_CACHE, True),
}


def _spans(seconds: float, every: float) -> Iterator[float]:
    """How long each life of the daemon is to last."""
    yield seconds / 2
    left = seconds / 2
    while left > 0:
        yield min(every, left)
        left -= every


def run(soak: Soak, minutes: float, every: float, patience: float) -> Left:
    """The whole run; what was left on the disk."""
    kinds = cycle(("TERM", "KILL", "worker") if "--workers" in soak.daemon.arguments else ("TERM", "KILL"))
    for number, span in enumerate(_spans(minutes * 60, every * 60)):
        if number:
            soak.restart(next(kinds))
            told(soak)
        soak.watch(span)
    return soak.finish(patience)


def told(soak: Soak) -> None:
    life = soak.lives[-1] if soak.lives[-1].samples or len(soak.lives) < 2 else soak.lives[-2]
    requests, violations = sum(soak.tally.done.values()), len(soak.tally.violations)
    print(f"{time.strftime('%H:%M:%S')} {requests} done, {violations} violations; {_line(life)}", flush=True)


def _line(life: Life) -> str:
    if not life.samples:
        return "no samples"
    first, last = life.samples[0], life.samples[-1]
    (second, fourth), slope = life.medians("memory"), life.slope("memory")
    return (
        f"{life.minutes:6.1f} min, {life.end or 'lives':6}, MiB first {first.memory / MIB:6.1f} 2nd quarter "
        f"{second / MIB:6.1f} 4th {fourth / MIB:6.1f} slope {slope / MIB:+7.2f}/h, "
        f"fds {first.fds}-{max(each.fds for each in life.samples)} last {last.fds} slope {life.slope('fds'):+.1f}/h, "
        f"threads {first.threads}-{max(each.threads for each in life.samples)} last {last.threads}, "
        f"temporary files <= {max(each.temporary for each in life.samples)}"
    )


def _report(soak: Soak, left: Left, seconds: float) -> None:
    print(f"\n{seconds / 60:.1f} minutes, {sum(soak.tally.done.values())} done:")
    for what, count in soak.tally.done.most_common():
        print(f"   {what:24} {count:9,}")
    print("answers that were errors:")
    for what, count in soak.tally.errors.most_common():
        print(f"   {what:24} {count:9,}")
    for number, life in enumerate(soak.lives, 1):
        print(f"life {number:3}: {_line(life)}")
    print(f"sent {soak.tally.bytes_sent / 1e9:.2f} GB, read and compared {soak.tally.bytes_read / 1e9:.2f} GB")
    print(
        f"events: {soak.hook.count} at the target, {soak.heard} heard; "
        f"the counter was counted up {soak.tally.counted} times"
    )
    print(
        f"daemon: {soak.cpu:.0f} s of CPU time; at most {soak.largest_on_disk / MIB:.0f} MiB on the disk; left: {left}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.soak", description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=60, metavar="MINUTES")
    parser.add_argument("--variant", choices=VARIANTS, default="full")
    parser.add_argument("--rate", type=float, default=40, help="what the clients begin in a second")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--every", type=float, default=5, help="minutes between restarts in the second half")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where to make the data directory")
    options = parser.parse_args()
    arguments, bare = VARIANTS[options.variant]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        soak = Soak(Path(name), *arguments, clients=options.clients, rate=options.rate, seed=options.seed, bare=bare)
        with soak.running():
            left = run(soak, options.minutes, options.every, 4 * DAY_S)
    _report(soak, left, time.monotonic() - start)
    own = os.times()
    print(f"clients: {own.user + own.system:.0f} s of CPU time")
    wrong = verdict(soak)
    for each in wrong[:50]:
        print(f"WRONG: {each}")
    print(f"{len(wrong)} violations")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
