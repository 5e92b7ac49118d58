"""Changing an object's record in place: crashes, failing calls, plain files, other names, readers beside it."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import execute
from twisted.internet.task import Clock

from tests.contract.support import Client, fired, open_client
from tests.unit.test_store_commit import Syncs, crash_at
from tests.unit.test_store_files import refuse_attributes
from zs3.errors import S3Error
from zs3.store import records
from zs3.store.deferred import FilesystemStore
from zs3.store.values import Attributes, ListQuery, ObjectInfo

SHORT, LONG = {"k": "v"}, {"k": "v" * 3000}
LARGE = Attributes({}, {"long": "m" * 3000})


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


def sidecars(data: Path, kind: str = "any") -> list[Path]:
    return list((data / ".zs3/buckets").glob(f"*/records/{kind}/*/*"))


def temporary_files(data: Path) -> list[Path]:
    return list(data.glob(".zs3/tmp/*/[!o]*"))


# The states that an object may be in, each made anew under the key `key`


def recorded(client: Client, data: Path) -> None:
    client.put("key", b"bytes", attributes=Attributes({"content-type": "x/y"}))


def recorded_large(client: Client, data: Path) -> None:
    client.put("key", b"bytes", attributes=LARGE)


def write_plainly(data: Path, content: bytes = b"bytes") -> None:
    path = data / "bucket/key"
    path.write_bytes(content)
    # Now and then the clock gives a whole microsecond, which looks rounded.
    os.utime(path, ns=(path.stat().st_mtime_ns // 1000 * 1000 + 1,) * 2)


def plain(client: Client, data: Path) -> None:
    (data / "bucket/key").unlink(missing_ok=True)
    write_plainly(data)


def void(client: Client, data: Path) -> None:
    client.put("key", b"other", attributes=LARGE)
    write_plainly(data)


def linked(client: Client, data: Path) -> None:
    (data / "bucket/other").unlink(missing_ok=True)
    recorded(client, data)
    os.link(data / "bucket/key", data / "bucket/other")


def linked_large(client: Client, data: Path) -> None:
    (data / "bucket/other").unlink(missing_ok=True)
    recorded_large(client, data)
    os.link(data / "bucket/key", data / "bucket/other")


def linked_plain(client: Client, data: Path) -> None:
    (data / "bucket/other").unlink(missing_ok=True)
    plain(client, data)
    os.link(data / "bucket/key", data / "bucket/other")


State = Callable[[Client, Path], None]
STATES: list[State] = [recorded, recorded_large, plain, void, linked, linked_large, linked_plain]
states = pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
sizes = pytest.mark.parametrize("tags", [SHORT, LONG], ids=["short", "long"])


@sizes
@states
def test_all_but_what_is_changed_stays(client: Client, data: Path, state: State, tags: dict[str, str]) -> None:
    state(client, data)
    path = data / "bucket/key"
    path.chmod(0o640)
    os.setxattr(path, "user.theirs", b"kept")
    before, old = path.stat(), client.info("key")
    others = [info for info in client.page().objects if info.key != "key"]
    new = client.change("key", tags=tags)
    assert new == replace(old, attributes=replace(old.attributes, tags=tags))
    assert client.info("key") == new
    assert client.get("key") == b"bytes"
    after = path.stat()
    for name in ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns"):
        assert getattr(after, name) == getattr(before, name)
    assert after.st_nlink == 1
    assert os.getxattr(path, "user.theirs") == b"kept"
    assert [info for info in client.page().objects if info.key != "key"] == others
    assert temporary_files(data) == []
    fresh = open_client(data)
    assert fresh.info("key") == new
    fired(fresh.store.stop())
    for info in client.page().objects:
        client.delete(info.key)
    assert sidecars(data) == sidecars(data, "key") == []


@pytest.mark.usefixtures("numbered_records")
@sizes
@states
def test_a_crash_at_any_step_leaves_the_old_record_or_the_new(
    client: Client, data: Path, state: State, tags: dict[str, str]
) -> None:
    seen = []
    for step in itertools.count(1):
        state(client, data)
        old = client.info("key")
        others = [info for info in client.page().objects if info.key != "key"]
        done = crash_at(data, lambda client: client.change("key", tags=tags), step)
        after = open_client(data)
        found = after.info("key")
        assert found in (old, replace(old, attributes=replace(old.attributes, tags=tags))), step
        seen.append(found != old)
        assert after.get("key") == b"bytes"
        assert [info for info in after.page().objects if info.key != "key"] == others
        assert temporary_files(data) == []
        fired(after.store.stop())
        if done:
            break
    assert seen[0] is False
    assert seen[-1] is True
    assert seen == sorted(seen), "once done, it stays done"


#: What changes or secures something.
CALLS = ("open", "write", "rename", "mkdir", "setxattr", "fsync", "utime", "copy_file_range", "pwrite", "fchmod")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
@sizes
@states
def test_a_failure_at_any_step_leaves_the_old_record_or_the_new(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, state: State, tags: dict[str, str], number: int
) -> None:
    """No space is the client's to know of; anything else is an error of the server."""
    client.put("large", attributes=LARGE)
    failures = 0
    for step in itertools.count(1):
        state(client, data)
        old = client.info("key")
        others = [info for info in client.page().objects if info.key != "key"]
        left = [step]

        def failing(real: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise OSError(number, os.strerror(number))
                return real(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, failing(getattr(os, name)))
            try:
                client.change("key", tags=tags)
            except S3Error as error:
                assert (error.code, number) == ("StorageFull", errno.ENOSPC)
                failures += 1
            except OSError as error:
                assert error.errno == number == errno.EIO
                failures += 1
        new = replace(old, attributes=replace(old.attributes, tags=tags))
        assert client.info("key") in (old, new), step
        assert client.get("key") == b"bytes"
        assert [info for info in client.page().objects if info.key != "key"] == others
        assert temporary_files(data) == []
        assert client.change("key", tags=tags) == new, "and it can be tried again"
        if left[0] > 0:
            break
    assert failures > 1


def test_what_is_answered_was_synced(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put("a/key")
    path = data / "bucket/a/key"
    syncs = Syncs(monkeypatch)
    client.change("a/key", tags=SHORT)
    assert syncs.take() == [path.stat().st_ino, path.parent.stat().st_ino], "the record, and the object's own name"
    client.change("a/key", tags=LONG)
    assert syncs.take()[-3:] == [
        sidecars(data)[0].parent.stat().st_ino, path.stat().st_ino, path.parent.stat().st_ino,
    ], "the sidecar before the record that names it"  # fmt: skip
    os.link(path, data / "bucket/other")
    client.change("a/key", tags=SHORT)
    assert syncs.take() == [path.stat().st_ino, path.parent.stat().st_ino], "the copy before its name"


def test_where_times_are_rounded_a_change_waits_until_the_record_proves_something(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what it does not prove yet would be taken for what there is, and written down."""
    clock = Clock()
    store = FilesystemStore(str(data), execute, clock)
    fired(store.start())
    fired(store.create_bucket("bucket"))
    client = Client(store)
    put = client.put("key", attributes=Attributes({"content-type": "x/y"}))
    rounded = put.mtime_ns // 10**9 * 10**9
    with open(data / "bucket/key", "rb") as file:
        record = records.metadata.unpack(os.getxattr(file.fileno(), records.ATTRIBUTE))
        assert record is not None
        os.utime(file.fileno(), ns=(rounded, rounded))
        os.setxattr(file.fileno(), records.ATTRIBUTE, records.metadata.pack(record.stamped(put.size, rounded)))
    results: list[Any] = []
    store.change_object("bucket", "key", lambda info: replace(info.attributes, tags=SHORT)).addBoth(results.append)
    clock.pump([0.05] * 10)
    assert results == []
    monkeypatch.setattr(records.time, "time_ns", lambda: rounded + 3 * 10**9)
    clock.pump([0.05] * 2)
    assert [result.etag for result in results] == [put.etag]
    assert client.info("key").attributes == Attributes({"content-type": "x/y"}, tags=SHORT)
    fired(store.stop())


# Without attributes


@pytest.fixture
def without(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    refuse_attributes(monkeypatch)
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


@sizes
@pytest.mark.parametrize("state", [recorded, recorded_large, plain, linked, linked_plain])
def test_without_attributes_the_record_of_that_key_is_replaced(
    without: Client, data: Path, state: State, tags: dict[str, str]
) -> None:
    state(without, data)
    old = without.info("key")
    others = [info for info in without.page().objects if info.key != "key"]
    number = (data / "bucket/key").stat().st_ino
    new = without.change("key", tags=tags)
    assert new == replace(old, attributes=replace(old.attributes, tags=tags))
    assert without.info("key") == new
    assert (data / "bucket/key").stat().st_ino == number
    assert [info for info in without.page().objects if info.key != "key"] == others
    without.delete("key")
    assert sidecars(data, "key") == []


def test_without_attributes_a_failure_leaves_the_old_record(
    without: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked(without, data)
    old = without.change("key", tags=SHORT)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        with pytest.raises(S3Error, match="StorageFull"):
            without.change("key", tags=LONG)
    assert without.info("key") == old
    assert temporary_files(data) == []


def test_a_record_by_key_gives_way_to_an_attribute(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "setxattr", full_disk)
        old = client.put("key", attributes=Attributes({"content-type": "x/y"}))
    assert len(sidecars(data, "key")) == 1
    assert client.info("key") == old
    new = client.change("key", tags=SHORT)
    assert client.info("key") == new == replace(old, attributes=replace(old.attributes, tags=SHORT))
    assert sidecars(data, "key") == []


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_plain_file_without_room_for_an_attribute_has_its_record_by_key(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(client, data)
    old = client.info("key")

    def show(info: ObjectInfo) -> bytes:
        return repr(dict(info.attributes.tags)).encode()

    def listed() -> list[bytes]:
        return list(fired(client.store.list_objects("bucket", ListQuery(), show)).objects)

    later = os.stat(data / "bucket/key").st_mtime_ns + 10**10
    with monkeypatch.context() as patch:
        patch.setattr("zs3.store.listing.time.time_ns", lambda: later)
        assert listed() == listed() == [b"{}"]
    monkeypatch.setattr(os, "setxattr", full_disk)
    new = client.change("key", tags=SHORT)
    assert new == replace(old, attributes=replace(old.attributes, tags=SHORT))
    assert client.info("key") == new
    assert listed() == [b"{'k': 'v'}"], "what was remembered is not told any more"


# What may not be done


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("state", [recorded, plain])
def test_a_file_that_may_not_be_changed_is_a_clear_error(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, state: State, number: int
) -> None:
    """Nor is it hidden in a sidecar, where the file's own record would go before it."""
    state(client, data)
    old = client.info("key")

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "setxattr", refuse)
    for tags in (SHORT, LONG):
        with pytest.raises(S3Error, match="AccessDenied"):
            client.change("key", tags=tags)
    assert client.info("key") == old
    assert sidecars(data) == sidecars(data, "key") == []


def test_what_may_not_be_given_to_its_owner_is_not_shown_to_another_group(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked(client, data)
    path = data / "bucket/key"
    others = {*os.getgroups(), *((12345,) if os.geteuid() == 0 else ())} - {path.stat().st_gid}
    if not others:
        pytest.skip("there is no other group that a file could be given to")
    os.chown(path, -1, others.pop())
    path.chmod(0o660)

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refuse)
    client.change("key", tags=SHORT)
    assert path.stat().st_mode & 0o777 == 0o600


# Others beside it


@pytest.mark.parametrize("possible", [True, False])
def test_the_access_control_list_of_a_file_is_that_of_its_copy(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, possible: bool
) -> None:
    linked(client, data)
    name = "system.posix_acl_access"
    # acl(5): the owner rw, the user 1234 r, the group nothing, the mask r, others nothing.
    entries = ((0x01, 6, -1), (0x02, 4, 1234), (0x04, 0, -1), (0x10, 4, -1), (0x20, 0, -1))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(data / "bucket/key", name, acl)
    except OSError:
        pytest.skip("the temporary directory is on a file system without access control lists")
    real = os.setxattr

    def refuse(file: int, attribute: str, value: bytes) -> None:
        if attribute == name:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        real(file, attribute, value)

    if not possible:
        monkeypatch.setattr(os, "setxattr", refuse)
    client.change("key", tags=SHORT)
    assert not (data / "bucket/key").samefile(data / "bucket/other")
    assert stat.S_IMODE((data / "bucket/key").stat().st_mode) == (0o640 if possible else 0o600)
    assert (name in os.listxattr(data / "bucket/key")) == possible
    if possible:
        assert os.getxattr(data / "bucket/key", name) == acl


def test_other_names_of_a_file_keep_its_large_record(client: Client, data: Path) -> None:
    linked_large(client, data)
    other = client.info("other")
    assert other.attributes.metadata == LARGE.metadata
    client.delete("key")
    assert client.info("other") == other
    client.delete("other")
    assert sidecars(data) == []


@pytest.mark.parametrize("what", ["written to", "replaced"])
def test_a_file_that_others_change_while_its_link_is_broken_is_not_undone(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    linked(client, data)
    copied = []
    real = os.copy_file_range

    def copy(*args: Any) -> int:
        done = real(*args)
        if not copied:
            copied.append(True)
            if what == "replaced":
                (data / "bucket/key").unlink()
            write_plainly(data, b"theirs")
        return done

    monkeypatch.setattr(os, "copy_file_range", copy)
    results: list[Any] = []
    client.store.change_object("bucket", "key", lambda info: replace(info.attributes, tags=SHORT)).addBoth(
        results.append
    )
    clock: Any = client.store._clock
    clock.pump([0.05] * 5)
    assert copied
    assert client.get("key") == b"theirs"
    assert [result.attributes.tags for result in results] == [SHORT]
    assert temporary_files(data) == []


@pytest.mark.parametrize("with_attributes", [True, False], ids=["attributes", "first none"])
def test_a_reader_sees_the_old_record_or_the_new(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, with_attributes: bool
) -> None:
    """Between its look at the attribute and the one at the sidecar, that goes."""
    with monkeypatch.context() as patch:
        if not with_attributes:
            patch.setattr(os, "setxattr", full_disk)
        recorded_large(client, data)
    other = open_client(data)
    real = records._read_sidecar

    def read(path: bytes) -> Any:
        monkeypatch.setattr(records, "_read_sidecar", real)
        other.change("key", tags=LONG)
        return real(path)

    monkeypatch.setattr(records, "_read_sidecar", read)
    info = client.info("key")
    assert info.attributes.metadata == LARGE.metadata
    assert info.attributes.tags == LONG
    fired(other.store.stop())


def test_readers_and_writers_at_once_never_see_half(data: Path) -> None:
    first, second = (open_client(data, sync=False) for _ in range(2))
    fired(first.store.create_bucket("bucket"))
    known = [{}, SHORT, LONG, {"k": "w" * 5000}]
    old = first.put("key", b"bytes", attributes=LARGE)
    done = threading.Event()
    wrong: list[Any] = []

    def look() -> None:
        while not done.is_set():
            info = second.info("key")
            if info.etag != old.etag or info.attributes not in [replace(old.attributes, tags=tags) for tags in known]:
                wrong.append(info)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for turn in range(400):
            first.change("key", tags=known[turn % len(known)])
    finally:
        done.set()
        reader.join()
    assert wrong == []
    assert len(sidecars(data)) == 1
    for client in (first, second):
        fired(client.store.stop())


@sizes
@pytest.mark.parametrize("state", [recorded, recorded_large, linked, linked_large])
def test_a_full_disk_leaves_the_record_and_no_rubbish(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch, state: State, tags: dict[str, str]
) -> None:
    state(client, data)
    old, before = client.info("key"), sidecars(data)
    monkeypatch.setattr(os, "setxattr", full_disk)
    with pytest.raises(S3Error, match="StorageFull"):
        client.change("key", tags=tags)
    assert client.info("key") == old
    assert sidecars(data) == before
    assert sidecars(data, "key") == temporary_files(data) == []


def test_a_link_that_cannot_be_broken_leaves_no_rubbish(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked_large(client, data)
    old, before = client.info("key"), sidecars(data)
    real = os.rename

    def rename(source: Any, target: Any, **options: Any) -> None:
        if target == b"key":
            full_disk()
        real(source, target, **options)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(S3Error, match="StorageFull"):
        client.change("key", tags=LONG)
    assert client.info("key") == old
    assert sidecars(data) == before
    assert temporary_files(data) == []
