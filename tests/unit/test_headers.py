"""Headers that make an object's attributes, headers made of them, and headers that are refused."""

from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.errors import S3Error
from zs3.store.values import Attributes, ObjectInfo
from zs3.web import headers


def pairs(*given):
    return [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in given]


def test_system_headers_and_metadata_are_kept_and_others_are_not():
    attributes = headers.parse_attributes(
        pairs(
            ("host", "h"),
            ("authorization", "secret"),
            ("content-type", "text/plain"),
            ("content-language", "de"),
            ("content-disposition", "attachment"),
            ("cache-control", "no-cache"),
            ("expires", "whenever"),
            ("x-amz-website-redirect-location", "/other"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-meta-a", "1"),
            ("x-amz-meta-b-c", ""),
            ("x-amz-date", "now"),
            ("content-length", "5"),
        )
    )
    assert attributes.headers == {
        "content-type": "text/plain",
        "content-language": "de",
        "content-disposition": "attachment",
        "cache-control": "no-cache",
        "expires": "whenever",
        "x-amz-website-redirect-location": "/other",
        "x-amz-storage-class": "STANDARD_IA",
    }
    assert attributes.metadata == {"a": "1", "b-c": ""}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("aws-chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("gzip, AWS-Chunked", "gzip"),
        ("gzip,br", "gzip,br"),
        ("aws-chunked, deflate, gzip", "deflate, gzip"),
        ("", None),
    ],
)
def test_aws_chunked_is_no_coding_of_the_object(sent, kept):
    assert headers.parse_attributes(pairs(("content-encoding", sent))).headers.get("content-encoding") == kept


def test_lines_of_one_name_are_joined():
    attributes = headers.parse_attributes(pairs(("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")))
    assert attributes.metadata == {"a": "1,2"}


@pytest.mark.parametrize(("raw", "text"), [("ä€".encode(), "ä€"), (b"\xe4", "ä")])
def test_metadata_is_utf_8_or_else_latin_1(raw, text):
    assert headers.parse_attributes(pairs(("x-amz-meta-a", raw))).metadata == {"a": text}


def test_metadata_may_have_2_kib_of_names_and_values():
    headers.parse_attributes(pairs(("x-amz-meta-abcd", "x" * 2044)))
    with pytest.raises(S3Error) as caught:
        headers.parse_attributes(pairs(("x-amz-meta-abcd", "x" * 2045)))
    assert caught.value.code == "MetadataTooLarge"
    assert caught.value.fields == {"Size": "2049", "MaxSizeAllowed": "2048"}


@pytest.mark.parametrize("name", ["GLACIER", "DEEP_ARCHIVE", "OUTPOSTS", "standard", ""])
def test_a_storage_class_that_is_not_read_at_once_is_refused(name):
    with pytest.raises(S3Error, match="InvalidStorageClass"):
        headers.parse_attributes(pairs(("x-amz-storage-class", name)))


def test_the_standard_class_need_not_be_kept():
    assert headers.parse_attributes(pairs(("x-amz-storage-class", "STANDARD"))).headers == {}


def test_a_website_redirect_goes_to_a_path_or_a_web_site():
    with pytest.raises(S3Error, match="InvalidRedirectLocation"):
        headers.parse_attributes(pairs(("x-amz-website-redirect-location", "javascript:alert(1)")))


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-server-side-encryption", "AES256", "NotImplemented"),
        ("x-amz-server-side-encryption", "aws:kms", "NotImplemented"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", "NotImplemented"),
        ("x-amz-object-lock-event-hold", "ON", "NotImplemented"),
        ("x-amz-object-lock-event-hold-duration-days", "1", "NotImplemented"),
        ("x-amz-write-offset-bytes", "0", "NotImplemented"),
    ],
)
def test_what_would_not_be_done_is_refused(name, value, code):
    with pytest.raises(S3Error) as caught:
        headers.check_new_object({name: value}.get)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-request-payer", "requester"),
    ],
)
def test_what_changes_nothing_is_accepted(name, value):
    headers.check_new_object({name: value}.get)


def test_there_is_one_namespace_of_buckets():
    with pytest.raises(S3Error, match="NotImplemented"):
        headers.check_new_bucket({"x-amz-bucket-namespace": "account-regional"}.get)
    headers.check_new_bucket({"x-amz-bucket-namespace": "global"}.get)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("content-md5", True),
        ("x-amz-checksum-crc32c", True),
        ("x-amz-trailer", True),
        ("x-amz-content-sha256", False),
        ("x-amz-checksum-type", False),
    ],
)
def test_a_digest_is_what_the_bytes_must_turn_out_to_be(name, expected):
    assert headers.has_digest({name: "value"}.get) is expected


def test_the_bucket_must_have_the_owner_that_is_expected():
    headers.check_bucket_owner({"x-amz-expected-bucket-owner": "me"}.get, "me")
    with pytest.raises(S3Error, match="AccessDenied"):
        headers.check_bucket_owner({"x-amz-expected-bucket-owner": "you"}.get, "me")


def test_keys_of_encrypted_objects_do_not_apply():
    with pytest.raises(S3Error, match="InvalidRequest"):
        headers.check_read({"x-amz-server-side-encryption-customer-algorithm": "AES256"}.get)
    with pytest.raises(S3Error, match="InvalidRequest"):
        headers.check_copy_source_encryption(
            {"x-amz-copy-source-server-side-encryption-customer-algorithm": "AES256"}.get
        )


# Into an answer


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_encoded_metadata_is_printable_ascii_that_decodes_to_the_same(text):
    encoded = headers.encode_metadata(text)
    assert all(character == "\t" or " " <= character <= "~" for character in encoded)
    assert all(len(word) <= 75 for word in encoded.split(" ")) or encoded == text
    if encoded != text:
        assert str(make_header(decode_header(encoded))) == text


def test_plain_metadata_is_returned_as_it_is():
    assert headers.encode_metadata("=?UTF-8?Q?=C3?= a\tb") == "=?UTF-8?Q?=C3?= a\tb"


def info(**attributes):
    return ObjectInfo("k", 5, 784111777 * 10**9, "abc", Attributes(**attributes))


def test_an_object_is_described_by_its_headers():
    stored = info(headers={"content-type": "a/b", "content-language": "de"}, metadata={"x": "ä"})
    assert headers.representation(stored) == {
        "last-modified": b"Sun, 06 Nov 1994 08:49:37 GMT",
        "etag": b'"abc"',
        "accept-ranges": b"bytes",
        "content-type": b"a/b",
        "content-language": b"de",
        "x-amz-meta-x": b"=?UTF-8?B?w6Q=?=",
    }


def test_without_a_content_type_s3s_own_is_told():
    assert headers.representation(info())["content-type"] == b"binary/octet-stream"


def test_system_headers_keep_their_bytes():
    raw = 'attachment; filename="ä.txt"'.encode()
    stored = headers.parse_attributes(pairs(("content-disposition", raw)))
    assert headers.representation(info(headers=stored.headers))["content-disposition"] == raw


def test_not_modified_tells_what_a_cache_needs():
    stored = info(headers={"cache-control": "no-cache", "content-language": "de"}, metadata={"x": "y"})
    assert list(headers.not_modified(stored)) == ["last-modified", "etag", "cache-control"]


def test_overrides_replace_headers():
    assert headers.parse_overrides(
        [("response-content-type", "a/b"), ("prefix", "x"), ("response-content-disposition", "ä")]
    ) == {"content-type": b"a/b", "content-disposition": b"\xe4"}


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\x00b", "a\x7f", "€"])
def test_an_override_that_is_no_header_value_is_refused(value):
    with pytest.raises(S3Error, match="InvalidArgument"):
        headers.parse_overrides([("response-content-disposition", value)])


def test_what_others_wrote_into_a_record_splits_no_response():
    stored = info(headers={"content-type": "a\r\nX-Evil: 1"}, metadata={"a\r\nX-Evil": "1", "ü": "2", "b": "c\r\nd"})
    told = headers.representation(stored)
    assert told["content-type"] == b"a  X-Evil: 1"
    assert told["x-amz-missing-meta"] == b"2"
    assert told["x-amz-meta-b"] == b"=?UTF-8?B?Yw0KZA==?="
    assert not [name for name in told if "\r" in name]
