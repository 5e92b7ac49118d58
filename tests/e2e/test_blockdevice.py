"""A few power cuts of a real file system; `proof.blockdevice` makes thousands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_NEEDED = ("/dev/fuse", "/dev/loop-control")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to mount a file system"),
    pytest.mark.skipif(not all(map(os.path.exists, _NEEDED)), reason=f"needs {' and '.join(_NEEDED)}"),
    pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="needs mkfs.ext4"),
]


def cut(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proof.blockdevice", "--filesystem", "ext4", "--operations", "15"]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_nothing_that_was_answered_is_lost_by_power_cuts() -> None:
    done = cut("--cuts", "10")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_noticed_when_directories_are_not_synced() -> None:
    done = cut("--cuts", "10", "--without", "directories")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost: " in done.stdout
