"""Verifying a data directory: the verdict on each kind of file, changes meanwhile, and never a false alarm."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.support import Body, Client, fired, open_client
from tests.unit.test_store_files import refuse_attributes
from tests.verifying import rot, verdicts, verify
from zs3 import checksums
from zs3.checksums import Checksum
from zs3.store import completion, directory, kernel, metadata, records
from zs3.store.values import COMPLIANCE, ENABLED, OBJECT_LOCK, VERSIONING, Attributes, Lock
from zs3.verify.findings import Finding, Verdict
from zs3.verify.reading import CHUNK

LARGE = Attributes({}, {"long": "m" * 3000})
FIVE_MIB = 5 << 20


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    yield client
    fired(client.store.stop())


def crc(data: bytes) -> Checksum:
    hasher = checksums.new("CRC64NVME")
    hasher.update(data)
    return Checksum("CRC64NVME", hasher.digest())


def put_multipart(client: Client, key: str, *parts: bytes, checked: bool = True) -> None:
    upload = client.begin(key)
    made = [client.part(upload, at + 1, part, crc(part) if checked else None) for at, part in enumerate(parts)]
    client.complete(upload, made)


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


def write_plainly(path: Path, content: bytes = b"theirs") -> None:
    path.write_bytes(content)
    # Now and then the clock gives a whole microsecond, which looks rounded.
    os.utime(path, ns=(path.stat().st_mtime_ns // 1000 * 1000 + 1,) * 2)


# Verdicts


def test_what_is_as_it_was_stored_is_only_counted(client: Client, data: Path) -> None:
    client.put("empty", b"")
    client.put("a", b"of a")
    client.put("a/b", b"beside it")
    client.put("a//b/../" + "n" * 300, b"escaped", attributes=LARGE)
    client.put("large", os.urandom(CHUNK + 1))
    put_multipart(client, "parts", bytes(FIVE_MIB), b"rest")
    run, found = verify(data)
    assert found == []
    assert run.is_over
    assert (run.tally.files, run.tally.verdicts) == (6, {Verdict.OK: 6})
    assert run.tally.size == sum(info.size for info in client.page().objects)


@pytest.mark.parametrize("attributes", [None, LARGE], ids=["short", "long"])
def test_a_flipped_bit_is_damage(client: Client, data: Path, attributes: Attributes | None) -> None:
    client.put("some/key", bytes(CHUNK + 100), attributes=attributes)
    client.put("other")
    rot(data / "bucket/some/key", CHUNK + 50)
    before = (data / "bucket/some/key").stat()
    run, found = verify(data)
    finding = only(found)
    assert (finding.verdict, finding.path, finding.key) == (Verdict.DAMAGED, "bucket/some/key", "some/key")
    assert (finding.differs, finding.agrees) == (("ETag",), ())
    assert (run.tally.wrong, run.tally.kept) == (1, [finding])
    after = (data / "bucket/some/key").stat()
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


def test_of_an_object_of_parts_the_damaged_part_is_named(client: Client, data: Path) -> None:
    put_multipart(client, "key", bytes(FIVE_MIB), bytes(FIVE_MIB), b"rest")
    rot(data / "bucket/key", FIVE_MIB + 1)
    finding = only(verify(data)[1])
    assert (finding.verdict, finding.differs, finding.parts) == (Verdict.DAMAGED, ("CRC64NVME",), (2,))


def test_an_edited_file_is_no_damage(client: Client, data: Path) -> None:
    client.put("longer", b"content")
    client.put("same size", b"content", attributes=LARGE)
    write_plainly(data / "bucket/longer", b"other content")
    write_plainly(data / "bucket/same size", b"CONTENT")
    run, found = verify(data)
    assert verdicts(found) == {"bucket/longer": Verdict.EDITED, "bucket/same size": Verdict.EDITED}
    assert run.tally.wrong == 0


def test_a_file_from_outside_is_foreign_and_read(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plainly(data / "bucket/key")
    assert only(verify(data)[1]).verdict is Verdict.FOREIGN

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    finding = only(verify(data)[1])
    assert (finding.verdict, finding.reason) == (Verdict.UNREADABLE, "Input/output error at byte 0")


def test_a_directory_that_zs3_never_wrote_to_is_a_bucket_too(client: Client, data: Path) -> None:
    (data / "music").mkdir()
    write_plainly(data / "music/song")
    assert verdicts(verify(data)[1]) == {"music/song": Verdict.FOREIGN}


def test_a_lost_sidecar_is_told(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "MIN_PART_SIZE", 1)
    client.put("key", attributes=LARGE)
    put_multipart(client, "parts", *[b"part"] * 300)
    for path in (data / ".zs3/buckets").glob("*/records/any/*/*"):
        path.unlink()
    run, found = verify(data)
    assert verdicts(found) == {"bucket/key": Verdict.LOST, "bucket/parts": Verdict.LOST}
    assert [each.reason for each in found] == [
        "what was recorded of it is gone or cannot be read",
        "the checksums of its parts are gone",
    ]
    assert run.tally.wrong == 2


def test_an_edited_file_with_a_lost_sidecar_is_edited(client: Client, data: Path) -> None:
    client.put("key", attributes=LARGE)
    shutil.rmtree(next((data / ".zs3/buckets").glob("*/records")))
    write_plainly(data / "bucket/key", b"other content")
    assert only(verify(data)[1]).verdict is Verdict.EDITED


def test_a_garbled_attribute_is_told(client: Client, data: Path) -> None:
    client.put("key")
    os.setxattr(data / "bucket/key", records.ATTRIBUTE, b"garbage")
    assert only(verify(data)[1]).verdict is Verdict.LOST


def test_a_flipped_bit_in_the_record_shows_as_a_contradiction(client: Client, data: Path) -> None:
    client.put("key", b"data", body=Body(crc(b"data")))
    attribute = bytearray(os.getxattr(data / "bucket/key", records.ATTRIBUTE))
    attribute[20] ^= 1
    os.setxattr(data / "bucket/key", records.ATTRIBUTE, bytes(attribute))
    finding = only(verify(data)[1])
    assert (finding.verdict, finding.differs, finding.agrees) == (Verdict.DAMAGED, ("ETag",), ("CRC64NVME",))


def test_what_is_recorded_without_a_hash_is_unverifiable(client: Client, data: Path) -> None:
    write_plainly(data / "bucket/tagged")
    client.change("tagged", tags={"k": "v"})
    write_plainly(data / "bucket/source")
    client.copy("source", "copy", checksum_algorithm="")
    put_multipart(client, "unchecked", bytes(FIVE_MIB), b"rest", checked=False)
    found = verdicts(verify(data)[1])
    assert found == {
        "bucket/tagged": Verdict.UNVERIFIABLE,
        "bucket/source": Verdict.FOREIGN,
        "bucket/copy": Verdict.UNVERIFIABLE,
    }
    # Without a checksum, but the parts were not copied: the ETag proves that all is well, and no more.
    rot(data / "bucket/unchecked")
    assert verdicts(verify(data)[1]) == found | {"bucket/unchecked": Verdict.UNVERIFIABLE}


def test_an_object_of_copied_parts_is_known_by_its_checksum(client: Client, data: Path) -> None:
    client.put("source", bytes(FIVE_MIB + 100))
    upload = client.begin("key", checksum_algorithm="CRC32", checksum_type="FULL_OBJECT")
    arguments = ("bucket", "source", "bucket", "key", upload.upload_id)
    parts = [
        fired(client.store.copy_part(*arguments, number, check=lambda _: None, span=span))
        for number, span in ((1, (0, FIVE_MIB - 1)), (2, (0, 9)))
    ]
    client.complete(upload, parts)
    assert verify(data)[1] == []
    rot(data / "bucket/key")
    assert only(verify(data)[1]).differs == ("CRC32",)


def test_parts_of_uploads_are_verified_too(client: Client, data: Path) -> None:
    upload = client.begin("some/key")
    client.part(upload, 1, b"good")
    client.part(upload, 7, b"bad", crc(b"bad"))
    rot(data / ".uploads" / upload.upload_id / "7")
    run, found = verify(data)
    finding = only(found)
    assert (finding.verdict, finding.bucket, finding.key) == (Verdict.DAMAGED, "bucket", "some/key")
    assert (finding.upload, finding.part) == (upload.upload_id, 7)
    assert finding.path == f".uploads/{upload.upload_id}/7"
    assert run.tally.files == 2
    assert verify(data, prefix="other")[1] == []


def test_of_a_bucket_on_another_file_system_all_is_inside(client: Client, data: Path) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == data.stat().st_dev:
        pytest.skip("no second file system to write to: /dev/shm")
    with tempfile.TemporaryDirectory(dir=other) as name:
        (data / "linked").symlink_to(name)
        fired(client.store.change_configuration("linked", lambda values: values.update({VERSIONING: ENABLED})))
        for text in (b"first", b"second"):
            client.put("key", text, bucket="linked")
        upload = fired(
            client.store.create_upload("linked", "up", attributes=Attributes(), checksum_algorithm="", checksum_type="")
        )
        writer = client.store.put_part("linked", "up", upload.upload_id, 1, Body(crc(b"part")), length=4)
        fired(writer.write(b"part"))
        fired(writer.commit())
        assert verify(data)[1] == []
        version = next((data / ".zs3/versions/linked/key,v").iterdir())
        part = data / "linked/.zs3/uploads" / upload.upload_id / "1"
        for path in (data / "linked/key", version, part):
            rot(path)
        assert verdicts(verify(data)[1]) == {
            "linked/key": Verdict.DAMAGED,
            f".zs3/versions/linked/key,v/{version.name}": Verdict.DAMAGED,
            f"linked/.zs3/uploads/{upload.upload_id}/1": Verdict.DAMAGED,
        }
        fired(client.store.stop())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bucket": 1}'])
def test_an_upload_that_nothing_is_known_of_is_left_alone(client: Client, data: Path, text: str) -> None:
    client.put("key")
    upload = client.begin("up")
    client.part(upload, 1, b"part")
    (data / ".uploads" / upload.upload_id / ".meta").write_text(text)
    run, found = verify(data)
    assert (found, run.tally.files) == ([], 1)


def test_a_name_among_the_versions_that_stands_for_none_is_told(client: Client, data: Path) -> None:
    make_versions(client, data)
    (data / ".zs3/versions/bucket/stray").touch()
    finding = only(verify(data)[1])
    assert (finding.verdict, finding.bucket) == (Verdict.INVISIBLE, "bucket")
    assert finding.path == ".zs3/versions/bucket/stray"


def test_names_that_are_no_keys_are_told_with_the_way_to_them(client: Client, data: Path) -> None:
    (data / "bucket/some").mkdir()
    Path(os.fsdecode(os.fsencode(data) + b"/bucket/some/\xff")).touch()
    run, found = verify(data)
    assert verdicts(found) == {os.fsdecode(b"bucket/some/\xff"): Verdict.INVISIBLE}
    assert (run.tally.files, run.tally.wrong) == (0, 0)


# Versions


def make_versions(client: Client, data: Path) -> dict[str, str]:
    client.configure(**{VERSIONING: ENABLED, OBJECT_LOCK: {}})
    lock = Lock(COMPLIANCE, time.time_ns() + 10**15)
    ids = [client.put("key", text, attributes=Attributes(lock=lock)).version for text in (b"first", b"second", b"last")]
    return {
        version: f".zs3/versions/bucket/key,v/{path.name}"
        for version in ids
        for path in (data / ".zs3/versions/bucket/key,v").glob(f"*{version}*")
    }


def test_older_versions_are_verified_too(client: Client, data: Path) -> None:
    ids = make_versions(client, data)
    client.delete("key")
    run, found = verify(data)
    assert found == []
    # Three versions, and the delete marker.
    assert run.tally.files == 4
    version, path = next(iter(ids.items()))
    rot(data / path)
    finding = only(verify(data)[1])
    assert (finding.verdict, finding.key, finding.version, finding.path) == (Verdict.DAMAGED, "key", version, path)


def test_an_edited_version_that_is_locked_is_wrong(client: Client, data: Path) -> None:
    path = next(iter(make_versions(client, data).values()))
    write_plainly(data / path)
    run, found = verify(data)
    finding = only(found)
    assert (finding.verdict, finding.locked, finding.is_wrong) == (Verdict.EDITED, True, True)
    assert run.tally.wrong == 1


def test_the_current_version_is_read_once_though_it_has_two_names(client: Client, data: Path) -> None:
    make_versions(client, data)
    folder = data / ".zs3/versions/bucket/key,v"
    other = next(iter(folder.iterdir()))
    os.link(data / "bucket/key", folder / other.name.replace(other.name[21:53], client.info("key").version))
    run, found = verify(data)
    assert (found, run.tally.files) == ([], 3)


# File systems


def test_without_attributes_records_are_found_in_sidecars(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_attributes(monkeypatch)
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    client.put("good")
    client.put("rotten")
    client.put("edited")
    rot(data / "bucket/rotten")
    write_plainly(data / "bucket/edited", b"other content")
    # There, a file that others changed looks like one that they made.
    assert verdicts(verify(data)[1]) == {"bucket/rotten": Verdict.DAMAGED, "bucket/edited": Verdict.FOREIGN}
    fired(client.store.stop())


def test_where_times_are_rounded_a_young_file_is_left_for_later(client: Client, data: Path) -> None:
    client.put("key")
    path = data / "bucket/key"
    rounded = time.time_ns() // 1000 * 1000
    os.utime(path, ns=(rounded, rounded))
    record = metadata.unpack(os.getxattr(path, records.ATTRIBUTE))
    assert record is not None
    os.setxattr(path, records.ATTRIBUTE, metadata.pack(record.stamped(4, rounded)))
    assert only(verify(data)[1]).verdict is Verdict.CHANGING


def test_a_directory_that_cannot_be_read_is_told_and_the_others_are_verified(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a/1", "b/secret", "c/3"):
        client.put(key)
        rot(data / "bucket" / key)
    real = directory.paths.open_below

    def refuse(fd: int, names: Any, flags: int) -> int:
        if tuple(names) == (b"b",):
            raise PermissionError(13, "Permission denied")
        return real(fd, names, flags)

    monkeypatch.setattr(directory.paths, "open_below", refuse)
    found = verify(data)[1]
    assert verdicts(found) == {
        "bucket/a/1": Verdict.DAMAGED,
        "bucket/b": Verdict.UNREADABLE,
        "bucket/c/3": Verdict.DAMAGED,
    }


def test_a_bucket_in_trouble_does_not_stop_the_others(client: Client, data: Path) -> None:
    fired(client.store.create_bucket("second"))
    client.put("key", bucket="second")
    rot(data / "second/key")
    client.configure(**{VERSIONING: ENABLED})
    next((data / ".zs3/buckets").glob("*/config")).write_bytes(b"damaged")
    found = verify(data)[1]
    assert [each.verdict for each in found] == [Verdict.UNREADABLE, Verdict.DAMAGED]
    assert "bucket" in found[0].reason


# Changes meanwhile


def while_reading(monkeypatch: pytest.MonkeyPatch, *changes: Callable[[], object]) -> None:
    """Change something each time a piece of a file has been read, as long as there are changes left."""
    real, left = os.preadv, list(changes)

    def read(*arguments: Any) -> int:
        done = real(*arguments)
        if left:
            left.pop(0)()
        return done

    monkeypatch.setattr(os, "preadv", read)


CHANGES: dict[str, Callable[[Client, Path], object]] = {
    "put": lambda client, data: client.put("key", b"other content"),
    "put of the same": lambda client, data: client.put("key", bytes(2 * CHUNK)),
    "put long": lambda client, data: client.put("key", b"other content", attributes=LARGE),
    "delete": lambda client, data: client.delete("key"),
    "tag": lambda client, data: client.change("key", tags={"k": "v"}),
    "tag long": lambda client, data: client.change("key", tags={"k": "v" * 3000}),
    "rename": lambda client, data: os.rename(data / "bucket/key", data / "bucket/other"),
    "displace": lambda client, data: client.put("key/below"),
    "delete the bucket": lambda client, data: (client.delete("key"), fired(client.store.delete_bucket("bucket"))),
}


@pytest.mark.parametrize("attributes", [None, LARGE], ids=["short", "long"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_daemons_do_meanwhile_is_no_alarm(
    client: Client,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Client, Path], object],
    attributes: Attributes | None,
) -> None:
    client.put("key", bytes(2 * CHUNK), attributes=attributes)
    while_reading(monkeypatch, lambda: change(client, data))
    run, found = verify(data)
    assert found == []
    assert run.is_over
    assert run.tally.wrong == 0


def test_a_file_that_is_edited_meanwhile_is_edited(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put("key", bytes(2 * CHUNK))

    def edit() -> None:
        with (data / "bucket/key").open("r+b") as file:
            file.seek(2 * CHUNK - 1)
            file.write(b"x")

    while_reading(monkeypatch, edit)
    assert only(verify(data)[1]).verdict is Verdict.EDITED


def test_a_file_that_never_holds_still_is_no_alarm(client: Client, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client.put("key", b"content")
    rot(data / "bucket/key")
    path = data / "bucket/key"
    number = iter(range(100))
    while_reading(monkeypatch, *[lambda: path.chmod(0o600 | next(number) % 2)] * 50)
    assert only(verify(data)[1]).verdict is Verdict.CHANGING


def test_what_is_read_in_two_ways_is_no_damage_but_trouble(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("key", b"content")
    real, readings = os.preadv, iter([True])

    def read(fd: int, buffers: Any, offset: int) -> int:
        done = real(fd, buffers, offset)
        if next(readings, False):
            buffers[0][0] ^= 1
        return done

    monkeypatch.setattr(os, "preadv", read)
    run, found = verify(data)
    finding = only(found)
    assert (finding.verdict, finding.reason) == (Verdict.UNREADABLE, "read twice, and not the same both times")
    assert run.tally.wrong == 0


def test_a_sidecar_that_goes_with_its_object_is_no_alarm(
    client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("key", attributes=LARGE)
    real = records.Records.look

    def look(self: Any, *arguments: Any) -> Any:
        # Opened already, and then replaced, and only then its record is looked for.
        monkeypatch.setattr(records.Records, "look", real)
        client.put("key", b"other", attributes=LARGE)
        return real(self, *arguments)

    monkeypatch.setattr(records.Records, "look", look)
    assert verify(data)[1] == []


def test_nothing_is_written(client: Client, data: Path) -> None:
    client.put("key", attributes=LARGE)
    make_versions(client, data)
    upload = client.begin("upload")
    client.part(upload, 1, b"part")
    fired(client.store.stop())

    def everything() -> dict[Path, tuple[int, int]]:
        return {path: (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in data.rglob("*")}

    before = everything()
    assert verify(data)[1] == []
    assert everything() == before


def test_a_selection_is_all_that_is_read(client: Client, data: Path) -> None:
    for bucket in ("music", "photos"):
        fired(client.store.create_bucket(bucket))
        for key in ("2023/a", "2024/a", "2024/b"):
            client.put(key, bucket=bucket)
            rot(data / bucket / key)
    assert list(verdicts(verify(data, "photos", prefix="2024/")[1])) == ["photos/2024/a", "photos/2024/b"]
    assert list(verdicts(verify(data, "music", "photos", prefix="2023")[1])) == ["music/2023/a", "photos/2023/a"]


def test_bytes_that_are_to_be_read_are_known_before(client: Client, data: Path) -> None:
    client.put("key", b"12345")
    put_multipart(client, "parts", bytes(FIVE_MIB), b"rest")
    make_versions(client, data)
    client.part(client.begin("upload"), 1, b"part")
    told: list[int] = []
    run, _ = verify(data, progressed=told.append)
    assert sum(told) == run.tally.size == run.measure()


def test_a_hash_is_that_of_the_disk_and_not_of_the_page_cache(client: Client, data: Path) -> None:
    """What the cache has of a file is read from the disk anew."""
    content = os.urandom(CHUNK)
    client.put("key", content)
    path = data / "bucket/key"
    with path.open("rb") as file:
        os.fsync(file.fileno())
        file.read()
        if not kernel.is_cached(file.fileno(), 0, CHUNK):
            pytest.skip("the kernel does not tell")
        before = _read_from_disk()
        assert verify(data)[1] == []
        if before is not None:
            after = _read_from_disk()
            assert after is not None
            assert after - before >= CHUNK
    assert hashlib.md5(path.read_bytes()).digest() == hashlib.md5(content).digest()


def _read_from_disk() -> int | None:
    try:
        text = Path("/proc/self/io").read_text()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("read_bytes"))
