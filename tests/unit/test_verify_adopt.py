"""Adopting files from outside: their true MD5, and never a stale one, whoever writes meanwhile."""

from __future__ import annotations

import errno
import hashlib
import itertools
import mmap
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.support import Client, fired, open_client
from tests.crashes import crash_at
from tests.unit.test_store_files import refuse_attributes
from tests.unit.test_verify import LARGE, crc, make_versions, only, put_multipart, while_reading, write_plainly
from tests.verifying import age, rot, verdicts, verify
from zs3.store import changes, records
from zs3.store.locks import WouldBlock
from zs3.store.values import ENABLED, VERSIONING, Attributes
from zs3.verify import check
from zs3.verify import run as runs
from zs3.verify.findings import Verdict
from zs3.verify.reading import CHUNK


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds are for times that are kept in seconds; here a few ticks of the kernel's clock do."""
    monkeypatch.setattr(check, "YOUNG_NS", 30_000_000)


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def adopt(data: Path, *files: Path) -> Any:
    age(*(files or [path for path in data.glob("bucket/**/*") if path.is_file()]))
    return verify(data, adopting=True)


def test_a_file_from_outside_gets_its_md5_and_all_else_stays(client: Client, data: Path) -> None:
    content = os.urandom(CHUNK + 1)
    path = data / "bucket/2024/cat.jpg"
    path.parent.mkdir()
    write_plainly(path, content)
    path.chmod(0o640)
    os.setxattr(path, "user.theirs", b"kept")
    before, old = path.stat(), client.info("2024/cat.jpg")
    run, found = adopt(data)
    finding = only(found)
    assert (finding.verdict, finding.adopted, finding.reason) == (Verdict.FOREIGN, True, "")
    assert run.tally.adopted == 1
    new = client.info("2024/cat.jpg")
    assert (old.etag[-2:], new.etag) == ("-1", md5(content))
    assert new.checksum == crc(content)
    assert (new.attributes, new.version, new.mtime_ns) == (old.attributes, old.version, old.mtime_ns)
    assert new.attributes.headers["content-type"] == "image/jpeg"
    after = path.stat()
    for name in ("st_ino", "st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns"):
        assert getattr(after, name) == getattr(before, name)
    assert os.getxattr(path, "user.theirs") == b"kept"
    assert [info.etag for info in client.page().objects] == [new.etag]
    assert adopt(data)[1] == []


def test_an_edited_file_gets_the_md5_of_what_it_is_now(client: Client, data: Path) -> None:
    client.put("key", b"content", attributes=Attributes({"content-type": "x/y"}, {"k": "v"}, {"tag": "1"}))
    write_plainly(data / "bucket/key", b"other content")
    old = client.info("key")
    assert only(adopt(data)[1]).adopted
    new = client.info("key")
    assert new.etag == md5(b"other content")
    assert new.attributes == old.attributes
    assert "k" not in new.attributes.metadata


def test_a_file_from_outside_that_was_tagged_keeps_the_tags(client: Client, data: Path) -> None:
    write_plainly(data / "bucket/key", b"content")
    client.change("key", tags={"k": "v"})
    finding = only(adopt(data)[1])
    assert (finding.verdict, finding.adopted) == (Verdict.UNVERIFIABLE, True)
    assert (client.info("key").etag, client.info("key").attributes.tags) == (md5(b"content"), {"k": "v"})


def test_what_is_damaged_or_lost_is_never_adopted(client: Client, data: Path) -> None:
    client.put("rotten", b"content")
    client.put("lost", b"content", attributes=LARGE)
    put_multipart(client, "parts", b"content", checked=False)
    next((data / ".zs3/buckets").glob("*/records/any/*/*")).unlink()
    for name in ("rotten", "parts"):
        rot(data / "bucket" / name)
    before = {name: client.info(name) for name in ("rotten", "lost", "parts")}
    run, found = adopt(data)
    assert verdicts(found) == {
        "bucket/rotten": Verdict.DAMAGED,
        "bucket/lost": Verdict.LOST,
        "bucket/parts": Verdict.UNVERIFIABLE,
    }
    assert run.tally.adopted == 0
    assert {name: client.info(name) for name in before} == before


def test_without_asking_nothing_is_adopted(client: Client, data: Path) -> None:
    write_plainly(data / "bucket/key")
    age(data / "bucket/key")
    run, _ = verify(data)
    assert run.tally.adopted == 0
    assert client.info("key").etag.endswith("-1")


def test_a_file_with_several_names_is_copied_first(client: Client, data: Path, tmp_path: Path) -> None:
    write_plainly(tmp_path / "theirs", b"content")
    os.link(tmp_path / "theirs", data / "bucket/key")
    before = (data / "bucket/key").stat()
    assert only(adopt(data)[1]).adopted
    assert client.info("key").etag == md5(b"content")
    after = (data / "bucket/key").stat()
    assert (after.st_nlink, after.st_mtime_ns, after.st_mode) == (1, before.st_mtime_ns, before.st_mode)
    assert os.listxattr(tmp_path / "theirs") == []


def test_a_copy_keeps_the_mode_where_no_owner_can_be_changed(
    client: Client, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the sandbox of the unit, where chown is no system call of an ordinary service."""
    path = data / "bucket/key"
    path.write_bytes(b"theirs")
    path.chmod(0o644)
    os.link(path, tmp_path / "elsewhere")

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refused)
    adopt(data)
    assert path.stat().st_nlink == 1
    assert path.stat().st_mode & 0o777 == 0o644


def test_without_attributes_the_record_is_in_a_sidecar(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_attributes(monkeypatch)
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    write_plainly(data / "bucket/key", b"content")
    assert only(adopt(data)[1]).adopted
    assert client.info("key").etag == md5(b"content")
    write_plainly(data / "bucket/key", b"CONTENT")
    assert client.info("key").etag.endswith("-1")
    fired(client.store.stop())


def test_a_bucket_that_zs3_never_wrote_to_is_given_its_internals(client: Client, data: Path) -> None:
    (data / "music").mkdir()
    write_plainly(data / "music/song", b"content")
    assert only(adopt(data, data / "music/song")[1]).adopted
    assert client.info("song", "music").etag == md5(b"content")


def test_an_older_version_is_adopted_only_as_it_was(client: Client, data: Path) -> None:
    client.configure(**{VERSIONING: ENABLED})
    for key in ("first", "second"):
        write_plainly(data / "bucket" / key, b"theirs")
        client.put(key, b"ours")
    folder = data / ".zs3/versions/bucket"
    first, second = (next((folder / f"{key},v").iterdir()) for key in ("first", "second"))
    write_plainly(second, b"tampered with")
    _, found = adopt(data, first, second)
    assert {each.key: (each.verdict, each.adopted) for each in found} == {
        "first": (Verdict.FOREIGN, True),
        "second": (Verdict.FOREIGN, False),
    }
    version = first.name.partition("_")[2]
    assert client.info("first", version=version).etag == md5(b"theirs")
    assert client.get("first", version=version) == b"theirs"


def test_what_is_locked_and_edited_is_not_adopted(client: Client, data: Path) -> None:
    make_versions(client, data)
    write_plainly(data / "bucket/key", b"tampered with")
    finding = only(adopt(data)[1])
    assert (finding.locked, finding.adopted, finding.reason) == (True, False, "not adopted: it is locked")
    assert client.info("key").etag.endswith("-1")


def test_a_young_file_is_left_for_later(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "YOUNG_NS", 3600 * 10**9)
    write_plainly(data / "bucket/key")
    finding = only(verify(data, adopting=True)[1])
    assert (finding.adopted, finding.reason) == (False, "not adopted: it was changed just now")


def test_a_time_that_no_record_can_have_is_left_alone(client: Client, data: Path) -> None:
    path = data / "bucket/key"
    path.write_bytes(b"content")
    os.utime(path, (10_000_000_000, 10_000_000_000))
    if path.stat().st_mtime_ns != 10_000_000_000 * 10**9:
        pytest.skip("this file system does not have that time")
    assert not only(adopt(data)[1]).adopted


def test_a_lock_that_another_holds_is_waited_for_and_then_left(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_PAUSE_S", 0.0)
    write_plainly(data / "bucket/key")
    real, busy = changes.adopt, [True] * 3

    def held(*arguments: Any) -> bool:
        if busy:
            busy.pop()
            raise WouldBlock
        return real(*arguments)

    monkeypatch.setattr(changes, "adopt", held)
    assert only(adopt(data)[1]).adopted
    write_plainly(data / "bucket/key")
    busy = [True] * 1000
    finding = only(adopt(data)[1])
    assert (finding.adopted, finding.reason) == (False, "not adopted: the daemon was at it all the time")


def plain(client: Client, data: Path) -> None:
    (data / "bucket/key").unlink(missing_ok=True)
    write_plainly(data / "bucket/key", b"content")


def edited(client: Client, data: Path) -> None:
    client.put("key", b"ours", attributes=LARGE)
    write_plainly(data / "bucket/key", b"content")


def linked(client: Client, data: Path) -> None:
    plain(client, data)
    (data / "other").unlink(missing_ok=True)
    os.link(data / "bucket/key", data / "other")


@pytest.mark.usefixtures("numbered_records")
@pytest.mark.parametrize("state", [plain, edited, linked], ids=lambda state: state.__name__)
def test_a_crash_at_any_step_leaves_the_file_as_it_was_or_adopted(
    client: Client, data: Path, state: Callable[[Client, Path], None]
) -> None:
    seen = []
    for step in itertools.count(1):
        state(client, data)
        old = client.info("key")
        age(data / "bucket/key")
        done = crash_at(data, lambda _: verify(data, adopting=True), step)
        after = open_client(data)
        new = after.info("key")
        assert new.etag in (old.etag, md5(b"content")), step
        assert (new.attributes, new.mtime_ns, after.get("key")) == (old.attributes, old.mtime_ns, b"content")
        assert list(data.glob(".zs3/tmp/*/[!o]*")) == []
        seen.append(new.etag != old.etag)
        fired(after.store.stop())
        if done:
            break
    assert (seen[0], seen[-1]) == (False, True)
    assert seen == sorted(seen), "once done, it stays done"


# Never a stale ETag


def check_etag(client: Client, data: Path, key: str = "key") -> None:
    etag, content = client.info(key).etag, client.get(key)
    assert etag.endswith("-1") or etag == md5(content)


def edit(data: Path) -> None:
    with (data / "bucket/key").open("r+b") as file:
        file.write(b"edited")


def replace(data: Path) -> None:
    (data / "new").write_bytes(b"another")
    (data / "new").rename(data / "bucket/key")


CHANGES: dict[str, Callable[[Client, Path], object]] = {
    "put": lambda client, data: client.put("key", b"put"),
    "put of the same size": lambda client, data: client.put("key", b"another"),
    "delete": lambda client, data: client.delete("key"),
    "tag": lambda client, data: client.change("key", tags={"k": "v"}),
    "edit": lambda client, data: edit(data),
    "replace": lambda client, data: replace(data),
    "touch": lambda client, data: (data / "bucket/key").touch(),
}
#: Those that the lock keeps out come only before it.
STEPS = [
    (name, step)
    for name in CHANGES
    for step in ("before the lock", "before the record", "after the record")
    if step == "before the lock" or name in ("edit", "replace", "touch")
]
changed = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@changed
def test_whatever_happens_while_it_is_read(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Client, Path], object]
) -> None:
    write_plainly(data / "bucket/key", b"content")
    age(data / "bucket/key")
    while_reading(monkeypatch, lambda: change(client, data))
    verify(data, adopting=True)
    if (data / "bucket/key").exists():
        check_etag(client, data)


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_whatever_happens_while_it_is_adopted(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    """Who knows no lock may come between any two steps."""
    write_plainly(data / "bucket/key", b"content")
    age(data / "bucket/key")
    pending = [CHANGES[name]]

    def happen() -> None:
        if pending:
            pending.pop()(client, data)

    if step == "before the lock":
        real_adopt = changes.adopt
        monkeypatch.setattr(changes, "adopt", lambda *arguments: (happen(), real_adopt(*arguments))[1])
    else:
        real_attach = records.Records.attach

        def attach(*arguments: Any) -> bool:
            if step == "before the record":
                happen()
            done = real_attach(*arguments)
            happen()
            return done

        monkeypatch.setattr(records.Records, "attach", attach)
    verify(data, adopting=True)
    assert not pending
    monkeypatch.undo()
    if (data / "bucket/key").exists():
        check_etag(client, data)


def test_a_program_that_writes_to_memory_is_noticed(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as a page is dirty, the kernel does not see that it is written to again."""
    # This has it written to the disk, too, but promises nothing.
    monkeypatch.setattr(os, "posix_fadvise", lambda *_: None)
    path = data / "bucket/key"
    path.write_bytes(bytes(10_000))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0] = 1
        age(path)

        def write() -> None:
            memory[0] = 2

        while_reading(monkeypatch, write)
        verify(data, adopting=True)
        assert client.get("key")[0] == 2
        check_etag(client, data)


def test_never_a_stale_etag_while_all_write_and_adopt(client: Client, data: Path) -> None:
    """Other programs, a daemon's puts and deletes, and two that adopt, all on the same keys, as fast as they can."""
    until = time.monotonic() + 6
    keys = ["a", "b", "c"]
    failures: list[BaseException] = []
    seen = {"md5": 0, "derived": 0}

    def worker(step: Callable[[random.Random, Client], object], seed: int) -> None:
        chance, own = random.Random(seed), open_client(data, sync=False)
        try:
            while time.monotonic() < until and not failures:
                step(chance, own)
        except BaseException as error:
            failures.append(error)
        finally:
            fired(own.store.stop())

    def write(chance: random.Random, _: Client) -> None:
        path = data / "bucket" / chance.choice(keys)
        content = chance.randbytes(chance.choice((100, 100, 3000)))
        how = chance.randrange(3)
        if how == 0:
            path.write_bytes(content)
        elif how == 1:
            new = data / "bucket" / f"new-{chance.random()}"
            new.write_bytes(content)
            new.rename(path)
        else:
            try:
                with path.open("r+b") as file:
                    file.seek(chance.randrange(100))
                    file.write(content[:10])
            except FileNotFoundError:
                pass
        time.sleep(chance.choice((0, 0.001, 0.1)))

    def put(chance: random.Random, own: Client) -> None:
        key = chance.choice(keys)
        try:
            if chance.randrange(4):
                own.put(key, chance.randbytes(100), attributes=LARGE if chance.randrange(2) else None)
            else:
                own.delete(key)
        except AssertionError:
            # Another has the lock: it would be tried again later.
            pass
        time.sleep(0.05)

    def adopting(chance: random.Random, _: Client) -> None:
        verify(data, adopting=True)

    def read(chance: random.Random, own: Client) -> None:
        key = chance.choice(keys)
        try:
            found = own.store._posix.open_object("bucket", key)
        except Exception as error:
            assert getattr(error, "code", "") == "NoSuchKey", error
            return
        try:
            content = found.read(0, found.info.size)
            if found.unchanged() and len(content) == found.info.size:
                is_md5 = "-" not in found.info.etag
                assert not is_md5 or found.info.etag == md5(content), key
                seen["md5" if is_md5 else "derived"] += 1
        finally:
            found.close()

    steps = [write, put, adopting, adopting, read, read]
    threads = [threading.Thread(target=worker, args=(step, seed)) for seed, step in enumerate(steps)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert min(seen.values()) > 10, seen
    adopt(data)
    for key in client.listed():
        check_etag(client, data, key)
