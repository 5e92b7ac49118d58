"""The head of a request; what it refuses is in tests/wire/test_transport_malformed.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.errors import S3Error
from zs3.web.http1 import parse_head, salvage

TOKEN = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=20).map(str.encode)
TARGET = st.text("".join(map(chr, range(33, 127))).replace("#", ""), max_size=50).map(lambda text: b"/" + text.encode())
CONTROLS = bytes([*range(9), *range(10, 32), 127])
VALUE = st.binary(max_size=30).map(lambda raw: raw.translate(None, CONTROLS).strip(b" \t"))
SPACE = st.text(" \t", max_size=3).map(str.encode)
FRAMING = {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"}


@given(TOKEN, TARGET, st.lists(st.tuples(TOKEN.filter(lambda t: t.lower() not in FRAMING), VALUE, SPACE, SPACE)))
def test_what_is_well_formed_is_taken_as_it_is(
    method: bytes, target: bytes, fields: list[tuple[bytes, bytes, bytes, bytes]]
) -> None:
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: h"]
    lines += [name + b":" + before + value + after for name, value, before, after in fields]
    head = parse_head(b"\r\n".join(lines))
    assert (head.method, head.target) == (method, target)
    assert head.fields == ((b"host", b"h"), *((name.lower(), value) for name, value, _, _ in fields))
    for name, joined in head.values.items():
        assert joined == b",".join(value for other, value in head.fields if other == name)
    assert (head.length, head.declared_length, head.persistent) == (0, None, True)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_an_s3_error(data: bytes) -> None:
    try:
        assert b" " not in parse_head(data).target
    except S3Error:
        pass  # any other exception fails the test
    method, target = salvage(data)
    assert b" " not in method + target


@given(st.binary(max_size=100))
def test_any_bytes_in_a_field_do_not_become_another_field(data: bytes) -> None:
    try:
        head = parse_head(b"GET / HTTP/1.1\r\nHost: h\r\nA: " + data.replace(b"\r\n", b"\r") + b"\r\nB: c")
    except S3Error:
        return
    assert [name for name, _ in head.fields] == [b"host", b"a", b"b"]


def framing(*lines: bytes) -> tuple[int | None, int | None]:
    head = parse_head(b"\r\n".join([b"PUT / HTTP/1.1", b"Host: h", *lines]))
    return head.length, head.declared_length


def test_length_of_the_body() -> None:
    assert framing() == (0, None)
    assert framing(b"Content-Length: 0") == (0, 0)
    assert framing(b"content-length:\t12 ") == (12, 12)
    assert framing(b"Transfer-Encoding: Chunked") == (None, None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HEAD /x HTTP/9\r\nrest", (b"HEAD", b"/x")),
        (b"GET /x", (b"GET", b"/x")),
        (b"GET", (b"-", b"-")),
        (b"", (b"-", b"-")),
        (b"\x16\x03\x01 \x00 ", (b"-", b"-")),
        (b"G@T / HTTP/1.1", (b"-", b"-")),
    ],
)
def test_salvage_of_what_was_refused(data: bytes, words: tuple[bytes, bytes]) -> None:
    assert salvage(data) == words
