"""What is remembered of objects is never told of an object that has changed, by whomever; and it is bounded."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.support import Client, fired, open_client
from zs3.store import directory, listing, memo, records, walk
from zs3.store.memo import PER_VALUE, Memo, is_settled
from zs3.store.values import Attributes


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data, sync=False, cache_size=1 << 20)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


@pytest.fixture
def plain(client: Client, data: Path) -> Iterator[Client]:
    """The same without any cache."""
    plain = open_client(data, sync=False, cache_size=0)
    yield plain
    fired(plain.store.stop())


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let it be later than all that was done, by the clock that tells whether a state is settled."""
    real = listing.time.time_ns

    def wait(nanoseconds: int) -> None:
        for module in (listing, walk):
            monkeypatch.setattr(module, "time", type("Later", (), {"time_ns": lambda: real() + nanoseconds}))

    wait(10**10)
    return wait


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The names that were opened to be described, and the directories that were looked into."""
    found: list[bytes] = []
    real, look = listing._Page._look, directory.Tree.holds_object

    def spy(self: Any, fd: int, name: bytes, key: bytes, new: Any) -> bytes | None:
        found.append(name)
        return real(self, fd, name, key, new)

    def holds(self: Any, fd: int, room: int) -> bool:
        found.append(b"/")
        return look(self, fd, room)

    monkeypatch.setattr(listing._Page, "_look", spy)
    monkeypatch.setattr(directory.Tree, "holds_object", holds)
    return found


def everything(client: Client) -> list[Any]:
    pages = [client.page(), client.page(delimiter="/"), client.page(delimiter="b"), client.page(prefix="d/")]
    return [(list(page.objects), list(page.prefixes)) for page in pages]


@pytest.mark.usefixtures("later")
def test_an_object_is_opened_once(client: Client, opened: list[bytes]) -> None:
    for key in ("a", "b", "d/e", "d/f", "x/", "d"):
        client.put(key)
    first = everything(client)
    assert opened
    del opened[:]
    assert everything(client) == first
    assert opened == []
    client.put("b", b"again")
    client.page()
    # What is displaced or has an escaped name is remembered as well.
    assert opened == [b"b"]


def overwritten(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"atad")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def copied_over(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    other.replace(path)


def linked_elsewhere(path: Path) -> None:
    below = path.parent / "z"
    below.mkdir()
    path.rename(below / path.name)
    path.symlink_to(below / path.name)


def turned_into_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "in").write_bytes(b"")


def moved_and_linked(directory: Path) -> None:
    away = directory.parent.parent / "away"
    directory.rename(away)
    directory.symlink_to(away)


def hidden(directory: Path) -> None:
    (directory / "e").rename(directory / "f/g")


OBJECT_CHANGES: dict[str, Callable[[Client, Path], object]] = {
    "put": lambda client, _: client.put("b", b"atad"),
    "delete": lambda client, _: client.delete("b"),
    "attributes": lambda client, _: client.copy(
        "b", "b", attributes=lambda _: Attributes({"x-amz-storage-class": "GLACIER"})
    ),
    "overwritten with the same size and time": lambda _, bucket: overwritten(bucket / "b"),
    "written anew": lambda _, bucket: (bucket / "b").write_bytes(b"datamore"),
    "touched": lambda _, bucket: (bucket / "b").touch(),
    "attribute removed": lambda _, bucket: os.removexattr(bucket / "b", records.ATTRIBUTE),
    "attribute of another": lambda _, bucket: os.setxattr(
        bucket / "b", records.ATTRIBUTE, os.getxattr(bucket / "a", records.ATTRIBUTE)
    ),
    "cp -p over": lambda _, bucket: copied_over(bucket / "b"),
    "mv over": lambda _, bucket: (bucket / "a").rename(bucket / "b"),
    "symlink": lambda _, bucket: linked_elsewhere(bucket / "b"),
    "directory": lambda _, bucket: turned_into_directory(bucket / "b"),
    "displaced": lambda client, _: client.put("b/c"),
    "hard link": lambda _, bucket: os.link(bucket / "b", bucket / "b2"),
    "directory renamed": lambda _, bucket: (bucket / "d").rename(bucket / "dd"),
    "directory moved and linked": lambda _, bucket: moved_and_linked(bucket / "d"),
    "directories exchanged": lambda _, bucket: (
        (bucket / "d").rename(bucket / "t"),
        (bucket / "g").rename(bucket / "d"),
        (bucket / "t").rename(bucket / "g"),
    ),
    "emptied": lambda client, _: [client.delete(key) for key in ("d/f/g", "d/e")],
    "emptied by others": lambda _, bucket: [(bucket / key).unlink() for key in ("d/f/g", "d/e")],
    "below moved and linked": lambda _, bucket: moved_and_linked(bucket / "g/h"),
    "below emptied": lambda _, bucket: (bucket / "g/h/i").unlink(),
}


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("change", OBJECT_CHANGES.values(), ids=OBJECT_CHANGES)
def test_every_change_is_told_at_once(
    client: Client, plain: Client, data: Path, change: Callable[[Client, Path], object]
) -> None:
    for key in ("a", "b", "c", "d/e", "d/f/g", "g/h/i"):
        client.put(key)
    everything(client)
    everything(client)
    change(client, data / "bucket")
    assert everything(client) == everything(plain)


KEYS = ["a", "a/b", "a/b/c", "b", "b/c", "d/e/f", "d//e", "x" * 300, "x" * 300 + "/y", ".zs3", "f/"]


@pytest.mark.usefixtures("later")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "delete", "write", "unlink", "list", "list"]), st.sampled_from(KEYS)),
        max_size=25,
    ),
    delimiter=st.sampled_from(["", "/", "b", "/b"]),
    limit=st.integers(1, 5),
)
def test_what_is_remembered_answers_as_looking_does(
    client: Client, plain: Client, data: Path, steps: list[tuple[str, str]], delimiter: str, limit: int
) -> None:
    for what, key in steps:
        path = data / "bucket" / key
        if what == "put":
            client.put(key, b"more" * len(steps))
        elif what == "delete":
            client.delete(key)
        elif what == "list":
            for query in ({}, {"prefix": key}, {"after": key}, {"prefix": key[:1], "limit": limit}):
                one, other = (each.page(delimiter=delimiter, **query) for each in (client, plain))
                assert (one.objects, one.prefixes, one.truncated, one.last) == (
                    *(other.objects, other.prefixes),
                    *(other.truncated, other.last),
                )
        elif len(key) < 300 and path.is_file():
            if what == "write":
                path.write_bytes(b"new!")
            else:
                path.unlink()
    for key in client.listed():
        client.delete(key)


def test_what_has_just_changed_is_not_remembered(
    client: Client, later: Callable[[int], None], opened: list[bytes]
) -> None:
    client.put("a")
    # However slow this machine is, it looks before the next tick.
    later(-(10**9))
    for _ in range(2):
        client.page()
    later(-(10**12))
    client.page()
    assert opened == [b"a"] * 3
    later(10**9)
    del opened[:]
    for _ in range(2):
        client.page()
    assert opened == [b"a"]


@pytest.mark.usefixtures("later")
def test_what_is_in_a_sidecar_is_not_remembered(client: Client, data: Path, opened: list[bytes]) -> None:
    """Whoever restores a backup may bring the sidecars after the files."""
    client.put("a", attributes=Attributes(metadata={"long": "x" * 3000}))
    client.page()
    internals = data / ".zs3/buckets"
    found = next(internals.glob("*/records"))
    found.rename(found.with_name("away"))
    (info,) = client.page().objects
    assert info.etag.endswith("-1")
    found.with_name("away").rename(found)
    (info,) = client.page().objects
    assert not info.etag.endswith("-1")
    assert len(opened) == 3


@pytest.mark.usefixtures("later")
def test_on_other_file_systems_nothing_is_remembered(
    client: Client, opened: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times that a network mount tells are those of a cache."""
    client.put("a")
    client.put("d/e")
    for module in (listing, walk):
        monkeypatch.setattr(module, "is_local", lambda _: False)
    for _ in range(2):
        client.page()
        client.page(delimiter="/")
    assert opened == [b"a", b"e", b"a", b"/"] * 2


@pytest.mark.usefixtures("later")
def test_pages_and_windows_of_a_large_directory_join(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that does not fit the cache is read again where a window ends, and not more often."""
    for name, value in (("_BLOCK", 10), ("_RUN", 50)):
        monkeypatch.setattr(f"zs3.store.names.{name}", value)
    monkeypatch.setattr("zs3.store.dircache._LEAST", 10_000)
    bucket = data / "bucket"
    expected = []
    for number in range(600):
        key = f"{number:03}" + ("/below" if number % 7 == 0 else "")
        path = bucket / key
        path.parent.mkdir(exist_ok=True)
        path.touch()
        expected.append(key)
    small = open_client(data, sync=False, cache_size=20_000)
    scans = []
    real = directory._scan
    inode = bucket.stat().st_ino

    def scan(fd: int) -> Iterator[tuple[list[bytes], bool]]:
        scans.append(os.fstat(fd).st_ino == inode)
        return real(fd)

    monkeypatch.setattr(directory, "_scan", scan)
    monkeypatch.setattr("zs3.store.directory.time.time_ns", lambda: bucket.stat().st_ctime_ns + 10**9)
    assert small.all_pages(13) == (expected, [])
    assert 2 <= sum(scans) <= 12
    assert small.listed(after="555") == expected[556:]
    assert small.listed(prefix="49/") == []
    assert small.listed(prefix="497/") == ["497/below"]
    fired(small.store.stop())


def test_no_more_is_remembered_than_may_be() -> None:
    kept = Memo(10_000)
    for number in range(1000):
        kept.touch([0])
        kept.keep([(number, (b"", 100)), (number, (b"x", 100))])
        assert kept._used == 100 * len(kept._known) <= 10_000
    assert kept.get(0) == (b"x", 100)
    assert kept.get(1) is None
    assert kept.get(999) is not None
    none = Memo(0)
    none.keep([(1, (b"", 100))])
    assert none.get(1) is None


@pytest.mark.usefixtures("later")
def test_the_cost_of_what_is_remembered_is_about_what_it_takes(client: Client) -> None:
    for number in range(50):
        client.put(f"a-key-of-usual-length/{number}")
    client.page()
    kept = client.store._posix._memo
    sizes = [
        *(sys.getsizeof(state) + sum(map(sys.getsizeof, state)) for state in kept._known),
        *(sys.getsizeof(value) + sum(map(sys.getsizeof, value[::2])) + 100 for value in kept._known.values()),
    ]
    real = sum(sizes)
    assert 0.7 * real < kept._used < 1.5 * real
    assert len(kept._known) == 50
    assert kept._used > 50 * PER_VALUE


@pytest.mark.parametrize(
    ("changed", "modified", "now", "settled"),
    [
        (10**18 + 1, 10**18, 10**18 + 20_000_001, True),
        (10**18 + 1, 10**18, 10**18 + 20_000_000, False),
        (10**18, 10**18, 10**18 + 20_000_001, False),
        (10**18, 10**18, 10**18 + 2 * 10**9, True),
        (10**18 + 1, 10**18 + 10**12, 10**18 + 10**9, False),
    ],
)
def test_a_state_is_settled_when_no_later_one_can_look_the_same(
    changed: int, modified: int, now: int, settled: bool
) -> None:
    status: Any = type("Status", (), {"st_ctime_ns": changed, "st_mtime_ns": modified})
    assert is_settled(status, now) is settled
    assert memo.state(os.stat("/")) == memo.state(os.stat("/"))
