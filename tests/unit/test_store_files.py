"""Plain files both ways: what others do in the data directory, and what they find there."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.support import Client, fired, open_client
from tests.unit.test_checksums import value_of
from zs3.checksums import Checksum
from zs3.errors import S3Error
from zs3.store import records
from zs3.store.values import Attributes


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


def bucket_id(data: Path, name: str) -> str:
    return os.getxattr(data / name, "user.zs3.id").decode()


def test_an_object_is_a_file_with_its_bytes_at_its_path(client: Client, data: Path) -> None:
    client.put("2024/cat.jpg", b"meow")
    assert (data / "bucket/2024/cat.jpg").read_bytes() == b"meow"


def test_only_the_owner_may_read_what_is_made(client: Client, data: Path) -> None:
    old = os.umask(0)
    try:
        client.put("a/b", b"x" * 300_000)
    finally:
        os.umask(old)
    assert (data / "bucket/a/b").stat().st_mode & 0o777 == 0o600
    assert (data / "bucket/a").stat().st_mode & 0o777 == 0o700
    assert (data / "bucket").stat().st_mode & 0o777 == 0o700


def test_modes_can_be_told(data: Path) -> None:
    old = os.umask(0o077)
    try:
        client = open_client(data, file_mode=0o664, dir_mode=0o2775)
        fired(client.store.create_bucket("bucket"))
        client.put("a/b")
        upload = client.begin("a/c")
        client.complete(upload, [client.part(upload, 1, b"x")])
        client.copy("a/b", "a/d")
        fired(client.store.stop())
    finally:
        os.umask(old)
    for name in ("b", "c", "d"):
        assert (data / "bucket/a" / name).stat().st_mode & 0o7777 == 0o664
    assert (data / "bucket/a").stat().st_mode & 0o7777 == 0o2775


def test_files_and_directories_of_others_are_objects_and_buckets_at_once(client: Client, data: Path) -> None:
    (data / "Music/Live").mkdir(parents=True)
    (data / "Music/Live/song.mp3").write_bytes(b"la")
    assert [bucket.name for bucket in fired(client.store.list_buckets())] == ["Music", "bucket"]
    assert client.listed("Music") == ["Live/song.mp3"]
    assert client.get("Live/song.mp3", "Music") == b"la"
    info = client.info("Live/song.mp3", "Music")
    assert info.attributes.headers == {"content-type": "audio/mpeg"}
    assert "-" in info.etag
    (data / "Music/Live/song.mp3").unlink()
    assert client.listed("Music") == []


def test_a_change_from_outside_is_never_told_with_a_stale_record(client: Client, data: Path) -> None:
    path = data / "bucket/key"
    put = client.put("key", b"first", attributes=Attributes({"content-type": "x/y"}))
    path.write_bytes(b"other")
    info = client.info("key")
    assert info.etag != put.etag
    assert info.attributes.headers == {"content-type": "binary/octet-stream"}
    assert client.page().objects == [info]
    seen = {info.etag}
    for _ in range(3):
        replacement = data / "replacement"
        replacement.write_bytes(b"third")
        os.utime(replacement, ns=(info.mtime_ns, info.mtime_ns))
        os.rename(replacement, path)
        seen.add(client.info("key").etag)
    assert len(seen) > 1, "the inode tells files apart that agree in size and time"


def test_a_file_that_others_move_keeps_its_record(client: Client, data: Path) -> None:
    put = client.put("a/old", b"x", attributes=Attributes({"content-type": "x/y"}, {"k": "v"}))
    os.rename(data / "bucket/a/old", data / "bucket/new")
    moved = client.info("new")
    assert (moved.etag, moved.attributes) == (put.etag, put.attributes)


def test_an_overwrite_in_the_same_nanosecond_still_changes_the_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_700_000_000_123_456_789
    monkeypatch.setattr(records.time, "time_ns", lambda: now)
    first = client.put("key", b"1")
    second = client.put("key", b"2")
    assert first.mtime_ns == now
    assert second.mtime_ns != first.mtime_ns
    assert client.info("key") == second


def test_where_times_are_rounded_a_young_record_proves_nothing(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = client.put("key")
    rounded = put.mtime_ns // 10**9 * 10**9
    fd = os.open(data / "bucket/key", os.O_RDWR)
    record = records.metadata.unpack(os.getxattr(fd, records.ATTRIBUTE))
    assert record is not None
    os.utime(fd, ns=(rounded, rounded))
    os.setxattr(fd, records.ATTRIBUTE, records.metadata.pack(record.stamped(put.size, rounded)))
    os.close(fd)
    assert client.info("key").etag != put.etag
    monkeypatch.setattr(records.time, "time_ns", lambda: rounded + 3 * 10**9)
    assert client.info("key").etag == put.etag


def refuse_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    monkeypatch.setattr(os, "getxattr", refuse)


def test_without_attributes_all_is_kept_in_sidecars(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_attributes(monkeypatch)
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    attributes = Attributes({"content-type": "x/y"}, {"k": "v" * 3000})
    put = client.put("a/b", b"x", attributes=attributes)
    assert client.info("a/b") == put
    assert put.attributes == attributes
    upload = client.begin("mp", attributes=attributes)
    whole = client.complete(upload, [client.part(upload, 1, b"part")])
    assert client.info("mp") == whole
    assert len(list((data / ".zs3/buckets").glob("*/records/key/*/*"))) == 2
    client.put("a/b", b"y")
    client.delete("mp")
    assert len(list((data / ".zs3/buckets").glob("*/records/key/*/*"))) == 1
    assert (data / "bucket/.zs3/id").exists()
    assert client.listed() == ["a/b"]
    again = open_client(data)
    assert again.info("a/b") == client.info("a/b")
    client.delete("a/b")
    fired(client.store.delete_bucket("bucket"))


def test_an_attribute_that_keeps_nothing_is_not_trusted(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "setxattr", lambda *_: None)
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    put = client.put("key")
    assert client.info("key") == put


def test_a_large_record_has_a_sidecar_that_goes_with_it(client: Client, data: Path) -> None:
    large = Attributes({}, {"k": "v" * 3000})

    def sidecars() -> list[Path]:
        return list((data / ".zs3/buckets").glob("*/records/any/*/*"))

    client.put("key", attributes=large)
    client.put("key", attributes=large)
    assert len(sidecars()) == 1
    os.rename(data / "bucket/key", data / "bucket/moved")
    assert client.info("moved").attributes.metadata == large.metadata
    sidecars()[0].unlink()
    assert client.get("moved") == b"data"
    assert client.info("moved").attributes.metadata == {}
    client.put("moved", attributes=large)
    client.delete("moved")
    assert sidecars() == []


def with_many_parts(client: Client, monkeypatch: pytest.MonkeyPatch, key: str, count: int = 300) -> list[bytes]:
    """Make an object of parts with checksums; the checksums."""
    monkeypatch.setattr("zs3.store.completion.MIN_PART_SIZE", 1)
    upload = client.begin(key)
    values = [value_of("CRC64NVME", b"%d" % number) for number in range(count)]
    parts = [
        client.part(upload, number, b"%d" % (number - 1), Checksum("CRC64NVME", values[number - 1]))
        for number in range(1, count + 1)
    ]
    client.complete(upload, parts)
    return values


def test_the_checksums_of_many_parts_are_not_in_the_way(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have a file of their own, which nobody reads to read the object, and which goes with it."""

    def files() -> list[Path]:
        return list((data / ".zs3/buckets").glob("*/records/any/*/*"))

    def found(key: str) -> list[bytes]:
        return list(fired(client.store.get_part_checksums("bucket", client.info(key))))

    few = with_many_parts(client, monkeypatch, "few", 20)
    assert (found("few"), files()) == (few, [])
    many = with_many_parts(client, monkeypatch, "many")
    content = b"".join(b"%d" % number for number in range(300))
    assert found("many") == many
    assert [file.stat().st_size for file in files()] == [8 * 300]
    info = client.info("many")
    assert info.checksum == Checksum("CRC64NVME", value_of("CRC64NVME", content))
    assert len(info.part_sizes) == 300
    assert len(os.getxattr(data / "bucket/many", records.ATTRIBUTE)) < 500

    os.rename(data / "bucket/many", data / "bucket/moved")
    assert found("moved") == many
    again = with_many_parts(client, monkeypatch, "moved", 280)
    assert found("moved") == again
    assert [file.stat().st_size for file in files()] == [8 * 280]
    # Asked for again with what was known of the one before.
    assert fired(client.store.get_part_checksums("bucket", info)) == []
    files()[0].unlink()
    assert found("moved") == []
    assert client.info("moved").checksum is not None
    with_many_parts(client, monkeypatch, "moved")
    client.delete("moved")
    assert files() == []


def test_a_change_leaves_the_checksums_of_many_parts_where_they_are(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> list[Path]:
        return list((data / ".zs3/buckets").glob("*/records/any/*/*"))

    def found(key: str = "key") -> list[bytes]:
        return list(fired(client.store.get_part_checksums("bucket", client.info(key))))

    many = with_many_parts(client, monkeypatch, "key")
    (first,) = files()
    before, inode = client.info("key"), first.stat().st_ino
    info = client.change("key", tags={"k": "v"})
    assert info == client.info("key")
    assert (files(), first.stat().st_ino) == ([first], inode)
    # Who asked before may read them still.
    assert fired(client.store.get_part_checksums("bucket", before)) == found() == many

    # Too long for the attribute, with all else in one file; and back again.
    client.change("key", tags={"k": "v" * 3000})
    assert len(files()) == 1
    assert files() != [first]
    assert found() == many
    client.change("key", tags={})
    assert (len(files()), found()) == (1, many)

    # A copy has a file of its own, as the original goes on under its other name.
    os.link(data / "bucket/key", data / "bucket/other")
    client.change("other", tags={"k": "v"})
    assert len(files()) == 2
    client.delete("other")
    assert (len(files()), found()) == (1, many)
    client.delete("key")
    assert files() == []


def test_where_the_attribute_cannot_grow_a_change_moves_the_checksums_of_many_parts(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = with_many_parts(client, monkeypatch, "key")
    real, size = os.setxattr, len(os.getxattr(data / "bucket/key", records.ATTRIBUTE))

    def full(file: int, name: str, value: bytes) -> None:
        if len(value) > size:
            raise OSError(28, "No space left on device")
        real(file, name, value)

    monkeypatch.setattr(os, "setxattr", full)
    client.change("key", tags={"k": "v"})
    assert client.info("key").attributes.tags == {"k": "v"}
    assert fired(client.store.get_part_checksums("bucket", client.info("key"))) == many
    assert len(list((data / ".zs3/buckets").glob("*/records/any/*/*"))) == 1


def test_a_completion_that_fails_late_leaves_no_checksums_behind(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise S3Error("PreconditionFailed")

    with monkeypatch.context() as patched:
        patched.setattr("zs3.store.commit.publish", refuse)
        with pytest.raises(S3Error, match="PreconditionFailed"):
            with_many_parts(client, monkeypatch, "key")
    assert list((data / ".zs3/buckets").glob("*/records/any/*/*")) == []


def test_with_all_else_the_checksums_of_many_parts_are_in_one_sidecar(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too long even without them, or has no attribute to be in."""
    monkeypatch.setattr(records, "_LONGEST", 60)
    many = with_many_parts(client, monkeypatch, "key")
    assert fired(client.store.get_part_checksums("bucket", client.info("key"))) == many
    assert len(list((data / ".zs3/buckets").glob("*/records/any/*/*"))) == 1
    client.delete("key")
    assert list((data / ".zs3/buckets").glob("*/records/any/*/*")) == []


def test_links_and_special_files_are_neither_listed_nor_opened(client: Client, data: Path, tmp_path: Path) -> None:
    bucket = data / "bucket"
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("secret")
    (bucket / "link").symlink_to(secret / "file")
    (bucket / "dir").symlink_to(secret)
    os.mkfifo(bucket / "fifo")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(bucket / "socket"))
    client.put("real")
    assert client.listed() == ["real"]
    for key in ("link", "dir/file", "fifo", "socket", "dir"):
        with pytest.raises(S3Error, match="NoSuchKey"):
            client.get(key)
        assert not client.delete(key)
    with pytest.raises(S3Error, match="AccessDenied"):
        client.put("dir/file", b"overwritten")
    client.put("link", b"beside")
    assert client.get("link") == b"beside"
    assert (secret / "file").read_text() == "secret"
    assert (bucket / "link").is_symlink()


def test_names_that_are_no_keys_are_invisible_and_told_once(client: Client, data: Path, logged: object) -> None:
    bucket = os.fsencode(data / "bucket")
    for name in (b"\xff.txt", b"bell\x07", b".zs3=plain", b".zs3+nothing"):
        with open(os.path.join(bucket, name), "wb"):
            pass
    client.put("real")
    assert client.listed() == client.listed() == ["real"]
    texts = [text for text in logged() if "stands for no key" in text]  # type: ignore[operator]
    assert len(texts) == 4


def test_empty_directories_are_neither_keys_nor_prefixes_nor_pruned_by_others(client: Client, data: Path) -> None:
    (data / "bucket/empty/deep").mkdir(parents=True)
    client.put("full/a/b")
    page = client.page(delimiter="/")
    assert (list(page.objects), list(page.prefixes)) == ([], ["full/"])
    client.delete("full/a/b")
    assert not (data / "bucket/full").exists()
    assert (data / "bucket/empty/deep").is_dir()
    fired(client.store.delete_bucket("bucket"))
    assert not (data / "bucket").exists()


def test_a_bucket_with_what_is_no_object_is_not_deleted(client: Client, data: Path) -> None:
    os.mkfifo(data / "bucket/fifo")
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        fired(client.store.delete_bucket("bucket"))
    assert (data / "bucket/fifo").exists()


def test_a_renamed_bucket_keeps_its_id_and_a_new_one_under_its_name_does_not(client: Client, data: Path) -> None:
    client.put("key")
    first = bucket_id(data, "bucket")
    os.rename(data / "bucket", data / "old")
    (data / "bucket").mkdir()
    client.put("key")
    client.put("key", bucket="old")
    assert bucket_id(data, "old") == first
    assert bucket_id(data, "bucket") != first


def test_a_copied_bucket_gets_an_id_of_its_own(client: Client, data: Path) -> None:
    client.put("key", attributes=Attributes({}, {"k": "v"}))
    upload = client.begin("upload")
    shutil.copytree(data / "bucket", data / "copy")
    assert bucket_id(data, "copy") == bucket_id(data, "bucket")
    assert client.get("key", "copy") == b"data"
    client.put("other", bucket="copy")
    assert bucket_id(data, "copy") != bucket_id(data, "bucket")
    with pytest.raises(S3Error, match="NoSuchUpload"):
        fired(client.store.get_upload("copy", "upload", upload.upload_id))


def test_a_bucket_may_be_a_link_to_a_directory_elsewhere(client: Client, data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text("there")
    (data / "linked").symlink_to(tmp_path / "elsewhere")
    client.put("new/key", bucket="linked")
    assert client.listed("linked") == ["file", "new/key"]
    assert (tmp_path / "elsewhere/new/key").read_bytes() == b"data"
    for key in ("file", "new/key"):
        client.delete(key, "linked")
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        fired(client.store.delete_bucket("linked"))


def test_a_bucket_on_another_file_system_is_staged_inside_it(client: Client, data: Path) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == data.stat().st_dev:
        pytest.skip("no second file system to write to: /dev/shm")
    directory = other / f"zs3-test-{os.getpid()}"
    directory.mkdir()
    try:
        (data / "linked").symlink_to(directory)
        client.put("a/b", b"over there", bucket="linked")
        assert client.get("a/b", "linked") == b"over there"
        assert (directory / ".zs3/tmp").is_dir()
        assert client.listed("linked") == ["a/b"]
    finally:
        fired(client.store.stop())
        shutil.rmtree(directory)


def make_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the calls refuse."""

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("mkdir", "rename", "unlink", "link", "setxattr", "rmdir"):
        monkeypatch.setattr(os, name, read_only)
    real_open = os.open

    def no_writing(path: str, flags: int, *args: int, **kwargs: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            read_only()
        return real_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", no_writing)


def test_a_read_only_directory_that_zs3_never_wrote_to_is_served(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "bucket").mkdir()
    (data / "bucket/key").write_text("data")
    make_read_only(monkeypatch)
    client = open_client(data)
    assert client.listed() == ["key"]
    assert client.get("key") == b"data"
    for action in (
        lambda: client.put("new"),
        lambda: client.delete("key"),
        lambda: client.begin("up"),
        lambda: fired(client.store.create_bucket("other")),
        lambda: fired(client.store.delete_bucket("bucket")),
    ):
        with pytest.raises(S3Error, match="AccessDenied"):
            action()
    fired(client.store.stop())


def test_a_read_only_directory_is_served(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put("key", attributes=Attributes({"content-type": "x/y"}))
    fired(client.store.stop())
    make_read_only(monkeypatch)
    again = open_client(data)
    assert again.get("key") == b"data"
    assert again.info("key").attributes.headers == {"content-type": "x/y"}
    assert again.listed() == ["key"]
    for action in (lambda: again.put("new"), lambda: again.delete("key"), lambda: again.begin("up")):
        with pytest.raises(S3Error, match="AccessDenied"):
            action()
    fired(again.store.stop())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_listed_and_refused(client: Client, data: Path) -> None:
    client.put("key")
    (data / "bucket/key").chmod(0)
    assert client.listed() == ["key"]
    with pytest.raises(S3Error, match="AccessDenied"):
        client.get("key")


def test_a_listing_is_of_what_can_be_listed_when_files_may_not_be_read(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("key", b"12345")

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("zs3.store.lookup.open_names", denied)
    monkeypatch.setattr("zs3.store.hot._open_file", lambda *_: -errno.EACCES)
    assert [(info.key, info.size) for info in client.page().objects] == [("key", 5)]
    with pytest.raises(S3Error, match="AccessDenied"):
        client.info("key")


def test_full_disk_keeps_the_old_object_and_leaves_nothing(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("key", b"old")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(S3Error, match="StorageFull"):
            client.put("key", b"new")
    assert client.get("key") == b"old"
    assert temporary_files(data) == []


def temporary_files(data: Path) -> list[str]:
    return [path.name for path in data.glob(".zs3/tmp/*/*") if path.name != "owner"]


def test_md5_of_the_file_is_the_etag(client: Client, data: Path) -> None:
    etag = client.put("key", os.urandom(700_000)).etag
    assert hashlib.md5((data / "bucket/key").read_bytes()).hexdigest() == etag
    assert temporary_files(data) == []
