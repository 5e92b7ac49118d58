"""What clients of two daemons do to the versions of one key at once can have happened one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.histories import Recording
from tests.e2e.versionmachine import Two
from tests.linearizability import explain, is_linearizable


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    two = Two(tmp_path_factory.mktemp("two"))
    two.start()
    yield two
    two.stop()


@pytest.mark.parametrize("key", ["a", "a/b", "dir/"])
@pytest.mark.parametrize("clients", [4, 8])
def test_versions_of_a_key_are_linearizable_across_two_daemons(two: Two, clients: int, key: str) -> None:
    for seed in range(4):
        bucket = two.new_versioned_bucket()
        recording = Recording(two.endpoints, bucket, key)
        recording.run(clients, 96 // clients, seed)
        history = recording.history()
        assert is_linearizable(history), explain(history)


def test_versions_of_a_key_are_linearizable_though_a_daemon_is_killed(two: Two) -> None:
    recording = Recording(two.endpoints, two.new_versioned_bucket(), "a/b")
    recording.run(6, 16, 1, lambda: two.kill(0))
    two.revive(0)
    history = recording.history()
    assert any(each.is_open for each in history)
    assert is_linearizable(history), explain(history)
