"""How the daemon ends: drained by SIGTERM, and killed while it writes."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.e2e.daemon import ACCESS_KEY, ENDED, PATIENCE, REGION, SECRET_KEY, Endpoint, running
from tests.e2e.plainhttp import head, presigned, read_continue, read_response

Connect = Callable[[Endpoint], Any]

MIB = 1 << 20
#: More than the kernel's buffers on both sides of a connection hold.
MUCH = 32 * MIB


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "daemon"
    home.mkdir()
    return home


@pytest.fixture
def connect() -> Iterator[Callable[[Endpoint], Any]]:
    """Makes boto3 clients that are closed when the test ends."""
    with ExitStack() as clients:

        def connect(endpoint: Endpoint) -> Any:
            session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
            return clients.enter_context(closing(session.client("s3", endpoint_url=endpoint.url)))

        yield connect


class SlowUpload:
    """A PUT of two halves; the second is sent on demand."""

    def __init__(self, endpoint: Endpoint, target: str, content: bytes) -> None:
        self.rest = content[len(content) // 2 :]
        self.connection = socket.create_connection(("127.0.0.1", endpoint.port), PATIENCE)
        self.connection.sendall(
            head(
                "PUT",
                target,
                {"Host": endpoint.address, "Content-Length": str(len(content)), "Expect": "100-continue"},
            )
        )
        read_continue(self.connection)
        # When this returns, all but what the kernel's buffers hold has been taken by the daemon.
        self.connection.sendall(content[: len(content) // 2])

    def finish(self) -> int:
        self.connection.sendall(self.rest)
        return read_response(self.connection).status

    def close(self) -> None:
        self.connection.close()


def temporary_files(data: Path) -> list[Path]:
    """What is neither an object nor something that has to stay."""
    return [
        path
        for directory in ("tmp", "trash")
        for path in (data / ".zs3" / directory).rglob("*")
        if path.is_file() and path.name not in ("lock", "owner")  # by these a daemon knows whose its neighbours are
    ]


@pytest.fixture
def uploads() -> Iterator[list[SlowUpload]]:
    """Uploads whose connections are closed at the end."""
    uploads: list[SlowUpload] = []
    yield uploads
    for each in uploads:
        each.close()


def test_sigterm_lets_transfers_end_and_takes_no_new_ones(home: Path, tmp_path: Path, connect: Connect) -> None:
    content = bytes(range(256)) * (MUCH // 256)
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    (tmp_path / "data" / "bucket" / "download").write_bytes(content)
    with running(home, tmp_path / "data") as daemon:
        endpoint = daemon.plain
        download = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)
        download.request("GET", presigned(endpoint, "GET", "bucket", "download"))
        response = download.getresponse()
        first = response.read(1000)
        upload = SlowUpload(endpoint, presigned(endpoint, "PUT", "bucket", "upload"), content)
        idle = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)
        idle.request("GET", "/")
        assert idle.getresponse().read() != b""
        assert idle.sock is not None

        daemon.terminate()
        daemon.wait_for_state("STOPPING=1")
        assert idle.sock.recv(1) == b""  # closed, because nobody waited for an answer on it
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", endpoint.port), PATIENCE)

        assert first + response.read() == content
        assert upload.finish() == 200
        assert daemon.wait() == ENDED
        idle.close()
        upload.close()
        download.close()
        assert (tmp_path / "data" / "bucket" / "upload").read_bytes() == content
        daemon.check_log()
        daemon.start()
        assert [each["Key"] for each in connect(daemon.plain).list_objects_v2(Bucket="bucket")["Contents"]] == [
            "download",
            "upload",
        ]


def test_kill_9_during_uploads_leaves_nothing_half_written(
    home: Path, tmp_path: Path, connect: Connect, uploads: list[SlowUpload]
) -> None:
    with running(home, tmp_path / "data") as daemon:
        s3 = connect(daemon.plain)
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="old", Body=b"the old one")
        upload_id = s3.create_multipart_upload(Bucket="bucket", Key="large")["UploadId"]
        part = s3.upload_part(Bucket="bucket", Key="large", UploadId=upload_id, PartNumber=1, Body=b"1" * 5 * MIB)
        content = b"new" * (MUCH // 3)
        for key in ("old", "new", "dir/new"):
            target = presigned(daemon.plain, "PUT", "bucket", key)
            uploads.append(SlowUpload(daemon.plain, target, content))
        part_url = s3.generate_presigned_url(
            "upload_part", {"Bucket": "bucket", "Key": "large", "UploadId": upload_id, "PartNumber": 2}
        )
        uploads.append(SlowUpload(daemon.plain, re.sub(r"^http://[^/]+", "", part_url), content))

        daemon.kill()
        assert len(temporary_files(daemon.data)) >= 3, "the uploads were not running: nothing was tried"
        daemon.start()

        s3 = connect(daemon.plain)
        assert [each["Key"] for each in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["old"]
        assert s3.get_object(Bucket="bucket", Key="old")["Body"].read() == b"the old one"
        assert temporary_files(daemon.data) == []
        assert sorted(path.name for path in (daemon.data / ".uploads" / upload_id).iterdir()) == [".meta", "1"]
        on_disk = sorted(str(path.relative_to(daemon.data / "bucket")) for path in (daemon.data / "bucket").rglob("*"))
        assert [name for name in on_disk if not name.startswith(".zs3")] == ["old"]

        # What had been answered is still there: the upload goes on where it was.
        upload = {"Bucket": "bucket", "Key": "large", "UploadId": upload_id}
        assert [each["PartNumber"] for each in s3.list_parts(**upload)["Parts"]] == [1]
        last = s3.upload_part(**upload, PartNumber=2, Body=b"2")
        parts = [{"PartNumber": n, "ETag": each["ETag"]} for n, each in ((1, part), (2, last))]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        assert s3.get_object(Bucket="bucket", Key="large")["Body"].read() == b"1" * 5 * MIB + b"2"


def test_a_client_that_goes_away_leaves_nothing_behind(home: Path, tmp_path: Path, connect: Connect) -> None:
    with running(home, tmp_path / "data") as daemon:
        s3 = connect(daemon.plain)
        s3.create_bucket(Bucket="bucket")
        upload = SlowUpload(daemon.plain, presigned(daemon.plain, "PUT", "bucket", "k"), b"x" * MUCH)
        assert temporary_files(daemon.data) != []
        upload.close()
        # A drained daemon has ended all that it had begun.
        daemon.terminate()
        assert daemon.wait() == ENDED
        assert temporary_files(daemon.data) == []
        daemon.start()
        s3 = connect(daemon.plain)
        assert "Contents" not in s3.list_objects_v2(Bucket="bucket")
