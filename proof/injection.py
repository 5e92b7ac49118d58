"""An errno, or a kill -9, at every system call with which each operation changes files: ``python -m proof.injection``.

Needs strace, and leave to trace one's own processes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.e2e.injection import ERRORS, KILL, Victim, can_trace
from tests.faults import Wrong
from tests.mutations import MUTATIONS


def _part(text: str) -> tuple[int, int]:
    part, parts = map(int, text.split("/"))
    if not 1 <= part <= parts:
        raise ValueError
    return part, parts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.injection", description=__doc__)
    parser.add_argument("--directory", type=Path, help="where to make the data directory")
    parser.add_argument("--only", default="", help="operations whose names contain this")
    parser.add_argument("--fault", action="append", choices=[*ERRORS, KILL], help="by default all of them")
    parser.add_argument(
        "--part", type=_part, default=(1, 1), metavar="K/N", help="the K-th of N parts of the operations"
    )
    options = parser.parse_args()
    part, parts = options.part
    if not can_trace():
        print("strace cannot trace here")
        return 2
    violations: list[str] = []
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        home = Path(name) / "home"
        home.mkdir()
        victim = Victim(home, Path(name) / "data")
        try:
            for mutation in MUTATIONS[part - 1 :: parts]:
                if options.only not in mutation.name:
                    continue
                before = victim.injected
                try:
                    calls = victim.calls(mutation)
                except Wrong as wrong:
                    violations.append(str(wrong))
                    print(f"not done: {wrong}", flush=True)
                    continue
                for call, number in calls:
                    for fault in options.fault or (*ERRORS, KILL):
                        try:
                            victim.inject(mutation, call, number, fault)
                        except Wrong as wrong:
                            violations.append(str(wrong))
                            print(wrong, flush=True)
                            try:
                                victim.restart()
                            except Wrong as wrong:
                                print(f"after that, {wrong}", flush=True)
                done = victim.injected - before
                counts = dict(Counter(call for call, _ in calls))
                print(f"{mutation.name}: {len(calls)} calls, {done} faults; {counts}", flush=True)
        finally:
            victim.close()
    print(f"{victim.injected} faults, {len(violations)} violations")
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
