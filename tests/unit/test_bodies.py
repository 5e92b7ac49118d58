"""The documents that requests bring."""

import base64

import pytest

from zs3.checksums import Checksum
from zs3.errors import S3Error
from zs3.store.values import CompletedPart
from zs3.web.bodies import DeleteEntry, parse_complete, parse_delete, parse_new_bucket

CRC = base64.b64encode(b"\1\2\3\4").decode()


def test_a_delete_names_objects_and_their_conditions():
    document = b"""<Delete><Quiet>true</Quiet><Object><Key> a&amp;b</Key></Object><Object><Key>c</Key>
        <VersionId>null</VersionId><ETag>"x"</ETag><Size>3</Size>
        <LastModifiedTime>Sun, 06 Nov 1994 08:49:37 GMT</LastModifiedTime></Object></Delete>"""
    request = parse_delete(document)
    assert request.quiet is True
    assert request.entries == (
        DeleteEntry(" a&b"),
        DeleteEntry("c", "null", '"x"', "3", "Sun, 06 Nov 1994 08:49:37 GMT"),
    )


def test_a_delete_may_have_1000_objects_and_no_more():
    entries = b"<Object><Key>k</Key><VersionId>null</VersionId></Object>"
    assert len(parse_delete(b"<Delete>" + entries * 1000 + b"</Delete>").entries) == 1000
    with pytest.raises(S3Error, match="MalformedXML"):
        parse_delete(b"<Delete>" + entries * 1001 + b"</Delete>")


@pytest.mark.parametrize(
    "document",
    [
        b"<Delete/>",
        b"<Delete><Quiet>true</Quiet></Delete>",
        b"<Delete><Object/></Delete>",
        b"<Delete><Object><Key/></Object></Delete>",
        b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        b"<Delete><Object><Key>a</Key><Other/></Object></Delete>",
        b"<Delete><Quiet>maybe</Quiet><Object><Key>a</Key></Object></Delete>",
        b"<Delete><Key>a</Key></Delete>",
    ],
)
def test_a_delete_that_is_none_is_malformed(document):
    with pytest.raises(S3Error, match="MalformedXML"):
        parse_delete(document)


def test_completed_parts_come_in_the_order_of_the_document():
    document = f"""<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <Part><ETag>"bb"</ETag><PartNumber>2</PartNumber></Part>
        <Part><PartNumber> 1 </PartNumber><ETag>aa</ETag><ChecksumCRC32>{CRC}</ChecksumCRC32></Part>
        </CompleteMultipartUpload>"""
    assert parse_complete(document.encode()) == [
        CompletedPart(2, "bb"),
        CompletedPart(1, "aa", Checksum("CRC32", b"\1\2\3\4")),
    ]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ("", "MalformedXML"),
        ("<Part/>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber></Part>", "MalformedXML"),
        ("<Part><ETag>a</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>x</PartNumber><ETag>a</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>٣</PartNumber><ETag>a</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>-1</PartNumber><ETag>a</ETag></Part>", "MalformedXML"),
        (f"<Part><PartNumber>{'9' * 5000}</PartNumber><ETag>a</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber><ETag>a</ETag><X/></Part>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>AA</ChecksumCRC32></Part>", "InvalidRequest"),
    ],
)
def test_a_completion_that_is_none_is_refused(parts, code):
    with pytest.raises(S3Error, match=code):
        parse_complete(f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())


@pytest.mark.parametrize(
    ("document", "location"),
    [
        (b"", ""),
        (b"<CreateBucketConfiguration/>", ""),
        (b"<CreateBucketConfiguration><LocationConstraint/></CreateBucketConfiguration>", ""),
        (b"<CreateBucketConfiguration><LocationConstraint>EU</LocationConstraint></CreateBucketConfiguration>", "EU"),
    ],
)
def test_a_bucket_may_have_a_location(document, location):
    assert parse_new_bucket(document) == (location, {})


def test_a_bucket_may_have_tags():
    tags = "<Tags><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c</Key><Value/></Tag></Tags>"
    document = f"<CreateBucketConfiguration>{tags}</CreateBucketConfiguration>".encode()
    assert parse_new_bucket(document) == ("", {"a": "b", "c": ""})


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ("<Tags><Tag><Key>a</Key></Tag></Tags>", "MalformedXML"),
        ("<Tags><Tag><Key>aws:a</Key><Value>b</Value></Tag></Tags>", "InvalidTag"),
        ("<Bucket><Type>Directory</Type></Bucket>", "NotImplemented"),
        ("<Other/>", "MalformedXML"),
    ],
)
def test_what_else_a_bucket_could_have_is_refused(inside, code):
    with pytest.raises(S3Error, match=code):
        parse_new_bucket(f"<CreateBucketConfiguration>{inside}</CreateBucketConfiguration>".encode())
