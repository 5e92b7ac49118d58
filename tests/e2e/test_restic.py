"""restic: a backup and its restoration. Its program comes with the operating system, if at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, SECRET_KEY, Endpoint

RESTIC = shutil.which("restic")


@pytest.mark.skipif(RESTIC is None, reason="restic is not installed (an operating system's package, e.g. apt)")
def test_a_backup_is_complete_and_restores_the_same_files(
    run: Run, endpoint: Endpoint, bucket: str, tmp_path: Path
) -> None:
    assert RESTIC is not None
    variables = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "RESTIC_REPOSITORY": f"s3:{endpoint.url}/{bucket}",
        "RESTIC_PASSWORD": "e2e",
        "RESTIC_CACERT": str(endpoint.certificate) if endpoint.secure else "",
    }
    options = ["--cacert", str(endpoint.certificate)] if endpoint.secure else []

    def restic(*arguments: str | Path) -> str:
        return run(RESTIC or "", *options, *arguments, variables=variables)

    tree = tmp_path / "tree"
    (tree / "deep/er").mkdir(parents=True)
    (tree / "deep/er/random").write_bytes(os.urandom(20 << 20))
    for n in range(100):
        (tree / f"deep/{n}").write_text(f"file {n}")

    restic("init")
    restic("backup", tree)
    (tree / "deep/0").write_text("changed")
    restic("backup", tree)
    restic("check", "--read-data")
    restic("restore", "latest", "--target", tmp_path / "back")
    restored = tmp_path / "back" / tree.relative_to("/")
    files = sorted(path.relative_to(tree) for path in tree.rglob("*") if path.is_file())
    assert len(files) == 101
    assert [(restored / name).read_bytes() for name in files] == [(tree / name).read_bytes() for name in files]
    restic("forget", "--keep-last", "1", "--prune")
    restic("check")
