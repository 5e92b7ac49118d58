"""Completions that fail or crash halfway: what becomes of the upload, its parts, and the record of the object."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.support import ALWAYS, Client, fired, open_client
from tests.unit.test_store_faults import BIG, LARGE, before_once, failing
from tests.unit.test_store_files import refuse_attributes
from zs3.errors import S3Error
from zs3.store import commit
from zs3.store.records import Records
from zs3.store.values import CompletedPart, PartInfo, UploadInfo


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


def sidecars(data: Path) -> list[Path]:
    return list((data / ".zs3/buckets").glob("*/records/*/*/*"))


def parts_of(client: Client, upload: UploadInfo) -> list[tuple[int, str, int]]:
    parts = fired(client.store.list_parts("bucket", upload.key, upload.upload_id, after=0, limit=9)).parts
    return [(part.number, part.etag, part.size) for part in parts]


def begun(client: Client, count: int) -> tuple[UploadInfo, list[PartInfo]]:
    """An upload of an object that has a large record."""
    upload = client.begin("key", attributes=LARGE)
    return upload, [client.part(upload, number, BIG) for number in range(1, count + 1)]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", [b"/key", b"/.intent"])
def test_an_upload_stands_as_it_was_when_the_disk_is_full(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, count: int, name: bytes
) -> None:
    upload, parts = begun(client, count)
    with monkeypatch.context() as patch:
        full = failing(errno.ENOSPC, os.rename, lambda _, target: (b"/" + target).endswith(name))
        patch.setattr(os, "rename", full)
        with pytest.raises(S3Error, match="StorageFull"):
            client.complete(upload, parts)
    assert parts_of(client, upload) == [(part.number, part.etag, part.size) for part in parts]
    assert sidecars(data) == []
    client.complete(upload, parts)
    assert client.get("key") == BIG * count
    assert client.info("key").attributes.metadata == LARGE.metadata


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_visible_and_perhaps_not_durable_is_not_published_again(
    client: Client, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    upload, parts = begun(client, count)
    with monkeypatch.context() as patch:
        patch.setattr(commit, "_settle", failing(errno.ENOSPC, commit._settle))
        with pytest.raises(S3Error, match="StorageFull"):
            client.complete(upload, parts)
    assert client.info("key").attributes.metadata == LARGE.metadata
    client.put("key", b"newer")
    client.complete(upload, parts)
    assert client.get("key") == b"newer"


def test_a_part_brings_nothing_of_an_aborted_upload_back(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_attributes(monkeypatch)
    upload, _ = begun(client, 0)
    other = open_client(data)

    def abort() -> None:
        fired(other.store.abort_upload("bucket", "key", upload.upload_id))

    abort_first = before_once(Records.write, abort)
    monkeypatch.setattr(Records, "write", lambda *args, **kwargs: abort_first(*args, **kwargs))
    with pytest.raises(S3Error, match="NoSuchUpload"):
        client.part(upload, 1, BIG)
    assert list((data / ".uploads").iterdir()) == []
    assert list(data.glob(".zs3/tmp/*/[!o]*")) == []
    fired(other.store.stop())


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("with_attributes", [True, False], ids=["attributes", "none"])
def test_an_upload_that_is_aborted_after_its_completion_crashed_leaves_no_record(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, count: int, with_attributes: bool
) -> None:
    if not with_attributes:
        refuse_attributes(monkeypatch)
    upload, parts = begun(client, count)

    class Crash(BaseException):
        pass

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(commit, "publish", crash)
        with pytest.raises(Crash):
            client.store._posix.complete_upload(
                *("bucket", "key", upload.upload_id, [CompletedPart(part.number, part.etag) for part in parts]),
                *(ALWAYS, None, None),
            )
    assert len(sidecars(data)) == 1
    fired(client.store.abort_upload("bucket", "key", upload.upload_id))
    assert sidecars(data) == []
