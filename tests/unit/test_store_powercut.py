"""What is answered survives a power cut, what is not is old or new; and the check of that is checked itself."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.powercut_store import SCENARIOS, Scenario, run

#: Thousands of stores are started here to do what other tests do as well; with coverage that takes twice as long.
pytestmark = pytest.mark.no_cover

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
#: They write no file that anybody relies on.
WITHOUT_FILES = (
    *("delete beside", "abort", "delete bucket", "delete a configured bucket", "configure no more"),
    *("remove the current version", "remove the only version", "remove an older version"),
    *("remove what covers a marker", "undelete", "undelete to a marker", "undelete after others"),
)
#: They leave all names as they are.
WITHOUT_DIRECTORIES = ("change", "change from a sidecar", "change of a plain file", "tag an older version")
#: Of these each single fsync is needed.  (Not where a small file of the store's own is renamed from one directory to
#: another: a rename is whole in the model, so what makes the one durable does the other.)
LEAN = (
    *("put", "put over", "put deep", "put beside", "put a long key", "create only", "displace"),
    "put over a sidecar",
    *(
        "change of one of two names",
        "copy",
        "copy deep",
        "delete",
        "delete and prune",
        "part",
        "part over",
        "configure",
    ),
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """In memory where that has attributes: many small trees are made and removed."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else tmp_path) as name:
        try:
            os.setxattr(name, "user.zs3", b"probe")
            os.removexattr(name, "user.zs3")
        except OSError:
            yield tmp_path
        else:
            yield Path(name)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_power_cut_leaves_the_old_or_the_new_and_what_was_answered(place: Path, scenario: Scenario) -> None:
    outcome = run(scenario, place)
    assert outcome.violations == []
    assert outcome.cuts > 2


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFDIR], ids=["files", "directories"])
@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - LEAN))
def test_the_model_notices_when_the_fsyncs_of_a_kind_are_taken_out(place: Path, name: str, kind: int) -> None:
    needed = name not in (WITHOUT_DIRECTORIES if kind == stat.S_IFDIR else WITHOUT_FILES)
    outcome = run(BY_NAME[name], place, skip=lambda _, status: stat.S_IFMT(status.st_mode) == kind, first_only=True)
    assert bool(outcome.violations) == needed


@pytest.mark.parametrize("name", LEAN)
def test_the_model_notices_when_any_one_fsync_is_taken_out(place: Path, name: str) -> None:
    count = run(BY_NAME[name], _fresh(place, "all"), most=1).syncs
    for left_out in range(count):
        outcome = run(
            BY_NAME[name], _fresh(place, str(left_out)), skip=lambda number, _, n=left_out: number == n, first_only=True
        )
        assert outcome.violations, f"fsync {left_out} of {count} is not missed"


def _fresh(place: Path, name: str) -> Path:
    (place / name).mkdir()
    return place / name
