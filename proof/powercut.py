"""Many more states of the disk after a power cut than the tests make: ``python -m proof.powercut [STATES]``.

STATES is how many are chosen of each moment, by another chance than in the tests.  It also takes out each fsync by
itself and says which nobody would miss.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.powercut_store import SCENARIOS, Outcome, Scenario, run


def _run(scenario: Scenario, **options: Any) -> Outcome:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        return run(scenario, Path(name), **options)


def _without(left_out: int) -> Callable[[int, Any], bool]:
    return lambda number, _: number == left_out


def main() -> int:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    cuts = syncs = violations = noticed = 0
    for scenario in SCENARIOS:
        outcome = _run(scenario, most=most, seed=1)
        missed = [
            number
            for number in range(outcome.syncs)
            if _run(scenario, most=min(most, 50), skip=_without(number), first_only=True).violations
        ]
        for each in outcome.violations:
            print(each)
        spare = sorted(set(range(outcome.syncs)) - set(missed))
        print(f"{scenario.name}: {outcome.cuts} states; {outcome.syncs} fsyncs, not missed by themselves: {spare}")
        cuts, syncs = cuts + outcome.cuts, syncs + outcome.syncs
        violations, noticed = violations + len(outcome.violations), noticed + len(missed)
        sys.stdout.flush()
    print(
        f"{len(SCENARIOS)} operations, {cuts} states, {violations} violations; {noticed} of {syncs} fsyncs are missed"
    )
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
