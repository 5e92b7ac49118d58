"""Multipart uploads: parts in any order, complete once, abort leaves nothing."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from tests.contract.support import CREATE, Body, Client, fired
from zs3.checksums import COMPOSITE, FULL_OBJECT, Checksum
from zs3.errors import S3Error
from zs3.store.values import COMPLIANCE, GOVERNANCE, MIN_PART_SIZE, Attributes, CompletedPart, Lock

BIG = b"x" * MIN_PART_SIZE


def pending(client: Client, **query: object) -> list[str]:
    defaults: dict[str, object] = {
        "prefix": "",
        "delimiter": "",
        "key_marker": "",
        "upload_id_marker": "",
        "limit": 1000,
    }
    page = fired(client.store.list_uploads("bucket", **(defaults | query)))  # type: ignore[arg-type]
    return [upload.key for upload in page.uploads]


def test_an_object_of_parts_in_any_order(client: Client) -> None:
    attributes = Attributes({"content-type": "x/y"}, {"a": "b"})
    upload = client.begin("deep/key", attributes=attributes)
    assert client.listed() == []
    last = client.part(upload, 7, b"tail")
    client.part(upload, 2, b"to be replaced")
    first = client.part(upload, 2, BIG)
    info = client.complete(upload, [first, last])
    assert client.get("deep/key") == BIG + b"tail"
    digests = hashlib.md5(BIG).digest() + hashlib.md5(b"tail").digest()
    assert info.etag == hashlib.md5(digests).hexdigest() + "-2"
    assert info.part_sizes == (MIN_PART_SIZE, 4)
    assert info.attributes == attributes
    assert client.info("deep/key") == info
    assert pending(client) == []


HOUR = 3_600 * 10**9


@pytest.mark.parametrize(
    ("asked", "default", "expected"),
    [
        (Lock(), Lock(), Lock()),
        (Lock(COMPLIANCE, HOUR, True), Lock(), Lock(COMPLIANCE, HOUR, True)),
        (Lock(COMPLIANCE, HOUR), Lock(GOVERNANCE, 2 * HOUR), Lock(COMPLIANCE, HOUR)),
        (Lock(), Lock(GOVERNANCE, 2 * HOUR), Lock(GOVERNANCE, 2 * HOUR)),
        (Lock(legal_hold=True), Lock(GOVERNANCE, 2 * HOUR), Lock(GOVERNANCE, 2 * HOUR, True)),
    ],
)
def test_an_object_has_the_lock_that_its_upload_was_given_or_else_the_default(
    client: Client, asked: Lock, default: Lock, expected: Lock
) -> None:
    upload = client.begin("key", attributes=Attributes(lock=asked))
    found = fired(client.store.get_upload("bucket", "key", upload.upload_id))
    assert found.attributes.lock == asked
    part = client.part(upload, 1, b"one")
    assert client.complete(upload, [part], default_lock=default).attributes.lock == expected
    assert client.info("key").attributes.lock == expected


def test_one_part_is_enough_and_parts_may_be_left_out(client: Client) -> None:
    upload = client.begin("key")
    client.part(upload, 1, b"unused")
    part = client.part(upload, 2, b"used")
    assert client.complete(upload, [part]).etag.endswith("-1")
    assert client.get("key") == b"used"


def test_completing_again_answers_the_same_and_spares_what_came_later(client: Client) -> None:
    upload = client.begin("key")
    part = client.part(upload, 1, b"one")
    first = client.complete(upload, [part])
    assert client.complete(upload, [part]).etag == first.etag
    client.put("key", b"newer")
    with pytest.raises(S3Error, match="NoSuchUpload"):
        client.complete(upload, [part])
    assert client.get("key") == b"newer"


def test_wrong_lists_are_refused_and_the_upload_stands(client: Client) -> None:
    upload = client.begin("key")
    small, big = client.part(upload, 1, b"small"), client.part(upload, 2, BIG)
    for parts, code in (
        ([], "MalformedXML"),
        ([CompletedPart(2, big.etag), CompletedPart(1, small.etag)], "InvalidPartOrder"),
        ([CompletedPart(1, small.etag), CompletedPart(1, small.etag)], "InvalidPartOrder"),
        ([CompletedPart(1, small.etag), CompletedPart(2, big.etag)], "EntityTooSmall"),
        ([CompletedPart(1, big.etag)], "InvalidPart"),
        ([CompletedPart(3, big.etag)], "InvalidPart"),
        ([CompletedPart(0, big.etag)], "InvalidArgument"),
        ([CompletedPart(1, small.etag, Checksum("CRC32", b"1234"))], "InvalidPart"),
    ):
        with pytest.raises(S3Error) as error:
            fired(client.store.complete_upload("bucket", "key", upload.upload_id, parts, condition=CREATE))
        assert error.value.code == code
    for wrong, code in (({"size": 1}, "InvalidRequest"), ({"checksum": Checksum("CRC32", b"abcd")}, "InvalidRequest")):
        with pytest.raises(S3Error, match=code):
            client.complete(upload, [small], **wrong)
    assert client.listed() == []
    client.complete(upload, [big], size=MIN_PART_SIZE)
    assert client.info("key").size == MIN_PART_SIZE


def test_a_condition_holds_for_completion_too(client: Client) -> None:
    upload = client.begin("key")
    part = client.part(upload, 1, b"part")
    client.put("key", b"first")
    with pytest.raises(S3Error, match="PreconditionFailed"):
        client.complete(upload, [part], condition=CREATE)
    assert client.get("key") == b"first"
    client.delete("key")
    client.complete(upload, [part], condition=CREATE)
    assert client.get("key") == b"part"


def crc(data: bytes) -> Checksum:
    return Checksum("CRC32", zlib.crc32(data).to_bytes(4, "big"))


def test_checksums_of_parts_make_that_of_the_object(client: Client) -> None:
    for kind in (COMPOSITE, FULL_OBJECT):
        upload = client.begin("key", checksum_algorithm="CRC32", checksum_type=kind)
        parts = [client.part(upload, 1, BIG, crc(BIG)), client.part(upload, 2, b"tail", crc(b"tail"))]
        whole = crc(BIG + b"tail")
        values = crc(BIG).value + crc(b"tail").value
        right = whole if kind == FULL_OBJECT else Checksum("CRC32", crc(values).value, COMPOSITE, 2)
        with pytest.raises(S3Error, match="BadDigest"):
            client.complete(upload, parts, checksum=Checksum("CRC32", b"nope"))
        assert client.complete(upload, parts, checksum=right).checksum == right
        assert client.info("key").checksum == right


def test_an_aborted_upload_is_gone(client: Client) -> None:
    upload = client.begin("key")
    part = client.part(upload, 1, b"x")
    writer = client.store.put_part("bucket", "key", upload.upload_id, 2, Body(), length=None)
    fired(writer.open())
    fired(client.store.abort_upload("bucket", "key", upload.upload_id))
    with pytest.raises(S3Error, match="NoSuchUpload"):
        fired(writer.commit())
    with pytest.raises(S3Error, match="NoSuchUpload"):
        fired(client.store.abort_upload("bucket", "key", upload.upload_id))
    with pytest.raises(S3Error, match="NoSuchUpload"):
        client.complete(upload, [part])
    assert pending(client) == []


def test_an_upload_belongs_to_its_key(client: Client) -> None:
    upload = client.begin("key")
    for key, upload_id in (("other", upload.upload_id), ("key", "../../bucket"), ("key", ""), ("key", "0" * 48)):
        with pytest.raises(S3Error, match="NoSuchUpload"):
            fired(client.store.list_parts("bucket", key, upload_id, after=0, limit=1))
        with pytest.raises(S3Error, match="NoSuchUpload"):
            fired(client.store.put_part("bucket", key, upload_id, 1, Body(), length=None).open())


def test_parts_are_listed_in_pages(client: Client) -> None:
    upload = client.begin("key")
    parts = [client.part(upload, number, b"x" * number) for number in (3, 1, 10, 2)]
    page = fired(client.store.list_parts("bucket", "key", upload.upload_id, after=1, limit=2))
    assert [part.number for part in page.parts] == [2, 3]
    assert page.truncated
    page = fired(client.store.list_parts("bucket", "key", upload.upload_id, after=3, limit=2))
    assert (list(page.parts), page.truncated) == ([parts[2]], False)


def test_uploads_are_listed_by_key_and_age_in_pages(client: Client) -> None:
    ids = {key: [client.begin(key).upload_id for _ in range(2)] for key in ("b", "a/x", "a/y", "c")}
    assert pending(client) == ["a/x", "a/x", "a/y", "a/y", "b", "b", "c", "c"]
    assert pending(client, prefix="a/") == ["a/x", "a/x", "a/y", "a/y"]
    assert pending(client, delimiter="/") == ["b", "b", "c", "c"]
    assert pending(client, key_marker="a/y") == ["b", "b", "c", "c"]
    assert pending(client, key_marker="b", upload_id_marker=ids["b"][0]) == ["b", "c", "c"]
    seen: list[tuple[str, str]] = []
    key, upload_id = "", ""
    while True:
        page = fired(
            client.store.list_uploads(
                "bucket", prefix="", delimiter="", key_marker=key, upload_id_marker=upload_id, limit=3
            )
        )
        seen += [(upload.key, upload.upload_id) for upload in page.uploads]
        if not page.truncated:
            break
        key, upload_id = page.next_key, page.next_upload_id
    assert seen == [(key, each) for key in sorted(ids) for each in ids[key]]


def test_a_part_can_be_a_copy(client: Client) -> None:
    client.put("source", b"0123456789")
    upload = client.begin("key", checksum_algorithm="CRC32", checksum_type=COMPOSITE)

    def copy(number: int, span: tuple[int, int] | None) -> object:
        return fired(
            client.store.copy_part(
                "bucket", "source", "bucket", "key", upload.upload_id, number, check=lambda _: None, span=span
            )
        )

    copy(1, (2, 4))
    with pytest.raises(S3Error, match="InvalidRange"):
        copy(2, (5, 10))
    parts = fired(client.store.list_parts("bucket", "key", upload.upload_id, after=0, limit=10)).parts
    assert parts[0].checksum == crc(b"234")
    client.complete(upload, list(parts))
    assert client.get("key") == b"234"
