"""What clients of two daemons do to the same keys at once can have happened one after the other."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.histories import Versions, run
from tests.e2e.objecthistories import Objects
from tests.e2e.two import Two


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    two = Two(tmp_path_factory.mktemp("two"))
    two.start()
    yield two
    two.stop()


@pytest.mark.parametrize("keys", [("a", "a/b", "a/b/c"), ("new/x", "new/y"), ("dir/", "dir/x"), ("a",)])
def test_objects_are_linearizable_across_two_daemons(two: Two, keys: Sequence[str]) -> None:
    bucket = two.new_bucket()
    two.clients[0]("PUT", f"/{bucket}")
    for seed in range(5):
        recording = Objects(bucket, f"{seed}/", keys)
        run([recording], two.endpoints, 8, 12, seed)
        assert not (found := recording.check(two.endpoints())), found


@pytest.mark.parametrize("keys", [("a",), ("a", "a/b"), ("dir/",)])
@pytest.mark.parametrize("clients", [4, 8])
def test_versions_are_linearizable_across_two_daemons(two: Two, clients: int, keys: Sequence[str]) -> None:
    for seed in range(4):
        bucket = two.new_versioned_bucket()
        recordings = [Versions(bucket, key) for key in keys]
        run(recordings, two.endpoints, clients, 96 // clients, seed)
        for each in recordings:
            assert not (found := each.check(two.endpoints())), found


def test_all_is_linearizable_though_a_daemon_is_killed(two: Two) -> None:
    bucket = two.new_versioned_bucket()
    plain = two.new_bucket()
    two.clients[0]("PUT", f"/{plain}")
    recordings = [Versions(bucket, "a/b"), Objects(plain, "", ("a", "a/b"))]
    run(recordings, two.endpoints, 8, 24, 1, lambda: two.kill(0))
    two.revive(0)
    for each in recordings:
        assert not (found := each.check(two.endpoints())), found


#: A daemon whose locks exclude nobody.
_UNLOCKED = """
import contextlib, os
from zs3.store import locks

@contextlib.contextmanager
def held(fd, *_, **__):
    try:
        yield
    finally:
        os.close(fd)

locks.held = held
from twisted.scripts.twistd import run
run()
"""


def test_without_the_lock_it_is_not_linearizable(tmp_path: Path) -> None:
    two = Two(tmp_path)
    for daemon in two.daemons:
        daemon.command = [sys.executable, "-c", _UNLOCKED, "--nodaemon", "--pidfile="]
    two.start()
    try:
        for seed in range(20):
            recording = Versions(two.new_versioned_bucket(), "a")
            try:
                run([recording], two.endpoints, 8, 12, seed)
                found = recording.check(two.endpoints())
            except AssertionError as error:
                # Two versions of one id, or an answer that never comes with the lock.
                found = str(error)
            if found:
                break
        assert found
    finally:
        for side, client in enumerate(two.clients):
            client.close()
            two.kill(side)
