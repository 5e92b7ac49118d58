"""Both signature versions against botocore's signers, for random requests."""

from __future__ import annotations

import hashlib
import io
import random
import time

import botocore.auth
import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.client import BaseClient
from botocore.config import Config
from hypothesis import assume, given
from hypothesis import strategies as st

from proof.signer import passes, run
from tests import signers
from tests.signers import CHANGES, SIGNERS, changed, sign
from tests.unit.signing import ACCESS_KEY, NOW, SECRET, target_of, wire
from zs3.auth.payload import make_payload
from zs3.auth.sigv4 import Wire, decode_claim

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEYS = st.lists(TEXT | st.sampled_from(["", ".", "..", "a b", "a+b", "(~)", "100%", "%2F"]), min_size=1, max_size=4)
NAMES = st.sampled_from(
    ["prefix", "a", "a-b", "a.b", "A", "uploadId", "partNumber", "versionId", "uploads", "x-id", "~"]
)
METHODS = st.sampled_from(signers.METHODS)
VALUES = st.text(st.characters(codec="ascii", min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
HEADERS = st.dictionaries(
    st.sampled_from(["x-amz-meta-a", "X-Amz-Meta-B", "Content-Type", "x-amz-acl", "Range", "content-md5"]),
    VALUES,
    max_size=4,
)


@given(
    st.sampled_from(sorted(SIGNERS)), METHODS, KEYS, st.lists(st.tuples(NAMES, TEXT), max_size=4), HEADERS, st.binary()
)
def test_what_botocore_signs_is_accepted(
    kind: str, method: str, key: list[str], query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    request = sign(kind, method, key, query, headers, body)
    claim = decode_claim(request, now=NOW + 1)
    assert claim is not None
    assert (claim.kind, claim.access_key) == (kind, ACCESS_KEY)
    assert claim.check(SECRET) is not None
    assert claim.check(SECRET + "x") is None


@given(
    st.sampled_from(sorted(SIGNERS)),
    METHODS,
    KEYS,
    st.lists(st.tuples(NAMES, TEXT), max_size=4),
    HEADERS,
    st.sampled_from(CHANGES),
    st.randoms(use_true_random=False),
)
def test_one_changed_thing_is_another_request(
    kind: str,
    method: str,
    key: list[str],
    query: list[tuple[str, str]],
    headers: dict[str, str],
    what: str,
    chance: random.Random,
) -> None:
    request = changed(kind, sign(kind, method, key, query, headers, b""), what, chance)
    assume(request is not None)
    assert not passes(request)


def test_the_long_run_finds_nothing_in_its_first_requests() -> None:
    done = run(300, seed=2)
    assert done["violations"] == 0
    assert all(done[kind] > 50 for kind in SIGNERS)
    assert all(done[f"changed {what}"] > 5 for what in CHANGES)


def test_the_long_run_finds_a_signature_that_covers_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is changed in a request that is judged as it was before."""
    monkeypatch.setattr("proof.signer.changed", lambda kind, request, *_: request)
    assert run(5, seed=1)["violations"] == 5


class Caught(Exception):
    """Ends an operation of the client before it opens a connection."""


def client(scheme: str, signature: str) -> BaseClient:
    session = botocore.session.Session()
    session.set_credentials(ACCESS_KEY, SECRET)
    config = Config(signature_version=signature, s3={"addressing_style": "path"})
    return session.create_client("s3", "us-east-1", endpoint_url=f"{scheme}://s3.example:9000", config=config)


def sent_by_botocore(scheme: str, operation: str, parameters: dict[str, object]) -> tuple[Wire, bytes]:
    """What a real client puts on the wire for an operation."""

    def catch(request: AWSPreparedRequest, **_: object) -> None:
        raise Caught(request)

    s3 = client(scheme, "s3v4")
    s3.meta.events.register("before-send.s3", catch)
    with pytest.raises(Caught) as caught:
        getattr(s3, operation)(Bucket="bucket", **parameters)
    request = caught.value.args[0]
    body = request.body or b""
    headers = {"host": "s3.example:9000"}  # left to the HTTP client by botocore's own signer, set by that of awscrt
    for name, value in request.headers.items():
        headers[name.lower()] = value.decode() if isinstance(value, bytes) else value
    return (
        wire(request.method, target_of(request.url), headers),
        body if isinstance(body, bytes) else body.read(),
    )


PUT = {"Key": "a (b)/ü~+.txt", "Body": b"hello world", "Metadata": {"a": "two  words "}, "ContentType": "text/plain"}
REQUESTS = [
    ("put_object", {**PUT}),
    ("put_object", {**PUT, "Body": b""}),
    ("put_object", {**PUT, "ChecksumAlgorithm": "SHA256"}),
    ("put_object", {**PUT, "ChecksumCRC32": "DUoRhQ=="}),
    ("get_object", {"Key": "a+b", "Range": "bytes=0-1", "ResponseContentDisposition": 'attachment; filename="a&b"'}),
    ("list_objects_v2", {"Prefix": "a b/+", "Delimiter": "/", "StartAfter": "ü"}),
    ("delete_objects", {"Delete": {"Objects": [{"Key": "a"}]}}),
    ("copy_object", {"Key": "b", "CopySource": {"Bucket": "other", "Key": "c d"}}),
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("operation", "parameters"), REQUESTS)
def test_request_of_botocore_passes_with_its_body(scheme: str, operation: str, parameters: dict[str, object]) -> None:
    data = parameters.get("Body")
    sent = {**parameters, "Body": io.BytesIO(data)} if isinstance(data, bytes) else parameters
    request, body = sent_by_botocore(scheme, operation, sent)
    claim = decode_claim(request, now=time.time())
    assert claim is not None
    signer = claim.check(SECRET)
    assert signer is not None
    payload = make_payload(request, signer, content_length=len(body), payload_hash=claim.payload_hash)
    out = b"".join(map(bytes, payload.feed(body)))
    digests = payload.finish()
    if operation == "put_object":
        assert out == data
        assert digests.checksum is not None
        assert claim.payload_hash.startswith("STREAMING-UNSIGNED" if body != data else hashlib.sha256(out).hexdigest())
    if operation == "delete_objects":
        assert out.endswith(b"</Delete>")


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
@pytest.mark.parametrize(("operation", "parameters"), [REQUESTS[0], REQUESTS[4], REQUESTS[5]])
def test_url_presigned_by_botocore_passes(signature: str, operation: str, parameters: dict[str, object]) -> None:
    headers = {"host": "s3.example:9000"}
    method = "GET"
    if operation == "put_object":
        method = "PUT"
        headers |= {"content-type": "text/plain", "x-amz-meta-a": "two  words"}
    given = {name: value for name, value in parameters.items() if name not in ("Body", "Range")}
    url = client("http", signature).generate_presigned_url(operation, Params={"Bucket": "bucket", **given})
    claim = decode_claim(wire(method, target_of(url), headers), now=time.time())
    assert claim is not None
    assert claim.kind == ("query" if signature == "s3v4" else "query-v2")
    assert claim.check(SECRET) is not None
