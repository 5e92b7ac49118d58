"""Changing what is kept with an object: its bytes and their ETag stay, and copies and uploads keep it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.support import Body, Client, fired
from zs3.checksums import Checksum
from zs3.errors import S3Error
from zs3.store.values import Attributes, ListQuery, ObjectInfo

TAGS = {"b": "1", "a": "grün", "": ""}
#: Records of all lengths, and back.
SIZES = (0, 100, 1900, 2048, 5000, 60_000, 5000, 100, 0)


def put(client: Client, key: str, **attributes: dict[str, str]) -> ObjectInfo:
    body = Body(Checksum("CRC32", b"1234"))
    return client.put(key, b"bytes", attributes=Attributes({"content-type": "x/y"}, **attributes), body=body)


def test_only_what_is_changed_changes(client: Client) -> None:
    old = put(client, "key", metadata={"k": "v"})
    new = client.change("key", tags=TAGS)
    assert new == replace(old, attributes=replace(old.attributes, tags=TAGS))
    assert list(new.attributes.tags) == list(TAGS)
    assert client.info("key") == new
    assert list(client.info("key").attributes.tags) == list(TAGS)
    assert client.page().objects == [new]
    assert client.get("key") == b"bytes"
    assert client.change("key", tags={}) == old
    assert client.info("key") == old


def test_the_change_is_made_of_what_is_there(client: Client) -> None:
    old = put(client, "key", tags=TAGS)
    seen = []

    def change(info: ObjectInfo) -> Attributes:
        seen.append(info)
        return Attributes(metadata={"tags": ",".join(info.attributes.tags)})

    new = fired(client.store.change_object("bucket", "key", change))
    assert seen == [old]
    assert new.attributes == Attributes({"content-type": "binary/octet-stream"}, {"tags": "b,a,"})


def test_a_change_that_is_refused_changes_nothing(client: Client) -> None:
    def refuse(_: ObjectInfo) -> Attributes:
        raise S3Error("InvalidTag")

    old = put(client, "key")
    with pytest.raises(S3Error, match="InvalidTag"):
        fired(client.store.change_object("bucket", "key", refuse))
    assert client.info("key") == old


@pytest.mark.parametrize("key", ["none", "a/none", "a", "file/below", "", "x" * 1025, "nul\0"])
def test_what_is_not_there_is_not_changed(client: Client, key: str) -> None:
    client.put("a/b")
    client.put("file")
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.change(key, tags=TAGS)
    with pytest.raises(S3Error, match="NoSuchBucket"):
        client.change(key, "none", tags=TAGS)
    assert client.listed() == ["a/b", "file"]


@pytest.mark.parametrize("key", ["a", "a/", "a/b", "x" * 300, "y" * 255, "/"])
def test_an_object_is_changed_wherever_it_is(client: Client, key: str) -> None:
    put(client, key)
    client.put(key + "/below")
    new = client.change(key, tags=TAGS)
    assert new.attributes.tags == TAGS
    assert client.info(key) == new
    client.delete(key)
    assert client.listed() == [key + "/below"]


def test_a_record_may_grow_and_shrink(client: Client) -> None:
    put(client, "key")
    for size in SIZES:
        new = client.change("key", tags={"long": "v" * size})
        assert client.info("key") == new
        assert new.attributes.tags == {"long": "v" * size}


def test_what_an_upload_made_stays_known(client: Client) -> None:
    upload = client.begin("key", attributes=Attributes(tags=TAGS))
    assert fired(client.store.get_upload("bucket", "key", upload.upload_id)).attributes.tags == TAGS
    old = client.complete(upload, [client.part(upload, 1, b"part")])
    assert old.attributes.tags == TAGS
    assert client.info("key") == old
    new = client.change("key", tags={})
    assert new == replace(old, attributes=replace(old.attributes, tags={}))
    assert client.info("key") == new


def test_a_copy_has_the_tags_of_its_source_or_its_own(client: Client) -> None:
    put(client, "source", tags=TAGS)
    assert client.copy("source", "copy").attributes.tags == TAGS
    assert client.copy("source", "copy", attributes=lambda _: Attributes()).attributes.tags == {}
    client.change("copy", tags={"k": "v"})
    assert client.info("source").attributes.tags == TAGS


def test_an_overwritten_object_has_no_tags_of_the_old_one(client: Client) -> None:
    put(client, "key", tags=TAGS)
    assert put(client, "key").attributes.tags == {}


def test_a_listing_tells_the_change(client: Client) -> None:
    """Also where it remembers what it told before."""
    put(client, "key")

    def show(info: ObjectInfo) -> bytes:
        return repr(list(info.attributes.tags.items())).encode()

    def listed() -> bytes:
        [shown] = fired(client.store.list_objects("bucket", ListQuery(), show)).objects
        return shown

    assert listed() == b"[]"
    for size in SIZES:
        client.change("key", tags={"k": "v" * size})
        assert listed() == listed() == repr([("k", "v" * size)]).encode()


def test_an_open_object_is_as_it_was(client: Client) -> None:
    old = put(client, "key")
    reader = fired(client.store.open_object("bucket", "key"))
    client.change("key", tags=TAGS)
    assert reader.info() == old
    assert fired(reader.read(0, 9)) == b"bytes"
    assert fired(reader.unchanged())
    reader.close()
