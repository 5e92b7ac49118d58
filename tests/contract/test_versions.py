"""Versions: what is replaced or deleted is kept, and comes back."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from tests.contract.support import ALWAYS, CREATE, Body, Client, fired, open_client
from zs3.errors import S3Error
from zs3.store import immutable, versions
from zs3.store.locks import WouldBlock
from zs3.store.values import (
    COMPLIANCE,
    ENABLED,
    GOVERNANCE,
    NULL_VERSION,
    OBJECT_LOCK,
    SUSPENDED,
    VERSIONING,
    Attributes,
    DeleteMarkerError,
    Deletion,
    Lock,
    WriteCondition,
)
from zs3.store.versionids import Entry

#: The ways in which a key can lie on the disk.
KEYS = ["key", "a/b/c", "a//b", "dir/", ".zs3odd", "x" * 255, "é" * 300, "a,v", "a,v/b", ".."]
FAR = 4_000_000_000_000_000_000


@pytest.fixture
def versioned(client: Client) -> Client:
    client.configure(**{VERSIONING: ENABLED})
    return client


def suspend(client: Client) -> None:
    client.configure(**{VERSIONING: SUSPENDED})


def told(client: Client, **query: object) -> list[tuple[str, str, bool, bool]]:
    return [(info.key, info.version, info.is_delete_marker, latest) for info, latest in client.versions(**query)]


def pages(client: Client, limit: int) -> Iterator[list[tuple[str, str, bool, bool]]]:
    """What each page tells, which is asked for when it is wanted."""
    marker, version, more = "", "", True
    while more:
        some, page = client.versions_page(limit=limit, key_marker=marker, version_marker=version)
        assert len(some) == limit or not page.truncated
        yield [(info.key, info.version, info.is_delete_marker, latest) for info, latest in some]
        more, marker, version = page.truncated, page.next_key, page.next_version


def remove_what_each_page_tells(client: Client, limit: int) -> None:
    for page in pages(client, limit):
        for key, version, *_ in page:
            client.remove(key, version)


@pytest.mark.parametrize("key", KEYS)
def test_what_is_replaced_stays_as_an_older_version(versioned: Client, key: str) -> None:
    one, two = versioned.put(key, b"one"), versioned.put(key, b"two!")
    assert len({one.version, two.version, NULL_VERSION}) == 3
    assert two.version > one.version
    assert versioned.get(key) == b"two!"
    assert versioned.get(key, version=one.version) == b"one"
    assert versioned.get(key, version=two.version) == b"two!"
    assert versioned.info(key, version=one.version) == one
    assert [info for info, _ in versioned.versions()] == [two, one]
    assert told(versioned) == [(key, two.version, False, True), (key, one.version, False, False)]
    assert versioned.listed() == [key]


@pytest.mark.parametrize("key", KEYS)
def test_a_deleted_object_comes_back_when_its_delete_marker_is_removed(versioned: Client, key: str) -> None:
    one, two = versioned.put(key, b"one"), versioned.put(key, b"two!")
    done = versioned.remove(key, "")
    assert done == Deletion(True, done.version, True)
    with pytest.raises(DeleteMarkerError, match="NoSuchKey") as error:
        versioned.get(key)
    assert error.value.marker.version == done.version
    with pytest.raises(DeleteMarkerError, match="MethodNotAllowed"):
        versioned.get(key, version=done.version)
    assert versioned.listed() == []
    assert told(versioned) == [
        (key, done.version, True, True),
        (key, two.version, False, False),
        (key, one.version, False, False),
    ]
    assert versioned.remove(key, done.version) == Deletion(True, done.version, True)
    assert versioned.get(key) == b"two!"
    assert told(versioned) == [(key, two.version, False, True), (key, one.version, False, False)]
    assert versioned.get(key, version=one.version) == b"one"


def test_the_version_before_is_current_when_the_current_one_is_removed(versioned: Client) -> None:
    one, two, three = (versioned.put("key", data) for data in (b"1", b"22", b"333"))
    assert versioned.remove("key", three.version) == Deletion(True, three.version)
    assert versioned.get("key") == b"22"
    assert versioned.remove("key", one.version) == Deletion(True, one.version)
    assert told(versioned) == [("key", two.version, False, True)]
    assert versioned.remove("key", two.version) == Deletion(True, two.version)
    assert told(versioned) == []
    with pytest.raises(S3Error, match="NoSuchKey"):
        versioned.get("key")
    fired(versioned.store.delete_bucket("bucket"))


def test_a_delete_marker_is_current_again_when_what_came_after_it_is_removed(versioned: Client) -> None:
    one = versioned.put("key", b"one")
    marker = versioned.remove("key", "").version
    two = versioned.put("key", b"two")
    assert told(versioned) == [
        ("key", two.version, False, True),
        ("key", marker, True, False),
        ("key", one.version, False, False),
    ]
    versioned.remove("key", two.version)
    with pytest.raises(DeleteMarkerError) as error:
        versioned.get("key")
    assert error.value.marker.version == marker
    assert told(versioned) == [("key", marker, True, True), ("key", one.version, False, False)]


def test_what_is_not_there_is_deleted_by_a_marker_too(versioned: Client) -> None:
    first, second = versioned.remove("key", ""), versioned.remove("key", "")
    assert not first.found
    assert told(versioned) == [("key", second.version, True, True), ("key", first.version, True, False)]
    versioned.remove("key", second.version)
    assert told(versioned) == [("key", first.version, True, True)]
    versioned.remove("key", first.version)
    assert told(versioned) == []


def test_a_delete_marker_has_an_owner(versioned: Client) -> None:
    marker = fired(versioned.store.delete_object("bucket", "key", ALWAYS, access="whose"))
    [(info, latest)] = versioned.versions()
    assert latest
    assert (info.version, info.is_delete_marker, info.attributes, info.etag) == (
        marker.version,
        True,
        Attributes(access="whose"),
        "",
    )


def test_what_was_there_before_is_the_null_version(client: Client) -> None:
    old = client.put("key", b"old")
    assert old.version == NULL_VERSION
    client.configure(**{VERSIONING: ENABLED})
    new = client.put("key", b"new")
    assert client.get("key", version=NULL_VERSION) == b"old"
    assert told(client) == [("key", new.version, False, True), ("key", NULL_VERSION, False, False)]
    client.remove("key", NULL_VERSION)
    assert told(client) == [("key", new.version, False, True)]


def test_while_suspended_there_is_one_null_version(versioned: Client) -> None:
    one = versioned.put("key", b"one")
    suspend(versioned)
    assert versioned.put("key", b"null").version == NULL_VERSION
    assert versioned.put("key", b"newer null").version == NULL_VERSION
    assert told(versioned) == [("key", NULL_VERSION, False, True), ("key", one.version, False, False)]
    assert versioned.get("key", version=NULL_VERSION) == b"newer null"
    versioned.configure(**{VERSIONING: ENABLED})
    two = versioned.put("key", b"two")
    suspend(versioned)
    versioned.put("key", b"last null")
    assert told(versioned) == [
        ("key", NULL_VERSION, False, True),
        ("key", two.version, False, False),
        ("key", one.version, False, False),
    ]
    assert versioned.get("key", version=NULL_VERSION) == b"last null"


def test_while_suspended_a_deletion_takes_the_null_version(versioned: Client) -> None:
    one = versioned.put("key", b"one")
    suspend(versioned)
    versioned.put("key", b"null")
    assert versioned.remove("key", "") == Deletion(True, NULL_VERSION, True)
    assert told(versioned) == [("key", NULL_VERSION, True, True), ("key", one.version, False, False)]
    assert versioned.remove("key", "") == Deletion(False, NULL_VERSION, True)
    assert told(versioned) == [("key", NULL_VERSION, True, True), ("key", one.version, False, False)]
    versioned.put("key", b"null again")
    assert told(versioned) == [("key", NULL_VERSION, False, True), ("key", one.version, False, False)]
    versioned.remove("key", "")
    versioned.configure(**{VERSIONING: ENABLED})
    two = versioned.put("key", b"two")
    assert told(versioned) == [
        ("key", two.version, False, True),
        ("key", NULL_VERSION, True, False),
        ("key", one.version, False, False),
    ]
    versioned.remove("key", NULL_VERSION)
    assert told(versioned) == [("key", two.version, False, True), ("key", one.version, False, False)]


def test_versions_of_a_bucket_that_never_kept_any(client: Client) -> None:
    info = client.put("key", b"data")
    assert told(client) == [("key", NULL_VERSION, False, True)]
    assert client.get("key", version=NULL_VERSION) == b"data"
    assert client.info("key", version=NULL_VERSION) == info
    with pytest.raises(S3Error, match="NoSuchVersion"):
        client.get("key", version="0" * 32)
    assert client.remove("key", "0" * 32) == Deletion(False, "0" * 32)
    assert client.change("key", version=NULL_VERSION, tags={"a": "b"}).attributes.tags == {"a": "b"}
    assert client.remove("key", NULL_VERSION) == Deletion(True, NULL_VERSION)
    assert client.listed() == []


def test_what_is_no_version_is_not_found(versioned: Client) -> None:
    one = versioned.put("key", b"one")
    for version in ("0" * 32, NULL_VERSION, "../key", "", "deleted", one.version.upper()):
        if version:
            with pytest.raises(S3Error, match="NoSuchVersion"):
                versioned.get("key", version=version)
            assert versioned.remove("key", version) == Deletion(False, version)
            with pytest.raises(S3Error, match="NoSuchVersion"):
                versioned.change("key", version=version, tags={})
    with pytest.raises(S3Error, match="NoSuchVersion"):
        versioned.get("other", version=one.version)
    assert told(versioned) == [("key", one.version, False, True)]


def test_an_older_version_is_changed_by_itself(versioned: Client) -> None:
    one, two = versioned.put("key", b"one"), versioned.put("key", b"two")
    for tags in ({"a": "b"}, {"long": "x" * 3000}, {}):
        changed = versioned.change("key", version=one.version, tags=tags)
        assert changed == replace(one, attributes=replace(one.attributes, tags=tags))
        assert versioned.info("key", version=one.version) == changed
        assert versioned.info("key") == two
    assert versioned.change("key", tags={"c": "d"}).version == two.version
    marker = versioned.remove("key", "").version
    with pytest.raises(DeleteMarkerError, match="MethodNotAllowed"):
        versioned.change("key", version=marker, tags={})
    with pytest.raises(DeleteMarkerError, match="NoSuchKey"):
        versioned.change("key", tags={})
    assert versioned.info("key", version=two.version).attributes.tags == {"c": "d"}


def test_a_version_is_copied(versioned: Client) -> None:
    one = versioned.put("key", b"one")
    versioned.put("key", b"two")
    back = versioned.copy("key", "key", source_version=one.version)
    assert (versioned.get("key"), back.etag) == (b"one", one.etag)
    assert len(told(versioned)) == 3
    marker = versioned.remove("key", "").version
    with pytest.raises(S3Error, match="InvalidRequest"):
        versioned.copy("key", "other", source_version=marker)
    with pytest.raises(S3Error, match="NoSuchKey"):
        versioned.copy("key", "other")
    with pytest.raises(S3Error, match="NoSuchVersion"):
        versioned.copy("key", "other", source_version="0" * 32)


def test_an_upload_makes_a_version(versioned: Client) -> None:
    one = versioned.put("key", b"one")
    upload = versioned.begin("key")
    two = versioned.complete(upload, [versioned.part(upload, 1, b"two")])
    assert told(versioned) == [("key", two.version, False, True), ("key", one.version, False, False)]
    assert versioned.get("key", version=two.version) == b"two"


def test_conditions_are_held_against_the_current_version(versioned: Client) -> None:
    one = versioned.put("key", b"one", condition=CREATE)
    with pytest.raises(S3Error, match="PreconditionFailed"):
        versioned.put("key", b"two", condition=CREATE)
    versioned.put("key", b"two", condition=WriteCondition(if_match=one.etag))
    with pytest.raises(S3Error, match="PreconditionFailed"):
        versioned.delete("key", condition=WriteCondition(if_match=one.etag))
    versioned.delete("key")
    with pytest.raises(S3Error, match="NoSuchKey"):
        versioned.put("key", b"three", condition=WriteCondition(if_match="*"))
    three = versioned.put("key", b"three", condition=CREATE)
    assert versioned.info("key") == three
    assert len(told(versioned)) == 4


def test_conditions_are_held_against_the_version_that_is_removed(versioned: Client) -> None:
    one, two = versioned.put("key", b"one"), versioned.put("key", b"two")
    with pytest.raises(S3Error, match="PreconditionFailed"):
        versioned.remove("key", one.version, condition=WriteCondition(if_match=two.etag))
    assert versioned.remove("key", one.version, condition=WriteCondition(if_match=one.etag)).found


def test_a_bucket_with_older_versions_is_not_empty(versioned: Client) -> None:
    one = versioned.put("a/b", b"one")
    marker = versioned.remove("a/b", "").version
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        fired(versioned.store.delete_bucket("bucket"))
    versioned.remove("a/b", one.version)
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        fired(versioned.store.delete_bucket("bucket"))
    versioned.remove("a/b", marker)
    fired(versioned.store.delete_bucket("bucket"))


def test_pages_of_versions_leave_nothing_out(versioned: Client) -> None:
    for key in ("a", "a.b", "a/b", "a/c", "b"):
        for number in range(3):
            versioned.put(key, b"%d" % number)
    versioned.delete("a/c")
    versioned.put("c", b"")
    whole = told(versioned)
    assert [each[0] for each in whole] == ["a"] * 3 + ["a.b"] * 3 + ["a/b"] * 3 + ["a/c"] * 4 + ["b"] * 3 + ["c"]
    for limit in (1, 2, 3, 5, 16, 17, 18):
        assert list(chain.from_iterable(pages(versioned, limit))) == whole


def test_who_removes_what_each_page_tells_removes_all(versioned: Client) -> None:
    versioned.put("key", b"one")
    suspend(versioned)
    versioned.put("key", b"null")
    versioned.configure(**{VERSIONING: ENABLED})
    versioned.put("key", b"three")
    for limit in (1, 2):
        remove_what_each_page_tells(versioned, limit)
        assert told(versioned) == []
        versioned.put("key", b"one")
        versioned.delete("key")
        versioned.put("key", b"two")


def test_common_prefixes_are_told_once(versioned: Client) -> None:
    for key in ("a/b", "a/c", "b", "c/d"):
        versioned.put(key, b"1")
        versioned.put(key, b"2")
    versioned.delete("c/d")
    some, page = versioned.versions_page(delimiter="/")
    assert ([info.key for info, _ in some], list(page.prefixes)) == (["b", "b"], ["a/", "c/"])
    some, page = versioned.versions_page(delimiter="/", limit=1)
    assert (some, list(page.prefixes), page.next_key, page.next_version) == ([], ["a/"], "a/", "")
    some, page = versioned.versions_page(delimiter="/", limit=2, key_marker="a/")
    assert ([info.key for info, _ in some], list(page.prefixes)) == (["b", "b"], [])
    assert page.truncated
    some, page = versioned.versions_page(delimiter="/", key_marker=page.next_key, version_marker=page.next_version)
    assert (some, list(page.prefixes), page.truncated) == ([], ["c/"], False)
    some, page = versioned.versions_page(prefix="a/", delimiter="/")
    assert [info.key for info, _ in some] == ["a/b", "a/b", "a/c", "a/c"]


# Files of others ------------------------------------------------------------------------------------------------------


def test_a_file_that_others_put_there_is_current_and_then_kept(versioned: Client, data: Path) -> None:
    one = versioned.put("key", b"one")
    (data / "bucket" / "new").write_bytes(b"from elsewhere")
    (data / "bucket" / "new").rename(data / "bucket" / "key")
    [(other, latest), *older] = versioned.versions()
    assert (other.size, latest, older) == (14, True, [])
    assert versioned.get("key", version=other.version) == b"from elsewhere"
    with pytest.raises(S3Error, match="NoSuchVersion"):
        # It was current, and nobody told zs3 before it was gone.
        versioned.get("key", version=one.version)
    two = versioned.put("key", b"two")
    assert told(versioned) == [("key", two.version, False, True), ("key", other.version, False, False)]
    assert versioned.get("key", version=other.version) == b"from elsewhere"


def test_a_file_that_others_remove_is_gone_and_what_was_before_is_not(versioned: Client, data: Path) -> None:
    one = versioned.put("key", b"one")
    versioned.put("key", b"two")
    (data / "bucket" / "key").unlink()
    with pytest.raises(S3Error, match="NoSuchKey"):
        versioned.get("key")
    assert told(versioned) == [("key", one.version, False, False)]
    assert versioned.get("key", version=one.version) == b"one"
    three = versioned.put("key", b"three")
    assert told(versioned) == [("key", three.version, False, True), ("key", one.version, False, False)]


def test_a_version_that_is_put_back_by_hand_is_current(versioned: Client, data: Path) -> None:
    one, two = versioned.put("key", b"one"), versioned.put("key", b"two")
    [older] = data.glob(".zs3/buckets/*/versions/key,v/*")
    older.rename(data / "bucket" / "key")
    assert told(versioned) == [("key", one.version, False, True)]
    assert versioned.get("key") == b"one"
    three = versioned.put("key", b"three")
    assert told(versioned) == [("key", three.version, False, True), ("key", one.version, False, False)]
    with pytest.raises(S3Error, match="NoSuchVersion"):
        versioned.get("key", version=two.version)


def test_what_is_kept_with_an_older_version_does_not_depend_on_a_copy_of_it(versioned: Client, data: Path) -> None:
    """Also where there is too much of it for an attribute, and the copy leads to the same place."""
    large = Attributes({}, {"long": "m" * 3000})
    one = versioned.put("key", b"one", attributes=large)
    versioned.put("key", b"two")
    [older] = data.glob(".zs3/buckets/*/versions/key,v/*")
    shutil.copy2(older, data / "bucket/key")
    assert versioned.info("key") == one
    versioned.change("key", tags={"a": "1"})
    assert versioned.info("key").attributes.metadata == large.metadata
    # Others remove it, and what it was a copy of is there as it was.
    (data / "bucket/key").unlink()
    assert versioned.info("key", version=one.version) == one


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("suspended", [False, True])
def test_what_is_kept_with_an_older_version_does_not_go_with_a_copy_of_it(
    versioned: Client, data: Path, edited: bool, suspended: bool
) -> None:
    large = Attributes({}, {"long": "m" * 3000})
    one = versioned.put("key", b"one", attributes=large)
    versioned.put("key", b"two")
    [older] = data.glob(".zs3/buckets/*/versions/key,v/*")
    path = data / "bucket/key"
    shutil.copy2(older, path)
    if edited:
        path.write_bytes(b"edited")
    if suspended:
        suspend(versioned)
        versioned.put("key", b"null")
    current = versioned.info("key").version
    if edited or suspended:
        versioned.remove("key", current)
    else:
        # Others do.
        path.unlink()
    assert versioned.info("key", version=one.version) == one


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize(
    ("bodies", "deleted"), [((b"one", b"2", b"3"), False), ((b"one", b"2"), True), ((b"one",), True)]
)
def test_who_removes_what_each_page_tells_removes_what_is_younger_than_one_put_back(
    versioned: Client, data: Path, limit: int, bodies: list[bytes], deleted: bool
) -> None:
    """The object comes first, and its id does not say that once it is gone."""
    for body in bodies:
        versioned.put("key", body)
    if deleted:
        versioned.delete("key")
    [older] = [each for each in data.glob(".zs3/buckets/*/versions/key,v/*") if each.read_bytes() == b"one"]
    shutil.copy2(older, data / "copy")
    os.rename(data / "copy", data / "bucket/key")
    whole = told(versioned)
    # What the copy took the place of is gone, and so is a marker that stood for it.
    assert len(whole) == len(bodies) - (not deleted) + (deleted and len(bodies) > 1)
    assert list(chain.from_iterable(pages(versioned, limit))) == whole
    remove_what_each_page_tells(versioned, limit)
    assert told(versioned) == []


def test_what_came_first_is_not_told_again_where_another_was_put_back_since(versioned: Client, data: Path) -> None:
    for number in range(4):
        versioned.put("key", b"%d" % number)
    copies = {}
    for older in data.glob(".zs3/buckets/*/versions/key,v/*"):
        copies[older.read_bytes()] = shutil.copy2(older, data / f"copy of {older.name}")
    os.rename(copies[b"0"], data / "bucket/key")
    first, page = versioned.versions_page(limit=1)
    os.rename(copies[b"1"], data / "bucket/key")
    rest, _ = versioned.versions_page(key_marker=page.next_key, version_marker=page.next_version)
    ids = [info.version for info, _ in rest]
    assert len(ids) == len(set(ids)) == 2
    assert first[0][0].version not in ids


def test_a_version_that_is_put_back_by_hand_is_kept_as_it_was_changed_since(versioned: Client, data: Path) -> None:
    one = versioned.put("key", b"one")
    versioned.put("key", b"two")
    [older] = data.glob(".zs3/buckets/*/versions/key,v/*")
    shutil.copy2(older, data / "copy")
    (data / "copy").rename(data / "bucket" / "key")
    changed = versioned.change("key", tags={"a": "b"})
    assert changed.version == one.version
    three = versioned.put("key", b"three")
    assert [info for info, _ in versioned.versions()] == [three, changed]


def test_a_delete_marker_that_hides_an_object_because_others_removed_what_came_after_it_can_be_removed(
    versioned: Client, data: Path
) -> None:
    one = versioned.put("key", b"one")
    marker = versioned.remove("key", "").version
    versioned.put("key", b"two")
    (data / "bucket" / "key").unlink()
    with pytest.raises(DeleteMarkerError) as error:
        versioned.get("key")
    assert error.value.marker.version == marker
    assert told(versioned) == [("key", marker, True, True), ("key", one.version, False, False)]
    versioned.remove("key", marker)
    assert versioned.get("key") == b"one"
    assert told(versioned) == [("key", one.version, False, True)]


def test_a_file_put_where_an_object_was_deleted_is_current(versioned: Client, data: Path) -> None:
    one = versioned.put("key", b"one")
    marker = versioned.remove("key", "").version
    (data / "bucket" / "key").write_bytes(b"from elsewhere")
    [(other, _), *_] = versioned.versions()
    expected = [("key", other.version, False, True), ("key", marker, True, False), ("key", one.version, False, False)]
    assert told(versioned) == expected
    versioned.remove("key", other.version)
    assert told(versioned) == [("key", marker, True, True), ("key", one.version, False, False)]


def test_a_copy_from_before_the_lock_that_is_put_back_does_not_unlock_the_version(client: Client, data: Path) -> None:
    client.configure(**{VERSIONING: ENABLED, OBJECT_LOCK: {}})
    one = client.put("key", b"one")
    saved = client.info("key")
    path = data / "bucket" / "key"
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    client.change("key", lock=Lock(COMPLIANCE, FAR))
    client.put("key", b"two")
    path.unlink()
    path.write_bytes(b"one")
    for name, value in attributes.items():
        os.setxattr(path, name, value)
    os.utime(path, ns=(saved.mtime_ns, saved.mtime_ns))
    assert told(client) == [("key", one.version, False, True)]
    with pytest.raises(S3Error, match="AccessDenied"):
        client.remove("key", one.version)
    # Nor does it take the place of that one when it is replaced.
    client.put("key", b"three")
    assert client.info("key", version=one.version).attributes.lock == Lock(COMPLIANCE, FAR)
    with pytest.raises(S3Error, match="AccessDenied"):
        client.remove("key", one.version)


@pytest.mark.parametrize("name", ["null", Entry("f" * 32, False).name.decode(), Entry("f" * 32, True).name.decode()])
def test_what_is_no_file_is_no_version_whatever_it_is_called(versioned: Client, data: Path, name: str) -> None:
    one = versioned.put("key", b"one")
    two = versioned.put("key", b"two")
    [older] = data.glob(".zs3/buckets/*/versions/key,v") or data.glob("bucket/.zs3/versions/key,v")
    (older / name).mkdir()
    assert told(versioned) == [("key", two.version, False, True), ("key", one.version, False, False)]
    marker = versioned.remove("key", "").version
    versioned.remove("key", two.version)
    versioned.remove("key", marker)
    assert told(versioned) == [("key", one.version, False, True)]
    versioned.remove("key", one.version)
    assert told(versioned) == []
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        fired(versioned.store.delete_bucket("bucket"))


@pytest.mark.parametrize("state", [None, ENABLED])
def test_a_file_whose_time_is_beyond_what_is_written_down_is_an_object_like_others(
    client: Client, data: Path, state: str | None
) -> None:
    if state:
        client.configure(**{VERSIONING: state})
    client.put("other", b"other")
    path = data / "bucket" / "key"
    path.write_bytes(b"from elsewhere")
    os.utime(path, (99_999_999_999, 99_999_999_999))
    assert client.listed() == ["key", "other"]
    [before] = [info for info, _ in client.versions() if info.key == "key"]
    assert client.get("key") == b"from elsewhere"
    new = client.put("key", b"new")
    assert client.get("key") == b"new"
    if state:
        assert told(client, prefix="key") == [("key", new.version, False, True), ("key", before.version, False, False)]
        assert client.get("key", version=before.version) == b"from elsewhere"


def test_people_find_older_versions_by_the_names_of_bucket_and_key(versioned: Client, data: Path) -> None:
    versioned.put("2024/cat.jpg", b"yesterday's")
    versioned.put("2024/cat.jpg", b"today's")
    [older] = (data / ".zs3" / "versions" / "bucket" / "2024" / "cat.jpg,v").iterdir()
    assert older.read_bytes() == b"yesterday's"
    assert older.name[4] == "-"
    (data / "bucket").rename(data / "renamed")
    versioned.put("2024/cat.jpg", b"tomorrow's", bucket="renamed")
    assert len(list((data / ".zs3" / "versions" / "renamed" / "2024" / "cat.jpg,v").iterdir())) == 2
    assert [path.name for path in (data / ".zs3" / "versions").iterdir()] == ["renamed"]
    for info, _ in versioned.versions("renamed"):
        versioned.remove("2024/cat.jpg", info.version, bucket="renamed")
    fired(versioned.store.delete_bucket("renamed"))
    assert list((data / ".zs3" / "versions").iterdir()) == []


def test_who_removes_all_histories_does_not_end_that_versions_are_kept(client: Client, data: Path) -> None:
    client.configure(**{VERSIONING: ENABLED, OBJECT_LOCK: {}})
    client.put("key", b"one")
    two = client.put("key", b"two", attributes=Attributes(lock=Lock(COMPLIANCE, FAR)))
    for path in (data / ".zs3" / "buckets").glob("*/versions"):
        shutil.rmtree(path)
    assert told(client) == [("key", two.version, False, True)]
    assert client.get("key", version=two.version) == b"two"
    with pytest.raises(S3Error, match="AccessDenied"):
        client.remove("key", two.version)
    for path in (data / ".zs3" / "buckets").glob("*/versions"):
        shutil.rmtree(path)
    with pytest.raises(S3Error, match="NoSuchVersion"):
        client.get("key", version="0" * 32)
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.get("absent")
    three = client.put("key", b"three")
    assert told(client) == [("key", three.version, False, True), ("key", two.version, False, False)]
    assert client.get("key", version=two.version) == b"two"


def test_versions_are_not_kept_where_those_of_one_second_would_have_one_record(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    utime = os.utime

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def coarse(fd: int, *, ns: tuple[int, int]) -> None:
        utime(fd, ns=(ns[0] // 10**9 * 10**9, ns[1] // 10**9 * 10**9))

    monkeypatch.setattr(os, "setxattr", refuse)
    monkeypatch.setattr(os, "utime", coarse)
    with pytest.raises(S3Error, match="NotImplemented"):
        client.configure(**{VERSIONING: ENABLED})
    # The one or the other will do.
    monkeypatch.setattr(os, "utime", utime)
    client.configure(**{VERSIONING: ENABLED})
    one = client.put("key", b"one", attributes=Attributes(lock=Lock(COMPLIANCE, FAR)))
    client.put("key", b"two")
    with pytest.raises(S3Error, match="AccessDenied"):
        client.remove("key", one.version)


# Locks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [Lock(COMPLIANCE, FAR), Lock(GOVERNANCE, FAR), Lock(legal_hold=True)])
def test_a_locked_version_is_not_removed(versioned: Client, data: Path, lock: Lock) -> None:
    versioned.configure(objectLock={})
    one = versioned.put("key", b"one", attributes=Attributes(lock=lock))
    assert versioned.info("key").attributes.lock == lock
    for _ in range(2):
        with pytest.raises(S3Error, match="AccessDenied"):
            versioned.remove("key", one.version)
        versioned.put("key", b"two")
    versioned.delete("key")
    assert versioned.get("key", version=one.version) == b"one"
    # Who edits the file does not unlock it.
    [path] = [each for each in data.glob(".zs3/buckets/*/versions/key,v/*") if each.read_bytes() == b"one"]
    path.write_bytes(b"edited")
    with pytest.raises(S3Error, match="AccessDenied"):
        versioned.remove("key", one.version)
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        fired(versioned.store.delete_bucket("bucket"))


def test_governance_is_passed_over_by_who_may(versioned: Client) -> None:
    versioned.configure(objectLock={})
    one = versioned.put("key", b"one", attributes=Attributes(lock=Lock(GOVERNANCE, FAR)))
    two = versioned.put("key", b"two", attributes=Attributes(lock=Lock(GOVERNANCE, FAR, legal_hold=True)))
    assert versioned.remove("key", one.version, bypass=True).found
    with pytest.raises(S3Error, match="AccessDenied"):
        versioned.remove("key", two.version, bypass=True)


def test_a_retention_ends(versioned: Client) -> None:
    one = versioned.put("key", b"one", attributes=Attributes(lock=Lock(COMPLIANCE, 1)))
    assert versioned.remove("key", one.version).found


def test_a_lock_that_cannot_be_read_holds(versioned: Client, data: Path) -> None:
    versioned.configure(objectLock={})
    one = versioned.put("key", b"one", attributes=Attributes(lock=Lock(COMPLIANCE, FAR), metadata={"a": "b" * 3000}))
    for path in data.glob(".zs3/buckets/*/records/any/*/*"):
        path.unlink()
    [(info, _)] = versioned.versions()
    assert info.version != one.version
    with pytest.raises(S3Error, match="AccessDenied"):
        versioned.remove("key", info.version)


@pytest.mark.parametrize("older", [False, True])
def test_who_edits_a_file_and_then_tags_it_does_not_unlock_it(versioned: Client, data: Path, older: bool) -> None:
    versioned.configure(objectLock={})
    lock = Lock(COMPLIANCE, FAR, legal_hold=True)
    one = versioned.put("key", b"one", attributes=Attributes(lock=lock))
    path = data / "bucket/key"
    if older:
        versioned.put("key", b"two")
        [path] = [each for each in data.glob(".zs3/buckets/*/versions/key,v/*") if each.read_bytes() == b"one"]
    path.write_bytes(b"edited")
    version = one.version if older else versioned.info("key").version
    info = versioned.change("key", version=version, tags={"a": "b"})
    assert info.attributes.lock == lock
    assert versioned.info("key", version=version).attributes.lock == lock
    with pytest.raises(S3Error, match="AccessDenied"):
        versioned.remove("key", version, bypass=True)


def test_what_may_be_locked_is_not_changed_where_that_cannot_be_known(versioned: Client, data: Path) -> None:
    versioned.put("key", b"one", attributes=Attributes(lock=Lock(COMPLIANCE, FAR), metadata={"a": "b" * 3000}))
    for path in data.glob(".zs3/buckets/*/records/any/*/*"):
        path.unlink()
    versioned.configure(objectLock={})
    with pytest.raises(S3Error, match="AccessDenied"):
        versioned.change("key", tags={"a": "b"})
    versioned.configure(objectLock=None)
    versioned.change("key", tags={"a": "b"})
    assert versioned.info("key").attributes.tags == {"a": "b"}


def test_records_of_all_lengths_have_versions(versioned: Client) -> None:
    for size in (0, 100, 1900, 2048, 5000):
        attributes = Attributes({"content-type": "x/y"}, {"a": "b" * size}, lock=Lock(GOVERNANCE, 5, True))
        one = versioned.put("key", b"one", attributes=attributes, body=Body())
        two = versioned.put("key", b"two", attributes=attributes, body=Body())
        assert versioned.info("key", version=one.version) == one
        assert versioned.info("key") == two
        assert one.attributes == attributes
        assert one.etag == hashlib.md5(b"one").hexdigest()


def test_a_version_that_became_current_is_not_removed_as_an_older_one(versioned: Client) -> None:
    old = versioned.put("key", b"one")
    marker = versioned.remove("key", "").version
    only_older = WriteCondition(if_match=old.etag, noncurrent=True)
    versioned.remove("key", marker)
    with pytest.raises(S3Error) as caught:
        versioned.remove("key", old.version, condition=only_older)
    assert caught.value.code == "PreconditionFailed"
    new = versioned.put("key", b"two")
    assert versioned.remove("key", old.version, condition=only_older).found
    assert [info for info, _ in versioned.versions()] == [new]


def test_where_no_versions_are_kept_none_is_an_older_one(client: Client) -> None:
    client.put("key", b"one")
    with pytest.raises(S3Error) as caught:
        client.remove("key", NULL_VERSION, condition=WriteCondition(noncurrent=True))
    assert caught.value.code == "PreconditionFailed"


@pytest.fixture
def frozen(data: Path) -> Iterator[Client]:
    """A client of a store that sets the immutable flag."""
    probe = os.open(data / "probe", os.O_CREAT | os.O_RDWR)
    if not immutable.set_immutable(probe, True):
        pytest.skip("no immutable flags here")
    immutable.set_immutable(probe, False)
    os.close(probe)
    (data / "probe").unlink()
    client = open_client(data, sync=False, immutable=True)
    fired(client.store.create_bucket("bucket", {VERSIONING: ENABLED, "objectLock": {}}))
    yield client
    fired(client.store.stop())
    for path in data.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with open(path, "rb") as file:
                immutable.set_immutable(file.fileno(), False)


def flags(data: Path) -> dict[bytes, bool]:
    """Of the files of versions, whether each is immutable."""
    found = {}
    for path in (*data.glob("bucket/**/*"), *data.glob(".zs3/buckets/*/versions/**/*")):
        if path.is_file():
            with open(path, "rb") as file:
                found[file.read()] = immutable.is_immutable(file.fileno())
    return found


def test_the_file_of_a_locked_version_is_immutable_until_it_is_unlocked(frozen: Client, data: Path) -> None:
    locked = Attributes(lock=Lock(GOVERNANCE, FAR))
    one = frozen.put("key", b"one", attributes=locked)
    assert flags(data) == {b"one": True}
    with pytest.raises(PermissionError):
        (data / "bucket" / "key").unlink()
    two = frozen.put("key", b"two", attributes=locked)
    three = frozen.put("key", b"three")
    assert flags(data) == {b"one": True, b"two": True, b"three": False}
    frozen.remove("key", three.version)
    assert flags(data) == {b"one": True, b"two": True}
    assert frozen.get("key") == b"two"
    marker = frozen.remove("key", "").version
    assert flags(data) == {b"one": True, b"two": True, b"": False}
    frozen.remove("key", marker)
    assert flags(data) == {b"one": True, b"two": True}
    # The object makes way for those below it.
    frozen.put("key/below", b"below")
    assert flags(data) == {b"one": True, b"two": True, b"below": False}
    frozen.change("key", tags={"a": "b"})
    frozen.change("key", version=one.version, lock=Lock())
    assert flags(data) == {b"one": False, b"two": True, b"below": False}
    with pytest.raises(S3Error, match="AccessDenied"):
        frozen.remove("key", two.version)
    assert flags(data) == {b"one": False, b"two": True, b"below": False}
    frozen.change("key", lock=Lock(legal_hold=True))
    assert flags(data)[b"two"]
    frozen.change("key", lock=Lock())
    frozen.remove("key", two.version)
    assert flags(data) == {b"one": False, b"below": False}


def test_nothing_stays_of_a_locked_version_that_was_to_be_current_again_and_is_not_yet(
    frozen: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen.put("key", b"one", attributes=Attributes(lock=Lock(GOVERNANCE, FAR)))
    marker = frozen.remove("key", "").version
    answers = iter([False, True])
    monkeypatch.setattr(versions.Versions, "is_deleted_by", lambda *_: next(answers))
    with pytest.raises(WouldBlock):
        # Another came in between.
        frozen.store._posix.delete_object("bucket", "key", ALWAYS, "", marker, False)
    assert flags(data) == {b"one": True, b"": False}
    assert frozen.remove("key", marker).found
    assert list(answers) == []
    assert flags(data) == {b"one": True}
    assert [path for path in data.glob(".zs3/tmp/*/*") if path.name != "owner"] == []


def test_the_next_start_clears_away_a_locked_version_that_a_crash_left_on_its_way(frozen: Client, data: Path) -> None:
    frozen.put("key", b"one", attributes=Attributes(lock=Lock(GOVERNANCE, FAR)))
    [dead] = data.glob("bucket/key")
    left = data / ".zs3" / "tmp" / "0123456789abcdef"
    left.mkdir()
    (left / "owner").touch()
    with dead.open("rb") as file:
        immutable.set_immutable(file.fileno(), False)
        os.link(dead, left / "0")
        immutable.set_immutable(file.fileno(), True)
    other = open_client(data, sync=False)
    assert not left.exists()
    assert flags(data) == {b"one": True}
    fired(other.store.stop())


def test_who_does_not_set_the_immutable_flag_leaves_it_where_it_is(frozen: Client, data: Path) -> None:
    one = frozen.put("key", b"one", attributes=Attributes(lock=Lock(GOVERNANCE, FAR)))
    other = open_client(data, sync=False)
    other.remove("key", "")
    assert flags(data) == {b"one": True, b"": False}
    other.put("key", b"two", attributes=Attributes(lock=Lock(GOVERNANCE, FAR)))
    assert flags(data) == {b"one": True, b"": False, b"two": False}
    fired(other.store.delete_object("bucket", "key", ALWAYS, version=one.version, bypass=True))
    assert flags(data) == {b"": False, b"two": False}
    fired(other.store.stop())


def test_a_locked_version_that_was_put_back_by_hand_gives_way_to_what_it_became(frozen: Client, data: Path) -> None:
    one = frozen.put("key", b"one", attributes=Attributes(lock=Lock(GOVERNANCE, FAR)))
    frozen.put("key", b"two")
    [older] = data.glob(".zs3/buckets/*/versions/key,v/*")
    shutil.copy2(older, data / "copy")
    (data / "copy").rename(data / "bucket" / "key")
    changed = frozen.change("key", lock=Lock(GOVERNANCE, FAR, legal_hold=True))
    three = frozen.put("key", b"three")
    assert [info for info, _ in frozen.versions()] == [three, changed]
    assert changed.version == one.version
    assert flags(data) == {b"one": True, b"three": False}
