"""Every operation in a process that ends before each call that changes something: ``python -m proof.crashes``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.enumerator import Enumerator
from tests.mutations import MUTATIONS

#: More calls than any operation makes.
MOST = 500


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.crashes", description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path("/dev/shm"), help="where to make the data directories")
    parser.add_argument("--only", default="", help="operations whose names contain this")
    options = parser.parse_args()
    crashes = violations = 0
    for mutation in MUTATIONS:
        if options.only not in mutation.name:
            continue
        with tempfile.TemporaryDirectory(dir=options.directory) as name:
            enumerator = Enumerator(Path(name))
            for step in range(1, MOST):
                if enumerator.crash(mutation, step):
                    break
        for each in enumerator.violations:
            print(each)
        print(f"{mutation.name}: {enumerator.crashes} crashes", flush=True)
        crashes += enumerator.crashes
        violations += len(enumerator.violations)
    print(f"{crashes} crashes, {violations} violations")
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
