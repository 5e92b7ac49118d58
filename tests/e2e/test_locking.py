"""Object Lock, as backup programs use it: boto3 and other clients against the real daemon."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest
import urllib3
from botocore.exceptions import ClientError
from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.retention import Retention

from tests.e2e import test_awscli, test_rclone
from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Daemon, Endpoint, running

DOCS = Path(__file__).parents[2] / "docs"
MIB = 1024 * 1024


def later(days: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=days)


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """The code of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    code: str = caught.value.response["Error"]["Code"]
    return code


@pytest.fixture
def locked(s3: Any, bucket: str) -> str:
    """The name of an empty bucket with Object Lock."""
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    return bucket


def by_default(s3: Any, bucket: str, mode: str, days: int) -> None:
    rule = {"DefaultRetention": {"Mode": mode, "Days": days}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == configuration


def until(days: int, mode: str = "COMPLIANCE") -> dict[str, Any]:
    return {"Mode": mode, "RetainUntilDate": later(days)}


def removals(s3: Any, bucket: str, key: str, version: str) -> dict[str, str]:
    """Every way to be rid of a version, and the code of the error that it ends with."""
    name = {"Bucket": bucket, "Key": key, "VersionId": version}
    codes = {
        "delete": refusal(s3.delete_object, **name),
        "delete and bypass": refusal(s3.delete_object, **name, BypassGovernanceRetention=True),
        "shorten": refusal(s3.put_object_retention, **name, Retention=until(1)),
        "take away": refusal(s3.put_object_retention, **name, Retention={}, BypassGovernanceRetention=True),
        "make governance": refusal(
            s3.put_object_retention, **name, Retention=until(900, "GOVERNANCE"), BypassGovernanceRetention=True
        ),
        "suspend versions": refusal(
            s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
        "disable": refusal(
            s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Disabled"}
        ),
        "delete the bucket": refusal(s3.delete_bucket, Bucket=bucket),
    }
    listed = {"Objects": [{"Key": key, "VersionId": version}]}
    answer = s3.delete_objects(Bucket=bucket, Delete=listed, BypassGovernanceRetention=True)
    codes["delete many"] = answer["Errors"][0]["Code"]
    return codes


DENIED = dict.fromkeys(
    ("delete", "delete and bypass", "shorten", "take away", "make governance", "delete many"), "AccessDenied"
) | {"suspend versions": "InvalidBucketState", "disable": "MalformedXML", "delete the bucket": "BucketNotEmpty"}


def test_a_backup_that_is_locked_object_by_object_outlives_every_attack(s3: Any, locked: str, daemon: Daemon) -> None:
    """As Veeam does it: a retention for each object as it is put, and a longer one for what is still needed."""
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    made = {}
    for number in range(3):
        key, body = f"Veeam/Archive/{number}.blob", b"block %d" % number * 1000
        answer = s3.put_object(
            Bucket=locked, Key=key, Body=body, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=later(30)
        )
        made[key] = (answer["VersionId"], body)
    large = {"Bucket": locked, "Key": "Veeam/Archive/large.blob"}
    retention = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": later(30)}
    upload = s3.create_multipart_upload(**large, **retention)["UploadId"]
    parts = []
    for number, part in enumerate((bytes(5 * MIB), b"end"), 1):
        answer = s3.upload_part(**large, UploadId=upload, PartNumber=number, Body=part)
        parts.append({"ETag": answer["ETag"], "PartNumber": number})
    done = s3.complete_multipart_upload(**large, UploadId=upload, MultipartUpload={"Parts": parts})
    made[large["Key"]] = (done["VersionId"], bytes(5 * MIB) + b"end")

    longer = until(60)
    for key, (version, _) in made.items():
        name = {"Bucket": locked, "Key": key, "VersionId": version}
        s3.put_object_retention(**name, Retention=longer)
        assert s3.get_object_retention(**name)["Retention"] == longer

    for key, (version, body) in made.items():
        assert removals(s3, locked, key, version) == DENIED
        name = {"Bucket": locked, "Key": key}
        s3.put_object(**name, Body=b"ransom")
        s3.copy_object(**name, CopySource=f"{locked}/{key}", MetadataDirective="REPLACE")
        s3.delete_object(**name)
        assert refusal(s3.get_object, **name) == "NoSuchKey"
        answer = s3.get_object(**name, VersionId=version)
        assert (answer["ObjectLockMode"], answer["ObjectLockRetainUntilDate"]) == tuple(longer.values())
        assert answer["Body"].read() == body
    listed = s3.list_object_versions(Bucket=locked)
    assert {each["VersionId"] for each in listed["Versions"]} >= {version for version, _ in made.values()}

    # What came after them is not locked; without it they are what they were, as plain files.
    later_ones = [*listed["DeleteMarkers"], *(each for each in listed["Versions"] if each["Size"] == 6)]
    for each in later_ones:
        s3.delete_object(Bucket=locked, Key=each["Key"], VersionId=each["VersionId"])
    for key, (_, body) in made.items():
        assert (daemon.data / locked / key).read_bytes() == body


def test_a_legal_hold_and_governance_end_when_they_are_told_to(s3: Any, locked: str) -> None:
    name = {"Bucket": locked, "Key": "key"}
    by_default(s3, locked, "GOVERNANCE", 10)
    version = s3.put_object(**name, Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    head = s3.head_object(**name)
    assert (head["ObjectLockMode"], head["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", "ON")
    assert datetime.timedelta(days=9) < head["ObjectLockRetainUntilDate"] - later(0) < datetime.timedelta(days=11)
    version_of_it = {**name, "VersionId": version}
    assert refusal(s3.delete_object, **version_of_it, BypassGovernanceRetention=True) == "AccessDenied"
    s3.put_object_legal_hold(**name, LegalHold={"Status": "OFF"})
    assert s3.get_object_legal_hold(**name)["LegalHold"] == {"Status": "OFF"}
    assert refusal(s3.delete_object, **version_of_it) == "AccessDenied"
    s3.delete_object(**version_of_it, BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=locked)


@pytest.fixture
def keepers(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Makes a client of `boss`, an administrator, or of `backup`, who has the policy of the manual."""
    policy = (DOCS / "append-only.json").read_text("utf-8")
    users = tmp_path / "users.toml"
    users.touch(0o600)
    users.write_text(
        f"""
        [users.boss]
        access_key = "BOSS"
        secret_key = "boss-secret"
        role = "admin"
        [users.backup]
        access_key = "BACKUP"
        secret_key = "backup-secret"
        policies = ["append-only"]
        [policies.append-only]
        document = '''{policy}'''
        """
    )
    clients = []
    with running(tmp_path, tmp_path / "data", "--auth", f"zs3:{users}") as daemon:

        def make(name: str) -> Any:
            s3 = boto3.client(
                "s3",
                endpoint_url=daemon.plain.url,
                region_name=REGION,
                aws_access_key_id=name.upper(),
                aws_secret_access_key=f"{name}-secret",
                config=botocore.config.Config(retries={"total_max_attempts": 1}),
            )
            clients.append(s3)
            return s3

        yield make
        for s3 in clients:
            s3.close()


def test_a_stolen_key_of_backups_removes_nothing_for_good(keepers: Callable[[str], Any]) -> None:
    """As restic works: files of random names, locks that come and go; and then somebody has its key."""
    boss, restic = keepers("boss"), keepers("backup")
    boss.create_bucket(Bucket="backups", ObjectLockEnabledForBucket=True)
    by_default(boss, "backups", "GOVERNANCE", 30)

    files = {"config": b"repository"} | {
        f"{kind}/{hashlib.sha256(kind.encode()).hexdigest()}": kind.encode()
        for kind in ("keys", "data", "index", "snapshots")
    }
    for key, body in files.items():
        restic.put_object(Bucket="backups", Key=key, Body=body)
    restic.put_object(Bucket="backups", Key="locks/1", Body=b"lock")
    restic.delete_object(Bucket="backups", Key="locks/1")
    assert {each["Key"] for each in restic.list_objects_v2(Bucket="backups")["Contents"]} == files.keys()

    made = {each["Key"]: each["VersionId"] for each in boss.list_object_versions(Bucket="backups")["Versions"]}
    for key, version in made.items():
        name = {"Bucket": "backups", "Key": key, "VersionId": version}
        assert refusal(restic.delete_object, **name) == "AccessDenied"
        assert refusal(restic.delete_object, **name, BypassGovernanceRetention=True) == "AccessDenied"
        assert refusal(restic.put_object_retention, **name, Retention={}) == "AccessDenied"
        assert refusal(boss.delete_object, **name) == "AccessDenied"
    assert refusal(restic.list_object_versions, Bucket="backups") == "AccessDenied"
    assert refusal(restic.delete_bucket, Bucket="backups") == "AccessDenied"
    listed = {"Objects": [{"Key": key} for key in files]}
    assert len(restic.delete_objects(Bucket="backups", Delete=listed)["Deleted"]) == len(files)
    restic.put_object(Bucket="backups", Key="config", Body=b"ransom")
    assert [each["Key"] for each in restic.list_objects_v2(Bucket="backups")["Contents"]] == ["config"]

    everything = boss.list_object_versions(Bucket="backups")
    came_after = [each for each in everything["Versions"] if each["VersionId"] not in made.values()]
    for each in (*came_after, *everything["DeleteMarkers"]):
        boss.delete_object(
            Bucket="backups", Key=each["Key"], VersionId=each["VersionId"], BypassGovernanceRetention=True
        )
    for key, body in files.items():
        answer = restic.get_object(Bucket="backups", Key=key)
        assert (answer["VersionId"], answer["Body"].read()) == (made[key], body)


def test_aws_cli_locks_as_the_manual_says(run: Run, daemon: Daemon, bucket: str, tmp_path: Path) -> None:
    aws = test_awscli.command(run, daemon.plain)

    def s3api(operation: str, *arguments: str) -> Any:
        output = aws("s3api", operation, "--bucket", bucket, *arguments)
        return json.loads(output) if output.strip() else None

    s3api("create-bucket", "--object-lock-enabled-for-bucket")
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    configuration = json.dumps({"ObjectLockEnabled": "Enabled", "Rule": rule})
    s3api("put-object-lock-configuration", "--object-lock-configuration", configuration)
    (tmp_path / "monday.tar").write_bytes(b"archive")
    aws("s3", "cp", "monday.tar", f"s3://{bucket}/monday.tar")
    version = s3api("head-object", "--key", "monday.tar")["VersionId"]
    retention = "Mode=COMPLIANCE,RetainUntilDate=2131-01-01T00:00:00Z"
    s3api("put-object-retention", "--key", "monday.tar", "--version-id", version, "--retention", retention)
    s3api("put-object-legal-hold", "--key", "monday.tar", "--legal-hold", "Status=ON")
    head = s3api("head-object", "--key", "monday.tar")
    assert (head["ObjectLockMode"], head["ObjectLockLegalHoldStatus"]) == ("COMPLIANCE", "ON")
    assert head["ObjectLockRetainUntilDate"].startswith("2131-01-01T00:00:00")


@pytest.fixture
def default_locked(s3: Any, locked: str) -> str:
    """The name of a bucket that locks what comes into it."""
    by_default(s3, locked, "COMPLIANCE", 1)
    return locked


def test_minio_puts_locked_objects(daemon: Daemon, bucket: str, tmp_path: Path) -> None:
    """Over TLS, where it sends the MD5 sum that S3 asks for; over plain HTTP it signs the bytes instead."""
    (tmp_path / "file").write_bytes(bytes(6 * MIB))
    pool = urllib3.PoolManager(timeout=PATIENCE, ca_certs=str(daemon.tls.certificate), retries=False)
    minio = Minio(endpoint=daemon.tls.address, access_key=ACCESS_KEY, secret_key=SECRET_KEY, http_client=pool)
    minio.make_bucket(bucket_name=bucket, object_lock=True)
    name = {"bucket_name": bucket, "object_name": "key"}
    until = later(10)
    minio.fput_object(**name, file_path=str(tmp_path / "file"), retention=Retention(COMPLIANCE, until))
    found = minio.get_object_retention(**name)
    assert found is not None
    assert (found.mode, found.retain_until_date) == (COMPLIANCE, until)
    minio.enable_object_legal_hold(**name)
    assert minio.is_object_legal_hold_enabled(**name)
    minio.disable_object_legal_hold(**name)
    assert not minio.is_object_legal_hold_enabled(**name)
    pool.clear()


def test_rclone_copies_into_a_bucket_that_locks(
    run: Run, endpoint: Endpoint, s3: Any, default_locked: str, tmp_path: Path
) -> None:
    rclone = test_rclone.command(run, endpoint)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/small").write_bytes(b"small")
    (tmp_path / "tree/large").write_bytes(bytes(12 * MIB))
    rclone("copy", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M", tmp_path / "tree", f"zs3:{default_locked}")
    for key in ("small", "large"):
        assert s3.head_object(Bucket=default_locked, Key=key)["ObjectLockMode"] == "COMPLIANCE"
