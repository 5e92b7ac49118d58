"""The tags of objects and of buckets."""

import base64
import hashlib

import pytest

from tests.unit.test_tags import tagging
from tests.wire.daemon import READER, parse, texts
from tests.wire.test_operations_uploads import complete, part, put_part, start

TAGGING = {"tagging": ""}


def read(client, path):
    """The tags of an object or bucket, in their order."""
    response = client("GET", path, TAGGING)
    assert response.status == 200, response.body
    root = parse(response)
    assert root.tag == "Tagging"
    assert [tag.tag for tag in root.iterfind("TagSet/*")] == ["Tag"] * len(root.find("TagSet"))
    return list(zip(texts(root, "TagSet/Tag/Key"), texts(root, "TagSet/Tag/Value"), strict=True))


@pytest.fixture
def path(client, bucket):
    client.put(bucket + "/a b", b"content", {"Content-Type": "a/b", "x-amz-meta-x": "y"})
    return bucket + "/a b"


def test_tags_are_put_told_replaced_and_deleted(client, path):
    before = client("GET", path)
    assert read(client, path) == []
    assert "x-amz-tagging-count" not in before.headers
    response = client("PUT", path, TAGGING, body=tagging([("b", "1"), ("ä", "ß"), ("a", "")]))
    assert (response.status, response.body) == (200, b"")
    assert read(client, path) == [("a", ""), ("b", "1"), ("ä", "ß")]
    assert client("PUT", path, TAGGING, body=tagging([("c", "3")])).status == 200
    assert read(client, path) == [("c", "3")]
    after = client("GET", path)
    assert after.body == b"content"
    for name in ("etag", "last-modified", "content-type", "x-amz-meta-x"):
        assert after.headers[name] == before.headers[name]
    response = client("DELETE", path, TAGGING)
    assert (response.status, response.body) == (204, b"")
    assert read(client, path) == []
    assert client("DELETE", path, TAGGING).status == 204
    assert client("GET", path).headers.keys() == before.headers.keys()


@pytest.mark.parametrize("extra", [{}, {"Range": "bytes=1-2"}, {"x-unusual": "the ordinary way"}])
def test_their_number_is_told_with_the_object(client, path, extra):
    client("PUT", path, TAGGING, body=tagging([("a", "1"), ("b", "2")]))
    for method in ("GET", "HEAD"):
        assert client(method, path, headers=extra).headers["x-amz-tagging-count"] == "2"


def test_the_only_version_has_tags_and_no_other(client, path):
    only = {**TAGGING, "versionId": "null"}
    assert client("PUT", path, only, body=tagging([("a", "1")])).status == 200
    assert texts(parse(client("GET", path, only)), "TagSet/Tag/Key") == ["a"]
    for version, status, code in (("x" * 32, 404, "NoSuchVersion"), ("", 400, "InvalidArgument")):
        other = {**TAGGING, "versionId": version}
        for method, body in (("GET", None), ("PUT", tagging([("b", "1")])), ("DELETE", None)):
            response = client(method, path, other, body=body)
            assert (response.status, response.error_code) == (status, code)
    assert read(client, path) == [("a", "1")]
    assert client("DELETE", path, only).status == 204
    assert read(client, path) == []


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (tagging([(f"{number}", "") for number in range(11)]), "InvalidTag"),
        (tagging([("k" * 129, "")]), "InvalidTag"),
        (tagging([("k", "v" * 257)]), "InvalidTag"),
        (tagging([("a", "1"), ("a", "1")]), "InvalidTag"),
        (tagging([("aws:a", "1")]), "InvalidTag"),
        (b"<Tagging/>", "MalformedXML"),
        (b"", "MalformedXML"),
        (b"x" * 300_000, "MaxMessageLengthExceeded"),
    ],
)
def test_what_can_be_no_tags_changes_nothing(client, bucket, path, document, code):
    for each in (path, bucket):
        client("PUT", each, TAGGING, body=tagging([("old", "1")]))
    response = client("PUT", path, TAGGING, body=document)
    assert (response.status, response.error_code) == (400, code)
    assert read(client, path) == [("old", "1")]
    if b"<Key>10</Key>" not in document:  # of which a bucket may have more
        response = client("PUT", bucket, TAGGING, body=document)
        assert (response.status, response.error_code) == (400, code)
        assert read(client, bucket) == [("old", "1")]


def test_a_document_that_was_damaged_on_its_way_is_refused(client, bucket, path):
    wrong = {"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}
    for each in (path, bucket):
        assert client("PUT", each, TAGGING, wrong, tagging([("a", "1")])).error_code == "BadDigest"
    assert read(client, path) == []


def test_what_is_not_there_has_no_tags(client, bucket):
    for method, body in (("GET", None), ("PUT", tagging([("a", "1")])), ("DELETE", None)):
        for missing, code in (
            (bucket + "/none", "NoSuchKey"),
            ("/absent/a", "NoSuchBucket"),
            ("/absent", "NoSuchBucket"),
        ):
            response = client(method, missing, TAGGING, body=body)
            assert (response.status, response.error_code) == (404, code)


def test_who_may_only_read_reads_tags_only(daemon, client, bucket, path):
    reader = daemon.client(READER)
    for each in (path, bucket):
        client("PUT", each, TAGGING, body=tagging([("a", "1")]))
        assert read(reader, each) == [("a", "1")]
        assert reader("PUT", each, TAGGING, body=tagging([])).error_code == "AccessDenied"
        assert reader("DELETE", each, TAGGING).error_code == "AccessDenied"
        assert client("GET", each, TAGGING, {"x-amz-expected-bucket-owner": "1" * 12}).error_code == "AccessDenied"
        assert read(client, each) == [("a", "1")]


# With the object


def test_an_object_is_put_with_its_tags(client, bucket):
    client.put(bucket + "/a", b"x", {"x-amz-tagging": "b=2&a+c=%C3%A4&d"})
    assert read(client, bucket + "/a") == [("a c", "ä"), ("b", "2"), ("d", "")]
    client.put(bucket + "/a", b"x")
    assert read(client, bucket + "/a") == []


def test_a_signed_url_may_hold_tags(client, bucket):
    target = client.presigned("PUT", bucket + "/a", {"x-amz-tagging": "a=1&b=2"})
    assert client.connection.request("PUT", target, {"Host": client.host}, b"x").status == 200
    assert read(client, bucket + "/a") == [("a", "1"), ("b", "2")]


def test_an_upload_is_completed_with_its_tags(client, bucket):
    path = bucket + "/large"
    upload = start(client, path, {"x-amz-tagging": "a=1"})
    complete(client, path, upload, part(1, put_part(client, path, upload, 1, b"part")))
    assert read(client, path) == [("a", "1")]
    assert client("HEAD", path).headers["x-amz-tagging-count"] == "1"
    response = client("POST", path, {"uploads": ""}, {"x-amz-tagging": "a=1&a=2"})
    assert (response.status, response.error_code) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("headers", "expected", "metadata"),
    [
        ({}, [("a", "1")], "y"),
        ({"x-amz-tagging": "b=2"}, [("a", "1")], "y"),
        ({"x-amz-tagging-directive": "COPY", "x-amz-tagging": "b=2"}, [("a", "1")], "y"),
        ({"x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "b=2"}, [("b", "2")], "y"),
        ({"x-amz-tagging-directive": "REPLACE"}, [], "y"),
        ({"x-amz-metadata-directive": "REPLACE"}, [("a", "1")], None),
        ({"x-amz-metadata-directive": "REPLACE", "x-amz-tagging-directive": "REPLACE"}, [], None),
        ({"x-amz-storage-class": "STANDARD_IA"}, [("a", "1")], "y"),
    ],
)
def test_a_copy_has_the_tags_of_its_source_or_others(client, bucket, path, headers, expected, metadata):
    client("PUT", path, TAGGING, body=tagging([("a", "1")]))
    response = client("PUT", bucket + "/copy", headers={"x-amz-copy-source": "photos/a%20b", **headers})
    assert response.status == 200
    assert read(client, bucket + "/copy") == expected
    assert client("HEAD", bucket + "/copy").headers.get("x-amz-meta-x") == metadata
    assert read(client, path) == [("a", "1")]


# Of buckets


def test_a_bucket_has_tags_of_its_own(client, bucket, path):
    none = client("GET", bucket, TAGGING)
    assert (none.status, none.error_code) == (404, "NoSuchTagSet")
    pairs = [(f"{number:02}", "ä") for number in range(50)]
    assert client("PUT", bucket, TAGGING, body=tagging(reversed(pairs))).status == 204
    assert read(client, bucket) == pairs
    assert read(client, path) == []
    assert client("PUT", bucket, TAGGING, body=tagging([*pairs, ("50", "")])).error_code == "InvalidTag"
    assert client("PUT", bucket, TAGGING, body=tagging([("a", "1")])).status == 204
    assert read(client, bucket) == [("a", "1")]
    for _ in range(2):
        assert client("DELETE", bucket, TAGGING).status == 204
        assert client("GET", bucket, TAGGING).error_code == "NoSuchTagSet"
    client("PUT", bucket, TAGGING, body=tagging([("a", "1")]))
    assert client("PUT", bucket, TAGGING, body=tagging([])).status == 204
    assert client("GET", bucket, TAGGING).error_code == "NoSuchTagSet"


def test_a_bucket_is_created_with_tags(daemon, client):
    tags = "<Tags><Tag><Key>b</Key><Value>2</Value></Tag><Tag><Key>a</Key><Value/></Tag></Tags>"
    document = f"<CreateBucketConfiguration>{tags}</CreateBucketConfiguration>".encode()
    assert client("PUT", "/tagged", body=document).status == 200
    assert read(client, "/tagged") == [("a", ""), ("b", "2")]
    again = client("PUT", "/tagged", body=document.replace(b"2", b"3"))
    assert (again.status, again.error_code) == (409, "BucketAlreadyOwnedByYou"), "not passed over"
    assert read(client, "/tagged") == [("a", ""), ("b", "2")]
