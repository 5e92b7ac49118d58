"""The object API, by many more random sequences than the tests make.

``python -m proof.model [SEQUENCES [PROCESSES [SEED]]]``

Requests of all kinds, restarts, kills and changes by other programs, held against a model.  They are made in rounds of
a hundred, each with a seed and a data directory of its own; in every second one of the two daemons has two workers.
What went wrong is told with all that led to it, and is made again by ``python -m proof.model 100 1 SEED`` with the seed
of its round, but for what depends on the moment of a kill.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.e2e.machine.whole import machine
from tests.e2e.two import Two

ROUND = 100
#: Requests and other steps of a sequence.
STEPS = 20


def run_round(number: int, sequences: int) -> Counter[str]:
    """So many sequences, of which this number decides; what was done."""
    with tempfile.TemporaryDirectory() as home:
        two = Two(Path(home), other=("--workers", "2") if number % 2 else ())
        two.start()
        try:
            run_state_machine_as_test(
                seed(number)(machine(two)),
                settings=settings(
                    max_examples=sequences,
                    stateful_step_count=STEPS,
                    deadline=None,
                    database=None,
                    # What depends on the moment of a kill cannot be made smaller.
                    phases=(Phase.generate,),
                    suppress_health_check=list(HealthCheck),
                ),
            )
        except BaseException as error:
            traceback.print_exception(error)
            two.done["violations"] += 1
            print(f"This was in the round of seed {number}.", flush=True)
        finally:
            two.stop()
        return two.done


def main() -> int:
    arguments = [int(each) for each in sys.argv[1:]]
    sequences, processes, first = (*arguments, *(10_000, 1, secrets.randbelow(1 << 32))[len(arguments) :])
    start = time.monotonic()
    done: Counter[str] = Counter()
    print(f"seed {first}", flush=True)
    sizes = [min(ROUND, sequences - at) for at in range(0, sequences, ROUND)]
    with ProcessPoolExecutor(processes) as pool:
        for each in pool.map(run_round, range(first, first + len(sizes)), sizes):
            done += each
            print(f"{done['sequences']} sequences, {done['violations']} violations", flush=True)
    done["violations"] += 0
    for name, count in sorted(done.items()):
        print(f"{count:9,} {name}")
    print(f"{time.monotonic() - start:9,.0f} seconds")
    return bool(done["violations"])


if __name__ == "__main__":
    sys.exit(main())
