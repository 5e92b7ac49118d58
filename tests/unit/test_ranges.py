"""Ranges: every form of RFC 9110 that S3 serves, and nothing that only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.errors import S3Error
from zs3.web.ranges import Span, parse_copy_range, parse_part_number, part_span, resolve_range


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-9", Span(0, 10)),
        ("bytes=3-5", Span(3, 3)),
        ("bytes=3-99", Span(3, 7)),
        ("bytes=9-", Span(9, 1)),
        ("bytes=0-", Span(0, 10)),
        ("bytes=-1", Span(9, 1)),
        ("bytes=-10", Span(0, 10)),
        ("bytes=-99", Span(0, 10)),
        ("BYTES=007-008", Span(7, 2)),
        ("bytes=2-" + "9" * 5000, Span(2, 8)),
        ("bytes=-" + "9" * 5000, Span(0, 10)),
        ("bytes=" + "0" * 5000 + "2-3", Span(2, 2)),
    ],
)
def test_a_range_of_each_form_names_its_bytes(text, span):
    assert resolve_range(text, 10) == span


@pytest.mark.parametrize(
    "text",
    [
        "bytes=-",
        "bytes=5-2",
        "bytes=0-1,3-4",
        "bytes=0-1,",
        "bytes=1",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1_0-12",
        "bytes=٣-٤",
        "bytes=１-２",
        "bytes= 1-2",
        "bytes=1 -2",
        "bytes=1.0-2",
        "items=0-1",
        "0-1",
        "",
    ],
)
def test_what_is_no_single_range_is_ignored(text):
    assert resolve_range(text, 10) is None


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_without_any_byte_is_refused_with_the_size(text):
    with pytest.raises(S3Error) as caught:
        resolve_range(text, 10)
    assert caught.value.code == "InvalidRange"
    assert caught.value.headers == {"Content-Range": "bytes */10"}
    assert caught.value.fields["ActualObjectSize"] == "10"


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"])
def test_an_empty_object_has_no_range(text):
    with pytest.raises(S3Error, match="InvalidRange"):
        resolve_range(text, 0)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 200))
def test_a_range_is_a_slice(first, last, total):
    """What is sent is what Python's slice of the bytes is."""
    content = bytes(i % 251 for i in range(total))
    try:
        span = resolve_range(f"bytes={first}-{last}", total)
    except S3Error:
        assert first >= total
        return
    if last < first:
        assert span is None
        return
    assert content[span.first : span.first + span.size] == content[first : last + 1]
    assert span.content_range(total) == f"bytes {first}-{min(last, total - 1)}/{total}"


@given(st.integers(1, 300), st.integers(1, 200))
def test_a_suffix_is_the_end(count, total):
    content = bytes(i % 251 for i in range(total))
    span = resolve_range(f"bytes=-{count}", total)
    assert content[span.first : span.first + span.size] == content[-count:]


@given(st.text(), st.integers(0, 100))
def test_no_text_breaks_it(text, total):
    try:
        span = resolve_range(text, total)
    except S3Error as error:
        assert error.code == "InvalidRange"
    else:
        assert span is None or 0 <= span.first <= span.last < total


def test_a_copy_range_has_both_ends():
    assert parse_copy_range("bytes=0-0") == (0, 0)
    assert parse_copy_range("bytes=5-12345678901234567890") == (5, 12345678901234567890)


@pytest.mark.parametrize(
    "text",
    ["0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=hello-", "bytes=0-2,3-5", "bytes=3-2", "bytes=-5"],
)
def test_any_other_copy_range_is_refused(text):
    with pytest.raises(S3Error) as caught:
        parse_copy_range(text)
    assert caught.value.code == "InvalidArgument"
    assert caught.value.fields["ArgumentValue"] == text


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10000", 10000), ("007", 7)])
def test_part_numbers_go_from_1_to_10000(text, number):
    assert parse_part_number(text) == number


@pytest.mark.parametrize("text", ["0", "-1", "10001", "1.5", "", "1e3", "٣", " 1", "1_0", "9" * 5000])
def test_what_is_no_part_number_is_refused(text):
    with pytest.raises(S3Error, match="InvalidArgument"):
        parse_part_number(text)


def test_a_part_is_where_its_predecessors_end():
    assert part_span(1, (5, 7, 2), 14) == Span(0, 5)
    assert part_span(3, (5, 7, 2), 14) == Span(12, 2)


def test_an_object_without_parts_is_its_own_first():
    assert part_span(1, (), 14) == Span(0, 14)
    with pytest.raises(S3Error) as caught:
        part_span(2, (), 14)
    assert caught.value.code == "InvalidPartNumber"
    assert caught.value.fields["ActualPartCount"] == "1"
