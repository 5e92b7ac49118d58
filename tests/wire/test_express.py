"""The short cut of GET and HEAD: it answers what the ordinary way answers, to the letter."""

import gc
import json
import os
import re
import time

import pytest
from twisted.cred.portal import Portal

from tests.wire.daemon import ADMIN, READER, USERS, WRITER, Daemon
from tests.wire.test_guard import UNKNOWN, WRONG
from zs3.auth.credentials import S3LoginFailed, UsersChecker
from zs3.checksums import ALGORITHMS, DEFAULT
from zs3.errors import S3Error
from zs3.store import metadata
from zs3.store.records import ATTRIBUTE
from zs3.web import express
from zs3.web.accesslog import RequestLog
from zs3.web.express import Express
from zs3.web.guard import S3Guard
from zs3.web.resources import Realm

KEYS = {
    "/photos/plain": (b"content", {}),
    "/photos/typed": (b"content", {"Content-Type": "text/x", "x-amz-meta-Name": "va lue", "Cache-Control": "no-store"}),
    "/photos/deep/er/k.txt": (b"x" * 1000, {"Content-Type": "text/plain"}),
    "/photos/sum": (b"sum", {"x-amz-checksum-crc32": "yL2fTQ=="}),
    "/photos/empty": (b"", {}),
    "/photos/large": (bytes(100_000), {}),
    "/photos/sp ace": (b"space", {}),
    "/photos/a//b": (b"slashes", {}),
    "/photos/..": (b"dots", {}),
    "/photos/dir": (b"beside", {}),
    "/photos/dir/below": (b"below", {}),
}


class Log:
    """Keeps what it is told, but times and ids."""

    def __init__(self):
        self.records: list[tuple[RequestLog, int, str]] = []

    def record(self, log, *, received_ns, remote, status, seconds, request_id):
        self.records.append((log, status, remote))


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path, access_log=Log(), domains=["s3.hosts"])
    yield daemon
    daemon.stop()


@pytest.fixture
def bucket(client):
    client.put("/photos")
    for path, (content, headers) in KEYS.items():
        client.put(path, content, headers)
    client.put("/secret")
    client.put("/secret/key", b"of others")
    return "/photos"


@pytest.fixture
def served(monkeypatch):
    """What the short cut said to each request."""
    said = []
    serve = Express.serve

    def watched(self, *args):
        said.append(serve(self, *args))
        return said[-1]

    monkeypatch.setattr(Express, "serve", watched)
    return said


def ask_twice(daemon, target, headers, method="GET"):
    """The same signed request, by the short cut and without it: both answers and log lines."""
    outcomes = []
    guard = daemon.server.site.resource
    fast = guard._express
    for way in (fast, None):
        guard._express = way
        connection = daemon.server.connect()
        response = connection.request(method, target, headers)
        varying = ("x-amz-request-id",)
        pairs = [(name, value) for name, value in response.pairs if name.lower() not in varying]
        body = re.sub(rb"<RequestId>\w+</RequestId>", b"", response.body)
        outcomes.append((response.status, response.reason, pairs, body, daemon.server.site._recorders[0].records[-1]))
        assert connection.open
    guard._express = fast
    return outcomes


EXTRA = [
    {},
    {"x-amz-checksum-mode": "ENABLED"},
    {"x-amz-checksum-mode": "enabled"},
    {"x-amz-checksum-mode": "other"},
    {"Range": "bytes=1-2"},
    {"Range": "bytes=9999999-"},
    {"If-None-Match": "*"},
    {"If-Match": '"other"'},
    {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
    {"If-Range": '"other"', "Range": "bytes=0-0"},
    {"x-amz-expected-bucket-owner": "1" * 64},
    {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    {"x-amz-copy-source": "/photos/plain"},
    {"User-Agent": "some/1.0", "Accept": "*/*", "Accept-Encoding": "gzip", "amz-sdk-request": "attempt=1"},
    {"X-Unknown": "x"},
    {"x-amz-unknown": "x"},
]


@pytest.mark.parametrize("headers", EXTRA, ids=lambda headers: ",".join(map("=".join, headers.items()))[:40] or "none")
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_headers_mean_the_same_on_both_ways(daemon, bucket, client, method, headers):
    for path in ("/photos/plain", "/photos/sum", "/photos/absent"):
        if method == "DELETE":
            path = "/photos/absent"
        target, signed = client.signed(method, path, None, headers)
        one, other = ask_twice(daemon, target, signed, method)
        assert one == other


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_versions_are_told_on_both_ways(daemon, bucket, client, served, method, status):
    """What was there before, the youngest of several versions, and what is deleted."""
    body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()
    assert client("PUT", bucket, {"versioning": ""}, body=body).status == 200
    for path in ("/photos/typed", "/photos/typed", "/photos/a//b"):
        client.put(path, b"new")
    client("DELETE", "/photos/a//b")
    for path, answered in (("/photos/plain", 200), ("/photos/typed", 200), ("/photos/a//b", 404)):
        for headers in ({}, {"Range": "bytes=0-0"}, {"If-None-Match": "*"}):
            target, signed = client.signed(method, path, None, headers)
            served.clear()
            one, other = ask_twice(daemon, target, signed, method)
            assert one == other
            assert one[0] in {answered, *((206, 304) if answered == 200 else ())}
            assert "x-amz-version-id" in dict(one[2])
            assert served == [answered == 200]


@pytest.mark.parametrize("path", [*KEYS, "/photos/absent", "/absent/key", "/photos", "/photos/", "/", "/secret/key"])
@pytest.mark.parametrize(
    "user", [ADMIN, READER, WRITER, UNKNOWN, WRONG], ids=["admin", "reader", "writer", "unknown", "wrong"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_paths_and_users_get_the_same_on_both_ways(daemon, bucket, method, user, path):
    target, headers = daemon.client(user).signed(method, path)
    one, other = ask_twice(daemon, target, headers, method)
    assert one == other
    assert (one[0] < 400) <= (user not in (UNKNOWN, WRONG))


@pytest.mark.parametrize(
    "change",
    [
        {"X-Amz-Date": "20200101T000000Z"},
        {"X-Amz-Content-SHA256": "0" * 64},
        {"x-amz-meta-unsigned": "x"},
        {"Authorization": "AWS4-HMAC-SHA256 nonsense"},
        {"Authorization": "Basic abc"},
        {"Host": "photos.s3.hosts"},
        {"Host": "s3.hosts"},
        {"Content-Length": "0"},
    ],
    ids=lambda change: "{}={}".format(*next(iter(change.items())))[:40],
)
def test_a_request_that_was_changed_gets_the_same_on_both_ways(daemon, bucket, client, change):
    target, headers = client.signed("GET", "/photos/plain")
    one, other = ask_twice(daemon, target, headers | change)
    if b"ServerTime" in one[3]:
        pattern = rb"<ServerTime>[^<]*"
        one, other = ((*each[:3], re.sub(pattern, b"", each[3]), each[4]) for each in (one, other))
    assert one == other


def test_virtual_hosted_requests_take_the_ordinary_way(daemon, bucket, served):
    client = daemon.client(host="photos.s3.hosts")
    assert client("GET", "/photos/plain").error_code == "NoSuchKey"
    assert client("GET", "/plain").body == b"content"
    assert served == []


@pytest.mark.parametrize(
    ("query", "presigned"), [({"response-content-type": "a/b"}, False), ({"acl": ""}, False), ({}, True)]
)
def test_a_query_takes_the_ordinary_way(daemon, bucket, client, served, query, presigned):
    target, headers = client.signed("GET", "/photos/plain", query)
    if presigned:
        target, headers = client.presigned("GET", "/photos/plain"), {"Host": "s3.test"}
    one, other = ask_twice(daemon, target, headers)
    assert one == other
    assert served == [False]


def test_ordinary_requests_take_the_short_cut(daemon, bucket, client, served):
    if daemon.store._hot._fd < 0:
        pytest.skip("the temporary directory is on no file system that this works on")
    for method in ("GET", "HEAD"):
        for path, headers in (
            ("/photos/plain", {}),
            ("/photos/deep/er/k.txt", {"User-Agent": "some/1.0", "x-amz-checksum-mode": "ENABLED"}),
            ("/photos/typed", {}),
            ("/photos/empty", {}),
        ):
            assert client(method, path, headers=headers).status == 200
    assert served == [True] * 8
    del served[:]
    assert client("GET", "/photos/absent").error_code == "NoSuchKey"
    assert client("GET", "/photos/plain", headers={"Range": "bytes=99-"}).error_code == "InvalidRange"
    assert served == [False, False]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_remembered_of_an_object_is_what_the_ordinary_way_says(daemon, bucket, client, method):
    changes = [
        {},
        {"Content-Type": "text/x"},
        {"x-amz-meta-a": "b", "x-amz-tagging": "c=d"},
        {"Cache-Control": "no-store"},
    ]
    for headers in changes:
        client.put("/photos/plain", b"content", headers)
        for _ in range(3):
            target, signed = client.signed(method, "/photos/plain")
            one, other = ask_twice(daemon, target, signed, method)
            assert one == other
            assert one[0] == 200
    client("DELETE", "/photos/plain", {"tagging": ""})
    target, signed = client.signed(method, "/photos/plain")
    one, other = ask_twice(daemon, target, signed, method)
    assert one == other


def test_of_so_many_objects_it_is_remembered_what_is_said_and_not_of_more(daemon, bucket, client, monkeypatch):
    monkeypatch.setattr(express, "_OBJECTS", 4)
    monkeypatch.setattr(express, "_REMEMBERED", 1)
    client.put("/photos/much", b"", {"x-amz-meta-a": "b" * 1500})
    known = daemon.server.site.resource._express
    for path in [*KEYS, "/photos/much", "/secret/key"] * 2:
        assert client("GET", path).status == 200
        assert len(known._shown) <= 4
        assert len(known._known) <= 1
        assert all(plain.info.key not in ("much", "typed") for plain in known._shown.values())


def test_a_policy_counts_from_its_first_answer_to_its_last(daemon, bucket, client):
    """What is remembered of the bucket is so only for as long as it is."""
    denial = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/plain"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [denial]}).encode()
    for _ in range(3):
        for _ in range(3):
            assert client("GET", "/photos/plain").status == 200
        assert client("PUT", "/photos", {"policy": ""}, body=document).status == 204
        for _ in range(3):
            target, signed = client.signed("GET", "/photos/plain")
            one, other = ask_twice(daemon, target, signed)
            assert one == other
            assert one[0] == 403
            assert client("GET", "/photos/typed").status == 200
        assert client("DELETE", "/photos", {"policy": ""}).status == 204


@pytest.mark.parametrize("path", ["/photos/plain", "/photos/large"])
def test_what_is_not_in_memory_is_read_in_a_thread(daemon, bucket, client, monkeypatch, path):
    monkeypatch.setattr(daemon.store._hot, "read", lambda *_: None)
    monkeypatch.setattr(daemon.store._hot, "is_warm", lambda *_: False)
    assert client("GET", path).body == KEYS[path][0]
    assert client("GET", path, headers={"Range": "bytes=1-5"}).body == KEYS[path][0][1:6]


def test_a_small_file_that_changes_while_it_is_read_is_not_sent(daemon, bucket, client, monkeypatch):
    hot = daemon.store._hot
    if hot._fd < 0:
        pytest.skip("the temporary directory is on no file system that this works on")
    read = hot.read

    def interfere(*args):
        content = read(*args)
        (daemon.data / "photos" / "plain").write_bytes(b"CONTENT")
        return content

    monkeypatch.setattr(hot, "read", interfere)
    target, headers = client.signed("GET", "/photos/plain")
    connection = daemon.server.connect()
    connection.send(f"GET {target} HTTP/1.1\r\n".encode())
    connection.send("".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n")
    assert connection.aborted
    assert b"ontent" not in connection.received().partition(b"\r\n\r\n")[2].lower()


def test_no_descriptor_is_left_open(daemon, bucket, client):
    def descriptors():
        # What is remembered of buckets and accounts is held open as long as that is remembered.
        daemon.store._hot._states.close()
        daemon.store._hot._accounts.close()
        with os.scandir("/proc/self/fd") as found:
            return sorted(os.readlink(each.path) for each in found)

    gc.collect()  # what other tests left would go at some time or other
    before = descriptors()
    for path in KEYS:
        for headers in EXTRA:
            for method in ("GET", "HEAD"):
                client(method, path, headers=headers)
    assert descriptors() == before


def test_head_and_content_go_out_in_one_write(daemon, bucket, client):
    writes = []
    transport = client.connection.transport
    write = transport.write
    transport.write = lambda data: (writes.append(data), write(data))
    for path, headers in (("/photos/plain", {}), ("/photos/sp ace", {}), ("/photos/plain", {"Range": "bytes=0-1"})):
        del writes[:]
        assert client("GET", path, headers=headers).status in (200, 206)
        assert len(writes) == 1


def test_a_repeated_header_is_no_way_around_the_signature(daemon, bucket, client):
    """A name that comes twice is joined for the short cut; what is checked is what came."""
    target, headers = client.signed("GET", "/photos/plain")
    lines = [*headers.items(), ("Authorization", headers["Authorization"])]
    lines2 = [*headers.items(), ("X-Amz-Date", headers["X-Amz-Date"])]
    for each in (lines, lines2):
        connection = daemon.server.connect()
        raw = f"GET {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in each) + "\r\n"
        connection.send(raw.encode())
        assert connection.receive().error_code == "InvalidArgument"


def test_users_are_those_of_now(daemon, bucket, client):
    assert client("GET", "/photos/plain").status == 200
    del daemon.users._users[ADMIN.access_key]
    assert client("GET", "/photos/plain").error_code == "InvalidAccessKeyId"


def test_an_expired_request_stays_expired(daemon, bucket, client):
    """What is remembered of an Authorization header says nothing of its time."""
    target, headers = client.signed("GET", "/photos/plain")
    assert daemon.server.connect().request("GET", target, headers).status == 200
    daemon.server.clock.rightNow = time.time() + 16 * 60
    assert daemon.server.connect().request("GET", target, headers).error_code == "RequestTimeTooSkewed"


def test_pipelined_requests_are_answered_in_order(daemon, bucket, client):
    raw = b""
    for path in ("/photos/plain", "/photos/large", "/photos/sp ace", "/photos/typed", "/photos/absent") * 3:
        target, headers = client.signed("GET", path)
        raw += f"GET {target} HTTP/1.1\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers.items())
        raw += b"\r\n"
    connection = daemon.server.connect()
    connection.send(raw)
    for _ in range(3):
        assert [connection.receive().body[:7] for _ in range(5)] == [
            b"content", bytes(7), b"space", b"content", b"<?xml v",
        ]  # fmt: skip


def record_with(daemon, path, more):
    """What others can do to the record of an object."""
    file = str(daemon.data) + path
    head = os.getxattr(file, ATTRIBUTE)[: metadata._HEAD.size + ALGORITHMS[DEFAULT]]
    os.setxattr(file, ATTRIBUTE, head + json.dumps(more).encode())


@pytest.mark.parametrize("name", ["transfer-encoding", "Content-Length", "connection", "a\r\nb", "a b", "\u00e9", ""])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_record_of_others_does_not_say_where_the_response_ends(daemon, bucket, client, method, name):
    record_with(daemon, "/photos/typed", {"h": {name: "chunked", "expires": "never"}})
    target, headers = client.signed(method, "/photos/typed")
    one, other = ask_twice(daemon, target, headers, method)
    assert one == other
    names = [name.lower() for name, _ in one[2]]
    assert names.count("content-length") == 1
    assert "expires" in names
    assert not {name.lower(), "transfer-encoding"} - {"content-length"} & set(names)


def test_a_checker_that_lets_in_fewer_is_asked(tmp_path):
    class Picky(UsersChecker):
        def requestAvatarId(self, credentials):
            raise S3LoginFailed(S3Error("AccessDenied"))

    daemon = Daemon(tmp_path)
    try:
        daemon.client().put("/photos")
        daemon.client().put("/photos/key", b"content")
        assert daemon.client()("GET", "/photos/key").status == 200
        daemon.server.site.resource = S3Guard(
            Portal(Realm(daemon.store, daemon.users), [Picky(dict(USERS))]),
            region=None,
            sigv2=True,
            domains=(),
            clock=daemon.server.clock,
        )
        assert daemon.client()("GET", "/photos/key").error_code == "AccessDenied"
    finally:
        daemon.stop()
