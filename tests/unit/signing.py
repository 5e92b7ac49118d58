"""A client's side of AWS's signatures, written from the documentation and from nothing of zs3 but `Wire`.

Here and in `zs3.auth` the same documents were read twice; the published
examples and botocore's signers hold both to the truth.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import time
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from zs3.auth.sigv4 import Wire

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TIMESTAMP = "20130524T000000Z"
NOW = float(calendar.timegm(time.strptime(TIMESTAMP, "%Y%m%dT%H%M%SZ")))
REGION = "us-east-1"
SCOPE = f"20130524/{REGION}/s3/aws4_request"
EMPTY = hashlib.sha256(b"").hexdigest()
HOST = "examplebucket.s3.amazonaws.com"

Headers = dict[str, str]


def wire(method: str, target: str | bytes, headers: Headers | Sequence[tuple[str, str]]) -> Wire:
    """A request as the channel hands it on."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    raw = tuple((name.lower().encode(), value.strip().encode()) for name, value in pairs)
    return Wire(method, target if isinstance(target, bytes) else target.encode(), raw)


def signing_key(secret: str = SECRET, scope: str = SCOPE) -> bytes:
    key = b"AWS4" + secret.encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return key


def hex_hmac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def signature(
    method: str,
    path: str,
    query: str,
    headers: Headers,
    signed: str,
    payload: str,
    *,
    secret: str = SECRET,
    **over: str,
) -> str:
    """The signature of a request whose path and query are canonical already."""
    scope, timestamp = over.get("scope", SCOPE), over.get("timestamp", TIMESTAMP)
    values = {name.lower(): value for name, value in headers.items()}
    lines = "".join(f"{name}:{values.get(name, '')}\n" for name in signed.split(";"))
    request = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload}"
    text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hex_hmac(signing_key(secret, scope), text)


def sign_header(
    method: str = "GET",
    path: str = "/bucket/key",
    query: str = "",
    headers: Headers | None = None,
    *,
    payload: str | None = EMPTY,
    signed: str | None = None,
    target: str | None = None,
    secret: str = SECRET,
    access_key: str = ACCESS_KEY,
    **over: str,
) -> dict[str, str]:
    """The headers of a request that is signed in its Authorization header."""
    whole = {"host": HOST, "x-amz-date": over.get("timestamp", TIMESTAMP), **(headers or {})}
    if payload is not None:
        whole["x-amz-content-sha256"] = payload
    names = ";".join(sorted(whole)) if signed is None else signed
    found = signature(method, path, query, whole, names, payload or EMPTY, secret=secret, **over)
    scope = over.get("scope", SCOPE)
    whole["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={found}"
    )
    return whole


def presign(
    method: str = "GET",
    path: str = "/bucket/key",
    headers: Headers | None = None,
    *,
    expires: str = "86400",
    payload: str = "UNSIGNED-PAYLOAD",
    extra: dict[str, str] | None = None,
    **over: str,
) -> str:
    """The target of a presigned request."""
    whole = {"host": HOST, **(headers or {})}
    names = ";".join(sorted(whole))
    scope = over.get("scope", SCOPE)
    parameters = {
        "X-Amz-Algorithm": over.get("algorithm", "AWS4-HMAC-SHA256"),
        "X-Amz-Credential": f"{ACCESS_KEY}/{scope}",
        "X-Amz-Date": over.get("timestamp", TIMESTAMP),
        "X-Amz-Expires": expires,
        "X-Amz-SignedHeaders": names,
        **(extra or {}),
    }
    query = "&".join(sorted(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in parameters.items()))
    found = signature(method, path, query, whole, names, payload, **over)
    return f"{path}?{query}&X-Amz-Signature={found}"


def presign_v2(
    method: str = "GET",
    path: str = "/bucket/key",
    *,
    expires: str,
    amz: str = "",
    content_type: str = "",
    resource: str | None = None,
    query: str = "",
) -> str:
    """The target of a request presigned by Signature Version 2."""
    text = f"{method}\n\n{content_type}\n{expires}\n{amz}{path if resource is None else resource}"
    digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha1).digest()
    found = quote(base64.b64encode(digest).decode(), safe="")
    return f"{path}?{query}{'&' if query else ''}AWSAccessKeyId={ACCESS_KEY}&Signature={found}&Expires={expires}"


def target_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def encode_chunks(
    chunks: Sequence[bytes],
    *,
    seed: str | None = None,
    trailers: Sequence[tuple[str, str]] | None = None,
    scope: str = SCOPE,
    timestamp: str = TIMESTAMP,
    secret: str = SECRET,
) -> bytes:
    """An aws-chunked body: signed if there is a seed, with a block of trailers if there is a list of them."""
    key = signing_key(secret, scope)
    previous = seed or ""
    out = b""
    for chunk in [*chunks, b""]:
        header = f"{len(chunk):x}"
        if seed:
            digest = hashlib.sha256(chunk).hexdigest()
            previous = hex_hmac(key, f"AWS4-HMAC-SHA256-PAYLOAD\n{timestamp}\n{scope}\n{previous}\n{EMPTY}\n{digest}")
            header += f";chunk-signature={previous}"
        out += header.encode() + b"\r\n"
        if chunk:
            out += chunk + b"\r\n"
    if trailers is None:
        return out + b"\r\n"
    out += b"".join(f"{name}:{value}\r\n".encode() for name, value in trailers)
    if seed:
        block = "".join(f"{name}:{value}\n" for name, value in trailers)
        digest = hashlib.sha256(block.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256-TRAILER\n{timestamp}\n{scope}\n{previous}\n{digest}"
        out += f"x-amz-trailer-signature:{hex_hmac(key, text)}\r\n".encode()
    return out + b"\r\n"
