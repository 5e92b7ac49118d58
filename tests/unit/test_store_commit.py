"""The commit protocol under crashes, races and other processes.

A crash is a process that ends at the n-th call that changes something, for
every n: what a power cut leaves beyond that is the fsyncs' business, which are
counted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, execute
from twisted.internet.task import Clock

from tests.contract.support import ALWAYS, CREATE, Body, Client, fired, open_client
from tests.crashes import crash_at
from zs3.errors import S3Error
from zs3.store import commit, directory, locks, paths
from zs3.store.deferred import FilesystemStore
from zs3.store.values import MIN_PART_SIZE, Attributes, Deletion, ObjectInfo, WriteCondition

BIG = b"x" * MIN_PART_SIZE


@pytest.fixture
def client(data: Path) -> Client:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    return client


def put_pieces(client: Client, key: str, pieces: list[bytes], body: Body | None = None) -> ObjectInfo:
    """As `Client.put`, piece by piece: what is large enough to be written and hashed beside each other, is."""
    writer = client.store.put_object(
        "bucket", key, body or Body(), attributes=Attributes(), condition=ALWAYS, length=sum(map(len, pieces))
    )
    for piece in pieces:
        fired(writer.write(piece))
    info: ObjectInfo = fired(writer.commit())
    return info


@pytest.mark.parametrize("sizes", [[1], [300_000], [300_000, 1], [1, 300_000], [300_000] * 4, [9_000_000, 7]])
def test_a_body_in_pieces_is_the_same_object(client: Client, sizes: list[int]) -> None:
    pieces = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    whole = b"".join(pieces)
    info = put_pieces(client, "key", pieces)
    assert info == client.info("key")
    assert (info.etag, info.size) == (hashlib.md5(whole).hexdigest(), len(whole))
    assert client.get("key") == whole
    with pytest.raises(S3Error, match="BadDigest"):
        put_pieces(client, "key", [*pieces, b"other"], Body(error=S3Error("BadDigest")))
    assert client.get("key") == whole


def test_nothing_is_thrown_away_before_both_halves_are_done(data: Path) -> None:
    """Who gives up while a piece is written and hashed waits for the slower of the two."""
    hops: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def hop(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if not started:
            return execute(function, *args)
        hops.append((Deferred(), lambda: function(*args)))
        return hops[-1][0]

    def run(at: int) -> None:
        deferred, work = hops.pop(at)
        execute(work).chainDeferred(deferred)

    started = False
    store = FilesystemStore(str(data), hop, Clock())
    fired(store.start())
    fired(store.create_bucket("bucket"))
    started = True
    writer = store.put_object("bucket", "key", Body(), attributes=Attributes(), condition=ALWAYS, length=None)
    writing = writer.write(b"x" * 300_000)
    assert len(hops) == 2, "writing and hashing"
    run(0)
    writing.addErrback(lambda failure: failure.trap(CancelledError))
    writing.cancel()
    aborting = writer.abort()
    assert len(hops) == 1, "only the other half"
    assert list(data.glob(".zs3/tmp/*/[!o]*"))
    run(0)
    run(0)
    fired(aborting)
    assert not hops
    assert list(data.glob(".zs3/tmp/*/[!o]*")) == []


def test_who_clears_away_temporary_files_after_a_power_cut_is_told_durably_whose_they_were(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # btrfs keeps of a directory the one name whose file was synced.
    synced = []
    real = os.fsync

    def fsync(fd: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if path.is_dir():
            synced.append((path.parent.name, os.listdir(path)))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    client = open_client(data)
    try:
        assert ("tmp", ["owner"]) in synced
    finally:
        fired(client.store.stop())


def put_over(client: Client) -> None:
    client.put("key", b"new", attributes=Attributes({}, {"k": "v" * 3000}))


def put_small(client: Client) -> None:
    client.put("key", b"new")


def put_in_pieces(client: Client) -> None:
    put_pieces(client, "key", [b"x" * 300_000, b"y" * 300_000, b"z"])


def put_new_deep(client: Client) -> None:
    client.put("new/deep/key", b"new")


def displace(client: Client) -> None:
    client.put("key/below", b"new")


def create_only(client: Client) -> None:
    client.put("new/deep/key", b"new", condition=CREATE)


def delete(client: Client) -> None:
    client.delete("dir/a/b")


def delete_beside(client: Client) -> None:
    client.delete("dir")


def copy(client: Client) -> None:
    client.copy("key", "dir/a/b")


OLD = {"key": b"old", "dir": b"beside", "dir/a/b": b"below"}
OUTCOMES: dict[Callable[[Client], None], dict[str, bytes | None]] = {
    put_over: {"key": b"new"},
    put_small: {"key": b"new"},
    put_in_pieces: {"key": b"x" * 300_000 + b"y" * 300_000 + b"z"},
    put_new_deep: {"new/deep/key": b"new"},
    displace: {"key/below": b"new"},
    create_only: {"new/deep/key": b"new"},
    delete: {"dir/a/b": None},
    delete_beside: {"dir": None},
    copy: {"dir/a/b": b"old"},
}


def contents(client: Client) -> dict[str, bytes]:
    return {key: client.get(key) for key in client.listed()}


@pytest.mark.usefixtures("numbered_records")
@pytest.mark.parametrize("operation", OUTCOMES, ids=lambda operation: operation.__name__)
def test_a_crash_at_any_step_leaves_the_old_or_the_new_and_no_rubbish(
    client: Client, data: Path, operation: Callable[[Client], None]
) -> None:
    new = {key: value for key, value in {**OLD, **OUTCOMES[operation]}.items() if value is not None}
    seen = []
    for step in range(1, 200):
        for key in client.listed():
            client.delete(key)
        for key in ("key", "dir", "dir/a/b"):
            client.put(key, OLD[key])
        done = crash_at(data, operation, step)
        after = open_client(data)
        found = contents(after)
        assert found in (OLD, new), step
        seen.append(found == new)
        fired(after.store.stop())
        mine = {path.parent.name for path in data.glob(".zs3/tmp/*/owner")}
        assert len(mine) == 1, "of the dead process nothing stays"
        assert list(data.glob(".zs3/tmp/*/[!o]*")) == []
        if done:
            break
    else:
        pytest.fail("the operation has more steps than were tried")
    assert seen[0] is False
    assert seen[-1] is True
    assert seen == sorted(seen), "once done, it stays done"


@pytest.mark.parametrize("count", [1, 2])
def test_a_completion_that_crashed_anywhere_can_be_completed_again(client: Client, data: Path, count: int) -> None:
    pieces = [BIG, b"tail"][-count:]
    for step in range(1, 300):
        if client.listed():
            client.delete("key")
        upload = client.begin("key")
        parts = [client.part(upload, number, piece) for number, piece in enumerate(pieces, 1)]

        def finish(client: Client, upload: Any = upload, parts: Any = parts) -> None:
            client.complete(upload, parts)

        done = crash_at(data, finish, step)
        after = open_client(data)
        etag = after.complete(upload, parts).etag
        assert after.get("key") == b"".join(pieces), step
        assert after.info("key").etag == etag
        fired(after.store.stop())
        assert list((data / ".uploads").iterdir()) == []
        if done:
            return
    pytest.fail("the operation has more steps than were tried")


def test_a_completed_upload_is_not_published_again_after_a_crash(client: Client, data: Path) -> None:
    """Between the rename and the end: a newer object must survive the retry."""
    for step in range(1, 300):
        upload = client.begin("key")
        part = client.part(upload, 1, b"part")

        def finish(client: Client, upload: Any = upload, part: Any = part) -> None:
            client.complete(upload, [part])

        done = crash_at(data, finish, step)
        published = "key" in client.listed()
        client.put("key", b"newer")
        if published:
            with contextlib.suppress(S3Error):
                client.complete(upload, [part])
            assert client.get("key") == b"newer", step
        client.delete("key")
        if done:
            assert published
            return
    pytest.fail("the operation has more steps than were tried")


@pytest.mark.parametrize("count", [1, 2])
def test_an_upload_whose_completion_crashed_is_aborted_or_was_completed(client: Client, data: Path, count: int) -> None:
    pieces = [BIG, b"tail"][-count:]
    outcomes = set()
    for step in range(1, 300):
        upload = client.begin("key")
        parts = [client.part(upload, number, piece) for number, piece in enumerate(pieces, 1)]
        done = crash_at(data, lambda client, upload=upload, parts=parts: client.complete(upload, parts), step)
        try:
            fired(client.store.abort_upload("bucket", "key", upload.upload_id))
        except S3Error as error:
            assert error.code == "NoSuchUpload"
            assert client.get("key") == b"".join(pieces), step
            client.delete("key")
            outcomes.add("completed")
        else:
            assert client.listed() == [], step
            outcomes.add("aborted")
        assert list((data / ".uploads").iterdir()) == []
        if done:
            assert outcomes == {"aborted", "completed"}
            return
    pytest.fail("the operation has more steps than were tried")


def test_what_was_published_and_not_forgotten_is_swept_at_start(client: Client, data: Path) -> None:
    upload = client.begin("key")
    part = client.part(upload, 1, b"part")
    directory = data / ".uploads" / upload.upload_id

    def die(path: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zs3.store.internals.Staging.discard", lambda _, path: die(path))
        with pytest.raises(KeyboardInterrupt):
            client.complete(upload, [part])
    assert directory.exists()
    listed = fired(
        client.store.list_uploads("bucket", prefix="", delimiter="", key_marker="", upload_id_marker="", limit=10)
    )
    assert list(listed.uploads) == []
    open_client(data)
    assert not directory.exists()
    assert client.get("key") == b"part"


class Syncs:
    """Which directories and files were fsynced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inodes: list[int] = []
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (self.inodes.append(os.fstat(fd).st_ino), real(fd))[1])

    def take(self) -> list[int]:
        taken, self.inodes = self.inodes, []
        return taken


def test_what_is_answered_was_synced(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = data / "bucket"
    syncs = Syncs(monkeypatch)

    def inode(path: str) -> int:
        return (bucket / path).stat().st_ino

    client.put("a/b/key")
    first = syncs.take()
    assert first[0] == data.stat().st_ino, "the bucket's name, once"
    assert first[1] == inode("a/b/key"), "the file before its name"
    assert {inode("a/b"), inode("a"), inode(".")} <= set(first), "the name, and all above it that is new"
    client.put("a/b/key")
    assert syncs.take() == [inode("a/b/key"), inode("a/b")], "what is known to be durable is not synced again"
    os.mkdir(bucket / "theirs")
    client.put("theirs/key")
    assert inode(".") in syncs.take(), "another's mkdir is not known"
    directory = inode("a/b")
    client.delete("a/b/key")
    assert syncs.take() == [directory]
    client.delete("a/b/key")
    assert syncs.take() == [inode(".")], "the deepest directory there is, even if nothing was found"
    other = FilesystemStore(str(data), execute, Clock(), sync=False)
    fired(other.start())
    Client(other).put("unsynced/key")
    assert syncs.take() == []


def test_a_failed_fsync_fails_the_write_and_is_not_forgotten(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put("key", b"old")

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    assert client.store.healthy
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            client.put("key", b"new")
    assert client.get("key") == b"old"
    assert not client.store.healthy


def test_a_lock_of_another_is_waited_for_by_timer(data: Path) -> None:
    clock = Clock()
    store = FilesystemStore(str(data), execute, clock)
    fired(store.start())
    fired(store.create_bucket("bucket"))
    client = Client(store)
    client.put("key", b"old")
    path = next(data.glob(".zs3/buckets/*/lock"))
    lock = locks.held(os.open(path, os.O_RDWR), locks.offset("key"), 1)
    lock.__enter__()
    results: list[Any] = []
    store.delete_object("bucket", "key", ALWAYS).addBoth(results.append)
    second: list[Any] = []
    store.delete_object("bucket", "key", ALWAYS).addBoth(second.append)
    client.put("other")
    clock.pump([0.02] * 20)
    assert results == []
    lock.__exit__(None, None, None)
    clock.pump([0.05] * 4)
    assert results == [Deletion(True)]
    assert second == [Deletion(False)]


def test_a_lock_that_is_never_free_is_slow_down(data: Path) -> None:
    clock = Clock()
    store = FilesystemStore(str(data), execute, clock)
    fired(store.start())
    fired(store.create_bucket("bucket"))
    client = Client(store)
    client.put("key", b"old")
    path = next(data.glob(".zs3/buckets/*/lock"))
    with locks.held(os.open(path, os.O_RDWR)):
        writer = store.put_object("bucket", "key", Body(), attributes=Attributes(), condition=ALWAYS, length=None)
        results: list[Any] = []
        writer.commit().addBoth(results.append)
        clock.pump([0.05] * 250)
    assert results[0].value.code == "SlowDown"
    assert client.get("key") == b"old"
    assert list(data.glob(".zs3/tmp/*/[!o]*")) == []


def race(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run `work` in threads at once; what each returned or raised."""
    results: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def patiently(action: Callable[[], Any]) -> Any:
    """Without a reactor a lock that is held is tried again at once."""
    while True:
        try:
            return action()
        except S3Error as error:
            if error.code != "SlowDown":
                raise


class ImpatientClock(Clock):
    """Every delay is over at once."""

    def callLater(self, when: float, what: Callable[..., object], *args: object, **kwargs: object) -> Any:
        call = super().callLater(0, what, *args, **kwargs)
        self.advance(0)
        return call


@pytest.mark.parametrize("turn", range(5))
def test_of_racing_creations_and_swaps_one_wins(data: Path, turn: int) -> None:
    stores = []
    for _ in range(8):
        store = FilesystemStore(str(data), execute, ImpatientClock())
        fired(store.start())
        stores.append(Client(store))
    fired(stores[0].store.create_bucket("bucket"))
    for condition in (CREATE, None):
        swap = condition or WriteCondition(if_match=stores[0].info("dir/key").etag)

        def put(number: int, swap: WriteCondition = swap) -> Any:
            data = f"{number} {swap}".encode()
            return patiently(lambda: stores[number].put("dir/key", data, condition=swap))

        results = race(8, put)
        winners = [number for number, result in enumerate(results) if not isinstance(result, Exception)]
        losers = [result for result in results if isinstance(result, Exception)]
        assert len(winners) == 1, results
        assert {getattr(error, "code", error) for error in losers} == {"PreconditionFailed"}
        assert stores[0].get("dir/key") == f"{winners[0]} {swap}".encode()


def test_racing_writers_of_a_key_and_those_below_it_lose_nothing(data: Path) -> None:
    stores = []
    for _ in range(6):
        store = FilesystemStore(str(data), execute, ImpatientClock(), sync=False)
        fired(store.start())
        stores.append(Client(store))
    fired(stores[0].store.create_bucket("bucket"))
    keys = ["a", "a/b", "a/b/c", "a/d", "a/b", "a"]

    def checked(number: int) -> None:
        if number == 3:
            for turn in range(25):
                patiently(lambda turn=turn: stores[3].put("a/d", b"%d" % turn))
                assert stores[3].get("a/d") == b"%d" % turn
                assert "a/d" in stores[3].listed()
                assert patiently(lambda: stores[3].delete("a/d"))
                assert "a/d" not in stores[3].listed()
        else:
            for turn in range(25):
                patiently(lambda turn=turn: stores[number].put(keys[number], b"%d %d" % (number, turn)))
                assert stores[number].get(keys[number])
                assert keys[number] in stores[number].listed()

    assert [result for result in race(6, checked) if result is not None] == []
    assert stores[0].listed() == ["a", "a/b", "a/b/c"]
    assert stores[0].get("a").split()[1] == b"24"


def test_deleting_a_bucket_against_puts_ends_in_one_of_both(data: Path) -> None:
    for turn in range(10):
        stores = []
        for _ in range(3):
            store = FilesystemStore(str(data), execute, ImpatientClock(), sync=False)
            fired(store.start())
            stores.append(Client(store))
        name = f"bucket{turn}"
        fired(stores[0].store.create_bucket(name))

        def work(number: int, name: str = name, stores: Any = stores) -> Any:
            if number == 0:
                return patiently(lambda: fired(stores[0].store.delete_bucket(name)))
            return patiently(lambda: stores[number].put(f"dir/{number}", bucket=name))

        deleted, *puts = race(3, work)
        codes = {"done" if isinstance(result, ObjectInfo) else getattr(result, "code", result) for result in puts}
        if deleted is None:
            assert codes == {"NoSuchBucket"}, puts
            assert not (data / name).exists()
        else:
            assert deleted.code == "BucketNotEmpty"
            assert codes == {"done"}
            assert stores[0].listed(name) == ["dir/1", "dir/2"]


def test_a_cancelled_commit_goes_on_in_its_thread_and_leaves_nothing(data: Path) -> None:
    waiting: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def hop(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        work: Deferred[Any] = Deferred()
        waiting.append((work, function, args, kwargs))
        return work

    def run() -> None:
        while waiting:
            work, function, args, kwargs = waiting.pop(0)
            execute(function, *args, **kwargs).chainDeferred(work)

    store = FilesystemStore(str(data), hop, Clock())
    client = Client(store)
    store.start()
    store.create_bucket("bucket")
    run()
    for wait in (0, 1):
        writer = store.put_object("bucket", "key", Body(), attributes=Attributes(), condition=ALWAYS, length=None)
        writer.open()
        run()
        writing = writer.write(b"x" * 300_000)
        failures: list[Any] = []
        writing.addErrback(failures.append)
        writing.cancel()
        if wait:
            run()
        writer.abort()
        assert len(failures) == 1
        run()
        assert list(data.glob(".zs3/tmp/*/[!o]*")) == []
    opened: list[Any] = []
    opening = store.open_object("bucket", "none").addErrback(opened.append)
    opening.cancel()
    run()
    assert len(opened) == 1
    assert client.store.healthy


@pytest.mark.parametrize("outcome", ["EISDIR", "ENOENT"])
def test_what_changes_under_a_publication_is_looked_at_again(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    """Another program makes a directory where the file was to go, or removes the one it was to go into."""
    real = commit.os.rename
    tries = []
    client.put("other")

    def rename(source: bytes, name: bytes, **options: Any) -> None:
        tries.append(name)
        if len(tries) == 1:
            if outcome == "EISDIR":
                os.mkdir(data / "bucket/dir/key")
            else:
                os.rmdir(data / "bucket/dir")
        real(source, name, **options)

    monkeypatch.setattr(commit.os, "rename", rename)
    client.put("dir/key", b"data")
    assert client.get("dir/key") == b"data"
    assert client.listed() == ["dir/key", "other"]
    assert len(tries) == 2


def test_two_names_of_one_file_are_displaced_all_the_same(client: Client, data: Path) -> None:
    """Renaming a hard link onto another of the same file does nothing (rename(2)); the name must go nevertheless."""
    client.put("key", b"data")
    os.link(data / "bucket/key", data / "bucket/.zs3@key")
    client.put("key/below")
    assert client.listed() == ["key", "key/below"]
    assert client.get("key") == b"data"


def test_a_listing_of_a_directory_that_never_holds_still_misses_nothing(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pass misses another key, as on btrfs when it is being overwritten; the locked one does not."""
    for name in ("a", "b", "c", "d"):
        client.put(name)
    real, passes = directory._scan, []

    def scan(fd: int) -> Iterator[tuple[list[bytes], bool]]:
        missed = len(passes) < 3
        for names, is_file in real(fd):
            yield [name for name in names if not missed or name not in (b"a", b"b")], is_file
        passes.append(1)
        if missed:
            os.utime(data / "bucket", ns=(len(passes), len(passes)))

    monkeypatch.setattr(directory, "_scan", scan)
    assert client.listed() == ["a", "b", "c", "d"]
    assert len(passes) == 4


def test_without_openat2_the_same_paths_open_and_the_same_do_not(
    client: Client, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(paths.kernel, "openat2", missing)
    monkeypatch.setattr(paths, "_have_openat2", True)
    (tmp_path / "secret").write_text("secret")
    (data / "bucket/link").symlink_to(tmp_path)
    for key in ("a/b/c", "a", "/" * 150, "x" * 900):
        client.put(key, key.encode())
        assert client.get(key) == key.encode()
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.get("link/secret")
    assert client.listed() == ["/" * 150, "a", "a/b/c", "x" * 900]
    for key in client.listed():
        client.delete(key)
    assert client.listed() == []


def test_a_stale_handle_of_a_clustered_file_system_is_tried_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("a/key")
    real, tries = paths.kernel.openat2, []

    def stale(*args: Any) -> int:
        tries.append(1)
        if len(tries) % 3:
            raise OSError(116, "Stale file handle")
        return real(*args)

    monkeypatch.setattr(paths.kernel, "openat2", stale)
    assert client.get("a/key") == b"data"
    assert client.listed() == ["a/key"]
