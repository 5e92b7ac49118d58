"""Attacks that would keep the server from serving others; the numbers are those of the project's list."""

import base64
import hashlib
import os
import time
import tracemalloc

import pytest
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.certificates import self_signed
from tests.security.test_signatures import send, sign
from tests.wire.daemon import HOST, parse, texts
from tests.wire.harness import MemoryTransport

OLD = b"content"
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE A [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]>"
)

#: The operations that read a document, each with the name of its root.
DOCUMENTS = [
    ("POST", "/photos", {"delete": ""}, b"Delete"),
    ("PUT", "/photos/there", {"tagging": ""}, b"Tagging"),
    ("PUT", "/photos", {"tagging": ""}, b"Tagging"),
    ("PUT", "/photos", {"cors": ""}, b"CORSConfiguration"),
    ("PUT", "/photos", {"acl": ""}, b"AccessControlPolicy"),
    ("PUT", "/photos", {"versioning": ""}, b"VersioningConfiguration"),
    ("PUT", "/photos", {"lifecycle": ""}, b"LifecycleConfiguration"),
    ("PUT", "/photos", {"notification": ""}, b"NotificationConfiguration"),
    ("PUT", "/photos", {"publicAccessBlock": ""}, b"PublicAccessBlockConfiguration"),
    ("PUT", "/photos", {"website": ""}, b"WebsiteConfiguration"),
    ("PUT", "/photos", {"object-lock": ""}, b"ObjectLockConfiguration"),
    ("PUT", "/photos/there", {"retention": ""}, b"Retention"),
    ("PUT", "/photos/there", {"legal-hold": ""}, b"LegalHold"),
    ("PUT", "/newbucket", None, b"CreateBucketConfiguration"),
    ("POST", "/photos/up", {"uploadId": "{}"}, b"CompleteMultipartUpload"),
]


def ids(each):
    return each[3].decode() + each[1].count("/") * "-"


@pytest.fixture
def there(client):
    """The target of an object that is there."""
    client.put("/photos")
    client.put("/photos/there", OLD)
    return "/photos/there"


@pytest.fixture
def upload(client, there):
    """The id of an upload to ``/photos/up``."""
    return client("POST", "/photos/up", {"uploads": ""}).element("UploadId")


@pytest.mark.parametrize(("method", "path", "query", "root"), DOCUMENTS, ids=[ids(each) for each in DOCUMENTS])
def test_36_no_document_costs_much_or_brings_anything_in(client, there, upload, method, path, query, root):
    """CVE-2020-12059 and the older ones: each operation that reads XML, whoever signed it."""
    secret = b"root:"
    query = {name: value.format(upload) for name, value in (query or {}).items()}
    for document in (
        LAUGHS + b"<%s>&j;</%s>" % (root, root),
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><%s/>' % root,
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><%s>&x;</%s>' % (root, root),
        b'<!DOCTYPE a [<!ENTITY %% x SYSTEM "http://127.0.0.1:9/">%%x;]><%s/>' % root,
        b'<%s xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd" parse="text"/></%s>'
        % (root, root),
        b"<!DOCTYPE %s><%s/>" % (root, root),
        b"<%s>" % root + b"<a>" * 100_000,
        b"<%s " % root + b" ".join(b'a%d="x"' % number for number in range(20_000)) + b"><x></%s>" % root,
        "<a/>".encode("utf-16"),
        f"<{root.decode()}/>".encode("utf-16"),
        b'<?xml version="1.0" encoding="UTF-7"?>+ADw-%s+AD4-' % root,
        b"<%s><\x00/></%s>" % (root, root),
        b"\xff\xfe",
    ):
        digest = base64.b64encode(hashlib.md5(document).digest()).decode()
        started = time.process_time()
        response = client(method, path, query, {"content-md5": digest}, document)
        assert time.process_time() - started < 2
        assert 400 <= response.status < 500, (document[:60], response)
        assert secret not in response.body
    assert client("GET", there).body == OLD
    assert client("HEAD", "/newbucket").status == 404


@pytest.mark.parametrize(("method", "path", "query", "root"), DOCUMENTS, ids=[ids(each) for each in DOCUMENTS])
def test_36_a_document_that_is_too_large_is_refused_before_it_is_read(daemon, there, upload, method, path, query, root):
    query = {name: value.format(upload) for name, value in (query or {}).items()}
    spelled = "&".join(f"{name}={value}" for name, value in query.items())
    target = f"{path}?{spelled}" if spelled else path
    headers = sign(daemon, method, path, spelled, payload="UNSIGNED-PAYLOAD") | {"content-length": str(1 << 30)}
    response = send(daemon, method, target, headers)
    assert 400 <= response.status < 500, response


def test_36_no_more_than_1000_keys_are_deleted_at_once(client, there):
    document = b"<Delete>%s</Delete>" % (b"<Object><Key>there</Key></Object>" * 1001)
    response = client.post_xml("/photos", {"delete": ""}, document)
    assert (response.status, response.error_code) == (400, "MalformedXML")
    assert client("GET", there).body == OLD


def descriptors(daemon):
    # What is remembered of buckets and accounts is held open as long as that is remembered.
    daemon.store._hot._states.close()
    daemon.store._hot._accounts.close()
    return len(os.listdir("/proc/self/fd"))


def test_37_connections_that_say_nothing_more_are_given_up(daemon, client, there):
    """CVE-2022-31028, CVE-2019-3821, CVE-2020-1700: a thousand that wait at each place where one can."""
    target = client.presigned("PUT", "/photos/slow")
    heads = [
        b"",
        b"G",
        b"GET /photos/there HTTP/1.1\r\nHost: s3.test\r\nX: ",
        f"PUT {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\nx".encode(),
        f"PUT {target} HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx".encode(),
    ]
    before = descriptors(daemon)
    connections = []
    for number in range(1000):
        connection = daemon.server.connect()
        connection.send(heads[number % len(heads)])
        connections.append(connection)
    assert client("GET", there).body == OLD
    for _ in range(70):
        daemon.server.clock.advance(1)
    assert not any(connection.transport.connected for connection in connections)
    assert descriptors(daemon) <= before
    assert daemon.temporary_files() == []
    fresh = daemon.client()
    assert fresh("GET", there).body == OLD
    assert fresh("GET", "/photos/slow").status == 404


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_37_a_handshake_of_tls_has_a_deadline(daemon, tmp_path, begun):
    """Nothing, the beginning of a ClientHello, or what is none."""
    pem = tmp_path / "server.pem"
    pem.write_bytes(b"".join(self_signed()))
    context = DefaultOpenSSLContextFactory(str(pem), str(pem))
    clock = daemon.server.clock
    served = TLSMemoryBIOFactory(context, False, daemon.server.site, clock)
    transport = MemoryTransport(clock)
    transport.protocol = served.buildProtocol(transport.getPeer())
    transport.protocol.makeConnection(transport)
    if begun:
        transport.protocol.dataReceived(begun)
    assert transport.connected or begun.startswith(b"GET")
    for _ in range(65):
        clock.advance(1)
    assert not transport.connected


def test_37_a_head_that_drips_has_a_deadline(daemon):
    connection = daemon.server.connect()
    connection.send(b"GET / HTTP/1.1\r\n")
    for number in range(40):
        connection.send(b"x-%d: y\r\n" % number)
        daemon.server.clock.advance(1)
    assert not connection.transport.connected


def test_37_who_does_not_take_its_answer_holds_nothing(daemon, client, there):
    client.put("/photos/large", b"x" * 3_000_000)
    before = descriptors(daemon)
    connections = [daemon.server.connect(buffer_size=65536) for _ in range(50)]
    head = "".join(f"{name}: {value}\r\n" for name, value in sign(daemon, path="/photos/large").items())
    for connection in connections:
        connection.send(f"GET /photos/large HTTP/1.1\r\n{head}\r\n".encode())
    assert len(connections[0].transport.sent) < 2_000_000
    for _ in range(31):
        daemon.server.clock.advance(10)
    assert not any(connection.transport.connected for connection in connections)
    assert descriptors(daemon) <= before


@pytest.mark.parametrize("length", [0, 1, 50_000])
def test_38_who_leaves_in_the_middle_leaves_nothing(daemon, client, there, length):
    """CVE-2019-10222, CVE-2019-19337."""
    before = descriptors(daemon)
    targets = [
        ("PUT", client.presigned("PUT", "/photos/there")),
        ("PUT", client.presigned("PUT", "/photos/new")),
        ("GET", client.presigned("GET", "/photos/there")),
        ("POST", client.presigned("POST", "/photos/up", {"uploads": ""})),
        ("POST", client.presigned("POST", "/photos", {"delete": ""})),
    ]
    for method, target in targets * 20:
        connection = daemon.server.connect()
        head = f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100000\r\n\r\n".encode()
        connection.send(head + b"x" * length)
        connection.hang_up()
    daemon.server.clock.advance(1)
    assert daemon.temporary_files() == []
    assert descriptors(daemon) <= before
    assert client("GET", there).body == OLD
    assert client("GET", "/photos/new").status == 404


@pytest.mark.parametrize(
    "value",
    [
        "bytes=-0",
        "bytes=5-2",
        "bytes=7-",
        "bytes=9223372036854775808-",
        "bytes=18446744073709551615-",
        "bytes=18446744073709551616-18446744073709551617",
        "bytes=0-18446744073709551616",
        "bytes=-18446744073709551616",
        "bytes=-9223372036854775809",
        "bytes=--1",
        "bytes=1--1",
        "bytes=-",
        "bytes=",
        "bytes=" + "9" * 5000 + "-",
        "bytes=" + ",".join(["0-6"] * 3_000),
        "bytes=" + ",".join(f"{n}-" for n in range(1_500)),
        "bytes=0-0,-1",
        "lines=0-1",
    ],
    ids=lambda value: value[:30] + str(len(value)),
)
def test_39_a_range_is_some_bytes_of_the_object_or_none(daemon, client, there, value):
    client.put("/photos/empty")
    for path, whole in ((there, OLD), ("/photos/empty", b"")):
        started = time.process_time()
        for method in ("GET", "HEAD"):
            response = client(method, path, headers={"range": value})
            assert response.status in (200, 206, 416)
            if method == "GET" and response.status != 416:
                assert len(response.body) <= len(whole)
                assert response.body in whole
            if response.status == 206:
                assert "multipart" not in response.headers.get("content-type", "")
        assert time.process_time() - started < 1
        copied = client(
            "PUT",
            "/photos/up",
            {"uploadId": "x", "partNumber": "1"},
            {"x-amz-copy-source": path, "x-amz-copy-source-range": value},
        )
        assert 400 <= copied.status < 500


@pytest.mark.parametrize("number", ["0", "-1", "10001", "1.5", "", "1e1", "0x1", "18446744073709551617", "a"])
def test_40_a_part_has_a_number_from_1_to_10000(client, upload, number):
    assert client("PUT", "/photos/up", {"uploadId": upload, "partNumber": number}, body=b"x").status == 400
    assert complete(client, upload, [(number, "x")]).status == 400
    assert client("GET", "/photos/there", {"partNumber": number}).status in (400, 416)


def complete(client, upload, parts):
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    return client("POST", "/photos/up", {"uploadId": upload}, body=document)


def test_40_parts_that_are_not_in_order_or_too_small_make_no_object(client, upload):
    etags = {
        number: client("PUT", "/photos/up", {"uploadId": upload, "partNumber": str(number)}, body=b"x").headers["etag"]
        for number in (1, 2, 3)
    }
    for numbers in ((2, 1), (1, 1), (1, 2, 2), (3, 2, 1), (1, 2), (1, 4), ()):
        response = complete(client, upload, [(number, etags.get(number, '"x"')) for number in numbers])
        assert response.status == 400, numbers
        assert client("GET", "/photos/up").status == 404
    assert complete(client, upload, [(3, etags[3])]).status == 200
    assert client("GET", "/photos/up").body == b"x"


def test_40_completing_twice_or_after_an_abort_makes_one_object_or_none(daemon, client, there):
    for order in ("CC", "AC", "CA", "AA"):
        upload = client("POST", "/photos/up", {"uploads": ""}).element("UploadId")
        etag = client("PUT", "/photos/up", {"uploadId": upload, "partNumber": "1"}, body=b"x").headers["etag"]
        for step in order:
            if step == "C":
                assert complete(client, upload, [(1, etag)]).status == (404 if order[0] == "A" else 200)
            else:
                assert client("DELETE", "/photos/up", {"uploadId": upload}).status in (204, 404)
        assert client("GET", "/photos/up").status == (200 if order[0] == "C" else 404)
        client("DELETE", "/photos/up")


@pytest.mark.parametrize("number", ["-1", "2147483648", "4294967296", "9223372036854775808", "-2147483648"])
def test_40_a_listing_has_a_bound_whatever_is_asked_for(client, there, number):
    for query in ({"max-keys": number}, {"list-type": "2", "max-keys": number}, {"versions": "", "max-keys": number}):
        response = client("GET", "/photos", query)
        assert response.status in (200, 400)
        if response.status == 200:
            assert response.element("MaxKeys") == "1000" or int(number) > 1000
            assert texts(parse(response), "Contents/Key") in (["there"], [])


@pytest.mark.parametrize("name", ["prefix", "delimiter", "marker", "start-after", "continuation-token", "key-marker"])
@pytest.mark.parametrize("length", [1025, 6_000])
def test_40_an_enormous_name_costs_no_more_than_a_short_one(client, there, name, length):
    for query in ({"list-type": "2"}, {"versions": ""}, {"uploads": ""}, {}):
        tracemalloc.start()
        started = time.process_time()
        response = client("GET", "/photos", {**query, name: "x/" * (length // 2)})
        assert time.process_time() - started < 1
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()
        assert response.status in (200, 400)
