"""Putting, getting and deleting one object."""

import base64
import hashlib
import zlib

import pytest

from tests.wire.daemon import ADMIN, Daemon, parse
from zs3.web import objects

MD5_HELLO = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
CRC_HELLO = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()


@pytest.mark.parametrize(
    "key", ["a", "a/b", "a/", "//", ".", "..", "../x", "a b+c%", "ü/日本", "𝄞", ".zs3", "\t\n\r", "x" * 1024, "&<>\"'"]
)
def test_every_key_comes_back(daemon, client, bucket, key):
    client.put(bucket + "/" + key, b"content of " + key.encode())
    assert client("GET", bucket + "/" + key).body == b"content of " + key.encode()
    root = parse(client("GET", bucket, {"list-type": "2"}))
    assert root.findtext("Contents/Key") == key
    assert client("DELETE", bucket + "/" + key).status == 204
    assert client("HEAD", bucket + "/" + key).status == 404


def test_an_object_is_a_file(daemon, client, bucket):
    client.put(bucket + "/2024/cat.jpg", b"meow")
    assert (daemon.data / "photos" / "2024" / "cat.jpg").read_bytes() == b"meow"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/photos/%00", "InvalidArgument"),
        ("/photos/%01", "InvalidArgument"),
        ("/photos/%ef%bf%bf", "InvalidArgument"),
        ("/photos/%ff", "InvalidURI"),
        ("/photos/%c0%af", "InvalidURI"),
        ("/photos/%zz", "InvalidURI"),
        ("/photos/" + "x" * 1025, "KeyTooLongError"),
        ("//x", "InvalidBucketName"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_what_can_be_no_key_is_refused(client, bucket, target, code, method):
    target, headers = signed_raw(client, method, target)
    response = client.connection.request(method, target, headers, b"")
    assert (response.status, response.error_code) == (400, code)


def signed_raw(client, method, target):
    """Sign a target as it is."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method, f"http://{client.host}{target}", data=b"")
    S3SigV4Auth(Credentials(ADMIN.access_key, ADMIN.secret_key), "s3", "us-east-1").add_auth(request)
    return target, {"Host": client.host, **dict(request.headers.items())}


def test_the_answer_to_a_put_is_its_etag(client, bucket):
    response = client("PUT", bucket + "/a", body=b"hello")
    assert (response.status, response.body) == (200, b"")
    assert response.headers["etag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'


def test_headers_and_metadata_come_back(client, bucket):
    sent = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Encoding": "aws-chunked,gzip",
        "Content-Disposition": "attachment",
        "Content-Language": "de",
        "Cache-Control": "max-age=5",
        "Expires": "Thu, 01 Dec 2044 16:00:00 GMT",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-website-redirect-location": "/b",
        "x-amz-meta-Color": "blue",
        "x-amz-meta-empty": "",
    }
    client.put(bucket + "/a", b"x", sent)
    expected = {name.lower(): value for name, value in sent.items()} | {"content-encoding": "gzip"}
    for method in ("GET", "HEAD"):
        headers = client(method, bucket + "/a").headers
        assert {name: headers.get(name) for name in expected} == expected
    assert parse(client("GET", bucket)).findtext("Contents/StorageClass") == "STANDARD_IA"


def test_metadata_beyond_ascii_comes_back_as_encoded_words(client, bucket):
    client.put(bucket + "/a", b"", {"x-amz-meta-name": "ümläut"})
    assert client("HEAD", bucket + "/a").headers["x-amz-meta-name"] == "=?UTF-8?B?w7xtbMOkdXQ=?="


def test_nothing_is_restored_that_is_in_no_archive(client, bucket):
    client.put(bucket + "/a", b"one", {"x-amz-storage-class": "GLACIER_IR"})
    body = b"<RestoreRequest><Days>1</Days></RestoreRequest>"
    response = client("POST", bucket + "/a", {"restore": ""}, body=body)
    assert (response.status, response.error_code) == (403, "InvalidObjectState")
    assert client("POST", bucket + "/b", {"restore": ""}, body=body).error_code == "NoSuchKey"
    assert client("GET", bucket + "/a").body == b"one"


def test_a_put_replaces_everything(client, bucket):
    client.put(bucket + "/a", b"one", {"x-amz-meta-a": "1", "Content-Type": "a/b"})
    client.put(bucket + "/a", b"two")
    headers = client("HEAD", bucket + "/a").headers
    assert "x-amz-meta-a" not in headers
    assert headers["content-type"] == "binary/octet-stream"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-MD5": base64.b64encode(b"x" * 16).decode()}, 400, "BadDigest"),
        ({"Content-MD5": "x"}, 400, "InvalidDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, 400, "BadDigest"),
        ({"x-amz-acl": "public-read"}, 400, "AccessControlListNotSupported"),
        ({"x-amz-server-side-encryption": "AES256"}, 501, "NotImplemented"),
        ({"x-amz-tagging": "a=b&a=b"}, 400, "InvalidArgument"),
        ({"x-amz-tagging": "aws:a=b"}, 400, "InvalidTag"),
        ({"x-amz-storage-class": "GLACIER"}, 400, "InvalidStorageClass"),
        ({"x-amz-meta-a": "x" * 2048}, 400, "MetadataTooLarge"),
        ({"x-amz-object-lock-mode": "COMPLIANCE"}, 400, "InvalidRequest"),
        ({"x-amz-expected-bucket-owner": "123456789012"}, 403, "AccessDenied"),
        ({"If-None-Match": "*"}, 412, "PreconditionFailed"),
        ({"If-Match": '"x"'}, 412, "PreconditionFailed"),
        ({"If-None-Match": '"149603e6c03516362a8da23f624db945"'}, 412, "PreconditionFailed"),
        ({"If-None-Match": '"x", "y"'}, 501, "NotImplemented"),
        ({"If-Unmodified-Since": "Sun, 06 Nov 2044 08:49:37 GMT"}, 501, "NotImplemented"),
    ],
)
def test_a_refused_put_keeps_the_old_object(daemon, client, bucket, headers, status, code):
    client.put(bucket + "/a", b"old")
    response = client("PUT", bucket + "/a", headers=headers, body=b"hello")
    assert (response.status, response.error_code) == (status, code)
    assert client("GET", bucket + "/a").body == b"old"
    assert daemon.temporary_files() == []


def test_conditions_that_hold_let_a_put_through(client, bucket):
    etag = client("PUT", bucket + "/a", headers={"If-None-Match": "*"}, body=b"1").headers["etag"]
    assert client("PUT", bucket + "/a", headers={"If-Match": etag}, body=b"2").status == 200
    assert client("PUT", bucket + "/a", headers={"If-Match": etag}, body=b"3").status == 412
    assert client("PUT", bucket + "/b", headers={"If-Match": "*"}, body=b"3").error_code == "NoSuchKey"


def test_a_checksum_is_verified_kept_and_told_when_asked_for(client, bucket):
    response = client("PUT", bucket + "/a", headers={"x-amz-checksum-crc32": CRC_HELLO}, body=b"hello")
    assert response.headers["x-amz-checksum-crc32"] == CRC_HELLO
    assert response.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    asked = {"x-amz-checksum-mode": "ENABLED"}
    for method in ("GET", "HEAD"):
        assert client(method, bucket + "/a", headers=asked).headers["x-amz-checksum-crc32"] == CRC_HELLO
        assert "x-amz-checksum-crc32" not in client(method, bucket + "/a").headers
        for other, status in (({"Range": "bytes=0-1"}, 206), ({"If-None-Match": "*"}, 304)):
            response = client(method, bucket + "/a", headers={**asked, **other})
            assert response.status == status
            assert not [name for name in response.headers if name.startswith("x-amz-checksum")]
    contents = parse(client("GET", bucket)).find("Contents")
    assert (contents.findtext("ChecksumAlgorithm"), contents.findtext("ChecksumType")) == ("CRC32", "FULL_OBJECT")


def test_a_body_needs_a_length(client, bucket):
    target, headers = client.signed("PUT", bucket + "/a")
    assert client.connection.request("PUT", target, headers).error_code == "MissingContentLength"


def test_a_body_in_chunks_has_the_length_it_turns_out_to_have(daemon, client, bucket, monkeypatch):
    def send(body):
        target, headers = client.signed("PUT", bucket + "/a", body=b"".join(body))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in body) + b"0\r\n\r\n"
        client.connection.send(raw("PUT", target, {**headers, "Transfer-Encoding": "chunked"}) + chunks)
        return client.connection.receive()

    assert send([b"one", b"two"]).status == 200
    assert client("GET", bucket + "/a").body == b"onetwo"
    monkeypatch.setattr(objects, "MAX_PUT_SIZE", 10)
    assert send([b"eleven", b"bytes"]).error_code == "EntityTooLarge"
    assert daemon.client()("GET", bucket + "/a").body == b"onetwo"


def test_more_than_5_gib_at_once_is_refused_before_it_is_sent(client, bucket):
    length = 5 * 1024**3 + 1
    target, headers = client.signed("PUT", bucket + "/a")
    client.connection.send(raw("PUT", target, {**headers, "Content-Length": str(length), "Expect": "100-continue"}))
    response = client.connection.receive()
    assert (response.status, response.error_code) == (400, "EntityTooLarge")


def raw(method, target, headers):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode()


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/absent/a", {}, 404), ("/photos/a", {"x-amz-acl": "public-read"}, 400)],
)
def test_a_put_that_cannot_succeed_is_refused_before_its_body(client, bucket, path, headers, status):
    """The client waits for 100 Continue and never sends a byte."""
    target, headers = client.signed("PUT", path, headers=headers)
    client.connection.send(raw("PUT", target, {**headers, "Content-Length": "1000", "Expect": "100-continue"}))
    assert client.connection.receive().status == status
    assert not client.connection.open


def test_an_upload_that_breaks_off_leaves_nothing(daemon, client, bucket):
    client.put(bucket + "/a", b"old")
    target, headers = client.signed("PUT", bucket + "/a")
    client.connection.send(raw("PUT", target, {**headers, "Content-Length": "3000000"}) + b"x" * 1_000_000)
    assert daemon.temporary_files() != []
    client.connection.hang_up()
    assert daemon.temporary_files() == []
    assert daemon.client()("GET", bucket + "/a").body == b"old"


def test_a_large_body_arrives_whole(daemon, client, bucket):
    body = bytes(range(256)) * 8192
    client.put(bucket + "/a", body)
    assert client("GET", bucket + "/a").body == body
    assert daemon.temporary_files() == []


def test_deleting_what_is_not_there_succeeds(client, bucket):
    response = client("DELETE", bucket + "/a")
    assert (response.status, response.body) == (204, b"")
    assert client("DELETE", "/absent/a").error_code == "NoSuchBucket"


def test_a_delete_may_have_a_condition(client, bucket):
    etag = client("PUT", bucket + "/a", body=b"1").headers["etag"]
    assert client("DELETE", bucket + "/a", headers={"If-Match": '"x"'}).status == 412
    assert client("DELETE", bucket + "/a", headers={"x-amz-if-match-size": "2"}).status == 412
    assert client("DELETE", bucket + "/a", headers={"If-Match": etag, "x-amz-if-match-size": "1"}).status == 204
    assert client("HEAD", bucket + "/a").status == 404


def test_the_only_version_is_called_null(client, bucket):
    client.put(bucket + "/a", b"x")
    assert client("GET", bucket + "/a", {"versionId": "null"}).body == b"x"
    assert client("GET", bucket + "/a", {"versionId": "v" * 32}).error_code == "NoSuchVersion"
    assert client("HEAD", bucket + "/a", {"versionId": "v" * 32}).status == 404
    for wrong in ("", "x", "../../a"):
        assert client("GET", bucket + "/a", {"versionId": wrong}).error_code == "InvalidArgument"
        assert client("DELETE", bucket + "/a", {"versionId": wrong}).error_code == "InvalidArgument"
    assert client("DELETE", bucket + "/a", {"versionId": "v" * 32}).status == 204
    assert client("GET", bucket + "/a").status == 200
    assert client("DELETE", bucket + "/a", {"versionId": "null"}).status == 204
    assert client("GET", bucket + "/a").status == 404


# Virtual hosts


def test_the_host_may_name_the_bucket(tmp_path):
    daemon = Daemon(tmp_path, domains=["s3.home.lan"])
    plain, virtual = daemon.client(host="s3.home.lan:9000"), daemon.client(host="photos.s3.home.lan:9000")
    assert virtual("PUT", "/").status == 200
    virtual.put("/a/b", b"x")
    assert plain("GET", "/photos/a/b").body == b"x"
    assert virtual("GET", "/a/b").body == b"x"
    virtual.put("//", b"slash")
    assert plain("GET", "/photos//").body == b"slash" == virtual("GET", "//").body
    assert parse(virtual("GET", "/", {"list-type": "2"})).findtext("Name") == "photos"
    assert parse(plain("GET", "/")).tag == "ListAllMyBucketsResult"
    assert virtual("DELETE", "/a/b").status == virtual("DELETE", "//").status == virtual("DELETE", "/").status == 204
