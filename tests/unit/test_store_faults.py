"""Hostile and unlucky surroundings: planted links, failing calls, others' changes between two steps.

Each of these was once a way to lose data or to fail for no reason.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from tests.contract.support import ALWAYS, CREATE, Body, Client, fired, open_client
from tests.unit.test_store_files import refuse_attributes
from zs3.errors import S3Error
from zs3.store import commit, directory, durability, kernel, locks, paths, records, uploads
from zs3.store.calls import AtOnce
from zs3.store.deferred import FilesystemStore
from zs3.store.names import Names
from zs3.store.staged import StagedFile
from zs3.store.values import MIN_PART_SIZE, Attributes, CompletedPart

BIG = b"x" * MIN_PART_SIZE


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


def failing(number: int, real: Callable[..., Any], when: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
    """`real`, but failing with an errno where `when` holds."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    return call


def before_once(real: Callable[..., Any], act: Callable[[], object]) -> Callable[..., Any]:
    """`real`, with something else happening just before its first call."""
    done: list[bool] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(True)
            act()
        return real(*args, **kwargs)

    return call


# What others plant or leave


@pytest.mark.parametrize("name", [".zs3", ".zs3/tmp", ".zs3/trash"])
def test_links_planted_in_a_bucket_lead_nowhere_at_start(client: Client, data: Path, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    (victim / "tmp/letters").mkdir(parents=True)
    (victim / "letters").mkdir()
    link = data / "bucket" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(victim)
    if name == ".zs3/trash":
        (data / "bucket/.zs3/tmp").mkdir()
    again = open_client(data)
    assert sorted(path.name for path in victim.rglob("*")) == ["letters", "letters", "tmp"]
    again.put("key")
    fired(again.store.stop())


def test_a_directory_in_ours_that_is_not_ours_is_not_removed_with_its_files(client: Client, data: Path) -> None:
    (data / ".zs3/tmp/theirs").mkdir()
    (data / ".zs3/tmp/theirs/file").write_text("kept")
    (data / ".zs3/tmp/empty").mkdir()
    fired(open_client(data).store.stop())
    assert (data / ".zs3/tmp/theirs/file").exists()
    assert not (data / ".zs3/tmp/empty").exists()


def test_a_bucket_in_trouble_stops_neither_the_start_nor_the_list(
    client: Client, data: Path, logged: Callable[[], list[str]]
) -> None:
    (data / "loop").symlink_to("loop")
    (data / "a b").symlink_to("a b")
    again = open_client(data)
    assert [bucket.name for bucket in fired(again.store.list_buckets())] == ["bucket"]
    assert any("'loop' cannot be looked at" in text for text in logged())
    fired(again.store.stop())


def test_a_full_disk_at_start_still_serves(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put("key")
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", failing(28, os.mkdir))
        again = open_client(data)
        assert again.get("key") == b"data"
        with pytest.raises(S3Error, match="StorageFull"):
            again.put("new")
        assert again.delete("key")
    again.put("new")
    assert again.listed() == ["new"]
    fired(again.store.stop())


def test_lock_files_can_be_shared_by_those_who_share_the_directory(data: Path) -> None:
    data.chmod(0o2770)
    old = os.umask(0o077)
    try:
        client = open_client(data, dir_mode=0o770)
        fired(client.store.create_bucket("bucket"))
        client.put("a/key")
    finally:
        os.umask(old)
    for lock in data.glob(".zs3/**/lock"):
        assert lock.stat().st_mode & 0o777 == 0o660, lock
    # Directories whose group is inherited make such directories.
    assert (data / "bucket/a").stat().st_mode & 0o7777 == 0o2770
    fired(client.store.stop())


def test_what_is_being_joined_may_be_read_by_its_owner_only(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = client.begin("key")
    parts = [client.part(upload, 1, BIG), client.part(upload, 2, b"tail")]
    modes = []
    real = os.copy_file_range

    def look(*args: Any) -> int:
        modes.append(next(data.glob(".uploads/*/.object")).stat().st_mode & 0o777)
        return real(*args)

    monkeypatch.setattr(os, "copy_file_range", look)
    client.complete(upload, parts)
    assert set(modes) == {0o600}


# Errors that must not pass for something else


@pytest.mark.parametrize("number", [5, 12, 23, 24, 116])
def test_a_list_fails_rather_than_leaves_out_what_it_cannot_read(
    client: Client, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for key in ("a/1", "b/1", "c/1"):
        client.put(key)
    real = paths.kernel.openat2
    refuse = failing(number, real, lambda _, path, flags: path == b"b" and bool(flags & os.O_DIRECTORY))
    monkeypatch.setattr(paths.kernel, "openat2", refuse)
    with pytest.raises((S3Error, OSError)):
        client.listed()


def test_directories_without_fsync_are_told_of_once_and_used(
    client: Client, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]]
) -> None:
    refuse = failing(22, os.fsync, lambda fd: os.path.isdir(f"/proc/self/fd/{fd}"))
    monkeypatch.setattr(durability.os, "fsync", refuse)
    client.put("a")
    client.put("b/c")
    assert client.store.healthy
    assert len([text for text in logged() if "cannot be synced" in text]) == 1


def test_a_file_that_another_holds_a_lease_on_is_listed_and_slow(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("leased", b"12345")
    real = paths.kernel.openat2
    refuse = failing(11, real, lambda _, path, flags: path == b"leased" and not flags & os.O_PATH)
    monkeypatch.setattr(paths.kernel, "openat2", refuse)
    monkeypatch.setattr("zs3.store.hot._open_file", lambda *_: -11)
    assert [(info.key, info.size) for info in client.page().objects] == [("leased", 5)]
    client.store._hot.stop()  # it asks the kernel by a call of its own, and leaves what is refused to the ordinary way
    with pytest.raises(S3Error, match="SlowDown"):
        client.get("leased")


def test_a_copy_goes_on_where_the_kernel_says_there_is_no_more(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put("source", b"0123456789" * 200_000)
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    assert client.copy("source", "copy").size == 2_000_000
    assert client.get("copy") == client.get("source")


def test_create_only_works_where_the_file_system_cannot_rename_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "rename_new", failing(22, kernel.rename_new))
    client.put("key", b"first", condition=CREATE)
    with pytest.raises(S3Error, match="PreconditionFailed"):
        client.put("key", b"second", condition=CREATE)
    assert client.get("key") == b"first"


def test_another_programs_file_is_not_overwritten_by_create_only(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes between the look and the rename, and knows no lock."""
    act = before_once(kernel.rename_new, lambda: (data / "bucket/key").write_text("theirs"))
    monkeypatch.setattr(kernel, "rename_new", act)
    with pytest.raises(S3Error, match="PreconditionFailed"):
        client.put("key", b"ours", condition=CREATE)
    assert client.get("key") == b"theirs"


# Changes between two steps


@pytest.mark.parametrize("change", ["deleted", "displaced", "pruned"])
def test_a_file_in_the_way_that_goes_meanwhile_is_no_obstacle(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    client.put("p/a", b"1")
    other = open_client(data)
    act = {
        "deleted": lambda: other.delete("p/a"),
        "displaced": lambda: other.put("p/a/c"),
        "pruned": lambda: other.delete("p/a"),
    }[change]
    name = "_displace" if change == "pruned" else "_key_at"
    monkeypatch.setattr(commit, name, before_once(getattr(commit, name), act))
    client.put("p/a/b", b"2")
    assert client.get("p/a/b") == b"2"
    fired(other.store.stop())


def test_a_continuation_directory_that_is_pruned_meanwhile_is_not_missed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("x" * 300)
    client.put("a")
    monkeypatch.setattr(
        directory, "open_directory", before_once(directory.open_directory, lambda: client.delete("x" * 300))
    )
    real = directory._scan

    def scan(fd: int) -> Iterator[tuple[list[bytes], bool]]:
        yield from real(fd)
        monkeypatch.setattr(directory, "_scan", real)
        client.delete("x" * 300)

    monkeypatch.setattr(directory, "_scan", scan)
    assert client.listed() == ["a"]


def test_a_name_that_was_a_file_and_is_a_directory_counts_as_both(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("a", b"1")
    real = directory._scan

    def scan(fd: int) -> Iterator[tuple[list[bytes], bool]]:
        yield from real(fd)
        monkeypatch.setattr(directory, "_scan", real)
        client.put("a/b")

    monkeypatch.setattr(directory, "_scan", scan)
    assert client.listed() == ["a", "a/b"]


# Multipart uploads


LARGE = Attributes({}, {"long": "m" * 3000})


@pytest.mark.parametrize("with_attributes", [True, False], ids=["attributes", "none"])
@pytest.mark.parametrize("replaced", ["put", "completed"])
@pytest.mark.parametrize("how", ["read", "listed"])
def test_an_object_that_is_replaced_while_its_record_is_read_is_told_with_the_new_one(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, with_attributes: bool, replaced: str, how: str
) -> None:
    """The large record goes with the old file, which the reader has open."""
    if not with_attributes:
        refuse_attributes(monkeypatch)
    client.put("key", b"old", attributes=LARGE)
    other = open_client(data)

    def replace() -> None:
        if replaced == "put":
            other.put("key", b"new", attributes=LARGE)
        else:
            upload = other.begin("key", attributes=LARGE)
            other.complete(upload, [other.part(upload, 1, b"new")])

    monkeypatch.setattr(records, "_read_sidecar", before_once(records._read_sidecar, replace))
    info = client.info("key") if how == "read" else client.page().objects[0]
    assert info == client.info("key")
    assert info.attributes.metadata == LARGE.metadata
    fired(other.store.stop())


def test_an_object_that_is_deleted_while_its_record_is_read_is_not_there(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_first(patch: pytest.MonkeyPatch) -> None:
        client.put("key", b"old", attributes=LARGE)
        patch.setattr(records, "_read_sidecar", before_once(records._read_sidecar, lambda: client.delete("key")))

    with monkeypatch.context() as patch:
        delete_first(patch)
        assert client.listed() == []
    with monkeypatch.context() as patch:
        delete_first(patch)
        with pytest.raises(S3Error, match="NoSuchKey"):
            client.info("key")


def test_an_object_that_is_replaced_each_time_is_told_all_the_same(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("key", b"old", attributes=LARGE)
    real = records._read_sidecar

    def replace(path: bytes) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(records, "_read_sidecar", real)
            client.put("key", b"new", attributes=LARGE)
        return real(path)

    monkeypatch.setattr(records, "_read_sidecar", replace)
    assert client.get("key") == b"new"


def test_a_part_that_is_put_again_while_it_is_joined_is_noticed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = client.begin("key")
    parts = [client.part(upload, 1, BIG), client.part(upload, 2, b"tail")]
    act = before_once(uploads.Upload._join, lambda: client.part(upload, 2, b"other"))
    monkeypatch.setattr(uploads.Upload, "_join", act)
    with pytest.raises(S3Error, match="InvalidPart"):
        client.complete(upload, parts)
    assert client.listed() == []


def test_an_only_part_that_is_put_again_meanwhile_is_noticed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = client.begin("key")
    part = client.part(upload, 1, b"first")
    act = before_once(uploads.Upload.assemble, lambda: client.part(upload, 1, b"second"))
    monkeypatch.setattr(uploads.Upload, "assemble", act)
    with pytest.raises(S3Error, match="InvalidPart"):
        client.complete(upload, [part])
    listed = fired(client.store.list_parts("bucket", "key", upload.upload_id, after=0, limit=9)).parts
    client.complete(upload, list(listed))
    assert client.get("key") == b"second"


def test_an_upload_stands_as_it_was_when_its_completion_loses_a_race(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = client.begin("key")
    first = client.part(upload, 1, BIG)
    other = open_client(data)
    with monkeypatch.context() as patch:
        patch.setattr(commit, "publish", before_once(commit.publish, lambda: other.put("key", b"theirs")))
        with pytest.raises(S3Error, match="PreconditionFailed"):
            client.complete(upload, [first], condition=CREATE)
    assert client.get("key") == b"theirs"
    parts = fired(client.store.list_parts("bucket", "key", upload.upload_id, after=0, limit=9)).parts
    assert [(part.number, part.etag, part.size) for part in parts] == [(1, first.etag, len(BIG))]
    second = client.part(upload, 2, b"tail")
    client.complete(upload, [first, second])
    assert client.get("key") == BIG + b"tail"
    fired(other.store.stop())


def test_a_busy_lock_does_not_make_the_completion_begin_again(client: Client, data: Path) -> None:
    client.put("other")
    upload = client.begin("key", attributes=Attributes({}, {"k": "v" * 3000}))
    parts = [client.part(upload, 1, BIG), client.part(upload, 2, b"tail")]
    copies = []
    real = os.copy_file_range
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "copy_file_range", lambda *args: copies.append(1) or real(*args))
        lock = locks.held(os.open(next(data.glob(".zs3/buckets/*/lock")), os.O_RDWR), locks.offset("key"), 1)
        lock.__enter__()
        store = client.store
        named = [CompletedPart(part.number, part.etag) for part in parts]
        done: list[Any] = []
        store.complete_upload("bucket", "key", upload.upload_id, named, condition=ALWAYS).addBoth(done.append)
        for _ in range(10):
            store._clock.advance(0.05)
        once = len(copies)
        assert done == []
        lock.__exit__(None, None, None)
        store._clock.advance(0.1)
    assert done[0].size == len(BIG) + 4
    assert len(copies) == once
    assert len(list(data.glob(".zs3/buckets/*/records/any/*/*"))) == 1


def test_a_starting_daemon_does_not_sweep_what_another_is_completing(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = client.begin("key")
    part = client.part(upload, 1, b"part")
    others: list[Client] = []
    act = before_once(uploads.Upload.finish, lambda: others.append(open_client(data)))
    monkeypatch.setattr(uploads.Upload, "finish", act)
    client.complete(upload, [part])
    assert client.get("key") == b"part"
    fired(others[0].store.stop())


def test_uploads_of_a_bucket_that_is_no_more_are_swept(client: Client, data: Path) -> None:
    upload = client.begin("key")
    home = next(data.glob(".zs3/buckets/*"))
    os.rename(home, home.with_name("gone"))
    fired(open_client(data).store.stop())
    assert not (data / ".uploads" / upload.upload_id).exists()


def test_an_abort_without_a_trash_is_an_abort(client: Client, data: Path) -> None:
    upload = client.begin("key")
    client.part(upload, 1, b"part")
    (data / ".zs3/trash").rmdir()
    fired(client.store.abort_upload("bucket", "key", upload.upload_id))
    assert list((data / ".uploads").iterdir()) == []


def test_temporary_files_that_somebody_cleared_away_are_no_lasting_trouble(client: Client, data: Path) -> None:
    import shutil

    client.put("key", b"1")
    shutil.rmtree(data / ".zs3/tmp")
    client.put("key", b"2")
    assert client.get("key") == b"2"


# Buckets


def test_first_uploads_to_a_bucket_made_by_hand_do_not_get_into_each_others_way(data: Path) -> None:
    (data / "music").mkdir()
    clock = Clock()
    store = FilesystemStore(str(data), execute, clock)
    fired(store.start())
    lock = locks.held(os.open(data / ".zs3/lock", os.O_RDWR | os.O_CREAT, 0o600))
    lock.__enter__()
    results: list[Any] = []
    for size in (10, 300_000):
        writer = store.put_object("music", f"{size}", Body(), attributes=Attributes(), condition=ALWAYS, length=size)
        writer.open().addBoth(results.append)
        writer.write(b"x" * size).addBoth(results.append)
        writer.commit().addBoth(results.append)
    clock.pump([0.05] * 5)
    lock.__exit__(None, None, None)
    clock.pump([0.1] * 10)
    assert len(results) == 6
    assert not [result for result in results if hasattr(result, "value")]
    assert Client(store).listed("music") == ["10", "300000"]
    fired(store.stop())


def bucket_id(data: Path, name: str) -> str:
    return os.getxattr(data / name, "user.zs3.id").decode()


def change_record(data: Path, **facts: Any) -> None:
    import json

    path = next(data.glob(".zs3/buckets/*/bucket"))
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_a_renamed_bucket_keeps_its_id_over_a_reboot_that_renumbers_devices(client: Client, data: Path) -> None:
    client.put("key")
    first = bucket_id(data, "bucket")
    os.rename(data / "bucket", data / "old")
    open_client(data).put("key", bucket="old")
    change_record(data, device=4711)
    open_client(data).put("key", bucket="old")
    assert bucket_id(data, "old") == first
    assert len(list(data.glob(".zs3/buckets/*"))) == 1


def test_a_copy_on_an_inode_number_that_is_used_again_is_not_taken_for_the_bucket(client: Client, data: Path) -> None:
    client.put("key")
    first = bucket_id(data, "bucket")
    change_record(data, generation=4711)
    open_client(data).put("key")
    assert bucket_id(data, "bucket") != first


def test_a_copy_on_an_inode_number_that_is_used_again_is_noticed_by_who_knew_the_first(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def number_is(generation: int) -> None:
        monkeypatch.setattr(kernel, "generation", lambda _: generation)
        monkeypatch.setattr(AtOnce, "generation", lambda *_: generation)

    number_is(1)
    fired(client.store.create_bucket("other"))
    client.configure("other", tags="mine")
    assert dict(fired(client.store.get_configuration("other"))) == {"tags": "mine"}
    first = bucket_id(data, "other")
    number_is(2)
    assert client.store.look_now("other") is None
    assert dict(fired(client.store.get_configuration("other"))) == {}
    client.put("key", bucket="other")
    assert bucket_id(data, "other") != first


def test_of_two_directories_with_one_id_and_inode_number_the_recorded_name_keeps_it(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The roots of two mounts have the same inode number; a snapshot has the same id."""
    client.put("key")
    first = bucket_id(data, "bucket")
    (data / "snap").mkdir()
    os.setxattr(data / "snap", "user.zs3.id", first.encode())
    change_record(data, inode=(data / "snap").stat().st_ino, generation=None)
    open_client(data).put("key", bucket="snap")
    assert bucket_id(data, "snap") != first


def test_a_refused_deletion_has_destroyed_nothing(client: Client, data: Path) -> None:
    upload = client.begin("key")
    (data / "bucket/link").symlink_to("nowhere")
    first = bucket_id(data, "bucket")
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        fired(client.store.delete_bucket("bucket"))
    client.part(upload, 1, b"part")
    assert bucket_id(data, "bucket") == first


@pytest.mark.parametrize("with_attributes", [True, False], ids=["attributes", "none"])
def test_a_large_record_brings_no_internals_of_a_deleted_bucket_back(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, with_attributes: bool
) -> None:
    if not with_attributes:
        refuse_attributes(monkeypatch)
    client.put("key")
    client.delete("key")
    other = open_client(data)
    seal = StagedFile.seal
    delete_first = before_once(seal, lambda: fired(other.store.delete_bucket("bucket")))
    monkeypatch.setattr(StagedFile, "seal", lambda *args, **kwargs: delete_first(*args, **kwargs))
    with pytest.raises(S3Error, match="NoSuchBucket"):
        client.put("key", attributes=LARGE)
    assert list(data.glob(".zs3/buckets/*")) == []
    assert list(data.glob(".zs3/tmp/*/[!o]*")) == []
    fired(other.store.stop())


def test_a_bucket_whose_internals_somebody_removed_gets_new_ones(client: Client, data: Path) -> None:
    client.put("key")
    shutil.rmtree(next(data.glob(".zs3/buckets/*")))
    with pytest.raises(FileNotFoundError):
        client.put("key", attributes=LARGE)
    client.put("key", attributes=LARGE)
    assert client.info("key").attributes.metadata == LARGE.metadata


def test_a_mount_point_is_not_deleted(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter((1, 2))
    monkeypatch.setattr(kernel, "mount_id", lambda _: next(ids))
    with pytest.raises(S3Error, match="mount point"):
        fired(client.store.delete_bucket("bucket"))
    assert (data / "bucket").is_dir()


def test_the_mount_of_a_directory_can_be_told(data: Path) -> None:
    with paths.opened(os.open(data, os.O_RDONLY)) as one, paths.opened(os.open("/proc", os.O_RDONLY)) as other:
        assert kernel.mount_id(one) > 0
        assert kernel.mount_id(one) != kernel.mount_id(other)


def test_a_bucket_of_a_thousand_nested_empty_directories_is_empty(client: Client, data: Path) -> None:
    fd = os.open(data / "bucket", os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    assert client.listed() == []
    fired(client.store.delete_bucket("bucket"))
    assert not (data / "bucket").exists()


def test_waiting_for_a_lock_is_counted_from_the_arrival(data: Path) -> None:
    clock = Clock()
    store = FilesystemStore(str(data), execute, clock)
    fired(store.start())
    fired(store.create_bucket("bucket"))
    Client(store).put("key")
    with locks.held(os.open(next(data.glob(".zs3/buckets/*/lock")), os.O_RDWR)):
        results: list[Any] = []
        for _ in range(5):
            store.delete_object("bucket", "key", ALWAYS).addBoth(results.append)
        clock.pump([0.05] * 230)
        assert [result.value.code for result in results] == ["SlowDown"] * 5
    fired(store.stop())


def test_room_is_taken_as_bytes_come_and_what_cannot_fit_is_refused_first(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = 1 << 30
    writer = client.store.put_object("bucket", "key", Body(), attributes=Attributes(), condition=ALWAYS, length=length)
    fired(writer.open())
    fired(writer.write(b"x" * 300_000))
    used = sum(path.stat().st_blocks * 512 for path in data.glob(".zs3/tmp/*/[!o]*"))
    assert used <= 128 << 20
    fired(writer.abort())
    writer = client.store.put_object("bucket", "key", Body(), attributes=Attributes(), condition=ALWAYS, length=1 << 60)
    with pytest.raises(S3Error, match="StorageFull"):
        fired(writer.open())
    assert list(data.glob(".zs3/tmp/*/[!o]*")) == []


def test_copies_leave_threads_to_others(data: Path) -> None:
    waiting: list[Callable[[], None]] = []

    def hop(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        work: Deferred[Any] = Deferred()
        waiting.append(lambda: execute(function, *args, **kwargs).chainDeferred(work))
        return work

    def run() -> None:
        while waiting:
            waiting.pop(0)()

    store = FilesystemStore(str(data), hop, Clock(), copies=2)
    store.start()
    run()
    store.create_bucket("bucket")
    run()
    copies = []
    for number in range(5):
        copies.append(
            store.copy_object(
                "bucket", "none", "bucket", f"{number}", check=lambda _: None, attributes=None, condition=ALWAYS
            )
        )
    assert len(waiting) == 2
    run()
    codes = []
    for copy in copies:
        copy.addErrback(lambda failure: codes.append(failure.value.code))
    assert codes == ["NoSuchKey"] * 5


def test_deleting_makes_room_on_a_full_disk_in_a_bucket_that_was_never_written_to(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "music").mkdir()
    (data / "music/song").write_bytes(b"x" * 10_000)
    homes = set(data.glob(".zs3/buckets/*"))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("zs3.store.internals.Internals.write_file", full)
        with pytest.raises(S3Error, match="StorageFull"):
            client.put("another", bucket="music")
        assert client.delete("song", bucket="music")
        assert client.listed("music") == []
        fired(client.store.delete_bucket("music"))
    assert not (data / "music").exists()
    assert set(data.glob(".zs3/buckets/*")) == homes


def test_a_bucket_that_gets_an_id_meanwhile_is_locked_as_one_that_has_one(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a deletion and a writer of the same key would not exclude each other."""
    (data / "music").mkdir()
    (data / "music/song").write_text("old")
    buckets = client.store._posix.buckets
    with buckets.opened("music") as bucket:
        client.put("song", b"new", bucket="music")
        with pytest.raises(locks.WouldBlock), bucket.locked("song"):
            pass


def test_a_probe_that_a_crash_left_goes_with_the_next_start(client: Client, data: Path) -> None:
    client.put("key")
    (data / "bucket/.zs3!").touch()
    again = open_client(data)
    again.put("key")
    assert [path.name for path in (data / "bucket").iterdir()] == ["key"]
    fired(again.store.stop())


def test_each_pass_over_a_directory_begins_anew_once_its_version_is_known(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else btrfs leaves out what was replaced between the opening, or the last pass, and the version."""
    seen: list[str] = []

    def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: (seen.append(name), real(*args))[1]

    monkeypatch.setattr(directory, "version", noting("version", lambda _: len(seen)))
    monkeypatch.setattr(os, "lseek", noting("rewind", os.lseek))
    monkeypatch.setattr(os, "scandir", noting("scan", os.scandir))
    with paths.opened(os.open(data, os.O_RDONLY)) as fd:
        directory._read(fd, (), Names(b"", 1 << 20), None, lambda _: None, directory.OBJECTS)
    assert seen == ["version", "rewind", "scan", "version"] * 3


@pytest.mark.parametrize("replaced", [False, True], ids=["gone", "an object"])
def test_a_directory_that_was_pruned_before_it_was_synced_is_no_error(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    """The deletion answers for it; and where a directory on the way was, another object may be."""
    other = open_client(data)

    def act() -> None:
        other.delete("a/b/c")
        if replaced:
            other.put("a", b"another")

    monkeypatch.setattr(commit, "_settle", before_once(commit._settle, act))
    client.put("a/b/c", b"one")
    assert client.listed() == (["a"] if replaced else [])
    fired(other.store.stop())


def test_an_upload_that_cannot_be_made_leaves_nothing(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its directory was there and could not be given its mode."""
    client.put("other")
    with monkeypatch.context() as patch:
        patch.setattr(os, "chmod", failing(errno.EIO, os.chmod))
        with pytest.raises(OSError, match="Input/output error"):
            client.begin("key")
    assert [path for path in data.glob(".zs3/tmp/*/*") if path.name != "owner"] == []


# A disk that does not answer is not a disk where there is nothing


def test_what_cannot_be_looked_at_was_not_discarded(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is gone neither by the rename nor for sure."""
    staging = client.store._posix.buckets.shared
    kept = data / ".zs3" / "kept"
    kept.mkdir()
    shutil.rmtree(data / ".zs3" / "trash")
    monkeypatch.setattr(os, "lstat", failing(errno.EIO, os.lstat, lambda path, *_: path == os.fsencode(kept)))
    with pytest.raises(OSError, match="Input/output error"):
        staging.discard(os.fsencode(kept))
    monkeypatch.undo()
    staging.discard(os.fsencode(kept))
    assert not kept.exists()
