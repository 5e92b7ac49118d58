"""What the bytes of a file prove of its record."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3 import checksums
from zs3.checksums import ALGORITHMS, COMPOSITE, Checksum
from zs3.store.metadata import Record
from zs3.store.values import PartChecksums
from zs3.verify.evidence import ETAG, Evidence, Hashing


def of(algorithm: str, data: bytes) -> bytes:
    hasher = checksums.new(algorithm)
    hasher.update(data)
    return hasher.digest()


def multipart(parts: list[bytes], algorithm: str = "", composite: bool = False) -> Record:
    """The record of an object of these parts, as its completion makes it."""
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    checksum, values = None, b""
    if algorithm:
        known = [of(algorithm, part) for part in parts]
        values = b"".join(known)
        if composite:
            checksum = checksums.composite(algorithm, known)
        else:
            checksum = checksums.combine(
                algorithm, [(each, len(part)) for each, part in zip(known, parts, strict=True)]
            )
    return Record(
        sum(map(len, parts)),
        0,
        hashlib.md5(digests).digest(),
        len(parts),
        checksum=checksum,
        part_sizes=tuple(map(len, parts)),
        upload_id="upload",
        part_checksums=PartChecksums(values),
    )


def plain(data: bytes, algorithm: str = "") -> Record:
    checksum = Checksum(algorithm, of(algorithm, data)) if algorithm else None
    return Record(len(data), 0, hashlib.md5(data).digest(), checksum=checksum)


def evidence(record: Record, data: bytes, *, piece: int = 7, part: bool = False) -> Evidence:
    hashing = Hashing(record, part=part)
    for at in range(0, len(data), piece):
        hashing.feed(memoryview(data)[at : at + piece])
    return hashing.evidence()


@pytest.mark.parametrize("algorithm", ["", *ALGORITHMS])
def test_content_as_recorded_agrees_in_all(algorithm: str) -> None:
    found = evidence(plain(b"some content", algorithm), b"some content")
    assert found == Evidence((), (ETAG, *([algorithm] if algorithm else [])), ())


@pytest.mark.parametrize("algorithm", ["", *ALGORITHMS])
def test_one_bit_differs_in_all(algorithm: str) -> None:
    found = evidence(plain(b"some content", algorithm), b"some contenu")
    assert found == Evidence((ETAG, *([algorithm] if algorithm else [])), (), ())


@pytest.mark.parametrize(
    ("algorithm", "composite"),
    [("", False), ("CRC64NVME", False), ("CRC32", False), ("CRC32", True), ("CRC32C", True), ("SHA256", True)],
)
@given(parts=st.lists(st.binary(max_size=40), min_size=1, max_size=5), piece=st.integers(1, 50), data=st.data())
def test_of_several_parts_each_counts_and_the_damaged_one_is_named(
    algorithm: str, composite: bool, parts: list[bytes], piece: int, data: st.DataObject
) -> None:
    record, content = multipart(parts, algorithm, composite), b"".join(parts)
    names = (ETAG, *([algorithm] if algorithm else []))
    assert evidence(record, content, piece=piece) == Evidence((), names, ())
    if content:
        at = data.draw(st.integers(0, len(content) - 1))
        damaged = content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :]
        found = evidence(record, damaged, piece=piece)
        number = next(n for n in range(1, len(parts) + 1) if at < sum(map(len, parts[:n])))
        if algorithm:
            assert found == Evidence((algorithm,), (), (number,))
        else:
            # A part may have been copied, and its digest may be no MD5.
            assert found == Evidence()


def test_where_a_part_was_copied_the_checksum_decides() -> None:
    parts = [b"first", b"second"]
    record = multipart(parts, "CRC64NVME")
    copied = Record(record.size, 0, b"x" * 16, 2, checksum=record.checksum, part_sizes=record.part_sizes)
    assert evidence(copied, b"firstsecond") == Evidence((), ("CRC64NVME",), ())
    assert evidence(copied, b"firstsecund").differs == ("CRC64NVME",)
    without = Record(record.size, 0, b"x" * 16, 2, part_sizes=record.part_sizes)
    assert evidence(without, b"firstsecond") == Evidence()


def test_a_part_of_an_upload_that_was_copied_proves_nothing_by_its_etag() -> None:
    record = Record(4, 0, b"x" * 16)
    assert evidence(record, b"part", part=True) == Evidence()
    assert evidence(plain(b"part"), b"part", part=True).agrees == (ETAG,)
    second = Record(4, 0, b"x" * 16, checksum=plain(b"part", "CRC32").checksum, second=plain(b"part", "SHA1").checksum)
    assert evidence(second, b"part", part=True).agrees == ("CRC32", "SHA1")
    assert evidence(second, b"parT", part=True).differs == ("CRC32", "SHA1")


def test_a_copy_of_an_object_of_parts_is_known_by_a_checksum_of_the_whole_only() -> None:
    whole = Record(4, 0, b"x" * 16, 3, checksum=plain(b"data", "SHA256").checksum)
    assert evidence(whole, b"data") == Evidence((), ("SHA256",), ())
    composite = Record(4, 0, b"x" * 16, 3, checksum=Checksum("SHA256", b"x" * 32, COMPOSITE, 3))
    assert evidence(composite, b"data") == Evidence()


def test_a_record_that_contradicts_itself_shows_as_such() -> None:
    record = Record(4, 0, b"x" * 16, checksum=plain(b"data", "CRC32").checksum)
    assert evidence(record, b"data") == Evidence((ETAG,), ("CRC32",), ())


@given(st.binary(max_size=100))
def test_what_is_adopted_has_its_md5_and_the_usual_checksum(data: bytes) -> None:
    hashing = Hashing(None, adopting=True)
    hashing.feed(memoryview(data))
    assert hashing.evidence() == Evidence()
    digests = hashing.digests()
    assert (digests.md5, digests.size) == (hashlib.md5(data).digest(), len(data))
    assert digests.checksum == Checksum("CRC64NVME", of("CRC64NVME", data))
