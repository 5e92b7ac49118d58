"""Forms that SDKs presign, sent as a browser sends them."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import urllib3
from botocore.config import Config
from minio import Minio
from minio.datatypes import PostPolicy

from tests.e2e.conftest import MIB
from tests.e2e.daemon import ACCESS_KEY, REGION, SECRET_KEY, Daemon, Endpoint, running
from tests.e2e.plainhttp import Response, connect, fetch
from tests.forms import BOUNDARY, CONTENT_TYPE, end, form, part


@pytest.fixture
def bucket(daemon: Daemon, bucket: str) -> str:
    """It is a directory, so making one makes the bucket."""
    (daemon.data / bucket).mkdir()
    return bucket


def presigned_post(endpoint: Endpoint, bucket: str, key: str, signature: str = "s3v4", **options: Any) -> Any:
    """The URL and the fields that boto3 gives an application for its users."""
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    config = Config(signature_version=signature)
    s3 = session.client("s3", endpoint_url=endpoint.url, verify=False, config=config)
    try:
        return s3.generate_presigned_post(bucket, key, **options)
    finally:
        s3.close()


def send(endpoint: Endpoint, url: str, fields: dict[str, str], content: bytes, filename: str = "cat.jpg") -> Response:
    body = form(fields, content, filename=filename)
    return fetch(endpoint, urlsplit(url).path, "POST", body, {"Content-Type": CONTENT_TYPE})


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_what_boto3_presigns_is_taken(endpoint: Endpoint, bucket: str, daemon: Daemon, signature: str) -> None:
    post = presigned_post(
        endpoint, bucket, "user/ann/${filename}", signature,
        Fields={"acl": "private", "Content-Type": "image/jpeg", "success_action_status": "201"},
        Conditions=[
            {"acl": "private"},
            ["starts-with", "$Content-Type", "image/"],
            {"success_action_status": "201"},
            ["content-length-range", 1, MIB],
        ],
    )  # fmt: skip
    response = send(endpoint, post["url"], post["fields"], b"content", "größe.jpg")
    assert response.status == 201, response.body
    assert "<Key>user/ann/größe.jpg</Key>" in response.body.decode()
    assert (daemon.data / bucket / "user" / "ann" / "größe.jpg").read_bytes() == b"content"

    for change in ({"acl": "public-read"}, {"Content-Type": "text/html"}, {"key": "other"}, {"x-amz-meta-a": "b"}):
        response = send(endpoint, post["url"], post["fields"] | change, b"evil")
        assert (response.status, b"<Code>AccessDenied</Code>" in response.body) == (403, True)
    response = send(endpoint, post["url"], post["fields"], b"")
    assert b"<Code>EntityTooSmall</Code>" in response.body
    assert [each.name for each in (daemon.data / bucket / "user" / "ann").iterdir()] == ["größe.jpg"]


def test_what_minio_presigns_is_taken(endpoint: Endpoint, bucket: str, daemon: Daemon) -> None:
    pool = urllib3.PoolManager(ca_certs=str(endpoint.certificate) if endpoint.secure else None)
    client = Minio(
        endpoint=endpoint.address, access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=endpoint.secure,
        region=REGION, http_client=pool,
    )  # fmt: skip
    policy = PostPolicy(bucket, datetime.now(UTC) + timedelta(minutes=5))
    policy.add_starts_with_condition("key", "in/")
    policy.add_content_length_range_condition(1, MIB)
    fields = client.presigned_post_policy(policy)
    response = send(endpoint, f"{endpoint.url}/{bucket}", {**fields, "key": "in/k"}, b"content")
    pool.clear()
    assert response.status == 204, response.body
    assert (daemon.data / bucket / "in" / "k").read_bytes() == b"content"


def peak(daemon: Daemon) -> int:
    """Of the daemon's resident memory so far, in bytes."""
    lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def post_pieces(endpoint: Endpoint, path: str, pieces: Iterable[bytes], length: int) -> http.client.HTTPResponse:
    connection = connect(endpoint)
    headers = {"Content-Type": CONTENT_TYPE, "Content-Length": str(length)}
    connection.request("POST", path, pieces, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


@pytest.mark.parametrize("secure", [False, True])
def test_a_large_file_is_streamed_in_bounded_memory(tmp_path: Path, large_file: Path, secure: bool) -> None:
    """Cut where it hurts: in pieces of an odd size, from a file that is full of what nearly ends it."""
    nearly = f"\r\n--{BOUNDARY[:-1]}".encode() + b"?"
    content_size = 64 * MIB + len(nearly) * 64
    with running(tmp_path, tmp_path / "data") as daemon:
        endpoint = daemon.tls if secure else daemon.plain
        (daemon.data / "large").mkdir()
        conditions = [["content-length-range", content_size, content_size]]
        small = presigned_post(endpoint, "large", "small")["fields"]
        assert send(endpoint, "/large", small, b"x" * MIB).status == 204
        fields = presigned_post(endpoint, "large", "large", Conditions=conditions)["fields"]
        head = b"".join(part(*each) for each in fields.items()) + part("file", "", filename="f").removesuffix(b"\r\n")
        expected = hashlib.md5()

        def stream() -> Iterator[bytes]:
            yield head
            with large_file.open("rb") as file:
                while piece := file.read(MIB):
                    expected.update(piece + nearly)
                    whole = piece + nearly
                    yield from (whole[at : at + 99_991] for at in range(0, len(whole), 99_991))
            yield b"\r\n"
            yield end()

        before = peak(daemon)
        response = post_pieces(endpoint, "/large", stream(), len(head) + content_size + 2 + len(end()))
        assert (response.status, response.headers["ETag"]) == (204, f'"{expected.hexdigest()}"')
        assert peak(daemon) - before < 8 * MIB
        assert (daemon.data / "large" / "large").stat().st_size == content_size
