"""Requests without an SDK: presigned URLs, and requests that are told byte by byte."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Endpoint

_OURS = Credentials(ACCESS_KEY, SECRET_KEY)


@dataclass(frozen=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def connect(endpoint: Endpoint, source: str = "127.0.0.1") -> http.client.HTTPConnection:
    """:param source: the address that the daemon sees."""
    options: dict[str, Any] = {"timeout": PATIENCE, "source_address": (source, 0)}
    if endpoint.secure:
        context = ssl.create_default_context(cafile=str(endpoint.certificate))
        return http.client.HTTPSConnection("127.0.0.1", endpoint.port, context=context, **options)
    return http.client.HTTPConnection("127.0.0.1", endpoint.port, **options)


def fetch(
    endpoint: Endpoint,
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    source: str = "127.0.0.1",
) -> Response:
    """One request for a URL (or its path and query) on a connection of its own."""
    parts = urlsplit(url)
    connection = connect(endpoint, source)
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())
    finally:
        connection.close()


def presigned(endpoint: Endpoint, method: str, bucket: str, key: str) -> str:
    """Path and query that allow `method` on an object for a minute."""
    return presigned_path(endpoint, method, f"/{bucket}/{quote(key)}")


def presigned_path(endpoint: Endpoint, method: str, path: str, credentials: Credentials = _OURS) -> str:
    """Path and query that allow `method` for a minute on what is at a path."""
    request = AWSRequest(method, endpoint.url + path)
    S3SigV4QueryAuth(credentials, "s3", REGION, expires=60).add_auth(request)
    parts = urlsplit(request.prepare().url)
    return f"{parts.path}?{parts.query}"


def signed_headers(
    endpoint: Endpoint, method: str, path: str, headers: dict[str, str], *, credentials: Credentials = _OURS
) -> dict[str, str]:
    """`headers` and what makes them a signed request whose body is aws-chunked with unsigned trailers."""
    request = AWSRequest(method, endpoint.url + path, headers=headers)
    # This is how botocore itself asks for STREAMING-UNSIGNED-PAYLOAD-TRAILER.
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
    return dict(request.headers.items()) | {"Host": endpoint.address}


def head(method: str, target: str, headers: dict[str, str]) -> bytes:
    """The request line and the header fields as they go over the wire."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def read_response(connection: socket.socket, method: str = "PUT") -> Response:
    """The next final response on a raw connection."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    try:
        return Response(response.status, response.headers, response.read())
    finally:
        response.close()


def read_continue(connection: socket.socket) -> None:
    """Take `100 Continue`, and fail at anything else."""
    expected = b"HTTP/1.1 100 Continue\r\n\r\n"
    got = b""
    while len(got) < len(expected):
        piece = connection.recv(len(expected) - len(got))
        assert piece, f"the connection ended after {got!r}"
        got += piece
    assert got == expected
