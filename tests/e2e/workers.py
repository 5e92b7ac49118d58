"""The workers of a daemon, by their numbers: what they are, and how to have one of them serve a connection."""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.daemon import PATIENCE, Daemon


def pids(daemon: Daemon) -> dict[int, int]:
    """The process of each worker; of those that were replaced, the last one."""
    found = re.findall(r"worker (\d+) serves: process (\d+)$", daemon.log_of_this_run(), re.MULTILINE)
    return {int(number): int(pid) for number, pid in found}


def wait_until(condition: Callable[[], bool], daemon: Daemon) -> None:
    """For what nothing tells of but the log, or the process table."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, daemon.log()
        # Not too soon again: what is waited for needs the processor.
        time.sleep(0.01)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@contextmanager
def only(daemon: Daemon, number: int) -> Iterator[None]:
    """In this block, this worker alone accepts connections: the others stand still."""
    others = [pid for each, pid in pids(daemon).items() if each != number]
    try:
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda pid=pid: _is_stopped(pid), daemon)  # type: ignore[misc]
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def watched(processes: Sequence[int]) -> Iterator[Callable[[], None]]:
    """A function that waits until these processes have ended."""
    fds = [os.pidfd_open(pid) for pid in processes]

    def wait() -> None:
        for fd in fds:
            assert select.select([fd], [], [], PATIENCE)[0], "a process has not ended"

    try:
        yield wait
    finally:
        for fd in fds:
            os.close(fd)
