"""What the reference takes from the code, and that the build tells what is missing in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import DOCS

PAGES = ("configuration", "zs3", "twistd-zs3")


def build(source: Path, builder: str, target: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-n",
        "-q",
        "-b",
        builder,
        str(source),
        str(target),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The pages of the reference alone."""
    made = tmp_path / "docs"
    shutil.copytree(DOCS / "_ext", made / "_ext")
    shutil.copy(DOCS / "conf.py", made)
    for name in PAGES:
        # What is elsewhere is not looked for.
        text = (DOCS / f"{name}.rst").read_text("utf-8")
        (made / f"{name}.rst").write_text(text.replace(":doc:", ":file:"), "utf-8")
    (made / "index.rst").write_text("zs3\n===\n\n.. toctree::\n\n   " + "\n   ".join(PAGES) + "\n", "utf-8")
    return made


def test_an_option_or_a_variable_that_is_told_nowhere_fails_the_build(source: Path, tmp_path: Path) -> None:
    assert build(source, "dummy", tmp_path / "whole").returncode == 0
    page = source / "configuration.rst"
    text = page.read_text("utf-8")
    page.write_text(text.replace("sync threads", "sync").replace(".. envvar:: ZS3_USERS", "ZS3_USERS"), "utf-8")
    built = build(source, "dummy", tmp_path / "less")
    assert built.returncode != 0
    assert "the option --threads is in no group" in built.stderr
    assert "ZS3_USERS is told nowhere" in built.stderr


def test_the_manual_pages_have_all_options_and_no_faults(source: Path, tmp_path: Path) -> None:
    assert build(source, "man", tmp_path / "man").returncode == 0
    daemon, command = (tmp_path / "man" / name for name in ("twistd-zs3.8", "zs3.1"))
    assert r"\-\-drain\-timeout" in daemon.read_text("utf-8")
    assert "zs3 user rotate" in command.read_text("utf-8")
    for page in (daemon, command):
        if shutil.which("man"):
            shown = subprocess.run(
                ["man", "--warnings", "-E", "UTF-8", "-l", str(page)], capture_output=True, text=True, check=True
            )
            assert shown.stderr == ""
            assert "EXIT STATUS" in shown.stdout
        if shutil.which("mandoc"):
            lint = ["mandoc", "-T", "lint", "-W", "error", str(page)]  # Sphinx leaves warnings about white space
            linted = subprocess.run(lint, capture_output=True, text=True, check=False)
            assert linted.stdout == ""
