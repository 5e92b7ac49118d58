"""`zs3 verify` beside real daemons, and what real clients say of files that it adopted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.e2e import test_awscli, test_rclone
from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Daemon, isolated_environment, program, running
from tests.verifying import rot
from zs3.store import kernel

MIB = 1 << 20


def client_of(daemon: Daemon) -> Any:
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    return closing(
        session.client("s3", endpoint_url=daemon.plain.url, config=Config(retries={"total_max_attempts": 1}))
    )


def verify(data: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """The exit status, the findings, and the last line."""
    done = subprocess.run(
        [program("zs3"), "verify", "--data", str(data), "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    *lines, last = map(json.loads, done.stdout.splitlines())
    return done.returncode, lines, last


def test_damage_is_found_beside_a_daemon(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(tmp_path, data) as daemon, client_of(daemon) as client:
        client.create_bucket(Bucket="photos")
        client.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
        for body in (b"first", b"second"):
            client.put_object(Bucket="photos", Key="key", Body=body, Metadata={"long": "m" * 1500})
        upload = client.create_multipart_upload(Bucket="photos", Key="parts")["UploadId"]
        named = {"Bucket": "photos", "Key": "parts", "UploadId": upload}
        made = [
            {"PartNumber": n, "ETag": client.upload_part(**named, PartNumber=n, Body=body)["ETag"]}
            for n, body in ((1, bytes(5 * MIB)), (2, b"rest"))
        ]
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": made})
        (data / "photos/dropped.txt").write_bytes(b"theirs")
        status, found, last = verify(data)
        assert (status, [each["verdict"] for each in found]) == (0, ["foreign"])
        assert last["summary"]["files"] == 4

        older = next((data / ".zs3/versions/photos/key,v").iterdir())
        rot(older)
        rot(data / "photos/parts", 5 * MIB)
        status, found, _ = verify(data)
        assert status == 1
        damaged = {each["path"]: each for each in found if each["verdict"] == "damaged"}
        assert set(damaged) == {"photos/parts", f".zs3/versions/photos/key,v/{older.name}"}
        assert damaged["photos/parts"]["parts"] == [2]
        # Nothing was repaired.
        assert (data / "photos/parts").read_bytes()[-4:] == b"sest"


def test_clients_agree_with_the_etag_of_what_was_adopted(run: Run, tmp_path: Path) -> None:
    tree, data = tmp_path / "tree", tmp_path / "data"
    for name in ("a.txt", "dir/b.jpg", "dir/deep/c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(os.urandom(1000))
        os.utime(tree / name, (1_600_000_000, 1_600_000_000))
    with running(tmp_path, data) as daemon, client_of(daemon) as client:
        shutil.copytree(tree, data / "bucket")
        rclone = test_rclone.command(run, daemon.plain)
        aws = test_awscli.command(run, daemon.plain)
        # What is no MD5 is none for rclone.
        assert all(line.startswith(" ") for line in rclone("md5sum", "zs3:bucket").splitlines())
        before = {name: client.head_object(Bucket="bucket", Key=name) for name in ("a.txt", "dir/b.jpg", "dir/deep/c")}
        changed = max(path.stat().st_ctime_ns for path in (data / "bucket").rglob("*"))
        while time.time_ns() < changed + 2 * 10**9:
            time.sleep(0.05)
        status, found, last = verify(data, "--adopt")
        assert (status, last["summary"]["adopted"]) == (0, 3)
        assert all(each["adopted"] for each in found)
        listed = {each["Key"]: each["ETag"] for each in client.list_objects_v2(Bucket="bucket")["Contents"]}
        for name, old in before.items():
            etag = f'"{hashlib.md5((tree / name).read_bytes()).hexdigest()}"'
            now = client.head_object(Bucket="bucket", Key=name)
            assert now["ETag"] == client.get_object(Bucket="bucket", Key=name)["ETag"] == listed[name] == etag
            assert (now["ContentType"], now["LastModified"]) == (old["ContentType"], old["LastModified"])
        rclone("check", tree, "zs3:bucket")
        assert sorted(rclone("md5sum", "zs3:bucket").splitlines()) == sorted(rclone("md5sum", tree).splitlines())
        assert aws("s3", "sync", "--dryrun", "s3://bucket", tree) == ""
        assert aws("s3", "sync", "--dryrun", tree, "s3://bucket") == ""
        assert verify(data)[:2] == (0, [])
        # An edit is one, as ever.
        (data / "bucket/a.txt").write_bytes(b"edited")
        assert client.head_object(Bucket="bucket", Key="a.txt")["ETag"].endswith('-1"')
        assert [each["verdict"] for each in verify(data)[1]] == ["edited"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_good_order_and_the_next_run_goes_on(
    tmp_path: Path, large_file: Path, number: signal.Signals
) -> None:
    data = tmp_path / "data"
    with running(tmp_path, data) as daemon, client_of(daemon) as client:
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="a", Body=b"small")
        client.upload_file(str(large_file), "bucket", "b")
        rot(data / "bucket/a")
    process = subprocess.Popen(
        [program("zs3"), "verify", "--data", str(data), "--rate", "1"],
        env=isolated_environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        # The first object has been read.
        assert process.stdout.readline().startswith("damaged bucket/a: ")
        process.send_signal(number)
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (1, "")
    assert output.startswith("stopped, and the same command goes on from there: 1 files, ")
    status, found, last = verify(data)
    assert (status, [each["path"] for each in found]) == (1, ["bucket/a"])
    assert (last["resumed"], last["complete"], last["summary"]["files"]) == (True, True, 2)


def test_two_do_not_verify_one_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(tmp_path, data):
        pass
    with (data / ".zs3/verify.lock").open("wb") as lock:
        assert kernel.try_lock(lock.fileno(), 0, 0)
        done = subprocess.run([program("zs3"), "verify", "--data", str(data)], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (3, b"")
        assert done.stderr == b"zs3: another zs3 verify is at it: try again later\n"


def test_whatever_clients_do_meanwhile_is_no_alarm(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(tmp_path, data, "--workers", "2") as daemon, client_of(daemon) as client:
        for bucket in ("plain", "versions"):
            client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
        over = threading.Event()
        failures: list[BaseException] = []

        def write(bucket: str) -> None:
            number = 0
            try:
                with client_of(daemon) as own:
                    while not over.is_set():
                        number += 1
                        key = f"dir{number % 3}/{number % 7}"
                        long = {"long": "m" * 1500} if number % 2 else {}
                        own.put_object(Bucket=bucket, Key=key, Body=os.urandom(100 * 1024), Metadata=long)
                        tags = {"TagSet": [{"Key": "k", "Value": "v" * (number % 200)}]}
                        own.put_object_tagging(Bucket=bucket, Key=key, Tagging=tags)
                        if number % 3 == 0:
                            own.delete_object(Bucket=bucket, Key=key)
                        upload = own.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
                        named = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
                        etag = own.upload_part(**named, PartNumber=1, Body=b"part")["ETag"]
                        if number % 2:
                            parts = [{"PartNumber": 1, "ETag": etag}]
                            own.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
                        else:
                            own.abort_multipart_upload(**named)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(bucket,)) for bucket in ("plain", "versions")]
        for thread in threads:
            thread.start()
        try:
            for arguments in [("--adopt",), ()] * 4:
                status, found, last = verify(data, *arguments)
                assert (status, [each for each in found if each["verdict"] != "changing"]) == (0, []), found
                assert last["complete"]
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert not failures, failures
        assert last["summary"]["files"] > 20
