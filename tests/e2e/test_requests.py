"""Requests told byte by byte, as some clients send them and no Python client does."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import zlib
from collections.abc import Iterator

import pytest
from botocore.credentials import Credentials

from tests.e2e.daemon import ACCESS_KEY, PATIENCE, Daemon, Endpoint
from tests.e2e.plainhttp import connect, fetch, head, presigned, read_response, signed_headers

TEN_GB = "10000000000"


@pytest.fixture
def endpoint(daemon: Daemon) -> Endpoint:
    return daemon.plain


@pytest.fixture
def raw(endpoint: Endpoint) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", endpoint.port), PATIENCE) as connection:
        yield connection


@pytest.fixture
def bucket(daemon: Daemon, bucket: str) -> str:
    """It is a directory, so making one makes the bucket."""
    (daemon.data / bucket).mkdir()
    return bucket


def test_a_denied_upload_that_awaits_100_continue_hears_403_and_sends_nothing(
    raw: socket.socket, endpoint: Endpoint, bucket: str
) -> None:
    wrong = Credentials(ACCESS_KEY, "wrong" * 8)
    headers = signed_headers(endpoint, "PUT", f"/{bucket}/k", {"Content-Length": TEN_GB}, credentials=wrong)
    raw.sendall(head("PUT", f"/{bucket}/k", headers | {"Expect": "100-continue"}))
    first = raw.recv(12, socket.MSG_WAITALL)
    assert first == b"HTTP/1.1 403"


def test_a_denied_upload_hears_403_while_it_sends(raw: socket.socket, endpoint: Endpoint, bucket: str) -> None:
    raw.sendall(head("PUT", f"/{bucket}/k", {"Host": endpoint.address, "Content-Length": TEN_GB}))
    raw.sendall(b"x" * 100_000)
    response = read_response(raw)
    assert response.status == 403
    assert b"<Code>AccessDenied</Code>" in response.body
    assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("piece", [1, 7, 1000, 1_000_000], ids="in pieces of {}".format)
def test_aws_chunked_within_chunked_as_the_javascript_sdk_sends_it(
    raw: socket.socket, endpoint: Endpoint, bucket: str, daemon: Daemon, piece: int
) -> None:
    """No Content-Length, two framings in one another, and the checksum in the inner one's trailer."""
    content = b"0123456789" * 1000 if piece < 1000 else bytes(range(256)) * 4000
    checksum = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
    chunks = [content[at : at + 65_536] for at in range(0, len(content), 65_536)]
    inner = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    inner += f"0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
    outer = [inner[at : at + piece] for at in range(0, len(inner), piece)]
    headers = {
        "Content-Encoding": "aws-chunked",
        "Content-Type": "text/plain",
        "Transfer-Encoding": "chunked",
        "X-Amz-Decoded-Content-Length": str(len(content)),
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "X-Amz-Sdk-Checksum-Algorithm": "CRC32",
    }
    raw.sendall(head("PUT", f"/{bucket}/k", signed_headers(endpoint, "PUT", f"/{bucket}/k", headers)))
    raw.sendall(b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in outer) + b"0\r\n\r\n")
    response = read_response(raw)
    assert response.status == 200, response.body
    assert response.headers["x-amz-checksum-crc32"] == checksum
    assert (daemon.data / bucket / "k").read_bytes() == content
    got = fetch(endpoint, presigned(endpoint, "GET", bucket, "k"))
    assert got.body == content
    assert got.headers["Content-Encoding"] is None


def test_a_connection_serves_one_request_after_another(endpoint: Endpoint, daemon: Daemon, bucket: str) -> None:
    connection: http.client.HTTPConnection = connect(endpoint)
    for n in range(3):
        connection.request("PUT", presigned(endpoint, "PUT", bucket, f"k{n}"), b"x" * n)
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"")
    connection.request("HEAD", presigned(endpoint, "HEAD", bucket, "k2"))
    response = connection.getresponse()
    assert (response.status, response.headers["Content-Length"], response.read()) == (200, "2", b"")
    connection.close()


def test_a_tls_connection_is_closed_as_tls_wants_it(daemon: Daemon, bucket: str) -> None:
    """With a close_notify: some clients (pgBackRest) take its absence for a cut response."""
    context = ssl.create_default_context(cafile=str(daemon.certificate))
    with (
        socket.create_connection(("127.0.0.1", daemon.tls.port), PATIENCE) as connection,
        context.wrap_socket(connection, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as secure,
    ):
        fields = {"Host": daemon.tls.address, "Connection": "close"}
        secure.sendall(head("HEAD", presigned(daemon.tls, "HEAD", bucket, "absent"), fields))
        received = b""
        while piece := secure.recv(4096):  # a missing close_notify is an SSLEOFError here
            received += piece
    assert received.startswith(b"HTTP/1.1 404 ")
    assert received.endswith(b"\r\n\r\n")


def test_secrets_and_signatures_are_not_logged(endpoint: Endpoint, daemon: Daemon, bucket: str) -> None:
    target = presigned(endpoint, "PUT", bucket, "logged")
    assert fetch(endpoint, target, "PUT", b"").status == 200
    assert fetch(endpoint, target, "GET").status == 403
    log = daemon.log()
    assert f'"{bucket}/logged"' in log
    assert ACCESS_KEY in log
    signature = target.partition("X-Amz-Signature=")[2]
    assert len(signature) == 64
    for secret in (signature, "X-Amz-", "e2e/secret"):
        assert secret not in log
