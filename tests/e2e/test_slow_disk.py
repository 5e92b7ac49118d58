"""Objects on a disk that does not answer do not stop the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.plainhttp import Response, fetch, presigned

THREADS = 4
ROUNDS = 50


class SlowDisk:
    """A daemon on a disk that does not give what is called ``slow...`` before `open`."""

    def __init__(self, home: Path) -> None:
        self._gate = home / "gate"
        for path in (self._gate, home / "gate.waiting"):
            os.mkfifo(path)
        data = home / "data"
        (data / "bucket").mkdir(parents=True)
        for name in [f"slow{number}" for number in range(3 * THREADS)]:
            (data / "bucket" / name).write_text(name)
        wrapper = Path(__file__).with_name("slow_disk.py")
        command = (sys.executable, str(wrapper), str(self._gate), "--nodaemon", "--pidfile=")
        self.daemon = Daemon(home, data, "--threads", str(THREADS), command=command)
        # For reading and writing, so that neither end waits for the other.
        self._waiting = os.open(home / "gate.waiting", os.O_RDWR)

    def wait_for(self, count: int) -> None:
        """Return when so many more threads wait for the disk."""
        while count:
            count -= len(os.read(self._waiting, count))

    def open(self) -> None:
        """From now on it is a disk like others."""
        self._writer = os.open(self._gate, os.O_RDWR)

    def close(self) -> None:
        os.close(self._waiting)
        os.close(self._writer)

    def ask(self, key: str, method: str = "GET", body: bytes | None = None) -> Response:
        endpoint = self.daemon.plain
        return fetch(endpoint, presigned(endpoint, method, "bucket", key), method, body)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SlowDisk]:
    disk = SlowDisk(tmp_path)
    disk.daemon.start()
    try:
        yield disk
    except BaseException:
        disk.daemon.kill()
        raise
    disk.daemon.stop()
    disk.close()


@contextmanager
def asking(disk: SlowDisk, count: int) -> Iterator[list[Future[Response]]]:
    """Requests for slow objects that are under way in this block."""
    with ThreadPoolExecutor(count) as threads:
        try:
            yield [threads.submit(disk.ask, f"slow{number}") for number in range(count)]
        finally:
            disk.open()


def test_hot_objects_are_served_while_more_requests_than_threads_wait_for_the_disk(disk: SlowDisk) -> None:
    # One with a record: of a plain file others made, more must be looked up.
    assert disk.ask("hot", "PUT", b"hot").status == 200
    with asking(disk, 3 * THREADS) as slow:
        disk.wait_for(THREADS)
        for _ in range(ROUNDS):
            assert disk.ask("hot").body == b"hot"
        assert not any(answer.done() for answer in slow)
    assert [answer.result().body for answer in slow] == [b"slow%d" % number for number in range(3 * THREADS)]


def test_whatever_needs_the_disk_is_served_while_a_thread_is_free(disk: SlowDisk) -> None:
    with asking(disk, THREADS - 1) as slow:
        disk.wait_for(THREADS - 1)
        for turn in range(ROUNDS):
            assert disk.ask(f"new/{turn}", "PUT", b"content").status == 200
            assert disk.ask(f"new/{turn}", "DELETE").status == 204
        assert not any(answer.done() for answer in slow)
    assert {answer.result().status for answer in slow} == {200}
