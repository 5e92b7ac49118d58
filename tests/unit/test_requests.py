"""What is found out about a request before its handler runs: host, copy source, parameters, headers in the query."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.auth.wire import Wire
from zs3.errors import S3Error
from zs3.web.call import Call, effective_wire
from zs3.web.copies import Source, parse_source
from zs3.web.guard import split_host
from zs3.web.parameters import bounded_number, decode_token, encode_token, encoding_type


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("photos.s3.home.lan", ("photos", "s3.home.lan")),
        ("photos.s3.home.lan:9000", ("photos", "s3.home.lan")),
        ("Photos.S3.Home.Lan.", ("photos", "s3.home.lan")),
        ("a.b.c.s3.home.lan", ("a.b.c", "s3.home.lan")),
        ("s3.home.lan", ("", "s3.home.lan")),
        ("s3.home.lan:9000", ("", "s3.home.lan")),
        ("xs3.home.lan", None),
        ("home.lan", None),
        ("localhost:9000", None),
        ("[::1]:9000", None),
        ("", None),
        ("deep.lan", ("", "deep.lan")),
        ("photos.deep.lan", ("photos", "deep.lan")),
    ],
)
def test_a_host_below_a_domain_names_the_bucket(host, found):
    assert split_host(host, ["s3.home.lan", "lan2", "deep.lan"]) == found


def test_a_host_without_a_bucket_before_the_dot_is_refused():
    with pytest.raises(S3Error, match="InvalidBucketName"):
        split_host(".s3.home.lan", ["s3.home.lan"])


def test_the_longest_domain_counts():
    assert split_host("photos.s3.home.lan", ["home.lan", "s3.home.lan"]) == ("photos", "s3.home.lan")
    assert split_host("s3.home.lan", ["home.lan", "s3.home.lan"]) == ("", "s3.home.lan")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("b/k", Source("b", "k")),
        ("/b/k", Source("b", "k")),
        ("b/k/l%20m+n", Source("b", "k/l m+n")),
        ("b%2Fk%2F%C3%BC", Source("b", "k/ü")),
        ("b//k", Source("b", "/k")),
        ("b/../k", Source("b", "../k")),
        ("b/k?versionId=null", Source("b", "k", "null")),
        ("b/k?versionId=" + "a" * 32, Source("b", "k", "a" * 32)),
        ("b/k%3FversionId=null", Source("b", "k?versionId=null")),
    ],
)
def test_a_copy_source_is_decoded(text, source):
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "InvalidArgument"),
        ("/", "InvalidArgument"),
        ("b", "InvalidArgument"),
        ("b/", "InvalidArgument"),
        ("/b", "InvalidArgument"),
        ("//k", "InvalidArgument"),
        ("b/%FF", "InvalidArgument"),
        ("b/%00", "InvalidArgument"),
        ("b/k?acl", "InvalidArgument"),
        ("b/k?versionId=", "InvalidArgument"),
        ("b/k?versionId=x", "InvalidArgument"),
        ("b/k?versionId=" + "a" * 32 + "&x", "InvalidArgument"),
        ("arn:aws:s3:us-east-1:1:accesspoint/a/object/k", "NotImplemented"),
        ("b/" + "k" * 1025, "KeyTooLongError"),
    ],
)
def test_a_copy_source_that_is_none_is_refused(text, code):
    with pytest.raises(S3Error, match=code):
        parse_source(text)


@pytest.mark.parametrize(
    ("text", "number"), [(None, 7), ("", 7), ("0", 0), ("5", 5), ("1001", 1000), ("2147483647", 1000)]
)
def test_a_number_of_entries_is_bounded(text, number):
    assert bounded_number(text, "max-keys", default=7, high=1000) == number


@pytest.mark.parametrize("text", ["-1", "blah", "1.5", "2147483648", "٣", " 1", "1_0", "9" * 5000])
def test_what_is_no_number_of_entries_is_refused(text):
    with pytest.raises(S3Error, match="InvalidArgument"):
        bounded_number(text, "max-keys", default=7, high=1000)


def test_the_only_encoding_is_url():
    assert [encoding_type(each) for each in (None, "", "url")] == ["", "", "url"]
    with pytest.raises(S3Error, match="InvalidArgument"):
        encoding_type("URL")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_token_leads_to_where_the_listing_stopped(name):
    assert decode_token(encode_token(name)) == name


@pytest.mark.parametrize("token", ["x", "!!!!", "Mg==", "Mf8=", "ü", "MQ"])
def test_a_token_nobody_gave_is_refused(token):
    with pytest.raises(S3Error, match="InvalidArgument"):
        decode_token(token)


class Claim:
    def __init__(self, kind):
        self.kind = kind


PAIRS = [("X-Amz-Signature", "s"), ("x-amz-meta-A", "ü"), ("x-amz-acl", "private"), ("prefix", "p")]


def test_headers_may_be_in_a_signed_query():
    wire = Wire("PUT", b"/b/k", ((b"host", b"h"), (b"x-amz-acl", b"public-read")))
    assert effective_wire(wire, Claim("query"), PAIRS).headers == (*wire.headers, (b"x-amz-meta-a", "ü".encode()))


@pytest.mark.parametrize("pair", [("x-amz-meta-a\r\nb", "c"), ("x-amz-meta-a", "b\r\nc: d"), ("x-amz-meta-ü", "a")])
def test_what_no_header_could_hold_is_no_header_in_the_query(pair):
    with pytest.raises(S3Error, match="InvalidArgument"):
        effective_wire(Wire("PUT", b"/b/k", ()), Claim("query"), [pair])


def test_sigv2_does_not_cover_headers_in_the_query():
    wire = Wire("PUT", b"/b/k", ((b"host", b"h"),))
    assert effective_wire(wire, Claim("query-v2"), PAIRS) is wire


def test_a_header_is_text_whatever_its_bytes():
    wire = Wire("GET", b"/", ((b"a", "ü".encode()), (b"b", b"\xfc"), (b"c", b"1"), (b"c", b"2")))
    call = Call(request=None, store=None, gate=None, users=None, claim=None, signer=None, settings=None, wire=wire)
    assert [call.header(name) for name in "abcd"] == ["ü", "ü", "1,2", None]
