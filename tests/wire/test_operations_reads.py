"""GET and HEAD: ranges, parts, conditions, overrides."""

import pytest

from tests.wire.daemon import parse

BODY = b"0123456789"


@pytest.fixture
def path(client, bucket):
    client.put(bucket + "/digits", BODY, {"Content-Type": "text/plain"})
    return bucket + "/digits"


@pytest.mark.parametrize(
    ("text", "content", "told"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=0-99", BODY, "bytes 0-9/10"),
    ],
)
def test_a_range_is_sent(client, path, text, content, told):
    response = client("GET", path, headers={"Range": text})
    assert (response.status, response.body) == (206, content)
    assert response.headers["content-range"] == told
    assert response.headers["content-length"] == str(len(content))
    head = client("HEAD", path, headers={"Range": text})
    assert (head.status, head.headers["content-range"]) == (206, told)
    assert head.headers["content-length"] == str(len(content))


@pytest.mark.parametrize("text", ["bytes=0-1,3-4", "bytes=5-2", "lines=0-1", "bytes=x", ""])
def test_what_is_no_single_range_gets_the_whole_object(client, path, text):
    response = client("GET", path, headers={"Range": text})
    assert (response.status, response.body) == (200, BODY)
    assert "content-range" not in response.headers


def test_a_range_beyond_the_end_is_not_satisfiable(client, path):
    response = client("GET", path, headers={"Range": "bytes=10-"})
    assert (response.status, response.error_code) == (416, "InvalidRange")
    assert response.headers["content-range"] == "bytes */10"
    assert response.element("ActualObjectSize") == "10"
    head = client("HEAD", path, headers={"Range": "bytes=10-"})
    assert (head.status, head.body) == (416, b"")


def test_an_empty_object_is_sent_whole_or_not_at_all(client, bucket):
    client.put(bucket + "/empty")
    response = client("GET", bucket + "/empty")
    assert (response.status, response.body, response.headers["content-length"]) == (200, b"", "0")
    assert client("GET", bucket + "/empty", headers={"Range": "bytes=0-"}).status == 416


def test_an_object_is_its_own_only_part(client, path):
    response = client("GET", path, {"partNumber": "1"})
    assert (response.status, response.body) == (206, BODY)
    assert "x-amz-mp-parts-count" not in response.headers
    assert client("GET", path, {"partNumber": "2"}).error_code == "InvalidPartNumber"
    assert client("GET", path, {"partNumber": "0"}).error_code == "InvalidArgument"
    both = client("GET", path, {"partNumber": "1"}, {"Range": "bytes=0-1"})
    assert both.error_code == "InvalidRequest"


def test_conditions_are_those_of_rfc_9110(client, path):
    response = client("GET", path)
    etag, modified = response.headers["etag"], response.headers["last-modified"]
    for headers, status in (
        ({"If-Match": etag}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Unmodified-Since": modified}, 200),
        ({"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 412),
        ({"If-Match": etag, "If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
        ({"If-None-Match": etag, "If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 304),
    ):
        for method in ("GET", "HEAD"):
            response = client(method, path, headers=headers)
            assert response.status == status, headers
            if status != 412:
                assert response.headers["etag"] == etag
            if status == 304:
                assert "content-length" not in response.headers
                assert "content-type" not in response.headers


def test_a_failed_condition_is_named(client, path):
    response = client("GET", path, headers={"If-Match": '"x"'})
    assert (response.error_code, response.element("Condition")) == ("PreconditionFailed", "If-Match")


def test_a_download_goes_on_only_with_the_same_object(client, path):
    etag = client("HEAD", path).headers["etag"]
    assert client("GET", path, headers={"Range": "bytes=5-", "If-Range": etag}).body == b"56789"
    assert client("GET", path, headers={"Range": "bytes=5-", "If-Range": '"other"'}).body == BODY


def test_a_signed_request_may_override_headers(client, path):
    query = {"response-content-type": "image/png", "response-content-disposition": 'attachment; filename="a b"'}
    response = client("GET", path, query)
    assert response.headers["content-type"] == "image/png"
    target = client.presigned("GET", path, query)
    assert client.connection.request("GET", target).headers["content-type"] == "image/png"


def test_an_override_cannot_split_the_response(client, path):
    response = client("GET", path, {"response-content-type": "a\r\nX-Evil: 1"})
    assert (response.status, response.error_code) == (400, "InvalidArgument")
    assert "x-evil" not in response.headers


def test_the_key_of_an_encrypted_object_does_not_apply(client, path):
    headers = {"x-amz-server-side-encryption-customer-algorithm": "AES256"}
    assert client("GET", path, headers=headers).error_code == "InvalidRequest"


def test_what_is_not_there_is_said_so(client, bucket):
    response = client("GET", bucket + "/a<b")
    assert (response.status, response.error_code, response.element("Key")) == (404, "NoSuchKey", "a&lt;b")
    head = client("HEAD", bucket + "/dir/")
    assert (head.status, head.body) == (404, b"")
    assert client("GET", "/absent/a").error_code == "NoSuchBucket"


def test_a_file_changed_by_others_is_a_new_object_at_once(daemon, client, path):
    before = client("HEAD", path).headers["etag"]
    (daemon.data / "photos" / "digits").write_bytes(b"changed!")
    response = client("GET", path)
    assert response.body == b"changed!"
    assert response.headers["etag"] != before


def test_the_reader_is_closed_whatever_the_answer(daemon, client, path):
    """No descriptor stays: neither after errors nor after 304."""
    import os

    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    client("GET", path)
    before = descriptors()
    for headers in ({"If-None-Match": "*"}, {"If-Match": '"x"'}, {"Range": "bytes=99-"}, {}):
        client("GET", path, headers=headers)
    client("GET", path, {"partNumber": "7"})
    assert descriptors() == before


def test_answers_are_exactly_application_xml(client, bucket, path):
    assert client("GET", bucket).headers["content-type"] == "application/xml"
    assert client("GET", bucket + "/absent").headers["content-type"] == "application/xml"
    assert parse(client("GET", bucket)).tag == "ListBucketResult"
