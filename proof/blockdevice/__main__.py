"""Power cuts of real file systems under a daemon at work: ``python -m proof.blockdevice [--cuts N]``, as root.

Each round makes a file system on a device that logs what it is given, lets clients work with a daemon on it, and then
cuts the log at many places: what was given before the last flush is on the disk, and of what came later any part.  Each
time the file system is mounted, it replays its journal, a store starts, and all that can be seen is held against what
was answered before the cut and what was under way.

With ``--without`` the daemon leaves out an fsync, and it is an error if nobody misses it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from proof.blockdevice.launcher import KINDS
from proof.blockdevice.mounts import OPTIONS, isolate
from proof.blockdevice.rounds import Figures, run

_SHARED = Path("/dev/shm")
#: Faults that are told in words; of the others only how many there are.
_TOLD = 10
_COLUMNS = "cuts", "by daemon", "operations", "unflushed", "dropped", "lost", "torn", "ghosts", "failed", "s", "CPU s"


def _row(figures: Figures) -> list[int]:
    wrong = [figures.wrong[kind] for kind in ("lost", "torn", "ghost", "failed")]
    counts = [figures.cuts, figures.by_daemon, figures.operations, figures.unflushed, figures.dropped]
    return [*counts, *wrong, round(figures.seconds), round(figures.processor)]


def _table(table: dict[str, Figures]) -> str:
    rows = [["", *_COLUMNS], *([kind, *map(str, _row(figures))] for kind, figures in table.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m proof.blockdevice", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cuts", type=int, default=2000, help="of each file system (default: %(default)s)")
    parser.add_argument("--per-round", type=int, default=200, help="cuts of one round (default: %(default)s)")
    parser.add_argument("--filesystem", default=",".join(OPTIONS), help="which, by commas (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each has the next (default: 1)")
    parser.add_argument("--clients", type=int, default=6, help="at once (default: %(default)s)")
    parser.add_argument("--operations", type=int, default=120, help="of a client in a round (default: %(default)s)")
    parser.add_argument("--without", choices=KINDS, default="nothing", help="which fsync the daemon leaves out")
    default = _SHARED if _SHARED.is_dir() else Path(tempfile.gettempdir())
    parser.add_argument("--directory", type=Path, default=default, help="has room for 500 MiB (default: %(default)s)")
    options = parser.parse_args()
    # As Control-C: what was begun is cleared away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    isolate()
    table = {kind: Figures() for kind in options.filesystem.split(",")}
    seed = options.seed
    # In turn, so that there is something of all whenever it is ended.
    while any(figures.cuts < options.cuts for figures in table.values()):
        for kind, figures in table.items():
            one = run(
                options.directory,
                kind,
                cuts=min(options.per_round, options.cuts - figures.cuts),
                seed=seed,
                clients=options.clients,
                operations=options.operations,
                without=options.without,
            )
            for each in one.told[:_TOLD]:
                print(f"{each}, seed {seed}")
            figures.add(one)
            figures.told.clear()
            print(_table(table), flush=True)
        seed += 1
    found = any(figures.wrong.total() for figures in table.values())
    return found if options.without == "nothing" else not found


if __name__ == "__main__":
    sys.exit(main())
