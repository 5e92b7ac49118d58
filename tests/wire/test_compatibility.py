"""What the manual says of the request headers of S3 is what the daemon does."""

import tomllib
from pathlib import Path

import botocore.session
import pytest

from tests.wire.daemon import parse
from zs3.web.operations import OPERATIONS

MODEL = botocore.session.get_session().get_service_model("s3")
SUPPORTED = sorted({each.name for each in OPERATIONS} & set(MODEL.operation_names))
TABLES = tomllib.loads((Path(__file__).parents[2] / "docs/headers.toml").read_text("utf-8"))["header"]


def headers_of(operation):
    shape = MODEL.operation_model(operation).input_shape
    members = shape.members.values() if shape else ()
    return sorted(
        member.serialization["name"].lower()
        for member in members
        if member.serialization.get("location") in ("header", "headers")
    )


def tables_of(operation, header):
    """Those that tell of a header; the longest name counts, as a reader would take it."""
    found = [
        (len(name), table)
        for table in TABLES
        for name in table["names"]
        if (header == name or (name.endswith("-") and header.startswith(name)))
        and operation in table.get("operations", [operation])
    ]
    longest = max((size for size, _ in found), default=0)
    return [table for size, table in found if size == longest]


PAIRS = [(operation, header) for operation in SUPPORTED for header in headers_of(operation)]
REFUSED = [
    (operation, header, table["value"], table["outcome"])
    for operation, header in PAIRS
    for table in tables_of(operation, header)
    if table["outcome"] not in ("supported", "without effect")
]


@pytest.mark.parametrize(("operation", "header"), PAIRS)
def test_each_header_of_the_api_is_told_of_once(operation, header):
    assert len(tables_of(operation, header)) == 1


def test_no_table_is_of_nothing():
    told = {id(table) for operation, header in PAIRS for table in tables_of(operation, header)}
    assert [table["names"] for table in TABLES if id(table) not in told] == []


BODIES = {
    "PutObject": b"new",
    "UploadPart": b"new",
    "CompleteMultipartUpload": b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>"
    b"</CompleteMultipartUpload>",
}


@pytest.mark.parametrize(("operation", "header", "value", "code"), REFUSED)
def test_what_is_refused_is_refused_so_and_changes_nothing(client, bucket, operation, header, value, code):
    client.put(bucket + "/key", b"old")
    upload = parse(client("POST", bucket + "/key", {"uploads": ""})).findtext("UploadId")
    model = MODEL.operation_model(operation)
    path, _, query = model.http["requestUri"].partition("?")
    is_of_upload = "UploadId" in model.input_shape.members
    parameters = {"uploadId": upload} if is_of_upload else {query: ""} if query else {}
    if "PartNumber" in model.input_shape.required_members:
        parameters["partNumber"] = "1"
    headers = {header: value}
    if "CopySource" in model.input_shape.members:
        headers["x-amz-copy-source"] = bucket + "/key"
    if operation == "GetObjectAttributes":
        headers["x-amz-object-attributes"] = "ETag"
    new_bucket = operation == "CreateBucket"
    path = path.replace("/{Bucket}", "/new" if new_bucket else bucket).replace("{Key+}", "key")
    response = client(model.http["method"], path, parameters, headers, BODIES.get(operation, b""))
    if model.http["method"] == "HEAD":
        assert response.status == 400
    else:
        assert response.error_code == code
    assert client("GET", bucket + "/key").body == b"old"
    assert client("HEAD", "/new").status == 404
    parts = parse(client("GET", bucket + "/key", {"uploadId": upload}))
    assert parts.findtext("UploadId") == upload
    assert parts.find("Part") is None
