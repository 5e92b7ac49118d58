"""The AWS command line, and a folder that was there before the daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, REGION, SECRET_KEY, Daemon, Endpoint, running
from tests.e2e.plainhttp import fetch
from zs3 import checksums

Aws = Callable[..., str]


def command(run: Run, endpoint: Endpoint) -> Aws:
    variables = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_PAGER": "",
    }
    if endpoint.secure:
        variables["AWS_CA_BUNDLE"] = str(endpoint.certificate)
    return partial(run, "aws", variables=variables)


def test_a_day_with_aws_s3(run: Run, daemon: Daemon, bucket: str, large_file: Path, tmp_path: Path) -> None:
    aws = command(run, daemon.plain)
    url = f"s3://{bucket}"
    aws("s3", "mb", url)
    assert bucket in aws("s3", "ls")

    tree = tmp_path / "tree"
    for name in ("top.txt", "dir/one.txt", "dir/deep/two words.txt", "dir/ümlaut.html"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name, "utf-8")
    aws("s3", "sync", tree, f"{url}/tree")
    assert sorted(line.split(maxsplit=3)[3] for line in aws("s3", "ls", "--recursive", url).splitlines()) == [
        "tree/dir/deep/two words.txt",
        "tree/dir/one.txt",
        "tree/dir/ümlaut.html",
        "tree/top.txt",
    ]
    assert [line.split(maxsplit=1)[1] for line in aws("s3", "ls", f"{url}/tree/dir/").splitlines()[:1]] == ["deep/"]
    page = json.loads(aws("s3api", "list-objects-v2", "--bucket", bucket, "--prefix", "tree/", "--delimiter", "/"))
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["tree/dir/"]
    assert [each["Key"] for each in page["Contents"]] == ["tree/top.txt"]

    aws("s3", "cp", large_file, f"{url}/large")
    aws("s3", "cp", f"{url}/large", f"{url}/copy")
    aws("s3", "cp", f"{url}/copy", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == large_file.read_bytes()

    given = aws("s3", "presign", f"{url}/tree/dir/deep/two words.txt").strip()
    assert fetch(daemon.plain, given).body == b"dir/deep/two words.txt"

    aws("s3", "mv", f"{url}/tree/top.txt", f"{url}/moved.txt")
    aws("s3", "rm", "--recursive", f"{url}/tree")
    assert [line.split()[-1] for line in aws("s3", "ls", url).splitlines()] == ["copy", "large", "moved.txt"]
    aws("s3", "rb", "--force", url)
    assert bucket not in aws("s3", "ls")


@pytest.mark.parametrize("algorithm", [name for name in checksums.ALGORITHMS if name != "MD5"])
def test_a_checksum_is_chosen(
    run: Run, daemon: Daemon, bucket: str, large_file: Path, tmp_path: Path, algorithm: str
) -> None:
    """All that this client computes, for one body and for parts."""
    aws = command(run, daemon.plain)
    (daemon.data / bucket).mkdir()
    files = tmp_path / "files"
    files.mkdir()
    (files / "small").write_text("small")
    os.link(large_file, files / "large")
    # Both by one command, as the start of each takes a second.
    aws("s3", "cp", "--recursive", "--checksum-algorithm", algorithm, files, f"s3://{bucket}")
    aws("s3", "cp", "--recursive", "--checksum-mode", "ENABLED", f"s3://{bucket}", tmp_path / "back")
    for key in ("small", "large"):
        assert (tmp_path / "back" / key).read_bytes() == (files / key).read_bytes()
        options = ("--bucket", bucket, "--key", key, "--object-attributes", "Checksum", "ObjectParts")
        told = json.loads(aws("s3api", "get-object-attributes", *options))
        assert f"Checksum{algorithm}" in told["Checksum"]
        assert [f"Checksum{algorithm}" in part for part in told.get("ObjectParts", {}).get("Parts", [])] == (
            [True] * 8 if key == "large" else []
        )


def test_files_go_up_and_down_over_tls(run: Run, daemon: Daemon, bucket: str, large_file: Path, tmp_path: Path) -> None:
    aws = command(run, daemon.tls)
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", large_file, f"s3://{bucket}/large")
    aws("s3", "cp", f"s3://{bucket}/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == large_file.read_bytes()
    (tmp_path / "small").write_text("small")
    aws("s3", "cp", tmp_path / "small", f"s3://{bucket}/dir/small")
    assert [line.split()[-1] for line in aws("s3", "ls", f"s3://{bucket}").splitlines()] == ["dir/", "large"]
    given = aws("s3", "presign", f"s3://{bucket}/dir/small").strip()
    assert fetch(daemon.tls, given).body == b"small"


def test_a_folder_of_files_is_served_as_it_stands(run: Run, tmp_path: Path) -> None:
    """Nothing was imported: the files were there first, and one more comes while the daemon runs."""
    data = tmp_path / "data"
    files = {"photos/2024/cat.jpg": b"\xff\xd8cat", "photos/read me.txt": b"hello", "music/ä/song.ogg": b"OggS"}
    for name, content in files.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)
    home = tmp_path / "daemon"
    home.mkdir()
    with running(home, data) as daemon:
        aws = command(run, daemon.plain)
        assert [line.split()[-1] for line in aws("s3", "ls").splitlines()] == ["music", "photos"]
        aws("s3", "sync", "s3://photos", tmp_path / "photos")
        aws("s3", "sync", "s3://music", tmp_path / "music")
        assert {name: (tmp_path / name).read_bytes() for name in files} == files
        head = json.loads(aws("s3api", "head-object", "--bucket", "photos", "--key", "2024/cat.jpg"))
        assert (head["ContentType"], head["ContentLength"]) == ("image/jpeg", 5)

        (data / "photos/2024/dog.jpg").write_bytes(b"\xff\xd8dog")
        (data / "photos/2024/cat.jpg").unlink()
        listed = aws("s3", "ls", "s3://photos/2024/")
        assert [line.split()[2:] for line in listed.splitlines()] == [["5", "dog.jpg"]]
        aws("s3", "sync", "--delete", "s3://photos", tmp_path / "photos")
        assert not (tmp_path / "photos/2024/cat.jpg").exists()
        assert (tmp_path / "photos/2024/dog.jpg").read_bytes() == b"\xff\xd8dog"


def test_an_object_that_is_put_is_a_plain_file(run: Run, daemon: Daemon, bucket: str, tmp_path: Path) -> None:
    aws = command(run, daemon.plain)
    aws("s3", "mb", f"s3://{bucket}")
    (tmp_path / "report.txt").write_text("plain")
    aws("s3", "cp", tmp_path / "report.txt", f"s3://{bucket}/2024/report.txt")
    assert (daemon.data / bucket / "2024" / "report.txt").read_text() == "plain"


def test_tags_go_with_a_copy(run: Run, daemon: Daemon, bucket: str, tmp_path: Path) -> None:
    aws = command(run, daemon.plain)
    url = f"s3://{bucket}"
    aws("s3", "mb", url)
    (tmp_path / "small").write_text("small")
    aws("s3", "cp", tmp_path / "small", f"{url}/small")
    few = {"TagSet": [{"Key": "colour", "Value": "grün + blau"}, {"Key": "size", "Value": ""}]}
    many = {"TagSet": [{"Key": f"{number}" + "k" * 127, "Value": "v" * 256} for number in range(10)]}
    key = ("--bucket", bucket, "--key")
    for tags in (few, many):
        aws("s3api", "put-object-tagging", *key, "small", "--tagging", json.dumps(tags))
        assert json.loads(aws("s3api", "get-object-tagging", *key, "small")) == tags
        aws("s3", "cp", f"{url}/small", f"{url}/copy")
        assert json.loads(aws("s3api", "get-object-tagging", *key, "copy")) == tags
    aws("s3api", "delete-object-tagging", *key, "small")
    assert json.loads(aws("s3api", "get-object-tagging", *key, "small")) == {"TagSet": []}
    assert json.loads(aws("s3api", "get-object-tagging", *key, "copy")) == many
    aws("s3", "cp", f"{url}/small", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "small"
    aws("s3api", "put-bucket-tagging", "--bucket", bucket, "--tagging", json.dumps(few))
    assert json.loads(aws("s3api", "get-bucket-tagging", "--bucket", bucket)) == few
