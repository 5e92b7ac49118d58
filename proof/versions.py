"""Versions, by many more random sequences than the tests make: ``python -m proof.versions [SEQUENCES]``."""

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
                    phases=(Phase.generate, Phase.shrink),
                    suppress_health_check=list(HealthCheck),
                    print_blob=True,
                ),
            )
        except Exception as error:
            print(*two.violations[:1] or traceback.format_exception(error), *getattr(error, "__notes__", ()), sep="\n")
            two.violations.append("")
        finally:
            two.stop()
        wrong = len(two.violations)
        print(f"sequences: {dict(two.done)}, {wrong} violations, {time.monotonic() - start:.0f} s", flush=True)
        return wrong


def main() -> int:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    return bool(_sequences(most))


if __name__ == "__main__":
    sys.exit(main())
