"""Failing system calls and kill -9 in the real daemon: a few of what ``python -m proof.injection`` does with all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.injection import KILL, Victim, can_trace
from tests.mutations import MUTATIONS, Mutation

pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is missing or may not trace")
#: A fault for the last call of each kind that makes a change lasting or visible.
FAULTS = {"fsync": "EIO", "rename": "ENOSPC", "renameat": "EIO", "renameat2": KILL, "mkdirat": "EMFILE"}
NAMES = (
    *("PutObject, large, created in new directories", "PutObject of a version", "DeleteObject of a marker"),
    *("DeleteObjects", "CompleteMultipartUpload of one part", "CreateBucket with Object Lock", "PutBucketPolicy"),
)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    place = tmp_path_factory.mktemp("victim")
    (place / "home").mkdir()
    victim = Victim(place / "home", place / "data")
    yield victim
    victim.close()


@pytest.mark.parametrize("mutation", [each for each in MUTATIONS if each.name in NAMES], ids=lambda each: each.name)
def test_a_fault_at_a_decisive_call_leaves_the_old_or_the_new(victim: Victim, mutation: Mutation) -> None:
    calls = {call: number for call, number in victim.calls(mutation) if call in FAULTS}
    assert calls
    for call, number in calls.items():
        victim.inject(mutation, call, number, FAULTS[call])
