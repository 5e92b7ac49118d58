"""Object ownership and the public access block, over the whole tree."""

import pytest

from tests.wire.daemon import ALICE, Daemon, parse, texts
from tests.wire.sharing import DENIED, canonical, outcome
from zs3.auth.access import ENFORCED, PREFERRED, WRITER


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER)
    yield daemon
    daemon.stop()


@pytest.fixture
def bucket(alice):
    """Alice's, private."""
    alice.put("/photos")
    return "/photos"


# Object ownership -----------------------------------------------------------------------------------------------------


def set_ownership(client, bucket, ownership):
    body = f"<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>"
    return client("PUT", bucket, {"ownershipControls": ""}, body=body.encode())


def listed_owners(client, bucket, query=None):
    root = parse(client("GET", bucket, query))
    element = "Version" if query else "Contents"
    return dict(zip(texts(root, f"{element}/Key"), texts(root, f"{element}/Owner/DisplayName"), strict=True))


@pytest.mark.parametrize(
    ("ownership", "owner", "owner_of_given"),
    [(WRITER, "bob", "bob"), (PREFERRED, "bob", "alice")],
)
def test_what_another_account_writes_is_its_own_or_given_away(alice, bob, bucket, ownership, owner, owner_of_given):
    assert set_ownership(alice, bucket, ownership).status == 200
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "public-read-write"}).status == 200
    given = {"x-amz-acl": "bucket-owner-full-control"}
    bob.put(bucket + "/kept", b"content")
    bob.put(bucket + "/given", b"content", given)
    bob.put(bucket + "/copied", headers={"x-amz-copy-source": "/photos/kept"})
    upload = parse(bob("POST", bucket + "/begun", {"uploads": ""}, given)).findtext("UploadId")
    owners = {"kept": owner, "given": owner_of_given, "copied": owner}
    assert listed_owners(alice, bucket) == owners
    assert listed_owners(alice, bucket, {"versions": ""}) == owners
    root = parse(alice("GET", bucket, {"uploads": ""}))
    assert texts(root, "Upload/Owner/DisplayName") == [owner_of_given]
    assert texts(root, "Upload/Initiator/DisplayName") == ["bob"]
    root = parse(bob("GET", bucket + "/begun", {"uploadId": upload}))
    assert (root.findtext("Owner/DisplayName"), root.findtext("Initiator/DisplayName")) == (owner_of_given, "bob")
    assert alice("GET", bucket + "/begun", {"uploadId": upload}).status == 200
    assert outcome(alice("GET", bucket + "/kept")) == DENIED
    assert outcome(alice("PUT", "/photos/x", None, {"x-amz-copy-source": "/photos/kept"})) == DENIED
    assert alice("GET", bucket + "/given").body == b"content"
    # With ACLs disabled all is the bucket owner's, and the writers' again where they are not.
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "private"}).status == 200
    assert set_ownership(alice, bucket, ENFORCED).status == 200
    assert alice("GET", bucket + "/kept").body == b"content"
    assert listed_owners(alice, bucket) == dict.fromkeys(owners, "alice")
    assert outcome(bob("GET", bucket + "/kept")) == DENIED
    assert set_ownership(alice, bucket, ownership).status == 200
    assert bob("GET", bucket + "/kept").status == 200


def test_an_upload_is_aborted_by_who_began_it_or_owns_the_bucket(alice, bob, nobody, bucket):
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "public-read-write"}).status == 200
    for who, others in ((alice, (bob, nobody)), (bob, (nobody,))):
        upload = parse(who("POST", bucket + "/a", {"uploads": ""})).findtext("UploadId")
        for other in others:
            assert outcome(other("GET", bucket + "/a", {"uploadId": upload})) == DENIED
            assert outcome(other("DELETE", bucket + "/a", {"uploadId": upload})) == DENIED
        assert alice("DELETE", bucket + "/a", {"uploadId": upload}).status == 204


def test_ownership_controls_are_those_of_the_daemon_until_they_are_put(tmp_path):
    for number, (ownership, told) in enumerate(((ENFORCED, ENFORCED), (PREFERRED, PREFERRED), (WRITER, None))):
        data = tmp_path / str(number)
        data.mkdir()
        daemon = Daemon(data, ownership=ownership)
        alice = daemon.client(ALICE)
        alice.put("/photos")

        def controls(client=alice):
            response = client("GET", "/photos", {"ownershipControls": ""})
            return response.error_code or parse(response).findtext("Rule/ObjectOwnership")

        assert controls() == (told or "OwnershipControlsNotFoundError")
        for wanted in (ENFORCED, PREFERRED, WRITER):
            assert set_ownership(alice, "/photos", wanted).status == 200
            assert controls() == wanted
        for _ in range(2):
            assert alice("DELETE", "/photos", {"ownershipControls": ""}).status == 204
            assert controls() == (told or "OwnershipControlsNotFoundError")
        assert outcome(set_ownership(alice, "/photos", "Nobody")) == (400, "MalformedXML")
        assert outcome(alice("PUT", "/photos", {"ownershipControls": ""}, body=b"<OwnershipControls/>")) == (
            400,
            "MalformedXML",
        )
        alice.put("/other", headers={"x-amz-object-ownership": PREFERRED})
        assert parse(alice("GET", "/other", {"ownershipControls": ""})).findtext("Rule/ObjectOwnership") == PREFERRED
        daemon.stop()


def test_acls_are_not_disabled_while_one_is_in_use(alice, bucket):
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "public-read"}).status == 200
    assert outcome(set_ownership(alice, bucket, ENFORCED)) == (400, "InvalidBucketAclWithObjectOwnership")
    headers = {"x-amz-object-ownership": ENFORCED, "x-amz-acl": "public-read"}
    assert outcome(alice("PUT", "/other", None, headers)) == (400, "InvalidBucketAclWithObjectOwnership")


@pytest.mark.parametrize(("name", "accepted"), [("private", False), ("bucket-owner-full-control", True)])
def test_where_acls_were_disabled_expressly_none_is_taken_but_the_bucket_owners(alice, bucket, name, accepted):
    alice.put(bucket + "/there", b"x")
    assert set_ownership(alice, bucket, ENFORCED).status == 200
    headers = {"x-amz-acl": name}
    expected = (200, "") if accepted else (400, "AccessControlListNotSupported")
    assert outcome(alice("PUT", bucket, {"acl": ""}, headers)) == expected
    assert outcome(alice("PUT", bucket + "/there", {"acl": ""}, headers)) == expected
    assert outcome(alice("PUT", bucket + "/a", None, headers, b"x")) == expected
    assert outcome(alice("POST", bucket + "/a", {"uploads": ""}, headers)) == expected
    copy = {"x-amz-copy-source": "/photos/there", **headers}
    assert outcome(alice("PUT", bucket + "/b", None, copy)) == expected


# The public access block ----------------------------------------------------------------------------------------------


def block(client, bucket, *names):
    body = "".join(f"<{name}>true</{name}>" for name in names)
    document = f"<PublicAccessBlockConfiguration>{body}</PublicAccessBlockConfiguration>".encode()
    return client("PUT", bucket, {"publicAccessBlock": ""}, body=document)


def blocked(client, bucket):
    response = client("GET", bucket, {"publicAccessBlock": ""})
    return response.error_code or [each.tag for each in parse(response) if each.text == "true"]


def test_a_public_access_block_is_what_was_put(alice, bucket):
    assert blocked(alice, bucket) == "NoSuchPublicAccessBlockConfiguration"
    for names in (["BlockPublicAcls", "BlockPublicPolicy"], [], ["IgnorePublicAcls", "RestrictPublicBuckets"]):
        assert block(alice, bucket, *names).status == 200
        assert blocked(alice, bucket) == names
    for _ in range(2):
        assert alice("DELETE", bucket, {"publicAccessBlock": ""}).status == 204
        assert blocked(alice, bucket) == "NoSuchPublicAccessBlockConfiguration"
    assert outcome(block(alice, bucket, "Other")) == (400, "MalformedXML")


@pytest.mark.parametrize("name", ["public-read", "public-read-write", "authenticated-read"])
def test_where_that_is_blocked_no_acl_becomes_public(daemon, alice, bob, bucket, name):
    headers = {"x-amz-acl": name}
    alice.put(bucket + "/there", b"x", headers)
    assert block(alice, bucket, "BlockPublicAcls").status == 200
    assert outcome(alice("PUT", bucket, {"acl": ""}, headers)) == DENIED
    assert outcome(alice("PUT", bucket + "/there", {"acl": ""}, headers)) == DENIED
    assert outcome(alice("PUT", bucket + "/a", None, headers, b"x")) == DENIED
    assert outcome(alice("POST", bucket + "/a", {"uploads": ""}, headers)) == DENIED
    copy = {"x-amz-copy-source": "/photos/there", **headers}
    assert outcome(alice("PUT", bucket + "/a", None, copy)) == DENIED
    assert not (daemon.data / "photos" / "a").exists()
    # What is public stays so, and what is not public may be granted.
    assert bob("GET", bucket + "/there").status == 200
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-grant-read": canonical("bob")}).status == 200


def test_a_public_acl_can_be_ignored(alice, bob, nobody, bucket):
    headers = {"x-amz-acl": "public-read"}
    assert alice("PUT", bucket, {"acl": ""}, headers).status == 200
    alice.put(bucket + "/a", b"content", headers)
    assert block(alice, bucket, "IgnorePublicAcls").status == 200
    for client in (bob, nobody):
        assert outcome(client("GET", bucket)) == DENIED
        assert outcome(client("GET", bucket + "/a")) == DENIED
    assert alice("DELETE", bucket, {"publicAccessBlock": ""}).status == 204
    assert nobody("GET", bucket + "/a").body == b"content"


def test_a_bucket_that_lets_acls_work_is_not_public_by_that_where_new_ones_are_blocked(tmp_path):
    daemon = Daemon(tmp_path, ownership=ENFORCED)
    alice = daemon.client(ALICE)
    headers = {"x-amz-object-ownership": WRITER}
    public = {"x-amz-acl": "public-read"}
    code = "InvalidBucketAclWithBlockPublicAccessError"
    assert outcome(alice("PUT", "/photos", None, headers | public)) == (400, code)
    alice.put("/photos", headers=headers)
    assert len(blocked(alice, "/photos")) == 4
    assert outcome(alice("PUT", "/photos/a", None, public, b"x")) == DENIED
    assert alice("DELETE", "/photos", {"publicAccessBlock": ""}).status == 204
    alice.put("/photos/a", b"x", public)
    assert daemon.client(None)("GET", "/photos/a").body == b"x"
    daemon.stop()
