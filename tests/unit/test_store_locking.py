"""The key's lock between a writer's look and its change: what happens there, and what would happen without it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.contract.support import Body, Client, fired
from zs3.errors import S3Error
from zs3.store import locks
from zs3.store.deferred import FilesystemStore
from zs3.store.records import ATTRIBUTE
from zs3.store.values import Attributes, CompletedPart, ObjectInfo, WriteCondition

Write = Callable[[Client, WriteCondition], Deferred[Any]]


@pytest.fixture
def clock() -> Clock:
    """That of the second store."""
    return Clock()


@pytest.fixture
def stores(data: Path, clock: Clock) -> tuple[Client, Client]:
    """Two stores on one directory."""
    first, second = (FilesystemStore(str(data), execute, each) for each in (Clock(), clock))
    for store in (first, second):
        fired(store.start())
    fired(first.create_bucket("bucket"))
    return Client(first), Client(second)


def put(client: Client, condition: WriteCondition) -> Deferred[Any]:
    writer = client.store.put_object("bucket", "key", Body(), attributes=Attributes(), condition=condition, length=None)
    fired(writer.write(os.urandom(8)))
    return writer.commit()


def copy(client: Client, condition: WriteCondition) -> Deferred[Any]:
    return client.store.copy_object(
        "bucket", "other", "bucket", "key", check=lambda _: None, attributes=None, condition=condition
    )


def complete(client: Client, condition: WriteCondition) -> Deferred[Any]:
    upload = client.begin("key")
    part = client.part(upload, 1, os.urandom(8))
    parts = [CompletedPart(1, part.etag)]
    return client.store.complete_upload("bucket", "key", upload.upload_id, parts, condition=condition)


def delete(client: Client, condition: WriteCondition) -> Deferred[Any]:
    return client.store.delete_object("bucket", "key", condition)


@contextmanager
def before_the_change_of(name: bytes | str, act: Callable[[], None]) -> Iterator[None]:
    """In this block, something happens once, before the first change of the file or attribute of this name."""
    done = []
    with pytest.MonkeyPatch.context() as patch:

        def watched(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                if not done and name in args:
                    done.append(True)
                    act()
                return real(*args, **kwargs)

            return call

        patch.setattr(os, "rename", watched(os.rename))
        patch.setattr(os, "unlink", watched(os.unlink))
        patch.setattr(os, "setxattr", watched(os.setxattr))
        yield
    assert done


@contextmanager
def unlocked(fd: int, *_: int) -> Iterator[None]:
    os.close(fd)
    yield


@pytest.mark.parametrize("lock", [True, False], ids=["locked", "the lock taken out"])
@pytest.mark.parametrize("rival", [put, copy, complete, delete])
@pytest.mark.parametrize("write", [put, copy, complete, delete])
def test_of_two_who_change_the_same_version_one_wins(
    stores: tuple[Client, Client], clock: Clock, monkeypatch: pytest.MonkeyPatch, write: Write, rival: Write, lock: bool
) -> None:
    first, second = stores
    first.put("other", b"other")
    swap = WriteCondition(if_match=first.put("key", b"old").etag)
    if not lock:
        monkeypatch.setattr(locks, "held", unlocked)
    results: list[Any] = []
    with before_the_change_of(b"key", lambda: rival(second, swap).addBoth(results.append) and None):
        write(first, swap).addBoth(results.append)
    clock.pump([0.1] * 5)
    assert len(results) == 2
    losers = [result.value for result in results if isinstance(result, Failure)]
    if lock:
        [loser] = losers
        assert isinstance(loser, S3Error)
        assert loser.code in ("PreconditionFailed", "NoSuchKey")
    else:
        # Both are told that they won, but for the one who deletes what is there no more.
        assert losers == [] or (write is delete and rival is delete)


def add_tag(client: Client, tag: str) -> Deferred[Any]:
    def add(info: ObjectInfo) -> Attributes:
        return replace(info.attributes, tags={**info.attributes.tags, tag: ""})

    return client.store.change_object("bucket", "key", add)


@pytest.mark.parametrize("lock", [True, False], ids=["locked", "the lock taken out"])
def test_of_two_who_add_to_what_is_there_neither_is_lost(
    stores: tuple[Client, Client], clock: Clock, monkeypatch: pytest.MonkeyPatch, lock: bool
) -> None:
    first, second = stores
    first.put("key")
    if not lock:
        monkeypatch.setattr(locks, "held", unlocked)
    results: list[Any] = []
    with before_the_change_of(ATTRIBUTE, lambda: add_tag(second, "second").addBoth(results.append) and None):
        add_tag(first, "first").addBoth(results.append)
    clock.pump([0.1] * 5)
    assert [type(result) for result in results] == [ObjectInfo] * 2
    assert list(first.info("key").attributes.tags) == (["first", "second"] if lock else ["first"])


@pytest.mark.parametrize("lock", [True, False], ids=["locked", "the lock taken out"])
@pytest.mark.parametrize("rival", [put, complete, delete])
def test_what_is_written_while_a_link_is_broken_is_not_undone(
    stores: tuple[Client, Client],
    data: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    rival: Write,
    lock: bool,
) -> None:
    first, second = stores
    old = first.put("key", b"old")
    os.link(data / "bucket/key", data / "bucket/other")
    if not lock:
        monkeypatch.setattr(locks, "held", unlocked)
    results: list[Any] = []
    with before_the_change_of(b"key", lambda: rival(second, WriteCondition()).addBoth(results.append) and None):
        add_tag(first, "first").addBoth(results.append)
    clock.pump([0.1] * 5)
    assert not [result for result in results if isinstance(result, Failure)]
    found = {info.key: info.etag for info in first.page().objects}
    assert (found.get("key") == old.etag) is not lock
    assert found["other"] == old.etag
