"""The MinIO SDK for Python."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from minio import Minio
from minio.commonconfig import ComposeSource, CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from tests.e2e.daemon import ACCESS_KEY, PATIENCE, SECRET_KEY, Endpoint
from tests.e2e.plainhttp import fetch

MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def minio(endpoint: Endpoint) -> Iterator[Minio]:
    pool = urllib3.PoolManager(
        timeout=PATIENCE, ca_certs=str(endpoint.certificate) if endpoint.secure else None, retries=False
    )
    yield Minio(
        endpoint=endpoint.address,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=endpoint.secure,
        http_client=pool,
    )
    pool.clear()


def test_buckets_come_and_go(minio: Minio, bucket: str) -> None:
    minio.make_bucket(bucket_name=bucket)
    assert minio.bucket_exists(bucket_name=bucket)
    assert bucket in [each.name for each in minio.list_buckets()]
    minio.remove_bucket(bucket_name=bucket)
    assert not minio.bucket_exists(bucket_name=bucket)


def test_objects_are_put_listed_copied_and_removed(minio: Minio, bucket: str) -> None:
    minio.make_bucket(bucket_name=bucket)
    for key in ("a.txt", "dir/b ü.txt", "dir/deep/c.txt"):
        minio.put_object(
            bucket_name=bucket, object_name=key, data=io.BytesIO(key.encode()), length=len(key.encode()),
            content_type="text/plain", metadata={"colour": "red"},
        )  # fmt: skip
    got = minio.get_object(bucket_name=bucket, object_name="dir/b ü.txt")
    assert got.read() == "dir/b ü.txt".encode()
    got.close()
    got.release_conn()
    stat = minio.stat_object(bucket_name=bucket, object_name="dir/b ü.txt")
    assert (stat.size, stat.content_type) == (12, "text/plain")
    assert stat.metadata is not None
    assert stat.metadata["x-amz-meta-colour"] == "red"

    assert [each.object_name for each in minio.list_objects(bucket_name=bucket)] == ["a.txt", "dir/"]
    for first_version in (False, True):
        everything = minio.list_objects(bucket_name=bucket, recursive=True, use_api_v1=first_version)
        assert [each.object_name for each in everything] == ["a.txt", "dir/b ü.txt", "dir/deep/c.txt"]

    minio.copy_object(
        bucket_name=bucket, object_name="copy", source=CopySource(bucket_name=bucket, object_name="dir/b ü.txt")
    )
    assert minio.stat_object(bucket_name=bucket, object_name="copy").etag == stat.etag

    minio.remove_object(bucket_name=bucket, object_name="copy")
    with pytest.raises(S3Error) as caught:
        minio.stat_object(bucket_name=bucket, object_name="copy")
    assert caught.value.code == "NoSuchKey"
    doomed = [DeleteObject(str(each.object_name)) for each in minio.list_objects(bucket_name=bucket, recursive=True)]
    assert list(minio.remove_objects(bucket_name=bucket, delete_object_list=doomed)) == []
    assert list(minio.list_objects(bucket_name=bucket)) == []


def test_a_large_file_goes_up_in_parts_and_is_composed(
    minio: Minio, bucket: str, large_file: Path, tmp_path: Path
) -> None:
    minio.make_bucket(bucket_name=bucket)
    put = minio.fput_object(bucket_name=bucket, object_name="large", file_path=str(large_file), part_size=16 << 20)
    assert str(put.etag).endswith("-4")
    minio.fget_object(bucket_name=bucket, object_name="large", file_path=str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == large_file.read_bytes()

    source = ComposeSource(bucket_name=bucket, object_name="large")
    minio.compose_object(bucket_name=bucket, object_name="twice", sources=[source, source])
    assert minio.stat_object(bucket_name=bucket, object_name="twice").size == 2 * large_file.stat().st_size


def test_presigned_urls_give_and_take_without_credentials(minio: Minio, endpoint: Endpoint, bucket: str) -> None:
    minio.make_bucket(bucket_name=bucket)
    put = minio.presigned_put_object(bucket_name=bucket, object_name="a b/ü", expires=MINUTE)
    assert fetch(endpoint, put, "PUT", b"handed in").status == 200
    get = minio.presigned_get_object(bucket_name=bucket, object_name="a b/ü", expires=MINUTE)
    assert fetch(endpoint, get).body == b"handed in"
