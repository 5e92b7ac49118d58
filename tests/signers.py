"""Requests as botocore signs them, at one moment; and such requests with one thing changed.

For the tests of signatures and for ``proof.signer``.
"""

from __future__ import annotations

import datetime
import random
import re
from types import SimpleNamespace
from unittest import mock
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.unit.signing import ACCESS_KEY, NOW, SECRET, target_of, wire
from zs3.auth.sigv4 import Wire

HOST = "s3.example:9000"
CREDENTIALS = Credentials(ACCESS_KEY, SECRET)
TIME = datetime.datetime.fromtimestamp(NOW, datetime.UTC).replace(tzinfo=None)
SIGNERS = {
    "header": lambda: botocore.auth.S3SigV4Auth(CREDENTIALS, "s3", "eu-north-1"),
    "query": lambda: botocore.auth.S3SigV4QueryAuth(CREDENTIALS, "s3", "eu-north-1", expires=600),
    "query-v2": lambda: botocore.auth.HmacV1QueryAuth(CREDENTIALS, expires=600),
}


def sign(
    kind: str, method: str, key: list[str], query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> Wire:
    """The request as botocore sends it.

    Of what it cannot sign unambiguously is left out: see the comments.
    """
    if kind != "header":
        # botocore keeps the first of several values of a name when it presigns; a body would go to the query
        query, body = list(dict(query).items()), b""
    if kind == "query":
        query = [(name, value) for name, value in query if value]
    if kind == "query-v2" and any("&" in value for _, value in query):
        query = []  # signed in a form that can be read in two ways: see test_sigv2
    path = "/bucket/" + quote("/".join(key), safe="/~")
    spelled = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query)
    url = f"http://{HOST}{path}{'?' if spelled else ''}{spelled}"
    request = AWSRequest(method, url, headers=headers, data=body)
    with (
        mock.patch.object(botocore.auth, "get_current_datetime", return_value=TIME),
        mock.patch.object(botocore.auth, "time", SimpleNamespace(time=lambda: NOW)),
    ):
        SIGNERS[kind]().add_auth(request)
    sent = {name: str(value) for name, value in request.headers.items() if name.lower() != "date"}
    return wire(method, target_of(request.url), {"Host": HOST, **sent})


def changed(kind: str, request: Wire, what: str, chance: random.Random) -> Wire | None:
    """The request with one thing changed that was signed; None if there is no such thing in it.

    :param what: one of `CHANGES`.
    """
    method, target, headers = request.method, request.target, request.headers
    path, _, query = target.partition(b"?")
    if what == "method":
        return Wire(chance.choice([each for each in METHODS if each != method]), target, headers)
    if what == "path":
        position = chance.randint(1, len(path))
        return Wire(method, path[:position] + b"!" + path[position:] + b"?" + query, headers)
    if what == "signature":
        return _with_other_signature(request, chance)
    if kind == "query-v2":
        return None  # neither the host nor any other parameter is signed
    if what == "parameter":
        return Wire(method, path + b"?" + query + (b"&" if query else b"") + b"zz=1", headers)
    position = chance.randrange(len(headers))
    name, value = headers[position]
    if name.decode() not in _signed(request):
        return None
    others = [*headers[:position], *headers[position + 1 :]]
    if what == "absent header":
        return Wire(method, target, tuple(others))
    return Wire(method, target, (*others, (name, value + b"x")))


#: What `changed` changes.
CHANGES = ["method", "path", "signature", "parameter", "header", "absent header"]
METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"]


def _signed(request: Wire) -> list[str]:
    found = re.search(r"SignedHeaders=([^&, ]*)", f"{request.target.decode()} {request.headers}")
    assert found
    return found[1].replace("%3B", ";").split(";")


def _with_other_signature(request: Wire, chance: random.Random) -> Wire:
    def other(found: re.Match[bytes]) -> bytes:
        digits = bytearray(found[2])
        # The last digits of base64 may be of bits that do not count, and of an escape.
        position = chance.randrange(8)
        digits[position] = ord("a") if digits[position] != ord("a") else ord("b")
        return found[1] + bytes(digits)

    pattern = rb"(Signature=)([^&]+)"
    headers = tuple(
        (name, re.sub(pattern, other, value) if name == b"authorization" else value) for name, value in request.headers
    )
    return Wire(request.method, re.sub(pattern, other, request.target), headers)
