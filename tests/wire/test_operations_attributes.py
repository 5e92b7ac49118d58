"""GetObjectAttributes."""

import pytest

from tests.wire.daemon import READER, parse, texts
from tests.wire.test_operations_checksums import text_of, whole_of
from tests.wire.test_operations_uploads import FIRST, LAST, complete, part, put_part, start

EVERY = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"


def attributes(client, path, names=EVERY, query=None, **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client("GET", path, {"attributes": "", **(query or {})}, {"x-amz-object-attributes": names, **sent})


@pytest.fixture
def path(bucket):
    return bucket + "/key"


@pytest.fixture
def parts(client, path):
    """An object of six parts."""
    upload = start(client, path, {"x-amz-checksum-algorithm": "SHA256"})
    bodies = [*[FIRST] * 5, LAST]
    etags = [put_part(client, path, upload, number, body) for number, body in enumerate(bodies, 1)]
    assert complete(client, path, upload, *(part(number, etag) for number, etag in enumerate(etags, 1))).status == 200
    return bodies


def test_an_object_without_parts(client, path):
    put = client.put(path, b"content", {"x-amz-storage-class": "STANDARD_IA"})
    response = attributes(client, path)
    root = parse(response)
    assert root.tag == "GetObjectAttributesResponse"
    assert [element.tag for element in root] == ["ETag", "Checksum", "StorageClass", "ObjectSize"]
    assert root.findtext("ETag") == put.headers["etag"].strip('"')
    assert root.findtext("Checksum/ChecksumCRC64NVME") == text_of("CRC64NVME", b"content")
    assert root.findtext("Checksum/ChecksumType") == "FULL_OBJECT"
    assert (root.findtext("StorageClass"), root.findtext("ObjectSize")) == ("STANDARD_IA", "7")
    assert response.headers["last-modified"] == client("HEAD", path).headers["last-modified"]


def test_only_what_is_asked_for_is_told(client, path):
    client.put(path, b"content")
    assert [element.tag for element in parse(attributes(client, path, "ObjectSize, ETag"))] == ["ETag", "ObjectSize"]
    assert parse(attributes(client, path, "StorageClass")).findtext("StorageClass") == "STANDARD"


def test_the_parts_of_an_object(client, path, parts):
    root = parse(attributes(client, path)).find("ObjectParts")
    assert (root.findtext("PartsCount"), root.findtext("IsTruncated"), root.findtext("MaxParts")) == (
        "6",
        "false",
        "1000",
    )
    assert texts(root, "Part/PartNumber") == ["1", "2", "3", "4", "5", "6"]
    assert texts(root, "Part/Size") == [str(len(body)) for body in parts]
    assert texts(root, "Part/ChecksumSHA256") == [text_of("SHA256", body) for body in parts]


@pytest.mark.parametrize(
    ("limit", "marker", "numbers", "truncated", "following"),
    [
        ("1", "3", ["4"], "true", "4"),
        ("10", "4", ["5", "6"], "false", "6"),
        ("2", "0", ["1", "2"], "true", "2"),
        ("6", "0", ["1", "2", "3", "4", "5", "6"], "false", "6"),
        ("5000", "6", [], "false", "0"),
        ("1", "9999", [], "false", "0"),
        ("0", "0", [], "false", "0"),
    ],
)
def test_parts_come_in_pages(client, path, parts, limit, marker, numbers, truncated, following):
    paging = {"x_amz_max_parts": limit, "x_amz_part_number_marker": marker}
    root = parse(attributes(client, path, "ObjectParts", **paging)).find("ObjectParts")
    assert texts(root, "Part/PartNumber") == numbers
    assert (root.findtext("IsTruncated"), root.findtext("NextPartNumberMarker")) == (truncated, following)
    assert (root.findtext("MaxParts"), root.findtext("PartNumberMarker")) == (str(min(int(limit), 1000)), marker)
    assert root.findtext("PartsCount") == "6"


def test_parts_of_an_upload_without_a_checksum(client, path):
    upload = start(client, path)
    etags = [put_part(client, path, upload, 3, FIRST), put_part(client, path, upload, 7, LAST)]
    complete(client, path, upload, part(3, etags[0]), part(7, etags[1]))
    root = parse(attributes(client, path))
    assert root.findtext("Checksum/ChecksumCRC64NVME") == whole_of("CRC64NVME", "FULL_OBJECT")
    # By the numbers that they are read by.
    assert texts(root, "ObjectParts/Part/PartNumber") == ["1", "2"]
    assert texts(root, "ObjectParts/Part/ChecksumCRC64NVME") == [text_of("CRC64NVME", body) for body in (FIRST, LAST)]


def test_parts_of_an_object_without_a_checksum(client, path):
    client.put(path, FIRST + LAST)
    upload = start(client, path)
    source = {"x-amz-copy-source": path, "x-amz-copy-source-range": f"bytes=0-{len(FIRST) - 1}"}
    copied = client("PUT", path, {"partNumber": "1", "uploadId": upload}, source)
    etag = put_part(client, path, upload, 2, LAST)
    complete(client, path, upload, part(1, parse(copied).findtext("ETag")), part(2, etag))
    root = parse(attributes(client, path))
    assert root.find("Checksum") is None
    assert texts(root, "ObjectParts/PartsCount") == ["2"]
    assert list(root.iter("ChecksumCRC64NVME")) == []
    read = client("GET", path, {"partNumber": "2"}, {"x-amz-checksum-mode": "ENABLED"})
    assert (read.status, read.body) == (206, LAST)
    assert not [name for name in read.headers if name.startswith("x-amz-checksum")]


def test_what_others_put_there_has_no_checksum(daemon, client, path):
    (daemon.data / path.lstrip("/")).write_bytes(b"content")
    assert [element.tag for element in parse(attributes(client, path))] == ["ETag", "StorageClass", "ObjectSize"]


@pytest.mark.parametrize(
    ("names", "headers", "code"),
    [
        ("", {}, "InvalidRequest"),
        (" , ", {}, "InvalidRequest"),
        ("etag", {}, "InvalidArgument"),
        ("ETag,Owner", {}, "InvalidArgument"),
        ("ETag", {"x_amz_max_parts": "x"}, "InvalidArgument"),
        ("ETag", {"x_amz_part_number_marker": "-1"}, "InvalidArgument"),
    ],
)
def test_what_cannot_be_asked(client, path, names, headers, code):
    client.put(path)
    response = attributes(client, path, names, **headers)
    assert (response.status, response.error_code) == (400, code)


def test_without_the_header_nothing_is_told(client, path):
    client.put(path)
    response = client("GET", path, {"attributes": ""})
    assert (response.status, response.error_code) == (400, "InvalidRequest")


def test_versions_and_absent_objects(client, bucket, path):
    client.put(path)
    assert attributes(client, path, query={"versionId": "null"}).status == 200
    assert attributes(client, path, query={"versionId": "v" * 32}).error_code == "NoSuchVersion"
    assert attributes(client, path, query={"versionId": "x"}).error_code == "InvalidArgument"
    assert attributes(client, bucket + "/absent").error_code == "NoSuchKey"
    assert attributes(client, "/absent/key").error_code == "NoSuchBucket"


def test_conditions_hold_here_too(client, path):
    etag = client.put(path).headers["etag"]
    assert attributes(client, path, If_Match='"x"').error_code == "PreconditionFailed"
    assert attributes(client, path, If_None_Match=etag).status == 304
    assert attributes(client, path, If_Match=etag).status == 200


def test_whoever_may_read_may_ask(daemon, client, path):
    client.put(path)
    assert attributes(daemon.client(READER), path).status == 200
    assert client("GET", path, {"attributes": ""}, {"x-amz-expected-bucket-owner": "x"}).error_code == "AccessDenied"
