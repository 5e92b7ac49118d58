"""Versions, by many more random sequences than the tests make: ``python -m proof.versions [SEQUENCES [HISTORIES]]``.

SEQUENCES are of requests, restarts, kills and changes by others, held against a model.  HISTORIES are of clients that
do things to one key at once, while every fourth time a daemon is killed:
can they have happened one after the other?
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections import Counter
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.e2e.histories import Recording
from tests.e2e.versionmachine import KEYS, Two, machine
from tests.linearizability import explain, is_linearizable

#: Requests and other steps of a sequence.
STEPS = 50


def _sequences(most: int) -> int:
    """Random sequences against the model of versions; how many went wrong."""
    if not most:
        return 0
    with tempfile.TemporaryDirectory() as home:
        two = Two(Path(home))
        two.start()
        start = time.monotonic()
        try:
            run_state_machine_as_test(
                machine(two),
                settings=settings(
                    max_examples=most,
                    stateful_step_count=STEPS,
                    deadline=None,
                    database=None,
                    # What depends on the moment of a kill cannot be made smaller.
                    phases=(Phase.generate,),
                    suppress_health_check=list(HealthCheck),
                    print_blob=True,
                ),
            )
        except Exception as error:
            traceback.print_exception(error)
            two.done["violations"] += 1
        finally:
            two.stop()
            print(
                f"{dict(two.done)}, {two.done['violations']} violations, {time.monotonic() - start:.0f} s", flush=True
            )
        return two.done["violations"]


def _histories(most: int) -> int:
    """Histories of clients at once; how many cannot have happened."""
    with tempfile.TemporaryDirectory() as home:
        two = Two(Path(home))
        two.start()
        start = time.monotonic()
        done: Counter[str] = Counter()
        try:
            for seed in range(most):
                clients, key = seed % 5 + 4, KEYS[seed % len(KEYS)]
                recording = Recording(two.endpoints, two.new_versioned_bucket(), key)
                killed = seed % 8 // 4 if seed % 4 == 3 else None
                recording.run(
                    clients, 98 // clients, seed, (lambda: None) if killed is None else partial(two.kill, killed)
                )
                if killed is not None:
                    two.revive(killed)
                history = recording.history()
                if not is_linearizable(history):
                    done["violations"] += 1
                    print(f"seed {seed}, {key}, {clients} clients:\n{explain(history)}", flush=True)
                done["histories"] += 1
                done["operations"] += len(history)
                done["without an answer"] += sum(each.is_open for each in history)
        finally:
            two.stop()
            took = time.monotonic() - start
            print(f"{dict(done)}, {two.done['kills']} kills, {done['violations']} violations, {took:.0f} s")
    return done["violations"]


def main() -> int:
    sequences, histories = (*map(int, sys.argv[1:]), *(1000, 1000)[len(sys.argv) - 1 :])
    return bool(_sequences(sequences) + _histories(histories))


if __name__ == "__main__":
    sys.exit(main())
