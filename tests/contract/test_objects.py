"""Objects: what is put is what is got, whatever the key, and a failed write changes nothing."""

from __future__ import annotations

import pytest

from tests.contract.support import ALWAYS, CREATE, Body, Client, fired
from zs3.checksums import COMPOSITE, Checksum
from zs3.errors import S3Error
from zs3.store.values import Attributes, WriteCondition

KEYS = [
    "plain",
    "a/b/c",
    "a",
    "a/",
    "a//b",
    "/",
    "//",
    "/a",
    ".",
    "..",
    "../../etc/passwd",
    "a/./b/../c",
    ".zs3",
    ".zs3=x",
    ".zs3/tmp",
    ".uploads/1",
    "x" * 255,
    "x" * 256,
    "y" * 253 + "/z",
    "ü" * 400,
    "/" * 1024,
    "a" * 1024,
    ".zs3" + "q" * 300,
    "tab\tand\nnewline",
    "日本語/😀",
    " lead and trail ",
    "back\\slash",
    "%2e%2e%2f",
]


def code(error: pytest.ExceptionInfo[S3Error]) -> str:
    return error.value.code


def test_every_key_keeps_its_own_bytes(client: Client) -> None:
    for number, key in enumerate(KEYS):
        client.put(key, str(number).encode())
    for number, key in enumerate(KEYS):
        assert client.get(key) == str(number).encode(), key
    assert client.listed() == sorted(KEYS, key=str.encode)
    for key in KEYS:
        assert client.delete(key)
    assert client.listed() == []


def test_the_etag_is_the_md5_and_the_answer_is_what_head_tells(client: Client) -> None:
    put = client.put("key", b"hello")
    assert put.etag == "5d41402abc4b2a76b9719d911017c592"
    assert put.size == 5
    assert client.info("key") == put
    assert client.page().objects == [put]


def test_attributes_and_checksum_come_back(client: Client) -> None:
    attributes = Attributes({"content-type": "x/y", "cache-control": "no-store"}, {"colour": "grün", "n": "1"})
    checksum = Checksum("CRC64NVME", b"12345678")
    client.put("key", attributes=attributes, body=Body(checksum))
    info = client.info("key")
    assert info.attributes == attributes
    assert info.checksum == checksum


@pytest.mark.parametrize("size", [0, 1900, 2048, 4096, 60_000])
def test_metadata_of_any_size_comes_back(client: Client, size: int) -> None:
    attributes = Attributes({"content-type": "text/plain"}, {"long": "v" * size} if size else {})
    client.put("key", attributes=attributes)
    assert client.info("key").attributes == attributes
    client.put("key", attributes=Attributes({"content-type": "text/plain"}))
    assert client.info("key").attributes.metadata == {}


def test_no_content_type_is_s3s_default(client: Client) -> None:
    assert client.put("page.html").attributes.headers == {"content-type": "binary/octet-stream"}


@pytest.mark.parametrize("key", ["", "nul\0", "control\x01", "\ufffe", "x" * 1025, "ü" * 513])
def test_what_is_no_key_is_refused_and_never_found(client: Client, key: str) -> None:
    with pytest.raises(S3Error) as error:
        client.put(key)
    assert code(error) in ("InvalidArgument", "KeyTooLongError")
    with pytest.raises(S3Error) as error:
        client.get(key)
    assert code(error) == "NoSuchKey"
    assert not client.delete(key)
    assert client.listed(prefix=key) == []


def test_a_file_and_the_keys_below_it_live_together_in_any_order(client: Client) -> None:
    for first, second in (("a", "a/b"), ("c/d", "c")):
        client.put(first, b"1")
        client.put(second, b"2")
        assert (client.get(first), client.get(second)) == (b"1", b"2")
    client.put("a", b"new")
    client.delete("a/b")
    assert client.get("a") == b"new"
    client.put("a", b"newer")
    assert client.get("a") == b"newer"
    client.delete("a")
    assert client.listed() == ["c", "c/d"]


def test_displacing_a_chain_of_files(client: Client) -> None:
    client.put("a", b"1")
    client.put("a/b", b"2")
    client.put("a/b/c/d", b"3")
    assert [client.get(key) for key in ("a", "a/b", "a/b/c/d")] == [b"1", b"2", b"3"]
    assert client.listed() == ["a", "a/b", "a/b/c/d"]


def test_a_failing_body_keeps_the_old_object(client: Client) -> None:
    client.put("key", b"old")
    with pytest.raises(S3Error, match="BadDigest"):
        client.put("key", b"new", body=Body(error=S3Error("BadDigest")))
    assert client.get("key") == b"old"


def test_an_aborted_body_leaves_nothing(client: Client) -> None:
    writer = client.store.put_object("bucket", "key", Body(), attributes=Attributes(), condition=ALWAYS, length=None)
    fired(writer.open())
    fired(writer.write(b"x" * 300_000))
    fired(writer.abort())
    fired(writer.abort())
    assert client.listed() == []


def test_a_reader_is_not_disturbed_by_what_comes_later(client: Client) -> None:
    client.put("key", b"old")
    reader = fired(client.store.open_object("bucket", "key"))
    client.put("key", b"newer")
    client.delete("key")
    assert fired(reader.read(0, 100)) == b"old"
    assert fired(reader.read(1, 1)) == b"l"
    assert fired(reader.read(3, 1)) == b""
    assert fired(reader.unchanged())
    reader.close()
    reader.close()


def test_create_only_refuses_what_exists(client: Client) -> None:
    client.put("key", b"first", condition=CREATE)
    client.put("dir/child")
    client.put("dir", b"beside", condition=CREATE)
    for key in ("key", "dir"):
        with pytest.raises(S3Error) as error:
            client.put(key, b"second", condition=CREATE)
        assert code(error) == "PreconditionFailed"
    assert client.get("key") == b"first"
    assert client.get("dir") == b"beside"


def test_if_match_needs_that_very_object(client: Client) -> None:
    with pytest.raises(S3Error) as error:
        client.put("key", condition=WriteCondition(if_match="*"))
    assert code(error) == "NoSuchKey"
    first = client.put("key", b"1")
    second = client.put("key", b"2", condition=WriteCondition(if_match=first.etag))
    with pytest.raises(S3Error) as error:
        client.put("key", b"3", condition=WriteCondition(if_match=first.etag))
    assert code(error) == "PreconditionFailed"
    with pytest.raises(S3Error) as error:
        client.delete("key", condition=WriteCondition(if_match=first.etag))
    assert code(error) == "PreconditionFailed"
    assert client.get("key") == b"2"
    for wrong in (WriteCondition(size=7), WriteCondition(mtime_s=1)):
        with pytest.raises(S3Error, match="PreconditionFailed"):
            client.delete("key", condition=wrong)
    right = WriteCondition(if_match=second.etag, size=1, mtime_s=second.mtime_ns // 10**9)
    assert client.delete("key", condition=right)


def test_if_none_match_may_name_one_object_that_must_not_be_replaced(client: Client) -> None:
    first = client.put("key", b"1", condition=WriteCondition(if_none_match="0" * 32))
    with pytest.raises(S3Error, match="PreconditionFailed"):
        client.put("key", b"2", condition=WriteCondition(if_none_match=first.etag))
    assert client.get("key") == b"1"
    second = client.put("key", b"2", condition=WriteCondition(if_none_match="0" * 32))
    client.put("key", b"3", condition=WriteCondition(if_none_match=first.etag))
    assert client.get("key") == b"3"
    assert second.etag != first.etag


@pytest.mark.parametrize("condition", [WriteCondition(size=7), WriteCondition(mtime_s=1)], ids=["size", "time"])
def test_what_is_not_there_is_not_held_against_size_and_time(client: Client, condition: WriteCondition) -> None:
    assert not client.delete("key", condition=condition)
    assert not client.delete("deep/key", condition=condition)


def test_a_condition_that_fails_is_told_before_the_body(client: Client) -> None:
    client.put("key")
    for condition in (CREATE, WriteCondition(if_match="0" * 32)):
        writer = client.store.put_object(
            "bucket", "key", Body(), attributes=Attributes(), condition=condition, length=None
        )
        with pytest.raises(S3Error, match="PreconditionFailed"):
            fired(writer.open())
        fired(writer.abort())


def test_delete_tells_whether_there_was_one(client: Client) -> None:
    client.put("a/b/c")
    assert client.delete("a/b/c")
    assert not client.delete("a/b/c")
    assert not client.delete("a/b")
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.delete("a", condition=WriteCondition(if_match="*"))


def test_nothing_is_found_in_a_bucket_that_is_not_there(client: Client) -> None:
    for name in ("none", "..", ".zs3", ".uploads", "a/b", ""):
        for action in (
            lambda name=name: client.put("k", bucket=name),
            lambda name=name: client.get("k", bucket=name),
            lambda name=name: client.delete("k", bucket=name),
            lambda name=name: client.listed(bucket=name),
            lambda name=name: fired(client.store.get_bucket(name)),
            lambda name=name: fired(client.store.delete_bucket(name)),
        ):
            with pytest.raises(S3Error, match="NoSuchBucket"):
                action()


def test_copy_keeps_or_replaces_what_belongs_to_it(client: Client) -> None:
    attributes = Attributes({"content-type": "text/plain"}, {"a": "1"})
    source = client.put("source", b"bytes", attributes=attributes, body=Body(Checksum("CRC32", b"1234")))
    copy = client.copy("source", "deep/er/copy")
    assert client.get("deep/er/copy") == b"bytes"
    assert (copy.etag, copy.attributes, copy.checksum) == (source.etag, attributes, source.checksum)
    other = Attributes({"content-type": "x/y"}, {"b": "2"})
    assert client.copy("source", "source", attributes=lambda _: other).attributes == other
    assert client.get("source") == b"bytes"
    client.copy("source", "source", attributes=lambda info: Attributes(metadata={"was": info.attributes.metadata["b"]}))
    assert client.info("source").attributes.metadata == {"was": "2"}


def test_copy_computes_the_checksum_that_is_asked_for(client: Client) -> None:
    client.put("source", b"hello")
    copy = client.copy("source", "copy", checksum_algorithm="CRC32")
    assert copy.checksum == Checksum("CRC32", bytes.fromhex("3610a686"))
    client.put("composite", b"hello", body=Body(Checksum("CRC32", b"xxxx", COMPOSITE, 2)))
    assert client.copy("composite", "copy", checksum_algorithm="CRC32").checksum == copy.checksum


def test_copy_asks_first(client: Client) -> None:
    def refuse(_: object) -> None:
        raise S3Error("PreconditionFailed")

    client.put("source")
    with pytest.raises(S3Error, match="PreconditionFailed"):
        client.copy("source", "copy", check=refuse)
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.copy("none", "copy")
    with pytest.raises(S3Error, match="PreconditionFailed"):
        client.copy("source", "source", condition=CREATE)
    assert client.listed() == ["source"]
