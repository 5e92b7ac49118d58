"""docs/import.rst: its commands, run as they are there, but for addresses, keys and directories."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.e2e.daemon import (
    ACCESS_KEY,
    PATIENCE,
    REGION,
    SECRET_KEY,
    Daemon,
    Endpoint,
    isolated_environment,
    program,
    running,
)

DOCS = Path(__file__).parents[2] / "docs"
MANUAL = (DOCS / "import.rst").read_text("utf-8")
#: Those that start a daemon, which a test does in its own way.
SERVING = {"import-minio-serve", "import-rclone-serve"}

Do = Callable[..., str]


def commands(name: str) -> str:
    """A block of the manual."""
    found = re.search(rf"^( *)\.\. code-block:: shell\n +:name: {name}\n\n((?:\1   .*\n|\n)+)", MANUAL, re.MULTILINE)
    assert found is not None, name
    return textwrap.dedent(found[2])


def client(endpoint: Endpoint, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> Any:
    session = boto3.session.Session(access_key, secret_key, region_name=REGION)
    return session.client("s3", endpoint_url=endpoint.url)


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Daemon]:
    """What one moves away from; zs3 stands in for it."""
    (tmp_path / "old").mkdir()
    with running(tmp_path / "old", tmp_path / "old/data") as daemon:
        yield daemon


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Daemon]:
    """The daemon on ~/s3, with the key pair that it made itself."""
    data = tmp_path / "s3"
    data.mkdir()
    (tmp_path / "new").mkdir()
    daemon = Daemon(tmp_path / "new", data)
    daemon.variables = {}
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def do(tmp_path: Path) -> Do:
    """`do(name, {what stands in the manual: what it is here})`: runs a block; its output."""

    def do(name: str, here: dict[str, str]) -> str:
        script = commands(name)
        for there, each in here.items():
            assert there in script, f"{there} is not in {name}"
            script = script.replace(there, each)
        ended = subprocess.run(
            ["/bin/sh", "-euc", script],
            cwd=tmp_path,
            env=isolated_environment(tmp_path, AWS_EC2_METADATA_DISABLED="true", AWS_PAGER=""),
            capture_output=True,
            timeout=90,
            check=False,
        )
        assert ended.returncode == 0, f"{script}\n{ended.stdout.decode()}\n{ended.stderr.decode()}"
        return ended.stdout.decode()

    return do


@pytest.fixture
def remotes(do: Do, old: Daemon, new: Daemon) -> str:
    """What the first block of the manual sets up, and shows."""
    here = {"http://127.0.0.1:9000": new.plain.url, "http://old.lan:9000": old.plain.url}
    return do("import-remotes", {**here, "=KEY ": f"={ACCESS_KEY} ", "=SECRET\n": f"={SECRET_KEY}\n"})


def test_every_block_is_run_by_a_test() -> None:
    told = re.findall(r":name: (import-\S+)", MANUAL)
    source = Path(__file__).read_text("utf-8")
    assert told
    for name in told:
        assert source.count(f'"{name}"') >= (2 if name in SERVING else 1), name
    assert MANUAL.count("code-block::") == len(told)


def test_all_buckets_are_copied_with_metadata_and_compared(do: Do, old: Daemon, new: Daemon, remotes: str) -> None:
    source = client(old.plain)
    for bucket in ("photos", "music"):
        source.create_bucket(Bucket=bucket)
    source.put_object(
        Bucket="photos",
        Key="2024/cat.jpg",
        Body=b"cat",
        ContentType="image/x-cat",
        CacheControl="no-cache",
        Metadata={"camera": "phone"},
    )
    source.put_object(Bucket="music", Key="a/b c.mp3", Body=b"music")
    do("import-all", {})
    assert (new.data / "photos/2024/cat.jpg").read_bytes() == b"cat"
    assert (new.data / "music/a/b c.mp3").read_bytes() == b"music"

    target = boto3.session.Session(*pair(new.data), region_name=REGION).client("s3", endpoint_url=new.plain.url)
    found = target.head_object(Bucket="photos", Key="2024/cat.jpg")
    assert (found["ContentType"], found["CacheControl"]) == ("image/x-cat", "no-cache")
    assert found["Metadata"]["camera"] == "phone"
    assert found["ETag"] == source.head_object(Bucket="photos", Key="2024/cat.jpg")["ETag"]

    source.put_object(Bucket="photos", Key="later.jpg", Body=b"later")
    do("import-one", {})
    assert (new.data / "photos/later.jpg").read_bytes() == b"later"

    source.put_bucket_cors(
        Bucket="photos",
        CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://a.example"]}]},
    )
    here = {"http://127.0.0.1:9000": new.plain.url, "http://old.lan:9000": old.plain.url}
    do(
        "import-configuration",
        {**here, "access_key_id KEY": f"access_key_id {ACCESS_KEY}", "access_key SECRET": f"access_key {SECRET_KEY}"},
    )
    rules = target.get_bucket_cors(Bucket="photos")["CORSRules"]
    assert [each["AllowedOrigins"] for each in rules] == [["https://a.example"]]


def pair(data: Path) -> list[str]:
    """The key pair that a daemon made."""
    text = (data / ".zs3/private/credentials").read_text()
    return re.findall(r'_key = "([^"]+)"', text)


def test_older_versions_are_copied_as_objects(do: Do, old: Daemon, new: Daemon, remotes: str) -> None:
    source = client(old.plain)
    source.create_bucket(Bucket="photos")
    source.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", b"second"):
        source.put_object(Bucket="photos", Key="cat.jpg", Body=body)
    do("import-versions", {})
    copied = {path.name: path.read_bytes() for path in (new.data / "photos-versions").iterdir()}
    assert copied.pop("cat.jpg") == b"second"
    ((name, body),) = copied.items()
    assert re.fullmatch(r"cat-v\d{4}-\d\d-\d\d-\d{6}-\d{3}\.jpg", name)
    assert body == b"first"


def test_a_bucket_comes_from_aws(do: Do, old: Daemon, new: Daemon, remotes: str) -> None:
    source = client(old.plain)
    source.create_bucket(Bucket="my-photos")
    source.put_object(Bucket="my-photos", Key="cat.jpg", Body=b"cat")
    keys = f"access_key_id={ACCESS_KEY} secret_access_key={SECRET_KEY} force_path_style=true"
    do("import-aws", {"env_auth=true": f"endpoint={old.plain.url} {keys}"})
    assert (new.data / "photos/cat.jpg").read_bytes() == b"cat"


def test_folders_are_buckets_where_they_are(do: Do, new: Daemon, tmp_path: Path) -> None:
    for name in ("Pictures", "Documents", "disk/music"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    do("import-folders", {"/mnt/disk": str(tmp_path / "disk")})
    s3 = boto3.session.Session(*pair(new.data), region_name=REGION).client("s3", endpoint_url=new.plain.url)
    assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == ["documents", "music", "pictures"]
    for bucket, name in (("pictures", "Pictures"), ("documents", "Documents"), ("music", "disk/music")):
        assert s3.get_object(Bucket=bucket, Key="file")["Body"].read().decode() == name
    s3.put_object(Bucket="music", Key="new", Body=b"new")
    assert (tmp_path / "disk/music/new").read_bytes() == b"new"


@pytest.fixture
def minio(tmp_path: Path) -> Path:
    """A directory as MinIO left it in file system mode (`fsMetaV1` of its source)."""
    root = tmp_path / "srv/minio"
    (root / "photos/2024").mkdir(parents=True)
    (root / "photos/2024/cat.jpg").write_bytes(b"cat")
    (root / "photos/plain").write_bytes(b"plain")
    about = root / ".minio.sys/buckets/photos/2024/cat.jpg"
    about.mkdir(parents=True)
    meta = {"content-type": "image/x-cat", "etag": "d077f244def8a70e5ea758bd8352fcd8", "X-Amz-Meta-Camera": "phone"}
    checksum = {"algorithm": "", "blocksize": 0, "hashes": None}
    fs = {"version": "1.0.2", "checksum": checksum, "meta": {**meta, "x-amz-tagging": "of=cats"}}
    (about / "fs.json").write_text(json.dumps(fs))
    gone = root / ".minio.sys/buckets/photos/gone"
    gone.mkdir()
    (gone / "fs.json").write_text(json.dumps(fs))
    (root / ".minio.sys/buckets/photos/.metadata.bin").write_bytes(b"\x01")
    (root / ".minio.sys/format.json").write_text('{"version":"1","format":"fs","id":"x","fs":{"version":"2"}}')
    return root


def test_what_minio_left_in_file_system_mode_is_served_with_its_metadata(do: Do, minio: Path, tmp_path: Path) -> None:
    assert '"format":"fs"' in do("import-minio-format", {"/srv/minio": str(minio)})
    assert "zs3 --data /srv/minio\n" in commands("import-minio-serve")
    (tmp_path / "home").mkdir()
    daemon = Daemon(tmp_path / "home", minio)
    daemon.variables = {}
    daemon.start()
    try:
        s3 = boto3.session.Session(*pair(minio), region_name=REGION).client("s3", endpoint_url=daemon.plain.url)
        assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == ["photos"]
        listed = [each["Key"] for each in s3.list_objects_v2(Bucket="photos")["Contents"]]
        assert listed == ["2024/cat.jpg", "plain"]
        assert s3.head_object(Bucket="photos", Key="2024/cat.jpg")["ContentType"] == "image/jpeg"

        (tmp_path / "minio_metadata.py").write_bytes((DOCS / "minio_metadata.py").read_bytes())
        here = {"http://127.0.0.1:9000": daemon.plain.url, "/srv/minio": str(minio)}
        assert do("import-minio-metadata", here) == "photos/2024/cat.jpg\n"
        found = s3.head_object(Bucket="photos", Key="2024/cat.jpg")
        assert (found["ContentType"], found["Metadata"]) == ("image/x-cat", {"camera": "phone"})
        tags = s3.get_object_tagging(Bucket="photos", Key="2024/cat.jpg")["TagSet"]
        assert tags == [{"Key": "of", "Value": "cats"}]
        assert (minio / "photos/2024/cat.jpg").read_bytes() == b"cat"
    except BaseException:
        daemon.kill()
        raise
    daemon.stop()


@contextmanager
def rclone_serving(files: Path, home: Path) -> Iterator[str]:
    """`rclone serve s3` for a block; its URL."""
    process = subprocess.Popen(
        [program("rclone"), "serve", "s3", "--auth-key", "ACCESS,SECRETKEY", "--addr", "127.0.0.1:0", str(files)],
        env=isolated_environment(home),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        told = b""
        while not (found := re.search(rb"http://127\.0\.0\.1:\d+", told)):
            assert select.select([process.stderr], [], [], PATIENCE)[0], told
            some = os.read(process.stderr.fileno(), 4096)
            assert some, told
            told += some
        yield found[0].decode()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def test_what_rclone_served_is_served_with_the_same_keys(tmp_path: Path) -> None:
    text = commands("import-rclone-serve")
    assert "--auth-key ACCESS,SECRETKEY" in text
    assert "ZS3_ACCESS_KEY=ACCESS ZS3_SECRET_KEY=SECRETKEY" in text
    files = tmp_path / "files"
    (files / "photos").mkdir(parents=True)
    with rclone_serving(files, tmp_path) as url:
        before = boto3.session.Session("ACCESS", "SECRETKEY", region_name=REGION).client("s3", endpoint_url=url)
        before.put_object(Bucket="photos", Key="2024/cat.jpg", Body=b"cat")
    (tmp_path / "home").mkdir()
    daemon = Daemon(tmp_path / "home", files)
    daemon.variables = {"ZS3_ACCESS_KEY": "ACCESS", "ZS3_SECRET_KEY": "SECRETKEY"}
    daemon.start()
    try:
        after = client(daemon.plain, "ACCESS", "SECRETKEY")
        assert after.get_object(Bucket="photos", Key="2024/cat.jpg")["Body"].read() == b"cat"
        after.put_object(Bucket="photos", Key="2024/dog.jpg", Body=b"dog")
    except BaseException:
        daemon.kill()
        raise
    daemon.stop()
    assert (files / "photos/2024/dog.jpg").read_bytes() == b"dog"
