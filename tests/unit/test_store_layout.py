"""Keys and paths: one to one, both ways, within what a file system can name."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zs3.store import layout
from zs3.store.layout import Kind

segment = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn")), max_size=6),
    st.text("aé😀", min_size=60, max_size=300),
    st.text("x", min_size=244, max_size=520),
    st.sampled_from(["", ".", "..", ".zs3", ".zs3=", ".zs3@a", ".zs3+a", ".zs4", ".zs3" + "q" * 247]),
)
key = st.lists(segment, min_size=1, max_size=5).map("/".join).filter(layout.is_key)


def natural(each: str) -> tuple[bytes, ...]:
    path = layout.encode(each)
    return (*path.parent, path.name)


def beside(each: str) -> tuple[bytes, ...]:
    path = layout.encode(each)
    return (*path.parent, *path.beside)


def decode(names: tuple[bytes, ...]) -> tuple[Kind, str]:
    """The key that a path of names stands for, as a walk would find it."""
    segments: list[bytes] = []
    chain: tuple[bytes, ...] = ()
    kind = Kind.INVISIBLE
    for name in names:
        kind, found = layout.decode_name(chain, name)
        assert kind is not Kind.INVISIBLE, names
        if kind is Kind.CONTINUED:
            chain = (*chain, name)
        else:
            segments.append(found)
            chain = ()
    return kind, b"/".join(segments).decode()


@given(key)
@example("x" * 255)
@example("x" * 256)
@example(".zs3" + "x" * 247)
@example("é" * 126 + "/é")
@example("/" * 1024)
def test_decoding_gives_the_key_back_from_both_places(each: str) -> None:
    assert decode(natural(each)) == (Kind.NATURAL, each)
    assert decode(beside(each)) == (Kind.BESIDE, each)


@given(key, key)
def test_two_keys_never_share_a_place(one: str, other: str) -> None:
    places = {natural(one), beside(one), natural(other), beside(other)}
    assert len(places) == (2 if one == other else 4)


@given(key)
def test_every_name_is_one_that_a_file_system_takes(each: str) -> None:
    for name in natural(each) + beside(each):
        assert 0 < len(name) <= 255
        assert name not in (b".", b"..", b".zs3")
        assert b"/" not in name
        assert b"\0" not in name
        name.decode()


@given(st.lists(st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name), max_size=2), st.binary())
def test_a_name_that_no_key_gives_is_invisible(links: list[bytes], rest: bytes) -> None:
    chain = tuple(layout.CONTINUED + link for link in links)
    for name in (rest, layout.ESCAPED + rest, layout.BESIDE + rest, layout.CONTINUED + rest):
        kind, found = layout.decode_name(chain, name)
        if kind in (Kind.NATURAL, Kind.BESIDE) and b"/" not in found and len(found) < 1000:
            text = "k/" + found.decode()
            place = natural(text) if kind is Kind.NATURAL else beside(text)
            assert place == (b"k", *chain, name)


@pytest.mark.parametrize(
    ("each", "names"),
    [
        ("photos/cat.jpg", (b"photos", b"cat.jpg")),
        ("a/", (b"a", b".zs3=")),
        ("//", (b".zs3=", b".zs3=", b".zs3=")),
        ("../x", (b".zs3=..", b"x")),
        (".zs3", (b".zs3=.zs3",)),
        ("x" * 256, (b".zs3+" + b"x" * 250, b".zs3=xxxxxx")),
        ("é" * 128, (b".zs3+" + "é".encode() * 125, ".zs3=ééé".encode())),
    ],
)
def test_the_grammar(each: str, names: tuple[bytes, ...]) -> None:
    assert natural(each) == names


@pytest.mark.parametrize(
    "name", [b"\xff", b".zs3=plain", b".zs3@" + b"x" * 251, b".zs3=", b".zs3!probe", b".zs3", b"bell\x07", b".zs3=\xff"]
)
def test_other_names_stand_for_nothing(name: bytes) -> None:
    kind, found = layout.decode_name((), name)
    assert kind is Kind.INVISIBLE or (name == b".zs3=" and found == b"")


@pytest.mark.parametrize("each", ["", "a\0", "a\x1f", "\ud800", "\ufffe", "x" * 1025, "é" * 513])
def test_what_is_no_key(each: str) -> None:
    assert not layout.is_key(each)
