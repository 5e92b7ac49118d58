"""The cache of directories: what it answers is what reading would, and it answers only where that is certain."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.support import Client, fired, open_client
from zs3.store import dircache, directory, kernel
from zs3.store.dircache import DirectoryCache, grain_ns
from zs3.store.names import Listing


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data, sync=False, cache_size=1 << 20)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes of the directories that were read."""
    found: list[int] = []
    real = directory._scan

    def scan(fd: int) -> Iterator[tuple[list[bytes], bool]]:
        found.append(os.fstat(fd).st_ino)
        return real(fd)

    monkeypatch.setattr(directory, "_scan", scan)
    return found


def age(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be later than the grain of the clock after the last change, whatever the kernel."""
    monkeypatch.setattr(directory.time, "time_ns", lambda: path.stat().st_ctime_ns + 10**9)


def test_a_quiet_directory_is_read_once(
    client: Client, data: Path, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b", "c", "dir/x"):
        client.put(key)
    age(data / "bucket", monkeypatch)
    assert client.all_pages(1) == (["a", "b", "c", "dir/x"], [])
    read = len(scans)
    assert client.all_pages(1) == (["a", "b", "c", "dir/x"], [])
    assert len(scans) == read == 2


CHANGES: dict[str, Callable[[Client, Path], object]] = {
    "put": lambda client, _: client.put("new"),
    "delete": lambda client, _: client.delete("b"),
    "displace": lambda client, _: client.put("b/below"),
    "made by others": lambda _, bucket: (bucket / "theirs").touch(),
    "removed by others": lambda _, bucket: (bucket / "b").unlink(),
    "renamed by others": lambda _, bucket: (bucket / "b").rename(bucket / "moved"),
    "replaced by others": lambda _, bucket: (bucket / "b").replace(bucket / "a"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_is_seen_at_once(
    client: Client, data: Path, change: Callable[[Client, Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = data / "bucket"
    for key in ("a", "b", "c"):
        client.put(key)
    age(bucket, monkeypatch)
    client.listed()
    change(client, bucket)
    plain = open_client(data, sync=False, cache_size=0)
    assert client.listed() == plain.listed()
    fired(plain.store.stop())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["put", "delete", "list"]),
            st.sampled_from(["a", "a/b", "a/b/c", "d//e", "x" * 300, "x" * 300 + "/y", ".zs3", "f/"]),
        )
    )
)
def test_with_and_without_the_cache_the_lists_are_the_same(
    client: Client, data: Path, steps: list[tuple[str, str]]
) -> None:
    plain = open_client(data, sync=False, cache_size=0)
    for what, key in steps:
        if what == "put":
            client.put(key)
        elif what == "delete":
            client.delete(key)
        else:
            for query in ({}, {"delimiter": "/"}, {"prefix": key}, {"after": key}):
                one, other = client.page(**query), plain.page(**query)
                assert (one.objects, one.prefixes) == (other.objects, other.prefixes)
    for key in client.listed():
        client.delete(key)
    fired(plain.store.stop())


def test_a_directory_that_changed_within_a_tick_is_not_remembered(
    client: Client, data: Path, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dircache, "grain_ns", lambda *_: 20_000_000)
    client.put("a")
    now = (data / "bucket").stat().st_ctime_ns
    monkeypatch.setattr(directory.time, "time_ns", lambda: now + 19_999_999)
    client.listed()
    client.listed()
    assert len(scans) == 2
    monkeypatch.setattr(directory.time, "time_ns", lambda: now + 20_000_000)
    client.listed()
    client.listed()
    assert len(scans) == 3
    # Nor one of a time to come: the clock was set back, and may show that time again.
    os.utime(data / "bucket", ns=(now + 10**12, now + 10**12))
    client.listed()
    client.listed()
    assert len(scans) == 5


@pytest.mark.parametrize(
    ("filesystem", "linux", "grain"),
    [
        (kernel.EXT, (6, 13), 0),
        (kernel.EXT, (6, 12), 20_000_000),
        (kernel.TMPFS, (7, 0), 0),
        (kernel.ZFS, (6, 18), 20_000_000),
        (0x6969, (6, 18), None),
        (0x65735546, (6, 18), None),
    ],
)
def test_times_prove_nothing_within_the_grain_of_the_clock_and_never_on_a_network(
    filesystem: int, linux: tuple[int, int], grain: int | None
) -> None:
    assert grain_ns(filesystem, linux) == grain


def test_a_new_directory_with_the_inode_number_and_times_of_another_is_another(
    client: Client, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("dir/a")
    for module in (dircache, directory):
        monkeypatch.setattr(module, "version", lambda _: (1, 1))
    generations = [1]
    monkeypatch.setattr(kernel, "generation", lambda _: generations[-1])
    client.listed()
    read = len(scans)
    client.listed()
    assert len(scans) == read
    generations.append(2)
    client.listed()
    assert len(scans) == read + 2


def test_the_cache_holds_no_more_than_it_may(tmp_path: Path) -> None:
    cache = DirectoryCache(100_000)
    fds = []
    for number in range(20):
        path = tmp_path / str(number)
        path.mkdir()
        os.utime(path, (1, 1))
        fds.append(os.open(path, os.O_RDONLY))
    while time.time_ns() <= max(os.fstat(fds[-1]).st_ctime_ns + 20_000_000, 0):
        pass
    listing = Listing([b"x" * 5500], [b"x"], lasting=True)
    for fd in fds:
        cache.put(fd, time.time_ns(), dircache.version(fd), listing)
    known = [fd for fd in fds if cache.get(fd, b"") is not None]
    assert known == fds[-len(known) :]
    assert 14 <= len(known) <= 18
    cache.put(fds[0], time.time_ns(), dircache.version(fds[0]), Listing([b"x" * 100_000], [b"x"], lasting=True))
    assert cache.get(fds[0], b"") is None
    # The reading began when it had just changed: it may have changed again since, within the same tick.
    began = max(dircache.version(fds[0])) - 1
    cache.put(fds[0], began, dircache.version(fds[0]), Listing([b"x"], [b"x"], lasting=True))
    assert cache.get(fds[0], b"") is None
    cache.put(fds[0], time.time_ns(), dircache.version(fds[0]), Listing([b"x"], [b"x"], lasting=False))
    assert cache.get(fds[0], b"") is None
    cache.put(fds[0], time.time_ns(), dircache.version(fds[0]), Listing([b"x"], [b"x"], b"b", b"y", lasting=True))
    assert [cache.get(fds[0], floor) is not None for floor in (b"a", b"b", b"xx", b"y")] == [False, True, True, False]
    for fd in fds:
        os.close(fd)


def test_a_directory_is_one_common_prefix_without_being_read_whole(
    client: Client, scans: list[int], data: Path
) -> None:
    for number in range(30):
        client.put(f"a/{number}")
        client.put(f"b/c/{number}")
    (data / "bucket/empty/deep").mkdir(parents=True)
    page = client.page(delimiter="/")
    assert (list(page.objects), list(page.prefixes)) == ([], ["a/", "b/"])
    inode = (data / "bucket/a").stat().st_ino
    assert inode not in scans
    page = client.page(delimiter="/", prefix="b/")
    assert list(page.prefixes) == ["b/c/"]
    page = client.page(delimiter="/", limit=1, after="a/")
    assert list(page.prefixes) == ["b/"]
    assert not page.truncated
