"""Additional checksums: of objects and parts, sent, computed, told."""

import base64
import itertools
import os

import pytest

from tests.wire.daemon import parse, texts
from tests.wire.test_operations_deletes import document
from tests.wire.test_operations_uploads import FIRST, LAST, complete, part, put_part, start
from zs3 import checksums
from zs3.checksums import ALGORITHMS, COMPOSITE, FULL_OBJECT
from zs3.store.records import ATTRIBUTE

MODE = {"x-amz-checksum-mode": "ENABLED"}
TYPES = [(algorithm, kind) for algorithm in ALGORITHMS for kind in checksums.types(algorithm)]


def value_of(algorithm, *pieces):
    hasher = checksums.new(algorithm)
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()


def text_of(algorithm, *pieces):
    return base64.b64encode(value_of(algorithm, *pieces)).decode()


def told(response):
    """The checksums that an answer tells, and their type."""
    return {
        name.removeprefix("x-amz-checksum-"): value
        for name, value in response.headers.items()
        if name.startswith("x-amz-checksum-")
    }


def whole_of(algorithm, kind):
    if kind == FULL_OBJECT:
        return text_of(algorithm, FIRST, LAST)
    return text_of(algorithm, value_of(algorithm, FIRST), value_of(algorithm, LAST)) + "-2"


@pytest.fixture
def path(bucket):
    return bucket + "/key"


# Objects


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_is_verified_kept_and_told(client, path, algorithm):
    name, text = algorithm.lower(), text_of(algorithm, b"content")
    expected = {name: text, "type": "FULL_OBJECT"}
    sent = {f"x-amz-checksum-{name}": text, "x-amz-sdk-checksum-algorithm": algorithm}
    assert told(client.put(path, b"content", sent)) == expected
    for method in ("GET", "HEAD"):
        assert told(client(method, path)) == {}
        assert told(client(method, path, headers=MODE)) == expected
        assert told(client(method, path, {"partNumber": "1"}, MODE)) == expected
        assert told(client(method, path, headers={**MODE, "Range": "bytes=0-"})) == {}
    wrong = client("PUT", path, headers={f"x-amz-checksum-{name}": text_of(algorithm, b"x")}, body=b"other")
    assert (wrong.status, wrong.error_code) == (400, "BadDigest")
    # What is no value at all is another error, as on S3.
    wrong = client("PUT", path, headers={f"x-amz-checksum-{name}": "bad"}, body=b"other")
    assert (wrong.status, wrong.error_code) == (400, "InvalidRequest")
    assert client("GET", path).body == b"content"


def test_an_object_without_a_checksum_is_given_one(daemon, client, path):
    expected = {"crc64nvme": text_of("CRC64NVME", b"content"), "type": "FULL_OBJECT"}
    assert told(client.put(path, b"content")) == expected
    assert told(client("HEAD", path, headers=MODE)) == expected
    # Still inside the inode.
    assert len(os.getxattr(f"{daemon.data}{path}", ATTRIBUTE)) <= 68


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_copy_has_the_checksum_that_is_asked_for(client, bucket, path, algorithm):
    client.put(path, b"content")
    source = {"x-amz-copy-source": path}
    root = parse(client("PUT", bucket + "/same", headers=source))
    assert root.findtext("ChecksumCRC64NVME") == text_of("CRC64NVME", b"content")
    root = parse(client("PUT", bucket + "/other", headers={**source, "x-amz-checksum-algorithm": algorithm}))
    assert root.findtext("Checksum" + algorithm) == text_of(algorithm, b"content")
    assert root.findtext("ChecksumType") == "FULL_OBJECT"
    assert told(client("HEAD", bucket + "/other", headers=MODE))[algorithm.lower()] == text_of(algorithm, b"content")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_to_be_deleted_is_verified(client, bucket, path, algorithm):
    client.put(path)
    body = document("<Key>key</Key>")
    header = f"x-amz-checksum-{algorithm.lower()}"
    response = client("POST", bucket, {"delete": ""}, {header: text_of(algorithm, b"x")}, body)
    assert (response.status, response.error_code) == (400, "BadDigest")
    assert client("HEAD", path).status == 200
    response = client("POST", bucket, {"delete": ""}, {header: text_of(algorithm, body)}, body)
    assert texts(parse(response), "Deleted/Key") == ["key"]


# Objects of parts


@pytest.mark.parametrize(("algorithm", "kind"), TYPES)
def test_an_upload_with_a_checksum(client, path, algorithm, kind):
    element, header = "Checksum" + algorithm, "x-amz-checksum-" + algorithm.lower()
    upload = start(client, path, {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind})
    parts = []
    for number, body in enumerate((FIRST, LAST), 1):
        text = text_of(algorithm, body)
        etag = put_part(client, path, upload, number, body, {header: text})
        parts.append(part(number, etag, f"<{element}>{text}</{element}>"))
    listed = parse(client("GET", path, {"uploadId": upload}))
    assert (listed.findtext("ChecksumAlgorithm"), listed.findtext("ChecksumType")) == (algorithm, kind)
    assert texts(listed, f"Part/{element}") == [text_of(algorithm, FIRST), text_of(algorithm, LAST)]

    whole = whole_of(algorithm, kind)
    other = COMPOSITE if kind == FULL_OBJECT else FULL_OBJECT
    for wrong in ({header: text_of(algorithm, b"x")}, {header: whole, "x-amz-checksum-type": other}):
        response = complete(client, path, upload, *parts, headers=wrong)
        assert (response.status, response.error_code) == (400, "BadDigest")
    right = {header: whole, "x-amz-checksum-type": kind, "x-amz-mp-object-size": str(len(FIRST + LAST))}
    for _ in range(2):
        root = parse(complete(client, path, upload, *parts, headers=right))
        assert (root.findtext(element), root.findtext("ChecksumType")) == (whole, kind)

    assert told(client("HEAD", path, headers=MODE)) == {algorithm.lower(): whole, "type": kind}
    for (number, body), method in itertools.product(enumerate((FIRST, LAST), 1), ("GET", "HEAD")):
        response = client(method, path, {"partNumber": str(number)}, MODE)
        assert response.status == 206
        assert told(response) == {algorithm.lower(): text_of(algorithm, body), "type": kind}
        assert told(client(method, path, {"partNumber": str(number)})) == {}


@pytest.mark.parametrize("sent", ["", "CRC64NVME", "CRC32", "SHA256"])
def test_an_upload_without_one_is_given_that_of_the_whole(client, path, sent):
    """Whatever its parts are verified by; those that send none are told what was found."""
    upload = start(client, path)
    parts = []
    for number, body in enumerate((FIRST, LAST), 1):
        query = {"uploadId": upload, "partNumber": str(number)}
        headers = {f"x-amz-checksum-{sent.lower()}": text_of(sent, body)} if sent else {}
        response = client("PUT", path, query, headers, body)
        name = sent or "CRC64NVME"
        assert told(response) == {name.lower(): text_of(name, body)}
        parts.append(part(number, response.headers["etag"], f"<Checksum{name}>{text_of(name, body)}</Checksum{name}>"))
    root = parse(complete(client, path, upload, *parts))
    expected = text_of("CRC64NVME", FIRST, LAST)
    assert (root.findtext("ChecksumCRC64NVME"), root.findtext("ChecksumType")) == (expected, "FULL_OBJECT")
    assert told(client("GET", path, headers=MODE)) == {"crc64nvme": expected, "type": "FULL_OBJECT"}
    response = client("GET", path, {"partNumber": "2"}, MODE)
    assert told(response) == {"crc64nvme": text_of("CRC64NVME", LAST), "type": "FULL_OBJECT"}


def test_a_copied_part_has_the_checksum_of_a_source_that_has_it(client, bucket, path):
    client.put(bucket + "/source", FIRST)
    upload = start(client, path)
    query = {"uploadId": upload, "partNumber": "1"}
    root = parse(client("PUT", path, query, {"x-amz-copy-source": bucket + "/source"}))
    assert root.findtext("ChecksumCRC64NVME") == text_of("CRC64NVME", FIRST)
    etags = [root.findtext("ETag"), put_part(client, path, upload, 2, LAST)]
    root = parse(complete(client, path, upload, part(1, etags[0]), part(2, etags[1])))
    assert root.findtext("ChecksumCRC64NVME") == text_of("CRC64NVME", FIRST, LAST)


def test_a_part_of_unknown_checksum_makes_no_checksum(client, bucket, path):
    """Nobody reads what is copied within the file system."""
    client.put(bucket + "/source", FIRST + LAST)
    upload = start(client, path)
    headers = {"x-amz-copy-source": bucket + "/source", "x-amz-copy-source-range": f"bytes=0-{len(FIRST) - 1}"}
    root = parse(client("PUT", path, {"uploadId": upload, "partNumber": "1"}, headers))
    assert "Checksum" not in str([element.tag for element in root])
    etags = [root.findtext("ETag"), put_part(client, path, upload, 2, LAST)]
    root = parse(complete(client, path, upload, part(1, etags[0]), part(2, etags[1])))
    assert "Checksum" not in str([element.tag for element in root])
    assert told(client("GET", path, {"partNumber": "2"}, MODE)) == {}
    assert client("GET", path).body == FIRST + LAST


def test_parts_with_checksums_are_numbered_from_1(client, path):
    upload = start(client, path, {"x-amz-checksum-algorithm": "CRC32"})
    etags = {number: put_part(client, path, upload, number, FIRST) for number in (1, 2, 3)}
    for numbers in ((2, 3), (1, 3), (2,)):
        response = complete(client, path, upload, *(part(number, etags[number]) for number in numbers))
        assert (response.status, response.error_code) == (400, "InvalidPartOrder")
    assert complete(client, path, upload, part(1, etags[1]), part(2, etags[2])).status == 200


def test_a_type_that_is_none_is_refused(client, path):
    upload = start(client, path)
    etag = put_part(client, path, upload, 1, LAST)
    response = complete(client, path, upload, part(1, etag), headers={"x-amz-checksum-type": "HALF"})
    assert (response.status, response.error_code) == (400, "InvalidRequest")
