"""Two daemons that know nothing of each other on one directory: the file system alone keeps them in step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Daemon, running
from tests.e2e.plainhttp import fetch, presigned
from tests.e2e.test_lifecycle import SlowUpload

RACERS = 32
ROUNDS = 10
PART = 5 << 20


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Daemon]]:
    place = tmp_path_factory.mktemp("two")
    with ExitStack() as stack:
        both = []
        for name in ("one", "other"):
            (place / name).mkdir()
            both.append(stack.enter_context(running(place / name, place / "data")))
        yield both


@pytest.fixture
def clients(daemons: list[Daemon]) -> Iterator[list[Any]]:
    """A client of each."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(_client(daemon))) for daemon in daemons]


def _client(daemon: Daemon) -> Any:
    config = Config(max_pool_connections=RACERS, retries={"total_max_attempts": 1})
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    return session.client("s3", endpoint_url=daemon.plain.url, config=config)


def at_once(calls: Sequence[Callable[[], Any]]) -> list[str]:
    """Call functions at the same moment: of each, "" or the code of its S3 error."""
    barrier = threading.Barrier(len(calls), timeout=PATIENCE)

    def call(function: Callable[[], Any]) -> str:
        barrier.wait()
        try:
            function()
        except ClientError as error:
            code: str = error.response["Error"]["Code"]
            return code
        return ""

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call, calls))


def test_of_thirty_two_conditional_writes_one_wins(clients: list[Any], bucket: str) -> None:
    clients[0].create_bucket(Bucket=bucket)
    for turn in range(ROUNDS):
        key, condition = f"dir/{turn}", {"IfNoneMatch": "*"}
        for how in ("created", "replaced"):
            # Each another: what is put over its like has the same ETag, and the next one that asks for that wins too.
            bodies = [f"{how} by {number}".encode() for number in range(RACERS)]

            def put(number: int, bodies: list[bytes] = bodies, condition: dict[str, str] = condition) -> Any:
                return clients[number % 2].put_object(Bucket=bucket, Key=key, Body=bodies[number], **condition)  # noqa: B023

            codes = at_once([lambda number=number: put(number) for number in range(RACERS)])  # type: ignore[misc]
            assert codes.count("") == 1, codes
            assert set(codes) == {"", "PreconditionFailed"}
            for client in clients:
                found = client.get_object(Bucket=bucket, Key=key)
                assert found["Body"].read() == bodies[codes.index("")]
            # And then over what has won.
            condition = {"IfMatch": found["ETag"]}


def test_parts_come_by_both_and_one_completion_counts(clients: list[Any], bucket: str) -> None:
    clients[0].create_bucket(Bucket=bucket)
    for _ in range(ROUNDS):
        named = {"Bucket": bucket, "Key": "key"}
        upload = clients[0].create_multipart_upload(**named)["UploadId"]
        pieces = [b"1" * PART, b"2" * PART, b"3"]
        etags = [
            clients[number % 2].upload_part(**named, UploadId=upload, PartNumber=number, Body=piece)["ETag"]
            for number, piece in enumerate(pieces, 1)
        ]
        parts = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]}

        def complete(client: Any, upload: str = upload, parts: Any = parts, named: Any = named) -> Any:
            return client.complete_multipart_upload(**named, UploadId=upload, MultipartUpload=parts)

        # Whoever comes second is told what was made.
        assert at_once([lambda client=client: complete(client) for client in clients]) == ["", ""]  # type: ignore[misc]
        for client in clients:
            assert client.get_object(**named)["Body"].read() == b"".join(pieces)
            assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
        clients[1].delete_object(**named)


def test_a_bucket_is_deleted_or_written_never_both(clients: list[Any], bucket: str) -> None:
    ends = set()
    for turn in range(3 * ROUNDS):
        name = f"{bucket}-{turn}"
        clients[turn % 2].create_bucket(Bucket=name)
        writer, deleter = clients if turn % 4 < 2 else reversed(clients)
        put, deleted = at_once(
            [
                lambda name=name, writer=writer: writer.put_object(Bucket=name, Key="a/b", Body=b"content"),  # type: ignore[misc]
                lambda name=name, deleter=deleter: deleter.delete_bucket(Bucket=name),  # type: ignore[misc]
            ]
        )
        ends.add((put, deleted))
        if deleted == "":
            assert put == "NoSuchBucket"
            with pytest.raises(ClientError, match="NoSuchBucket"):
                writer.get_object(Bucket=name, Key="a/b")
        else:
            assert (put, deleted) == ("", "BucketNotEmpty")
            assert deleter.get_object(Bucket=name, Key="a/b")["Body"].read() == b"content"
    assert ends <= {("", "BucketNotEmpty"), ("NoSuchBucket", "")}


def test_a_daemon_that_starts_and_ends_leaves_the_uploads_of_the_other_alone(
    daemons: list[Daemon], clients: list[Any], bucket: str, tmp_path: Path
) -> None:
    clients[0].create_bucket(Bucket=bucket)
    endpoint = daemons[0].plain
    content = bytes(4 << 20)
    with closing(SlowUpload(endpoint, presigned(endpoint, "PUT", bucket, "slow"), content)) as slow:
        temporary = set(daemons[0].data.glob(".zs3/tmp/*"))
        with running(tmp_path, daemons[0].data) as third:
            assert temporary < set(daemons[0].data.glob(".zs3/tmp/*"))
            assert fetch(third.plain, presigned(third.plain, "PUT", bucket, "other"), "PUT", b"other").status == 200
        killed = Daemon(tmp_path, daemons[0].data)
        killed.start()
        killed.kill()
        left = set(daemons[0].data.glob(".zs3/tmp/*")) - temporary
        assert left
        with running(tmp_path, daemons[0].data):
            assert not left & set(daemons[0].data.glob(".zs3/tmp/*"))
        assert set(daemons[0].data.glob(".zs3/tmp/*")) == temporary
        assert slow.finish() == 200
    assert fetch(endpoint, presigned(endpoint, "GET", bucket, "slow")).body == content
