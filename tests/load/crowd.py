"""Many connections that have asked once and then ask nothing."""

from __future__ import annotations

import select
import statistics
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from tests.e2e.daemon import Endpoint
from tests.e2e.signed import Client

#: Connections from one address: there are no more ports for all of them in one.
_FROM_ONE = 2_000
_AT_ONCE = 32


class Crowd:
    """:ivar errors: of those that have got no answer.
    :ivar seconds: how long each has waited for its connection and its answer.
    """

    def __init__(self, endpoint: Endpoint, path: str) -> None:
        self._endpoint, self._path = endpoint, path
        self._clients: list[Client] = []
        self.errors: list[str] = []
        self.seconds: list[float] = []

    def __len__(self) -> int:
        return len(self._clients)

    def come(self, number: int) -> None:
        """Connect so many, some at a time, and let each ask once."""

        def ask(turn: int) -> None:
            client = Client(self._endpoint, f"127.0.0.{2 + turn // _FROM_ONE}")
            start = time.perf_counter()
            try:
                answer = client("GET", self._path)
            except (OSError, HTTPException) as error:
                self.errors.append(repr(error))
                return
            self.seconds.append(time.perf_counter() - start)
            self._clients.append(client)
            if answer.status != 200:
                self.errors.append(f"{answer.status} {answer.body[:100]!r}")

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(ask, range(number)))

    def wait_until_closed(self, seconds: float) -> int:
        """Wait for the daemon to close all of them, so many seconds at most; how many it has not."""
        poll = select.poll()
        left = {client.fileno(): client for client in self._clients}
        for fd in left:
            poll.register(fd, select.POLLIN | select.POLLRDHUP)
        end = time.monotonic() + seconds
        while left and (now := time.monotonic()) < end:
            for fd, _ in poll.poll((end - now) * 1000):
                poll.unregister(fd)
                left.pop(fd).close()
        self._clients = list(left.values())
        return len(left)

    def go(self) -> None:
        """Close all."""
        while self._clients:
            self._clients.pop().close()


def latencies(endpoint: Endpoint, path: str, number: int, pause: float = 0.0) -> list[float]:
    """How long each of so many requests takes on one connection, in seconds."""
    client = Client(endpoint)
    found = []
    try:
        for _ in range(number):
            start = time.perf_counter()
            answer = client("GET", path)
            found.append(time.perf_counter() - start)
            assert answer.status == 200, answer.body
            time.sleep(pause)
    finally:
        client.close()
    return found


def percentile(values: Iterable[float], share: float) -> float:
    ordered: Sequence[float] = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def told(values: Sequence[float]) -> str:
    """Times in seconds, in words."""
    if not values:
        return "none"
    return (
        f"p50 {statistics.median(values) * 1e3:.1f} ms, p99 {percentile(values, 0.99) * 1e3:.1f} ms, "
        f"longest {max(values) * 1e3:.0f} ms"
    )
