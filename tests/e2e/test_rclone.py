"""rclone: its binary comes with pip."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, REGION, SECRET_KEY, Endpoint
from tests.e2e.plainhttp import fetch

Rclone = Callable[..., str]


def command(run: Run, endpoint: Endpoint) -> Rclone:
    variables = {
        "RCLONE_CONFIG_ZS3_TYPE": "s3",
        "RCLONE_CONFIG_ZS3_PROVIDER": "Other",
        "RCLONE_CONFIG_ZS3_ACCESS_KEY_ID": ACCESS_KEY,
        "RCLONE_CONFIG_ZS3_SECRET_ACCESS_KEY": SECRET_KEY,
        "RCLONE_CONFIG_ZS3_REGION": REGION,
        "RCLONE_CONFIG_ZS3_ENDPOINT": endpoint.url,
    }
    if endpoint.secure:
        variables["RCLONE_CA_CERT"] = str(endpoint.certificate)
    # An empty configuration; one failed try is a failed test.
    options = ("--config", "/dev/null", "--retries", "1", "--low-level-retries", "1", "--log-level", "ERROR")
    return partial(run, "rclone", *options, variables=variables)


@pytest.fixture
def rclone(run: Run, endpoint: Endpoint) -> Rclone:
    return command(run, endpoint)


def test_a_tree_is_synchronised_checked_and_moved(
    rclone: Rclone, endpoint: Endpoint, bucket: str, large_file: Path, tmp_path: Path
) -> None:
    remote = f"zs3:{bucket}"
    tree = tmp_path / "tree"
    for name in ("a", "b.txt", "dir/one", "dir/deep/two words+more", "dir/ü & <x>"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name, "utf-8")
    (tree / "large").hardlink_to(large_file)
    (tree / "empty").touch()

    rclone("mkdir", remote)
    assert bucket in rclone("lsf", "--dirs-only", "zs3:").replace("/", "").splitlines()
    # 64 MiB are below rclone's own 200 MiB from which it uploads in parts.
    rclone("sync", "--s3-upload-cutoff", "16M", "--s3-chunk-size", "16M", tree, f"{remote}/tree")
    rclone("check", "--download", tree, f"{remote}/tree")
    assert sorted(rclone("lsf", f"{remote}/tree").splitlines()) == ["a", "b.txt", "dir/", "empty", "large"]
    assert sorted(rclone("lsf", "--recursive", "--files-only", f"{remote}/tree/dir").splitlines()) == [
        "deep/two words+more",
        "one",
        "ü & <x>",
    ]

    rclone("copy", f"{remote}/tree", f"{remote}/copied")
    rclone("check", "--download", f"{remote}/tree", f"{remote}/copied")
    rclone("copyto", "--s3-copy-cutoff", "16M", f"{remote}/tree/large", f"{remote}/in parts")
    assert rclone("lsf", "--format", "s", f"{remote}/in parts").strip() == str(large_file.stat().st_size)
    rclone("moveto", f"{remote}/copied/b.txt", f"{remote}/moved.txt")
    assert rclone("cat", f"{remote}/moved.txt") == "b.txt"

    # Modification times are kept in the metadata: nothing is sent again.
    (tree / "dir/one").write_text("changed")
    rclone("sync", tree, f"{remote}/tree")
    assert rclone("cat", f"{remote}/tree/dir/one") == "changed"

    given = rclone("link", "--expire", "1m", f"{remote}/tree/dir/deep/two words+more").strip()
    assert fetch(endpoint, given).body == b"dir/deep/two words+more"

    rclone("deletefile", f"{remote}/moved.txt")
    rclone("delete", f"{remote}/copied")
    assert sorted(rclone("lsf", remote).splitlines()) == ["in parts", "tree/"]
    rclone("purge", remote)
    assert bucket not in rclone("lsf", "zs3:")


def test_a_stream_of_unknown_length_goes_up(rclone: Rclone, bucket: str, large_file: Path, tmp_path: Path) -> None:
    content = large_file.read_bytes()[: 12 << 20]
    rclone("mkdir", f"zs3:{bucket}")
    rclone("rcat", "--streaming-upload-cutoff", "1M", f"zs3:{bucket}/stream", stdin=content)
    rclone("copyto", f"zs3:{bucket}/stream", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
