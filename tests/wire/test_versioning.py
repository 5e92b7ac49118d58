"""Versions of objects."""

import json

import pytest

from tests.forms import CONTENT_TYPE, form
from tests.wire.daemon import ALICE, BOB, CLERK, Daemon, parse, texts
from zs3.auth.access import WRITER

VERSIONING = {"versioning": ""}
ABSENT = "0" * 32
TAGS = b"<Tagging><TagSet><Tag><Key>%b</Key><Value>1</Value></Tag></TagSet></Tagging>"


def configure(client, bucket, status):
    body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()
    response = client("PUT", bucket, VERSIONING, body=body)
    assert (response.status, response.body) == (200, b"")


@pytest.fixture
def versioned(client, bucket):
    """The path of an empty bucket that keeps versions."""
    configure(client, bucket, "Enabled")
    return bucket


def put(client, path, body=b""):
    """The id of the version that is made."""
    return client.put(path, body).headers["x-amz-version-id"]


def delete(client, path, version=None):
    """What is said of a deletion: the version, and whether that is a delete marker."""
    response = client("DELETE", path, version and {"versionId": version})
    assert response.status == 204
    return response.headers.get("x-amz-version-id"), response.headers.get("x-amz-delete-marker")


def get(client, path, version, **query):
    return client("GET", path, {"versionId": version, **query})


def listed(client, bucket, **query):
    """Key, id and whether it is the latest, of every version and delete marker, in their order."""
    root = parse(client("GET", bucket, {"versions": "", **query}))
    return [
        (each.findtext("Key"), each.findtext("VersionId"), each.findtext("IsLatest") == "true", each.tag)
        for each in root
        if each.tag in ("Version", "DeleteMarker")
    ]


# The bucket -----------------------------------------------------------------------------------------------------------


def test_a_bucket_says_whether_it_keeps_versions(client, bucket):
    assert parse(client("GET", bucket, VERSIONING)).find("Status") is None
    for status in ("Enabled", "Enabled", "Suspended", "Enabled"):
        configure(client, bucket, status)
        assert parse(client("GET", bucket, VERSIONING)).findtext("Status") == status


def test_versions_are_turned_on_again_whatever_keys_there_are(client, versioned):
    # Among them what a temporary file is called by now.
    for number in range(100, 200):
        delete(client, f"{versioned}/{number:x}/key")
    for status in ("Suspended", "Enabled"):
        configure(client, versioned, status)


def test_a_bucket_that_never_kept_versions_speaks_of_none(client, bucket):
    client.put(bucket + "/a", b"1")
    answers = [
        *(client(method, bucket + "/a") for method in ("GET", "HEAD")),
        client("GET", bucket + "/a", headers={"x-unusual": "the ordinary way"}),
        client("GET", bucket + "/a", {"tagging": ""}),
        client("PUT", bucket + "/b", headers={"x-amz-copy-source": bucket + "/a"}),
        client("PUT", bucket + "/a", body=b"2"),
        client("DELETE", bucket + "/a"),
        client("GET", bucket + "/a"),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if "version" in name or "marker" in name]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "MalformedXML"),
        (b"<VersioningConfiguration/>", {}, 400, "IllegalVersioningConfigurationException"),
        (b"<VersioningConfiguration><Status>No</Status></VersioningConfiguration>", {}, 400, "MalformedXML"),
        (
            b"<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
            {},
            501,
            "NotImplemented",
        ),
        (
            b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
            {"x-amz-mfa": "serial 123456"},
            501,
            "NotImplemented",
        ),
    ],
)
def test_a_configuration_that_would_not_be_kept_is_refused(client, bucket, body, headers, status, code):
    response = client("PUT", bucket, VERSIONING, headers, body)
    assert (response.status, response.error_code) == (status, code)
    assert parse(client("GET", bucket, VERSIONING)).find("Status") is None


def test_where_objects_are_locked_versions_are_kept_for_ever(daemon, client, versioned):
    daemon.store.change_configuration("photos", lambda every: every.update(objectLock={}))
    body = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    response = client("PUT", versioned, VERSIONING, body=body)
    assert (response.status, response.error_code) == (409, "InvalidBucketState")
    configure(client, versioned, "Enabled")


# Reading --------------------------------------------------------------------------------------------------------------


def test_what_is_replaced_is_kept(client, versioned):
    path = versioned + "/a"
    first, second = put(client, path, b"first"), put(client, path, b"second")
    assert first != second
    for method in ("GET", "HEAD"):
        for headers in ({}, {"Range": "bytes=1-2"}, {"x-unusual": "the ordinary way"}):
            current = client(method, path, headers=headers)
            assert current.headers["x-amz-version-id"] == second
            older = client(method, path, {"versionId": first}, headers)
            assert older.headers["x-amz-version-id"] == first
            if method == "GET":
                assert (current.body, older.body) in ((b"second", b"first"), (b"ec", b"ir"))
    assert client("GET", path, {"versionId": first, "partNumber": "1"}).body == b"first"


def test_what_was_there_before_is_the_version_null(client, bucket):
    client.put(bucket + "/a", b"before")
    configure(client, bucket, "Enabled")
    assert client("GET", bucket + "/a").headers["x-amz-version-id"] == "null"
    second = put(client, bucket + "/a", b"after")
    assert get(client, bucket + "/a", "null").body == b"before"
    assert get(client, bucket + "/a", "null").headers["x-amz-version-id"] == "null"
    assert listed(client, bucket) == [("a", second, True, "Version"), ("a", "null", False, "Version")]


def test_while_versions_are_not_kept_the_version_null_is_replaced(client, versioned):
    path = versioned + "/a"
    kept = put(client, path, b"kept")
    configure(client, versioned, "Suspended")
    for body in (b"1", b"2"):
        # So does AWS.
        assert "x-amz-version-id" not in client.put(path, body).headers
    assert client("GET", path).headers["x-amz-version-id"] == "null"
    assert [each[:2] for each in listed(client, versioned)] == [("a", "null"), ("a", kept)]
    assert delete(client, path) == ("null", "true")
    assert [each[1:] for each in listed(client, versioned)] == [
        ("null", True, "DeleteMarker"),
        (kept, False, "Version"),
    ]
    assert get(client, path, kept).body == b"kept"


def test_to_undelete_while_versions_are_not_kept_takes_nothing_away(client, bucket):
    path = bucket + "/dir/a"
    client.put(path, b"before")
    configure(client, bucket, "Enabled")
    version = put(client, path, b"after")
    marker, _ = delete(client, path)
    configure(client, bucket, "Suspended")
    delete(client, path, marker)
    assert [each[:2] for each in listed(client, bucket)] == [("dir/a", version), ("dir/a", "null")]
    delete(client, path, version)
    assert client("GET", path).body == b"before"


def test_a_version_that_is_not_there(client, versioned):
    put(client, versioned + "/a", b"1")
    for path in ("/a", "/b"):
        for query in ({}, {"tagging": ""}, {"acl": ""}):
            response = get(client, versioned + path, ABSENT, **query)
            assert (response.status, response.error_code) == (404, "NoSuchVersion")
        assert "x-amz-delete-marker" not in response.headers
        assert delete(client, versioned + path, ABSENT) == (ABSENT, None)
    for wrong in ("", "x", "../a", "null "):
        assert get(client, versioned + "/a", wrong).error_code == "InvalidArgument"
        assert client("DELETE", versioned + "/a", {"versionId": wrong}).error_code == "InvalidArgument"
    assert client("GET", versioned + "/a").body == b"1"


# Deleting -------------------------------------------------------------------------------------------------------------


def test_a_delete_leaves_a_marker_that_can_be_taken_away(client, versioned):
    path = versioned + "/a"
    version = put(client, path, b"content")
    marker, made = delete(client, path)
    assert made == "true"
    assert marker not in (version, None)
    for method in ("GET", "HEAD"):
        gone = client(method, path)
        assert gone.status == 404
        assert (gone.headers["x-amz-delete-marker"], gone.headers["x-amz-version-id"]) == ("true", marker)
    assert client("GET", path).error_code == "NoSuchKey"
    assert parse(client("GET", versioned)).find("Contents") is None
    assert get(client, path, version).body == b"content"
    assert delete(client, path, marker) == (marker, "true")
    assert client("GET", path).body == b"content"
    assert delete(client, path, version) == (version, None)
    gone = client("GET", path)
    assert (gone.status, gone.headers.get("x-amz-delete-marker")) == (404, None)
    assert listed(client, versioned) == []
    assert client("DELETE", versioned).status == 204


def test_a_marker_is_no_object(client, versioned):
    path = versioned + "/a"
    put(client, path, b"content")
    marker, _ = delete(client, path)
    for method in ("GET", "HEAD"):
        response = client(method, path, {"versionId": marker})
        assert response.status == 405
        assert (response.headers["x-amz-delete-marker"], response.headers["x-amz-version-id"]) == ("true", marker)
        assert response.headers["allow"] == "DELETE"
        assert response.headers["last-modified"].endswith(" GMT")
    assert get(client, path, marker).error_code == "MethodNotAllowed"
    for method, body in (("GET", None), ("PUT", TAGS % b"a"), ("DELETE", None)):
        for query in ({"versionId": marker}, {}):
            response = client(method, path, {"tagging": "", **query}, body=body)
            assert (response.status, response.element("Method")) == (405, method)
            assert response.headers["x-amz-version-id"] == marker
    acl = {"x-amz-acl": "bucket-owner-full-control"}
    assert client("GET", path, {"acl": ""}).status == 404
    assert client("PUT", path, {"acl": ""}, acl).status == 405
    for method in ("GET", "PUT"):
        assert client(method, path, {"acl": "", "versionId": marker}, acl if method == "PUT" else {}).status == 405
    attributes = {"x-amz-object-attributes": "ETag"}
    assert client("GET", path, {"attributes": "", "versionId": marker}, attributes).status == 405
    # Nor does a precondition tell anything else.
    assert client("GET", path, headers={"If-None-Match": "*"}).status == 404


def test_a_key_that_is_not_there_is_deleted_by_a_marker_too(client, versioned):
    markers = [delete(client, versioned + "/a") for _ in range(2)]
    assert [made for _, made in markers] == ["true", "true"]
    assert [version for _, version, *_ in listed(client, versioned)] == [markers[1][0], markers[0][0]]
    assert client("DELETE", versioned).error_code == "BucketNotEmpty"


def test_deletions_of_one_request_tell_what_became_of_each(client, versioned):
    version = {key: put(client, f"{versioned}/{key}", key.encode()) for key in "abc"}
    marker, _ = delete(client, versioned + "/c")
    entries = [
        "<Key>a</Key>",
        f"<Key>b</Key><VersionId>{version['b']}</VersionId>",
        f"<Key>c</Key><VersionId>{marker}</VersionId>",
        f"<Key>absent</Key><VersionId>{ABSENT}</VersionId>",
        "<Key>a</Key><VersionId>x</VersionId>",
    ]
    document = "".join(f"<Object>{entry}</Object>" for entry in entries)
    root = parse(client.post_xml(versioned, {"delete": ""}, f"<Delete>{document}</Delete>".encode()))
    names = ("Key", "VersionId", "DeleteMarker", "DeleteMarkerVersionId")
    deleted = [tuple(each.findtext(name) for name in names) for each in root.findall("Deleted")]
    made = listed(client, versioned, prefix="a")[0][1]
    assert deleted == [
        ("a", None, "true", made),
        ("b", version["b"], None, None),
        ("c", marker, "true", marker),
        ("absent", ABSENT, None, None),
    ]
    assert texts(root, "Error/Code") == ["NoSuchVersion"]
    assert [client("GET", f"{versioned}/{key}").status for key in "abc"] == [404, 404, 200]


def test_a_condition_holds_for_the_version_that_is_current(client, versioned):
    path = versioned + "/a"
    etag = client.put(path, b"1").headers["etag"]
    put(client, path, b"2")
    assert client("DELETE", path, headers={"If-Match": etag}).status == 412
    assert client("PUT", path, headers={"If-None-Match": "*"}, body=b"3").status == 412
    delete(client, path)
    assert client("PUT", path, headers={"If-Match": etag}, body=b"3").status == 404
    assert client("PUT", path, headers={"If-None-Match": "*"}, body=b"3").status == 200


# Copies and uploads ---------------------------------------------------------------------------------------------------


def copy(client, path, source, version="", query=None):
    source += f"?versionId={version}" if version else ""
    return client("PUT", path, query, {"x-amz-copy-source": source})


def test_any_version_may_be_copied_also_over_the_current_one(client, versioned):
    first, second = put(client, versioned + "/a", b"first"), put(client, versioned + "/a", b"second")
    assert copy(client, versioned + "/b", versioned + "/a").headers["x-amz-copy-source-version-id"] == second
    restored = copy(client, versioned + "/a", versioned + "/a", first)
    assert restored.headers["x-amz-copy-source-version-id"] == first
    assert restored.headers["x-amz-version-id"] not in (first, second)
    assert client("GET", versioned + "/a").body == b"first"
    assert client("GET", versioned + "/b").body == b"second"
    # Without a version it would change nothing.
    assert copy(client, versioned + "/a", versioned + "/a").error_code == "InvalidRequest"


def test_of_the_version_null_only_a_copy_is_told(client, bucket):
    """As AWS does it."""
    client.put(bucket + "/a", b"1")
    configure(client, bucket, "Suspended")
    for _ in range(2):
        copied = copy(client, bucket + "/b", bucket + "/a")
        assert copied.headers["x-amz-version-id"] == "null"
        assert "x-amz-copy-source-version-id" not in copied.headers
    configure(client, bucket, "Enabled")
    copied = copy(client, bucket + "/b", bucket + "/a")
    assert copied.headers["x-amz-version-id"] != "null"
    assert "x-amz-copy-source-version-id" not in copied.headers


def test_a_copy_into_a_bucket_without_versions_has_none(client, versioned):
    client.put("/music")
    version = put(client, versioned + "/a", b"first")
    copied = copy(client, "/music/a", versioned + "/a", version)
    assert copied.headers["x-amz-copy-source-version-id"] == version
    assert "x-amz-version-id" not in copied.headers
    back = copy(client, versioned + "/b", "/music/a")
    assert "x-amz-copy-source-version-id" not in back.headers
    assert back.headers["x-amz-version-id"] == client("HEAD", versioned + "/b").headers["x-amz-version-id"]


def test_a_delete_marker_cannot_be_copied(client, versioned):
    put(client, versioned + "/a", b"first")
    marker, _ = delete(client, versioned + "/a")
    upload = parse(client("POST", versioned + "/b", {"uploads": ""})).findtext("UploadId")
    for query in (None, {"uploadId": upload, "partNumber": "1"}):
        for version, status, code in (("", 404, "NoSuchKey"), (marker, 400, "InvalidRequest")):
            response = copy(client, versioned + "/b", versioned + "/a", version, query)
            assert (response.status, response.error_code) == (status, code)
            assert "x-amz-delete-marker" not in response.headers
        assert copy(client, versioned + "/b", versioned + "/a", ABSENT, query).error_code == "NoSuchVersion"
        assert copy(client, versioned + "/b", versioned + "/a", "x", query).error_code == "InvalidArgument"


def test_what_is_uploaded_in_parts_is_a_version(client, versioned):
    first = put(client, versioned + "/a", b"first")
    put(client, versioned + "/a", b"second")
    upload = parse(client("POST", versioned + "/b", {"uploads": ""})).findtext("UploadId")
    part = copy(client, versioned + "/b", versioned + "/a", first, {"uploadId": upload, "partNumber": "1"})
    assert part.headers["x-amz-copy-source-version-id"] == first
    etag = parse(part).findtext("ETag")
    body = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()
    completed = [client("POST", versioned + "/b", {"uploadId": upload}, body=body) for _ in range(2)]
    assert [each.status for each in completed] == [200, 200]
    version = completed[0].headers["x-amz-version-id"]
    assert completed[1].headers["x-amz-version-id"] == version
    assert get(client, versioned + "/b", version).body == b"first"
    assert [each[:2] for each in listed(client, versioned, prefix="b")] == [("b", version)]


def test_a_form_makes_a_version(daemon, client, versioned):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::photos/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    assert client("DELETE", versioned, {"publicAccessBlock": ""}).status == 204
    assert client("PUT", versioned, {"policy": ""}, body=json.dumps(policy).encode()).status == 204
    headers = {"Content-Type": CONTENT_TYPE}
    response = daemon.client(None)("POST", versioned, headers=headers, body=form({"key": "a"}, b"content"))
    assert response.status == 204
    assert get(client, versioned + "/a", response.headers["x-amz-version-id"]).body == b"content"


# What is beside the bytes ---------------------------------------------------------------------------------------------


def test_every_version_has_tags_of_its_own(client, versioned):
    path = versioned + "/a"
    first, second = put(client, path, b"1"), put(client, path, b"2")

    def tags(version=None):
        response = client("GET", path, {"tagging": "", **({"versionId": version} if version else {})})
        return texts(parse(response), "TagSet/Tag/Key"), response.headers["x-amz-version-id"]

    for version, name in ((first, b"old"), (None, b"new")):
        query = {"tagging": "", **({"versionId": version} if version else {})}
        assert client("PUT", path, query, body=TAGS % name).headers["x-amz-version-id"] == (version or second)
    assert tags(first) == (["old"], first)
    assert tags() == tags(second) == (["new"], second)
    assert get(client, path, first).headers["x-amz-tagging-count"] == "1"
    response = client("DELETE", path, {"tagging": "", "versionId": first})
    assert (response.status, response.headers["x-amz-version-id"]) == (204, first)
    assert (tags(first)[0], tags(second)[0]) == ([], ["new"])
    assert len(listed(client, versioned)) == 2


def test_attributes_are_those_of_the_version(client, versioned):
    path = versioned + "/a"
    first = put(client, path, b"1")
    put(client, path, b"22")
    headers = {"x-amz-object-attributes": "ObjectSize"}
    response = client("GET", path, {"attributes": "", "versionId": first}, headers)
    assert (parse(response).findtext("ObjectSize"), response.headers["x-amz-version-id"]) == ("1", first)


# Listing --------------------------------------------------------------------------------------------------------------


def test_versions_are_listed_by_key_and_the_latest_first(client, versioned):
    made = [put(client, versioned + "/b/c", b"%d" % number) for number in range(3)]
    marker, _ = delete(client, versioned + "/b/c")
    other = put(client, versioned + "/a", b"other")
    assert listed(client, versioned) == [
        ("a", other, True, "Version"),
        ("b/c", marker, True, "DeleteMarker"),
        *(("b/c", version, False, "Version") for version in reversed(made)),
    ]
    assert listed(client, versioned, delimiter="/") == [("a", other, True, "Version")]
    root = parse(client("GET", versioned, {"versions": "", "delimiter": "/", "encoding-type": "url"}))
    assert texts(root, "CommonPrefixes/Prefix") == ["b/"]
    assert len(parse(client("GET", versioned, {"versions": "", "max-keys": "0"})).findall("Version")) == 0


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_a_listing_in_pages_is_the_whole_one(client, versioned, size, delimiter):
    for key in ("a", "b/1", "b/2", "c"):
        put(client, f"{versioned}/{key}", b"1")
        put(client, f"{versioned}/{key}", b"2")
    delete(client, versioned + "/a")
    delete(client, versioned + "/b/2")
    whole = listed(client, versioned, delimiter=delimiter)
    assert len(whole) == (5 if delimiter else 10)
    found, prefixes, query = [], [], {"versions": "", "max-keys": str(size), "delimiter": delimiter}
    while True:
        root = parse(client("GET", versioned, query))
        found += listed(client, versioned, **{name: value for name, value in query.items() if name != "versions"})
        prefixes += texts(root, "CommonPrefixes/Prefix")
        assert root.findtext("KeyMarker") == query.get("key-marker", "")
        assert root.findtext("VersionIdMarker") == query.get("version-id-marker", "")
        if root.findtext("IsTruncated") == "false":
            break
        query["key-marker"] = root.findtext("NextKeyMarker")
        query.pop("version-id-marker", None)
        if root.find("NextVersionIdMarker") is not None:
            query["version-id-marker"] = root.findtext("NextVersionIdMarker")
    assert found == whole
    assert prefixes == (["b/"] if delimiter else [])


# Who may --------------------------------------------------------------------------------------------------------------


def allow(client, bucket, actions, **condition):
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "bob"},
        "Action": actions,
        "Resource": [f"arn:aws:s3:::{bucket[1:]}", f"arn:aws:s3:::{bucket[1:]}/*"],
        **({"Condition": condition} if condition else {}),
    }
    body = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
    assert client("PUT", bucket, {"policy": ""}, body=body).status == 204


@pytest.fixture
def alices(alice):
    """The path of a bucket of Alice's that keeps versions."""
    alice.put("/photos")
    configure(alice, "/photos", "Enabled")
    return "/photos"


@pytest.mark.parametrize(
    ("method", "query", "action"),
    [
        ("GET", {}, "GetObject{}"),
        ("HEAD", {}, "GetObject{}"),
        ("DELETE", {}, "DeleteObject{}"),
        ("GET", {"tagging": ""}, "GetObject{}Tagging"),
        ("PUT", {"tagging": ""}, "PutObject{}Tagging"),
        ("DELETE", {"tagging": ""}, "DeleteObject{}Tagging"),
        ("GET", {"acl": ""}, "GetObject{}Acl"),
        ("PUT", {"acl": ""}, "PutObject{}Acl"),
    ],
)
def test_a_version_is_another_right_than_the_object(alice, bob, alices, method, query, action):
    version = put(alice, alices + "/a", b"1")
    body = TAGS % b"a" if method == "PUT" and "tagging" in query else None
    headers = {"x-amz-acl": "bucket-owner-full-control"} if method == "PUT" and "acl" in query else {}
    for named in (False, True):
        allow(alice, alices, "s3:" + action.format("Version" if named else ""))
        of_version = bob(method, alices + "/a", {**query, "versionId": version}, headers, body)
        assert (of_version.status < 300) == named
        version = version if named else put(alice, alices + "/a", b"2")
        if not named:
            assert bob(method, alices + "/a", query, headers, body).status < 300
        elif method != "DELETE":
            assert bob(method, alices + "/a", query, headers, body).status == 403


def test_to_read_a_version_of_an_object_as_attributes_takes_both_rights(alice, bob, alices):
    version = put(alice, alices + "/a", b"1")
    query, headers = {"attributes": "", "versionId": version}, {"x-amz-object-attributes": "ETag"}
    for actions, status in (
        (["s3:GetObjectVersionAttributes", "s3:GetObject"], 403),
        (["s3:GetObjectAttributes", "s3:GetObjectVersion"], 403),
        (["s3:GetObjectVersionAttributes", "s3:GetObjectVersion"], 200),
    ):
        allow(alice, alices, actions)
        assert bob("GET", alices + "/a", query, headers).status == status


def test_the_version_of_a_source_is_another_right_too(alice, bob, alices):
    version = put(alice, alices + "/a", b"1")
    bob.put("/bobs")
    for action, current, older in (("s3:GetObject", 200, 403), ("s3:GetObjectVersion", 403, 200)):
        allow(alice, alices, action)
        assert copy(bob, "/bobs/a", alices + "/a").status == current
        assert copy(bob, "/bobs/a", alices + "/a", version).status == older
    allow(alice, alices, "s3:GetObjectVersion", StringEquals={"s3:VersionId": version})
    assert copy(bob, "/bobs/a", alices + "/a", version).status == 200
    assert copy(bob, "/bobs/a", alices + "/a", ABSENT).error_code == "AccessDenied"


def test_entries_of_one_deletion_are_judged_each_by_its_version(alice, bob, alices):
    version = put(alice, alices + "/a", b"1")
    entries = f"<Object><Key>a</Key></Object><Object><Key>a</Key><VersionId>{version}</VersionId></Object>"
    document = f"<Delete>{entries}</Delete>".encode()
    for action, refused in (("s3:DeleteObject", [version]), ("s3:DeleteObjectVersion", [None])):
        allow(alice, alices, action)
        root = parse(bob.post_xml(alices, {"delete": ""}, document))
        assert [each.findtext("VersionId") for each in root.findall("Error")] == refused
        assert texts(root, "Error/Code") == ["AccessDenied"]


def test_whether_a_version_is_as_named_is_told_to_who_may_list_versions(alice, bob, alices):
    version = put(alice, alices + "/a", b"1")
    etag = "<ETag>0123456789abcdef0123456789abcdef</ETag>"
    document = f"<Delete><Object><Key>a</Key><VersionId>{version}</VersionId>{etag}</Object></Delete>".encode()
    for listing, code in (("s3:ListBucket", "AccessDenied"), ("s3:ListBucketVersions", "PreconditionFailed")):
        allow(alice, alices, ["s3:DeleteObjectVersion", listing])
        root = parse(bob.post_xml(alices, {"delete": ""}, document))
        assert texts(root, "Error/Code") == [code]


def test_what_is_not_there_is_told_to_who_may_list_it(alice, bob, alices):
    path = alices + "/a"
    put(alice, path, b"1")
    marker, _ = delete(alice, path)
    reading = ["s3:GetObject", "s3:GetObjectVersion"]
    for actions, deleted, absent, of_marker in (
        (reading, 403, 403, 403),
        ([*reading, "s3:ListBucket"], 404, 403, 403),
        ([*reading, "s3:ListBucketVersions"], 403, 404, 405),
    ):
        allow(alice, alices, actions)
        for query in ({}, {"tagging": ""}):
            if query:
                allow(alice, alices, [*actions, "s3:GetObjectTagging", "s3:GetObjectVersionTagging"])
                deleted = 405 if deleted == 404 else deleted
            answers = [bob("GET", path, query), get(bob, path, ABSENT, **query), get(bob, path, marker, **query)]
            assert [each.status for each in answers] == [deleted, absent, of_marker]
            for each in answers:
                if each.status == 403:
                    assert not [name for name in each.headers if "version" in name or "marker" in name]
                    assert b"VersionId" not in each.body


@pytest.mark.parametrize("version", ["", "marker", ABSENT, "null"])
def test_who_may_not_read_learns_nothing_of_versions(tmp_path, version):
    daemon = Daemon(tmp_path, ownership=WRITER)
    alice, bob, nobody = daemon.client(ALICE), daemon.client(BOB), daemon.client(None)
    alice.put("/photos")
    configure(alice, "/photos", "Enabled")
    put(alice, "/photos/a", b"1")
    marker, _ = delete(alice, "/photos/a")
    query = {"versionId": marker if version == "marker" else version} if version else {}
    for attacker in (bob, nobody):
        for key in ("a", "b"):
            for more in ({}, {"acl": ""}, {"tagging": ""}):
                response = attacker("GET", f"/photos/{key}", {**query, **more})
                assert (response.status, response.error_code) == (403, "AccessDenied")
                assert "x-amz-delete-marker" not in response.headers
    bob.put("/bobs")
    for key in ("a", "b"):
        response = copy(bob, "/bobs/copy", f"/photos/{key}", query.get("versionId", ""))
        assert (response.status, response.error_code) == (403, "AccessDenied")
    daemon.stop()


def test_a_version_and_a_marker_belong_to_who_made_them(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER)
    alice, bob = daemon.client(ALICE), daemon.client(BOB)
    alice.put("/photos", headers={"x-amz-acl": "public-read-write"})
    configure(alice, "/photos", "Enabled")
    first = put(bob, "/photos/a", b"bob's")
    marker, _ = delete(bob, "/photos/a")
    second = put(alice, "/photos/a", b"alice's")
    root = parse(alice("GET", "/photos", {"versions": ""}))
    found = [each for each in root if each.find("Owner") is not None]
    owners = {each.findtext("VersionId"): each.findtext("Owner/DisplayName") for each in found}
    assert owners == {first: "bob", marker: "bob", second: "alice"}
    assert get(bob, "/photos/a", first).body == b"bob's"
    assert get(bob, "/photos/a", second).status == 403
    # An ACL is of one version.
    assert bob("PUT", "/photos/a", {"acl": "", "versionId": first}, {"x-amz-acl": "public-read"}).status == 200
    nobody = daemon.client(None)
    assert get(nobody, "/photos/a", first).body == b"bob's"
    assert get(nobody, "/photos/a", second).status == 403
    # Who may write may delete; but no version for good.
    assert bob("DELETE", "/photos/a").status == 204
    assert bob("DELETE", "/photos/a", {"versionId": second}).status == 403
    daemon.stop()


def test_only_who_owns_the_bucket_turns_versions_on(daemon, alice, bob, alices):
    body = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    for client in (bob, daemon.client(None)):
        for method in ("GET", "PUT"):
            assert client(method, alices, VERSIONING, body=body if method == "PUT" else None).status == 403
    allow(alice, alices, "s3:GetBucketVersioning")
    assert parse(bob("GET", alices, VERSIONING)).findtext("Status") == "Enabled"
    assert bob("PUT", alices, VERSIONING, body=body).status == 403
    assert daemon.client(CLERK)("PUT", alices, VERSIONING, body=body).status == 200
