"""The bill of materials of the console, as docs/security.rst makes it."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
import subprocess

import pytest

from tests.pages import REPOSITORY


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_it_has_all_that_is_shipped_of_other_packages_with_their_hashes() -> None:
    page = (REPOSITORY / "docs/security.rst").read_text("utf-8")
    [command] = [line.strip() for line in page.splitlines() if line.strip().startswith("npm ")]
    words = shlex.split(command.partition(" > ")[0])
    told = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    found = {
        (component["purl"], each["alg"], each["content"])
        for component in json.loads(told)["components"]
        for each in component["hashes"]
    }
    lock = json.loads((REPOSITORY / "console/package-lock.json").read_text("utf-8"))
    wanted = set()
    for path, package in lock["packages"].items():
        if path and not package.get("dev"):
            name = path.removeprefix("node_modules/").replace("@", "%40")
            algorithm, _, digest = package["integrity"].partition("-")
            wanted.add(
                (
                    f"pkg:npm/{name}@{package['version']}",
                    algorithm.replace("sha", "SHA-"),
                    base64.b64decode(digest).hex(),
                )
            )
    assert found == wanted
    assert len(wanted) >= 3
