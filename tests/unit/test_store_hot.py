"""The read that does not leave the reactor's thread: it says what the ordinary one says, or nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.support import Client, fired, open_client
from zs3.errors import S3Error
from zs3.store import hot, kernel, layout
from zs3.store.hot import HotFiles
from zs3.store.readers import FileReader
from zs3.store.values import Attributes

LONG = "l" * 300


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data, sync=False)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


@pytest.fixture
def ordinary(data: Path, client: Client) -> Iterator[Client]:
    """The same directory without the short way."""
    other = open_client(data, sync=False)
    other.store._hot.stop()
    yield other
    fired(other.store.stop())


@pytest.fixture
def files(client: Client) -> HotFiles:
    """The short way itself, where the file system has one."""
    files = client.store._hot
    if files._fd < 0:
        pytest.skip("the temporary directory is on no file system that this works on")
    return files


def told(client: Client, key: str, bucket: str) -> Any:
    """All that a client can see of a key: what it is and its bytes, or the error."""
    answers: list[Any] = []
    for ask in (client.get, client.info):
        try:
            answers.append(ask(key, bucket))
        except S3Error as error:
            answers.append((error.code, error.fields))
    return answers


def write(path: Path, content: bytes = b"of others") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def touch_rounded(path: Path, age_s: float) -> None:
    when = int(time.time() - age_s) * 10**9
    os.utime(path, ns=(when, when))


CASES: dict[str, Callable[[Client, Path], object]] = {
    "key": lambda client, _: client.put("key", b"content"),
    "empty": lambda client, _: client.put("empty", b""),
    "a/b/c": lambda client, _: client.put("a/b/c", b"deep"),
    "dir": lambda client, _: (client.put("dir", b"beside"), client.put("dir/below", b"x")),
    "dir/below": lambda client, _: (client.put("dir/below", b"x"), client.put("dir", b"beside")),
    "void": lambda client, data: (client.put("void", b"before"), write(data / "bucket" / "void", b"changed")),
    "dropped": lambda _, data: write(data / "bucket" / "dropped"),
    "side": lambda client, _: client.put("side", b"car", attributes=Attributes({}, {"a": "b" * 3000})),
    "typed": lambda client, _: client.put("typed", attributes=Attributes({"content-type": "x/y"}, {"Ünï": "cödé"})),
    "young": lambda client, data: (client.put("young"), touch_rounded(data / "bucket" / "young", 0)),
    "old": lambda client, data: (client.put("old"), touch_rounded(data / "bucket" / "old", 100)),
    "link": lambda client, data: (client.put("at"), (data / "bucket" / "link").symlink_to("at")),
    "way/at": lambda client, data: (client.put("to/at"), (data / "bucket" / "way").symlink_to("to")),
    "fifo": lambda _, data: os.mkfifo(data / "bucket" / "fifo"),
    "directory": lambda _, data: (data / "bucket" / "directory").mkdir(),
    "file/below": lambda client, _: client.put("file"),
    "dead": lambda client, _: (client.put("dead"), client.delete("dead")),
    LONG: lambda client, _: client.put(LONG, b"long"),
    "d/" + LONG + "/e": lambda client, _: client.put("d/" + LONG + "/e", b"long"),
    **{key: lambda client, _, key=key: client.put(key, key.encode()) for key in (  # type: ignore[misc]
        *("a//b", "/lead", "trail/", ".", "..", "a/../b", ".zs3", ".zs3=x", "a/.zs3@b", "ü/ñ", "a b", "x" * 1024),
        *("%41", "a\\b", "\t"),
    )},
    "absent": lambda _, __: None,
    "absent/deep": lambda _, __: None,
    "": lambda _, __: None,
    "\0": lambda _, __: None,
    "y" * 1025: lambda _, __: None,
}  # fmt: skip


@pytest.mark.parametrize("key", CASES, ids=lambda key: ascii(key)[:30])
def test_what_it_says_is_what_the_ordinary_way_says(client: Client, ordinary: Client, data: Path, key: str) -> None:
    CASES[key](client, data)
    for _ in range(3):  # the caches of names fill
        assert told(client, key, "bucket") == told(ordinary, key, "bucket")


@pytest.mark.parametrize("bucket", ["none", "plain", ".zs3", "..", "", "a/b", "linked", "strange name", "upper.Case_1"])
def test_buckets_are_those_of_the_ordinary_way(client: Client, ordinary: Client, data: Path, bucket: str) -> None:
    write(data / "plain")
    write(data / "upper.Case_1" / "key")
    write(data / "strange name" / "key")
    write(data.parent / "elsewhere" / "key")
    (data / "linked").symlink_to(data.parent / "elsewhere")
    for _ in range(3):
        assert told(client, "key", bucket) == told(ordinary, "key", bucket)


@pytest.mark.parametrize("key", ["key", "a/b/c", "typed", "old" * 50, LONG, ".zs3=x"])
def test_an_ordinary_object_needs_no_thread(
    client: Client, files: HotFiles, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put(key, b"content")
    hops: list[object] = []
    hop = client.store._hop

    def counted(*arguments: object) -> Any:
        hops.append(arguments)
        return hop(*arguments)

    monkeypatch.setattr(client.store, "_hop", counted)
    # The kernel may say at any time that it would have to wait, as it does while anybody renames directories.
    for _ in range(100):
        hops.clear()
        assert client.info(key).size == 7
        reader = fired(client.store.open_object("bucket", key))
        content = reader.read_now(2, 3)
        unchanged = reader.unchanged_now()
        reader.close()
        if not hops and content is not None:
            assert content == b"nte"
            assert unchanged
            return
    pytest.fail("never without a thread")


def test_that_there_is_nothing_is_known_without_a_thread(client: Client, files: HotFiles) -> None:
    for key in ("absent", "no/where"):
        told(client, key, "bucket")
        with pytest.raises(S3Error, match="NoSuchKey"):
            files.open("bucket", key)


def test_a_change_and_a_deletion_are_seen_at_once(client: Client, files: HotFiles) -> None:
    for number in range(20):
        client.put("key", b"%d" % number)
        assert client.get("key") == b"%d" % number
        found = files.open("bucket", "key")
        assert found is not None
        found.close()
    client.delete("key")
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.get("key")


def test_no_descriptor_is_lost(client: Client, data: Path, files: HotFiles) -> None:
    for case in CASES.values():
        case(client, data)
    before = len(os.listdir("/proc/self/fd"))
    for key in CASES:
        told(client, key, "bucket")
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_not_in_memory_is_read_by_a_thread(
    client: Client, files: HotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("key", b"content")
    reader = fired(client.store.open_object("bucket", "key"))
    assert reader.is_warm(0, 7)
    files._in_memory = False
    monkeypatch.setattr(kernel, "is_cached", lambda *_: False)
    monkeypatch.setattr(files, "read", lambda *_: None)
    assert (reader.read_now(0, 7), reader.is_warm(0, 7)) == (None, False)
    assert fired(reader.read(0, 7)) == b"content"
    assert fired(reader.warm(0, 7))
    assert not fired(reader.warm(0, 8))
    assert client.get("key") == b"content"
    reader.close()


def test_it_is_known_what_the_page_cache_has(client: Client, files: HotFiles, data: Path) -> None:
    """Also without cachestat(2)."""
    size = 1 << 20
    client.put("key", bytes(size))
    with (data / "bucket" / "key").open("rb") as file:
        if kernel.is_cached(file.fileno(), 0, size) is None or files._in_memory:
            pytest.skip("the kernel does not tell, or keeps all in memory")
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        reader = fired(client.store.open_object("bucket", "key"))
        with pytest.MonkeyPatch.context() as patch:
            for _ in range(2):
                assert not reader.is_warm(0, size)
                assert not reader.is_warm(size - 5, 5)
                patch.setattr(kernel, "is_cached", lambda *_: None)
        assert fired(reader.warm(0, size))
        with pytest.MonkeyPatch.context() as patch:
            for _ in range(2):
                assert reader.is_warm(0, size)
                assert reader.is_warm(4095, 2)
                patch.setattr(kernel, "is_cached", lambda *_: None)
        assert kernel.is_cached(file.fileno(), 4095, 2)
        reader.close()


def test_a_reader_that_is_closed_or_busy_reads_nothing(client: Client, files: HotFiles) -> None:
    client.put("key", b"content")
    reader = fired(client.store.open_object("bucket", "key"))
    assert isinstance(reader, FileReader)
    reader.close()
    assert (reader.read_now(0, 1), reader.is_warm(0, 1), reader.unchanged_now()) == (None, False, False)


@pytest.mark.parametrize(
    "kind", [kernel.BTRFS, 0x6969, 0x65735546, 0x794C7630], ids=["btrfs", "nfs", "fuse", "overlay"]
)
def test_only_on_file_systems_that_are_known_to_tell_the_truth(
    data: Path, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    monkeypatch.setattr("zs3.store.kernel.filesystem_type", lambda _: kind)
    files = HotFiles(os.fsencode(data))
    files.start()
    (data / "bucket").mkdir()
    write(data / "bucket" / "key")
    assert files.open("bucket", "key") is None
    with (data / "bucket" / "key").open() as file:
        assert not files.covers(file.fileno())


def test_a_data_directory_that_was_moved_is_not_served_on(client: Client, files: HotFiles, data: Path) -> None:
    client.put("key", b"old")
    now = [time.monotonic() + 10]
    files._now = lambda: now[0]
    data.rename(data.parent / "moved")
    write(data / "bucket" / "key", b"new")
    assert client.get("key") == b"new"
    assert files.open("bucket", "key") is None
    (data.parent / "moved" / ".zs3").rename(data / ".zs3")  # for the end of the test


def test_a_stopped_store_holds_nothing(client: Client, files: HotFiles) -> None:
    files.stop()
    files.stop()
    assert files.open("bucket", "key") is None


def test_names_of_buckets_here_are_names_of_buckets() -> None:
    """`hot` must not know more names than `buckets`."""
    from zs3.store import buckets

    for name in ("a", "A1", "a.b", "a-b", "1" * 63):
        assert hot._BUCKET(name)
        assert buckets._NAME.fullmatch(name)
    for name in ("", ".", "..", ".zs3", "-a", "a/b", "a\n", "ä", "a_b", "1" * 64):
        assert not hot._BUCKET(name)


@given(st.text(alphabet="ab./ zsZ3=@+é\t\\", max_size=30) | st.sampled_from([*CASES]))
def test_plain_path_is_the_natural_path_or_nothing(key: str) -> None:
    plain = layout.plain_path(key)
    if plain is not None:
        path = layout.encode(key)
        assert layout.is_key(key)
        assert b"/".join((*path.parent, path.name)) == plain


@pytest.mark.parametrize("key", ["a", "a/b.c", "photo 1.jpg", "a" * 255, "a../b.", "x" * 255 + "/y"])
def test_ordinary_keys_have_a_plain_path(key: str) -> None:
    assert layout.plain_path(key) == key.encode()
