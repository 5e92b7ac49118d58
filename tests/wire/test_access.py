"""Who may do what, over the whole tree: accounts, requests that nobody signed, ACLs, ownership, public access."""

import re

import pytest
from twisted.cred.portal import Portal

from tests.wire.daemon import ADMIN, ALICE, BOB, READER, Daemon, parse, texts
from zs3.auth import accounts
from zs3.auth.access import ENFORCED, PREFERRED, WRITER
from zs3.auth.users import User
from zs3.web.guard import S3Guard
from zs3.web.resources import Realm

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}type"


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER)
    yield daemon
    daemon.stop()


@pytest.fixture
def alice(daemon):
    return daemon.client(ALICE)


@pytest.fixture
def bob(daemon):
    return daemon.client(BOB)


@pytest.fixture
def nobody(daemon):
    return daemon.client(None)


@pytest.fixture
def bucket(alice):
    """Alice's, private."""
    alice.put("/photos")
    return "/photos"


def outcome(response):
    return response.status, response.error_code


DENIED = (403, "AccessDenied")


def canonical(account):
    return f'id="{accounts.canonical_id(account)}"'


def policy(owner, *grants):
    """An AccessControlPolicy; a grant is an account or a URI, and a permission."""
    body = f"<AccessControlPolicy><Owner><ID>{accounts.canonical_id(owner)}</ID></Owner><AccessControlList>"
    for who, permission in grants:
        named = f"<URI>{who}</URI>" if "/" in who else f"<ID>{accounts.canonical_id(who)}</ID>"
        body += f"<Grant><Grantee>{named}</Grantee><Permission>{permission}</Permission></Grant>"
    return f"{body}</AccessControlList></AccessControlPolicy>".encode()


def grants(client, path):
    """The grants of an ACL as pairs of what is granted and to whom; the owner first."""
    root = parse(client("GET", path, {"acl": ""}))
    found = [root.findtext("Owner/DisplayName")]
    for grant in root.findall("AccessControlList/Grant"):
        grantee = grant.find("Grantee")
        kind = {"CanonicalUser": "DisplayName", "Group": "URI"}[grantee.get(XSI)]
        found.append((grantee.findtext(kind), grant.findtext("Permission")))
    return found


# Accounts -------------------------------------------------------------------------------------------------------------


def test_an_account_sees_its_own_buckets_alone(daemon, client, alice, bob, bucket):
    client.put("/ours")
    (daemon.data / "made-by-hand").mkdir()
    bob.put("/bobs")

    def seen(who):
        root = parse(who("GET", "/"))
        return root.findtext("Owner/DisplayName"), texts(root, "Buckets/Bucket/Name")

    assert seen(alice) == ("alice", ["photos"])
    assert seen(bob) == ("bob", ["bobs"])
    assert seen(client) == ("default", ["made-by-hand", "ours"])


@pytest.mark.parametrize("ownership", [ENFORCED, WRITER])
def test_what_belongs_to_another_account_is_denied(tmp_path, ownership):
    daemon = Daemon(tmp_path, ownership=ownership)
    alice, clients = daemon.client(ALICE), [daemon.client(who) for who in (BOB, ADMIN, None)]
    alice.put("/photos")
    alice.put("/photos/a", b"content")
    upload = parse(alice("POST", "/photos/b", {"uploads": ""})).findtext("UploadId")
    for client in clients:
        for method, path, query in (
            *(("GET", "/photos", query) for query in (None, {"list-type": "2"}, {"versions": ""}, {"uploads": ""})),
            *(("GET", "/photos", {query: ""}) for query in ("acl", "policy", "publicAccessBlock", "location")),
            *(("PUT", "/photos", {query: ""}) for query in ("acl", "ownershipControls", "publicAccessBlock")),
            *((method, "/photos", None) for method in ("HEAD", "DELETE")),
            *((method, "/photos/a", None) for method in ("GET", "HEAD", "PUT", "DELETE")),
            *((method, "/photos/absent", None) for method in ("GET", "HEAD", "PUT", "DELETE")),
            *((method, "/photos/a", {"acl": ""}) for method in ("GET", "PUT")),
            *((method, "/photos/b", {"uploadId": upload}) for method in ("GET", "POST", "DELETE")),
            ("PUT", "/photos/b", {"uploadId": upload, "partNumber": "1"}),
            ("POST", "/photos/b", {"uploads": ""}),
            ("POST", "/photos", {"delete": ""}),
        ):
            response = client(method, path, query)
            assert response.status == 403, (client.user, method, path, query)
            assert response.error_code == ("AccessDenied" if method != "HEAD" else "")
    assert (tmp_path / "photos" / "a").read_bytes() == b"content"
    daemon.stop()


def test_the_name_of_anothers_bucket_is_taken(alice, bob, bucket):
    assert outcome(bob("PUT", bucket)) == (409, "BucketAlreadyExists")
    assert outcome(alice("PUT", bucket)) == (200, "")
    # Not changed by the way.
    assert outcome(alice("PUT", bucket, None, {"x-amz-acl": "public-read"})) == (409, "BucketAlreadyExists")
    assert grants(alice, bucket) == ["alice", ("alice", "FULL_CONTROL")]


def test_only_the_bucket_of_the_expected_owner_is_meant(alice, bob, bucket):
    for owner, status in (("alice", 200), ("bob", 403)):
        headers = {"x-amz-expected-bucket-owner": accounts.canonical_id(owner)}
        assert alice("GET", bucket, None, headers).status == status
        assert alice("PUT", bucket + "/a", None, headers, b"").status == status
    alice.put(bucket + "/a", b"content", {"x-amz-acl": "public-read"})
    bob.put("/bobs")
    for owner, status in (("alice", 200), ("bob", 403)):
        copy = {"x-amz-copy-source": "/photos/a", "x-amz-source-expected-bucket-owner": accounts.canonical_id(owner)}
        assert bob("PUT", "/bobs/a", None, copy).status == status


def test_a_role_limits_what_a_user_may_do_whatever_is_granted(daemon, alice, bucket):
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "public-read-write"}).status == 200
    reader = daemon.client(READER)
    assert reader("GET", bucket).status == 200
    assert outcome(reader("PUT", bucket + "/a", body=b"x")) == DENIED


# Requests that nobody signed ------------------------------------------------------------------------------------------


def test_nobody_lists_or_makes_buckets(nobody):
    assert outcome(nobody("GET", "/")) == DENIED
    assert outcome(nobody("PUT", "/photos")) == DENIED


def test_a_public_object_is_read_by_anybody(alice, nobody, bucket):
    alice.put(bucket + "/a", b"content", {"x-amz-acl": "public-read"})
    response = nobody("GET", bucket + "/a")
    assert (response.status, response.body) == (200, b"content")
    assert nobody("HEAD", bucket + "/a").headers["content-length"] == "7"
    assert nobody("GET", bucket + "/a", None, {"Range": "bytes=1-2"}).body == b"on"
    # That, and nothing else.
    assert outcome(nobody("GET", bucket)) == DENIED
    assert outcome(nobody("GET", bucket + "/a", {"acl": ""})) == DENIED
    assert outcome(nobody("DELETE", bucket + "/a")) == DENIED


def test_nobody_chooses_the_headers_of_an_answer(alice, nobody, bucket):
    alice.put(bucket + "/a", b"content", {"x-amz-acl": "public-read"})
    query = {"response-content-type": "text/html"}
    assert outcome(nobody("GET", bucket + "/a", query)) == (400, "InvalidRequest")
    assert alice("GET", bucket + "/a", query).headers["content-type"] == "text/html"


def test_a_public_bucket_is_listed_and_its_objects_are_not_read_by_that(alice, bob, nobody, bucket):
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "public-read"}).status == 200
    alice.put(bucket + "/a", b"content")
    for client in (bob, nobody):
        assert texts(parse(client("GET", bucket, {"list-type": "2"})), "Contents/Key") == ["a"]
        assert client("HEAD", bucket).status == 200
        assert outcome(client("GET", bucket + "/a")) == DENIED
        assert outcome(client("GET", bucket + "/absent")) == (404, "NoSuchKey"), "who may list knows"
        assert outcome(client("PUT", bucket + "/b", body=b"x")) == DENIED


def test_a_bucket_may_be_written_by_anybody(daemon, alice, nobody, bucket):
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "public-read-write"}).status == 200
    assert nobody("PUT", bucket + "/a", body=b"content").status == 200
    assert (daemon.data / "photos" / "a").read_bytes() == b"content"
    root = parse(alice("GET", bucket))
    assert texts(root, "Contents/Owner/ID") == ["65a011a29cdf8ec533ec3d1ccaae921c"]
    # Its owner is nobody: that makes nobody no owner, but by the grant that there is.
    assert grants(nobody, bucket + "/a") == ["anonymous", ("anonymous", "FULL_CONTROL")]
    assert outcome(alice("GET", bucket + "/a")) == DENIED
    assert alice("DELETE", bucket + "/a").status == 204


def test_nobody_may_send_chunks_that_nobody_signed_and_no_others(alice, nobody, bucket):
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "public-read-write"}).status == 200
    body = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n"
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "3",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "Content-Encoding": "aws-chunked",
    }
    assert nobody("PUT", bucket + "/a", None, headers, body).status == 200
    assert nobody("GET", bucket + "/a").body == b"abc"
    headers["x-amz-content-sha256"] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    assert outcome(nobody("PUT", bucket + "/b", None, headers, body)) == DENIED
    headers = {"x-amz-content-sha256": "0" * 64}
    assert outcome(nobody("PUT", bucket + "/b", None, headers, b"abc")) == (400, "XAmzContentSHA256Mismatch")


# ACLs -----------------------------------------------------------------------------------------------------------------

CANNED = {
    "private": [],
    "public-read": [(ALL_USERS, "READ")],
    "public-read-write": [(ALL_USERS, "READ"), (ALL_USERS, "WRITE")],
    "authenticated-read": [(AUTHENTICATED, "READ")],
}
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
BOBS = ("bob", "FULL_CONTROL")


@pytest.mark.parametrize("name", CANNED)
def test_a_canned_acl_is_that_list(alice, name):
    headers = {"x-amz-acl": name}
    expected = ["alice", *CANNED[name], ("alice", "FULL_CONTROL")]
    alice.put("/photos", headers=headers)
    alice.put("/photos/put", b"x", headers)
    alice.put("/photos/copied", headers={"x-amz-copy-source": "/photos/put", **headers})
    upload = parse(alice("POST", "/photos/parts", {"uploads": ""}, headers)).findtext("UploadId")
    part = alice("PUT", "/photos/parts", {"uploadId": upload, "partNumber": "1"}, body=b"x").headers["etag"]
    parts = f"<Part><PartNumber>1</PartNumber><ETag>{part}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    assert alice("POST", "/photos/parts", {"uploadId": upload}, body=document).status == 200
    alice.put("/photos/later", b"x")
    assert alice("PUT", "/photos/later", {"acl": ""}, headers).status == 200
    for path in ("/photos", "/photos/put", "/photos/copied", "/photos/parts", "/photos/later"):
        assert grants(alice, path) == expected, path
    alice.put("/other")
    assert alice("PUT", "/other", {"acl": ""}, headers).status == 200
    assert grants(alice, "/other") == expected


def test_canned_acls_that_are_for_one_kind_alone(alice, bucket):
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "log-delivery-write"}).status == 200
    assert grants(alice, bucket)[1:3] == [(LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")]
    headers = {"x-amz-acl": "log-delivery-write"}
    assert outcome(alice("PUT", bucket + "/a", None, headers, b"")) == (400, "InvalidArgument")
    for name in ("bucket-owner-read", "bucket-owner-full-control"):
        assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": name}).status == 200
        assert grants(alice, bucket) == ["alice", ("alice", "FULL_CONTROL")]
    assert outcome(alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "aws-exec-read"})) == (501, "NotImplemented")
    assert outcome(alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "none-such"})) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("read", canonical("bob"), [("bob", "READ")]),
        ("write-acp", f"{canonical('bob')}, uri={ALL_USERS}", [(ALL_USERS, "WRITE_ACP"), ("bob", "WRITE_ACP")]),
        ("full-control", f'{canonical("bob")} ,uri="{LOG_DELIVERY}"', [(LOG_DELIVERY, "FULL_CONTROL"), BOBS]),
        ("read-acp", f"{canonical('bob')},{canonical('bob')}", [("bob", "READ_ACP")]),
    ],
)  # fmt: skip
def test_headers_grant(alice, header, value, expected):
    headers = {f"x-amz-grant-{header}": value}
    alice.put("/photos", headers=headers)
    alice.put("/photos/a", b"x", headers)
    for path in ("/photos", "/photos/a"):
        assert grants(alice, path) == ["alice", *expected], "and nobody else, not even the owner"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-grant-read": f'id="{"0" * 64}"'}, "InvalidArgument"),
        ({"x-amz-grant-read": "uri=http://example.org/"}, "InvalidArgument"),
        ({"x-amz-grant-read": "emailAddress=a@example.org"}, "UnresolvableGrantByEmailAddress"),
        ({"x-amz-grant-read": "alice"}, "InvalidArgument"),
        ({"x-amz-grant-read": ""}, "InvalidArgument"),
        ({"x-amz-grant-read": f"{canonical('bob')} {canonical('alice')}"}, "InvalidArgument"),
        ({"x-amz-grant-read": f"{canonical('bob')},"}, "InvalidArgument"),
        ({"x-amz-grant-read": canonical("bob"), "x-amz-acl": "private"}, "InvalidRequest"),
    ],
)
def test_headers_that_grant_nothing_that_is_there_are_refused(daemon, alice, bucket, headers, code):
    for path, query in ((bucket, {"acl": ""}), ("/other", None), (bucket + "/a", None)):
        response = alice("PUT", path, query, headers, b"")
        assert outcome(response) == (400, code)
    assert not (daemon.data / "other").exists()
    assert not (daemon.data / "photos" / "a").exists()


@pytest.mark.parametrize("path", ["/photos", "/photos/a"])
def test_a_document_grants(alice, bob, nobody, bucket, path):
    alice.put(bucket + "/a", b"content")
    document = policy("alice", ("bob", "FULL_CONTROL"), (ALL_USERS, "READ_ACP"))
    assert alice("PUT", path, {"acl": ""}, body=document).status == 200
    expected = ["alice", (ALL_USERS, "READ_ACP"), ("bob", "FULL_CONTROL")]
    for client in (alice, bob, nobody):
        assert grants(client, path) == expected
    # What was read can be put, by who may; and who may not cannot.
    assert bob("PUT", path, {"acl": ""}, body=alice("GET", path, {"acl": ""}).body).status == 200
    assert outcome(nobody("PUT", path, {"acl": ""}, body=document)) == DENIED
    assert grants(alice, path) == expected
    # Nobody gives it to another.
    assert outcome(bob("PUT", path, {"acl": ""}, body=policy("bob", ("bob", "FULL_CONTROL")))) == DENIED
    # The owner of what nobody may do anything with still may.
    assert bob("PUT", path, {"acl": ""}, body=policy("alice")).status == 200
    assert grants(alice, path) == ["alice"]
    assert outcome(bob("GET", path, {"acl": ""})) == DENIED
    assert alice("GET", path).status == 200


GRANTEE = re.compile(b"<Grantee>.*</Grantee>")
EMAIL = b"<Grantee><EmailAddress>a@b</EmailAddress></Grantee>"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (policy("alice", *[("bob", "READ")] * 100), ""),
        (policy("alice", ("bob", "READ"), ("bob", "WRITE"), ("alice", "READ")), ""),
        (policy("alice", ("nobody-here", "READ")), "InvalidArgument"),
        (policy("alice", ("http://example.org/", "READ")), "InvalidArgument"),
        (policy("alice", ("bob", "EVERYTHING")), "MalformedACLError"),
        (policy("alice", ("bob", "READ")).replace(b"<ID>", b"<EmailAddress>a@b</EmailAddress><ID>", 2), "MalformedXML"),
        (GRANTEE.sub(b"<Grantee/>", policy("alice", ("bob", "READ"))), "MalformedACLError"),
        (GRANTEE.sub(EMAIL, policy("alice", ("bob", "READ"))), "UnresolvableGrantByEmailAddress"),
        (b"<AccessControlPolicy/>", "MalformedACLError"),
        (b"", "MissingSecurityHeader"),
    ],
)  # fmt: skip
def test_a_document_must_be_an_acl(alice, bucket, document, code):
    alice.put(bucket + "/a", b"content")
    for path in (bucket, bucket + "/a"):
        before = grants(alice, path)
        response = alice("PUT", path, {"acl": ""}, body=document)
        assert outcome(response) == ((400, code) if code else (200, ""))
        assert not code or grants(alice, path) == before


def test_an_acl_has_at_most_100_grants(daemon, alice, bucket):
    users = {f"KEY{n}": User(f"KEY{n}", "secret-key", "reader", None, f"u{n}", f"account{n}") for n in range(101)}
    daemon.users._users.update(users)
    everybody = [(f"account{n}", "READ") for n in range(101)]
    alice.put(bucket + "/a", b"content")
    for path in (bucket, bucket + "/a"):
        assert outcome(alice("PUT", path, {"acl": ""}, body=policy("alice", *everybody))) == (400, "MalformedACLError")
        assert alice("PUT", path, {"acl": ""}, body=policy("alice", *everybody[1:])).status == 200
        assert grants(alice, path) == ["alice", *everybody[1:]]
    # More than fits into an attribute of the file.
    assert daemon.client(users["KEY100"])("GET", bucket + "/a").body == b"content"
    assert outcome(daemon.client(users["KEY0"])("GET", bucket + "/a")) == DENIED


def test_an_acl_changes_nothing_else_of_an_object(alice, bucket):
    alice.put(bucket + "/a", b"content", {"x-amz-meta-colour": "red", "Content-Type": "text/x"})
    before = alice("HEAD", bucket + "/a").headers
    assert alice("PUT", bucket + "/a", {"acl": ""}, {"x-amz-acl": "public-read"}).status == 200
    after = alice("HEAD", bucket + "/a").headers
    varying = ("x-amz-request-id", "x-amz-id-2", "date")
    assert {k: v for k, v in after.items() if k not in varying} == {k: v for k, v in before.items() if k not in varying}


def test_a_new_object_has_not_the_acl_of_the_old_one_nor_a_copy_that_of_its_source(alice, nobody, bucket):
    alice.put(bucket + "/a", b"content", {"x-amz-acl": "public-read"})
    for headers in ({}, {"x-amz-metadata-directive": "REPLACE"}):
        alice.put(bucket + "/b", headers={"x-amz-copy-source": "/photos/a", **headers})
        assert grants(alice, bucket + "/b") == ["alice", ("alice", "FULL_CONTROL")]
        assert outcome(nobody("GET", bucket + "/b")) == DENIED
    alice.put(bucket + "/a", b"other")
    assert outcome(nobody("GET", bucket + "/a")) == DENIED


def test_a_file_that_others_changed_is_the_bucket_owners_alone(daemon, alice, nobody, bucket):
    """What its record said of another content is no reason to show this one."""
    alice.put(bucket + "/a", b"content", {"x-amz-acl": "public-read"})
    assert nobody("GET", bucket + "/a").status == 200
    (daemon.data / "photos" / "a").write_bytes(b"something that is not public")
    assert outcome(nobody("GET", bucket + "/a")) == DENIED
    assert alice("GET", bucket + "/a").status == 200


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


# The short cut --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ownership", [ENFORCED, PREFERRED, WRITER])
def test_the_short_cut_lets_in_whom_the_ordinary_way_lets_in(tmp_path, ownership):
    daemon = Daemon(tmp_path, ownership=ownership)
    guard = daemon.server.site.resource
    express, said = guard._express, []

    class Watched:
        def serve(self, head, channel):
            said.append(express.serve(head, channel))
            return said[-1]

    for owner, bucket in ((ALICE, "/alices"), (ADMIN, "/ours")):
        client = daemon.client(owner)
        client.put(bucket)
        client.put(bucket + "/private", b"content")
        if ownership != ENFORCED:
            client.put(bucket + "/public", b"content", {"x-amz-acl": "public-read"})
            client.put(bucket + "/bobs", b"content", {"x-amz-grant-read": canonical("bob")})
            assert client("PUT", bucket, {"acl": ""}, {"x-amz-acl": "public-read-write"}).status == 200
            daemon.client(BOB).put(bucket + "/by-bob", b"content")
    both = set()
    for user in (ALICE, BOB, ADMIN, READER, None):
        client = daemon.client(user)
        for bucket in ("/alices", "/ours"):
            for key in ("private", "public", "bobs", "by-bob", "absent"):
                for method in ("GET", "HEAD"):
                    answers = []
                    for way in (Watched(), None):
                        guard._express = way
                        response = client(method, f"{bucket}/{key}")
                        answers.append((response.status, response.error_code, response.headers.get("etag")))
                    assert answers[0] == answers[1], (user, bucket, key)
                    assert said[-1] == (answers[0][0] == 200)
                    both.add(said[-1])
    guard._express = express
    assert both == {True, False}
    daemon.stop()


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": "*"},
        {"Range": "bytes=1-2"},
        {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"},
        {"x-amz-content-sha256": "nonsense"},
        {"x-amz-date": "nonsense"},
        {"Authorization": "nonsense"},
        {"Authorization": ""},
        {"x-amz-expected-bucket-owner": "0" * 64},
    ],
)
def test_the_short_cut_answers_nobody_as_the_ordinary_way_does(daemon, alice, nobody, bucket, headers):
    alice.put(bucket + "/a", b"content", {"x-amz-acl": "public-read"})
    guard = daemon.server.site.resource
    express, answers = guard._express, []
    for way in (express, None):
        guard._express = way
        response = nobody("GET", bucket + "/a", None, headers)
        answers.append((response.status, response.error_code, response.headers.get("etag")))
    guard._express = express
    assert answers[0] == answers[1]


def test_where_the_portal_has_no_checker_for_it_nobody_is_let_in(daemon, alice, bucket):
    alice.put(bucket + "/a", b"content", {"x-amz-acl": "public-read"})
    users = daemon.users
    daemon.server.site.resource = S3Guard(
        Portal(Realm(daemon.store, users), [users]),
        region=None,
        sigv2=True,
        domains=(),
        clock=daemon.server.clock,
        ownership=WRITER,
    )
    assert outcome(daemon.client(None)("GET", bucket + "/a")) == DENIED
    assert daemon.client(BOB)("GET", bucket + "/a").status == 200
