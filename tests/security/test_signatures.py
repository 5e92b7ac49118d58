"""Attacks on signatures that other servers fell to; the numbers are those of the project's list."""

import base64
import hashlib
import re
import time
import zlib

import pytest

from tests.forms import CONTENT_TYPE, conditions_for, document, form, signed
from tests.unit.signing import EMPTY, encode_chunks, presign, sign_header
from tests.wire.daemon import ADMIN, Daemon
from tests.wire.sharing import outcome

HOST = "s3.test"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
OLD = b"old content"


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path)
    daemon.client().put("/photos")
    daemon.client().put("/photos/there", OLD)
    yield daemon
    # Whatever was tried: nothing is written, nothing is left, and who may is served.
    assert [path.name for path in (tmp_path / "photos").rglob("*")] == ["there"]
    assert daemon.client()("GET", "/photos/there").body == OLD
    assert daemon.temporary_files() == []
    daemon.stop()


def when(daemon, offset=0):
    """The time of a signature, and its scope."""
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(daemon.server.clock.seconds() + offset))
    return {"timestamp": timestamp, "scope": f"{timestamp[:8]}/us-east-1/s3/aws4_request"}


def sign(daemon, method="GET", path="/photos/there", query="", headers=None, *, offset=0, **options):
    """The headers of a request that is right, but for what the options say."""
    options = {"secret": ADMIN.secret_key, "access_key": ADMIN.access_key, **when(daemon, offset), **options}
    return sign_header(method, path, query, {"host": HOST, **(headers or {})}, **options)


def send(daemon, method, target, headers, body=b"", *, length=True):
    """Send what is given and nothing else, on a connection of its own; the answer."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    if length and body:
        pairs.append(("Content-Length", str(len(body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    connection = daemon.server.connect()
    connection.send(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    return connection.receive(head=method == "HEAD")


def refused(response, *codes):
    assert 400 <= response.status < 500, response
    if codes:
        assert response.error_code in codes, response.body
    return True


def trailing(data=b"evil", algorithm="crc32", value=None):
    """The headers and the body of an upload whose checksum comes behind it, and that nobody signed."""
    value = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode() if value is None else value
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(data)),
        "x-amz-trailer": f"x-amz-checksum-{algorithm}",
    }
    return headers, encode_chunks([data], trailers=[(f"x-amz-checksum-{algorithm}", value)])


def test_what_the_others_change_is_right_before(daemon):
    """Else they would be refused for another reason."""
    assert send(daemon, "GET", "/photos/there", sign(daemon)).body == OLD
    assert send(daemon, "GET", presigned(daemon), {"Host": HOST}).body == OLD
    headers, body = trailing(OLD)
    lines = sign(daemon, "PUT", "/photos/there", headers=headers, payload=UNSIGNED_TRAILER)
    assert send(daemon, "PUT", "/photos/there", lines, body).status == 200
    for chunks in ((OLD,), (OLD[:4], OLD[4:])):
        length = {"x-amz-decoded-content-length": str(len(OLD))}
        assert chunked(daemon, signed_chunks(daemon, *chunks), headers=length).status == 200
    lines = sign(daemon, "PUT", "/photos/there", payload=hashlib.sha256(OLD).hexdigest())
    assert send(daemon, "PUT", "/photos/there", lines, OLD).status == 200


# The credential -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"secret": "something else"}, "SignatureDoesNotMatch"),
        ({"secret": ""}, "SignatureDoesNotMatch"),
        ({"access_key": "NOBODY"}, "InvalidAccessKeyId"),
    ],
)
def test_1_an_upload_with_an_unsigned_trailer_needs_a_right_signature(daemon, over, code):
    """CVE-2025-31489."""
    headers, body = trailing()
    for key in ("new", "there"):
        lines = sign(daemon, "PUT", f"/photos/{key}", headers=headers, payload=UNSIGNED_TRAILER, **over)
        assert outcome(send(daemon, "PUT", f"/photos/{key}", lines, body)) == (403, code)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Credential={}",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}",
        "X-Amz-Credential={}&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Expires=60&X-Amz-Signature=",
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-SignedHeaders=host&X-Amz-Expires=60"
            "&X-Amz-Signature=0"
        ),
        "AWSAccessKeyId=ADMINKEY",
    ],
)
def test_2_a_credential_in_the_query_is_no_signature(daemon, query):
    """CVE-2026-41145."""
    stamps = when(daemon)
    headers, body = trailing()
    lines = {"Host": HOST, "x-amz-content-sha256": UNSIGNED_TRAILER, **headers}
    credential = f"{ADMIN.access_key}/{stamps['scope']}".replace("/", "%2F")
    target = "/photos/new?" + query.format(credential, stamps["timestamp"])
    assert refused(send(daemon, "PUT", target, lines, body))


@pytest.mark.parametrize("name", ["x-amz-meta-snowball-auto-extract", "x-minio-extract"])
def test_3_an_archive_is_not_a_way_round_the_signature(daemon, name):
    """CVE-2026-40344."""
    headers, body = trailing()
    lines = sign(
        daemon, "PUT", "/photos/a.tar", headers={name: "true", **headers}, payload=UNSIGNED_TRAILER, secret="other"
    )
    assert outcome(send(daemon, "PUT", "/photos/a.tar", lines, body)) == (403, "SignatureDoesNotMatch")
    lines = {"Host": HOST, name: "true", "x-amz-content-sha256": UNSIGNED_TRAILER, **headers}
    assert outcome(send(daemon, "PUT", "/photos/a.tar", lines, body)) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "header",
    [
        ("x-amz-acl", "public-read"),
        ("x-amz-meta-a", "b"),
        ("x-amz-copy-source", "/photos/there"),
        ("x-amz-tagging", "a=b"),
        ("X-Amz-Website-Redirect-Location", "/evil"),
        ("x-amz-account-id", "123456789012"),
    ],
)
def test_4_a_signed_url_takes_no_header_that_it_does_not_name(daemon, header):
    """RustFS GHSA-g8w9."""
    client = daemon.client()
    for method, path in (("PUT", "/photos/new"), ("GET", "/photos/there")):
        target = client.presigned(method, path)
        assert outcome(send(daemon, method, target, {"Host": HOST, header[0]: header[1]})) == (403, "AccessDenied")


@pytest.mark.parametrize("header", ["x-amz-copy-source", "x-amz-metadata-directive", "x-amz-acl"])
def test_5_a_signed_request_takes_no_header_that_it_does_not_name(daemon, header):
    """RustFS GHSA-xm99: a PUT that was seen, replayed as a copy."""
    digest = hashlib.sha256(b"").hexdigest()
    lines = sign(daemon, "PUT", "/photos/new", payload=digest)
    answer = send(daemon, "PUT", "/photos/new", {**lines, header: "/photos/there"})
    assert outcome(answer) == (403, "AccessDenied")


# The signatures of a body ---------------------------------------------------------------------------------------------


def chunked(daemon, body, *, length=True, payload=SIGNED_CHUNKS, headers=None, key="there", **options):
    """Upload in signed chunks.

    :param body: made of the seed.
    """
    given = {"x-amz-decoded-content-length": "8", "content-encoding": "aws-chunked", **(headers or {})}
    given = {name: value for name, value in given.items() if value}
    lines = sign(daemon, "PUT", f"/photos/{key}", headers=given, payload=payload, **options)
    seed = re.search("Signature=([0-9a-f]+)", lines["authorization"])[1]
    return send(daemon, "PUT", f"/photos/{key}", lines, body(seed), length=length)


def signed_chunks(daemon, *chunks, **options):
    return lambda seed: encode_chunks(chunks, seed=seed, secret=ADMIN.secret_key, **when(daemon), **options)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("key", ["new", "there"])
def test_6_every_chunk_is_verified_and_so_is_the_last_which_is_empty(daemon, which, key):
    """VersityGW #1147."""

    def tampered(seed):
        body = signed_chunks(daemon, b"evil", b"evil")(seed)
        found = list(re.finditer(rb"chunk-signature=([0-9a-f]{64})", body))[which]
        digit = b"1" if body[found.start(1) : found.start(1) + 1] == b"0" else b"0"
        return body[: found.start(1)] + digit + body[found.start(1) + 1 :]

    assert outcome(chunked(daemon, tampered, key=key)) == (403, "SignatureDoesNotMatch")


def test_6_chunks_cannot_be_left_out_or_put_in_another_order(daemon):
    def reordered(seed):
        first, second, *rest = re.split(rb"(?<=evil|EVIL)\r\n", signed_chunks(daemon, b"evil", b"EVIL")(seed))
        return b"\r\n".join((second, first, *rest))

    assert outcome(chunked(daemon, reordered)) == (403, "SignatureDoesNotMatch")

    def shortened(seed):
        body = signed_chunks(daemon, b"evil", b"EVIL")(seed)
        return body[body.index(b"evil\r\n") + 6 :]

    assert refused(chunked(daemon, shortened, headers={"x-amz-decoded-content-length": "4"}))


def test_7_the_first_signature_is_verified_whatever_the_chunks_are(daemon):
    """VersityGW #1056."""
    assert outcome(chunked(daemon, signed_chunks(daemon, b"evilEVIL"), secret="other")) == (
        403,
        "SignatureDoesNotMatch",
    )


@pytest.mark.parametrize("names", ["x-amz-checksum-other", "", " ", "x-amz-meta-a", "content-length", "a,b", ":", "\t"])
def test_7_a_trailer_that_there_is_not_is_an_error_of_the_client(daemon, names):
    """VersityGW #1161, #1626."""
    headers, _ = trailing()
    for trailers in ([(names.strip(), "x")], [("", "")], []):
        headers["x-amz-trailer"] = names.strip()
        lines = sign(daemon, "PUT", "/photos/there", headers=headers, payload=UNSIGNED_TRAILER)
        assert refused(send(daemon, "PUT", "/photos/there", lines, encode_chunks([b"evil"], trailers=trailers)))


@pytest.mark.parametrize("lines", [{}, {"transfer-encoding": "chunked"}, {"content-length": "0"}])
def test_8_chunks_without_a_length_are_refused_and_the_daemon_lives(daemon, lines):
    """RustFS GHSA-v2ch."""
    headers, body = trailing()
    if "transfer-encoding" in lines:
        headers.pop("x-amz-decoded-content-length")
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    signed_lines = sign(daemon, "PUT", "/photos/there", headers=headers, payload=UNSIGNED_TRAILER)
    assert refused(send(daemon, "PUT", "/photos/there", signed_lines | lines, body, length=False))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"0;chunk-signature", b""),  # the last chunk is missing
        (b"8;", b"8_0;"),
        (b"8;", b"0x8;"),
        (b"8;", b"+8;"),
        (b"8;", b"-8;"),
        (b"8;", b"ffffffffffffffffff;"),
        (b"8;", b"9;"),
        (b"8;", b"7;"),
        (b"8;", "٨;".encode()),
        (b"8;chunk-signature=", b"8;chunk-extension="),
    ],
)
def test_9_a_body_that_is_not_framed_as_it_must_be_leaves_the_old_object(daemon, old, new):
    def damaged(seed):
        body = signed_chunks(daemon, b"evilEVIL")(seed)
        return body[: body.index(old)] if not new else body.replace(old, new, 1)

    assert refused(chunked(daemon, damaged))


@pytest.mark.parametrize("length", ["7", "9", "8_0", "-8", "+8", "", "9" * 30])
def test_9_the_length_must_be_that_of_what_comes(daemon, length):
    assert refused(
        chunked(daemon, signed_chunks(daemon, b"evilEVIL"), headers={"x-amz-decoded-content-length": length})
    )


def test_9_a_wrong_checksum_behind_the_body_leaves_the_old_object(daemon):
    for value in ("AAAAAA==", "AAAA", "", "="):
        headers, body = trailing(value=value)
        lines = sign(daemon, "PUT", "/photos/there", headers=headers, payload=UNSIGNED_TRAILER)
        assert refused(send(daemon, "PUT", "/photos/there", lines, body))


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (EMPTY, "XAmzContentSHA256Mismatch"),
        (hashlib.sha256(b"evil").hexdigest().upper(), "InvalidArgument"),
        (hashlib.sha256(b"evil").hexdigest()[:-1], "InvalidArgument"),
        ("unsigned-payload", "InvalidArgument"),
        ("UNSIGNED-PAYLOAD ,UNSIGNED-PAYLOAD", "InvalidArgument"),
        ("", "InvalidArgument"),
        (None, "InvalidRequest"),
    ],
)
def test_10_the_hash_of_a_body_is_there_and_right(daemon, payload, code):
    lines = sign(daemon, "PUT", "/photos/there", payload=payload)
    assert outcome(send(daemon, "PUT", "/photos/there", lines, b"evil")) == (400, code)


def test_10_a_policy_may_want_bodies_signed(daemon):
    policy = (
        b'{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",'
        b' "Resource": "arn:aws:s3:::photos/*", "Condition": {"StringEquals": {"s3:x-amz-content-sha256":'
        b' "UNSIGNED-PAYLOAD"}}}]}'
    )
    assert daemon.client()("PUT", "/photos", {"policy": ""}, body=policy).status == 204
    lines = sign(daemon, "PUT", "/photos/there", payload="UNSIGNED-PAYLOAD")
    assert outcome(send(daemon, "PUT", "/photos/there", lines, b"evil")) == (403, "AccessDenied")
    target = daemon.client().presigned("PUT", "/photos/there")
    assert outcome(send(daemon, "PUT", target, {"Host": HOST}, b"evil")) == (403, "AccessDenied")
    lines = sign(daemon, "PUT", "/photos/there", payload=hashlib.sha256(OLD).hexdigest())
    assert send(daemon, "PUT", "/photos/there", lines, OLD).status == 200


# What a signature is over ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "code"),
    [(-901, "RequestTimeTooSkewed"), (901, "RequestTimeTooSkewed"), (-86400, "RequestTimeTooSkewed")],
)
def test_11_a_request_is_of_this_quarter_of_an_hour(daemon, offset, code):
    assert outcome(send(daemon, "GET", "/photos/there", sign(daemon, offset=offset))) == (403, code)
    assert send(daemon, "GET", "/photos/there", sign(daemon, offset=offset // 1000)).status == 200


@pytest.mark.parametrize(
    ("field", "value"), [(0, "20200101"), (1, "mars-1"), (2, "ec2"), (2, "S3"), (3, "aws4_requests"), (3, "")]
)
def test_11_a_scope_is_of_this_day_region_and_service(tmp_path, daemon, field, value):
    other = Daemon(tmp_path, region="us-east-1")
    assert send(other, "GET", "/photos/there", sign(other)).status == 200
    fields = when(daemon)["scope"].split("/")
    fields[field] = value
    lines = sign(other, scope="/".join(fields))
    assert refused(send(other, "GET", "/photos/there", lines), "AuthorizationHeaderMalformed", "SignatureDoesNotMatch")
    other.stop()


def doubled(name, value):
    return lambda lines: [*lines.items(), (name, value(lines[name]))]


@pytest.mark.parametrize(
    "change",
    [
        doubled("x-amz-date", str),
        doubled("x-amz-date", lambda _: "20200101T000000Z"),
        doubled("authorization", str),
        doubled("authorization", lambda text: text.replace("ADMINKEY", "READERKEY")),
        doubled("host", str),
        doubled("host", lambda _: "evil.test"),
        doubled("x-amz-content-sha256", str),
        doubled("x-amz-content-sha256", lambda _: "UNSIGNED-PAYLOAD"),
    ],
    ids=["date", "other date", "authorization", "other authorization", "host", "other host", "hash", "other hash"],
)
def test_11_what_a_signature_is_read_from_comes_once(daemon, change):
    assert send(daemon, "GET", "/photos/there", sign(daemon)).status == 200
    assert refused(send(daemon, "GET", "/photos/there", change(sign(daemon))))


@pytest.mark.parametrize(
    "names",
    [
        "x-amz-content-sha256;x-amz-date",  # not host
        "host;x-amz-content-sha256;x-amz-date;x-not-there",
        "host",
        "",
        "Host;X-Amz-Content-Sha256;X-Amz-Date",
    ],
)
def test_11_the_headers_that_are_signed_are_those_that_must_be_and_are_there(daemon, names):
    method = "PUT"
    digest = hashlib.sha256(b"evil").hexdigest()
    lines = sign(daemon, method, "/photos/there", headers={"x-amz-meta-a": "b"}, signed=names, payload=digest)
    assert refused(send(daemon, method, "/photos/there", lines, b"evil"))


def test_11_a_date_beside_x_amz_date_does_not_count(daemon):
    lines = sign(daemon)
    assert send(daemon, "GET", "/photos/there", {**lines, "Date": "Sat, 01 Jan 2000 00:00:00 GMT"}).status == 200
    old = sign(daemon, offset=-3600)
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(daemon.server.clock.seconds()))
    answer = send(daemon, "GET", "/photos/there", {**old, "Date": now})
    assert outcome(answer) == (403, "RequestTimeTooSkewed")


def test_11_there_is_one_credential(daemon):
    target = daemon.client().presigned("GET", "/photos/there")
    assert refused(send(daemon, "GET", target, sign(daemon)))
    query = target.partition("?")[2]
    assert refused(send(daemon, "GET", target, sign(daemon, query=query)))


def presigned(daemon, method="GET", *, offset=0, **options):
    options = {"secret": ADMIN.secret_key, **when(daemon, offset), **options}
    # The module signs as another.
    extra = {"X-Amz-Credential": f"{ADMIN.access_key}/{options['scope']}", **options.pop("extra", {})}
    return presign(method, "/photos/there", {"host": HOST}, extra=extra, **options)


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "1e3", "٣", "1_0", " 5", "", "60.0", "0x10", "9" * 5000])
def test_12_a_lifetime_is_a_number_of_seconds_up_to_a_week(daemon, expires):
    assert send(daemon, "GET", presigned(daemon, expires="60"), {"Host": HOST}).status == 200
    assert refused(send(daemon, "GET", presigned(daemon, expires=expires), {"Host": HOST}))


def test_12_a_url_is_valid_from_its_date_until_it_expires(daemon):
    url = presigned(daemon, expires="60")
    assert refused(send(daemon, "GET", presigned(daemon, offset=3600), {"Host": HOST}), "AccessDenied")
    daemon.server.clock.advance(61)
    assert outcome(send(daemon, "GET", url, {"Host": HOST})) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url + "&response-content-type=text%2Fhtml",
        lambda url: url + "&versionId=null",
        lambda url: url + "&acl",
        lambda url: url + "&X-Amz-Expires=604800",
        lambda url: re.sub("X-Amz-Expires=60", "X-Amz-Expires=61", url),
        lambda url: url.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
        lambda url: url.replace("/photos/there", "/photos/other"),
        lambda url: url.replace("/photos/there", "/photos/%2574here"),
        lambda url: url.replace("/photos/there", "/photos//there"),
        lambda url: url.replace("ADMINKEY%2F", "ADMINKEY%252F"),
        lambda url: url.replace("X-Amz-Signature=", "X-Amz-Signature=0"),
        lambda url: url.replace("X-Amz-Signature=", "x-amz-signature="),
    ],
    ids=[
        "content type",
        "version",
        "acl",
        "second lifetime",
        "lifetime",
        "signed headers",
        "key",
        "escaped twice",
        "empty segment",
        "credential",
        "signature",
        "case",
    ],
)
def test_12_no_parameter_is_added_changed_or_doubled(daemon, change):
    url = presigned(daemon, expires="60")
    assert change(url) != url
    assert refused(send(daemon, "GET", change(url), {"Host": HOST}))


def test_12_parameters_may_come_in_another_order(daemon):
    path, _, query = presigned(daemon, expires="60").partition("?")
    target = f"{path}?{'&'.join(reversed(query.split('&')))}"
    assert send(daemon, "GET", target, {"Host": HOST}).body == OLD


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "POST"])
def test_12_a_url_is_for_one_method(daemon, method):
    response = send(daemon, method, presigned(daemon, expires="60"), {"Host": HOST})
    assert response.status in (403, 405)
    assert OLD not in response.body
    assert send(daemon, "GET", presigned(daemon, "HEAD", expires="60"), {"Host": HOST}).status == 403


def test_12_a_plus_is_a_plus_or_a_space_and_never_both(daemon):
    """The key ``a b`` and the key ``a+b`` are two, and a URL for one is none for the other."""
    client = daemon.client()
    client.put("/music")
    client.put("/music/a b", b"space")
    client.put("/music/a+b", b"plus")
    space, plus = client.presigned("GET", "/music/a b"), client.presigned("GET", "/music/a+b")
    assert send(daemon, "GET", space, {"Host": HOST}).body == b"space"
    assert send(daemon, "GET", plus, {"Host": HOST}).body == b"plus"
    for swapped in (space.replace("a%20b", "a%2Bb"), space.replace("a%20b", "a+b"), plus.replace("a%2Bb", "a%20b")):
        assert outcome(send(daemon, "GET", swapped, {"Host": HOST})) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: "0" * 64,
        lambda text: text.upper(),
        lambda text: text[:-1] + ("1" if text[-1] == "0" else "0"),
        lambda text: ("1" if text[0] == "0" else "0") + text[1:],
        lambda text: text[:8],
        lambda _: "",
        lambda text: text + "\u00e9",
    ],
    ids=["short", "long", "zeros", "upper case", "last digit", "first digit", "begin", "empty", "not ascii"],
)
def test_13_nearly_right_is_wrong(daemon, change):
    """GHSA-3p3x."""
    lines = sign(daemon)
    head, _, signature = lines["authorization"].rpartition("Signature=")
    changed = change(signature)
    if changed == signature:
        pytest.skip("this signature has no letters")
    lines["authorization"] = f"{head}Signature={changed}"
    assert refused(send(daemon, "GET", "/photos/there", lines))


@pytest.mark.parametrize("path", ["/", "/photos", "/minio/admin/v3/info", "/admin/v1/users", "/_admin", "/zs3"])
@pytest.mark.parametrize("access_key", ["ADMINKEY", "root", ""])
def test_15_an_access_key_without_its_secret_is_nothing(daemon, path, access_key):
    """CVE-2020-11012."""
    scope = when(daemon)["scope"]
    base = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date"
    lines = {"Host": HOST, "x-amz-date": when(daemon)["timestamp"], "x-amz-content-sha256": EMPTY}
    for authorization in (
        base,
        base + ", Signature=",
        base + ", Signature=" + "0" * 64,
        f"Bearer {access_key}",
        "Basic " + base64.b64encode(f"{access_key}:".encode()).decode(),
    ):
        response = send(daemon, "GET", path, {**lines, "authorization": authorization})
        assert response.status in (400, 403)
        assert b"<Bucket" not in response.body
    assert refused(send(daemon, "GET", path, sign(daemon, path=path, secret="", access_key=access_key or "x")))


@pytest.mark.parametrize(
    ("access_key", "secret"),
    [
        ("minioadmin", "minioadmin"),
        ("rustfsadmin", "rustfsadmin"),
        ("admin", "admin"),
        ("root", "root"),
        ("rustfs", "rpc"),
        ("zs3", "zs3"),
        ("test", "test"),
        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ],
)
def test_16_nobody_is_known_by_default(daemon, access_key, secret):
    """CVE-2025-68926."""
    answer = send(daemon, "GET", "/photos/there", sign(daemon, access_key=access_key, secret=secret))
    assert outcome(answer) == (403, "InvalidAccessKeyId")


def test_19_a_form_is_for_the_bucket_that_its_policy_names(daemon):
    """CVE-2023-43040, CVE-2023-28434: the field ``bucket`` instead of the bucket of the URL."""
    daemon.client().put("/music")
    fields = signed({"key": "evil"}, document(conditions_for({"key": "evil"}, "music")), ADMIN)
    for more in ({}, {"bucket": "music"}, {"Bucket": "photos"}):
        body = form({**fields, **more})
        response = send(daemon, "POST", "/photos", {"Host": HOST, "Content-Type": CONTENT_TYPE}, body)
        assert outcome(response) == (403, "AccessDenied")


def test_35_no_origin_is_let_in_that_no_rule_names(daemon):
    """GHSA-x5xv: any origin given back, with leave to send credentials."""
    client = daemon.client()
    rules = (
        "<CORSConfiguration><CORSRule><AllowedOrigin>{}</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
        "</CORSRule></CORSConfiguration>"
    )
    evil = {"Host": HOST, "Origin": "https://evil.test", "Access-Control-Request-Method": "GET"}

    def allowed(response):
        return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}

    assert allowed(send(daemon, "OPTIONS", "/photos/there", evil)) == {}
    for origin, expected in (("https://good.test", {}), ("*", {"access-control-allow-origin": "*"})):
        body = rules.format(origin).encode()
        assert client("PUT", "/photos", {"cors": ""}, body=body).status == 200
        told = allowed(send(daemon, "OPTIONS", "/photos/there", evil))
        assert "access-control-allow-credentials" not in told
        assert told.get("access-control-allow-origin") == expected.get("access-control-allow-origin")
        told = allowed(send(daemon, "GET", "/photos/there", {"Origin": "https://evil.test", **sign(daemon)}))
        assert "access-control-allow-credentials" not in told
        assert told.get("access-control-allow-origin") == expected.get("access-control-allow-origin")
