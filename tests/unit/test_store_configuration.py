"""The file of a bucket's configuration: whose it is, and what becomes of one that is damaged."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.support import Client, fired, open_client, told_now
from tests.crashes import crash_at
from zs3.errors import S3Error
from zs3.store import configuration, kernel
from zs3.store.values import DamagedError


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


def config_file(data: Path) -> Path:
    (path,) = data.glob(".zs3/buckets/*/config")
    return path


def test_a_renamed_bucket_keeps_it_and_a_copy_or_a_new_one_gets_none(client: Client, data: Path) -> None:
    client.configure(tags=["mine"])
    (data / "bucket").rename(data / "renamed")
    (data / "bucket").mkdir()
    assert dict(fired(client.store.get_configuration("renamed"))) == {"tags": ["mine"]}
    assert dict(fired(client.store.get_configuration("bucket"))) == {}
    assert told_now(client, "bucket") in (None, {})


def test_another_process_s_change_is_seen_at_once(client: Client, data: Path) -> None:
    other = open_client(data)
    for value in range(5):
        other.configure(tags=value)
        assert dict(fired(client.store.get_configuration("bucket"))) == {"tags": value}
        assert told_now(client, "bucket") in (None, {"tags": value})
    fired(other.store.stop())


def test_a_crash_at_any_step_leaves_the_old_or_the_new_and_no_half_written_file(client: Client, data: Path) -> None:
    seen = []
    for step in itertools.count(1):
        client.configure(tags="old")
        done = crash_at(data, lambda client: client.configure(tags="new"), step)
        after = open_client(data)
        seen.append(dict(fired(after.store.get_configuration("bucket")))["tags"])
        fired(after.store.stop())
        [home] = data.glob(".zs3/buckets/*")
        assert sorted(path.name for path in home.iterdir()) == ["bucket", "config", "lock"], step
        if done:
            break
    assert (seen[0], seen[-1], seen) == ("old", "new", sorted(seen, reverse=True))


def test_it_is_told_without_waiting_once_it_is_in_memory(client: Client) -> None:
    if client.store._hot._fd < 0:
        pytest.skip("the temporary directory is on no file system that this works on")
    assert client.store.look_now("missing") is None
    for value in (1, 2):
        client.configure(tags=value)
        fired(client.store.get_configuration("bucket"))
        assert told_now(client, "bucket") == {"tags": value}
    client.configure(tags=None)
    fired(client.store.get_configuration("bucket"))
    assert told_now(client, "bucket") == {}


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_one_is_not_taken_for_none(client: Client, data: Path, damage: bytes) -> None:
    client.configure(tags=["mine"])
    config_file(data).write_bytes(damage)
    for ask in (
        lambda: fired(client.store.get_configuration("bucket")),
        lambda: fired(client.store.get_bucket("bucket")),
        lambda: client.configure(tags=["new"]),
    ):
        with pytest.raises(DamagedError):
            ask()
    assert fired(client.store.list_buckets()) == []
    assert config_file(data).read_bytes() == damage


def test_a_failed_change_leaves_the_old_and_no_rubbish(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.configure(tags=["old"])
    home = config_file(data).parent
    before = sorted(home.iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.rename", full)
        with pytest.raises(S3Error, match="StorageFull"):
            client.configure(tags=["new"])
    assert sorted(home.iterdir()) == before
    assert dict(fired(client.store.get_configuration("bucket"))) == {"tags": ["old"]}


@pytest.mark.parametrize("supported", [True, False])
def test_a_bucket_that_cannot_be_created_leaves_nothing(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, supported: bool
) -> None:
    """Another program makes a directory of that name at the last moment."""
    real = kernel.rename_new

    def late(source: bytes, directory: int, name: bytes) -> None:
        (data / "other").mkdir()
        (data / "other" / "file").touch()
        if not supported:
            raise OSError(22, "Invalid argument")
        real(source, directory, name)

    homes = sorted(data.glob(".zs3/buckets/*"))
    monkeypatch.setattr(kernel, "rename_new", late)
    with pytest.raises(S3Error, match="BucketAlreadyOwnedByYou"):
        fired(client.store.create_bucket("other", {"owner": "me"}))
    assert sorted(data.glob(".zs3/buckets/*")) == homes
    assert list(data.glob(".zs3/tmp/*/[!o]*")) == []
    assert dict(fired(client.store.get_configuration("other"))) == {}


@pytest.mark.parametrize("attributes", [True, False])
def test_a_refused_deletion_leaves_what_is_configured(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, attributes: bool
) -> None:
    """Another program makes a file there at the last moment."""
    if not attributes:
        # The id is in a file of the bucket's then.
        client.configure(tags="first")
        (data / "bucket/.zs3").mkdir()
        (data / "bucket/.zs3/id").write_bytes(os.getxattr(data / "bucket", "user.zs3.id"))
        os.removexattr(data / "bucket", "user.zs3.id")

        def none(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "setxattr", none)
    client.configure(tags="mine")
    real = os.rmdir

    def late(path: bytes, **options: int) -> None:
        if os.fsencode(path).endswith(b"/bucket"):
            (data / "bucket/file").touch()
        real(path, **options)

    monkeypatch.setattr(os, "rmdir", late)
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        fired(client.store.delete_bucket("bucket"))
    assert dict(fired(client.store.get_configuration("bucket"))) == {"tags": "mine"}
    assert dict(fired(open_client(data).store.get_configuration("bucket"))) == {"tags": "mine"}


def test_what_is_deleted_while_it_is_read_is_not_taken_for_unconfigured(client: Client) -> None:
    client.configure(tags="mine")
    with client.store._posix.buckets.opened("bucket") as bucket:
        fired(client.store.delete_bucket("bucket"))
        with pytest.raises(S3Error, match="NoSuchBucket"):
            configuration.read(bucket)


@pytest.mark.parametrize("configured", [{}, {"owner": "me"}], ids=["plain", "configured"])
def test_a_bucket_that_there_is_no_room_for_leaves_nothing(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, configured: dict[str, str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(data.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(client.store._posix.buckets.internals, "write_file", full)
        with pytest.raises(S3Error, match="StorageFull"):
            fired(client.store.create_bucket("other", configured))
    assert sorted(data.rglob("*")) == before
    fired(client.store.create_bucket("other", configured))
    assert dict(fired(client.store.get_configuration("other"))) == configured


@pytest.mark.parametrize("configured", [{}, {"owner": "me"}], ids=["plain", "configured"])
def test_a_bucket_whose_id_cannot_be_kept_is_none(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, configured: dict[str, str]
) -> None:
    before = sorted(data.rglob("*"))

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "setxattr", broken)
    with pytest.raises(OSError, match="Input/output error"):
        fired(client.store.create_bucket("other", configured))
    assert sorted(data.rglob("*")) == before
