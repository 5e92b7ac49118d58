"""CopyObject and UploadPartCopy."""

import pytest

from tests.wire.daemon import WRITER, parse


@pytest.fixture
def source(client, bucket):
    client.put(
        bucket + "/a b",
        b"content",
        {"Content-Type": "text/plain", "x-amz-meta-a": "1", "x-amz-storage-class": "STANDARD_IA"},
    )
    return "photos/a%20b"


def copy(client, path, source, headers=None, query=None):
    return client("PUT", path, query, {"x-amz-copy-source": source, **(headers or {})})


def test_a_copy_has_the_content_and_attributes_of_its_source(client, bucket, source):
    response = copy(client, bucket + "/b", source)
    assert response.status == 200
    head = client("HEAD", bucket + "/b").headers
    root = parse(response)
    assert (root.tag, root.findtext("ETag")) == ("CopyObjectResult", head["etag"])
    assert root.find("LastModified") is not None
    assert client("GET", bucket + "/b").body == b"content"
    assert (head["content-type"], head["x-amz-meta-a"]) == ("text/plain", "1")


def test_the_storage_class_is_not_inherited(client, bucket, source):
    copy(client, bucket + "/b", source)
    assert "x-amz-storage-class" not in client("HEAD", bucket + "/b").headers
    copy(client, bucket + "/c", source, {"x-amz-storage-class": "ONEZONE_IA"})
    head = client("HEAD", bucket + "/c").headers
    assert (head["x-amz-storage-class"], head["x-amz-meta-a"]) == ("ONEZONE_IA", "1")


def test_attributes_may_be_replaced(client, bucket, source):
    headers = {"x-amz-metadata-directive": "REPLACE", "x-amz-meta-b": "2", "Content-Type": "a/b"}
    assert copy(client, bucket + "/b", source, headers).status == 200
    head = client("HEAD", bucket + "/b").headers
    assert ("x-amz-meta-a" in head, head["x-amz-meta-b"], head["content-type"]) == (False, "2", "a/b")
    assert client("GET", bucket + "/b").body == b"content"


def test_attributes_are_those_of_the_source_when_it_is_copied(daemon, client, bucket, source, monkeypatch):
    """It is replaced once the request was looked at."""
    real = daemon.store.copy_object

    def interrupted(*args, **kwargs):
        daemon.client().put(bucket + "/a b", b"newer", {"x-amz-meta-a": "2", "x-amz-tagging": "new=1"})
        return real(*args, **kwargs)

    monkeypatch.setattr(daemon.store, "copy_object", interrupted)
    assert copy(client, bucket + "/b", source).status == 200
    response = client("GET", bucket + "/b")
    assert (response.body, response.headers["x-amz-meta-a"]) == (b"newer", "2")
    assert response.headers["x-amz-tagging-count"] == "1"


def test_without_the_directive_given_attributes_do_not_count(client, bucket, source):
    copy(client, bucket + "/b", source, {"x-amz-meta-b": "2"})
    assert "x-amz-meta-b" not in client("HEAD", bucket + "/b").headers


def test_onto_itself_only_with_a_change(client, bucket, source):
    response = copy(client, bucket + "/a b", source)
    assert (response.status, response.error_code) == (400, "InvalidRequest")
    for headers in (
        {"x-amz-metadata-directive": "REPLACE", "x-amz-meta-a": "2"},
        {"x-amz-storage-class": "STANDARD"},
    ):
        assert copy(client, bucket + "/a b", source, headers).status == 200
        assert client("GET", bucket + "/a b").body == b"content"
    head = client("HEAD", bucket + "/a b").headers
    assert head["x-amz-meta-a"] == "2"
    assert "x-amz-storage-class" not in head


def test_the_conditions_of_the_source_count(client, bucket, source):
    head = client("HEAD", bucket + "/a b").headers
    for name, value, status in (
        ("if-match", head["etag"], 200),
        ("if-match", '"x"', 412),
        ("if-none-match", '"x"', 200),
        ("if-none-match", head["etag"], 412),
        ("if-modified-since", head["last-modified"], 412),
        ("if-unmodified-since", head["last-modified"], 200),
    ):
        response = copy(client, bucket + "/b", source, {"x-amz-copy-source-" + name: value})
        assert response.status == status, name
    assert copy(client, bucket + "/b", source, {"If-None-Match": "*"}).status == 412


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ("photos/absent", 404, "NoSuchKey"),
        ("absent/a", 404, "NoSuchBucket"),
        ("", 400, "InvalidArgument"),
        ("photos", 400, "InvalidArgument"),
        ("photos/..%2f..%2fetc%2fpasswd", 404, "NoSuchKey"),
        ("../photos/a", 404, "NoSuchBucket"),
        ("photos/a%20b?versionId=null", 200, ""),
        ("/photos/a%20b", 200, ""),
    ],
)
def test_a_source_is_found_or_refused(client, bucket, source, given, status, code):
    response = copy(client, bucket + "/b", given)
    assert (response.status, response.error_code) == (status, code)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-metadata-directive", "KEEP", "InvalidArgument"),
        ("x-amz-tagging-directive", "KEEP", "InvalidArgument"),
        ("x-amz-tagging", "a=b&a=c", "InvalidArgument"),
        ("x-amz-server-side-encryption", "AES256", "NotImplemented"),
        ("x-amz-acl", "public-read", "AccessControlListNotSupported"),
        ("x-amz-checksum-algorithm", "CRC7", "InvalidRequest"),
        ("x-amz-source-expected-bucket-owner", "other", "AccessDenied"),
        ("x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256", "InvalidRequest"),
    ],
)
def test_what_would_not_be_done_makes_no_copy(client, bucket, source, name, value, code):
    assert copy(client, bucket + "/b", source, {name: value}).error_code == code
    assert client("HEAD", bucket + "/b").status == 404


def test_the_source_must_be_readable_for_who_copies(daemon, client, bucket):
    client.put("/secret")
    client.put("/secret/a", b"secret")
    writer = daemon.client(WRITER)
    for source in ("secret/a", "secret/absent", "absent/a"):
        response = copy(writer, bucket + "/b", source)
        assert (response.status, response.error_code) == (403, "AccessDenied")
    assert client("HEAD", bucket + "/b").status == 404


def test_a_checksum_may_be_asked_of_the_copy(client, bucket, source):
    response = copy(client, bucket + "/b", source, {"x-amz-checksum-algorithm": "CRC32"})
    checksum = parse(response).findtext("ChecksumCRC32")
    assert checksum is not None
    head = client("HEAD", bucket + "/b", headers={"x-amz-checksum-mode": "ENABLED"}).headers
    assert head["x-amz-checksum-crc32"] == checksum


# Parts


@pytest.fixture
def upload(client, bucket):
    response = client("POST", bucket + "/big", {"uploads": ""})
    return parse(response).findtext("UploadId")


def test_a_part_may_be_copied_whole_or_in_part(client, bucket, source, upload):
    for number, span, size in (("1", None, "7"), ("2", "bytes=2-4", "3")):
        headers = {"x-amz-copy-source-range": span} if span else {}
        response = copy(client, bucket + "/big", source, headers, {"partNumber": number, "uploadId": upload})
        assert parse(response).tag == "CopyPartResult"
        root = parse(client("GET", bucket + "/big", {"uploadId": upload, "part-number-marker": str(int(number) - 1)}))
        assert root.findtext("Part/Size") == size
        assert root.findtext("Part/ETag") == parse(response).findtext("ETag")


@pytest.mark.parametrize(
    ("span", "code"),
    [
        ("bytes=0-7", "InvalidRange"),
        ("bytes=7-9", "InvalidRange"),
        ("bytes=2-", "InvalidArgument"),
        ("2-4", "InvalidArgument"),
    ],
)
def test_a_wrong_range_copies_nothing(client, bucket, source, upload, span, code):
    query = {"partNumber": "1", "uploadId": upload}
    assert copy(client, bucket + "/big", source, {"x-amz-copy-source-range": span}, query).error_code == code
    assert parse(client("GET", bucket + "/big", {"uploadId": upload})).find("Part") is None


def test_a_part_needs_a_source_and_an_upload(client, bucket, source, upload):
    query = {"partNumber": "1", "uploadId": upload}
    assert copy(client, bucket + "/big", "photos/absent", None, query).error_code == "NoSuchKey"
    assert copy(client, bucket + "/big", source, None, {**query, "uploadId": "x"}).error_code == "NoSuchUpload"
    assert copy(client, bucket + "/big", source, None, {**query, "partNumber": "0"}).error_code == "InvalidArgument"
    unequal = {"x-amz-copy-source-if-match": '"x"'}
    assert copy(client, bucket + "/big", source, unequal, query).error_code == "PreconditionFailed"
