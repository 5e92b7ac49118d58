"""Users with policies, as the manual's example has them: boto3 against the daemon."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Run
from tests.e2e.daemon import PATIENCE, REGION, Daemon, running

EXAMPLE = (Path(__file__).parents[2] / "docs/users.toml").read_text("utf-8")

Client = Callable[[str], Any]


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users.toml"
    path.touch(0o600)
    path.write_text(EXAMPLE)
    return path


@pytest.fixture(params=[(), ("--workers", "2")], ids=["one process", "workers"])
def daemon(request: pytest.FixtureRequest, users: Path, tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path, tmp_path / "data", "--auth", f"zs3:{users}", *request.param) as daemon:
        yield daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    """Makes a client of a user of the example."""
    clients = []

    def make(name: str) -> Any:
        s3 = boto3.client(
            "s3",
            endpoint_url=daemon.plain.url,
            region_name=REGION,
            aws_access_key_id=name.upper(),
            aws_secret_access_key=f"change-me-{name}-secret",
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )
        clients.append(s3)
        return s3

    yield make
    for s3 in clients:
        s3.close()


def denied(call: Callable[..., Any], **arguments: Any) -> bool:
    """Whether it is AccessDenied, or for HEAD its status."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDenied", "403")
        return True
    return False


def test_each_user_has_a_folder(client: Client) -> None:
    boss, alice, bob = client("boss"), client("alice"), client("bob")
    boss.create_bucket(Bucket="photos")
    boss.put_object(Bucket="photos", Key="shared/a", Body=b"for all")
    alice.put_object(Bucket="photos", Key="home/alice/a", Body=b"hers")
    bob.put_object(Bucket="photos", Key="home/bob/b", Body=b"his")
    assert alice.get_object(Bucket="photos", Key="shared/a")["Body"].read() == b"for all"
    assert [each["Name"] for each in alice.list_buckets()["Buckets"]] == ["photos"]
    listed = alice.list_objects_v2(Bucket="photos", Prefix="home/alice/")
    assert [each["Key"] for each in listed["Contents"]] == ["home/alice/a"]
    alice.copy_object(Bucket="photos", Key="home/alice/copy", CopySource="photos/shared/a")

    assert denied(alice.list_objects_v2, Bucket="photos")
    assert denied(alice.list_objects_v2, Bucket="photos", Prefix="home/bob/")
    for key in ("home/bob/b", "home/bob/none", "none"):
        assert denied(alice.get_object, Bucket="photos", Key=key)
        assert denied(alice.head_object, Bucket="photos", Key=key)
        assert denied(alice.copy_object, Bucket="photos", Key="home/alice/stolen", CopySource=f"photos/{key}")
    assert denied(alice.put_object, Bucket="photos", Key="shared/a", Body=b"")
    assert denied(alice.create_bucket, Bucket="hers")
    answer = alice.delete_objects(
        Bucket="photos", Delete={"Objects": [{"Key": "home/alice/a"}, {"Key": "home/bob/b"}, {"Key": "shared/a"}]}
    )
    assert [each["Key"] for each in answer["Deleted"]] == ["home/alice/a"]
    assert {each["Key"]: each["Code"] for each in answer["Errors"]} == dict.fromkeys(
        ("home/bob/b", "shared/a"), "AccessDenied"
    )
    assert bob.get_object(Bucket="photos", Key="home/bob/b")["Body"].read() == b"his"


def test_backups_are_written_and_no_more(client: Client) -> None:
    boss, backup = client("boss"), client("backup")
    boss.create_bucket(Bucket="backups")
    backup.put_object(Bucket="backups", Key="monday", Body=b"all")
    assert denied(backup.get_object, Bucket="backups", Key="monday")
    assert denied(backup.delete_object, Bucket="backups", Key="monday")
    assert denied(backup.list_objects_v2, Bucket="backups")
    assert denied(backup.list_buckets)


def test_a_changed_policy_counts(client: Client, users: Path) -> None:
    boss, alice = client("boss"), client("alice")
    boss.create_bucket(Bucket="photos")
    boss.put_object(Bucket="photos", Key="shared/a", Body=b"for all")

    new = users.with_suffix(".new")
    new.touch(0o600)
    new.write_text(EXAMPLE.replace("photos/shared/*", "photos/elsewhere/*"))
    os.rename(new, users)
    deadline, row = time.monotonic() + PATIENCE, 0
    while row < 12:
        # Each time another connection, so that each worker is met.
        again = client("alice")
        row = row + 1 if denied(again.get_object, Bucket="photos", Key="shared/a") else 0
        assert time.monotonic() < deadline
    assert denied(alice.get_object, Bucket="photos", Key="shared/a")


def test_the_command_says_what_the_daemon_does(client: Client, users: Path, tmp_path: Path, run: Run) -> None:
    boss, bob = client("boss"), client("bob")
    boss.create_bucket(Bucket="photos")
    arn = "arn:aws:s3:::photos"
    policy = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"{arn}/home/bob/x"}
    text = json.dumps({"Version": "2012-10-17", "Statement": policy})
    (tmp_path / "bucket.json").write_text(text)
    boss.put_bucket_policy(Bucket="photos", Policy=text)
    for key, expected in (("home/bob/a", "allowed"), ("home/bob/x", "denied"), ("home/alice/a", "denied")):
        said = run(
            *("zs3", "policy", "check", "--users", users, "--user", "bob", "--bucket-policy", tmp_path / "bucket.json"),
            *("--action", "s3:PutObject", "--resource", f"{arn}/{key}"),
        )
        assert said.startswith(f"{expected}: ")
        assert denied(bob.put_object, Bucket="photos", Key=key, Body=b"") is (expected == "denied")
