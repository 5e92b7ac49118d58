"""Versions of objects, by boto3 and aws-cli against the real daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Run
from tests.e2e.daemon import Daemon, Endpoint
from tests.e2e.plainhttp import fetch
from tests.e2e.test_awscli import command

MIB = 1024 * 1024


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    """The name of an empty bucket that keeps versions."""
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    return bucket


def refused(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response: Any = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_what_is_overwritten_and_deleted_can_be_had_back(s3: Any, versioned: str, daemon: Daemon) -> None:
    name = {"Bucket": versioned, "Key": "cat.jpg"}
    made = [s3.put_object(**name, Body=body)["VersionId"] for body in (b"one", b"two")]
    marker = s3.delete_object(**name)
    assert marker["DeleteMarker"] is True
    with pytest.raises(ClientError) as caught:
        s3.get_object(**name)
    assert refused(caught) == (404, "NoSuchKey")
    with pytest.raises(ClientError) as caught:
        s3.get_object(**name, VersionId=marker["VersionId"])
    assert refused(caught) == (405, "MethodNotAllowed")
    assert s3.get_object(**name, VersionId=made[0])["Body"].read() == b"one"
    assert s3.delete_object(**name, VersionId=marker["VersionId"])["DeleteMarker"] is True
    assert s3.get_object(**name)["Body"].read() == b"two"
    copied = s3.copy_object(**name, CopySource={**name, "VersionId": made[0]})
    assert copied["CopySourceVersionId"] == made[0]
    assert s3.head_object(**name)["VersionId"] == copied["VersionId"]
    assert (daemon.data / versioned / "cat.jpg").read_bytes() == b"one", "what is current is a plain file"
    for version in (*made, copied["VersionId"]):
        s3.delete_object(**name, VersionId=version)
    s3.delete_bucket(Bucket=versioned)


def test_what_other_programs_wrote_is_kept_when_it_is_replaced(s3: Any, versioned: str, daemon: Daemon) -> None:
    path = daemon.data / versioned / "note.txt"
    path.write_text("by hand")
    found = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [(each["Key"], each["IsLatest"], each["Size"]) for each in found] == [("note.txt", True, 7)]
    s3.put_object(Bucket=versioned, Key="note.txt", Body=b"by a client")
    (older,) = [each for each in s3.list_object_versions(Bucket=versioned)["Versions"] if not each["IsLatest"]]
    answer = s3.get_object(Bucket=versioned, Key="note.txt", VersionId=older["VersionId"])
    assert (answer["Body"].read(), answer["VersionId"]) == (b"by hand", older["VersionId"])
    assert path.read_text() == "by a client"


def test_large_versions_are_uploaded_in_parts_and_read_by_range(s3: Any, versioned: str, tmp_path: Path) -> None:
    first, second = bytes(6 * MIB), b"x" * (9 * MIB)
    for body in (first, second):
        (tmp_path / "file").write_bytes(body)
        s3.upload_file(str(tmp_path / "file"), versioned, "big")
    versions = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [each["Size"] for each in versions] == [len(second), len(first)]
    old = {"Bucket": versioned, "Key": "big", "VersionId": versions[1]["VersionId"]}
    assert s3.get_object(**old)["Body"].read() == first
    assert s3.get_object(**old, Range="bytes=5-7")["Body"].read() == bytes(3)
    s3.download_file(versioned, "big", str(tmp_path / "old"), ExtraArgs={"VersionId": old["VersionId"]})
    assert (tmp_path / "old").read_bytes() == first


def test_a_presigned_url_may_name_a_version(s3: Any, versioned: str, endpoint: Endpoint) -> None:
    name = {"Bucket": versioned, "Key": "a"}
    version = s3.put_object(**name, Body=b"one")["VersionId"]
    s3.put_object(**name, Body=b"two")
    answer = fetch(endpoint, s3.generate_presigned_url("get_object", Params={**name, "VersionId": version}))
    assert (answer.status, answer.body, answer.headers["x-amz-version-id"]) == (200, b"one", version)


def test_a_bucket_is_emptied_page_by_page(s3: Any, versioned: str) -> None:
    for number in range(30):
        s3.put_object(Bucket=versioned, Key=f"k{number % 7}", Body=b"%d" % number)
    s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": f"k{number}"} for number in range(0, 7, 2)]})
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=versioned)
    assert refused(caught) == (409, "BucketNotEmpty")
    seen = 0
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=versioned, PaginationConfig={"PageSize": 4})
    for page in list(pages):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        seen += len(found)
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": objects})
        assert len(answer["Deleted"]) == len(objects)
    assert seen == 34
    s3.delete_bucket(Bucket=versioned)


def test_aws_cli_tells_and_takes_versions(run: Run, daemon: Daemon, bucket: str, tmp_path: Path) -> None:
    aws = command(run, daemon.plain)

    def s3api(operation: str, *arguments: str) -> Any:
        output = aws("s3api", operation, "--bucket", bucket, *arguments)
        return json.loads(output) if output.strip() else None

    s3api("create-bucket")
    s3api("put-bucket-versioning", "--versioning-configuration", "Status=Enabled")
    (tmp_path / "file").write_bytes(b"one")
    version = s3api("put-object", "--key", "a", "--body", "file")["VersionId"]
    assert s3api("delete-object", "--key", "a")["DeleteMarker"] is True
    listed = s3api("list-object-versions")
    assert [each["VersionId"] for each in listed["Versions"]] == [version]
    assert [each["IsLatest"] for each in listed["DeleteMarkers"]] == [True]
    s3api("copy-object", "--key", "a", "--copy-source", f"{bucket}/a?versionId={version}")
    assert (daemon.data / bucket / "a").read_bytes() == b"one"
