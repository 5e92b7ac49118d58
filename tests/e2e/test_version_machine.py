"""Versions, by random sequences of requests, restarts, kills and changes by others, against a model of them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.e2e.versionmachine import Two, machine


def test_two_daemons_tell_versions_as_the_model_does(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.start()
    try:
        run_state_machine_as_test(
            machine(two),
            settings=settings(
                max_examples=20,
                stateful_step_count=30,
                deadline=None,
                # The same each time; `python -m proof.versions` is there to find more.
                derandomize=True,
                database=None,
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        two.stop()
