"""Requests as bytes, signed with version 4 as SDKs sign: in a header, the body's hash included.  No I/O.

All is made before the clock runs; a generator only sends it.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Credentials:
    """A key pair, and the region that requests are signed for."""

    access_key: str
    secret_key: str
    region: str = "us-east-1"


@dataclass(frozen=True)
class Call:
    """One request, not yet signed.

    :ivar path: decoded, e.g. ``/bucket/some key``.
    :ivar query: decoded pairs.
    :ivar length: of the body in bytes, `None` without a body.
    :ivar sha256: the hash of the body, hexadecimal.
    :ivar headers: others that are signed, their names in lower case.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    length: int | None = None
    sha256: str = _EMPTY
    headers: Sequence[tuple[str, str]] = ()


def sha256(body: bytes) -> str:
    """The hash of a body as `Call` wants it."""
    return hashlib.sha256(body).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Signer:
    """Signs calls to one server; what it signs is good for a quarter of an hour from `now`, in Unix seconds."""

    def __init__(self, host: str, credentials: Credentials, now: float | None = None) -> None:
        self._host = host
        self._time = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        self._scope = f"{self._time[:8]}/{credentials.region}/s3/aws4_request"
        self._access_key = credentials.access_key
        key = b"AWS4" + credentials.secret_key.encode()
        for step in self._scope.split("/"):
            key = _hmac(key, step)
        self._key = key

    def head(self, call: Call) -> bytes:
        """The head of the request, ready to be sent; the body is to follow."""
        path = quote(call.path, safe="/-_.~")
        query = "&".join(
            sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in call.query)
        )
        signed = dict(
            sorted(
                (
                    ("host", self._host),
                    ("x-amz-content-sha256", call.sha256),
                    ("x-amz-date", self._time),
                    *call.headers,
                )
            )
        )
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        canonical = f"{call.method}\n{path}\n{query}\n{lines}\n{names}\n{call.sha256}"
        text = f"AWS4-HMAC-SHA256\n{self._time}\n{self._scope}\n{sha256(canonical.encode())}"
        signature = _hmac(self._key, text).hex()
        headers = {
            "Host": self._host,
            "Accept-Encoding": "identity",
            "User-Agent": "zs3-bench (as long as that of an SDK: Python/3 Linux x86_64 HTTP/1.1 retry/standard)",
            "X-Amz-Content-SHA256": call.sha256,
            "X-Amz-Date": self._time,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self._access_key}/{self._scope}, "
            f"SignedHeaders={names}, Signature={signature}",
            "amz-sdk-invocation-id": "5f1a9d0e-7c1b-4a53-9f59-3a1f0c8e2b77",
            "amz-sdk-request": "attempt=1",
            **dict(call.headers),
        }
        if call.length is not None:
            headers["Content-Length"] = str(call.length)
        target = f"{path}?{query}" if query else path
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{call.method} {target} HTTP/1.1\r\n{fields}\r\n".encode()
