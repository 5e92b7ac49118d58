"""Lifecycle rules in daemons whose days are short."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from proof.idle import calls_while_idle
from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Daemon, program, running
from tests.e2e.injection import can_trace
from tests.e2e.test_idle import WAITING
from tests.e2e.workers import pids

DAY = ("--lifecycle-day", "2")
DOCS = Path(__file__).parents[2] / "docs"


def client_of(daemon: Daemon) -> Any:
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    config = Config(retries={"total_max_attempts": 1})
    return closing(session.client("s3", endpoint_url=daemon.plain.url, config=config))


def expire(client: Any, prefix: str = "", **actions: Any) -> None:
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": prefix}, **(actions or {"Expiration": {"Days": 1}})}
    client.put_bucket_lifecycle_configuration(Bucket="photos", LifecycleConfiguration={"Rules": [rule]})


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def keys(client: Any) -> list[str]:
    return [each["Key"] for each in client.list_objects_v2(Bucket="photos").get("Contents", [])]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_the_rules_are_about_goes_when_its_day_has_passed(tmp_path: Path, workers: str) -> None:
    with running(tmp_path, tmp_path / "data", *DAY, "--workers", workers) as daemon, client_of(daemon) as client:
        client.create_bucket(Bucket="photos")
        client.put_object(Bucket="photos", Key="logs/a", Body=b"old")
        client.put_object(Bucket="photos", Key="keep", Body=b"kept")
        expire(client, "logs/", Expiration={"Days": 1}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})
        began = time.monotonic()
        answer = client.put_object(Bucket="photos", Key="logs/b", Body=b"young")
        assert 'rule-id="r"' in answer["Expiration"]
        client.create_multipart_upload(Bucket="photos", Key="logs/c")
        wait_until(
            lambda: keys(client) == ["keep"] and not client.list_multipart_uploads(Bucket="photos").get("Uploads")
        )
        assert time.monotonic() - began >= 2
        assert client.get_object(Bucket="photos", Key="keep")["Body"].read() == b"kept"
        assert daemon.log().count("lifecycle rules count in days of that length") >= 1


def test_what_a_daemon_has_left_undone_the_next_one_does(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(tmp_path, data, "--lifecycle-day", "86400") as daemon, client_of(daemon) as client:
        client.create_bucket(Bucket="photos")
        client.put_object(Bucket="photos", Key="a", Body=b"old")
        expire(client)
    time.sleep(2)
    with running(tmp_path, data, *DAY) as daemon, client_of(daemon) as client:
        wait_until(lambda: keys(client) == [])


def test_a_pass_that_a_crash_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(tmp_path, data) as daemon, client_of(daemon) as client:
        client.create_bucket(Bucket="photos")
        expire(client)
    for number in range(1000):
        path = data / "photos" / f"{number:04}"
        path.write_bytes(b"old")
        os.utime(path, (10**9, 10**9))
    daemon.arguments = DAY
    daemon.start()
    wait_until(lambda: not (data / "photos" / "0300").exists())
    daemon.kill()
    left = len(os.listdir(data / "photos"))
    assert left > 0
    progress = json.loads((data / ".zs3" / "lifecycle.json").read_bytes())
    assert (progress["done"], progress["bucket"]) == (False, "photos")
    daemon.start()
    wait_until(lambda: not os.listdir(data / "photos"))
    daemon.stop()


def test_rules_that_one_daemon_is_given_are_followed_though_another_serves_too(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    data = tmp_path / "data"
    with (
        running(tmp_path / "one", data, *DAY) as one,
        running(tmp_path / "other", data, *DAY) as other,
        client_of(one) as first,
        client_of(other) as second,
    ):
        first.create_bucket(Bucket="photos")
        expire(first)
        for number in range(20):
            (first, second)[number % 2].put_object(Bucket="photos", Key=f"{number}", Body=b"old")
        wait_until(lambda: keys(second) == [])
        # Each object went once: nobody found another at it.
        assert "failed" not in one.log() + other.log()


@pytest.mark.skipif(not can_trace(), reason="strace is missing or may not trace")
def test_between_two_passes_a_daemon_with_rules_makes_no_system_call(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "data") as daemon, client_of(daemon) as client:
        client.create_bucket(Bucket="photos")
        expire(client)
        client.close()
        processes = [daemon.pid, *pids(daemon).values()]
        calls_while_idle(processes, 1)
        assert set(calls_while_idle(processes, 2)) <= WAITING


def test_the_command_does_it_beside_a_daemon(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(tmp_path, data) as daemon, client_of(daemon) as client:
        client.create_bucket(Bucket="photos")
        for key in ("dropped", "edited", "new"):
            client.put_object(Bucket="photos", Key=key, Body=b"content")
        for key in ("dropped", "edited"):
            os.utime(data / "photos" / key, (10**9, 10**9))
        expire(client)
        command = [program("zs3"), "lifecycle", "--data", str(data)]
        shown = subprocess.run([*command, "--dry-run"], check=True, capture_output=True, text=True).stdout
        assert shown.startswith("would expire photos/dropped (rule 'r')\nwould expire photos/edited")
        assert keys(client) == ["dropped", "edited", "new"]
        subprocess.run(command, check=True, capture_output=True)
        assert keys(client) == ["new"]


def test_the_rules_of_the_manual_are_taken_and_given_back(tmp_path: Path) -> None:
    configuration = json.loads((DOCS / "lifecycle.json").read_text("utf-8"))
    with running(tmp_path, tmp_path / "data") as daemon, client_of(daemon) as client:
        client.create_bucket(Bucket="photos")
        client.put_bucket_lifecycle_configuration(Bucket="photos", LifecycleConfiguration=configuration)
        assert client.get_bucket_lifecycle_configuration(Bucket="photos")["Rules"] == configuration["Rules"]
