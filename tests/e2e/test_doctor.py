"""`zs3 doctor` as it is installed, beside a daemon that runs, and on real file systems."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Run
from tests.e2e.daemon import Daemon, isolated_environment, program, running

Examine = Callable[..., dict[str, dict[str, Any]]]


def by_check(output: str) -> dict[str, dict[str, Any]]:
    return {each["check"]: each for each in json.loads(output)["findings"]}


def test_a_daemon_that_runs_is_not_disturbed(run: Run, daemon: Daemon, s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    temporary = daemon.data / ".zs3/tmp"

    def events() -> list[str]:
        # The line of a request is written when its answer is on its way: perhaps not yet.
        return [line for line in daemon.log().splitlines() if " [" in line]

    before, told = sorted(temporary.iterdir()), events()
    found = by_check(run("zs3", "doctor", "--data", daemon.data, "--json"))
    assert found["permissions.internals"]["values"]["exists"] is True
    assert found["filesystem.locks"]["verdict"] == "ok"
    assert sorted(temporary.iterdir()) == before
    assert events() == told
    s3.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=b"x")
    assert [each["Name"] for each in s3.list_buckets()["Buckets"]].count(bucket) == 1


def test_a_newcomer_is_told_of_a_directory_before_the_first_start(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "s3"
    (data / "photos").mkdir(parents=True)
    told = run("zs3", "doctor", "--data", data)
    assert "no daemon has been started here yet" in told
    assert "1 bucket\n" in told
    assert " 0 problem\n" in told
    assert os.listdir(data) == ["photos"]
    with running(tmp_path, data):
        pass
    assert "the directory is" in run("zs3", "doctor", "--data", data)


# Real file systems, each in a mount namespace of its own, which goes with the process.


@pytest.fixture
def mounted(tmp_path: Path) -> Examine:
    """`mounted(commands)` runs shell commands that mount something at ./data, and gives what is said of that."""
    (tmp_path / "data").mkdir()

    def mounted(commands: str, left: str = "") -> dict[str, dict[str, Any]]:
        unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        tried = subprocess.run(
            [*unshare, "/bin/sh", "-euc", commands], cwd=tmp_path, capture_output=True, check=False, timeout=60
        )
        if tried.returncode != 0:
            pytest.skip(f"this cannot be mounted here: {tried.stderr.decode('utf-8', 'replace').strip()}")
        ended = subprocess.run(
            [*unshare, "/bin/sh", "-uc", f'{commands}; "$0" doctor --data data --json; ls -A data >&2', program("zs3")],
            cwd=tmp_path,
            env=isolated_environment(tmp_path, PATH=f"{os.environ['PATH']}:/sbin:/usr/sbin"),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert ended.stderr.decode().removeprefix("zs3: 1 problem\n").replace("lost+found\n", "") == left
        return by_check(ended.stdout.decode())

    return mounted


def ext4(options: str, mount: str = "rw") -> str:
    """Commands that mount a new file system."""
    make = f"truncate -s 32M image; /sbin/mkfs.ext4 -q -F {options} image >/dev/null 2>&1"
    return f"{make}; mount -o loop,{mount} image data"


def test_tmpfs(mounted: Examine) -> None:
    found = mounted("mount -t tmpfs -o size=8M none data")
    assert found["mount.type"]["verdict"] == "warning"
    assert found["mount.type"]["values"]["type"] == "tmpfs"
    assert found["filesystem.locks"]["verdict"] == "ok"
    assert found["mount.space"]["values"]["total"] == 8 << 20


def test_the_layer_of_a_container(mounted: Examine) -> None:
    layers = "mkdir -p base/lower base/upper base/work; "
    found = mounted(layers + "mount -t overlay -o lowerdir=base/lower,upperdir=base/upper,workdir=base/work none data")
    assert found["mount.type"]["verdict"] == "warning"
    assert found["mount.type"]["values"]["type"] == "overlay"
    assert found["filesystem.quick-reads"]["verdict"] == "note"


def test_ext4_as_it_is_made_today(mounted: Examine) -> None:
    found = mounted(ext4("-I 256 -b 4096"))
    assert found["mount.type"]["verdict"] == "ok"
    assert found["filesystem.attributes"]["verdict"] == "ok"
    assert found["filesystem.times"]["verdict"] == "ok"
    assert found["filesystem.reflink"]["verdict"] == "note"


def test_ext4_with_small_inodes_and_blocks(mounted: Examine) -> None:
    found = mounted(ext4("-I 128 -b 1024"))
    assert found["filesystem.times"]["verdict"] == "warning"
    assert found["filesystem.times"]["values"]["nanoseconds"] is False
    assert found["filesystem.attributes"]["verdict"] == "note"
    assert 0 < found["filesystem.attributes"]["values"]["largest"] < 1024


def test_xfs_and_its_projects(mounted: Examine) -> None:
    make = "truncate -s 400M image; mkfs.xfs -q -f -m reflink=1,bigtime=0 image; mount -o loop image data"
    project = "mkdir data/photos data/music; xfs_io -c 'chproj 42' -c 'chattr +P' data/photos"
    found = mounted(f"{make}; {project}", left="music\nphotos\n")
    assert found["mount.type"]["values"]["type"] == "xfs"
    assert found["filesystem.reflink"]["verdict"] == "ok"
    assert found["filesystem.times"]["verdict"] == "warning"
    assert found["filesystem.times"]["values"]["beyond_2038"] is False
    # A rename into it fails with EXDEV, though it is on the same mount.
    assert found["buckets.elsewhere"]["values"]["bucket"] == "photos"
    assert found["buckets.elsewhere"]["values"]["staged"] == "bucket"


def test_btrfs(mounted: Examine) -> None:
    found = mounted("truncate -s 400M image; mkfs.btrfs -q -f image >/dev/null 2>&1; mount -o loop image data")
    assert found["filesystem.reflink"]["verdict"] == "ok"
    assert found["filesystem.quick-reads"]["verdict"] == "note"
    assert found["mount.inodes"]["values"]["total"] is None


def test_a_read_only_mount(mounted: Examine) -> None:
    found = mounted(ext4("-b 4096", "ro"))
    assert found["mount.options"]["verdict"] == "warning"
    assert "remount,rw" in found["mount.options"]["advice"]
    assert found["filesystem.probes"]["values"] == {"probed": False}


def test_buckets_on_other_mounts(mounted: Examine) -> None:
    commands = (
        "mkdir -p data/photos/old data/music; mount -t tmpfs none data/music; mount -t tmpfs none data/photos/old"
    )
    outside = f"mount -t tmpfs none data; {commands}"
    found = mounted(outside, left="music\nphotos\n")
    assert found["buckets.elsewhere"]["values"] == {
        "bucket": "music",
        "symlink": False,
        "mount": True,
        "staged": "bucket",
    }
    assert found["buckets.mounts"]["values"]["bucket"] == "photos"
    assert found["buckets.count"]["values"]["buckets"] == 2


def test_a_full_file_system(mounted: Examine) -> None:
    found = mounted("mount -t tmpfs -o size=1M none data; head -c 1M /dev/zero >data/zeros", left="zeros\n")
    assert found["mount.space"]["verdict"] == "problem"
    assert found["filesystem.fsync"]["verdict"] == "warning"
    assert "No space left" in found["filesystem.fsync"]["fact"]
