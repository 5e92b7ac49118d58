"""A client that does little but sign, for tests with many requests: one connection, no retries, answers as they are."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from urllib.parse import quote

from lxml import etree

from tests.e2e.daemon import ACCESS_KEY, REGION, SECRET_KEY, Endpoint
from tests.e2e.plainhttp import Response, connect
from tests.unit.signing import sign_header


class Client:
    """A connection to a daemon, made at the first request and again after an error.

    :param source: the address that the daemon sees.
    """

    def __init__(self, endpoint: Endpoint, source: str = "127.0.0.1") -> None:
        self.endpoint, self._source = endpoint, source
        self._connection: http.client.HTTPConnection | None = None

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        payload: str = "UNSIGNED-PAYLOAD",
    ) -> http.client.HTTPConnection:
        """Send a request, whose answer the caller reads.

        :param path: not yet quoted.
        :param payload: what `x-amz-content-sha256` says of the body.
        """
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        quoted = quote(path, safe="/~")
        pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in (query or {}).items())
        canonical = "&".join(f"{name}={value}" for name, value in pairs)
        signed = sign_header(
            method,
            quoted,
            canonical,
            {"host": self.endpoint.address, "content-length": str(len(body))} | lower,
            payload=payload,
            secret=SECRET_KEY,
            access_key=ACCESS_KEY,
            timestamp=now,
            scope=f"{now[:8]}/{REGION}/s3/aws4_request",
        )
        if self._connection is None:
            self._connection = connect(self.endpoint, self._source)
        self._connection.request(method, f"{quoted}?{canonical}" if canonical else quoted, body, signed)
        return self._connection

    def read(self) -> Response:
        """The answer to what was sent."""
        assert self._connection is not None
        answer = self._connection.getresponse()
        return Response(answer.status, answer.headers, answer.read())

    def __call__(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        payload: str = "UNSIGNED-PAYLOAD",
    ) -> Response:
        try:
            self.send(method, path, query, headers, body, payload)
            return self.read()
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Of the socket, for who waits for its end."""
        assert self._connection is not None
        return self._connection.sock.fileno()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def elements(body: bytes) -> etree._Element:
    """An XML document without its namespace."""
    root = etree.fromstring(body)
    for each in root.iter():
        each.tag = etree.QName(each).localname
    return root


def code(answer: Response) -> str:
    """The code of the S3 error of an answer, "" for none, the status where there is no body."""
    if answer.status < 300:
        return ""
    return elements(answer.body).findtext("Code") or "" if answer.body else str(answer.status)


def texts(element: etree._Element, *names: str) -> Iterator[str]:
    for name in names:
        yield element.findtext(name) or ""
