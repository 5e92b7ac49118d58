"""Buckets, the list of them, and what is said of one that nobody configured."""

import pytest

from tests.wire.daemon import OWNER_ID, READER, WRITER, Daemon, parse, texts


def names(response):
    return texts(parse(response), "Buckets/Bucket/Name")


def test_a_created_bucket_is_listed_and_gone_when_deleted(daemon, client):
    assert client("PUT", "/photos").headers["location"] == "/photos"
    assert (daemon.data / "photos").is_dir()
    assert names(client("GET", "/")) == ["photos"]
    assert client("HEAD", "/photos").status == 200
    assert client("DELETE", "/photos").status == 204
    assert names(client("GET", "/")) == []
    assert client("HEAD", "/photos").status == 404
    assert client("DELETE", "/photos").error_code == "NoSuchBucket"


def test_a_directory_is_a_bucket(daemon, client):
    (daemon.data / "music").mkdir()
    (daemon.data / "music" / "song.ogg").write_bytes(b"la")
    assert names(client("GET", "/")) == ["music"]
    assert client("GET", "/music/song.ogg").body == b"la"


def test_a_trailing_slash_names_the_same_bucket(client):
    assert client("PUT", "/photos/").status == 200
    assert client("HEAD", "/photos/").status == 200
    assert client("DELETE", "/photos/").status == 204


def test_the_head_of_a_bucket_tells_its_region(daemon, bucket):
    assert daemon.client()("HEAD", bucket).headers["x-amz-bucket-region"] == "us-east-1"


def test_creating_it_again_changes_nothing(client, bucket):
    client.put(bucket + "/a", b"x")
    assert client("PUT", bucket).status == 200
    assert client("GET", bucket + "/a").body == b"x"


def test_creating_it_again_is_a_conflict_outside_the_first_region(tmp_path):
    daemon = Daemon(tmp_path, region="eu-west-3")
    client = daemon.client(region="eu-west-3")
    client.put("/photos")
    response = client("PUT", "/photos")
    assert (response.status, response.error_code) == (409, "BucketAlreadyOwnedByYou")
    daemon.stop()


@pytest.mark.parametrize("name", ["ab", "Photos", "a_b", "192.168.1.1", "xn--a", ".zs3", "%2e%2e"])
def test_a_name_that_s3_refuses_makes_nothing(daemon, client, name):
    before = sorted(path.name for path in daemon.data.iterdir())
    response = client("PUT", "/" + name.replace("%2e", "."))
    assert (response.status, response.error_code) == (400, "InvalidBucketName")
    assert sorted(path.name for path in daemon.data.iterdir()) == before


def test_a_bucket_that_holds_something_is_not_deleted(client, bucket):
    client.put(bucket + "/a")
    assert client("DELETE", bucket).error_code == "BucketNotEmpty"


def test_any_location_will_do_where_no_region_is_set(client):
    body = b"<CreateBucketConfiguration><LocationConstraint>eu-west-3</LocationConstraint></CreateBucketConfiguration>"
    assert client("PUT", "/photos", body=body).status == 200
    assert parse(client("GET", "/photos", {"location": ""})).text is None


def test_the_region_that_is_set_is_the_location(tmp_path):
    daemon = Daemon(tmp_path, region="eu-west-3")
    client = daemon.client(region="eu-west-3")
    body = b"<CreateBucketConfiguration><LocationConstraint>%b</LocationConstraint></CreateBucketConfiguration>"
    response = client("PUT", "/photos", body=body % b"us-west-1")
    assert response.error_code == "IllegalLocationConstraintException"
    assert client("PUT", "/photos", body=body % b"eu-west-3").status == 200
    response = client("GET", "/photos", {"location": ""})
    assert parse(response).text == "eu-west-3"
    assert client("HEAD", "/photos").headers["x-amz-bucket-region"] == "eu-west-3"
    wrong = daemon.client(region="us-east-1")("GET", "/photos")
    assert (wrong.error_code, wrong.element("Region")) == ("AuthorizationHeaderMalformed", "eu-west-3")
    daemon.stop()


def test_a_configuration_that_is_none_makes_no_bucket(daemon, client):
    assert client("PUT", "/photos", body=b"<!DOCTYPE x><x/>").error_code == "MalformedXML"
    assert client("PUT", "/photos", body=b"x" * 300_000).error_code == "MaxMessageLengthExceeded"
    assert not (daemon.data / "photos").exists()


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-acl", "public-read", "InvalidBucketAclWithObjectOwnership"),
        ("x-amz-object-ownership", "Nobody", "InvalidArgument"),
        ("x-amz-bucket-object-lock-enabled", "maybe", "InvalidArgument"),
    ],
)
def test_a_bucket_that_would_not_be_what_was_asked_for_is_not_made(daemon, client, name, value, code):
    assert client("PUT", "/photos", headers={name: value}).error_code == code
    assert not (daemon.data / "photos").exists()


# The list


@pytest.fixture
def four(client):
    for name in ("alpha", "beta", "delta", "gamma"):
        client.put("/" + name)
    return client


def test_buckets_are_listed_in_pages(four):
    root = parse(four("GET", "/", {"max-buckets": "3"}))
    assert texts(root, "Buckets/Bucket/Name") == ["alpha", "beta", "delta"]
    root = parse(four("GET", "/", {"max-buckets": "3", "continuation-token": root.findtext("ContinuationToken")}))
    assert texts(root, "Buckets/Bucket/Name") == ["gamma"]
    assert root.find("ContinuationToken") is None


def test_buckets_are_listed_by_prefix_and_region(four):
    assert names(four("GET", "/", {"prefix": "be"})) == ["beta"]
    assert names(four("GET", "/", {"bucket-region": "us-east-1", "prefix": "g"})) == ["gamma"]
    assert names(four("GET", "/", {"bucket-region": "mars-1"})) == []


@pytest.mark.parametrize("query", [{"max-buckets": "0"}, {"max-buckets": "x"}, {"continuation-token": "!"}])
def test_a_wrong_page_is_refused(client, query):
    assert client("GET", "/", query).error_code == "InvalidArgument"


def test_the_owner_is_who_asks(client):
    root = parse(client("GET", "/"))
    assert (root.findtext("Owner/ID"), root.findtext("Owner/DisplayName")) == (OWNER_ID, "default")


# Who may


def test_a_user_sees_and_makes_only_the_buckets_that_are_the_users(daemon, client):
    for name in ("photos", "secret"):
        client.put("/" + name)
    writer = daemon.client(WRITER)
    assert names(writer("GET", "/")) == ["photos"]
    assert writer("HEAD", "/photos").status == 200
    assert writer("PUT", "/music").status == 200
    for method, name in (("HEAD", "secret"), ("PUT", "other"), ("DELETE", "secret"), ("HEAD", "absent")):
        assert writer(method, "/" + name).status == 403


def test_a_reader_changes_nothing(daemon, client, bucket):
    client.put(bucket + "/a", b"x")
    reader = daemon.client(READER)
    assert names(reader("GET", "/")) == ["photos"]
    assert reader("GET", bucket + "/a").body == b"x"
    assert reader("GET", bucket).status == 200
    refused = [
        reader("PUT", "/other"),
        reader("DELETE", bucket),
        reader("PUT", bucket + "/b", body=b"x"),
        reader("DELETE", bucket + "/a"),
        reader("POST", bucket + "/b", {"uploads": ""}),
        reader("PUT", bucket + "/b", headers={"x-amz-copy-source": "photos/a"}),
        reader("PUT", bucket, {"acl": ""}, {"x-amz-acl": "private"}),
        reader.post_xml(bucket, {"delete": ""}, b"<Delete><Object><Key>a</Key></Object></Delete>"),
    ]
    assert [response.error_code for response in refused] == ["AccessDenied"] * len(refused)
    assert client("GET", bucket + "/a").body == b"x"


# What nobody configured


@pytest.mark.parametrize(
    ("query", "element"),
    [
        ("accelerate", "AccelerateConfiguration"),
        ("acl", "AccessControlPolicy"),
        ("logging", "BucketLoggingStatus"),
        ("notification", "NotificationConfiguration"),
        ("ownershipControls", "OwnershipControls"),
        ("publicAccessBlock", "PublicAccessBlockConfiguration"),
        ("requestPayment", "RequestPaymentConfiguration"),
        ("versioning", "VersioningConfiguration"),
    ],
)
def test_an_untouched_bucket_has_this_by_itself(client, bucket, query, element):
    root = parse(client("GET", bucket, {query: ""}))
    assert root.tag == element


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("cors", "NoSuchCORSConfiguration"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
        ("policy", "NoSuchBucketPolicy"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("website", "NoSuchWebsiteConfiguration"),
    ],
)
def test_an_untouched_bucket_has_none_of_these(client, bucket, query, code):
    response = client("GET", bucket, {query: ""})
    assert (response.status, response.error_code) == (404, code)


def test_what_the_untouched_answers_say(client, bucket):
    acl = parse(client("GET", bucket, {"acl": ""}))
    assert acl.findtext("Owner/ID") == acl.findtext("AccessControlList/Grant/Grantee/ID") == OWNER_ID
    assert texts(acl, "AccessControlList/Grant/Permission") == ["FULL_CONTROL"]
    grantee = acl.find("AccessControlList/Grant/Grantee")
    assert grantee.attrib == {"{http://www.w3.org/2001/XMLSchema-instance}type": "CanonicalUser"}
    assert len(parse(client("GET", bucket, {"versioning": ""}))) == 0
    assert parse(client("GET", bucket, {"requestPayment": ""})).findtext("Payer") == "BucketOwner"
    ownership = parse(client("GET", bucket, {"ownershipControls": ""}))
    assert ownership.findtext("Rule/ObjectOwnership") == "BucketOwnerEnforced"


def test_an_untouched_object(client, bucket):
    client.put(bucket + "/a")
    assert parse(client("GET", bucket + "/a", {"acl": ""})).tag == "AccessControlPolicy"
    for query in ("retention", "legal-hold"):
        response = client("GET", bucket + "/a", {query: ""})
        assert (response.status, response.error_code) == (400, "InvalidRequest")
    torrent = client("GET", bucket + "/a", {"torrent": ""})
    assert (torrent.status, torrent.error_code) == (404, "NoSuchKey")
    assert b"BitTorrent" in torrent.body
    assert client("GET", bucket + "/b", {"acl": ""}).error_code == "NoSuchKey"


@pytest.mark.parametrize("query", ["acl", "versioning", "policy", "location", "uploads", "versions"])
def test_of_no_bucket_nothing_is_said(client, query):
    assert client("GET", "/absent", {query: ""}).error_code == "NoSuchBucket"


@pytest.mark.parametrize("query", ["cors", "encryption", "lifecycle", "policy", "replication", "website"])
def test_what_is_not_there_may_be_removed(client, bucket, query):
    assert client("DELETE", bucket, {query: ""}).status == 204
    assert client("HEAD", bucket).status == 200


@pytest.mark.parametrize("query", ["encryption"])
def test_a_configuration_is_refused_and_not_ignored(client, bucket, query):
    response = client("PUT", bucket, {query: ""}, body=b"<x/>")
    assert (response.status, response.error_code) == (501, "NotImplemented")


@pytest.mark.parametrize("query", ["acl", "tagging", "retention", "legal-hold", "restore", "torrent", "attributes"])
def test_a_subresource_of_an_object_never_overwrites_the_object(client, bucket, query):
    client.put(bucket + "/a", b"old")
    response = client("PUT", bucket + "/a", {query: ""}, body=b"<new/>")
    assert response.status in (400, 501)
    assert client("GET", bucket + "/a").body == b"old"
