"""PostObject: forms as browsers send them, through the guard to the store."""

import base64
import hashlib
import hmac
import zlib
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from tests.forms import CONTENT_TYPE, conditions_for, document, encode, end, form, part, signed
from tests.wire.daemon import ADMIN, READER, WRITER, Daemon, parse
from tests.wire.harness import EPOCH
from zs3.auth.accounts import canonical_id

MIB = 1024 * 1024
WRONG = replace(ADMIN, secret_key="something else")
UNKNOWN = replace(ADMIN, access_key="NOBODY")


def allowed(fields, *more, user=ADMIN, bucket="photos", **options):
    """The fields, signed, with a policy that allows just them."""
    return signed(fields, document([*conditions_for(fields, bucket), *more]), user, **options)


def post(daemon, fields, content=b"content", *, path="/photos", headers=None, connection=None, **options):
    """Send a form and receive the answer."""
    connection = connection or daemon.server.connect()
    headers = {"Content-Type": CONTENT_TYPE, **(headers or {})}
    return connection.request("POST", path, headers, form(fields, content, **options))


def head(*lines, length=None):
    """The head of a form's request, for bodies that are told byte by byte."""
    lines = ("POST /photos HTTP/1.1", "Host: s3.test", f"Content-Type: {CONTENT_TYPE}", *lines)
    if length is not None:
        lines += (f"Content-Length: {length}",)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def stored(daemon, bucket="photos"):
    """The names of the files in a bucket."""
    return sorted(str(path.relative_to(daemon.data / bucket)) for path in (daemon.data / bucket).rglob("*"))


@pytest.fixture(autouse=True)
def nothing_stays(daemon, bucket):
    """Whatever is answered, no temporary file is left behind."""
    yield
    assert daemon.temporary_files() == []


# What is stored


@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize("path", ["/photos", "/photos/"])
def test_a_signed_form_makes_an_object(daemon, client, v2, path):
    response = post(daemon, allowed({"key": "a/b c.txt"}, v2=v2), path=path)
    assert (response.status, response.body) == (204, b"")
    assert response.headers["etag"] == f'"{hashlib.md5(b"content").hexdigest()}"'
    assert response.headers["location"] == "http://s3.test/photos/a/b%20c.txt"
    assert (daemon.data / "photos" / "a" / "b c.txt").read_bytes() == b"content"
    assert client("HEAD", "/photos/a/b c.txt").headers["content-type"] == "binary/octet-stream"


def test_the_fields_are_stored_as_put_object_stores_headers(client, daemon):
    fields = {
        "Cache-Control": "max-age=60",
        "Content-Disposition": 'attachment; filename="größe.txt"',
        "Content-Encoding": "gzip",
        "Content-Type": "text/plain; charset=utf-8",
        "Expires": "Thu, 01 Dec 2033 16:00:00 GMT",
        "x-amz-meta-Colour": "größe ",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-website-redirect-location": "/other",
    }
    client.put("/photos/put", b"content", {**fields, "x-amz-acl": "private"})
    assert post(daemon, allowed({**fields, "acl": "private", "key": "post"})).status == 204
    one, other = (client("HEAD", f"/photos/{key}").headers for key in ("put", "post"))
    for headers in (one, other):
        for name in ("x-amz-request-id", "last-modified"):
            del headers[name]
    assert one == other
    assert other["x-amz-storage-class"] == "STANDARD_IA"


def test_the_tags_of_a_form_are_a_document_or_a_header_s_text(client, daemon):
    document = "<Tagging><TagSet><Tag><Key>ä b</Key><Value>1+2</Value></Tag></TagSet></Tagging>"
    for fields in ({"tagging": document}, {"x-amz-tagging": "%C3%A4%20b=1%2B2"}):
        assert post(daemon, allowed({"key": "k", **fields})).status == 204
        tags = parse(client("GET", "/photos/k", {"tagging": ""}))
        assert [(tag.findtext("Key"), tag.findtext("Value")) for tag in tags.iter("Tag")] == [("ä b", "1+2")]


def test_the_file_says_neither_its_type_nor_its_name(client, daemon):
    fields = allowed({"key": "k"})
    body = b"".join(part(*each) for each in fields.items())
    body += part("file", "<html>", filename="evil.html", more="Content-Type: text/html\r\n") + end()
    response = daemon.server.connect().request("POST", "/photos", {"Content-Type": CONTENT_TYPE}, body)
    assert response.status == 204
    assert client("HEAD", "/photos/k").headers["content-type"] == "binary/octet-stream"


def test_the_name_of_the_file_is_put_in_before_the_policy_is_asked(daemon):
    policy = document([{"bucket": "photos"}, ["starts-with", "$key", "user/ann/cat"]])
    fields = signed({"key": "user/ann/${filename}"}, policy, ADMIN)
    assert post(daemon, fields, filename="C:\\cats\\cat.jpg").status == 204
    assert post(daemon, fields, filename="dog.jpg").error_code == "AccessDenied"
    assert stored(daemon) == ["user", "user/ann", "user/ann/cat.jpg"]


def test_a_form_replaces_what_is_there(client, daemon):
    client.put("/photos/k", b"before")
    assert post(daemon, allowed({"key": "k"})).status == 204
    assert client("GET", "/photos/k").body == b"content"


def test_a_form_without_a_length_is_taken_as_a_put_is(daemon):
    body = form(allowed({"key": "k"}))
    connection = daemon.server.connect(segment=10)
    connection.send(head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    assert connection.receive().status == 204
    assert (daemon.data / "photos" / "k").read_bytes() == b"content"


@pytest.mark.parametrize("segment", [1, 7, 1000, 65536])
def test_a_form_may_come_in_any_pieces(daemon, segment):
    content = b"\r\n------WebKitFormBoundary" * 500
    response = post(daemon, allowed({"key": "k"}), content, connection=daemon.server.connect(segment=segment))
    assert response.status == 204
    assert (daemon.data / "photos" / "k").read_bytes() == content


def test_a_bucket_may_be_in_the_host(tmp_path, daemon):
    other = Daemon(daemon.data, domains=["s3.test"])
    response = post(other, allowed({"key": "a/b"}), path="/", headers={"Host": "photos.s3.test:9000"})
    other.stop()
    assert (response.status, response.headers["location"]) == (204, "http://photos.s3.test:9000/a/b")
    assert (daemon.data / "photos" / "a" / "b").read_bytes() == b"content"


def test_over_tls_the_location_says_so(daemon):
    response = post(daemon, allowed({"key": "k"}), connection=daemon.server.connect(secure=True))
    assert response.headers["location"] == "https://s3.test/photos/k"


# What is verified


def test_a_checksum_is_verified_stored_and_told(client, daemon):
    value = base64.b64encode(zlib.crc32(b"content").to_bytes(4, "big")).decode()
    fields = {"key": "k", "x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": value}
    response = post(daemon, allowed(fields))
    assert (response.status, response.headers["x-amz-checksum-crc32"]) == (204, value)
    assert (
        client("HEAD", "/photos/k", None, {"x-amz-checksum-mode": "ENABLED"}).headers["x-amz-checksum-crc32"] == value
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Content-MD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"Content-MD5": "no digest"}, "InvalidDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        ({"x-amz-checksum-sha256": "AAAAAA=="}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "A" * 27 + "="}, "InvalidRequest"),
        ({"x-amz-checksum-algorithm": "CRC32"}, "InvalidRequest"),
        ({"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": "AAAAAA=="}, "InvalidRequest"),
        ({"x-amz-checksum-nobody-knows": "AAAAAA=="}, "InvalidRequest"),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, "InvalidRequest"),
        ({"acl": "public-read"}, "AccessControlListNotSupported"),
        ({"acl": "nobody-knows"}, "InvalidArgument"),
        ({"x-amz-grant-read": "id=1"}, "AccessControlListNotSupported"),
        ({"tagging": "<Tagging/>"}, "MalformedXML"),
        ({"x-amz-tagging": "a=b&a=b"}, "InvalidArgument"),
        ({"x-amz-server-side-encryption": "AES256"}, "NotImplemented"),
        ({"x-amz-server-side-encryption-customer-algorithm": "AES256"}, "NotImplemented"),
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, "InvalidRequest"),
        ({"x-amz-storage-class": "GLACIER"}, "InvalidStorageClass"),
        ({"x-amz-website-redirect-location": "javascript:alert(1)"}, "InvalidRedirectLocation"),
        ({"x-amz-meta-a": "b" * 2048}, "MetadataTooLarge"),
        ({"x-amz-meta-a": "b\r\nx-evil: 1"}, "InvalidArgument"),
        ({"x-amz-meta-a b": "c"}, "InvalidArgument"),
        ({"x-amz-meta-ü": "c"}, "InvalidArgument"),
        ({"Content-Type": "text/plain\n"}, "InvalidArgument"),
    ],
)
def test_what_put_object_refuses_is_refused(client, daemon, fields, code):
    client.put("/photos/k", b"before")
    response = post(daemon, allowed({"key": "k", **fields}))
    assert response.error_code == code
    assert (daemon.data / "photos" / "k").read_bytes() == b"before"


@pytest.mark.parametrize(
    "header",
    [
        *({"If-None-Match": "*"}, {"If-Match": '"a"'}, {"If-Unmodified-Since": "Thu, 01 Dec 2033 16:00:00 GMT"}),
        *({"x-amz-acl": "public-read"}, {"x-amz-tagging": "a=b"}, {"x-amz-server-side-encryption": "AES256"}),
        *({"x-amz-meta-evil": "1"}, {"x-amz-storage-class": "STANDARD_IA"}, {"x-amz-copy-source": "photos/a"}),
    ],
)
def test_what_a_form_says_in_fields_no_header_says(daemon, header):
    """Nobody signed it, and it would be passed over."""
    assert post(daemon, allowed({"key": "k"}), headers=header).error_code == "NotImplemented"
    if any(name.startswith("x-amz-") for name in header):
        assert post(daemon, allowed({"key": "k"}), path="/photos?" + urlencode(header)).error_code == "NotImplemented"
    assert stored(daemon) == []


def test_headers_of_any_request_mean_what_they_always_mean(daemon):
    streaming = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-date": "20260101T000000Z"}
    assert post(daemon, allowed({"key": "k"}), headers=streaming).status == 204
    assert (daemon.data / "photos" / "k").read_bytes() == b"content"
    assert (
        post(daemon, allowed({"key": "k"}), headers={"x-amz-expected-bucket-owner": "0" * 64}).error_code
        == "AccessDenied"
    )
    owner = {"x-amz-expected-bucket-owner": canonical_id(ADMIN.account)}
    assert post(daemon, allowed({"key": "k"}), headers=owner).status == 204


# Who may


@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize(
    ("user", "code"),
    [
        (WRONG, "SignatureDoesNotMatch"),
        (UNKNOWN, "InvalidAccessKeyId"),
        (READER, "AccessDenied"),
        (replace(WRITER, access_key=READER.access_key), "SignatureDoesNotMatch"),
    ],
)
def test_who_may_not_write_makes_nothing(daemon, user, code, v2):
    for bucket in ("photos", "absent"):
        response = post(daemon, allowed({"key": "k"}, user=user, bucket=bucket, v2=v2), path=f"/{bucket}")
        assert (response.status, response.error_code) == (403, code)
        assert ADMIN.secret_key.encode() not in response.body
    assert stored(daemon) == []


def test_a_user_may_write_where_it_may_write(client, daemon):
    client.put("/other")
    assert post(daemon, allowed({"key": "k"}, user=WRITER)).status == 204
    fields = allowed({"key": "k"}, user=WRITER, bucket="other")
    assert post(daemon, fields, path="/other").error_code == "AccessDenied"
    assert stored(daemon, "other") == []


@pytest.mark.parametrize(
    ("path", "status", "code"), [("/photos", 403, "AccessDenied"), ("/absent", 404, "NoSuchBucket")]
)
def test_a_form_that_nobody_signed_is_refused(daemon, path, status, code):
    response = post(daemon, {"key": "k", "acl": "private"}, path=path)
    assert (response.status, response.error_code) == (status, code)
    assert stored(daemon) == []


def test_a_policy_that_nobody_signed_is_refused(daemon):
    response = post(daemon, {"key": "k", "policy": encode(document(conditions_for({"key": "k"}, "photos")))})
    assert (response.status, response.error_code) == (400, "InvalidArgument")


def test_version_2_may_be_turned_off(daemon):
    other = Daemon(daemon.data, sigv2=False)
    assert post(other, allowed({"key": "k"}, v2=True)).error_code == "InvalidRequest"
    assert post(other, allowed({"key": "k"})).status == 204
    other.stop()


def test_the_region_is_that_of_the_daemon(daemon):
    other = Daemon(daemon.data, region="eu-x-1")
    assert post(other, allowed({"key": "k"})).error_code == "AuthorizationQueryParametersError"
    assert post(other, allowed({"key": "k"}, region="eu-x-1")).status == 204
    other.stop()


def test_the_bucket_must_be_there(daemon):
    response = post(daemon, allowed({"key": "k"}, bucket="absent"), path="/absent")
    assert (response.status, response.error_code) == (404, "NoSuchBucket")


@pytest.mark.parametrize("way", ["header", "query"])
def test_a_form_has_its_own_credential_and_no_other(client, daemon, way):
    """ "The HTML form declaration does not accept query string authentication parameters.\""""
    body = form(allowed({"key": "k"}))
    if way == "header":
        response = client("POST", "/photos", None, {"Content-Type": CONTENT_TYPE}, body)
    else:
        target = client.presigned("POST", "/photos")
        response = daemon.server.connect().request("POST", target, {"Content-Type": CONTENT_TYPE}, body)
    assert (response.status, response.error_code) == (400, "InvalidArgument")
    assert stored(daemon) == []


@pytest.mark.parametrize("path", ["/", "/photos/k"])
def test_a_form_is_for_a_bucket(daemon, path):
    response = post(daemon, allowed({"key": "k"}), path=path)
    assert (response.status, response.error_code) == (405, "MethodNotAllowed")
    assert stored(daemon) == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/photos?delete", 403, "AccessDenied"),
        ("/photos/k?uploads", 403, "AccessDenied"),
        ("/photos?acl", 501, "NotImplemented"),
    ],
)
def test_a_form_is_no_other_operation(daemon, path, status, code):
    response = post(daemon, allowed({"key": "k"}), path=path)
    assert (response.status, response.error_code) == (status, code)
    assert stored(daemon) == []


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/mixed"])
def test_what_else_is_posted_to_a_bucket_is_no_form(client, content_type):
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = client("POST", "/photos", None, headers, b"key=k")
    assert (response.status, response.error_code) == (412, "PreconditionFailed")
    assert "multipart/form-data" in response.element("Condition")


# What a policy refuses (number 19 of the attacks that the server must withstand)


@pytest.mark.parametrize(
    ("conditions", "fields", "message"),
    [
        ([{"bucket": "music"}, {"key": "k"}], {}, 'Policy Condition failed: ["eq", "$bucket", "music"]'),
        # CVE-2023-43040, CVE-2023-28434: the bucket is the one of the URL, whatever a field says.
        ([{"bucket": "music"}, {"key": "k"}], {"bucket": "music"}, 'failed: ["eq", "$bucket", "music"]'),
        ([["starts-with", "$bucket", "mu"], {"key": "k"}], {"bucket": "music"}, "Policy Condition failed"),
        ([{"key": "k"}], {}, "Extra input fields: bucket"),
        ([{"bucket": "photos"}], {}, "Extra input fields: key"),
        ([{"bucket": "photos"}, {"key": "other"}], {}, 'failed: ["eq", "$key", "other"]'),
        ([{"bucket": "photos"}, ["starts-with", "$key", "user/"]], {}, 'failed: ["starts-with", "$key", "user/"]'),
        ([{"bucket": "photos"}, {"key": "k"}], {"acl": "private"}, "Extra input fields: acl"),
        ([{"bucket": "photos"}, {"key": "k"}], {"x-amz-meta-a": "b"}, "Extra input fields: x-amz-meta-a"),
        ([{"bucket": "photos"}, {"key": "k"}], {"Content-Type": "text/html"}, "Extra input fields: content-type"),
        (
            [{"bucket": "photos"}, {"key": "k"}, ["starts-with", "$Content-Type", "image/"]],
            {"Content-Type": "text/html"},
            "Policy Condition failed",
        ),
        (
            [{"bucket": "photos"}, {"key": "k"}, ["starts-with", "$Content-Type", ""]],
            {},
            "Policy Condition failed",
        ),
    ],
)
def test_a_form_that_its_policy_does_not_allow_is_refused(daemon, conditions, fields, message):
    response = post(daemon, signed({"key": "k"}, document(conditions), ADMIN) | fields)
    assert (response.status, response.error_code) == (403, "AccessDenied")
    assert message in response.element("Message").replace("&quot;", '"')
    assert stored(daemon) == []


def test_a_policy_expires(daemon):
    fields = allowed({"key": "k"})
    daemon.server.clock.advance(601)
    response = post(daemon, fields)
    assert (response.status, response.error_code) == (403, "AccessDenied")
    assert response.element("Message") == "Invalid according to Policy: Policy expired."


def test_a_policy_is_of_its_day(daemon):
    daemon.server.clock.rightNow = EPOCH - 10 * 365 * 24 * 3600
    assert post(daemon, allowed({"key": "k"})).element("Message") == "Request is not valid yet"


@pytest.mark.parametrize("v2", [False, True])
def test_a_policy_that_was_changed_is_not_the_one_that_was_signed(daemon, v2):
    fields = allowed({"key": "k"}, v2=v2)
    fields["policy"] = encode(document([{"bucket": "photos"}, ["starts-with", "$key", ""]]))
    response = post(daemon, fields)
    assert (response.status, response.error_code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("raw", [b"{}", b"[" * 10_000, b"\xff", b""])
def test_a_signed_policy_that_is_none_is_refused(daemon, raw):
    text = base64.b64encode(raw).decode() or "="
    digest = hmac.digest(ADMIN.secret_key.encode(), text.encode(), "sha1")
    fields = {"key": "k", "AWSAccessKeyId": ADMIN.access_key, "signature": base64.b64encode(digest), "policy": text}
    response = post(daemon, fields)
    assert (response.status, response.error_code) == (400, "InvalidPolicyDocument")


def test_fields_behind_the_file_count_for_nothing(daemon):
    """The file is not last: what comes then was never looked at, so it can neither be missing nor be meant."""
    fields = list(allowed({"key": "k"}).items())
    body = b"".join(part(*each) for each in fields)
    late = part("acl", "public-read") + part("x-amz-meta-evil", "1") + part("key", "evil") + part("file", "evil")
    connection = daemon.server.connect()
    response = connection.request(
        "POST", "/photos", {"Content-Type": CONTENT_TYPE}, body + part("file", "a") + late + end()
    )
    assert response.status == 204
    assert stored(daemon) == ["k"]
    assert (daemon.data / "photos" / "k").read_bytes() == b"a"

    for name in ("key", "policy", "x-amz-signature"):
        early = [each for each in fields if each[0] != name]
        late = part(*next(each for each in fields if each[0] == name))
        body = b"".join(part(*each) for each in early) + part("file", "b") + late + end()
        response = connection.request("POST", "/photos", {"Content-Type": CONTENT_TYPE}, body)
        assert (response.status, response.error_code) == (400, "InvalidArgument")
    assert (daemon.data / "photos" / "k").read_bytes() == b"a"


# Sizes


@pytest.mark.parametrize(("size", "code"), [(1, "EntityTooSmall"), (2, ""), (5, ""), (6, "EntityTooLarge")])
def test_the_size_of_the_file_must_be_in_the_range(daemon, size, code):
    response = post(daemon, allowed({"key": "k"}, ["content-length-range", 2, 5]), b"x" * size)
    assert response.error_code == code
    assert stored(daemon) == ([] if code else ["k"])


def test_what_is_too_large_is_answered_before_it_has_come(daemon):
    fields = allowed({"key": "k"}, ["content-length-range", 0, MIB])
    body = form(fields, b"x" * 3 * MIB)
    connection = daemon.server.connect()
    connection.send(head(length=100 * MIB) + body[: MIB + MIB // 2])
    response = connection.receive()
    assert (response.status, response.error_code) == (400, "EntityTooLarge")
    assert response.headers["connection"] == "close"
    assert stored(daemon) == []


def test_nothing_is_written_for_who_may_not_write_however_much_comes(daemon, monkeypatch):
    def never(*_, **__):
        raise AssertionError("no writer is needed")

    monkeypatch.setattr(daemon.store, "put_object", never)
    connection = daemon.server.connect()
    fields = allowed({"key": "k"}, user=WRONG)
    connection.send(head(length=100 * MIB) + form(fields, b"x" * MIB)[:MIB])
    response = connection.receive()
    assert (response.status, response.error_code) == (403, "SignatureDoesNotMatch")
    assert response.headers["connection"] == "close"


def test_too_many_fields_are_not_read(daemon):
    response = post(daemon, allowed({"key": "k"}) | {"x-ignore-a": "b" * 20_000})
    assert (response.status, response.error_code) == (400, "MaxPostPreDataLengthExceededError")
    assert stored(daemon) == []


def test_the_fields_must_come_in_time(daemon):
    """A byte now and then does not hold the connection of somebody who has not logged in."""
    body = form(allowed({"key": "k"}))
    connection = daemon.server.connect()
    connection.send(head(length=100 * MIB))
    for second in range(59):
        connection.send(body[second : second + 1])
        daemon.server.clock.advance(1)
    assert connection.received() == b""
    connection.send(body[59:60])
    daemon.server.clock.advance(1)
    response = connection.receive()
    assert (response.status, response.error_code) == (400, "RequestTimeout")
    assert response.headers["connection"] == "close"
    daemon.server.clock.advance(3)
    assert not connection.open


def test_the_file_may_take_its_time(daemon):
    body = form(allowed({"key": "k"}), b"x" * 300)
    start = body.index(b"x" * 300)
    connection = daemon.server.connect()
    connection.send(head(length=len(body)) + body[:start])
    for at in range(start, len(body)):
        daemon.server.clock.advance(1)
        connection.send(body[at : at + 1])
    assert connection.receive().status == 204


def test_a_small_rest_is_drained_and_the_connection_stays(daemon):
    connection = daemon.server.connect()
    for _ in range(2):
        assert post(daemon, {"key": "k"}, b"x" * 100_000, connection=connection).error_code == "AccessDenied"
    assert post(daemon, allowed({"key": "k"}), connection=connection).status == 204


# Bodies that do not end as they should


@pytest.mark.parametrize("missing", [1, 4, 20, 60])
def test_a_form_whose_end_is_missing_stores_nothing(client, daemon, missing):
    client.put("/photos/k", b"before")
    body = form(allowed({"key": "k"}), b"x" * 100_000).removesuffix(b"--\r\n")
    response = daemon.server.connect().request(
        "POST", "/photos", {"Content-Type": CONTENT_TYPE}, body[: -missing + 1 or None]
    )
    assert (response.status, response.error_code) == (400, "MalformedPOSTRequest")
    assert (daemon.data / "photos" / "k").read_bytes() == b"before"


@pytest.mark.parametrize("sent", [100, 1500, 50_000])
def test_a_client_that_goes_leaves_nothing(client, daemon, sent):
    client.put("/photos/k", b"before")
    body = form(allowed({"key": "k"}), b"x" * 100_000)
    connection = daemon.server.connect()
    connection.send(head(length=len(body)) + body[:sent])
    connection.hang_up()
    assert (daemon.data / "photos" / "k").read_bytes() == b"before"


def test_a_form_without_a_boundary_is_refused_before_its_body(daemon):
    connection = daemon.server.connect()
    lines = head("Expect: 100-continue", length=1000).replace(CONTENT_TYPE.encode(), b"multipart/form-data")
    connection.send(lines)
    assert connection.receive().error_code == "MalformedPOSTRequest"


def test_a_client_that_waits_is_told_to_go_on(daemon):
    body = form(allowed({"key": "k"}))
    connection = daemon.server.connect()
    connection.send(head("Expect: 100-continue", length=len(body)))
    connection.skip(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.send(body)
    assert connection.receive().status == 204


# Keys (number 23)


@pytest.mark.parametrize(
    "key",
    [
        *("../evil", "../../evil", "/evil", "a/../../evil", "..", ".", "./a", "a//b", "a/", "..\\evil", "%2e%2e/evil"),
        *("%2e%2e%2fevil", "a/b ", "a.", ".zs3/evil", ".zs3=evil", ".uploads/evil", "größe", "k" * 1024, "a/" * 500),
    ],
)
def test_a_key_is_a_name_and_no_path(client, daemon, key):
    before = set(daemon.data.parent.iterdir())
    assert post(daemon, allowed({"key": key})).status == 204
    assert client("GET", f"/photos/{key}").body == b"content"
    listed = parse(client("GET", "/photos", {"list-type": "2"}))
    assert [each.text for each in listed.findall("Contents/Key")] == [key]
    found = [path for path in daemon.data.rglob("*") if path.is_file() and path.read_bytes() == b"content"]
    assert [path.relative_to(daemon.data).parts[0] for path in found] == ["photos"]
    assert set(daemon.data.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("key", "code"), [("k" * 1025, "KeyTooLongError"), ("a\0b", "InvalidArgument"), ("a\x1bb", "InvalidArgument")]
)
def test_what_is_no_key_is_refused(daemon, key, code):
    assert post(daemon, allowed({"key": key})).error_code == code
    assert stored(daemon) == []


def test_a_name_of_a_file_is_no_path_either(daemon):
    policy = document([{"bucket": "photos"}, ["starts-with", "$key", "in/"]])
    fields = signed({"key": "in/${filename}"}, policy, ADMIN)
    assert post(daemon, fields, filename="../../../evil").status == 204
    assert stored(daemon) == ["in", "in/evil"]


# Answers


@pytest.mark.parametrize(
    ("wanted", "status"), [("200", 200), ("204", 204), ("404", 204), ("", 204), ("abc", 204), ("0200", 204)]
)
def test_the_form_chooses_the_status(daemon, wanted, status):
    response = post(daemon, allowed({"key": "k", "success_action_status": wanted}))
    assert (response.status, response.body) == (status, b"")


def test_the_form_may_ask_for_a_document(daemon):
    response = post(daemon, allowed({"key": "a/<b>&c", "success_action_status": "201"}))
    assert response.status == 201
    assert response.headers["location"] == "http://s3.test/photos/a/%3Cb%3E%26c"
    root = parse(response)
    assert root.tag == "PostResponse"
    assert {each.tag: each.text for each in root} == {
        "Location": response.headers["location"],
        "Bucket": "photos",
        "Key": "a/<b>&c",
        "ETag": response.headers["etag"],
    }


ETAG = f"%22{hashlib.md5(b'content').hexdigest()}%22"


@pytest.mark.parametrize("name", ["success_action_redirect", "redirect"])
@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://example.com/done", "http://example.com/done?"),
        ("https://example.com", "https://example.com?"),
        ("HTTP://example.com:8080/a?b=c", "http://example.com:8080/a?b=c&"),
        ("http://example.com/a?b=%20#top", "http://example.com/a?b=%20&"),
    ],
)
def test_the_form_may_send_the_browser_on(daemon, name, url, location):
    response = post(daemon, allowed({"key": "a/b c&d", "success_action_status": "201", name: url}))
    assert (response.status, response.body) == (303, b"")
    fragment = "#top" if "#" in url else ""
    assert response.headers["location"] == f"{location}bucket=photos&key=a%2Fb%20c%26d&etag={ETAG}{fragment}"


@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "/relative", "//example.com", "http://", "http:///path", "http://[", "ftp://a/", ""),
        *("data:text/html,a", "http://a b/", "http:\\\\a\\", "file:///etc/passwd", "http://ü/", "http://?a"),
        # Number 33: nothing of it may become a line of its own.
        *(
            "http://a/\r\nSet-Cookie: evil=1",
            "http://a/\nX: 1",
            "http://a/\r\n\r\n<html>",
            "http://a/\0",
            "\r\nhttp://a/",
        ),
    ],
)
def test_what_is_no_url_of_the_web_is_passed_over(daemon, url):
    connection = daemon.server.connect()
    response = post(daemon, allowed({"key": "k", "success_action_redirect": url}), connection=connection)
    assert response.status == 204
    assert response.headers["location"] == "http://s3.test/photos/k"
    assert not {"set-cookie", "x"} & response.headers.keys()
    assert connection.received() == b""


@pytest.mark.parametrize("key", ["a\r\nSet-Cookie: evil=1", "a\nb", "a\tb"])
def test_a_key_makes_no_line_of_an_answer(daemon, key):
    """Number 33."""
    for fields in ({}, {"success_action_redirect": "http://a/"}, {"success_action_status": "201"}):
        connection = daemon.server.connect()
        response = post(daemon, allowed({"key": key, **fields}), connection=connection)
        assert response.status in (204, 303, 201)
        assert "set-cookie" not in response.headers
        assert "%0" in response.headers["location"]
        assert connection.received() == b""


# The access log


class Log:
    def __init__(self):
        self.records = []

    def record(self, log, **rest):
        self.records.append((log, rest))


def test_the_log_is_told(daemon):
    log = Log()
    other = Daemon(daemon.data, access_log=log)
    body = len(form(allowed({"key": "a/b"})))
    post(other, allowed({"key": "a/b"}))
    post(other, allowed({"key": "a/b"}, user=WRONG))
    other.stop()
    told = [(each.operation, each.bucket, each.key, each.access_key, each.error) for each, _ in log.records]
    assert told == [
        ("PostObject", "photos", "a/b", "ADMINKEY", ""),
        ("", "", "", "ADMINKEY", "SignatureDoesNotMatch"),
    ]
    assert log.records[0][0].bytes_in == body
