"""One daemon for all clients, an environment of their own for each of them, and files to send."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.e2e.daemon import ACCESS_KEY, REGION, SECRET_KEY, Daemon, Endpoint, isolated_environment, program, running

MIB = 1024 * 1024


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The daemon that the tests share; those that end it start their own."""
    home = tmp_path_factory.mktemp("daemon")
    with running(home, home / "data") as daemon:
        yield daemon


@pytest.fixture(params=["plain", "tls"])
def endpoint(request: pytest.FixtureRequest, daemon: Daemon) -> Endpoint:
    return daemon.plain if request.param == "plain" else daemon.tls


@pytest.fixture
def s3(endpoint: Endpoint) -> Iterator[Any]:
    """A boto3 client without settings of its own."""
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    client = session.client("s3", endpoint_url=endpoint.url, verify=str(endpoint.certificate or "") or None)
    yield client
    client.close()


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """A bucket name of this test's own; the bucket is not there yet."""
    return "e2e-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]


@pytest.fixture(scope="session")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 MiB that no compression makes smaller."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(MIB))
    return path


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SDKs that run in this process see no configuration and no proxy of this machine either."""
    for name in os.environ:
        if name.startswith(("AWS_", "BOTO", "RCLONE_", "RESTIC_", "MINIO_", "S3")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `run(program, argument, ..., variables={}, stdin=b"")` in an isolated environment; its standard output."""

    def run(name: str, *arguments: str | Path, variables: dict[str, str] | None = None, stdin: bytes = b"") -> str:
        command = name if os.path.isabs(name) else program(name)
        ended = subprocess.run(
            [command, *map(str, arguments)],
            cwd=tmp_path,
            env=isolated_environment(tmp_path, **(variables or {})),
            input=stdin,
            capture_output=True,
            timeout=90,
            check=False,
        )
        output, errors = ended.stdout.decode("utf-8"), ended.stderr.decode("utf-8")
        assert ended.returncode == 0, f"{name} {arguments}: exit status {ended.returncode}\n{output}\n{errors}"
        return output

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is marked, so that `-m "not e2e"` leaves it out, and that `--cov` does not slow it down.

    What it covers is in the process of the daemon, of which no coverage is taken.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("e2e")
            item.add_marker("no_cover")
