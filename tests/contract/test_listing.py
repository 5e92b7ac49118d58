"""Listing: UTF-8 order of whole keys, pages that join without gap or repetition, common prefixes as S3 counts them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.support import Client

KEYS = ["a", "a.b", "a/", "a/b", "a/b/c", "a//x", "a0", "b", "b/c/d", "b/c/e", "c", "é/1", "é/2", "日/本", "😀"]


@pytest.fixture
def full(client: Client) -> Client:
    for key in KEYS:
        client.put(key)
    return client


def expected(keys: list[str], prefix: str = "", delimiter: str = "", after: str = "") -> tuple[list[str], list[str]]:
    """The whole listing, as S3 documents it, from a sorted list of keys."""
    found: list[str] = []
    prefixes: list[str] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            found.append(key)
            continue
        common = key[: end + len(delimiter)]
        if not after.startswith(common) and common not in prefixes:
            prefixes.append(common)
    return found, prefixes


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
@pytest.mark.parametrize("delimiter", ["", "/", "b", "/b", "no", "日"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "b/c", "é", "nothing", "/", "a//"])
def test_pages_join_to_the_whole_listing(full: Client, prefix: str, delimiter: str, limit: int) -> None:
    assert full.all_pages(limit, prefix=prefix, delimiter=delimiter) == expected(KEYS, prefix, delimiter)


@pytest.mark.parametrize("after", ["", "a", "a/", "a/b", "a/zzz", "a.", "b/c/d", "zzz", "\uffff", "😀"])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_a_page_starts_behind_what_it_is_told(full: Client, after: str, delimiter: str) -> None:
    page = full.page(after=after, delimiter=delimiter)
    found = [info.key for info in page.objects], list(page.prefixes)
    assert found == expected(KEYS, delimiter=delimiter, after=after)
    assert not page.truncated


def test_truncated_is_told_only_where_more_follows(full: Client) -> None:
    assert full.page(limit=len(KEYS) - 1).truncated
    assert not full.page(limit=len(KEYS)).truncated
    empty = full.page(limit=0)
    assert (list(empty.objects), list(empty.prefixes), empty.truncated) == ([], [], False)


def test_a_prefix_that_no_key_can_have_lists_nothing(full: Client) -> None:
    assert full.listed(prefix="a\0") == []
    assert full.listed(prefix="x" * 5000) == []
    assert full.listed(prefix="../") == []


segment = st.one_of(
    st.sampled_from(["", ".", "..", "a", "b", "ab", ".zs3", ".zs3=a", ".zs3@a", ".zs3+a", "a.b", "é", "x" * 252]),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=4),
    st.text("xé", min_size=249, max_size=270),
)
key = st.lists(segment, min_size=1, max_size=4).map("/".join).filter(lambda key: 0 < len(key.encode()) <= 1024)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    keys=st.lists(key, max_size=8, unique=True),
    prefix=st.one_of(st.just(""), key),
    delimiter=st.sampled_from(["", "/", "a"]),
    limit=st.integers(1, 4),
)
def test_any_keys_are_stored_listed_in_order_and_deleted(
    client: Client, keys: list[str], prefix: str, delimiter: str, limit: int
) -> None:
    try:
        for at, each in enumerate(keys):
            client.put(each, str(at).encode())
        for at, each in enumerate(keys):
            assert client.get(each) == str(at).encode()
        assert client.all_pages(limit) == expected(keys)
        assert client.all_pages(limit, prefix=prefix, delimiter=delimiter) == expected(keys, prefix, delimiter)
    finally:
        for each in keys:
            client.delete(each)
    assert client.listed() == []
