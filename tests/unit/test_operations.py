"""The table of operations."""

import pytest

from zs3.auth.access import OBJECT_ACTIONS, is_write
from zs3.errors import S3Error
from zs3.web.operations import BUCKET, OBJECT, OPERATIONS, SERVICE, SUBRESOURCES, find


def name_of(level, method, *pairs, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return find(level, method, [pair if isinstance(pair, tuple) else (pair, "") for pair in pairs], given.get).name


@pytest.mark.parametrize(
    ("level", "method", "pairs", "name"),
    [
        (SERVICE, "GET", [], "ListBuckets"),
        (BUCKET, "PUT", [], "CreateBucket"),
        (BUCKET, "HEAD", [], "HeadBucket"),
        (BUCKET, "DELETE", [], "DeleteBucket"),
        (BUCKET, "GET", ["location"], "GetBucketLocation"),
        (BUCKET, "GET", [], "ListObjects"),
        (BUCKET, "GET", [("prefix", ""), ("delimiter", "/"), ("marker", "")], "ListObjects"),
        (BUCKET, "GET", [("list-type", "2"), ("start-after", "a")], "ListObjectsV2"),
        (BUCKET, "GET", ["versions", ("max-keys", "5")], "ListObjectVersions"),
        (BUCKET, "GET", ["uploads"], "ListMultipartUploads"),
        (BUCKET, "POST", ["delete"], "DeleteObjects"),
        (BUCKET, "GET", ["versioning"], "GetBucketVersioning"),
        (BUCKET, "GET", ["acl"], "GetBucketAcl"),
        (BUCKET, "DELETE", ["policy"], "DeleteBucketPolicy"),
        (OBJECT, "PUT", [], "PutObject"),
        (OBJECT, "PUT", [("x-id", "PutObject")], "PutObject"),
        (OBJECT, "GET", [], "GetObject"),
        (OBJECT, "GET", [("response-content-type", "a"), ("versionId", "null")], "GetObject"),
        (OBJECT, "GET", [("X-Amz-Signature", "a"), ("cache-buster", "7")], "GetObject"),
        (OBJECT, "GET", [("AWSAccessKeyId", "a"), ("Signature", "b"), ("Expires", "1")], "GetObject"),
        (OBJECT, "HEAD", [("partNumber", "1")], "HeadObject"),
        (OBJECT, "DELETE", [], "DeleteObject"),
        (OBJECT, "POST", ["uploads"], "CreateMultipartUpload"),
        (OBJECT, "PUT", [("partNumber", "1"), ("uploadId", "u")], "UploadPart"),
        (OBJECT, "POST", [("uploadId", "u")], "CompleteMultipartUpload"),
        (OBJECT, "POST", ["restore", ("versionId", "null")], "RestoreObject"),
        (OBJECT, "DELETE", [("uploadId", "u")], "AbortMultipartUpload"),
        (OBJECT, "GET", [("uploadId", "u")], "ListParts"),
        (OBJECT, "GET", ["tagging"], "GetObjectTagging"),
    ],
)
def test_a_request_is_recognised(level, method, pairs, name):
    assert name_of(level, method, *pairs) == name


def test_a_copy_is_recognised_by_its_header():
    assert name_of(OBJECT, "PUT", x_amz_copy_source="b/k") == "CopyObject"
    assert name_of(OBJECT, "PUT", ("uploadId", "u"), x_amz_copy_source="b/k") == "UploadPartCopy"
    assert name_of(OBJECT, "GET", x_amz_copy_source="b/k") == "GetObject"


#: With these, too, there is a PUT.
PUT_SUBRESOURCES = {"acl", "tagging", "ownershipControls", "policy", "publicAccessBlock", "uploadId", "uploads"}


@pytest.mark.parametrize("level", [BUCKET, OBJECT])
@pytest.mark.parametrize("query", sorted(SUBRESOURCES - PUT_SUBRESOURCES))
def test_no_subresource_is_ever_taken_for_the_object_or_bucket_itself(level, query):
    with pytest.raises(S3Error, match="NotImplemented"):
        name_of(level, "PUT", query)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("pair", [("nobody-knows", ""), ("nobody-knows", "1"), ("prefix", "a"), ("partNumber", "1")])
def test_a_write_with_a_parameter_it_does_not_know_is_refused(method, pair):
    for level in (BUCKET, OBJECT):
        with pytest.raises(S3Error, match="NotImplemented"):
            name_of(level, method, pair)


def test_a_read_of_what_looks_like_a_subresource_is_refused():
    with pytest.raises(S3Error, match="NotImplemented"):
        name_of(OBJECT, "GET", "nobody-knows")


def test_select_is_refused_by_its_name():
    with pytest.raises(S3Error, match="NotImplemented") as caught:
        name_of(OBJECT, "POST", "select", ("select-type", "2"))
    assert caught.value.fields == {"Header": "select"}


def test_two_subresources_conflict():
    with pytest.raises(S3Error, match="Conflicting query string parameters: acl, tagging"):
        name_of(OBJECT, "GET", "tagging", "acl")


@pytest.mark.parametrize(
    ("level", "method", "code"),
    [
        (SERVICE, "PUT", "MethodNotAllowed"),
        (SERVICE, "DELETE", "MethodNotAllowed"),
        (OBJECT, "POST", "MethodNotAllowed"),
        (OBJECT, "PATCH", "MethodNotAllowed"),
        (OBJECT, "get", "MethodNotAllowed"),
        (BUCKET, "POST", "NotImplemented"),
    ],
)
def test_a_method_that_is_not_there_is_refused(level, method, code):
    with pytest.raises(S3Error, match=code):
        name_of(level, method)


def test_a_refused_method_is_told_the_others():
    with pytest.raises(S3Error) as caught:
        name_of(OBJECT, "PATCH")
    assert caught.value.headers == {"Allow": "DELETE, GET, HEAD, PUT"}


def test_the_table_is_consistent():
    assert len({(each.level, each.method, each.query, each.header) for each in OPERATIONS}) == len(OPERATIONS)
    for each in OPERATIONS:
        assert each.iam.startswith("s3:")
        assert each.access == ("read" if each.method in ("GET", "HEAD") else "write")
        assert is_write(each.iam) == (each.access == "write")


def test_it_is_known_of_every_operation_on_an_object_whether_the_owner_of_the_object_matters():
    of_bucket = {"s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
    of_objects = {each.iam for each in OPERATIONS if each.level == OBJECT}
    assert of_objects - of_bucket <= OBJECT_ACTIONS
    assert {each.iam for each in OPERATIONS if each.level != OBJECT}.isdisjoint(OBJECT_ACTIONS)
