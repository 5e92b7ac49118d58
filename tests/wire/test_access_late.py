"""What may happen between the decision about a request and its end, and what must not be learnt by the way."""

import base64
import hashlib

import pytest

from tests.wire.daemon import Daemon, parse
from tests.wire.sharing import ALL_USERS, DENIED, canonical, grants, outcome, policy
from zs3.auth import accounts
from zs3.auth.access import WRITER

OWNERSHIP = (
    b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"
)


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path, ownership=WRITER)
    yield daemon
    daemon.stop()


def begin(client, method, path, query, body):
    """Send a request but for its body, on a connection of its own; what is returned sends that and gives the answer."""
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    target, headers = client.signed(method, path, query, {"Content-MD5": digest}, body)
    connection = client.daemon.server.connect()
    lines = {**headers, "Content-Length": str(len(body))}
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection.send(f"{head}\r\n".encode("latin-1"))
    assert connection.received() == b""

    def finish():
        connection.send(body)
        return connection.receive()

    return finish


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("PUT", "/photos", "acl", policy("alice", ("alice", "FULL_CONTROL"))),
        ("PUT", "/photos", "ownershipControls", OWNERSHIP),
        ("PUT", "/photos", "tagging", b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
        ("PUT", "/photos", "policy", b'{"Statement":[]}'),
        ("POST", "/photos", "delete", b"<Delete><Object><Key>s</Key></Object></Delete>"),
        ("PUT", "/photos/s", "", b"forged"),
        ("PUT", "/photos/s", "tagging", b"<Tagging><TagSet/></Tagging>"),
        ("PUT", "/photos/s", "acl", policy("alice", (ALL_USERS, "READ"))),
    ],
)
def test_a_body_that_comes_late_does_nothing_to_a_bucket_that_got_the_name(alice, bob, method, path, query, body):
    """It is decided from the head, for the bucket that has the name then."""
    alice.put("/photos")
    alice.put("/photos/s", b"mine")
    late = begin(alice, method, path, {query: ""} if query else None, body)
    alice("DELETE", "/photos/s")
    assert alice("DELETE", "/photos").status == 204
    bob.put("/photos")
    bob.put("/photos/s", b"bob's")
    response = late()
    assert response.status >= 400 or b"<Code>NoSuchBucket</Code>" in response.body
    assert bob("GET", "/photos/s").body == b"bob's"
    assert bob("GET", "/photos", {"tagging": ""}).error_code == "NoSuchTagSet"
    assert grants(bob, "/photos")[0] == "bob"
    assert outcome(alice("GET", "/photos/s")) == DENIED


def test_a_block_that_comes_before_the_body_of_an_acl_counts(alice):
    alice.put("/photos")
    body = policy("alice", (ALL_USERS, "READ"))
    late = begin(alice, "PUT", "/photos", {"acl": ""}, body)
    block = b"<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"
    assert alice("PUT", "/photos", {"publicAccessBlock": ""}, body=block).status == 200
    assert outcome(late()) == DENIED
    late = begin(alice, "PUT", "/photos", {"acl": ""}, body)
    assert alice("PUT", "/photos", {"ownershipControls": ""}, body=OWNERSHIP).status == 200
    assert late().error_code == "AccessControlListNotSupported"
    assert grants(alice, "/photos") == ["alice", ("alice", "FULL_CONTROL")]


def test_a_block_that_comes_before_the_body_of_an_object_s_acl_counts(alice):
    alice.put("/photos")
    alice.put("/photos/k", b"x")
    body = policy("alice", (ALL_USERS, "READ"))
    late = begin(alice, "PUT", "/photos/k", {"acl": ""}, body)
    block = b"<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"
    assert alice("PUT", "/photos", {"publicAccessBlock": ""}, body=block).status == 200
    assert outcome(late()) == DENIED
    late = begin(alice, "PUT", "/photos/k", {"acl": ""}, body)
    assert alice("PUT", "/photos", {"ownershipControls": ""}, body=OWNERSHIP).status == 200
    assert late().error_code == "AccessControlListNotSupported"
    assert grants(alice, "/photos/k") == ["alice", ("alice", "FULL_CONTROL")]


def test_nobody_goes_on_with_the_upload_of_another_account(alice, bob, daemon):
    alice.put("/photos", headers={"x-amz-acl": "public-read-write"})
    nobody = daemon.client(None)
    assert outcome(nobody("POST", "/photos/k", {"uploads": ""})) == DENIED
    upload = parse(alice("POST", "/photos/k", {"uploads": ""})).findtext("UploadId")
    number = {"partNumber": "1", "uploadId": upload}
    etag = alice("PUT", "/photos/k", number, None, b"good").headers["etag"]
    document = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    document = f"{document}</CompleteMultipartUpload>".encode()
    bob.put("/photos/source", b"evil")
    for client in (bob, nobody):
        assert outcome(client("PUT", "/photos/k", number, None, b"evil")) == DENIED
        assert outcome(client("POST", "/photos/k", {"uploadId": upload}, None, document)) == DENIED
    assert outcome(bob("PUT", "/photos/k", number, {"x-amz-copy-source": "/photos/source"})) == DENIED
    assert alice("POST", "/photos/k", {"uploadId": upload}, None, document).status == 200
    assert alice("POST", "/photos/k", {"uploadId": upload}, None, document).status == 200
    assert alice("GET", "/photos/k").body == b"good"


def test_that_there_are_tags_is_told_to_who_may_read_them(alice, bob, daemon):
    alice.put("/photos")
    alice.put("/photos/k", b"x", {"x-amz-tagging": "secret=yes", "x-amz-acl": "public-read"})
    for method in ("GET", "HEAD"):
        assert alice(method, "/photos/k").headers["x-amz-tagging-count"] == "1"
        for client in (bob, daemon.client(None)):
            response = client(method, "/photos/k")
            assert response.status == 200
            assert "x-amz-tagging-count" not in response.headers


def test_a_condition_on_an_etag_is_no_oracle(alice, bob):
    alice.put("/photos", headers={"x-amz-grant-write": canonical("bob")})
    etag = alice.put("/photos/k", b"guess").headers["etag"]
    for tag in (etag, '"0123"'):
        assert outcome(bob("PUT", "/photos/k", None, {"If-None-Match": tag}, b"x")) == DENIED
    assert bob("PUT", "/photos/new", None, {"If-None-Match": "*"}, b"x").status == 200


def test_nobody_is_no_grantee_beside_the_group_of_all(alice):
    alice.put("/photos")
    nobody = f'id="{accounts.canonical_id(accounts.ANONYMOUS)}"'
    assert alice("PUT", "/photos", {"acl": ""}, {"x-amz-grant-read": nobody}).error_code == "InvalidArgument"
