"""Starting: what users get wrong is told in a line, and who the users are."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import Minio
from minio.error import S3Error

from tests.e2e.daemon import PATIENCE, isolated_environment, program, running

USERS = """
[users.owner]
access_key = "OWNER"
secret_key = "owner-secret"
role = "admin"

[users.camera]
access_key = "CAMERA"
secret_key = "camera-secret"
role = "writer"
buckets = ["photos"]

[users.guest]
access_key = "GUEST"
secret_key = "guest-secret"
role = "reader"
"""


def start(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A daemon that is expected not to start."""
    return subprocess.run(
        [program("twistd"), "--nodaemon", "--pidfile=", "zs3", *arguments],
        cwd=home,
        env=isolated_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


WRONG = {
    "": "--data DIR is needed",
    "--data absent": "absent is not there",
    "--data . --listen tcp:{port}:interface=127.0.0.1": "Address already in use",
    "--data . --listen ssl:0:privateKey=no.pem:certKey=no.pem": "no.pem: No such file or directory",
    "--data . --listen ssl:0": "server.pem",
    "--data . --auth zs3:absent.toml": "absent.toml: No such file or directory",
    "--data . --threads many": "--threads: a number",
    "--data . --nonsense": "nonsense",
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_told_in_a_line(tmp_path: Path, port: int, arguments: str, message: str) -> None:
    ended = start(tmp_path, *arguments.format(port=port).split())
    assert ended.returncode == 1, ended.stdout
    assert sum(message in line for line in ended.stdout.splitlines()) == 1, ended.stdout
    assert "Traceback" not in ended.stdout


def test_each_user_may_do_what_the_file_says(tmp_path: Path) -> None:
    for name in ("photos", "letters"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "there").write_text("there")
    users = tmp_path / "users.toml"
    users.touch(0o600)
    users.write_text(USERS)
    (tmp_path / "home").mkdir()
    with running(tmp_path / "home", tmp_path / "data", "--auth", f"zs3:{users}") as daemon:

        def may(access_key: str, bucket: str) -> tuple[bool, bool]:
            """Whether the user may read and write there."""
            client = Minio(
                endpoint=daemon.plain.address,
                access_key=access_key,
                secret_key=f"{access_key.lower()}-secret",
                secure=False,
            )
            answers = []
            for attempt in (client.fget_object, client.fput_object):
                try:
                    attempt(bucket_name=bucket, object_name="there", file_path=str(tmp_path / "file"))
                except S3Error as error:
                    assert error.code == "AccessDenied"
                    answers.append(False)
                else:
                    answers.append(True)
            client._http.clear()
            return answers[0], answers[1]

        (tmp_path / "file").touch()
        assert may("OWNER", "letters") == (True, True)
        assert may("CAMERA", "photos") == (True, True)
        assert may("CAMERA", "letters") == (False, False)
        assert may("GUEST", "photos") == (True, False)

        # A changed file counts without a restart: at the latest a second later.
        users.write_text(USERS.replace('role = "writer"', 'role = "reader"'))
        deadline = time.monotonic() + PATIENCE
        while may("CAMERA", "photos") != (True, False):
            assert time.monotonic() < deadline
        assert may("OWNER", "letters") == (True, True)
