"""Who may do what, over the whole tree: accounts, requests that nobody signed, ACLs."""

import re

import pytest
from twisted.cred.portal import Portal

from tests.wire.daemon import ADMIN, ALICE, BOB, READER, Daemon, parse, texts
from tests.wire.sharing import ALL_USERS, AUTHENTICATED, DENIED, canonical, grants, outcome, policy
from zs3.auth import accounts
from zs3.auth.access import ENFORCED, PREFERRED, WRITER
from zs3.auth.users import User
from zs3.web.guard import S3Guard
from zs3.web.resources import Realm


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
