"""Signature Version 4: the published examples, and what must be refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import zs3.auth
from tests.unit import signing
from tests.unit.signing import ACCESS_KEY, EMPTY, HOST, NOW, SECRET, presign, sign_header, wire
from zs3.auth.sigv4 import Claim, Wire, decode_claim
from zs3.errors import S3Error

Headers = dict[str, str]


def decode(request: Wire, **options: object) -> Claim:
    claim = decode_claim(request, **{"now": NOW, **options})  # type: ignore[arg-type]
    assert claim is not None
    return claim


def refused(request: Wire, **options: object) -> S3Error:
    """The error that decoding ends with."""
    with pytest.raises(S3Error) as caught:
        decode(request, **options)
    return caught.value


def header_wire(method: str = "GET", target: str = "/bucket/key", **options: object) -> Wire:
    return wire(method, target, sign_header(method, target, **options))  # type: ignore[arg-type]


# --- the examples of the documentation

EXAMPLES = [
    pytest.param(
        "GET",
        "/test.txt",
        {"Range": "bytes=0-9", "x-amz-content-sha256": EMPTY},
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        id="get_object",
    ),
    pytest.param(
        "PUT",
        "/test$file.text",
        {
            "Date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        },
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        id="put_object",
    ),
    pytest.param(
        "GET",
        "/?lifecycle",
        {"x-amz-content-sha256": EMPTY},
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        id="get_lifecycle",
    ),
    pytest.param(
        "GET",
        "/?prefix=J&max-keys=2",
        {"x-amz-content-sha256": EMPTY},
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        id="list_objects",
    ),
]


@pytest.mark.parametrize("separator", [", ", ",", " , "])
@pytest.mark.parametrize(("method", "target", "headers", "signed", "signature"), EXAMPLES)
def test_examples_of_the_documentation_are_accepted_with_any_space_after_the_commas(
    method: str, target: str, headers: Headers, signed: str, signature: str, separator: str
) -> None:
    parts = (f"Credential={ACCESS_KEY}/{signing.SCOPE}", f"SignedHeaders={signed}", f"Signature={signature}")
    whole = {
        "Host": HOST,
        "X-Amz-Date": signing.TIMESTAMP,
        **headers,
        "Authorization": f"AWS4-HMAC-SHA256 {separator.join(parts)}",
    }
    claim = decode(wire(method, target, whole))
    assert (claim.kind, claim.access_key) == ("header", ACCESS_KEY)
    assert claim.payload_hash == headers["x-amz-content-sha256"]
    assert claim.check("another") is None
    signer = claim.check(SECRET)
    assert signer is not None
    assert (signer.seed, signer.scope, signer.timestamp) == (signature, signing.SCOPE, signing.TIMESTAMP)


def test_presigned_example_of_the_documentation_is_accepted_for_its_method_only() -> None:
    target = (
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
        "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    claim = decode(wire("GET", target, {"host": HOST}))
    assert (claim.kind, claim.access_key, claim.payload_hash) == ("query", ACCESS_KEY, "UNSIGNED-PAYLOAD")
    assert claim.check(SECRET) is not None
    for method in ("HEAD", "PUT", "DELETE"):
        assert decode(wire(method, target, {"host": HOST})).check(SECRET) is None


def test_wire_gives_one_or_all_values_of_a_header() -> None:
    request = wire("GET", "/", [("A", " 1 "), ("b", "2"), ("a", "3")])
    assert (request.value(b"a"), request.values(b"a")) == (b"1", [b"1", b"3"])
    assert (request.single(b"b"), request.single(b"c"), request.value(b"c")) == (b"2", None, None)
    with pytest.raises(S3Error):
        request.single(b"a")


def test_request_without_any_credential_is_anonymous() -> None:
    assert decode_claim(wire("GET", "/bucket/key?prefix=a", {"host": HOST}), now=NOW) is None


# --- spellings

PATHS = [
    ("/bucket/a(b)~c", "/bucket/a%28b%29~c"),
    ("/bucket/a%28b%29%7Ec", "/bucket/a%28b%29~c"),
    ("/bucket/a%2fb", "/bucket/a%2Fb"),
    ("/bucket/a%2fb", "/bucket/a/b"),
    ("/bucket/a%2Fb", "/bucket/a%2fb".replace("f", "F")),
    ("/bucket/a(b)", "/bucket/a(b)"),
    ("/bucket/a+b", "/bucket/a%2Bb"),
    ("/bucket/%e4%B8%ad", "/bucket/%E4%B8%AD"),
    ("/bucket//a/./../b/", "/bucket//a/./../b/"),
    ("/bucket/100%", "/bucket/100%25"),
    ("/bucket/%2525", "/bucket/%2525"),
]


@pytest.mark.parametrize(("sent", "signed"), PATHS)
def test_path_may_be_spelled_in_other_ways_on_the_wire_than_in_the_signature(sent: str, signed: str) -> None:
    assert decode(wire("GET", sent, sign_header(path=signed))).check(SECRET) is not None


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/bucket/a", "/bucket/b"),
        ("/bucket/%2525", "/bucket/%25"),
        ("/bucket/%2e%2e/b", "/b"),
        ("/bucket/a//b", "/bucket/a/b"),
        ("/bucket/a/", "/bucket/a"),
        ("/bucket/a%20b", "/bucket/a%2Bb"),
    ],
)
def test_path_of_another_key_does_not_match(sent: str, signed: str) -> None:
    assert decode(wire("GET", sent, sign_header(path=signed))).check(SECRET) is None


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("uploads", "uploads="),
        ("b=1&a=2", "a=2&b=1"),
        ("a=2&a=1", "a=1&a=2"),
        ("a-b=1&a=2", "a=2&a-b=1"),
        ("prefix=a+b", "prefix=a%20b"),
        ("prefix=a/b(~)", "prefix=a%2Fb%28~%29"),
        ("prefix=%e4", "prefix=%E4"),
        ("prefix=100%", "prefix=100%25"),
        ("&&a=1&", "a=1"),
        ("a=b=c", "a=b%3Dc"),
    ],
)
def test_query_is_signed_in_its_canonical_spelling(sent: str, signed: str) -> None:
    headers = sign_header(query=signed)
    assert decode(wire("GET", f"/bucket/key?{sent}", headers)).check(SECRET) is not None


@pytest.mark.parametrize("sent", ["", "prefix=a+b", "prefix=a%2Bb&x", "prefix=a%252Bb", "Prefix=a%2Bb"])
def test_another_query_does_not_match(sent: str) -> None:
    headers = sign_header(query="prefix=a%2Bb")
    assert decode(wire("GET", f"/bucket/key?{sent}", headers)).check(SECRET) is None


def test_header_values_are_folded_and_repeated_headers_joined() -> None:
    headers = sign_header(headers={"x-amz-meta-a": "one two,three"})
    del headers["x-amz-meta-a"]
    pairs = [*headers.items(), ("X-Amz-Meta-A", "  one \t two "), ("x-amz-meta-a", "three")]
    assert decode(wire("GET", "/bucket/key", pairs)).check(SECRET) is not None


def test_date_header_counts_where_x_amz_date_is_missing() -> None:
    for date in ("Fri, 24 May 2013 00:00:00 GMT", "Fri, 24 May 2013 00:00:00 -0000", signing.TIMESTAMP):
        headers = sign_header(headers={"date": date})
        del headers["x-amz-date"]
        names = "date;host;x-amz-content-sha256"
        found = signing.signature("GET", "/bucket/key", "", headers, names, EMPTY)
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{signing.SCOPE},SignedHeaders={names},Signature={found}"
        )
        assert decode(wire("GET", "/bucket/key", headers)).check(SECRET) is not None


def test_x_amz_date_goes_before_date() -> None:
    request = header_wire(headers={"date": "Sat, 25 May 2013 00:00:00 GMT"})
    assert decode(request).check(SECRET) is not None


def test_access_key_may_hold_a_slash() -> None:
    assert decode(header_wire(access_key="team/alice")).access_key == "team/alice"


# --- what a signature must cover


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-acl", "x-amz-meta-a", "x-amz-decoded-content-length"])
def test_unsigned_amz_header_on_a_signed_request_is_denied(name: str) -> None:
    error = refused(wire("PUT", "/bucket/key", {**sign_header("PUT"), name: "x"}))
    assert (error.code, error.status, error.fields) == ("AccessDenied", 403, {"HeadersNotSigned": name})
    assert error.message == "There were headers present in the request which were not signed"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-copy-source", "other/key"),
        ("x-amz-date", signing.TIMESTAMP),
        ("x-amz-content-sha256", EMPTY),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    ],
)
def test_unsigned_amz_header_on_a_presigned_request_is_denied(name: str, value: str) -> None:
    error = refused(wire("PUT", presign("PUT"), {"host": HOST, name: value}))
    assert (error.code, error.fields) == ("AccessDenied", {"HeadersNotSigned": name})


def test_presigned_request_may_repeat_that_its_payload_is_unsigned() -> None:
    request = wire("PUT", presign("PUT"), {"host": HOST, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    assert decode(request).check(SECRET) is not None


def test_presigned_payload_hash_counts_where_it_is_signed_in_header_or_query() -> None:
    in_header = {"x-amz-content-sha256": EMPTY}
    claim = decode(wire("PUT", presign("PUT", headers=in_header, payload=EMPTY), {"host": HOST, **in_header}))
    assert (claim.payload_hash, claim.check(SECRET) is not None) == (EMPTY, True)
    target = presign("PUT", extra={"X-Amz-Content-Sha256": EMPTY}, payload=EMPTY)
    claim = decode(wire("PUT", target, {"host": HOST}))
    assert (claim.payload_hash, claim.check(SECRET) is not None) == (EMPTY, True)


def test_host_must_be_signed() -> None:
    error = refused(header_wire(signed="x-amz-content-sha256;x-amz-date"))
    assert (error.code, error.fields) == ("AccessDenied", {"HeadersNotSigned": "host"})


def test_signed_header_that_is_absent_never_matches() -> None:
    names = "host;x-amz-acl;x-amz-content-sha256;x-amz-date"
    claim = decode(header_wire(signed=names))  # signed as an empty header, and not sent
    assert claim.check(SECRET) is None
    assert claim.mismatch().code == "SignatureDoesNotMatch"


def test_every_signed_part_counts() -> None:
    headers = sign_header("PUT", headers={"content-type": "text/plain"})
    assert decode(wire("PUT", "/bucket/key", headers)).check(SECRET) is not None
    for changed in ({"host": "other"}, {"content-type": "text/html"}, {"x-amz-content-sha256": "0" * 64}):
        assert decode(wire("PUT", "/bucket/key", {**headers, **changed})).check(SECRET) is None
    assert decode(wire("PUT", "/bucket/key", {**headers, "x-amz-date": "20130524T000001Z"})).check(SECRET) is None


# --- malformed headers


def authorization(value: str, **more: str) -> Wire:
    headers = {**sign_header(), "authorization": value, **more}
    return wire("GET", "/bucket/key", headers)


@pytest.mark.parametrize("value", ["", "Basic YTpi", "Bearer x", "AWS4-HMAC-SHA512 x", "aws4-hmac-sha256 x", "AWS4"])
def test_authorization_of_another_type_is_unsupported(value: str) -> None:
    error = refused(authorization(value))
    assert (error.code, error.message) == ("InvalidArgument", "Unsupported Authorization Type")


def test_sigv2_header_is_told_to_use_version_4() -> None:
    error = refused(authorization(f"AWS {ACCESS_KEY}:frJIUN8DYpKDtOLCwo//yllqDzg="))
    assert error.code == "InvalidRequest"
    assert error.message.endswith("Please use AWS4-HMAC-SHA256.")


def test_sigv4a_is_not_implemented() -> None:
    assert refused(authorization("AWS4-ECDSA-P256-SHA256 Credential=x")).code == "NotImplemented"
    assert refused(wire("GET", presign(algorithm="AWS4-ECDSA-P256-SHA256"), {"host": HOST})).code == "NotImplemented"


GOOD = f"Credential={ACCESS_KEY}/{signing.SCOPE}"
TAIL = "SignedHeaders=host, Signature=00"


@pytest.mark.parametrize(
    ("components", "reason"),
    [
        ("", "malformed"),
        (GOOD, "requires three components"),
        (f"{GOOD}, SignedHeaders=host", "requires three components"),
        (f"{GOOD}, {TAIL}, Extra=1", "requires three components"),
        (f"{GOOD}, {GOOD}, {TAIL}", "is malformed"),
        (f"{GOOD}, SignedHeaders=, Signature=00", "is malformed"),
        (f"{GOOD}, SignedHeaders=ho st, Signature=00", "is malformed"),
        (f"{GOOD}, SignedHeaders=host, Signature=\u0660", "is malformed"),
        (f"Credential={ACCESS_KEY}, {TAIL}", "the Credential is mal-formed"),
        (f"Credential=/{signing.SCOPE}, {TAIL}", "the Credential is mal-formed"),
        (f"Credential={ACCESS_KEY}/2013052/us-east-1/s3/aws4_request, {TAIL}", "incorrect date format"),
        (f"Credential={ACCESS_KEY}/20130524/us-east-1/ec2/aws4_request, {TAIL}", 'incorrect service "ec2"'),
        (f"Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws3_request, {TAIL}", 'incorrect terminal "aws3_request"'),
        (f"Credential={ACCESS_KEY}/20130523/us-east-1/s3/aws4_request, {TAIL}", 'credential date "20130523"'),
    ],
)
def test_malformed_authorization_header_says_what_is_wrong(components: str, reason: str) -> None:
    error = refused(authorization(f"AWS4-HMAC-SHA256 {components}"))
    assert (error.code, error.status) == ("AuthorizationHeaderMalformed", 400)
    assert error.message.startswith("The authorization header is malformed; ")
    assert reason in error.message


def test_wrong_region_names_the_expected_one() -> None:
    error = refused(header_wire(), region="eu-west-1")
    assert (error.code, error.fields) == ("AuthorizationHeaderMalformed", {"Region": "eu-west-1"})
    assert "the region 'us-east-1' is wrong; expecting 'eu-west-1'" in error.message
    error = refused(wire("GET", presign(), {"host": HOST}), region="eu-west-1")
    assert (error.code, error.fields) == ("AuthorizationQueryParametersError", {"Region": "eu-west-1"})


def test_any_region_is_accepted_where_none_is_set() -> None:
    scope = "20130524/mars/s3/aws4_request"
    assert decode(header_wire(scope=scope)).check(SECRET) is not None
    assert decode(header_wire(), region="us-east-1").check(SECRET) is not None


@pytest.mark.parametrize("name", ["x-amz-date", "x-amz-content-sha256"])
def test_header_that_is_bound_may_come_once_only(name: str) -> None:
    headers = sign_header()
    error = refused(wire("GET", "/bucket/key", [*headers.items(), (name, headers[name])]))
    assert (error.code, error.fields) == ("InvalidArgument", {"ArgumentName": name})


def test_several_credentials_are_refused() -> None:
    headers = sign_header()
    twice = wire("GET", "/bucket/key", [*headers.items(), ("Authorization", headers["authorization"])])
    both = wire("GET", presign(), headers)
    v2 = signing.presign_v2(expires=str(int(NOW) + 9))
    both_queries = wire("GET", f"{presign()}&{v2.partition('?')[2]}", {"host": HOST})
    for request in (twice, both, both_queries, wire("GET", v2, headers)):
        error = refused(request)
        assert (error.code, error.status) == ("InvalidArgument", 400)
        assert error.message.startswith("Only one auth mechanism allowed")


def test_missing_payload_hash_is_named() -> None:
    error = refused(header_wire(payload=None))
    assert error.code == "InvalidRequest"
    assert error.message == "Missing required header for this request: x-amz-content-sha256"


@pytest.mark.parametrize(
    "value", ["", "unsigned-payload", "0" * 63, "0" * 65, EMPTY.upper(), "STREAMING-", "\u0660" * 64, "STREAMING"]
)
def test_payload_hash_of_another_form_is_refused(value: str) -> None:
    error = refused(wire("GET", "/bucket/key", {**sign_header(), "x-amz-content-sha256": value}))
    assert (error.code, error.fields["ArgumentName"]) == ("InvalidArgument", "x-amz-content-sha256")
    assert error.message.endswith("or a valid sha256 value.")


def test_ecdsa_payload_is_not_implemented() -> None:
    for value in (
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
    ):
        assert refused(header_wire(payload=value)).code == "NotImplemented"


# --- time


@pytest.mark.parametrize("offset", [-900, -1, 0, 1, 900])
def test_clock_may_be_off_by_a_quarter_of_an_hour(offset: int) -> None:
    assert decode(header_wire(), now=NOW + offset).check(SECRET) is not None


@pytest.mark.parametrize("offset", [-901, 901, 86400, -86400])
def test_larger_skew_is_refused(offset: int) -> None:
    error = refused(header_wire(), now=NOW + offset)
    assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
    assert error.fields["RequestTime"] == signing.TIMESTAMP
    assert error.fields["MaxAllowedSkewMilliseconds"] == "900000"
    assert re.fullmatch(r"2013-05-2\dT\d\d:\d\d:\d\dZ", error.fields["ServerTime"])


@pytest.mark.parametrize(
    "date",
    [
        "",
        "20130524",
        "2013-05-24T00:00:00Z",
        "20130524T000000",
        "20131324T000000Z",
        "20130524T250000Z",
        "20130524T000000Z ,",
        "2013052\u0664T000000Z",
        "+2013524T000000Z",
        "Fri, 24 Mai 2013 00:00:00 GMT",
        "Fri, 24 May 2013 00:00:00 CEST",
        "Fri, 32 May 2013 00:00:00 GMT",
        "1369353600",
    ],
)
def test_date_of_another_form_is_refused(date: str) -> None:
    error = refused(wire("GET", "/bucket/key", {**sign_header(), "x-amz-date": date}))
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.message == "AWS authentication requires a valid Date or x-amz-date header"


def test_request_without_a_date_is_refused() -> None:
    headers = sign_header()
    del headers["x-amz-date"]
    assert refused(wire("GET", "/bucket/key", headers)).code == "AccessDenied"


# --- presigned


@pytest.mark.parametrize("expires", ["1", "604800", "0604800"])
def test_presigned_lifetime_goes_from_a_second_to_a_week(expires: str) -> None:
    request = wire("GET", presign(expires=expires), {"host": HOST})
    assert decode(request, now=NOW + 1).check(SECRET) is not None


@pytest.mark.parametrize(
    ("expires", "reason"),
    [
        ("0", "at least 1"),
        ("-1", "must be non-negative"),
        ("604801", "less than a week"),
        ("9" * 18, "less than a week"),
        ("1e3", "should be a number"),
        ("1_0", "should be a number"),
        ("+5", "should be a number"),
        ("5.0", "should be a number"),
        ("0x5", "should be a number"),
        ("9" * 5000, "should be a number"),
        ("\u0663", "malformed"),
        (" 5", "malformed"),
        ("5\n", "malformed"),
        ("", "requires the X-Amz-Algorithm"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_presigned_lifetime_of_another_form_is_refused(expires: str, reason: str) -> None:
    error = refused(wire("GET", presign(expires=expires), {"host": HOST}))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)
    assert reason in error.message


def test_presigned_request_ends_with_its_lifetime() -> None:
    request = wire("GET", presign(expires="60"), {"host": HOST})
    assert decode(request, now=NOW + 60).check(SECRET) is not None
    error = refused(request, now=NOW + 61)
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert error.fields == {
        "X-Amz-Expires": "60",
        "Expires": "2013-05-24T00:01:00Z",
        "ServerTime": "2013-05-24T00:01:01Z",
    }


def test_presigned_request_of_the_future_is_not_valid_yet() -> None:
    request = wire("GET", presign(), {"host": HOST})
    assert decode(request, now=NOW - 900).check(SECRET) is not None
    error = refused(request, now=NOW - 901)
    assert (error.code, error.message) == ("AccessDenied", "Request is not valid yet")


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
def test_presigned_parameter_must_come_exactly_once(name: str) -> None:
    path, _, query = presign().partition("?")
    parameters = query.split("&")
    mine = next(p for p in parameters if p.startswith(f"X-Amz-{name}="))
    without = "&".join(p for p in parameters if p != mine)
    for changed in (without, f"{query}&{mine}"):
        error = refused(wire("GET", f"{path}?{changed}", {"host": HOST}))
        assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)


@pytest.mark.parametrize(
    "over",
    [
        {"algorithm": "AWS4-HMAC-SHA512"},
        {"scope": "20130523/us-east-1/s3/aws4_request"},
        {"scope": "20130524/us-east-1/ec2/aws4_request"},
        {"scope": "20130524/us-east-1/s3/aws4"},
        {"scope": "x/us-east-1/s3/aws4_request"},
        {"timestamp": "2013-05-24T00:00:00Z"},
    ],
)
def test_malformed_presigned_parameter_is_refused(over: Headers) -> None:
    error = refused(wire("GET", presign(**over), {"host": HOST}))  # type: ignore[arg-type]
    assert error.code == "AuthorizationQueryParametersError"


def test_presigned_parameters_may_be_reordered_but_not_extended() -> None:
    path, _, query = presign(extra={"partNumber": "1", "uploadId": "x"}).partition("?")
    backwards = "&".join(reversed(query.split("&")))
    assert decode(wire("GET", f"{path}?{backwards}", {"host": HOST})).check(SECRET) is not None
    for changed in (f"{query}&acl", f"{query}&partNumber=2", query.replace("&uploadId=x", "")):
        assert decode(wire("GET", f"{path}?{changed}", {"host": HOST})).check(SECRET) is None


# --- what is told and what is not


def test_mismatch_tells_what_was_signed_and_nothing_that_was_not_sent() -> None:
    request = wire("GET", "/bucket/key", {**sign_header(secret="other", headers={"x-amz-meta-a": "b\x01c"})})
    claim = decode(request)
    right = signing.signature(
        "GET",
        "/bucket/key",
        "",
        {name.decode(): value.decode() for name, value in request.headers},
        "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a",
        EMPTY,
    )
    assert claim.check(SECRET) is None
    error = claim.mismatch()
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert error.fields["AWSAccessKeyId"] == ACCESS_KEY
    assert error.fields["StringToSign"].startswith(f"AWS4-HMAC-SHA256\n{signing.TIMESTAMP}\n{signing.SCOPE}\n")
    assert error.fields["CanonicalRequest"].startswith("GET\n/bucket/key\n\nhost:")
    assert "x-amz-meta-a:b\ufffdc" in error.fields["CanonicalRequest"]
    assert bytes.fromhex(error.fields["CanonicalRequestBytes"]).endswith(EMPTY.encode())
    told = f"{error} {error.fields}"
    assert right not in told
    assert SECRET not in told


def test_signer_shows_neither_key_nor_signature() -> None:
    signer = decode(header_wire()).check(SECRET)
    assert signer is not None
    assert signer.key == signing.signing_key()
    assert signer.seed not in repr(signer)
    assert repr(signer.key) not in repr(signer)


def test_many_signing_keys_do_not_pile_up() -> None:
    from zs3.auth import sigv4

    claim = decode(header_wire())
    for number in range(sigv4._MAX_KEYS + 10):
        assert claim.check(f"secret {number}") is None
    assert len(sigv4._signing_keys) <= sigv4._MAX_KEYS
    assert SECRET not in repr(sigv4._signing_keys)
    assert claim.check(SECRET) is not None
    assert claim.check(SECRET) is not None


def test_signatures_are_compared_in_constant_time_only() -> None:
    for module in Path(zs3.auth.__file__).parent.glob("*.py"):
        for line in module.read_text().splitlines():
            assert not re.search(r"signature\w*( is)?( not)? (==|!=|in) |(==|!=) \w*(signature|expected)\b", line), line
