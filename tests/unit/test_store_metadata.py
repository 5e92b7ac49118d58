"""Records: what is packed is what is unpacked, small in the common case, void when in doubt."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.checksums import ALGORITHMS, COMPOSITE, FULL_OBJECT, Checksum
from zs3.store import metadata
from zs3.store.metadata import Record
from zs3.store.values import Attributes, PartChecksums

names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
headers = st.dictionaries(
    st.sampled_from(["content-type", "cache-control", "expires", "x-amz-storage-class"]), st.text(min_size=1)
)


@st.composite
def checksums(draw: st.DrawFn) -> Checksum | None:
    algorithm = draw(st.sampled_from(["", *ALGORITHMS]))
    if not algorithm:
        return None
    value = draw(st.binary(min_size=ALGORITHMS[algorithm], max_size=ALGORITHMS[algorithm]))
    parts = draw(st.integers(0, 10_000))
    return Checksum(algorithm, value, COMPOSITE if parts else FULL_OBJECT, parts)


records = st.builds(
    Record,
    st.integers(0, 2**62),
    st.integers(-(2**62), 2**62),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 10_000),
    st.builds(Attributes, headers, st.dictionaries(names, st.text()), st.dictionaries(st.text(), st.text()), st.text()),
    checksums(),
    st.lists(st.integers(1, 2**40), max_size=5).map(tuple),
    st.text("0123456789abcdef", max_size=48),
    checksums().map(lambda checksum: checksum and Checksum(checksum.algorithm, checksum.value)),
    st.builds(PartChecksums, st.binary(max_size=50), st.sampled_from([b"", b"0123456789abcdef"])),
)


@given(records)
def test_a_record_survives_packing(record: Record) -> None:
    assert metadata.unpack(metadata.pack(record)) == record


@given(records.filter(lambda record: "content-type" in record.attributes.headers))
def test_what_is_told_of_an_object_makes_its_record_again(record: Record) -> None:
    info = record.info("key")
    assert Record.of(info) == record
    assert Record.of(info).info("key") == info


def test_the_tags_keep_their_order() -> None:
    tags = {"z": "1", "a": "2", "": "3"}
    found = metadata.unpack(metadata.pack(Record(1, 2, b"d" * 16, attributes=Attributes(tags=tags))))
    assert found is not None
    assert list(found.attributes.tags.items()) == list(tags.items())


def test_a_record_of_before_there_were_tags_is_read() -> None:
    old = metadata.pack(Record(1, 2, b"d" * 16))[: metadata._HEAD.size] + b'{"h":{"expires":"x"},"m":{"a":"b"}}'
    found = metadata.unpack(old)
    assert found is not None
    assert found.attributes == Attributes({"expires": "x"}, {"a": "b"})


@given(records, st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_a_damaged_record_is_void_or_another_but_never_an_error(record: Record, at: int, junk: bytes) -> None:
    data = bytearray(metadata.pack(record))
    data[at : at + len(junk)] = junk
    metadata.unpack(bytes(data))
    metadata.unpack(bytes(data[:at]))


@pytest.mark.parametrize("kind", ["", "text/plain", "application/octet-stream", "image/jpeg"])
def test_the_common_record_fits_into_the_inode(kind: str) -> None:
    attributes = Attributes({"content-type": kind} if kind else {})
    for checksum in (None, Checksum("CRC64NVME", b"12345678"), Checksum("CRC32", b"1234")):
        assert len(metadata.pack(Record(2**40, 2**60, b"d" * 16, 0, attributes, checksum))) <= 68


def test_ten_thousand_equal_parts_stay_small() -> None:
    record = Record(0, 0, b"d" * 16, 10_000, part_sizes=(5 * 2**20,) * 9_999 + (1,))
    assert len(metadata.pack(record)) < 128
    assert metadata.unpack(metadata.pack(record)) == record


def test_a_reference_is_not_taken_for_a_record() -> None:
    reference = metadata.pack_reference(Record(1, 2, b"d" * 16), b"n" * 16)
    assert metadata.unpack_reference(reference) == b"n" * 16
    assert metadata.unpack(reference) is None
    assert metadata.unpack_reference(metadata.pack(Record(1, 2, b"d" * 16))) is None


def test_the_etag_of_a_plain_file_is_no_md5_and_follows_every_fact(tmp_path: os.PathLike[str]) -> None:
    status = os.stat(tmp_path)

    def etag(inode: bool = True, **change: int) -> str:
        class Status:
            st_size = change.get("size", status.st_size)
            st_mtime_ns = change.get("mtime_ns", status.st_mtime_ns)
            st_ino = change.get("ino", status.st_ino)

        return metadata.plain_info("k", Status(), inode=inode).etag  # type: ignore[arg-type]

    tags = {etag(), etag(size=7), etag(mtime_ns=7), etag(ino=7), etag(inode=False)}
    assert len(tags) == 5
    assert all("-" in tag for tag in tags)
    assert etag(inode=False, ino=7) == etag(inode=False, ino=8)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("a/page.html", "text/html"),
        ("cat.JPG", "image/jpeg"),
        ("a.tar.gz", "application/gzip"),
        ("noextension", "binary/octet-stream"),
        ("dir.html/noextension", "binary/octet-stream"),
    ],
)
def test_the_type_of_a_plain_file_is_guessed_from_its_name(key: str, kind: str) -> None:
    assert metadata.guess_type(key) == kind


def test_a_record_describes_one_size_and_time(tmp_path: os.PathLike[str]) -> None:
    status = os.stat(tmp_path)
    record = Record(0, 0, b"d" * 16).stamped(status.st_size, status.st_mtime_ns)
    assert record.describes(status)
    assert not replace(record, size=record.size + 1).describes(status)
    assert not replace(record, mtime_ns=record.mtime_ns + 1).describes(status)


@pytest.mark.parametrize(
    "more",
    [
        b'{"h":["x"]}',
        b'{"h":{"expires":5}}',
        b'{"m":{"a":null}}',
        b'{"g":{"a":1}}',
        b'{"g":[["a","b"]]}',
        b'{"t":5}',
        b'{"u":[]}',
        b'{"p":[1,10001]}',
        b'{"p":[1,1000000000000]}',
        b'{"p":[1,5000,2,5001]}',
        b'{"c":["CRC32","000000"]}',
        b'{"c":["CRC7","00000000"]}',
        b'{"c":[["CRC32"],"00000000"]}',
        b'{"c":7}',
        b'{"S":"../../etc"}',
        b'{"S":"00ff"}',
        b'{"S":5}',
        b'{"m":' + b"[" * 100_000,
    ],
)
def test_what_others_wrote_is_void_if_it_is_no_record(more: bytes) -> None:
    """Whoever may write the file may write its attribute, too; that costs neither memory nor an error."""
    head = metadata.pack(Record(1, 2, b"d" * 16, attributes=Attributes({"content-type": "x/y"})))[: metadata._HEAD.size]
    assert metadata.unpack(head + b'{"h":{"expires":"x"}}') is not None
    assert metadata.unpack(head + more) is None
