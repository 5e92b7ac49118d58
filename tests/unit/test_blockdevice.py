"""The harness of power cuts on block devices, without one: the log, what is left of it, and what may be seen then."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from proof.blockdevice.launcher import KINDS
from proof.blockdevice.ledger import MARKER, THERE, Content, Ledger, Moment, Register, Value
from proof.blockdevice.log import FLUSH, MANNERS, RECORD, WRITE, Image, Log, Piece, survivors
from proof.blockdevice.rounds import choose
from tests.contract.support import fired, open_client

ONE, TWO, OTHER = (Content(each, each) for each in ("one", "two", "other"))
KEY = Register("object", "bucket", "key")


def written(offset: int, data: bytes) -> bytes:
    return RECORD.pack(WRITE, offset, len(data)) + data


FLUSHED = RECORD.pack(FLUSH, 0, 0)


def entered(*operations: tuple[Value, int, int], register: Register = KEY) -> Ledger:
    """:param operations: what was written, and when that was sent and answered, by position and clock at once."""
    ledger = Ledger()
    for value, sent, answered in operations:
        ledger.enter({register: value}, Moment(sent, sent), Moment(answered, answered))
    return ledger


def kinds(ledger: Ledger, position: int, seen: dict[Register, Value]) -> list[str]:
    return [each.kind for each in ledger.check(seen, position)]


# The log


def test_what_was_written_before_a_flush_is_on_the_disk_for_good() -> None:
    log = Log(written(0, b"a") + written(1, b"b") + FLUSHED + written(2, b"c") + FLUSHED)
    assert [log.flushed(position) for position in range(6)] == [0, 0, 0, 2, 2, 4]
    assert [(each.offset, each.size) for each in log.writes(0, 5)] == [(0, 1), (1, 1), (2, 1)]


def test_a_record_that_is_not_whole_does_not_count() -> None:
    assert len(Log(written(0, b"a") + written(1, b"bb")[:-1]).records) == 1


@pytest.mark.parametrize("manner", MANNERS)
def test_what_is_left_of_writes_is_some_sectors_of_them(manner: str) -> None:
    writes = [Piece(8192 * at, 10_000 * at, 8192) for at in range(20)]
    left = [survivors(writes, manner, random.Random(seed)) for seed in range(20)]
    covered = {(each.offset + byte, each.at + byte) for each in writes for byte in range(0, each.size, 512)}
    for chosen in left:
        assert {(each.offset + byte, each.at + byte) for each in chosen for byte in range(0, each.size, 512)} <= covered
        assert [each.offset for each in chosen] == sorted(each.offset for each in chosen)
    if manner not in ("none", "all"):
        assert len({tuple(chosen) for chosen in left}) > 5, "by chance"
        assert any(len(set(chosen) & set(writes)) < len(writes) for chosen in left)


def test_a_cut_leaves_what_was_flushed_and_what_is_chosen(tmp_path: Path) -> None:
    log = Log(written(0, b"aa") + FLUSHED + written(1, b"b") + written(4096, b"c"))
    (tmp_path / "image").write_bytes(bytes(1 << 20))
    image = Image(tmp_path / "image", log)
    image.advance(log.flushed(4))
    image.copy(tmp_path / "cut", log.writes(3, 4))
    assert (tmp_path / "cut").read_bytes()[:3] == b"aa\0"
    assert (tmp_path / "cut").read_bytes()[4096:4097] == b"c"
    assert os.path.getsize(tmp_path / "cut") == 1 << 20
    image.advance(4)
    image.copy(tmp_path / "cut", [])
    image.close()
    assert (tmp_path / "cut").read_bytes()[:3] == b"ab\0"


def test_cuts_are_where_something_was_answered_or_flushed_too() -> None:
    log = Log((written(0, b"a") * 1000 + FLUSHED) * 3)
    positions = choose(log, [5, 1500], 100, 3000, 300, random.Random(0))
    assert positions == sorted(positions)
    assert {1000, 2001, 1500} <= set(positions)
    assert min(positions) >= 100
    assert max(positions) <= 3000
    assert len(set(positions)) > 50


# What may be seen


def test_what_was_answered_must_be_seen_and_what_is_under_way_may() -> None:
    ledger = entered((ONE, 0, 10), (TWO, 20, 30))
    assert ledger.allowed(KEY, 5) == [None, ONE]
    assert ledger.allowed(KEY, 10) == [ONE]
    assert ledger.allowed(KEY, 25) == [ONE, TWO]
    assert ledger.allowed(KEY, 30) == [TWO]


def test_of_two_writers_at_once_either_may_be_the_last() -> None:
    ledger = entered((ONE, 0, 30), (TWO, 10, 20))
    assert ledger.allowed(KEY, 40) == [ONE, TWO]


def test_what_was_never_answered_may_have_happened() -> None:
    ledger = entered((ONE, 0, 10))
    ledger.enter({KEY: TWO}, Moment(20, 20))
    assert ledger.allowed(KEY, 1000) == [ONE, TWO]


def test_what_needed_nothing_of_the_disk_has_happened() -> None:
    ledger = entered((ONE, 0, 10))
    ledger.enter({KEY: None}, Moment(10, 11), Moment(10, 12))
    assert ledger.allowed(KEY, 10) == [None]


@pytest.mark.parametrize(
    ("operations", "found", "kind"),
    [
        (((ONE, 0, 10),), None, "lost"),
        (((ONE, 0, 10), (TWO, 20, 30)), ONE, "lost"),
        (((ONE, 0, 10),), OTHER, "torn"),
        (((ONE, 0, 10),), ONE._replace(etag="another"), "torn"),
        (((ONE, 0, 10),), ONE._replace(tags=(("k", "v"),)), "torn"),
        (((ONE, 0, 10), (None, 20, 30)), ONE, "ghost"),
        ((), ONE, "ghost"),
    ],
)
def test_faults_are_told(operations: tuple[tuple[Value, int, int], ...], found: Value, kind: str) -> None:
    ledger = entered(*operations)
    assert kinds(ledger, 50, {KEY: found} if found is not None else {}) == [kind]


def test_versions_uploads_and_buckets_are_looked_at_one_by_one() -> None:
    version = Register("version", "bucket", "key", "1")
    upload, part = Register("upload", "bucket", "key", "2"), Register("part", "bucket", "key", "2", 1)
    ledger = Ledger()
    ledger.enter({version: MARKER, upload: THERE, part: "etag"}, Moment(0, 0), Moment(10, 10))
    assert kinds(ledger, 10, {version: MARKER, upload: THERE, part: "etag"}) == []
    assert kinds(ledger, 10, {version: MARKER}) == ["lost"]
    assert kinds(ledger, 10, {version: MARKER, upload: THERE}) == ["lost"]
    assert kinds(ledger, 10, {version: MARKER, upload: THERE, part: "other"}) == ["torn"]
    ledger.enter({upload: None, part: None}, Moment(20, 20), Moment(30, 30))
    assert kinds(ledger, 30, {version: MARKER}) == []
    assert kinds(ledger, 30, {version: MARKER, upload: THERE, part: "etag"}) == ["ghost", "ghost"]


def test_an_upload_is_gone_only_if_its_object_is_there() -> None:
    upload = Register("upload", "bucket", "key", "2")
    ledger = Ledger()
    ledger.enter({upload: THERE}, Moment(0, 0), Moment(10, 10))
    ledger.enter({upload: None, KEY: ONE}, Moment(20, 20), Moment(40, 40))
    assert kinds(ledger, 30, {upload: THERE}) == []
    assert kinds(ledger, 30, {upload: THERE, KEY: ONE}) == []
    assert kinds(ledger, 30, {KEY: ONE}) == []
    assert kinds(ledger, 30, {}) == ["lost"]


def test_versions_are_in_order_and_the_first_is_the_object() -> None:
    first, second = (Register("version", "bucket", "key", each) for each in "12")
    ledger = Ledger()
    ledger.enter({first: ONE, KEY: ONE}, Moment(0, 0), Moment(10, 10))
    ledger.enter({second: TWO, KEY: TWO}, Moment(20, 20), Moment(30, 30))
    assert kinds(ledger, 30, {KEY: TWO, second: TWO, first: ONE}) == []
    assert kinds(ledger, 25, {KEY: ONE, first: ONE}) == []
    assert kinds(ledger, 30, {KEY: TWO, first: ONE, second: TWO}) == ["torn", "lost"]
    assert kinds(ledger, 25, {KEY: TWO, first: ONE}) == ["torn"]


def test_each_kind_of_fsync_is_one_that_the_store_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out: dict[str, int] = dict.fromkeys(KINDS, 0)

    def fsync(fd: int) -> None:
        for kind, is_left_out in KINDS.items():
            left_out[kind] += is_left_out(os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd))

    monkeypatch.setattr(os, "fsync", fsync)
    client = open_client(tmp_path)
    fired(client.store.create_bucket("bucket"))
    client.configure(versioning="Enabled")
    for _ in range(2):
        client.put("key")
    client.part(client.begin("key"), 1, b"part")
    fired(client.store.stop())
    assert left_out.pop("nothing") == 0
    assert left_out["everything"] == left_out["files"] + left_out["directories"]
    assert all(left_out.values()), left_out
