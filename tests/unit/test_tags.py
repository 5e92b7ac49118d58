"""Tags: what is written is what is read, and what may not be one is refused."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from zs3.errors import S3Error
from zs3.web import tags, xml

#: What S3 takes: by the pattern in its API model, letters, separators, numbers and a few more.
characters = st.characters(categories=["L", "N", "Z"], include_characters="_.:/=+-@")
keys = st.text(characters, min_size=1, max_size=60).filter(lambda key: not key.startswith("aws:"))
values = st.text(characters, max_size=120)
sets = st.dictionaries(keys, values, max_size=10)


def tagging(pairs, *, name="Tagging"):
    """A document as SDKs write it."""
    root = xml.root(name)
    tag_set = root.add("TagSet")
    for key, value in pairs:
        tag = tag_set.add("Tag")
        tag.add("Key", key)
        tag.add("Value", value)
    return root.document()


@given(sets)
def test_a_document_says_the_tags_again(given_tags):
    found = tags.parse_tagging(tagging(given_tags.items()))
    assert found == given_tags
    assert tags.parse_tagging(tags.document(found.items())) == found
    root = etree.fromstring(tags.document(found.items()))
    assert [element.text for element in root.iter("{*}Key")] == list(found)


@pytest.mark.parametrize("spelled", [quote, quote_plus, lambda text: quote(text, safe="")])
@given(given_tags=sets)
def test_a_header_says_the_tags_again(spelled, given_tags):
    text = "&".join(f"{spelled(key)}={spelled(value)}" for key, value in given_tags.items())
    assert tags.parse_header(text) == given_tags


@given(sets)
def test_tags_are_in_the_order_of_their_keys(given_tags):
    """However they came, so that the same tags are always told alike."""
    there = tags.parse_tagging(tagging(given_tags.items()))
    back = tags.parse_tagging(tagging(reversed(given_tags.items())))
    assert list(there.items()) == list(back.items()) == sorted(given_tags.items())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("&", {}),
        ("a", {"a": ""}),
        ("b=2&a", {"a": "", "b": "2"}),
        ("a=b=c", {"a": "b=c"}),
        ("a+b=c%20d", {"a b": "c d"}),
        ("gr%C3%BCn=日本", {"grün": "日本"}),
    ],
)
def test_a_header_is_read_as_a_query(text, expected):
    assert tags.parse_header(text) == expected


@pytest.mark.parametrize("text", ["=", "=a", "a=1&a=2", "a&a", "a=%ff", "%c0%af=1"])
def test_what_is_no_such_query_is_refused(text):
    with pytest.raises(S3Error) as caught:
        tags.parse_header(text)
    assert (caught.value.code, caught.value.fields["ArgumentName"]) == ("InvalidArgument", "x-amz-tagging")


#: The 𝄞 takes two of the units that S3 counts.
@pytest.mark.parametrize(
    ("key", "value"), [("k" * 128, "v" * 256), ("ü" * 128, "ü" * 256), ("日" * 128, "本" * 256), ("𐐀" * 64, "𐐀" * 128)]
)
def test_as_long_as_they_may_be_and_no_longer(key, value):
    full = {f"{number}{key[1:]}": value for number in range(10)} if key.isascii() else {key: value}
    assert tags.parse_tagging(tagging(full.items())) == full
    for pairs in ([(key + "x", value)], [(key, value + "x")], [("", value)]):
        with pytest.raises(S3Error, match="InvalidTag"):
            tags.parse_tagging(tagging(pairs))


@pytest.mark.parametrize("limit", [tags.MAX_OBJECT_TAGS, tags.MAX_BUCKET_TAGS])
def test_there_may_be_so_many(limit):
    pairs = [(f"{number:02}", "") for number in range(limit + 1)]
    assert tags.parse_tagging(tagging(pairs[:-1]), limit) == dict(pairs[:-1])
    with pytest.raises(S3Error, match=f"InvalidTag: .* {limit} "):
        tags.parse_tagging(tagging(pairs), limit)


def test_a_header_has_the_limits_of_an_object():
    query = "&".join(f"{number}=" for number in range(11))
    for text in (query, "aws:x=1", "k" * 129 + "=", "k=" + "v" * 257, "a=%26"):
        with pytest.raises(S3Error, match="InvalidTag"):
            tags.parse_header(text)


@pytest.mark.parametrize(
    "text", ["a&b", "a<b", "a\tb", "a\nb", "a,b", "a;b", "a#b", "a(b)", "😀", "a\u0301", '"', "\\", "%"]
)
def test_what_tags_may_not_hold(text):
    for pairs in ([(text, "value")], [("key", text)]):
        with pytest.raises(S3Error, match="InvalidTag") as caught:
            tags.parse_tagging(tagging(pairs))
        assert caught.value.fields["TagKey"] == pairs[0][0]


def test_a_key_once_and_no_reserved_one():
    with pytest.raises(S3Error, match=r"InvalidTag.*same key"):
        tags.parse_tagging(tagging([("a", "1"), ("a", "2")]))
    with pytest.raises(S3Error, match=r"InvalidTag.*reserved"):
        tags.parse_tagging(tagging([("aws:a", "1")]))
    assert tags.parse_tagging(tagging([("awsa", "aws:1")])) == {"awsa": "aws:1"}


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<TagSet/><TagSet/>",
        "<Tag><Key>a</Key><Value/></Tag>",
        "<TagSet><Tag/></TagSet>",
        "<TagSet><Tag><Key>a</Key></Tag></TagSet>",
        "<TagSet><Tag><Value>a</Value></Tag></TagSet>",
        "<TagSet><Tag><Key>a</Key><Key>b</Key><Value/></Tag></TagSet>",
        "<TagSet><Tag><Key>a</Key><Value/><More/></Tag></TagSet>",
        "<TagSet><Other/></TagSet>",
        "<TagSet>" + "<Tag><Key>a</Key><Value/></Tag>" * 1000 + "</TagSet>",
        "<TagSet>",
    ],
)
def test_what_is_no_such_document_is_malformed(inside):
    with pytest.raises(S3Error, match="MalformedXML"):
        tags.parse_tagging(f"<Tagging>{inside}</Tagging>".encode())


def test_another_document_is_malformed():
    for document in (b"", b"<x/>", tagging([("a", "b")], name="Tags")):
        with pytest.raises(S3Error, match="MalformedXML"):
            tags.parse_tagging(document)


@given(st.text(max_size=300))
def test_no_header_is_an_error_of_ours(text):
    try:
        found = tags.parse_header(text.encode("utf-8", "replace").decode())
    except S3Error as error:
        assert error.code in ("InvalidArgument", "InvalidTag")
    else:
        assert tags.checked(found.items(), 10) == found
