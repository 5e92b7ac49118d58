"""The operations that configure a lifecycle, and what other answers tell of it."""

import base64
import calendar
import hashlib
import re
import time

import pytest

from tests.wire.daemon import ADMIN, READER, WRITER, Daemon, parse, texts
from zs3.lifecycle.evaluation import Day

QUERY = {"lifecycle": ""}
EXPIRE = "<Expiration><Days>3</Days></Expiration>"
MINIMUM = "x-amz-transition-default-minimum-object-size"


def document(*rules):
    return f"<LifecycleConfiguration>{''.join(rules)}</LifecycleConfiguration>".encode()


def rule(name="logs", about="<Filter><Prefix>logs/</Prefix></Filter>", actions=EXPIRE, status="Enabled"):
    return f"<Rule><ID>{name}</ID>{about}<Status>{status}</Status>{actions}</Rule>"


def md5(body):
    return {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}


def put(client, bucket, *rules, **headers):
    body = document(*rules)
    return client("PUT", bucket, QUERY, {**md5(body), **headers}, body)


@pytest.fixture
def configured(client, bucket):
    assert put(client, bucket, rule("a rule")).status == 200
    return bucket


def expiry(response):
    """When an object expires by an answer, in seconds since the epoch, and by which rule; None if it does not."""
    text = response.headers.get("x-amz-expiration")
    if text is None:
        return None
    date, name = re.fullmatch('expiry-date="([^"]+)", rule-id="([^"]+)"', text).groups()
    return calendar.timegm(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")), name


# What is configured


def test_what_was_put_is_got_until_it_is_deleted(client, bucket):
    response = put(client, bucket, rule("one"), rule("two", status="Disabled"))
    assert (response.status, response.body) == (200, b"")
    response = client("GET", bucket, QUERY)
    root = parse(response)
    assert root.tag == "LifecycleConfiguration"
    assert (texts(root, "Rule/ID"), texts(root, "Rule/Status")) == (["one", "two"], ["Enabled", "Disabled"])
    assert texts(root, "Rule/Filter/Prefix") == ["logs/", "logs/"]
    assert put(client, bucket, rule("three")).status == 200
    assert texts(parse(client("GET", bucket, QUERY)), "Rule/ID") == ["three"]
    for _ in range(2):
        assert client("DELETE", bucket, QUERY).status == 204
        response = client("GET", bucket, QUERY)
        assert (response.status, response.error_code) == (404, "NoSuchLifecycleConfiguration")
        assert response.element("BucketName") == "photos"


def test_the_minimum_size_of_what_is_moved_is_given_back(client, bucket):
    assert put(client, bucket, rule()).headers[MINIMUM] == "all_storage_classes_128K"
    assert client("GET", bucket, QUERY).headers[MINIMUM] == "all_storage_classes_128K"
    assert (
        put(client, bucket, rule(), **{MINIMUM: "varies_by_storage_class"}).headers[MINIMUM]
        == "varies_by_storage_class"
    )
    assert client("GET", bucket, QUERY).headers[MINIMUM] == "varies_by_storage_class"
    assert put(client, bucket, rule(), **{MINIMUM: "none"}).error_code == "InvalidRequest"


TRANSITION = "<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "MalformedXML"),
        (document(rule(status="enabled")), 400, "MalformedXML"),
        (document(rule(), rule()), 400, "InvalidArgument"),
        (document(rule(actions=EXPIRE + TRANSITION)), 501, "NotImplemented"),
        (document(rule(), "<!--" + " " * 524_288 + "-->"), 400, "MaxMessageLengthExceeded"),
    ],
)
def test_what_is_wrong_is_refused_and_what_stands_stays(client, configured, body, status, code):
    response = client("PUT", configured, QUERY, md5(body), body)
    assert (response.status, response.error_code) == (status, code)
    assert texts(parse(client("GET", configured, QUERY)), "Rule/ID") == ["a rule"]


def test_a_document_needs_a_checksum_that_is_right(client, configured):
    body = document(rule())
    assert client("PUT", configured, QUERY, {}, body).error_code == "InvalidRequest"
    assert client("PUT", configured, QUERY, md5(b"other"), body).error_code == "BadDigest"
    assert texts(parse(client("GET", configured, QUERY)), "Rule/ID") == ["a rule"]
    assert client("PUT", configured, QUERY, {"x-amz-checksum-crc32": "AAAAAA=="}, body).error_code == "BadDigest"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_of_no_bucket_nothing_is_configured(client, method):
    body = document(rule())
    response = client(method, "/absent", QUERY, md5(body), body if method == "PUT" else None)
    assert (response.status, response.error_code) == (404, "NoSuchBucket")


def test_only_who_may_write_configures(daemon, configured):
    reader = daemon.client(READER)
    assert reader("GET", configured, QUERY).status == 200
    assert put(reader, configured, rule()).error_code == "AccessDenied"
    assert reader("DELETE", configured, QUERY).error_code == "AccessDenied"
    assert daemon.client(WRITER)("DELETE", configured, QUERY).status == 204


def test_the_bucket_is_of_who_is_expected(client, configured):
    body = document(rule())
    for method in ("GET", "PUT", "DELETE"):
        headers = {**md5(body), "x-amz-expected-bucket-owner": "1" * 64}
        response = client(method, configured, QUERY, headers, body if method == "PUT" else b"")
        assert (response.status, response.error_code) == (403, "AccessDenied")


# What is told of it


def test_who_makes_or_reads_an_object_is_told_when_it_expires(daemon, client, configured):
    now = daemon.server.clock.seconds()
    answers = [
        client.put(configured + "/logs/a", b"content"),
        client("PUT", configured + "/logs/b", None, {"x-amz-copy-source": configured + "/logs/a"}),
        client("GET", configured + "/logs/a"),
        client("HEAD", configured + "/logs/a"),
        client("GET", configured + "/logs/a", None, {"Range": "bytes=0-1"}),
    ]
    upload = parse(client("POST", configured + "/logs/c", {"uploads": ""})).findtext("UploadId")
    part = client("PUT", configured + "/logs/c", {"uploadId": upload, "partNumber": "1"}, body=b"part")
    parts = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    answers.append(client("POST", configured + "/logs/c", {"uploadId": upload}, body=body))
    for response in answers:
        assert response.status in (200, 206)
        at, name = expiry(response)
        assert at % 86_400 == 0
        assert 3 * 86_400 <= at - now + 2 <= 4 * 86_400 + 4
        assert name == "a%20rule"


def test_nothing_is_told_of_what_does_not_expire(client, configured):
    assert expiry(client.put(configured + "/other", b"content")) is None
    assert expiry(client("GET", configured + "/other")) is None
    assert "x-amz-expiration" not in client("GET", configured, {"list-type": "2"}).headers
    client.put(configured + "/logs/a", b"content")
    put(client, configured, rule(status="Disabled"))
    assert expiry(client("GET", configured + "/logs/a")) is None
    client("DELETE", configured, QUERY)
    assert expiry(client("HEAD", configured + "/logs/a")) is None


def test_nothing_is_told_of_a_version_that_is_asked_for_nor_of_what_the_client_has(client, configured):
    status = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert client("PUT", configured, {"versioning": ""}, md5(status), status).status == 200
    old = client.put(configured + "/logs/a", b"old").headers["x-amz-version-id"]
    answer = client.put(configured + "/logs/a", b"new")
    for method in ("GET", "HEAD"):
        assert expiry(client(method, configured + "/logs/a")) is not None
        assert expiry(client(method, configured + "/logs/a", {"versionId": old})) is None
        response = client(method, configured + "/logs/a", None, {"If-None-Match": answer.headers["etag"]})
        assert (response.status, expiry(response)) == (304, None)


def test_tags_decide_as_they_are_now(client, bucket):
    tag = "<Tag><Key>keep</Key><Value>no</Value></Tag>"
    put(client, bucket, rule("tagged", f"<Filter>{tag}</Filter>"))
    assert expiry(client.put(bucket + "/key", b"content")) is None
    assert expiry(client.put(bucket + "/key", b"content", {"x-amz-tagging": "keep=no"})) is not None
    client("DELETE", bucket + "/key", {"tagging": ""})
    assert expiry(client("HEAD", bucket + "/key")) is None
    client("PUT", bucket + "/key", {"tagging": ""}, body=f"<Tagging><TagSet>{tag}</TagSet></Tagging>".encode())
    assert expiry(client("HEAD", bucket + "/key"))[1] == "tagged"


def test_who_uploads_in_parts_is_told_when_that_is_aborted(client, bucket):
    days = (
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
    )
    put(client, bucket, rule("abort", actions=days))
    response = client("POST", bucket + "/logs/a", {"uploads": ""})
    assert response.headers["x-amz-abort-rule-id"] == "abort"
    assert response.headers["x-amz-abort-date"].endswith(" 00:00:00 GMT")
    listed = client("GET", bucket + "/logs/a", {"uploadId": parse(response).findtext("UploadId")})
    assert listed.headers["x-amz-abort-date"] == response.headers["x-amz-abort-date"]
    assert "x-amz-abort-date" not in client("POST", bucket + "/other", {"uploads": ""}).headers


def test_damaged_rules_hinder_nobody_from_reading(daemon, client, configured):
    client.put(configured + "/logs/a", b"content")
    daemon.store.change_configuration("photos", lambda configuration: configuration.update(lifecycle="damaged"))
    response = client("GET", configured + "/logs/a")
    assert (response.body, expiry(response)) == (b"content", None)


def test_short_days_are_told_as_they_are(tmp_path):
    seen = []
    daemon = Daemon(tmp_path, lifecycle_day=Day(10), rules_seen=lambda: seen.append(True))
    client = daemon.client(ADMIN)
    client.put("/photos")
    client.put("/photos/logs/a", b"")
    assert not seen
    put(client, "/photos", rule())
    assert len(seen) == 1
    at, _ = expiry(client.put("/photos/logs/a", b"content"))
    assert 28 <= at - daemon.server.clock.seconds() <= 32
    assert len(seen) == 2
    client("GET", "/photos/logs/a")
    assert len(seen) == 3
    daemon.stop()
