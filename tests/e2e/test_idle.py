"""A daemon that nobody asks anything does nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from proof.idle import calls_while_idle
from tests.e2e.daemon import METRICS, Daemon, running
from tests.e2e.injection import can_trace
from tests.e2e.test_event_watch import watching
from tests.e2e.test_events import Connect, connect
from tests.e2e.workers import pids

__all__ = ["connect"]

#: In these a thread sleeps until somebody wants something: one such call is seen of each, under way as strace comes.
WAITING = {"epoll_wait", "epoll_pwait", "futex", "restart_syscall"}


@pytest.mark.skipif(not can_trace(), reason="strace is missing or may not trace")
@pytest.mark.parametrize(
    "arguments",
    [("--workers", "1"), ("--workers", "2"), ("--workers", "2", "--metrics", METRICS)],
    ids=["1", "2", "metrics"],
)
def test_an_idle_daemon_makes_no_system_call(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with running(tmp_path, tmp_path / "data", *arguments) as daemon:
        assert_idle(daemon)


@pytest.mark.skipif(not can_trace(), reason="strace is missing or may not trace")
def test_a_daemon_that_has_told_of_all_events_and_watches_for_others_makes_none(
    tmp_path: Path, connect: Connect
) -> None:
    with watching(tmp_path, connect, "--workers", "2") as place:
        place.s3.put_object(Bucket="photos", Key="a")
        (place.path / "b").write_bytes(b"1")
        place.told(2)
        place.s3.close()
        assert_idle(place.daemon)


def assert_idle(daemon: Daemon) -> None:
    processes = [daemon.pid, *pids(daemon).values()]
    # The threads that the start needed have gone to sleep when the first calls have been seen.
    calls_while_idle(processes, 1)
    threads = sum(len(list(Path(f"/proc/{process}/task").iterdir())) for process in processes)
    calls = calls_while_idle(processes, 2)
    assert set(calls) <= WAITING
    assert sum(calls.values()) <= threads
