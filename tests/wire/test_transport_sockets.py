"""The same site on real sockets, plain and TLS: what the in-memory transport cannot show."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import self_signed

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
PIECE = bytes(range(256)) * 256


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the files that are served."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[tuple[int, int, int]]:
    """The ports of a running server: plain, TLS, and plain for clients that are quick."""
    pem = tmp_path_factory.mktemp("tls") / "server.pem"
    pem.write_bytes(b"".join(self_signed()))
    command = [sys.executable, "-m", "tests.wire.socket_server", str(pem), str(files)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        plain, tls, impatient = map(int, process.stdout.readline().split())
        yield plain, tls, impatient
        assert process.poll() is None, "it did not crash"
        process.communicate()
    assert process.returncode == 0


@pytest.fixture(params=["plain", "tls"])
def client(server: tuple[int, int, int], request: pytest.FixtureRequest) -> Iterator[http.client.HTTPConnection]:
    if request.param == "plain":
        connection = http.client.HTTPConnection("127.0.0.1", server[0], timeout=60)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", server[1], timeout=60, context=tls_context())
    yield connection
    connection.close()


def tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=self_signed()[1].decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def fetch(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def peak(connection: http.client.HTTPConnection) -> int:
    """Of the server's resident memory so far, in bytes."""
    return int(fetch(connection, "/peak")) * 1024


@pytest.mark.parametrize("chunked", [False, True])
def test_upload_is_streamed_in_bounded_memory(client: http.client.HTTPConnection, chunked: bool) -> None:
    count = 1024
    before = peak(client)
    body = (PIECE for _ in range(count))
    headers = {} if chunked else {"Content-Length": str(count * len(PIECE))}
    client.request("PUT", "/sum", body=body, headers=headers, encode_chunked=chunked)
    expected = hashlib.md5()
    for _ in range(count):
        expected.update(PIECE)
    assert client.getresponse().read() == f"{64 * MIB} {expected.hexdigest()}".encode()
    assert peak(client) - before < 8 * MIB


def test_download_is_streamed_in_bounded_memory(client: http.client.HTTPConnection) -> None:
    before = peak(client)
    client.request("GET", f"/size/{64 * MIB}")
    response = client.getresponse()
    size = 0
    while piece := response.read(MIB):
        size += len(piece)
    assert size == 64 * MIB
    assert peak(client) - before < 8 * MIB


def test_client_that_leaves_a_download_gives_the_reader_back(
    client: http.client.HTTPConnection, server: tuple[int, int, int]
) -> None:
    other = http.client.HTTPConnection("127.0.0.1", server[0], timeout=60)
    before = peak(other)
    client.request("GET", f"/size/{64 * MIB}")
    response = client.getresponse()
    assert len(response.read(MIB)) == MIB
    assert peak(other) - before < 8 * MIB, "a client that does not read costs no memory"
    client.close()
    response.close()
    assert fetch(other, "/closed") == b"closed"
    other.close()


def test_denied_upload_gets_its_answer_however_much_it_sends(client: http.client.HTTPConnection) -> None:
    client.connect()
    assert isinstance(client.sock, socket.socket)
    client.putrequest("PUT", "/deny")
    client.putheader("Content-Length", str(16 * MIB))
    client.endheaders()
    for _ in range(256):
        client.send(PIECE)
    response = client.getresponse()
    assert response.status == 403
    assert response.getheader("Connection") == "close"
    assert b"<Code>AccessDenied</Code>" in response.read()
    assert client.sock is None, "http.client saw that the connection ends"


def test_connection_is_kept_after_a_small_denied_upload(client: http.client.HTTPConnection) -> None:
    for _ in range(2):
        client.request("PUT", "/deny", body=PIECE)
        response = client.getresponse()
        assert response.status == 403
        assert b"<Code>AccessDenied</Code>" in response.read()
        assert client.sock is not None


def test_tls_ends_with_a_close_notify_and_does_not_wait_for_another(server: tuple[int, int, int]) -> None:
    with (
        socket.create_connection(("127.0.0.1", server[1]), timeout=60) as raw,
        tls_context().wrap_socket(raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as connection,
    ):
        assert connection.selected_alpn_protocol() == "http/1.1"
        connection.sendall(b"GET /size/5 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        received = b""
        while data := connection.recv(65536):  # a connection that ends without one raises SSLEOFError
            received += data
        with socket.socket(fileno=connection.detach()) as tcp:
            tcp.settimeout(60)
            assert tcp.recv(1) == b""
    assert received.endswith(b"\r\n\r\n" + bytes(5))
