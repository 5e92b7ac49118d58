"""boto3 as people install it: every setting at its default, over plain HTTP and over TLS."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.daemon import ACCESS_KEY, REGION, SECRET_KEY, Daemon, Endpoint
from tests.e2e.plainhttp import fetch
from zs3 import checksums

Connect = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients that are closed when the test ends."""
    clients = []

    def connect(endpoint: Endpoint, secret: str = SECRET_KEY, access_key: str = ACCESS_KEY, **settings: Any) -> Any:
        session = boto3.session.Session(access_key, secret, region_name=REGION)
        verify = str(endpoint.certificate) if endpoint.secure else None
        clients.append(session.client("s3", endpoint_url=endpoint.url, verify=verify, **settings))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def s3(connect: Connect, endpoint: Endpoint) -> Any:
    return connect(endpoint)


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_buckets_come_and_go(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.put_object(Bucket=bucket, Key="in the way", Body=b"")
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=bucket)
    assert code_of(caught) == "BucketNotEmpty"
    s3.delete_object(Bucket=bucket, Key="in the way")
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket=bucket)
    assert code_of(caught) == "404"


def test_an_object_keeps_its_bytes_and_what_is_said_about_it(s3: Any, bucket: str, daemon: Daemon) -> None:
    s3.create_bucket(Bucket=bucket)
    key = "Ordner/größe & maß +%.txt"
    s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=b"hello",
        ContentType="text/x-test",
        CacheControl="max-age=60",
        Metadata={"colour": "red"},
    )
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == b"hello"
    assert (got["ContentType"], got["CacheControl"]) == ("text/x-test", "max-age=60")
    assert got["Metadata"] == {"colour": "red"}
    assert got["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert (daemon.data / bucket / key).read_bytes() == b"hello"

    part = s3.get_object(Bucket=bucket, Key=key, Range="bytes=1-3")
    assert (part["Body"].read(), part["ContentRange"]) == (b"ell", "bytes 1-3/5")

    s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key=key)
    assert code_of(caught) == "NoSuchKey"
    assert list((daemon.data / bucket).glob("[!.]*")) == []


def test_a_large_file_goes_up_in_parts_and_comes_back_the_same(
    s3: Any, bucket: str, large_file: Path, tmp_path: Path
) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.upload_file(str(large_file), bucket, "large")
    head = s3.head_object(Bucket=bucket, Key="large")
    assert head["ContentLength"] == large_file.stat().st_size
    assert head["ETag"].endswith('-8"')
    s3.download_file(bucket, "large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == large_file.read_bytes()

    # copy() of a large object is UploadPartCopy.
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copy of large")
    assert s3.get_object(Bucket=bucket, Key="copy of large")["Body"].read() == large_file.read_bytes()


def test_a_stream_of_unknown_length_is_uploaded(s3: Any, bucket: str, large_file: Path) -> None:
    class Pipe(io.RawIOBase):
        """Readable and nothing else."""

        def __init__(self) -> None:
            self.source = io.BytesIO(large_file.read_bytes()[: 20 << 20])

        def read(self, size: int = -1) -> bytes:
            return self.source.read(size)

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return False

    s3.create_bucket(Bucket=bucket)
    s3.upload_fileobj(Pipe(), bucket, "stream")
    assert s3.get_object(Bucket=bucket, Key="stream")["Body"].read() == large_file.read_bytes()[: 20 << 20]


def test_listings_group_by_delimiter_and_go_on_after_a_page(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    keys = ["a", "a.txt", "a/1", "a/2", "b/c/3", "b/c/4", "c d+e", "ü/5"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for operation in ("list_objects", "list_objects_v2"):
        pages = list(s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 3}))
        assert len(pages) == 3
        assert [each["Key"] for page in pages for each in page["Contents"]] == keys

        pages = list(
            s3.get_paginator(operation).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
        )
        assert [each["Key"] for page in pages for each in page.get("Contents", [])] == ["a", "a.txt", "c d+e"]
        assert [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])] == ["a/", "b/", "ü/"]

        below = getattr(s3, operation)(Bucket=bucket, Prefix="b/", Delimiter="/")
        assert [each["Prefix"] for each in below["CommonPrefixes"]] == ["b/c/"]


def test_a_copy_takes_its_metadata_along_or_gets_new_ones(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a key/+ü", Body=b"text", Metadata={"colour": "red"})
    source = {"Bucket": bucket, "Key": "a key/+ü"}
    s3.copy_object(Bucket=bucket, Key="same", CopySource=source)
    s3.copy_object(
        Bucket=bucket, Key="other", CopySource=source, MetadataDirective="REPLACE", Metadata={"colour": "blue"}
    )
    for key, colour in (("same", "red"), ("other", "blue")):
        got = s3.get_object(Bucket=bucket, Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (b"text", {"colour": colour})


# By default this region still gets the old signature version in the query.
@pytest.mark.parametrize("signature", [None, "s3v4"])
def test_presigned_urls_give_and_take_without_credentials(
    connect: Connect, endpoint: Endpoint, bucket: str, signature: str | None
) -> None:
    s3 = connect(endpoint, config=Config(signature_version=signature))
    s3.create_bucket(Bucket=bucket)
    target = {"Bucket": bucket, "Key": "a b/ü+"}
    put = s3.generate_presigned_url("put_object", Params=target, ExpiresIn=60)
    assert fetch(endpoint, put, "PUT", b"handed in").status == 200
    get = s3.generate_presigned_url("get_object", Params=target, ExpiresIn=60)
    assert fetch(endpoint, get).body == b"handed in"
    assert fetch(endpoint, get, "DELETE").status == 403
    assert s3.get_object(**target)["Body"].read() == b"handed in"


@pytest.mark.parametrize("signature", [None, "s3", "s3v4"])
def test_a_presigned_upload_may_say_what_it_will_be(
    connect: Connect, endpoint: Endpoint, bucket: str, signature: str | None
) -> None:
    s3, signer = connect(endpoint), connect(endpoint, config=Config(signature_version=signature))
    s3.create_bucket(Bucket=bucket)
    target = {"Bucket": bucket, "Key": "k"}
    url = signer.generate_presigned_url("put_object", Params={**target, "ContentType": "text/css"}, ExpiresIn=60)
    assert fetch(endpoint, url, "PUT", b"handed in", {"Content-Type": "text/css"}).status == 200
    assert s3.head_object(**target)["ContentType"] == "text/css"


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
def test_every_checksum_is_verified_and_given_back(s3: Any, bucket: str, algorithm: str) -> None:
    s3.create_bucket(Bucket=bucket)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"summed", **chosen(algorithm, b"summed"))
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert got["Body"].read() == b"summed"  # botocore compares while it reads


def chosen(algorithm: str, body: bytes) -> dict[str, str]:
    """The arguments that choose a checksum: botocore computes all but MD5, which it takes as it is given."""
    if algorithm == "MD5":
        return {"ChecksumMD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    return {"ChecksumAlgorithm": algorithm}


@pytest.mark.parametrize(
    ("algorithm", "kind"), [(name, kind) for name in checksums.ALGORITHMS for kind in checksums.types(name)]
)
def test_parts_keep_their_checksums(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    s3.create_bucket(Bucket=bucket)
    element = f"Checksum{algorithm}"
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    upload = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    bodies = [b"first" * (1 << 20), b"last"]
    parts = []
    for number, body in enumerate(bodies, 1):
        sent = s3.upload_part(**upload, PartNumber=number, Body=body, **chosen(algorithm, body))
        parts.append({"PartNumber": number, "ETag": sent["ETag"], element: sent[element]})
    done = s3.complete_multipart_upload(**upload, ChecksumType=kind, MultipartUpload={"Parts": parts})
    assert done["ChecksumType"] == kind

    every = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    told = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=every)
    assert told["Checksum"] == {element: done[element], "ChecksumType": kind}
    assert (f'"{told["ETag"]}"', told["ObjectSize"], told["StorageClass"]) == (
        done["ETag"],
        sum(map(len, bodies)),
        "STANDARD",
    )
    assert told["ObjectParts"]["TotalPartsCount"] == 2
    assert told["ObjectParts"]["Parts"] == [
        {"PartNumber": part["PartNumber"], "Size": len(body), element: part[element]}
        for part, body in zip(parts, bodies, strict=True)
    ]
    page = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], MaxParts=1)
    assert (page["ObjectParts"]["IsTruncated"], page["ObjectParts"]["NextPartNumberMarker"]) == (True, 1)

    for part, body in zip(parts, bodies, strict=True):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=part["PartNumber"])
        assert (got[element], got["ChecksumType"], got["PartsCount"]) == (part[element], kind, 2)
        assert got["Body"].read() == body  # compared with it
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(bodies)


def test_without_a_checksum_of_the_client_there_is_one(connect: Connect, endpoint: Endpoint, bucket: str) -> None:
    s3 = connect(endpoint, config=Config(request_checksum_calculation="when_required"))
    s3.create_bucket(Bucket=bucket)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    # The value that the catalogue of CRCs has for these nine bytes.
    assert (put["ChecksumCRC64NVME"], put["ChecksumType"]) == ("rosUhgp5mIg=", "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["ChecksumCRC64NVME"], got["Body"].read()) == ("rosUhgp5mIg=", b"123456789")


def test_delete_objects_deletes_many_at_once(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    keys = [f"dir/{n} &<>" for n in range(20)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in [*keys, "never was"]]})
    assert sorted(each["Key"] for each in gone["Deleted"]) == sorted([*keys, "never was"])
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_conditions_decide_who_writes(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert code_of(caught) == "PreconditionFailed"
    s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=first["ETag"])
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", IfMatch=first["ETag"])
    assert code_of(caught) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"3"


def test_a_not_modified_answer_is_understood(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=put["ETag"])
    assert code_of(caught) == "304"


def test_an_upload_can_be_looked_at_and_given_up(s3: Any, bucket: str, daemon: Daemon) -> None:
    s3.create_bucket(Bucket=bucket)
    upload = {"Bucket": bucket, "Key": "k", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]}
    s3.upload_part(**upload, PartNumber=3, Body=b"x" * 1000)
    assert [(each["PartNumber"], each["Size"]) for each in s3.list_parts(**upload)["Parts"]] == [(3, 1000)]
    assert [each["Key"] for each in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["k"]
    s3.abort_multipart_upload(**upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        s3.list_parts(**upload)
    assert code_of(caught) == "NoSuchUpload"


def test_what_an_untouched_bucket_says_of_itself(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    for probe, code in (
        ("get_bucket_policy", "NoSuchBucketPolicy"),
        ("get_bucket_tagging", "NoSuchTagSet"),
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(s3, probe)(Bucket=bucket)
        assert code_of(caught) == code
    with pytest.raises(ClientError) as caught:
        s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    assert code_of(caught) == "NotImplemented"


def test_wrong_credentials_are_told_from_unknown_ones(connect: Connect, endpoint: Endpoint) -> None:
    with pytest.raises(ClientError) as caught:
        connect(endpoint, secret="wrong" * 8).list_buckets()
    assert code_of(caught) == "SignatureDoesNotMatch"
    with pytest.raises(ClientError) as caught:
        connect(endpoint, access_key="NOBODY").list_buckets()
    assert code_of(caught) == "InvalidAccessKeyId"
    nobody = fetch(endpoint, "/")
    assert nobody.status == 403
    assert b"<Code>AccessDenied</Code>" in nobody.body


def test_tags_of_objects_and_buckets(s3: Any, bucket: str) -> None:
    def tags_of(key: str) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}

    s3.create_bucket(Bucket=bucket)
    body = s3.put_object(Bucket=bucket, Key="k", Body=b"content", Tagging="colour=gr%C3%BCn&empty=")
    assert tags_of("k") == {"colour": "grün", "empty": ""}
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    s3.copy_object(
        Bucket=bucket,
        Key="other",
        CopySource={"Bucket": bucket, "Key": "k"},
        TaggingDirective="REPLACE",
        Tagging="a=b",
    )
    new = {"Ümlaut/+-=._:/@": "日本", "long": "v" * 256}
    s3.put_object_tagging(
        Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in new.items()]}
    )
    assert tags_of("k") == new
    assert tags_of("copy") == {"colour": "grün", "empty": ""}
    assert tags_of("other") == {"a": "b"}
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=body["ETag"])["Body"].read() == b"content"
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert tags_of("k") == {}
    with pytest.raises(ClientError) as caught:
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a&b", "Value": ""}]})
    assert code_of(caught) == "InvalidTag"

    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, Tagging="of=upload")["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert tags_of("parts") == {"of": "upload"}

    of_bucket = [{"Key": "cost centre", "Value": "4711"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": of_bucket})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == of_bucket
    s3.delete_bucket_tagging(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_tagging(Bucket=bucket)
    assert code_of(caught) == "NoSuchTagSet"
