"""Preconditions: RFC 9110's order, S3's spellings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.errors import S3Error
from zs3.store.values import ObjectInfo, WriteCondition
from zs3.web import conditions
from zs3.web.conditions import ETag, parse_etags

INFO = ObjectInfo("key", 3, 784111777_500_000_000, "abc")
BEFORE, SAME, AFTER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (36, 37, 38))


def headers(**given):
    return {name.replace("_", "-"): value for name, value in given.items()}.get


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('"a"', [ETag("a")]),
        ("a", [ETag("a")]),
        ('W/"a"', [ETag("a", weak=True)]),
        ('"a", "b" ,W/"c"', [ETag("a"), ETag("b"), ETag("c", weak=True)]),
        ('"a,b"', [ETag("a,b")]),
        ("a,b", [ETag("a"), ETag("b")]),
        ('""', [ETag("")]),
        (',, "a",', [ETag("a")]),
        ("", []),
        ('"a', []),
        ('"a"b, c', [ETag("c")]),
        ("*", None),
        ('"*"', [ETag("*")]),
    ],
)
def test_lists_of_tags_are_read_in_every_spelling(text, tags):
    assert parse_etags(text) == tags


@pytest.mark.parametrize("text", ["a" + " " * 1_000_000 + '"', '"' * 1_000_000, "W/" * 500_000 + '"'])
def test_a_long_list_costs_no_more_than_its_length(text):
    """With one look too many at each character, this test would not end."""
    assert parse_etags(text) == []


@given(st.text())
def test_no_text_breaks_the_list(text):
    tags = parse_etags(text)
    assert tags is None or all('"' not in tag.value for tag in tags)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"if_match": '"abc"'},
        {"if_match": "abc"},
        {"if_match": '"x", "abc"'},
        {"if_match": "*"},
        {"if_unmodified_since": SAME},
        {"if_unmodified_since": "no date"},
        {"if_none_match": '"x"'},
        {"if_modified_since": BEFORE},
        {"if_modified_since": "no date"},
        # S3 and RFC 9110: a tag overrules the date beside it.
        {"if_match": '"abc"', "if_unmodified_since": BEFORE},
        {"if_none_match": '"x"', "if_modified_since": AFTER},
    ],
)
def test_a_get_goes_on_when_its_conditions_hold(given):
    assert conditions.is_not_modified(headers(**given), INFO) is False


@pytest.mark.parametrize(
    "given",
    [
        {"if_none_match": '"abc"'},
        {"if_none_match": 'W/"abc"'},
        {"if_none_match": "*"},
        {"if_modified_since": SAME},
        {"if_modified_since": AFTER},
        {"if_none_match": '"abc"', "if_modified_since": BEFORE},
        {"if_match": '"abc"', "if_none_match": '"abc"'},
    ],
)
def test_a_get_of_what_the_client_has_is_not_modified(given):
    assert conditions.is_not_modified(headers(**given), INFO) is True


@pytest.mark.parametrize(
    ("given", "condition"),
    [
        ({"if_match": '"x"'}, "If-Match"),
        ({"if_match": 'W/"abc"'}, "If-Match"),
        ({"if_match": ""}, "If-Match"),
        ({"if_unmodified_since": BEFORE}, "If-Unmodified-Since"),
        # 412 comes before 304.
        ({"if_match": '"x"', "if_none_match": '"abc"'}, "If-Match"),
        ({"if_unmodified_since": BEFORE, "if_modified_since": AFTER}, "If-Unmodified-Since"),
    ],
)
def test_a_get_whose_condition_fails_names_it(given, condition):
    with pytest.raises(S3Error) as caught:
        conditions.is_not_modified(headers(**given), INFO)
    assert (caught.value.code, caught.value.fields) == ("PreconditionFailed", {"Condition": condition})


@pytest.mark.parametrize(
    ("text", "applies"),
    [
        (None, True),
        ('"abc"', True),
        ('W/"abc"', False),
        ('"x"', False),
        ('"abc", "x"', False),
        ("*", False),
        (SAME, True),
        (BEFORE, False),
        (AFTER, False),
    ],
)
def test_a_range_counts_only_for_the_object_it_was_begun_with(text, applies):
    assert conditions.range_applies({"if-range": text}.get, INFO) is applies


def copy_headers(**given):
    return {"x-amz-copy-source-" + name.replace("_", "-"): value for name, value in given.items()}.get


@pytest.mark.parametrize(
    "given",
    [
        {"if_match": "abc"},
        {"if_match": "abc", "if_unmodified_since": BEFORE},
        {"if_none_match": "x"},
        {"if_modified_since": BEFORE},
    ],
)
def test_a_copy_goes_on_when_its_conditions_hold(given):
    conditions.check_copy_source(copy_headers(**given), INFO)


@pytest.mark.parametrize(
    ("given", "condition"),
    [
        ({"if_match": "x"}, "If-Match"),
        ({"if_none_match": "abc"}, "If-None-Match"),
        ({"if_none_match": "abc", "if_modified_since": BEFORE}, "If-None-Match"),
        ({"if_modified_since": AFTER}, "If-Modified-Since"),
        ({"if_unmodified_since": BEFORE}, "If-Unmodified-Since"),
    ],
)
def test_a_copy_whose_condition_fails_is_refused(given, condition):
    with pytest.raises(S3Error) as caught:
        conditions.check_copy_source(copy_headers(**given), INFO)
    assert caught.value.code == "PreconditionFailed"
    assert caught.value.fields == {"Condition": "x-amz-copy-source-" + condition}


def test_conditions_of_a_copy_are_not_those_of_its_source():
    conditions.check_copy_source({"if-match": "x", "if-none-match": "abc"}.get, INFO)
    assert conditions.is_not_modified(copy_headers(if_none_match="abc"), INFO) is False


@pytest.mark.parametrize(
    ("given", "condition"),
    [
        ({}, WriteCondition()),
        ({"if_match": '"abc"'}, WriteCondition(if_match="abc")),
        ({"if_match": "abc"}, WriteCondition(if_match="abc")),
        ({"if_match": "*"}, WriteCondition(if_match="*")),
        ({"if_match": 'W/"abc"'}, WriteCondition(if_match="")),
        ({"if_none_match": "*"}, WriteCondition(if_none_match="*")),
        ({"if_none_match": '"abc"'}, WriteCondition(if_none_match="abc")),
        ({"if_none_match": 'W/"abc"'}, WriteCondition(if_none_match="abc")),
        # Of GET and HEAD only (RFC 9110, 13.1.3).
        ({"if_modified_since": AFTER}, WriteCondition()),
    ],
)
def test_headers_become_the_condition_of_a_write(given, condition):
    assert conditions.write_condition(headers(**given)) == condition


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"if_none_match": '"a", "b"'}, "NotImplemented"),
        ({"if_match": '"a", "b"'}, "NotImplemented"),
        ({"if_unmodified_since": SAME}, "NotImplemented"),
        ({"if_match": "*", "if_none_match": "*"}, "InvalidRequest"),
    ],
)
def test_a_condition_that_would_be_ignored_is_refused(given, code):
    with pytest.raises(S3Error, match=code):
        conditions.write_condition(headers(**given))


def test_a_delete_may_ask_for_tag_size_and_time():
    given = {"if-match": '"abc"', "x-amz-if-match-size": "3", "x-amz-if-match-last-modified-time": SAME}
    assert conditions.delete_condition(given.get) == WriteCondition(if_match="abc", size=3, mtime_s=784111777)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-if-match-size", "-1", "InvalidArgument"),
        ("x-amz-if-match-size", "٣", "InvalidArgument"),
        ("x-amz-if-match-size", "9" * 5000, "InvalidArgument"),
        ("x-amz-if-match-last-modified-time", "soon", "InvalidArgument"),
        ("if-none-match", "*", "NotImplemented"),
        ("if-unmodified-since", SAME, "NotImplemented"),
    ],
)
def test_what_a_delete_cannot_ask_for_is_refused(name, value, code):
    with pytest.raises(S3Error, match=code):
        conditions.delete_condition({name: value}.get)
