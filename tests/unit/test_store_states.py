"""What is configured of a bucket, if anything, is remembered, and never for longer than it is so."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.support import Client, fired, open_client, told_now
from zs3.store import buckets, hot, states
from zs3.store.configuration import DamagedError
from zs3.store.values import NOT_CONFIGURED, Configuration


@pytest.fixture
def client(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """With a bucket of which that is remembered."""
    client = open_client(data, sync=False)
    if client.store._hot._fd < 0:
        pytest.skip("the temporary directory is on no file system that this works on")
    # As if the bucket had been there for a while; what changes must be in another tick of the kernel's clock.
    now = time.time_ns
    monkeypatch.setattr(hot.time, "time_ns", lambda: now() + 2 * 10**9)
    make(client, data, "bucket")
    yield client
    fired(client.store.stop())


@pytest.fixture
def other(data: Path, client: Client) -> Iterator[Client]:
    """Another daemon on the same directory."""
    other = open_client(data, sync=False)
    yield other
    fired(other.store.stop())


def make(client: Client, data: Path, name: str) -> None:
    fired(client.store.create_bucket(name))
    await_next_tick(data)
    assert told_now(client, name) == {}


def await_next_tick(directory: Path) -> None:
    """Until a file that changes has another time."""
    path = directory / ".zs3" / "tick"
    path.touch()
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        path.touch()


def is_remembered(
    client: Client, monkeypatch: pytest.MonkeyPatch, name: str = "bucket", *, as_it: Configuration = NOT_CONFIGURED
) -> bool:
    """Whether it is told, as it is, without looking at the bucket's id."""
    with monkeypatch.context() as patch:
        patch.setattr(hot, "_open_bucket", lambda *_: -1)
        told = told_now(client, name)
    assert told in (None, as_it)
    return told is not None


def told(client: Client, name: str = "bucket") -> Configuration:
    """What is told at once; where nothing is, what is told then."""
    now = told_now(client, name)
    return fired(client.store.get_configuration(name)) if now is None else now


def configure(client: Client, name: str = "bucket", owner: str = "me") -> None:
    fired(client.store.change_configuration(name, lambda values: values.update(owner=owner)))


def unconfigure(client: Client) -> None:
    fired(client.store.change_configuration("bucket", lambda values: values.clear()))


def config_file(data: Path) -> Path:
    identifier = os.getxattr(data / "bucket", buckets.ATTRIBUTE).decode()
    return data / ".zs3" / "buckets" / identifier / "config"


def test_it_is_remembered(client, monkeypatch):
    assert is_remembered(client, monkeypatch)
    client.put("key", b"content")
    assert is_remembered(client, monkeypatch), "a bucket that is written to has no other configuration"


def swap(data: Path, client: Client) -> None:
    (data / "bucket").rename(data / "elsewhere")
    fired(client.store.create_bucket("bucket", {"owner": "me"}))


def remake(_: Path, client: Client) -> None:
    fired(client.store.delete_bucket("bucket"))
    fired(client.store.create_bucket("bucket", {"owner": "me"}))


def put_another_in_its_place(data: Path, client: Client) -> None:
    fired(client.store.create_bucket("another", {"owner": "me"}))
    (data / "bucket").rename(data / "elsewhere")
    (data / "another").rename(data / "bucket")


BY_WHOM = pytest.mark.parametrize("by_itself", [True, False], ids=["by itself", "by another daemon"])


@BY_WHOM
@pytest.mark.parametrize("change", [lambda _, client: configure(client), swap, remake, put_another_in_its_place])
def test_a_configuration_is_seen_at_once(
    data: Path,
    client: Client,
    other: Client,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, Client], None],
    by_itself: bool,
) -> None:
    assert is_remembered(client, monkeypatch)
    change(data, client if by_itself else other)
    for _ in range(2):
        assert dict(told(client)) == {"owner": "me"}


def remember_configured(data: Path, client: Client, monkeypatch: pytest.MonkeyPatch, owner: str = "before") -> None:
    configure(client, owner=owner)
    await_next_tick(data)
    told(client)
    assert told_now(client) == {"owner": owner}
    assert is_remembered(client, monkeypatch, as_it={"owner": owner})


def edit(data: Path, _: Client) -> None:
    """As an editor does it that writes into the file that is there, what is as long as before."""
    with config_file(data).open("r+b") as file:
        file.write(config_file(data).read_bytes().replace(b"before", b"edited"))


def edit_unseen(data: Path, client: Client) -> None:
    """The same with the time of before."""
    status = config_file(data).stat()
    edit(data, client)
    os.utime(config_file(data), ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(data: Path, _: Client) -> None:
    path = config_file(data)
    (data / "new").write_bytes(path.read_bytes().replace(b"before", b"another"))
    (data / "new").rename(path)


def restore(data: Path, client: Client) -> None:
    """All that is kept of the bucket, from a backup."""
    home = config_file(data).parent
    shutil.copytree(home, data / "backup")
    config = data / "backup" / "config"
    config.write_bytes(config.read_bytes().replace(b"before", b"restored"))
    home.rename(data / "was")
    (data / "backup").rename(home)


CHANGES: dict[str, tuple[Callable[[Path, Client], None], Configuration]] = {
    "configured anew": (lambda _, client: configure(client), {"owner": "me"}),
    "unconfigured": (lambda _, client: unconfigure(client), {}),
    "edited": (edit, {"owner": "edited"}),
    "edited in secret": (edit_unseen, {"owner": "edited"}),
    "replaced": (replace, {"owner": "another"}),
    "removed": (lambda data, _: config_file(data).unlink(), {}),
    "moved away": (lambda data, _: config_file(data).rename(data / "away"), {}),
    "restored": (restore, {"owner": "restored"}),
    "swapped": (swap, {"owner": "me"}),
    "made anew": (remake, {"owner": "me"}),
    "replaced by another bucket": (put_another_in_its_place, {"owner": "me"}),
}


@BY_WHOM
@pytest.mark.parametrize(("change", "after"), CHANGES.values(), ids=CHANGES.keys())
def test_another_configuration_is_seen_at_once(
    data: Path,
    client: Client,
    other: Client,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, Client], None],
    after: Configuration,
    by_itself: bool,
) -> None:
    remember_configured(data, client, monkeypatch)
    change(data, client if by_itself else other)
    for _ in range(2):
        assert dict(told(client)) == after


def test_of_a_damaged_one_nothing_is_remembered(data, client, monkeypatch):
    remember_configured(data, client, monkeypatch)
    config_file(data).write_bytes(b"{")
    for _ in range(2):
        with pytest.raises(DamagedError):
            client.store.look_now("bucket")
    assert not is_remembered(client, monkeypatch)


def test_what_is_configured_is_read_once(data, client, monkeypatch):
    remember_configured(data, client, monkeypatch)
    client.put("key", b"content")
    assert told_now(client) == {"owner": "before"}
    with monkeypatch.context() as patch:
        patch.setattr(hot.HotFiles, "read", lambda *_: pytest.fail("it is read"))
        assert client.store.look_now("bucket") is client.store.look_now("bucket")


def test_a_bucket_that_is_gone_has_none(data, client, other):
    fired(other.store.delete_bucket("bucket"))
    assert client.store.look_now("bucket") is None


def test_what_changed_just_now_is_not_remembered(data, client, monkeypatch):
    monkeypatch.undo()
    fired(client.store.create_bucket("young"))
    assert told_now(client, "young") == {}
    assert not is_remembered(client, monkeypatch, "young")
    configure(client, "young")
    told(client, "young")
    assert told_now(client, "young") == {"owner": "me"}
    assert not is_remembered(client, monkeypatch, "young")


def test_a_file_that_changed_just_now_is_not_remembered(data, client, monkeypatch):
    """Even in a directory that did not."""
    remember_configured(data, client, monkeypatch)
    monkeypatch.undo()
    monkeypatch.setattr(states, "_GRAIN_NS", 200_000_000)
    time.sleep(0.25)
    edit(data, client)
    assert told_now(client) == {"owner": "edited"}
    assert not is_remembered(client, monkeypatch)
    time.sleep(0.25)
    assert told_now(client) == {"owner": "edited"}
    assert is_remembered(client, monkeypatch, as_it={"owner": "edited"})


def test_it_is_looked_at_anew_after_a_while(client, monkeypatch):
    known = client.store._hot._states
    (seen,) = known._seen.values()
    assert known.knows("bucket", seen.since + 0.9)
    assert not known.knows("bucket", seen.since + 1.1)
    assert not known._seen


def test_so_many_are_remembered_and_not_more(data, client, monkeypatch):
    monkeypatch.setattr(states, "_MOST", 3)

    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    for number in range(3):
        make(client, data, f"bucket{number}")
    before = descriptors()
    for number in range(3, 6):
        make(client, data, f"bucket{number}")
    assert descriptors() == before
    assert is_remembered(client, monkeypatch, "bucket5")
    assert not is_remembered(client, monkeypatch, "bucket0")
    client.store._hot._states.close()
    assert descriptors() == before - 6


def test_so_many_bytes_are_remembered_and_not_more(data, client, monkeypatch):
    monkeypatch.setattr(states, "_MOST_BYTES", 1000)
    known = client.store._hot._states
    for number in range(8):
        make(client, data, f"bucket{number}")
        configure(client, f"bucket{number}", "o" * (300 if number < 7 else 2000))
        await_next_tick(data)
        told(client, f"bucket{number}")
        told_now(client, f"bucket{number}")
        assert known._bytes == sum(seen.watch.size for seen in known._seen.values()) <= 1000
    assert [name for name in known._seen if name != "bucket"] == ["bucket4", "bucket5", "bucket6"]
    known.close()
    assert known._bytes == 0


def test_without_descriptors_nothing_is_remembered(data, client, monkeypatch):
    remember_configured(data, client, monkeypatch)
    known = client.store._hot._states
    known.close()
    dup, left = os.dup, [2]

    def scarce(fd):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(24, "Too many open files")
        return dup(fd)

    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", scarce)
        assert told_now(client) == {"owner": "before"}
    assert (known._seen, known._bytes) == ({}, 0)
    assert len(os.listdir("/proc/self/fd")) == before
