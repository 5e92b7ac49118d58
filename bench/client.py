"""A plain HTTP client on sockets: for preparation, for checks, and for the large transfers."""

from __future__ import annotations

import http.client
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

PATIENCE_S = 60.0
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """A response; the body of a large one is only counted."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Connection:
    """One connection; after an error a new one is made with the next request."""

    def __init__(self, address: tuple[str, int], *, secure: bool = False, patience: float = PATIENCE_S) -> None:
        self._address = address
        self._secure = secure
        self._patience = patience
        self._socket: socket.socket | None = None

    def open(self) -> socket.socket:
        """The socket, connected."""
        if self._socket is None:
            plain = socket.create_connection(self._address, self._patience)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = plain
            if self._secure:
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE  # it is our own server, on the loopback interface
                self._socket = context.wrap_socket(plain)
        return self._socket

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def answer(self, method: str) -> http.client.HTTPResponse:
        """The head of the response to what was sent; the body is to be read from it."""
        response = http.client.HTTPResponse(self.open(), method=method)
        response.begin()
        return response

    def call(self, head: bytes, body: bytes = b"") -> Answer:
        """Send a request and read its response; raises `OSError` or `http.client.HTTPException`."""
        try:
            self.open().sendall(head + body)
            response = self.answer(head.partition(b" ")[0].decode())
            data = response.read()
            if response.will_close:
                self.close()
        except BaseException:
            self.close()
            raise
        return Answer(response.status, response.headers, data)


def call(address: tuple[str, int], head: bytes, body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    connection = Connection(address)
    try:
        return connection.call(head, body)
    finally:
        connection.close()


def swarm(
    address: tuple[str, int], heads: Sequence[bytes], body: bytes, connections: int, limit: float
) -> tuple[int, int]:
    """Send each once over several connections, for `limit` seconds at most: how many were sent, and errors."""
    turn = itertools.count()
    taken, errors = [0], list[None]()
    end = time.monotonic() + limit

    def work() -> None:
        connection = Connection(address)
        while time.monotonic() < end and (number := next(turn)) < len(heads):
            taken[0] = max(taken[0], number + 1)
            try:
                good = connection.call(heads[number], body).status < 400
            except (OSError, http.client.HTTPException):
                good = False
            if not good:
                errors.append(None)
        connection.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken[0], len(errors)


def fetch_large(connection: Connection, head: bytes, expected: bytes | None = None) -> int:
    """GET, throwing the body away; how long it was.  `ValueError` if it is not `expected` over and over."""
    connection.open().sendall(head)
    response = connection.answer("GET")
    if response.status != 200:
        raise ValueError(f"{response.status}: {response.read(300)!r}")
    buffer = memoryview(bytearray(_PIECE if expected is None else len(expected)))
    size = 0
    while count := _fill(response, buffer):
        if expected is not None and buffer[:count] != expected[:count]:
            raise ValueError(f"wrong bytes after {size}")
        size += count
    return size


def _fill(response: http.client.HTTPResponse, buffer: memoryview) -> int:
    at = 0
    while at < len(buffer) and (count := response.readinto(buffer[at:])):
        at += count
    return at


def send_large(connection: Connection, head: bytes, path: str) -> None:
    """PUT the file; `ValueError` if it is refused."""
    with open(path, "rb", buffering=0) as file:
        connection.open().sendall(head)
        connection.open().sendfile(file)
    answer = connection.answer("PUT")
    text = answer.read()
    if answer.status != 200:
        raise ValueError(f"{answer.status}: {text[:300]!r}")
