"""Every operation in a process that ends before each of its calls that change something: see `tests.mutations`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.crashes import crash_at
from tests.faults import Expected, Wrong, check, check_again, check_rubbish, expect
from tests.mutations import Client, Mutation
from tests.wire.daemon import ADMIN, HOST, Daemon
from tests.wire.test_notifications import Recorder


class Log:
    """Keeps the names of the operations."""

    def __init__(self) -> None:
        self.operations: set[str] = set()

    def record(self, log: Any, **_: Any) -> None:
        self.operations.add(log.operation)


def client_of(daemon: Daemon) -> Client:
    connection = daemon.server.connect()

    def send(method: str, target: str, headers: dict[str, str], body: bytes) -> Any:
        nonlocal connection
        if not connection.open:
            # What was refused early, with most of its body to come.
            connection = daemon.server.connect()
        return connection.request(method, target, {name.title(): value for name, value in headers.items()}, body)

    return Client(send, HOST, ADMIN)


def open_daemon(data: Path, log: Log | None = None, **options: Any) -> Daemon:
    return Daemon(data, events=Recorder(), access_log=log, **options)


@contextmanager
def running(data: Path, **options: Any) -> Iterator[Client]:
    daemon = open_daemon(data, **options)
    yield client_of(daemon)
    daemon.stop()


class Enumerator:
    """Lets processes end on one data directory.

    :ivar crashes: how many there were.
    :ivar violations: what must not be.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.crashes = 0
        self.violations: list[str] = []
        self._buckets = (f"bucket{number}" for number in itertools.count())
        self._expected: dict[str, Expected] = {}

    def crash(self, mutation: Mutation, step: int) -> bool:
        """Let the process end before the n-th call, and see what has come of it; whether there are fewer calls."""
        bucket = next(self._buckets)
        with running(self.data) as client:
            if mutation.name not in self._expected:
                self._expected[mutation.name] = expect(client, next(self._buckets), mutation)
            expected = self._expected[mutation.name]
            prepared = mutation.prepare(client, bucket)

        def run(daemon: Daemon) -> None:
            mutation.run(client_of(daemon), bucket, prepared)

        done = crash_at(self.data, run, step, open_daemon)
        self.crashes += not done
        try:
            with running(self.data) as client:
                check_rubbish(self.data, restarted=True)
                check(client, bucket, mutation, expected, answered=done)
                check_again(client, bucket, mutation, expected, prepared)
        except Wrong as wrong:
            self.violations.append(f"{mutation.name}, ended before call {step}: {wrong}")
        return done
