"""Buckets come and go whole."""

from __future__ import annotations

import pytest

from tests.contract.support import Client, fired
from zs3.errors import S3Error


def names(client: Client) -> list[str]:
    return [bucket.name for bucket in fired(client.store.list_buckets())]


def test_buckets_are_listed_by_name_with_when_they_were_made(client: Client) -> None:
    created = fired(client.store.create_bucket("another"))
    assert names(client) == ["another", "bucket"]
    assert fired(client.store.get_bucket("another")) == created
    assert created in fired(client.store.list_buckets())


def test_a_bucket_is_created_once(client: Client) -> None:
    client.put("key")
    with pytest.raises(S3Error, match="BucketAlreadyOwnedByYou"):
        fired(client.store.create_bucket("bucket"))
    assert client.get("key") == b"data"


@pytest.mark.parametrize("name", ["", ".", "..", ".zs3", "a/b", "a\0b", "-a", "x" * 256, "ü"])
def test_what_is_no_name_makes_no_bucket(client: Client, name: str) -> None:
    with pytest.raises(S3Error, match="InvalidBucketName"):
        fired(client.store.create_bucket(name))
    assert names(client) == ["bucket"]


def test_only_an_empty_bucket_is_deleted(client: Client) -> None:
    client.put("a/b/c")
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        fired(client.store.delete_bucket("bucket"))
    assert client.get("a/b/c") == b"data"
    client.delete("a/b/c")
    fired(client.store.delete_bucket("bucket"))
    assert names(client) == []
    with pytest.raises(S3Error, match="NoSuchBucket"):
        client.put("key")


def test_deleting_a_bucket_forgets_its_uploads(client: Client) -> None:
    upload = client.begin("key")
    client.part(upload, 1, b"x")
    fired(client.store.delete_bucket("bucket"))
    fired(client.store.create_bucket("bucket"))
    with pytest.raises(S3Error, match="NoSuchUpload"):
        fired(client.store.get_upload("bucket", "key", upload.upload_id))
