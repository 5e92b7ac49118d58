"""Bucket policies over the whole tree: put and told, and what they mean for other requests.

Numbers in names are those of attacks in the project's list.
"""

import json

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from tests import forms
from tests.wire.daemon import ALICE, BOB, CLERK, READING_BOB, Daemon, parse, texts
from tests.wire.sharing import DENIED, outcome
from zs3.auth import accounts
from zs3.auth.access import ENFORCED, WRITER
from zs3.auth.policy_names import KEYS
from zs3.web.accesslog import AccessLog
from zs3.web.context import RequestContext
from zs3.web.express import Express

ARN = "arn:aws:s3:::photos"


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER)
    yield daemon
    daemon.stop()


@pytest.fixture
def clerk(daemon):
    return daemon.client(CLERK)


@pytest.fixture
def bucket(alice):
    """Alice's."""
    alice.put("/photos")
    return "/photos"


def statement(**changes):
    elements = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": ARN + "/*", **changes}
    return {name: value for name, value in elements.items() if value is not None}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def put_policy(client, *statements, bucket="/photos"):
    response = client("PUT", bucket, {"policy": ""}, body=document(*statements).encode())
    assert outcome(response) == (204, ""), response.body


def is_public(client, bucket="/photos"):
    return parse(client("GET", bucket, {"policyStatus": ""})).findtext("IsPublic")


# The operations -------------------------------------------------------------------------------------------------------


def test_a_policy_is_given_back_as_it_was_put(alice, bucket):
    text = '{ "Statement" :\n[' + json.dumps(statement(Sid="Für alle")) + "] }"
    assert alice("PUT", bucket, {"policy": ""}, body=text.encode()).status == 204
    response = alice("GET", bucket, {"policy": ""})
    assert (response.status, response.body) == (200, text.encode())
    assert response.headers["content-type"] == "application/json"
    assert alice("DELETE", bucket, {"policy": ""}).status == 204
    assert outcome(alice("GET", bucket, {"policy": ""})) == (404, "NoSuchBucketPolicy")
    assert alice("DELETE", bucket, {"policy": ""}).status == 204


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedPolicy"),
        (b"\xff", "MalformedPolicy"),
        (b'{"Statement": [], "\\ud800\\u0000": 1}', "MalformedPolicy"),
        (document(statement(Resource="arn:aws:s3:::other/*")).encode(), "MalformedPolicy"),
        (document(statement(Sid="x" * 20480)).encode(), "MalformedPolicy"),
        (b"x" * 300000, "MaxMessageLengthExceeded"),
    ],
)
def test_what_is_no_policy_changes_nothing(alice, bucket, body, code):
    put_policy(alice, statement())
    assert outcome(alice("PUT", bucket, {"policy": ""}, body=body)) == (400, code)
    assert json.loads(alice("GET", bucket, {"policy": ""}).body)["Statement"] == [statement()]


def test_a_reason_is_told_that_a_document_can_carry(alice, bucket):
    response = alice("PUT", bucket, {"policy": ""}, body=b'{"Statement": [], "<\\u0000>": 1}')
    assert parse(response).findtext("Message") == "Unknown field <\ufffd>"


def test_22_only_the_owners_account_sees_or_changes_a_policy(alice, clerk, bob, nobody, bucket):
    put_policy(alice, statement(Action="s3:*", Resource=[ARN, ARN + "/*"]))
    body = document(statement(Effect="Deny")).encode()
    for client in (bob, nobody):
        for method in ("GET", "DELETE", "PUT"):
            response = client(method, bucket, {"policy": ""}, body=body if method == "PUT" else None)
            assert outcome(response) == (405, "MethodNotAllowed")
    assert clerk("GET", bucket, {"policy": ""}).status == 200


def test_the_status_tells_what_makes_a_bucket_public(alice, bucket):
    assert is_public(alice) == "false"
    put_policy(alice, statement(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}))
    assert is_public(alice) == "false"
    put_policy(alice, statement())
    assert is_public(alice) == "true"
    alice("DELETE", bucket, {"policy": ""})
    assert alice("PUT", bucket, {"acl": ""}, {"x-amz-acl": "authenticated-read"}).status == 200
    assert is_public(alice) == "true"


BLOCK = (
    b"<PublicAccessBlockConfiguration><%s>true</%s></PublicAccessBlockConfiguration>"
)  # fmt: skip


def block(client, what, bucket="/photos"):
    body = BLOCK.replace(b"%s", what.encode())
    assert client("PUT", bucket, {"publicAccessBlock": ""}, body=body).status == 200


def test_a_public_policy_can_be_blocked(alice, bucket):
    block(alice, "BlockPublicPolicy")
    response = alice("PUT", bucket, {"policy": ""}, body=document(statement()).encode())
    assert outcome(response) == DENIED
    assert outcome(alice("GET", bucket, {"policy": ""})) == (404, "NoSuchBucketPolicy")
    put_policy(alice, statement(Principal={"AWS": "bob"}))


def test_a_public_bucket_can_be_restricted_to_its_account(alice, clerk, bob, nobody, bucket):
    alice.put(bucket + "/a", b"content", {"x-amz-acl": "public-read"})
    put_policy(alice, statement())
    assert nobody("GET", bucket + "/a").status == 200
    block(alice, "RestrictPublicBuckets")
    assert outcome(nobody("GET", bucket + "/a")) == outcome(bob("GET", bucket + "/a")) == DENIED
    assert alice("GET", bucket + "/a").status == clerk("GET", bucket + "/a").status == 200
    put_policy(alice, statement(Principal={"AWS": "bob"}))
    assert bob("GET", bucket + "/a").status == 200, "the policy is not public"


def test_a_new_bucket_blocks_public_policies_where_acls_are_disabled(tmp_path):
    daemon = Daemon(tmp_path, ownership=ENFORCED)
    alice, nobody = daemon.client(ALICE), daemon.client(None)
    alice.put("/photos")
    alice.put("/photos/a", b"content")
    body = document(statement()).encode()
    assert outcome(alice("PUT", "/photos", {"policy": ""}, body=body)) == DENIED
    assert alice("DELETE", "/photos", {"publicAccessBlock": ""}).status == 204
    put_policy(alice, statement())
    assert nobody("GET", "/photos/a").body == b"content"
    daemon.stop()


# What a policy means --------------------------------------------------------------------------------------------------


def test_a_public_prefix(alice, bob, nobody, bucket):
    alice.put(bucket + "/public/a", b"content")
    alice.put(bucket + "/private/a", b"secret")
    put_policy(alice, statement(Resource=ARN + "/public/*"))
    for client in (bob, nobody):
        assert client("GET", bucket + "/public/a").body == b"content"
        assert client("HEAD", bucket + "/public/a").status == 200
        assert client("GET", bucket + "/public/a", None, {"Range": "bytes=1-2"}).body == b"on"
        assert outcome(client("GET", bucket + "/private/a")) == DENIED
        assert outcome(client("GET", bucket + "/public/absent")) == DENIED, "who may not list is not told"
        assert outcome(client("GET", bucket)) == DENIED
        assert outcome(client("PUT", bucket + "/public/b", body=b"x")) == DENIED
        assert outcome(client("DELETE", bucket + "/public/a")) == DENIED


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_denial_counts_for_the_owner_too_and_at_once(daemon, alice, clerk, bucket, method):
    alice.put(bucket + "/a", b"content")
    alice.put(bucket + "/b", b"content")
    for client in (alice, clerk):
        assert client(method, bucket + "/a").status == 200
    put_policy(alice, statement(Effect="Deny", Resource=ARN + "/a"))
    for client in (alice, clerk):
        assert client(method, bucket + "/a").status == 403
        assert client(method, bucket + "/b").status == 200
    alice("DELETE", bucket, {"policy": ""})
    assert clerk(method, bucket + "/a").status == 200


def test_an_administrator_of_the_owner_can_always_undo_a_policy(alice, clerk, bucket):
    put_policy(alice, statement(Effect="Deny", Action="s3:*", Resource=[ARN, ARN + "/*"]))
    assert outcome(alice("GET", bucket)) == DENIED
    for method in ("GET", "PUT", "DELETE"):
        assert outcome(clerk(method, bucket, {"policy": ""})) == DENIED
    assert alice("GET", bucket, {"policy": ""}).status == 200
    put_policy(alice, statement())
    assert alice("DELETE", bucket, {"policy": ""}).status == 204
    assert alice("GET", bucket).status == 200


def test_a_denial_beats_an_acl(alice, nobody, bucket):
    alice.put(bucket + "/a", b"content", {"x-amz-acl": "public-read"})
    put_policy(alice, statement(Effect="Deny"))
    assert outcome(nobody("GET", bucket + "/a")) == DENIED


def test_a_denied_key_is_denied_whether_it_is_there_or_not(alice, bucket):
    alice.put(bucket + "/a")
    put_policy(alice, statement(Effect="Deny"))
    assert outcome(alice("GET", bucket + "/a")) == outcome(alice("GET", bucket + "/absent")) == DENIED


def test_a_role_limits_whatever_a_policy_allows(daemon, alice, bucket):
    put_policy(alice, statement(Action="s3:*"))
    client = daemon.client(READING_BOB)
    assert outcome(client("PUT", bucket + "/a", body=b"x")) == DENIED
    alice.put(bucket + "/a", b"content")
    assert client("GET", bucket + "/a").status == 200


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [
        ({"AWS": "bob"}, True),
        ({"AWS": "arn:aws:iam::bob:root"}, True),
        ({"AWS": "arn:aws:iam::bob:user/bob2"}, True),
        ({"AWS": "arn:aws:iam::bob:user/ann"}, False),
        ({"AWS": "arn:aws:iam::other:root"}, False),
        ({"CanonicalUser": accounts.canonical_id("bob")}, True),
    ],
)
def test_another_account(alice, bob, nobody, bucket, principal, allowed):
    alice.put(bucket + "/a", b"content")
    put_policy(alice, statement(Principal=principal))
    assert bob("GET", bucket + "/a").status == (200 if allowed else 403)
    assert nobody("GET", bucket + "/a").status == 403


def test_a_policy_gives_away_only_what_belongs_to_the_owner_of_the_bucket(alice, bob, nobody, bucket):
    put_policy(alice, statement(Action=["s3:PutObject", "s3:GetObject", "s3:GetObjectAcl"]))
    bob.put(bucket + "/bobs", b"content")
    assert bob("GET", bucket + "/bobs").status == 200
    for client in (alice, nobody):
        assert outcome(client("GET", bucket + "/bobs")) == DENIED
        assert outcome(client("GET", bucket + "/bobs", {"acl": ""})) == DENIED
    bob.put(bucket + "/given", b"content", {"x-amz-acl": "bucket-owner-full-control"})
    assert alice("GET", bucket + "/given").status == 200


def test_who_may_list_a_prefix_is_told_what_is_not_there(alice, bob, bucket):
    alice.put(bucket + "/public/a")
    condition = {"StringLike": {"s3:prefix": "public/*"}}
    put_policy(alice, statement(Action="s3:ListBucket", Resource=ARN, Condition=condition), statement())
    assert texts(parse(bob("GET", bucket, {"prefix": "public/"})), "Contents/Key") == ["public/a"]
    assert outcome(bob("GET", bucket)) == outcome(bob("GET", bucket, {"prefix": "private/"})) == DENIED
    # What counts is what the listing goes by.
    assert outcome(bob("GET", bucket, [("prefix", ""), ("prefix", "public/")])) == DENIED
    assert outcome(bob("GET", bucket + "/public/absent")) == (404, "NoSuchKey")
    assert outcome(bob("GET", bucket + "/private/absent")) == DENIED


def test_the_number_of_keys(alice, bob, bucket):
    condition = {"NumericLessThanEquals": {"s3:max-keys": 10}}
    put_policy(alice, statement(Action="s3:ListBucket", Resource=ARN, Condition=condition))
    assert bob("GET", bucket, {"max-keys": "10"}).status == 200
    for query in ({}, {"max-keys": "11"}, {"max-keys": "1e1"}):
        assert outcome(bob("GET", bucket, query)) == DENIED


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        (IPv4Address("TCP", "203.0.113.9", 1), True),
        (IPv4Address("TCP", "198.51.100.9", 1), False),
        (IPv6Address("TCP", "::ffff:203.0.113.9", 1), True),
        (IPv6Address("TCP", "2001:db8::1", 1), False),
        (UNIXAddress("/run/socket"), False),
    ],
)
def test_21_the_address_is_that_of_the_connection(daemon, alice, nobody, bucket, peer, allowed):
    alice.put(bucket + "/a", b"content")
    put_policy(alice, statement(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}))
    client = daemon.client(None, peer=peer)
    forged = dict.fromkeys(("X-Forwarded-For", "X-Real-IP", "Forwarded"), "203.0.113.9")
    for headers in ({}, forged):
        assert client("GET", bucket + "/a", None, headers).status == (200 if allowed else 403)


def test_a_denial_by_address(daemon, alice, bucket):
    alice.put(bucket + "/a", b"content")
    put_policy(alice, statement(Effect="Deny", Condition={"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}))
    assert daemon.client(ALICE, peer=IPv4Address("TCP", "203.0.113.9", 1))("GET", bucket + "/a").status == 200
    assert daemon.client(ALICE, peer=IPv4Address("TCP", "203.0.114.9", 1))("GET", bucket + "/a").status == 403


def test_without_tls(daemon, alice, bucket):
    alice.put(bucket + "/a")
    put_policy(alice, statement(Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}))
    assert outcome(alice("GET", bucket + "/a", None, {"X-Forwarded-Proto": "https"})) == DENIED
    assert daemon.client(ALICE, secure=True)("GET", bucket + "/a").status == 200


def given(client, key, value, *, method="GET", path="/photos/a", query=None, headers=None, body=None):
    """Whether the context of a request has this value."""
    condition = {"StringEquals": {key: value}}
    put_policy(client, statement(Effect="Deny", Action="*", Resource=[ARN, ARN + "/*"], Condition=condition))
    status = client(method, path, query, headers, body).status
    assert status == 403 or status < 300
    assert client("DELETE", "/photos", {"policy": ""}).status == 204
    return status == 403


@pytest.mark.parametrize(
    ("key", "value", "request_"),
    [
        ("aws:username", "alice", {}),
        ("aws:userid", "alice", {}),
        ("aws:PrincipalType", "User", {}),
        ("aws:PrincipalAccount", "alice", {}),
        ("aws:PrincipalArn", "arn:aws:iam::alice:user/alice", {}),
        ("aws:ResourceAccount", "alice", {}),
        ("s3:ResourceAccount", "alice", {}),
        ("aws:RequestedRegion", "us-east-1", {}),
        ("aws:SecureTransport", "false", {}),
        ("aws:ViaAWSService", "false", {}),
        ("aws:PrincipalIsAWSService", "false", {}),
        ("aws:Referer", "http://example.com/", {"headers": {"Referer": "http://example.com/"}}),
        ("aws:UserAgent", "curl", {"headers": {"User-Agent": "curl"}}),
        ("s3:authType", "REST-HEADER", {}),
        ("s3:signatureversion", "AWS4-HMAC-SHA256", {}),
        ("s3:if-match", "*", {"method": "PUT", "headers": {"If-Match": "*"}, "body": b"x"}),
        ("s3:if-none-match", "*", {"method": "PUT", "path": "/photos/b", "headers": {"If-None-Match": "*"}}),
        ("s3:prefix", "a", {"path": "/photos", "query": {"prefix": "a"}}),
        ("s3:delimiter", "/", {"path": "/photos", "query": {"delimiter": "/"}}),
        ("s3:max-keys", "7", {"path": "/photos", "query": {"max-keys": "7"}}),
        ("s3:versionid", "null", {"query": {"versionId": "null"}}),
        ("s3:x-amz-acl", "private", {"method": "PUT", "headers": {"x-amz-acl": "private"}}),
        ("s3:x-amz-acl", "private", {"method": "PUT", "query": {"x-amz-acl": "private"}}),
        ("s3:x-amz-storage-class", "STANDARD", {"method": "PUT", "headers": {"x-amz-storage-class": "STANDARD"}}),
        ("s3:x-amz-copy-source", "photos/ä", {"method": "PUT", "headers": {"x-amz-copy-source": "/photos/%C3%A4"}}),
        ("s3:ObjectCreationOperation", "true", {"method": "PUT"}),
        ("s3:ObjectCreationOperation", "false", {"method": "POST", "query": {"uploads": ""}}),
    ],
)
def test_what_conditions_are_told(alice, bucket, key, value, request_):
    for name in ("/a", "/ä"):
        alice.put(bucket + name, b"content")
    assert given(alice, key, value, **request_)
    assert not given(alice, key, value + "x", **request_)


def test_a_policy_may_want_encryption_which_is_not_to_be_had(alice, bob, bucket):
    condition = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}
    put_policy(
        alice,
        statement(Action="s3:PutObject", Resource=ARN + "/*"),
        statement(Effect="Deny", Action="s3:PutObject", Resource=ARN + "/*", Condition=condition),
    )
    assert outcome(bob("PUT", bucket + "/a", body=b"x")) == DENIED
    for name, expected in (("aws:kms", DENIED), ("AES256", (501, "NotImplemented"))):
        headers = {"x-amz-server-side-encryption": name}
        assert outcome(bob("PUT", bucket + "/a", headers=headers, body=b"x")) == expected


def test_what_conditions_are_told_of_a_signature(daemon, alice, bucket):
    alice.put(bucket + "/a", b"content")
    condition = {"NumericGreaterThan": {"s3:signatureAge": 10000}, "StringEquals": {"s3:authType": "REST-QUERY-STRING"}}
    put_policy(alice, statement(Effect="Deny", Condition=condition))
    target = alice.presigned("GET", bucket + "/a")
    connection = alice.connection
    assert connection.request("GET", target, {"Host": alice.host}).status == 200
    daemon.server.clock.advance(12)
    assert connection.request("GET", target, {"Host": alice.host}).status == 403


def test_nobody_has_no_name(alice, nobody, bucket):
    alice.put(bucket + "/a", b"content")
    keys = ("aws:username", "aws:userid", "aws:PrincipalAccount", "aws:PrincipalArn", "s3:authType")
    put_policy(alice, statement(Condition={"Null": dict.fromkeys(keys, "true")}))
    assert nobody("GET", bucket + "/a").status == 200
    put_policy(alice, statement(Condition={"StringEquals": {"aws:PrincipalType": "Anonymous"}}))
    assert nobody("GET", bucket + "/a").status == 200


def test_variables_name_who_asks(alice, bob, bucket):
    put_policy(
        alice, statement(Action="s3:*Object", Resource=ARN + "/home/${aws:username}/*", Principal={"AWS": "bob"})
    )
    bob.put(bucket + "/home/bob2/a", b"content")
    assert outcome(bob("PUT", bucket + "/home/alice/a", body=b"x")) == DENIED


def test_21_no_header_or_parameter_says_who_asks(alice, bob, nobody, bucket):
    alice.put(bucket + "/home/alice/a", b"content")
    mine = statement(Resource=ARN + "/home/${aws:username, 'alic'}/*")
    put_policy(alice, mine, statement(Condition={"StringEquals": {"aws:PrincipalAccount": "alice"}}))
    for name in ("aws:username", "aws-username", "x-amz-username", "username", "aws:PrincipalAccount"):
        assert outcome(bob("GET", bucket + "/home/alice/a", {name: "alice"})) == DENIED
        assert outcome(nobody("GET", bucket + "/home/alice/a", {name: "alice"})) == DENIED
        if ":" not in name:
            assert outcome(bob("GET", bucket + "/home/alice/a", None, {name: "alice"})) == DENIED


def test_what_an_upload_must_say(alice, bob, bucket):
    condition = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    put_policy(alice, statement(Action="s3:PutObject", Condition=condition))
    assert outcome(bob("PUT", bucket + "/a", body=b"x")) == DENIED
    bob.put(bucket + "/a", b"content", {"x-amz-acl": "bucket-owner-full-control"})
    assert outcome(bob("POST", bucket + "/b", {"uploads": ""})) == DENIED
    assert bob("POST", bucket + "/b", {"uploads": ""}, {"x-amz-acl": "bucket-owner-full-control"}).status == 200


def test_a_denied_acl_is_denied_with_an_upload_too(alice, bucket):
    put_policy(alice, statement(Effect="Deny", Action="s3:PutObjectAcl"))
    assert outcome(alice("PUT", bucket + "/a", None, {"x-amz-acl": "public-read"}, b"x")) == DENIED
    alice.put(bucket + "/a", b"x")


def test_who_may_not_upload_is_not_asked_for_the_body(alice, bucket):
    put_policy(alice, statement(Effect="Deny", Action="s3:PutObject"))
    target, headers = alice.signed("PUT", bucket + "/a", None, {"Content-Length": "100", "Expect": "100-continue"})
    response = alice.connection.request("PUT", target, headers)
    assert response.status == 403


# Tags -----------------------------------------------------------------------------------------------------------------


def tagging(**tags):
    pairs = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in tags.items())
    return f"<Tagging><TagSet>{pairs}</TagSet></Tagging>".encode()


PUBLIC = {"StringEquals": {"s3:ExistingObjectTag/Security": "public"}}


@pytest.fixture
def tagged(alice, bucket):
    for name, tags in (("open", "Security=public&a=b"), ("closed", "Security=private"), ("other", "security=public")):
        alice.put(f"{bucket}/{name}", b"content", {"x-amz-tagging": tags})
    alice.put(bucket + "/bare", b"content")
    return bucket


@pytest.mark.parametrize("ownership", ["ObjectWriter", "BucketOwnerEnforced"])
@pytest.mark.parametrize(
    ("action", "method", "query"),
    [
        ("s3:GetObject", "GET", None),
        ("s3:GetObject", "HEAD", None),
        ("s3:GetObjectAcl", "GET", {"acl": ""}),
        ("s3:GetObjectTagging", "GET", {"tagging": ""}),
        ("s3:DeleteObjectTagging", "DELETE", {"tagging": ""}),
    ],
)
def test_what_is_allowed_by_the_tags_of_an_object(alice, bob, nobody, tagged, ownership, action, method, query):
    body = f"<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>"
    assert alice("PUT", tagged, {"ownershipControls": ""}, body=body.encode()).status == 200
    put_policy(alice, statement(Action=action, Condition=PUBLIC))
    for name in ("closed", "other", "bare", "absent"):
        for client in (bob, nobody):
            assert client(method, f"{tagged}/{name}", query).status == 403, name
    assert nobody(method, tagged + "/open", query).status in (200, 204)


def test_what_is_denied_by_the_tags_of_an_object(alice, tagged):
    put_policy(
        alice, statement(Effect="Deny", Condition={"StringNotEquals": {"s3:ExistingObjectTag/Security": "public"}})
    )
    assert alice("GET", tagged + "/open").status == 200
    for name in ("closed", "other", "bare", "absent"):
        assert outcome(alice("GET", f"{tagged}/{name}")) == DENIED


def test_tags_are_those_of_the_moment(alice, bob, tagged):
    put_policy(alice, statement(Action="s3:PutObjectTagging", Condition=PUBLIC))
    assert outcome(bob("PUT", tagged + "/closed", {"tagging": ""}, body=tagging(Security="public"))) == DENIED
    assert bob("PUT", tagged + "/open", {"tagging": ""}, body=tagging(Security="private")).status == 200
    assert outcome(bob("PUT", tagged + "/open", {"tagging": ""}, body=tagging(Security="public"))) == DENIED


def test_the_tags_that_a_request_gives(alice, bob, bucket):
    condition = {
        "StringEquals": {"s3:RequestObjectTag/Security": "public"},
        "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["Security", "a"]},
    }
    put_policy(alice, statement(Action=["s3:PutObject", "s3:PutObjectTagging"], Condition=condition))
    put = bucket + "/a"
    for tags, status in (
        ("Security=public", 200),
        ("Security=public&a=b", 200),
        ("Security=public&b=c", 403),
        ("Security=private", 403),
        ("", 403),
        ("Security=public&Security=private", 403),
    ):
        assert bob("PUT", put, None, {"x-amz-tagging": tags}, b"x").status == status, tags
    alice.put(bucket + "/b", b"content")
    for tags, status in (
        ({"Security": "public"}, 200),
        ({"Security": "public", "b": "c"}, 403),
        ({"Security": "private"}, 403),
        ({"a": "b"}, 403),
        ({}, 403),
    ):
        assert bob("PUT", bucket + "/b", {"tagging": ""}, body=tagging(**tags)).status == status, tags
    # What a header says of it there is nothing.
    header = {"x-amz-tagging": "Security=public"}
    for tags in ({"Security": "private"}, {"a": "b"}, {}):
        assert bob("PUT", bucket + "/b", {"tagging": ""}, header, tagging(**tags)).status == 403
    assert texts(parse(alice("GET", bucket + "/b", {"tagging": ""})), "TagSet/Tag/Value") == ["public"]


def test_who_may_write_by_a_policy_needs_another_right_for_tags(alice, bob, bucket):
    put_policy(alice, statement(Action="s3:PutObject"))
    header = {"x-amz-tagging": "a=b"}
    assert outcome(bob("PUT", bucket + "/a", None, header, b"x")) == DENIED
    assert outcome(bob("POST", bucket + "/a", {"uploads": ""}, header)) == DENIED
    bob.put(bucket + "/a", b"x")
    put_policy(alice, statement(Action=["s3:PutObject", "s3:PutObjectTagging"]))
    bob.put(bucket + "/a", b"x", header)
    put_policy(alice, statement(Effect="Deny", Action="s3:PutObjectTagging"))
    assert outcome(alice("PUT", bucket + "/a", None, header, b"x")) == DENIED


def test_a_copy_takes_tags_along_that_may_be_read(alice, bob, tagged):
    bob.put("/bobs")
    copy = {"x-amz-copy-source": "/photos/open"}
    put_policy(alice, statement(Action="s3:GetObject"))
    assert outcome(bob("PUT", "/bobs/a", None, copy)) == DENIED
    assert bob("PUT", "/bobs/a", None, {**copy, "x-amz-tagging-directive": "REPLACE"}).status == 200
    assert bob("PUT", "/bobs/a", None, {"x-amz-copy-source": "/photos/bare"}).status == 200
    put_policy(alice, statement(Action=["s3:GetObject", "s3:GetObjectTagging"], Condition=PUBLIC))
    assert bob("PUT", "/bobs/a", None, copy).status == 200
    assert outcome(bob("PUT", "/bobs/a", None, {"x-amz-copy-source": "/photos/closed"})) == DENIED
    assert len(parse(bob("GET", "/bobs/a", {"tagging": ""})).find("TagSet")) == 2


def test_the_tags_that_a_copy_takes_along_are_given_by_it(alice, bob, bucket):
    bob.put("/bobs")
    for name in ("public", "private"):
        bob.put(f"/bobs/{name}", b"content", {"x-amz-tagging": f"Security={name}"})
    condition = {"StringEquals": {"s3:RequestObjectTag/Security": "public"}}
    put_policy(alice, statement(Action="s3:PutObject"), statement(Action="s3:PutObjectTagging", Condition=condition))
    lie = {"x-amz-tagging": "Security=public"}
    assert bob("PUT", bucket + "/a", None, {"x-amz-copy-source": "/bobs/public"}).status == 200
    assert outcome(bob("PUT", bucket + "/a", None, {"x-amz-copy-source": "/bobs/private"})) == DENIED
    assert outcome(bob("PUT", bucket + "/a", None, {"x-amz-copy-source": "/bobs/private", **lie})) == DENIED
    new = {"x-amz-copy-source": "/bobs/private", "x-amz-tagging-directive": "REPLACE", **lie}
    assert bob("PUT", bucket + "/a", None, new).status == 200


# Requests about several objects ---------------------------------------------------------------------------------------


def delete_xml(*keys):
    return ("<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>").encode()


def test_each_of_several_deletions_is_decided_by_itself(daemon, alice, bob, nobody, bucket):
    for key in ("public/a", "private/a"):
        alice.put(bucket + "/" + key)
    put_policy(alice, statement(Action="s3:DeleteObject", Resource=ARN + "/public/*", Principal={"AWS": "bob"}))
    root = parse(bob.post_xml(bucket, {"delete": ""}, delete_xml("public/a", "private/a", "private/absent")))
    assert texts(root, "Deleted/Key") == ["public/a"]
    assert texts(root, "Error/Key") == ["private/a", "private/absent"]
    assert set(texts(root, "Error/Code")) == {"AccessDenied"}
    assert (daemon.data / "photos/private/a").exists()
    # To whom nothing at all is allowed, that is said before the body is read.
    assert outcome(nobody("POST", bucket, {"delete": ""})) == DENIED
    # The owner may, but for what is denied.
    put_policy(alice, statement(Effect="Deny", Action="s3:DeleteObject", Resource=ARN + "/private/*"))
    alice.put(bucket + "/public/a")
    root = parse(alice.post_xml(bucket, {"delete": ""}, delete_xml("public/a", "private/a")))
    assert (texts(root, "Deleted/Key"), texts(root, "Error/Key")) == (["public/a"], ["private/a"])


def test_a_copy_needs_the_right_on_both_sides(alice, bob, bucket):
    alice.put(bucket + "/public/a", b"content")
    alice.put(bucket + "/private/a", b"secret")
    bob.put("/bobs")
    put_policy(alice, statement(Resource=ARN + "/public/*"))

    def copy(source, target):
        return outcome(bob("PUT", target, None, {"x-amz-copy-source": source}))

    assert copy("/photos/public/a", "/bobs/a") == (200, "")
    assert copy("/photos/private/a", "/bobs/a") == DENIED
    assert copy("/photos/public/absent", "/bobs/a") == DENIED
    assert copy("/bobs/a", "/photos/public/b") == DENIED
    condition = {"StringLike": {"s3:x-amz-copy-source": "bobs/a*"}}
    put_policy(alice, statement(Action="s3:PutObject", Condition=condition))
    assert copy("/bobs/a", "/photos/b") == (200, "")
    bob.put("/bobs/b", b"x")
    assert copy("/bobs/b", "/photos/b") == DENIED


def test_uploads_are_seen_and_aborted_by_who_may_by_policy(alice, bob, bucket):
    upload = {"uploadId": parse(alice("POST", bucket + "/a", {"uploads": ""})).findtext("UploadId")}
    assert outcome(bob("GET", bucket + "/a", upload)) == outcome(bob("DELETE", bucket + "/a", upload)) == DENIED
    put_policy(alice, statement(Action=["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]))
    assert bob("GET", bucket + "/a", upload).status == 200
    assert bob("DELETE", bucket + "/a", upload).status == 204
    assert outcome(alice("GET", bucket + "/a", upload)) == (404, "NoSuchUpload")


def test_a_part_is_copied_from_what_may_be_read(alice, bob, bucket):
    alice.put(bucket + "/public/a", b"content")
    alice.put(bucket + "/private/a", b"secret")
    bob.put("/bobs")
    put_policy(alice, statement(Resource=ARN + "/public/*"))
    upload = parse(bob("POST", "/bobs/a", {"uploads": ""})).findtext("UploadId")
    query = {"uploadId": upload, "partNumber": "1"}
    for source, status in (("/photos/public/a", 200), ("/photos/private/a", 403)):
        assert bob("PUT", "/bobs/a", query, {"x-amz-copy-source": source}).status == status


# What is kept ---------------------------------------------------------------------------------------------------------


def test_what_is_kept_and_cannot_be_read_closes_the_bucket(daemon, alice, clerk, nobody, bucket):
    alice.put(bucket + "/a", b"content")
    put_policy(alice, statement())

    def damage(configuration):
        configuration["policy"] = configuration["policy"].replace("2012", "2112")

    daemon.store.change_configuration("photos", damage)
    for client in (alice, clerk, nobody):
        assert outcome(client("GET", bucket + "/a")) == DENIED
    assert is_closed(clerk, bucket)
    assert alice("DELETE", bucket, {"policy": ""}).status == 204
    assert clerk("GET", bucket + "/a").status == 200


def is_closed(client, bucket):
    return outcome(client("GET", bucket)) == outcome(client("DELETE", bucket, {"policy": ""})) == DENIED


def test_a_bucket_that_was_renamed_is_closed_until_its_policy_is_replaced(daemon, alice, nobody, bucket):
    alice.put(bucket + "/a", b"content")
    put_policy(alice, statement(Effect="Deny", Resource=ARN + "/secret/*"), statement())
    (daemon.data / "photos").rename(daemon.data / "pictures")
    assert outcome(nobody("GET", "/pictures/a")) == outcome(alice("GET", "/pictures/a")) == DENIED
    arn = "arn:aws:s3:::pictures/*"
    put_policy(alice, statement(Resource=arn), bucket="/pictures")
    assert nobody("GET", "/pictures/a").body == b"content"


def test_all_buckets_are_listed_whatever_their_policies_say(alice, bucket):
    put_policy(alice, statement(Effect="Deny", Action="*", Resource="*"))
    assert texts(parse(alice("GET", "/")), "Buckets/Bucket/Name") == ["photos"]


def test_a_new_object_under_an_old_name_is_not_looked_at_for_its_tags(alice, bucket):
    # Of a key without an object there are no tags, and a condition on them says what it says of that.
    condition = {"StringEquals": {"s3:ExistingObjectTag/a": "b"}}
    put_policy(alice, statement(Effect="Deny", Action="s3:*Object", Condition=condition))
    alice.put(bucket + "/a", b"content")
    assert alice("GET", bucket + "/a").status == 200
    assert alice("DELETE", bucket + "/a").status == 204


def test_the_log_tells_which_statement_denied(tmp_path):
    path = tmp_path / "access.log"
    log = AccessLog(str(path), "json")
    log.open()
    (tmp_path / "data").mkdir()
    daemon = Daemon(tmp_path / "data", ownership=WRITER, access_log=log)
    alice = daemon.client(ALICE)
    alice.put("/photos")
    put_policy(alice, statement(), statement(Effect="Deny", Sid="NoDeletes", Action="s3:DeleteObject"))
    response = alice("DELETE", "/photos/a")
    assert outcome(response) == DENIED
    assert b"NoDeletes" not in response.body
    daemon.stop()
    log.close()
    line = json.loads(path.read_text().splitlines()[-1])
    assert line["reason"] == "the bucket policy denies it: statement 2 (NoDeletes)"


# The short cut --------------------------------------------------------------------------------------------------------


ASKED = [*sorted(key for key in KEYS if not key.endswith("/")), "s3:existingobjecttag/a", "s3:requestobjecttag/a"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_the_short_cut_decides_as_the_ordinary_way(daemon, alice, bucket, monkeypatch, effect, method):
    alice.put(bucket + "/key", b"content", {"x-amz-tagging": "a=b"})
    guard = daemon.server.site.resource
    express, find = guard._express, RequestContext._find
    found = {express: set(), None: set()}

    def noting(self, key):
        value = find(self, key)
        found[guard._express].add((self._asked.principal, key, value))
        return value

    monkeypatch.setattr(RequestContext, "_find", noting)
    served = []
    monkeypatch.setattr(Express, "serve", lambda *args, serve=Express.serve: served.append(serve(*args)) or served[-1])
    for key in ASKED:
        condition = {"StringLike": {key: "*"}}
        put_policy(alice, statement(Principal={"AWS": "alice"}), statement(Effect=effect, Condition=condition))
        for user in (ALICE, BOB, None):
            client, answers = daemon.client(user), []
            target, headers = client.signed(method, bucket + "/key", None, {"User-Agent": "curl", "If-Match": "*"})
            for guard._express in (None, express):
                response = client.connection.request(method, target, headers)
                answers.append((outcome(response), response.body if response.status == 200 else b""))
            assert answers[0] == answers[1]
            assert served.pop() is (response.status == 200)
    assert found[express] == found[None]
    assert {key for _, key, _ in found[None]} > {"aws:sourceip", "aws:username", "s3:signatureage", "s3:if-match"}


# Forms ----------------------------------------------------------------------------------------------------------------

TAGS = "<Tagging><TagSet><Tag><Key>kind</Key><Value>{}</Value></Tag></TagSet></Tagging>"


@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize(
    ("condition", "refused", "allowed"),
    [
        ({"StringEquals": {"s3:x-amz-acl": "public-read"}}, {"acl": "public-read"}, {"acl": "private"}),
        ({"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}, {"x-amz-storage-class": "STANDARD_IA"}, {}),
        ({"StringNotEquals": {"s3:authType": "POST"}}, None, {}),
        ({"StringLike": {"aws:Referer": "http://good.test/*"}}, {}, None),
    ],
)
def test_the_fields_of_a_form_are_what_conditions_ask_for(daemon, alice, bucket, v2, condition, refused, allowed):
    put_policy(alice, statement(Effect="Deny", Action="s3:PutObject", Condition=condition))
    for fields, expected in ((refused, DENIED), (allowed, (204, ""))):
        if fields is not None:
            assert outcome(post(daemon, {"key": "k", **fields}, v2=v2)) == expected
            assert alice("DELETE", bucket + "/k").status == 204


def test_the_tags_of_a_form_need_the_right_to_give_them(daemon, alice, bucket):
    condition = {"StringEquals": {"s3:RequestObjectTag/kind": "secret"}}
    put_policy(alice, statement(Effect="Deny", Action="s3:PutObjectTagging", Condition=condition))
    for tags in ({"tagging": TAGS.format("secret")}, {"x-amz-tagging": "kind=secret"}):
        assert outcome(post(daemon, {"key": "k", **tags})) == DENIED
    assert alice("GET", bucket + "/k").status == 404
    for tags in ({"tagging": TAGS.format("open")}, {"x-amz-tagging": "kind=open"}):
        assert post(daemon, {"key": "k", **tags}).status == 204


def post(daemon, fields, *, v2=False):
    """A form of Alice's, with a policy that allows just these fields."""
    body = forms.form(forms.signed(fields, forms.document(forms.conditions_for(fields, "photos")), ALICE, v2=v2))
    headers = {"Content-Type": forms.CONTENT_TYPE, "Referer": "http://good.test/page"}
    return daemon.server.connect().request("POST", "/photos", headers, body)


def test_the_attributes_of_an_object_need_the_right_to_read_it_too(alice, bob, bucket):
    alice.put(bucket + "/k", b"content")
    wanted = {"x-amz-object-attributes": "ETag"}
    put_policy(alice, statement(Action="s3:GetObjectAttributes"))
    assert outcome(bob("GET", bucket + "/k", {"attributes": ""}, wanted)) == DENIED
    put_policy(alice, statement(Action=["s3:GetObjectAttributes", "s3:GetObject"]))
    assert bob("GET", bucket + "/k", {"attributes": ""}, wanted).status == 200
