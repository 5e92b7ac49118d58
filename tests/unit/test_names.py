"""Names of buckets and keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from zs3.errors import S3Error
from zs3.web import names


@pytest.mark.parametrize("name", ["abc", "a-b", "a.b.c", "0ab", "a" * 63, "1.2.3", "my-bucket.example.com"])
def test_names_that_s3_takes(name):
    assert names.is_new_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 64,
        "Abc",
        "a_b",
        "-ab",
        "ab-",
        ".ab",
        "ab.",
        "a..b",
        "a.-b",
        "a-.b",
        "192.168.5.4",
        "xn--abc",
        "sthree-abc",
        "amzn-s3-demo-abc",
        "abc-s3alias",
        "abc--ol-s3",
        "abc.mrap",
        "abc--x-s3",
        "abc--table-s3",
        "a/b",
        "a b",
        "abc\n",
        "äbc",
        "a\x00c",
        "..",
        ".zs3",
    ],
)
def test_names_that_s3_refuses(name):
    assert not names.is_new_bucket_name(name)


@pytest.mark.parametrize("key", ["a", " ", "/", "..", "a" * 1024, "ä" * 512, "\t\n\r", "a\\b", "𝄞", "\u0085"])
def test_keys_that_work(key):
    names.check_key(key)


@pytest.mark.parametrize("key", ["a" * 1025, "ä" * 513])
def test_a_key_above_1024_bytes_is_too_long(key):
    with pytest.raises(S3Error) as caught:
        names.check_key(key)
    assert caught.value.code == "KeyTooLongError"
    assert caught.value.fields["MaxSizeAllowed"] == "1024"


@pytest.mark.parametrize("key", ["", "a\x00b", "\x01", "\x1f", "\ufffe", "\uffff"])
def test_a_key_that_no_listing_could_show_is_refused(key):
    with pytest.raises(S3Error, match="InvalidArgument"):
        names.check_key(key)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_fits_xml_is_what_an_xml_parser_takes(text):
    document = "<a>" + "".join(f"&#{ord(character)};" for character in text) + "</a>"
    try:
        parsed = etree.fromstring(document).text or ""
    except etree.XMLSyntaxError:
        assert not names.fits_xml(text)
        assert names.fits_xml(names.replace_what_xml_cannot_carry(text))
    else:
        assert names.fits_xml(text)
        assert parsed == text == names.replace_what_xml_cannot_carry(text)


@pytest.mark.parametrize("path", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a\x80"])
def test_a_path_that_is_not_utf_8_is_refused(path):
    with pytest.raises(S3Error, match="InvalidURI"):
        names.decode_path(path)


@pytest.mark.parametrize("raw", [b"/a%zz", b"/a%", b"/a%4", b"/%%41"])
def test_a_percent_sign_that_begins_no_escape_is_refused(raw):
    with pytest.raises(S3Error, match="InvalidURI"):
        names.check_escapes(raw)


def test_escapes_in_any_case_are_fine():
    names.check_escapes(b"/a%2fb%2F%C3%bc+")
