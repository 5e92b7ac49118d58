"""`zs3 user` on the file of a daemon that runs: it takes over what the command changed."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest
from botocore.credentials import Credentials

from tests.e2e.conftest import Run
from tests.e2e.daemon import REGION, Daemon, running
from tests.e2e.plainhttp import fetch, presigned_path
from tests.e2e.workers import only, pids, wait_until

MANUAL = (Path(__file__).parents[2] / "docs/running.rst").read_text("utf-8")

Pair = dict[str, str]

ADDRESSES = (f"127.1.{number // 256}.{number % 256}" for number in itertools.count(1))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def zs3(run: Run, home: Path) -> Callable[..., Any]:
    """Runs `zs3 user ... --json` on the file of the daemon; gives what it answered."""
    return lambda *arguments: json.loads(run("zs3", "user", *arguments, "--users", home / "users.toml", "--json"))


@pytest.fixture
def boss(zs3: Callable[..., Any]) -> Pair:
    pair: Pair = zs3("add", "boss", "--role", "admin")
    return pair


@pytest.fixture(params=[(), ("--workers", "2")], ids=["one process", "workers"])
def daemon(request: pytest.FixtureRequest, home: Path, tmp_path: Path, boss: Pair) -> Iterator[Daemon]:
    """A daemon with the file, which began with `zs3 user add`."""
    with running(home, tmp_path / "data", "--auth", f"zs3:{home / 'users.toml'}", *request.param) as daemon:
        yield daemon


def client(daemon: Daemon, pair: Pair) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=daemon.plain.url,
        region_name=REGION,
        aws_access_key_id=pair["access_key"],
        aws_secret_access_key=pair["secret_key"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def refusal(daemon: Daemon, pair: Pair) -> str | None:
    """With what ListBuckets is refused, if it is.

    Each time from another address, as each wrong one of many from the same makes the next answer wait longer.
    """
    target = presigned_path(daemon.plain, "GET", "/", Credentials(pair["access_key"], pair["secret_key"]))
    answer = fetch(daemon.plain, target, source=next(ADDRESSES))
    if answer.status == 200:
        return None
    found = re.search(rb"<Code>(\w+)</Code>", answer.body)
    assert found is not None
    return found[1].decode()


def await_refusal(daemon: Daemon, pair: Pair, expected: str | None) -> None:
    """Until each process that serves answers as expected."""
    for number in pids(daemon) or (0,):
        with only(daemon, number):
            wait_until(lambda: refusal(daemon, pair) == expected, daemon)


def test_a_running_daemon_takes_over_what_the_command_changes(
    daemon: Daemon, zs3: Callable[..., Any], boss: Pair
) -> None:
    first = zs3("add", "camera", "--bucket", "photos")
    await_refusal(daemon, first, None)
    s3 = client(daemon, first)
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="a", Body=b"click")
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        s3.create_bucket(Bucket="letters")

    second = zs3("rotate", "camera")
    await_refusal(daemon, second, None)
    assert refusal(daemon, first) is None
    assert client(daemon, second).get_object(Bucket="photos", Key="a")["Body"].read() == b"click"

    zs3("disable", "camera", "--key", first["access_key"])
    await_refusal(daemon, first, "InvalidAccessKeyId")
    assert refusal(daemon, second) is None
    zs3("remove-key", "camera", first["access_key"])

    zs3("disable", "camera")
    await_refusal(daemon, second, "InvalidAccessKeyId")
    zs3("enable", "camera")
    await_refusal(daemon, second, None)
    zs3("remove", "camera")
    await_refusal(daemon, second, "InvalidAccessKeyId")

    assert refusal(daemon, boss) is None
    log = daemon.log()
    assert not [each for each in (boss, first, second) if each["secret_key"] in log]


def test_the_file_that_the_daemon_made_is_found_by_the_data_directory(home: Path, tmp_path: Path, run: Run) -> None:
    data = tmp_path / "data"
    data.mkdir()
    daemon = Daemon(home, data)
    daemon.variables = {}
    daemon.start()
    try:
        pair = json.loads(run("zs3", "user", "add", "zoe", "--data", data, "--json"))
        await_refusal(daemon, pair, None)
        table = run("zs3", "user", "list", variables={"ZS3_USERS": str(data / ".zs3" / "private" / "credentials")})
        assert [line.split()[0] for line in table.splitlines()] == ["USER", "admin", "zoe"]
    finally:
        daemon.stop()


def test_the_commands_of_the_manual_do_what_they_say(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "users.toml"
    ran = []
    for line in MANUAL.splitlines():
        if not line.startswith("   zs3 user "):
            continue
        words = shlex.split(line, comments=True)
        if "ACCESS_KEY" in words:
            (key, *_) = tomllib.loads(path.read_text())["users"]["camera"]["keys"]
            words[words.index("ACCESS_KEY")] = key["access_key"]
        run(*words, variables={"ZS3_USERS": str(path)})
        ran.append(words[2])
        if words[2] == "enable":
            alice, camera = tomllib.loads(path.read_text())["users"].values()
            assert alice["role"] == "admin"
            assert (camera["buckets"], camera["account"], camera["enabled"]) == (["photos"], "family", True)
            assert len(camera["keys"]) == 1
    assert set(ran) == {"add", "list", "rotate", "remove-key", "disable", "enable", "remove"}
    assert tomllib.loads(path.read_text())["users"].keys() == {"alice"}
