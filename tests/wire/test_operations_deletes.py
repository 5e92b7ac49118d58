"""DeleteObjects."""

import base64
import hashlib
import zlib

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.wire.daemon import ADMIN, HOST, parse, texts


def document(*entries, quiet=False):
    objects = "".join(f"<Object>{entry}</Object>" for entry in entries)
    return f"<Delete>{'<Quiet>true</Quiet>' if quiet else ''}{objects}</Delete>".encode()


def test_objects_are_deleted_and_told_in_order(client, bucket):
    keys = [f"k{number}" for number in range(20)]
    for key in keys:
        client.put(f"{bucket}/{key}")
    response = client.post_xml(bucket, {"delete": ""}, document(*(f"<Key>{key}</Key>" for key in [*keys, "absent"])))
    assert response.status == 200
    assert texts(parse(response), "Deleted/Key") == [*keys, "absent"]
    assert parse(client("GET", bucket)).find("Contents") is None


def test_quiet_tells_failures_only(client, bucket):
    client.put(bucket + "/a")
    client.put(bucket + "/b")
    response = client.post_xml(
        bucket, {"delete": ""}, document("<Key>a</Key>", '<Key>b</Key><ETag>"x"</ETag>', quiet=True)
    )
    root = parse(response)
    assert root.find("Deleted") is None
    assert texts(root, "Error/Key") == ["b"]
    assert texts(root, "Error/Code") == ["PreconditionFailed"]
    assert client("HEAD", bucket + "/a").status == 404
    assert client("HEAD", bucket + "/b").status == 200


def test_each_entry_fails_by_itself(client, bucket):
    etag = client.put(bucket + "/a", b"123").headers["etag"]
    client.put(bucket + "/b", b"123")
    client.put(bucket + "/c", b"123")
    response = client.post_xml(
        bucket,
        {"delete": ""},
        document(
            f"<Key>a</Key><ETag>{etag}</ETag><Size>3</Size>",
            "<Key>b</Key><VersionId>other</VersionId>",
            "<Key>b</Key><Size>4</Size>",
            f"<Key>c</Key><VersionId>{'v' * 32}</VersionId>",
            f"<Key>{'k' * 1025}</Key>",
            "<Key>c</Key><VersionId>null</VersionId>",
        ),
    )
    root = parse(response)
    assert texts(root, "Deleted/Key") == ["a", "c", "c"]
    assert texts(root, "Deleted/VersionId") == ["v" * 32, "null"]
    assert texts(root, "Error/Code") == ["NoSuchVersion", "PreconditionFailed", "KeyTooLongError"]
    assert [client("HEAD", f"{bucket}/{key}").status for key in "abc"] == [404, 200, 404]


@pytest.mark.parametrize(
    ("key", "kept"), [("../../escaped", True), ("..", False), ("a/../b", False), (" ", False), ("&lt;", False)]
)
def test_a_key_is_a_key_and_no_path(daemon, client, bucket, key, kept):
    (daemon.data.parent / "escaped").write_bytes(b"precious")
    response = client.post_xml(bucket, {"delete": ""}, document(f"<Key>{key}</Key>"))
    assert len(parse(response).findall("Deleted")) == 1
    assert (daemon.data.parent / "escaped").read_bytes() == b"precious"
    assert client("HEAD", bucket).status == 200


def test_a_thousand_go_at_once(client, bucket):
    entries = [f"<Key>{number}</Key>" for number in range(1000)]
    response = client.post_xml(bucket, {"delete": ""}, document(*entries))
    assert len(parse(response).findall("Deleted")) == 1000
    response = client.post_xml(bucket, {"delete": ""}, document(*entries, "<Key>x</Key>"))
    assert (response.status, response.error_code) == (400, "MalformedXML")


def test_the_list_must_be_protected_on_its_way(client, bucket):
    client.put(bucket + "/a")
    body = document("<Key>a</Key>")
    crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    wrong_md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    for headers, code in (
        ({}, "InvalidRequest"),
        ({"Content-MD5": wrong_md5}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
    ):
        assert client("POST", bucket, {"delete": ""}, headers, body).error_code == code
    assert client("HEAD", bucket + "/a").status == 200
    assert client("POST", bucket, {"delete": ""}, {"x-amz-checksum-crc32": crc}, body).status == 200
    assert client("HEAD", bucket + "/a").status == 404


def test_too_long_a_list_is_refused_before_it_is_read(client, bucket):
    target, headers = client.signed("POST", bucket, {"delete": ""}, {"Content-MD5": "x" * 22 + "=="})
    lines = {**headers, "Content-Length": str(1 << 30), "Expect": "100-continue"}
    head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    client.connection.send(head.encode())
    response = client.connection.receive()
    assert (response.status, response.error_code) == (400, "MaxMessageLengthExceeded")


def test_of_a_missing_bucket_nothing_is_deleted(client):
    response = client.post_xml("/absent", {"delete": ""}, document("<Key>a</Key>"))
    assert (response.status, response.error_code) == (404, "NoSuchBucket")


def test_a_bug_fails_one_entry_and_tells_nothing(daemon, client, bucket, logged, monkeypatch):
    client.put(bucket + "/a")
    client.put(bucket + "/b")
    real = daemon.store.delete_object

    def broken(bucket, key, condition, **more):
        if key == "a":
            raise ZeroDivisionError("secret detail")
        return real(bucket, key, condition, **more)

    monkeypatch.setattr(daemon.store, "delete_object", broken)
    response = client.post_xml(bucket, {"delete": ""}, document("<Key>a</Key>", "<Key>b</Key>"))
    root = parse(response)
    assert (texts(root, "Error/Code"), texts(root, "Deleted/Key")) == (["InternalError"], ["b"])
    assert b"secret detail" not in response.body
    assert len(logged()) == 1


def test_a_list_in_tiny_frames_is_refused(client):
    """Each frame of aws-chunked takes time and room: five bytes of it for each of the document are too many."""
    client.put("/photos")
    document = b"<Delete>" + b"<Object><Key>k</Key></Object>" * 900 + b"</Delete>"
    assert len(document) > 20_000
    padded = document + b" " * (64 * 1024)
    framed = b"".join(b"1\r\n%c\r\n" % byte for byte in padded) + b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    headers = {
        "Host": HOST,
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": str(len(padded)),
        "Content-Encoding": "aws-chunked",
    }

    class Streaming(S3SigV4Auth):
        def payload(self, request):
            return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    request = AWSRequest("POST", f"http://{HOST}/photos?delete=", headers=headers)
    Streaming(Credentials(ADMIN.access_key, ADMIN.secret_key), "s3", "us-east-1").add_auth(request)
    response = client.connection.request("POST", "/photos?delete=", dict(request.headers.items()), framed)
    assert response.error_code == "MaxMessageLengthExceeded"
