"""Readers of versions, while others change them: whoever looks without a lock sees the one state or the other."""

from __future__ import annotations

import errno
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.support import Client, fired, open_client
from tests.crashes import crash_at
from zs3.errors import S3Error
from zs3.store import commit, kernel, layout, versionids, versions
from zs3.store.values import ENABLED, NULL_VERSION, SUSPENDED, VERSIONING, DeleteMarkerError, ObjectInfo
from zs3.store.versionids import Entry, new_id

#: What a reader does between which another may come.
READING = ("open", "stat", "fstat", "listdir", "scandir", "getxattr")


@pytest.fixture
def client(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    client = open_client(data, sync=False)
    fired(client.store.create_bucket("bucket", {VERSIONING: ENABLED}))
    # What is looked up without a thread is found at one moment anyway.
    monkeypatch.setattr(client.store._hot, "open", lambda *_: None)
    monkeypatch.setattr(client.store._hot, "look", lambda *_: None)
    yield client
    fired(client.store.stop())


def _replace(client: Client) -> None:
    client.put("key", b"new")


def _delete(client: Client) -> None:
    client.delete("key")


def _remove(client: Client) -> None:
    client.remove("key", client.versions()[0][0].version)


def _remove_older(client: Client) -> None:
    client.remove("key", client.versions()[-1][0].version)


def _suspended(client: Client) -> None:
    client.configure(**{VERSIONING: SUSPENDED})
    client.put("key", b"null")


def _twice(client: Client) -> None:
    _replace(client)
    _replace(client)


CHANGES = (_replace, _delete, _remove, _remove_older, _suspended, _twice)


def _outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except S3Error as error:
        return error.code


def _by_id(client: Client, made: list[ObjectInfo]) -> Any:
    return [_outcome(lambda one=info: client.get("key", version=one.version)) for info in made]


def _current(client: Client, _: Any) -> Any:
    return _outcome(lambda: client.get("key"))


def _listed(client: Client, _: Any) -> Any:
    return [(info.version, info.is_delete_marker, info.size, latest) for info, latest in client.versions()]


def interrupted(read: Callable[[], Any], change: Callable[[], Any], step: int) -> tuple[Any, bool]:
    """What is read if another changes something before the reader's `step`-th call; and whether there were so many."""
    left = step
    busy = done = False

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left, busy, done
            if not busy and not done:
                left -= 1
                if left == 0:
                    busy = True
                    change()
                    busy, done = False, True
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in READING:
            patch.setattr(os, name, counting(getattr(os, name)))
        patch.setattr(kernel, "openat2", counting(kernel.openat2))
        found = read()
    return found, done


@pytest.mark.parametrize("deleted", [False, True], ids=["there", "deleted"])
@pytest.mark.parametrize("read", [_current, _listed], ids=["current", "listed"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_reader_sees_what_was_before_a_change_or_after_it(
    client: Client, change: Callable[[Client], None], read: Callable[[Client, Any], Any], deleted: bool
) -> None:
    for step in range(1, 1000):
        client.configure(**{VERSIONING: ENABLED})
        for info, _ in client.versions():
            client.remove("key", info.version)
        made = [client.put("key", data) for data in (b"1", b"22", b"333")]
        if deleted:
            client.delete("key")
        before = read(client, made)
        found, done = interrupted(lambda made=made: read(client, made), lambda: change(client), step)
        if not done:
            return
        assert found in (before, read(client, made)), f"at call {step}"
    raise AssertionError("it never ended")


def test_a_reader_of_what_is_deleted_is_told_so_or_sees_what_was_written_since(client: Client) -> None:
    for step in range(1, 1000):
        for info, _ in client.versions():
            client.remove("key", info.version)
        client.delete("key")
        found, done = interrupted(lambda: _hidden(client), lambda: _twice(client), step)
        assert found in ("hidden", b"new"), f"at call {step}"
        if not done:
            return
    raise AssertionError("it never ended")


def _hidden(client: Client) -> Any:
    try:
        return client.get("key")
    except DeleteMarkerError:
        return "hidden"
    except S3Error as error:
        return error.code


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_version_is_found_by_its_id_throughout(client: Client, change: Callable[[Client], None]) -> None:
    for step in range(1, 1000):
        client.configure(**{VERSIONING: ENABLED})
        for info, _ in client.versions():
            client.remove("key", info.version)
        made = [client.put("key", data) for data in (b"1", b"22", b"333")]
        before = _by_id(client, made)
        found, done = interrupted(lambda made=made: _by_id(client, made), lambda: change(client), step)
        after = _by_id(client, made)
        for each, *allowed in zip(found, before, after, strict=True):
            assert each in allowed, f"at call {step}"
        if not done:
            return
    raise AssertionError("it never ended")


def test_a_version_is_newer_than_a_deletion_that_another_made_way_for(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who then found the directory gone, and began again."""
    before = time.time_ns()
    other = open_client(data, sync=False)
    client.put("dir/key", b"1")
    client.remove("dir/key", "")
    real, tries = commit._rename, []

    def rename(*args: Any, **kwargs: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise FileNotFoundError(errno.ENOENT, "pruned")
        real(*args, **kwargs)

    def meanwhile(_: Any) -> None:
        if len(tries) == 1:
            with monkeypatch.context() as patch:
                # It was staged long ago.
                patch.setattr(versions, "id_for_new", lambda _: new_id(before))
                other.put("dir/key", b"22")

    monkeypatch.setattr(commit, "_rename", rename)
    monkeypatch.setattr(commit, "_check_bucket", meanwhile)
    client.put("dir/key", b"333")
    told = [(info.size, info.is_delete_marker) for info, _ in client.versions(prefix="dir/key")]
    fired(other.store.stop())
    assert told == [(3, False), (2, False), (0, True), (1, False)]


@pytest.mark.parametrize("change", [_replace, _delete], ids=["replaced", "deleted again"])
def test_a_delete_marker_is_found_by_its_id_while_another_version_is_made(
    client: Client, change: Callable[[Client], None]
) -> None:
    for step in range(1, 1000):
        for info, _ in client.versions():
            client.remove("key", info.version)
        marker = client.remove("key", "").version
        found, done = interrupted(
            lambda marker=marker: _outcome(lambda: client.get("key", version=marker)), lambda: change(client), step
        )
        assert found == "MethodNotAllowed", f"at call {step}"
        if not done:
            return
    raise AssertionError("it never ended")


@pytest.mark.parametrize(
    "key", ["a", "a/b", "a,v", "a,v/b", "", "/", "a/", ".zs3", ".zs3,v", "x" * 253, "x" * 254, "x" * 600, "é" * 200]
)
def test_the_directory_of_a_history_stands_for_its_key_alone(key: str) -> None:
    *above, name = layout.encode_history(key)
    chain = tuple(each for each in above if each.startswith(layout.CONTINUED))
    if "/" not in key:
        assert layout.decode_history_name(chain, name) == (layout.Kind.BESIDE, key.encode())
    assert all(0 < len(each) <= layout.NAME_MAX for each in (*above, name))
    for other in ("a", "a/b", "a,v", "a,v/b", "/", "a/", ".zs3", ".zs3,v", "x" * 253, "x" * 254):
        if other != key:
            assert layout.encode_history(other) != (*above, name)


@pytest.mark.parametrize("marker", [False, True])
@pytest.mark.parametrize("version", [NULL_VERSION, "0" * 32, "17979cfe3d85cd15" + "0" * 16])
def test_the_name_of_a_version_tells_its_id(version: str, marker: bool) -> None:
    entry = Entry(version, marker)
    assert versionids.parse_name(entry.name) == entry
    assert versionids.parse_name(entry.name + b"x") is None
    if version != NULL_VERSION:
        assert entry.name[:4].isdigit()


def test_an_id_is_greater_than_those_before_whatever_the_clock_says() -> None:
    first = versionids.new_id(2_000)
    assert versionids.new_id(1_000, versionids.sequence(first)) > first
    assert versionids.sequence(versionids.new_id(3_000, versionids.sequence(first))) == 3_000


def _shape(client: Client) -> list[tuple[bytes, bool]]:
    """The versions of ``key``, an ``x`` for a delete marker, and whether each is the latest; and what GET tells."""
    found = []
    for info, latest in client.versions():
        data = b"x" if info.is_delete_marker else client.get("key", version=info.version)
        if latest and not info.is_delete_marker:
            assert client.get("key") == data
        found.append((data, latest))
    assert [latest for _, latest in found] == [True] + [False] * (len(found) - 1) if found else True
    return found


@pytest.mark.usefixtures("numbered_records")
@pytest.mark.parametrize("deleted", [False, True], ids=["there", "deleted"])
@pytest.mark.parametrize("change", CHANGES[:4], ids=lambda change: change.__name__.strip("_"))
def test_a_crash_at_any_step_leaves_one_current_version_and_loses_none(
    client: Client, data: Path, change: Callable[[Client], None], deleted: bool
) -> None:
    def prepare() -> list[tuple[bytes, bool]]:
        for info, _ in client.versions():
            client.remove("key", info.version)
        for each in (b"1", b"22", b"333"):
            client.put("key", each)
        if deleted:
            client.delete("key")
        return _shape(client)

    _crash_everywhere(client, data, prepare, change)


@pytest.mark.usefixtures("numbered_records")
def test_a_crash_while_an_object_comes_back_leaves_its_delete_marker_current_or_none(
    client: Client, data: Path
) -> None:
    def prepare() -> list[tuple[bytes, bool]]:
        for info, _ in client.versions():
            client.remove("key", info.version)
        client.put("key", b"1")
        two = client.put("key", b"22").version
        client.delete("key")
        # So that the marker covers another than the one that comes back.
        client.remove("key", two)
        return _shape(client)

    _crash_everywhere(client, data, prepare, _remove)


def _crash_everywhere(
    client: Client, data: Path, prepare: Callable[[], list[tuple[bytes, bool]]], change: Callable[[Client], None]
) -> None:
    before = prepare()
    change(client)
    after = _shape(client)
    seen = []
    for step in range(1, 200):
        assert prepare() == before
        done = crash_at(data, change, step)
        found = _shape(client)
        assert found in (before, after), step
        seen.append(found == after)
        # What the dead process did not come to does not get in the way.
        client.put("key", b"4444")
        kept = [each for each, _ in _shape(client)]
        assert kept == [b"4444", *(each for each, _ in found)], step
        if done:
            break
    assert (seen[0], seen[-1], seen) == (False, True, sorted(seen))


def test_an_object_comes_back_after_a_crash_of_what_was_to_replace_its_delete_marker(
    client: Client, data: Path
) -> None:
    for step in range(1, 200):
        for info, _ in client.versions():
            client.remove("key", info.version)
        client.put("key", b"1")
        marker = client.remove("key", "").version
        done = crash_at(data, _replace, step)
        if _shape(client)[0] != (b"x", True):
            break
        client.remove("key", marker)
        assert _shape(client) == [(b"1", True)], step
    assert not done
    assert step > 5


def test_versions_are_kept_after_a_crash_of_what_was_to_begin_that(client: Client, data: Path) -> None:
    opened = functools.partial(open_client, sync=False)
    for step in itertools.count(1):
        name = f"bucket{step}"
        fired(client.store.create_bucket(name))
        done = crash_at(data, lambda client, name=name: client.configure(name, versioning=ENABLED), step, opened)
        # By a process that gives temporary files the names which those of the dead one had.
        after = opened(data)
        after.configure(name, versioning=ENABLED)
        assert after.put("key", bucket=name).version
        fired(after.store.stop())
        if done:
            break
    assert step > 5
