"""A load generator in Python: one thread, epoll, and no more of HTTP than it takes to see where a response ends.

For HEAD, which wrk cannot do (it waits for the body), and where wrk is not installed.  It takes 10 to 20 us of CPU
for a request, several times what wrk takes: a result says when that was the limit.
"""

from __future__ import annotations

import os
import re
import selectors
import socket
import time
from collections.abc import Callable

from bench.samples import SATURATED, Sent, Work, percentiles

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_PIECE = 1024 * 1024
_GRACE_S = 60.0


class _Lost(Exception):
    """The server has closed the connection, or what it says cannot be understood."""


class _Connection:
    """One connection with one request under way."""

    def __init__(self, address: tuple[str, int], bodiless: bool) -> None:
        self._bodiless = bodiless
        self.socket = socket.create_connection(address, _GRACE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.began = 0.0
        self._rest = memoryview(b"")
        self._head = b""
        self._left = 0
        self._chunked = False
        self.good = False
        self.closes = False

    def send(self, request: bytes) -> bool:
        """Begin a request; whether all of it is out."""
        self.began = time.perf_counter()
        self._head, self._left, self._chunked = b"", -1, False
        self._rest = memoryview(request)
        return self.flush()

    def flush(self) -> bool:
        """Send what is left of the request; whether all of it is out."""
        try:
            while self._rest:
                self._rest = self._rest[self.socket.send(self._rest) :]
        except BlockingIOError:
            return False
        return True

    def receive(self) -> bool:
        """Read; whether the response is complete."""
        data = self.socket.recv(_PIECE)
        if not data:
            raise _Lost
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._begin(self._head[: end + 2])
            data = self._head[end + 4 :]
        if self._chunked:
            # What is asked for here are documents: none has this inside.
            self._head = (self._head + data)[-16:]
            return self._head.endswith(b"\r\n0\r\n\r\n")
        self._left -= len(data)
        return self._left == 0

    def _begin(self, head: bytes) -> None:
        status = head[9:12]
        self.good = status[:1] in b"23"
        self.closes = _CLOSE.search(head) is not None
        self._left = 0
        if not self._bodiless and status != b"204":
            length = _LENGTH.search(head)
            self._chunked = length is None and _CHUNKED.search(head) is not None
            if length is None and not self._chunked:
                raise _Lost
            self._left = int(length[1]) if length else 0


class Loop:
    """The generator; as `bench.wrk.Wrk`."""

    title = "a loop in Python (slow: install wrk)"

    def run(self, address: tuple[str, int], work: Work, connections: int, limit: float) -> Callable[[], Sent]:
        """As `bench.wrk.Wrk.run`."""
        requests = [head + work.body for head in work.heads]

        def send() -> Sent:
            return _Run(address, requests, work, connections, limit).send()

        return send


class _Run:
    def __init__(
        self, address: tuple[str, int], requests: list[bytes], work: Work, connections: int, limit: float
    ) -> None:
        self._address = address
        self._requests = requests
        self._work = work
        self._connections = connections
        self._limit = limit
        self._next = 0
        self._open = 0
        self._errors = 0
        self._latencies: list[float] = []
        self._selector = selectors.DefaultSelector()

    def send(self) -> Sent:
        before, began = os.times(), time.perf_counter()
        end = began + self._limit
        for _ in range(self._connections):
            self._connect()
        while self._open and (now := time.perf_counter()) < end:
            for key, _ in self._selector.select(min(1.0, end - now)):
                self._serve(key.data)
        seconds, after = time.perf_counter() - began, os.times()
        for key in list(self._selector.get_map().values()):
            self._drop(key.data)
        self._selector.close()
        cpu = after.user + after.system - before.user - before.system
        good = len(self._latencies)
        return Sent(good, seconds, self._errors, percentiles(self._latencies), cpu, cpu > SATURATED * seconds)

    def _connect(self) -> None:
        connection = _Connection(self._address, self._work.bodiless)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._open += 1
        self._begin(connection)

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._open -= 1

    def _begin(self, connection: _Connection) -> None:
        if self._work.once and self._next == len(self._requests):
            self._drop(connection)
            return
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        if not connection.send(request):
            self._selector.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)

    def _serve(self, connection: _Connection) -> None:
        try:
            # With nothing left to send this is no more than a look; a response that came early is read as well.
            if self._selector.get_key(connection.socket).events & selectors.EVENT_WRITE and connection.flush():
                self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            complete = connection.receive()
        except BlockingIOError:
            return
        except (OSError, _Lost):
            self._errors += 1
            self._drop(connection)
            if self._errors < 1000:
                self._connect()
            return
        if complete:
            if connection.good:
                self._latencies.append(time.perf_counter() - connection.began)
            else:
                self._errors += 1
            if connection.closes:
                self._drop(connection)
                self._connect()
            else:
                self._begin(connection)
