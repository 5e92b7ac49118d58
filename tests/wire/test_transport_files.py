"""Sending files: by sendfile on a plain socket, in pieces over TLS; the same bytes, limits and ends on both."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.wire.test_transport_sockets import MIB, client, fetch, files, peak, server, tls_context
from zs3.web.producers import SMALL, STEP, WINDOW

__all__ = ["client", "files", "server"]

#: more than the buffers of a connection hold
BIG = 20 * MIB
SIZES = [1, SMALL, SMALL + 1, WINDOW, WINDOW + 1, 2 * WINDOW, 3 * MIB + 7]


def content(size: int) -> bytes:
    block = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(2048))
    return (block * (size // len(block) + 1))[:size]


@pytest.fixture
def big(files: Path) -> Iterator[Path]:
    """A file that no socket takes at once."""
    path = files / "big"
    path.write_bytes(content(BIG))
    yield path
    path.unlink()


@pytest.fixture
def other(server: tuple[int, int, int]) -> Iterator[http.client.HTTPConnection]:
    """Somebody else."""
    connection = http.client.HTTPConnection("127.0.0.1", server[0], timeout=60)
    yield connection
    connection.close()


def begin(port: int, path: str, head: bytes = b"") -> socket.socket:
    """Ask for something with a small receive buffer, and read nothing of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode() + head)
    return connection


def rest(connection: socket.socket) -> bytes:
    """What still comes until the end, or the reset."""
    pieces = []
    try:
        while piece := connection.recv(MIB):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_sent_and_the_connection_kept(client: http.client.HTTPConnection, files: Path, size: int) -> None:
    path = files / "some"
    path.write_bytes(content(size))
    for _ in range(2):
        assert fetch(client, "/file/some") == content(size)
    client.request("HEAD", "/file/some")
    response = client.getresponse()
    assert (response.getheader("Content-Length"), response.read()) == (str(size), b"")
    assert fetch(client, "/closed") == b"closed"


@pytest.mark.parametrize(
    ("first", "size"), [(0, 1), (5, SMALL + 3), (MIB - 1, 2 * MIB), (3 * MIB, BIG - 3 * MIB), (1, 0)]
)
def test_a_part_of_a_file_is_sent(client: http.client.HTTPConnection, big: Path, first: int, size: int) -> None:
    assert fetch(client, f"/file/big/{first}/{size}") == content(BIG)[first : first + size]


def test_files_that_were_asked_for_in_a_row_come_in_a_row(server: tuple[int, int, int], files: Path) -> None:
    for name, size in (("one", 5 * MIB), ("two", 100), ("three", 3 * MIB)):
        (files / name).write_bytes(content(size))
    request = b"".join(b"GET /file/%b HTTP/1.1\r\nHost: h\r\n\r\n" % name for name in (b"two", b"three"))
    with begin(
        server[0], "/file/one", request + b"GET /size/3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    ) as all_:
        received = rest(all_)
    for size in (5 * MIB, 100, 3 * MIB):
        _, _, received = received.partition(b"\r\n\r\n")
        assert received.startswith(content(size))
        received = received[size:]
    assert received.endswith(b"\r\n\r\n" + bytes(3))


def test_a_file_costs_no_memory(server: tuple[int, int, int], other: http.client.HTTPConnection, big: Path) -> None:
    before = peak(other)
    waiting = [begin(server[0], "/file/big") for _ in range(20)]
    assert fetch(other, "/file/big") == content(BIG)
    assert peak(other) - before < 8 * MIB
    for each in waiting:
        each.close()
    assert fetch(other, "/closed") == b"closed"


def test_a_client_that_does_not_read_holds_up_nobody(
    server: tuple[int, int, int], other: http.client.HTTPConnection, big: Path
) -> None:
    with begin(server[0], "/file/big") as waiting:
        for _ in range(20):
            assert fetch(other, "/size/5") == bytes(5)
        received = bytearray()
        while len(received) < BIG:
            received += waiting.recv(MIB)
    assert content(BIG).startswith(received.partition(b"\r\n\r\n")[2])


def test_a_client_of_tls_that_keeps_up_holds_up_nobody(
    server: tuple[int, int, int], other: http.client.HTTPConnection, files: Path
) -> None:
    """It takes whatever it can get; an answer to somebody else comes before the end of its file."""
    size = 200 * MIB
    with (files / "long").open("wb") as file:
        file.truncate(size)
    with (
        socket.create_connection(("127.0.0.1", server[1]), timeout=60) as raw,
        tls_context().wrap_socket(raw, server_hostname="127.0.0.1") as greedy,
    ):
        greedy.sendall(b"GET /file/long HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        received = len(greedy.recv(MIB))
        other.putrequest("GET", "/size/5")
        other.endheaders()
        other.sock.setblocking(False)
        while received < size:
            received += len(greedy.recv(MIB))
            with suppress(BlockingIOError):
                if other.sock.recv(5, socket.MSG_PEEK):
                    break
        assert received < size / 2
        other.sock.settimeout(60)
        assert other.getresponse().read() == bytes(5)
    (files / "long").unlink()


@pytest.mark.parametrize("what", ["changed", "shortened", "longer"])
def test_a_file_that_changes_meanwhile_is_not_sent_to_its_end(
    server: tuple[int, int, int], other: http.client.HTTPConnection, big: Path, what: str
) -> None:
    with begin(server[0], "/file/big") as waiting:
        assert waiting.recv(1), "it has begun"
        if what == "shortened":
            os.truncate(big, BIG - MIB)
        elif what == "longer":
            os.truncate(big, BIG + MIB)
        else:
            os.utime(big, ns=(1, 1))
        received = b"H" + rest(waiting)
    body = received.partition(b"\r\n\r\n")[2]
    assert len(body) < BIG
    assert content(BIG).startswith(body), "no padding"
    assert fetch(other, "/closed") == b"closed"


def test_overwriting_and_deleting_does_not_disturb_who_reads(
    server: tuple[int, int, int], files: Path, big: Path
) -> None:
    with begin(server[0], "/file/big") as waiting:
        assert waiting.recv(1)
        (files / "new").write_bytes(b"new")
        (files / "new").rename(big)
        received = bytearray()
        while len(received) < BIG:
            received += waiting.recv(MIB)
        waiting.shutdown(socket.SHUT_WR)
        received += rest(waiting)
    assert received.partition(b"\r\n\r\n")[2] == content(BIG)


def test_a_client_that_leaves_gives_the_file_back(
    server: tuple[int, int, int], other: http.client.HTTPConnection, big: Path
) -> None:
    for read in (0, 1, 5 * MIB):
        with begin(server[0], "/file/big") as waiting:
            received = 0
            while received < read:
                received += len(waiting.recv(MIB))
        assert fetch(other, "/closed") == b"closed"


def test_a_client_that_takes_nothing_is_given_up(
    server: tuple[int, int, int], other: http.client.HTTPConnection, big: Path
) -> None:
    with begin(server[2], "/file/big") as waiting:
        assert fetch(other, "/closed") == b"closed"
        assert len(rest(waiting)) < BIG


def test_a_slow_disk_holds_up_nobody(
    server: tuple[int, int, int], other: http.client.HTTPConnection, files: Path
) -> None:
    """Every read of the cold file takes a second in a thread; those who ask for other things do not notice."""
    (files / "cold").write_bytes(content(2 * STEP + 1))
    (files / "hot").write_bytes(content(SMALL + 1))
    with begin(server[0], "/cold/cold") as waiting:
        answered = 0
        waiting.setblocking(False)
        received = bytearray()
        while len(received) < 2 * STEP:
            try:
                received += waiting.recv(MIB)
            except BlockingIOError:
                assert fetch(other, "/file/hot") == content(SMALL + 1)
                answered += 1
        while len(received.partition(b"\r\n\r\n")[2]) < 2 * STEP + 1:
            try:
                received += waiting.recv(MIB)
            except BlockingIOError:
                time.sleep(0.01)
    assert received.partition(b"\r\n\r\n")[2] == content(2 * STEP + 1)
    # Three reads of a second each: had any of them been waited for, there would be one answer or two a second.
    assert answered > 10


def test_a_client_that_leaves_while_the_disk_is_read_gives_the_file_back(
    server: tuple[int, int, int], other: http.client.HTTPConnection, files: Path
) -> None:
    (files / "cold").write_bytes(content(2 * STEP + 1))
    begin(server[0], "/cold/cold").close()
    assert fetch(other, "/closed") == b"closed"
