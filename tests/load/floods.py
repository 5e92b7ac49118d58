"""Clients that are slow or want too much, from a few addresses of this machine; bounded in number and time.

Each is a process of its own, so that it takes nothing from the client whose requests are timed but processor time.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.e2e.daemon import Endpoint
from tests.e2e.plainhttp import head, presigned_path

#: Where they come from.
SOURCES = [f"127.0.0.{number}" for number in range(2, 6)]
#: Options of a daemon for which these are addresses like others: loopback is not limited otherwise.
COUNTED = ("--unlimited", "192.0.2.1")
#: The most connections that are tried in a second, so that a daemon which refuses them is not asked without end.
_TRIES = 2_000

_Flood = Callable[[Endpoint, int, Any], None]


def _connect(endpoint: Endpoint, turn: int, *, receive: int = 0) -> socket.socket:
    made = socket.socket()
    try:
        made.settimeout(5)
        if receive:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        made.bind((SOURCES[turn % len(SOURCES)], 0))
        made.connect(("127.0.0.1", endpoint.port))
    except OSError:
        made.close()
        raise
    return made


def _hold(begin: Callable[[int], socket.socket], drip: bytes, number: int, tell: Any) -> None:
    """Keep so many connections open, send a little on each every second, and open another for each that is closed."""
    held: dict[int, socket.socket] = {}
    poll = select.poll()
    turn = 0
    while True:
        second = time.monotonic() + 1
        for _ in range(min(number - len(held), _TRIES)):
            turn += 1
            with suppress(OSError):
                made = begin(turn)
                made.setblocking(False)
                held[made.fileno()] = made
                poll.register(made, select.POLLRDHUP)
        for fd, _ in poll.poll(0):
            poll.unregister(fd)
            held.pop(fd).close()
        for fd in list(held):
            try:
                if drip:
                    held[fd].send(drip)
            except BlockingIOError:
                pass
            except OSError:
                poll.unregister(fd)
                held.pop(fd).close()
        tell.value = len(held)
        time.sleep(max(0.0, second - time.monotonic()))


def _dripping_heads(endpoint: Endpoint, number: int, tell: Any) -> None:
    def begin(turn: int) -> socket.socket:
        made = _connect(endpoint, turn)
        made.send(b"GET /bucket/key HTTP/1.1\r\nX: ")
        return made

    _hold(begin, b"x", number, tell)


def _dripping_bodies(endpoint: Endpoint, number: int, tell: Any) -> None:
    def begin(turn: int) -> socket.socket:
        made = _connect(endpoint, turn)
        made.send(_presigned(endpoint, "PUT", f"/bucket/slow-{turn % 100}", {"Content-Length": "1000000"}))
        return made

    _hold(begin, b"x", number, tell)


def _presigned(endpoint: Endpoint, method: str, path: str, headers: dict[str, str]) -> bytes:
    return head(method, presigned_path(endpoint, method, path), {"Host": endpoint.address} | headers)


def _no_readers(endpoint: Endpoint, number: int, tell: Any) -> None:
    def begin(turn: int) -> socket.socket:
        made = _connect(endpoint, turn, receive=4096)
        made.send(_presigned(endpoint, "GET", "/bucket/large", {}))
        return made

    _hold(begin, b"", number, tell)


def _half_handshakes(endpoint: Endpoint, number: int, tell: Any) -> None:
    def begin(turn: int) -> socket.socket:
        made = _connect(endpoint, turn)
        made.send(b"\x16\x03\x01\x02\x00\x01")
        return made

    _hold(begin, b"", number, tell)


def _often(once: Callable[[int], None], tell: Any) -> None:
    """Do something as often as it goes, `_TRIES` times in a second at the most."""
    turn = 0
    while True:
        second = time.monotonic() + 1
        for _ in range(_TRIES):
            turn += 1
            with suppress(OSError):
                once(turn)
                tell.value += 1
            if time.monotonic() > second:
                break
        time.sleep(max(0.0, second - time.monotonic()))


def _connections(endpoint: Endpoint, _number: int, tell: Any) -> None:
    _often(lambda turn: _connect(endpoint, turn).close(), tell)


def _handshakes(endpoint: Endpoint, _number: int, tell: Any) -> None:
    context = ssl.create_default_context(cafile=str(endpoint.certificate))

    def once(turn: int) -> None:
        with _connect(endpoint, turn) as made, context.wrap_socket(made, server_hostname="127.0.0.1"):
            pass

    _often(once, tell)


def _requests(endpoint: Endpoint, number: int, tell: Any) -> None:
    """Requests that nobody signed, on connections that stay, each after the answer to the one before."""
    request = head("GET", "/bucket/secret", {"Host": endpoint.address})
    _ask(endpoint, number, tell, lambda: request)


def _wrong_signatures(endpoint: Endpoint, number: int, tell: Any) -> None:
    def request() -> bytes:
        return head("GET", presigned_path(endpoint, "GET", "/bucket/key") + "0", {"Host": endpoint.address})

    _ask(endpoint, number, tell, request)


def _ask(endpoint: Endpoint, number: int, tell: Any, request: Callable[[], bytes]) -> None:
    held: dict[int, socket.socket] = {}
    poll = select.poll()
    turn, second = 0, 0.0
    while True:
        # Who is refused tries again, but not without end.
        if time.monotonic() > second:
            second = time.monotonic() + 1
            for _ in range(min(number - len(held), _TRIES)):
                turn += 1
                with suppress(OSError):
                    made = _connect(endpoint, turn)
                    held[made.fileno()] = made
                    poll.register(made, select.POLLIN)
                    made.send(request())
        for fd, _ in poll.poll(1000):
            try:
                if not held[fd].recv(65536):
                    raise ConnectionResetError
                tell.value += 1
                held[fd].send(request())
            except OSError:
                poll.unregister(fd)
                held.pop(fd).close()


#: By name: the flood, whether it is for TLS, and how many connections it holds.
FLOODS: dict[str, tuple[_Flood, bool, int]] = {
    "heads that drip": (_dripping_heads, False, 2_000),
    "bodies that drip": (_dripping_bodies, False, 2_000),
    "answers that nobody reads": (_no_readers, False, 2_000),
    "handshakes that do not end": (_half_handshakes, True, 2_000),
    "connections": (_connections, False, 0),
    "handshakes of TLS": (_handshakes, True, 0),
    "requests": (_requests, False, 64),
    "wrong signatures": (_wrong_signatures, False, 64),
}


def _run(name: str, plain: Endpoint, secure: Endpoint, share: float, tell: Any) -> None:
    os.nice(10)
    attack, wants_tls, number = FLOODS[name]
    attack(secure if wants_tls else plain, round(number * share), tell)


@contextmanager
def flood(name: str, plain: Endpoint, secure: Endpoint, share: float = 1.0) -> Iterator[Any]:
    """A flood as long as the block lasts; `value` of what it gives says how much it has done, or holds.

    :param share: of the number of connections.
    """
    context = multiprocessing.get_context("spawn")
    told = context.Value("q", 0)
    process = context.Process(target=_run, args=(name, plain, secure, share, told), daemon=True)
    process.start()
    try:
        yield told
    finally:
        process.kill()
        process.join()
