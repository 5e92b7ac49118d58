"""Multipart uploads."""

import base64
import hashlib
import zlib

import pytest
from twisted.internet.defer import Deferred

from tests.wire.daemon import OWNER_ID, Daemon, parse, texts
from tests.wire.hop import Hop

MIB = 1024 * 1024
FIRST, LAST = b"a" * (5 * MIB), b"the end"


def crc(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def start(client, path, headers=None):
    response = client("POST", path, {"uploads": ""}, headers)
    assert response.status == 200, response.body
    return parse(response).findtext("UploadId")


def put_part(client, path, upload, number, body, headers=None):
    response = client("PUT", path, {"partNumber": str(number), "uploadId": upload}, headers, body)
    assert response.status == 200, response.body
    return response.headers["etag"]


def part(number, etag, extra=""):
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{extra}</Part>"


def complete(client, path, upload, *parts, headers=None):
    document = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
    return client("POST", path, {"uploadId": upload}, headers, document)


@pytest.fixture
def path(bucket):
    return bucket + "/big file"


@pytest.fixture
def upload(client, path):
    return start(client, path, {"Content-Type": "a/b", "x-amz-meta-x": "y"})


def test_parts_become_an_object(client, bucket, path, upload):
    last = put_part(client, path, upload, 7, LAST)
    first = put_part(client, path, upload, 2, FIRST)
    assert client("HEAD", path).status == 404
    response = complete(client, path, upload, part(2, first), part(7, last))
    root = parse(response)
    digest = hashlib.md5(hashlib.md5(FIRST).digest() + hashlib.md5(LAST).digest()).hexdigest()
    assert root.tag == "CompleteMultipartUploadResult"
    assert root.findtext("ETag") == f'"{digest}-2"'
    assert root.findtext("Location") == "http://s3.test/photos/big%20file"
    assert (root.findtext("Bucket"), root.findtext("Key")) == ("photos", "big file")
    response = client("GET", path)
    assert response.body == FIRST + LAST
    assert response.headers["etag"] == f'"{digest}-2"'
    assert (response.headers["content-type"], response.headers["x-amz-meta-x"]) == ("a/b", "y")


def test_each_part_can_be_fetched(client, path, upload):
    etags = [put_part(client, path, upload, 1, FIRST), put_part(client, path, upload, 2, LAST)]
    complete(client, path, upload, part(1, etags[0]), part(2, etags[1]))
    response = client("GET", path, {"partNumber": "2"})
    assert (response.status, response.body) == (206, LAST)
    assert response.headers["x-amz-mp-parts-count"] == "2"
    assert response.headers["content-range"] == f"bytes {len(FIRST)}-{len(FIRST + LAST) - 1}/{len(FIRST + LAST)}"
    assert client("HEAD", path, {"partNumber": "1"}).headers["content-length"] == str(len(FIRST))
    response = client("GET", path, {"partNumber": "3"})
    assert (response.status, response.error_code, response.element("ActualPartCount")) == (
        416,
        "InvalidPartNumber",
        "2",
    )


def test_completing_again_gives_the_same_answer(client, path, upload):
    etag = put_part(client, path, upload, 1, LAST)
    first, second = (complete(client, path, upload, part(1, etag)) for _ in range(2))
    assert (first.status, second.status) == (200, 200)
    assert parse(first).findtext("ETag") == parse(second).findtext("ETag")


def test_a_part_sent_again_replaces_the_old_one(client, path, upload):
    old = put_part(client, path, upload, 1, b"old")
    new = put_part(client, path, upload, 1, b"new")
    assert complete(client, path, upload, part(1, old)).error_code == "InvalidPart"
    assert complete(client, path, upload, part(1, new)).status == 200
    assert client("GET", path).body == b"new"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([part(1, "0" * 32)], "InvalidPart"),
        ([part(3, "{0}")], "InvalidPart"),
        ([part(2, "{1}"), part(1, "{0}")], "InvalidPartOrder"),
        ([part(1, "{0}"), part(1, "{0}")], "InvalidPartOrder"),
        ([part(1, "{0}"), part(2, "{1}")], "EntityTooSmall"),
        ([], "MalformedXML"),
        (["<Part/>"], "MalformedXML"),
    ],
)
def test_a_wrong_completion_leaves_the_upload(client, path, upload, parts, code):
    etags = [put_part(client, path, upload, 1, b"small"), put_part(client, path, upload, 2, LAST)]
    response = complete(client, path, upload, *(each.format(*etags) for each in parts))
    assert (response.status, response.error_code) == (400, code)
    assert client("HEAD", path).status == 404
    assert complete(client, path, upload, part(2, etags[1])).status == 200


def test_an_aborted_upload_is_gone(client, path, upload):
    etag = put_part(client, path, upload, 1, LAST)
    query = {"uploadId": upload}
    assert client("DELETE", path, query).status == 204
    for response in (
        client("DELETE", path, query),
        client("GET", path, query),
        client("PUT", path, {**query, "partNumber": "1"}, body=b"x"),
        complete(client, path, upload, part(1, etag)),
    ):
        assert (response.status, response.error_code) == (404, "NoSuchUpload")


def test_an_upload_belongs_to_its_key(client, bucket, path, upload):
    assert client("GET", bucket + "/other", {"uploadId": upload}).error_code == "NoSuchUpload"
    response = client("PUT", bucket + "/other", {"uploadId": upload, "partNumber": "1"}, body=b"x")
    assert response.error_code == "NoSuchUpload"


@pytest.mark.parametrize("upload_id", ["", "..", "../../etc", "x" * 500, "a/b", "\x01"])
def test_an_upload_id_nobody_gave_is_no_upload(client, path, upload, upload_id):
    assert client("GET", path, {"uploadId": upload_id}).error_code == "NoSuchUpload"
    response = client("PUT", path, {"uploadId": upload_id, "partNumber": "1"}, body=b"x")
    assert response.error_code == "NoSuchUpload"
    assert client("DELETE", path, {"uploadId": upload_id}).error_code == "NoSuchUpload"


@pytest.mark.parametrize("number", ["0", "-1", "10001", "1.5", "", "x", "../1"])
def test_a_part_number_is_1_to_10000(client, path, upload, number):
    response = client("PUT", path, {"uploadId": upload, "partNumber": number}, body=b"x")
    assert (response.status, response.error_code) == (400, "InvalidArgument")


def test_a_damaged_part_is_not_kept(daemon, client, path, upload):
    query = {"uploadId": upload, "partNumber": "1"}
    for headers, code in (
        ({"Content-MD5": base64.b64encode(b"x" * 16).decode()}, "BadDigest"),
        ({"x-amz-checksum-crc32": crc(b"other")}, "BadDigest"),
        ({"x-amz-server-side-encryption-customer-algorithm": "AES256"}, "NotImplemented"),
    ):
        assert client("PUT", path, query, headers, b"x").error_code == code
    assert parse(client("GET", path, {"uploadId": upload})).find("Part") is None
    assert daemon.temporary_files() == []


def test_a_completion_may_have_a_condition(client, path, upload):
    client.put(path, b"old")
    etag = put_part(client, path, upload, 1, LAST)
    response = complete(client, path, upload, part(1, etag), headers={"If-None-Match": "*"})
    assert (response.status, response.error_code) == (412, "PreconditionFailed")
    old = client("HEAD", path).headers["etag"]
    assert complete(client, path, upload, part(1, etag), headers={"If-Match": old}).status == 200


def test_the_size_that_is_stated_must_be_right(client, path, upload):
    etag = put_part(client, path, upload, 1, LAST)
    for size in ("6", "x", "-7"):
        response = complete(client, path, upload, part(1, etag), headers={"x-amz-mp-object-size": size})
        assert (response.status, response.error_code) == (400, "InvalidRequest")
    response = complete(client, path, upload, part(1, etag), headers={"x-amz-mp-object-size": str(len(LAST))})
    assert response.status == 200


# Checksums


def test_a_composite_checksum(client, path):
    upload = start(client, path, {"x-amz-checksum-algorithm": "CRC32"})
    etags = []
    for number, body in ((1, FIRST), (2, LAST)):
        query = {"uploadId": upload, "partNumber": str(number)}
        response = client("PUT", path, query, {"x-amz-checksum-crc32": crc(body)}, body)
        assert response.headers["x-amz-checksum-crc32"] == crc(body)
        etags.append(response.headers["etag"])
    whole = crc(base64.b64decode(crc(FIRST)) + base64.b64decode(crc(LAST))) + "-2"
    parts = [
        part(number, etag, f"<ChecksumCRC32>{crc(body)}</ChecksumCRC32>")
        for number, etag, body in zip((1, 2), etags, (FIRST, LAST), strict=True)
    ]
    for wrong in ("bad", crc(b"x") + "-2"):
        response = complete(client, path, upload, *parts, headers={"x-amz-checksum-crc32": wrong})
        assert (response.status, response.error_code) == (400, "BadDigest")
    root = parse(complete(client, path, upload, *parts, headers={"x-amz-checksum-crc32": whole}))
    assert (root.findtext("ChecksumCRC32"), root.findtext("ChecksumType")) == (whole, "COMPOSITE")
    head = client("HEAD", path, headers={"x-amz-checksum-mode": "ENABLED"}).headers
    assert (head["x-amz-checksum-crc32"], head["x-amz-checksum-type"]) == (whole, "COMPOSITE")


def test_a_checksum_of_the_full_object(client, path):
    upload = start(client, path, {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"})
    # The server computes what the client does not send.
    etags = [put_part(client, path, upload, 1, FIRST), put_part(client, path, upload, 2, LAST)]
    root = parse(complete(client, path, upload, part(1, etags[0]), part(2, etags[1])))
    assert (root.findtext("ChecksumCRC32"), root.findtext("ChecksumType")) == (crc(FIRST + LAST), "FULL_OBJECT")


def test_an_object_has_one_checksum(client, path, upload):
    etag = put_part(client, path, upload, 1, LAST)
    headers = {"x-amz-checksum-crc32": crc(LAST), "x-amz-checksum-crc32c": crc(LAST)}
    assert complete(client, path, upload, part(1, etag), headers=headers).error_code == "InvalidRequest"


def test_a_part_with_another_algorithm_is_refused(client, path):
    upload = start(client, path, {"x-amz-checksum-algorithm": "SHA256"})
    response = client("PUT", path, {"uploadId": upload, "partNumber": "1"}, {"x-amz-checksum-crc32": crc(b"x")}, b"x")
    assert (response.status, response.error_code) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("CRC7", ""), ("", "COMPOSITE"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC32", "OTHER")],
)
def test_a_checksum_that_cannot_be_is_refused(client, path, algorithm, kind):
    headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    assert client("POST", path, {"uploads": ""}, headers).error_code == "InvalidRequest"


def test_the_choice_of_checksum_is_told(client, bucket, path):
    response = client("POST", path, {"uploads": ""}, {"x-amz-checksum-algorithm": "crc64nvme"})
    assert response.headers["x-amz-checksum-algorithm"] == "CRC64NVME"
    assert response.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    entry = parse(client("GET", bucket, {"uploads": ""})).find("Upload")
    assert (entry.findtext("ChecksumAlgorithm"), entry.findtext("ChecksumType")) == ("CRC64NVME", "FULL_OBJECT")


# Listings


def test_parts_are_listed_in_pages(client, path, upload):
    for number in (1, 3, 10):
        put_part(client, path, upload, number, b"x" * number)
    root = parse(client("GET", path, {"uploadId": upload, "max-parts": "2"}))
    assert texts(root, "Part/PartNumber") == ["1", "3"]
    assert texts(root, "Part/Size") == ["1", "3"]
    assert (root.findtext("IsTruncated"), root.findtext("NextPartNumberMarker")) == ("true", "3")
    assert (root.findtext("Bucket"), root.findtext("Key"), root.findtext("UploadId")) == ("photos", "big file", upload)
    assert root.findtext("Initiator/ID") == root.findtext("Owner/ID") == OWNER_ID
    root = parse(client("GET", path, {"uploadId": upload, "part-number-marker": "3", "encoding-type": "url"}))
    assert texts(root, "Part/PartNumber") == ["10"]
    assert root.findtext("IsTruncated") == "false"
    assert root.findtext("Key") == "big%20file"
    assert client("GET", path, {"uploadId": upload, "max-parts": "x"}).error_code == "InvalidArgument"


def test_uploads_are_listed_in_pages_and_by_prefix(client, bucket):
    ids = {}
    for key in ("a", "b/1", "b/2", "c d"):
        ids[key] = start(client, f"{bucket}/{key}")
    root = parse(client("GET", bucket, {"uploads": ""}))
    assert texts(root, "Upload/Key") == list(ids)
    assert texts(root, "Upload/UploadId") == list(ids.values())
    root = parse(client("GET", bucket, {"uploads": "", "delimiter": "/", "encoding-type": "url"}))
    assert (texts(root, "Upload/Key"), texts(root, "CommonPrefixes/Prefix")) == (["a", "c%20d"], ["b/"])
    found, query = [], {"uploads": "", "max-uploads": "1"}
    while True:
        root = parse(client("GET", bucket, query))
        found += texts(root, "Upload/Key")
        if root.findtext("IsTruncated") == "false":
            break
        query["key-marker"] = root.findtext("NextKeyMarker")
        query["upload-id-marker"] = root.findtext("NextUploadIdMarker")
    assert found == list(ids)
    assert texts(parse(client("GET", bucket, {"uploads": "", "prefix": "b/"})), "Upload/Key") == ["b/1", "b/2"]


# What takes long


@pytest.fixture
def slow(tmp_path):
    """A daemon whose store can be stopped for a while, with an upload of one part."""
    # A look at the upload goes before what takes long.
    hop = Hop("get_upload")
    daemon = Daemon(tmp_path, hop=hop)
    client = daemon.client()
    client.put("/photos")
    upload = start(client, "/photos/big")
    etag = put_part(client, "/photos/big", upload, 1, LAST)
    yield daemon, hop, client, upload, etag
    daemon.stop()


def send_complete(client, upload, *parts):
    document = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
    target, headers = client.signed("POST", "/photos/big", {"uploadId": upload}, body=document)
    lines = {**headers, "Content-Length": str(len(document))}
    head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    client.connection.send(head.encode("latin-1") + document)


def test_a_long_completion_keeps_the_client_alive(slow):
    daemon, hop, client, upload, etag = slow
    hop.held = True
    send_complete(client, upload, part(1, etag))
    daemon.server.clock.advance(9)
    assert client.connection.received() == b""
    daemon.server.clock.advance(1)
    assert client.connection.received().startswith(b"HTTP/1.1 200 OK\r\n")
    before = len(client.connection.received())
    daemon.server.clock.advance(10)
    assert len(client.connection.received()) > before
    hop.release()
    response = client.connection.receive()
    assert response.status == 200
    assert b"?>\n <CompleteMultipartUploadResult" in response.body
    assert parse(response).findtext("Key") == "big"
    daemon.server.clock.advance(20)
    assert client.connection.received() == b""
    assert client("GET", "/photos/big").body == LAST


def test_a_late_failure_is_told_in_the_body(slow):
    daemon, hop, client, upload, _ = slow
    hop.held = True
    send_complete(client, upload, part(1, "0" * 32))
    daemon.server.clock.advance(10)
    hop.release()
    response = client.connection.receive()
    assert response.status == 200
    root = parse(response)
    assert (root.tag, root.findtext("Code")) == ("Error", "InvalidPart")
    assert root.findtext("RequestId") == response.headers["x-amz-request-id"]
    assert client("HEAD", "/photos/big").status == 404


def test_a_late_bug_is_an_internal_error_in_the_body(slow, logged, monkeypatch):
    daemon, _, client, upload, etag = slow
    failing = Deferred()
    monkeypatch.setattr(daemon.store, "complete_upload", lambda *_, **__: failing)
    send_complete(client, upload, part(1, etag))
    daemon.server.clock.advance(10)
    failing.errback(ZeroDivisionError("secret detail"))
    response = client.connection.receive()
    assert parse(response).findtext("Code") == "InternalError"
    assert b"secret detail" not in response.body
    assert len(logged()) == 1


def test_a_completion_is_finished_although_its_client_went(slow):
    daemon, hop, client, upload, etag = slow
    hop.held = True
    send_complete(client, upload, part(1, etag))
    daemon.server.clock.advance(10)
    client.connection.hang_up()
    daemon.server.clock.advance(30)
    hop.release()
    assert daemon.client()("GET", "/photos/big").body == LAST
