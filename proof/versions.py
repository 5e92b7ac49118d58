"""Versions, by many more random sequences than the tests make: ``python -m proof.versions [SEQUENCES]``.

They are of requests, restarts, kills and changes by others, held against a model.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.e2e.versionmachine import Two, machine

#: Requests and other steps of a sequence.
STEPS = 50


def _sequences(most: int) -> int:
    """Random sequences against the model of versions; how many went wrong."""
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


def main() -> int:
    return bool(_sequences(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))


if __name__ == "__main__":
    sys.exit(main())
