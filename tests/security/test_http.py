"""Attacks on the HTTP of the whole server, and by what it answers; the numbers are those of the project's list."""

import ast
import gzip
import re
from pathlib import Path

import pytest

import zs3
from tests.security.test_signatures import send, sign
from tests.wire.daemon import HOST
from zs3.web.http1 import MAX_HEAD

OLD = b"content"


@pytest.fixture
def there(client):
    """The target of an object that is there."""
    client.put("/photos")
    client.put("/photos/there", OLD)
    return "/photos/there"


def lines(headers):
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def answers(connection):
    """The status codes of all that was answered."""
    return [int(code) for code in re.findall(rb"^HTTP/1\.1 (\d+) ", connection.received(), re.MULTILINE)]


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 0",
        "Content-Length: +4",
        "Content-Length: 0x4",
        "Content-Length: 4,4",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \u212ahunked",
        "Content-Length: 4\r\n Content-Length: 0",
        "X: y\0",
        "X: y\rZ: z",
        "X: y\nContent-Length: 4",
    ],
)
def test_27_28_a_body_whose_length_can_be_read_in_two_ways_smuggles_no_request(daemon, there, framing):
    """CVE-2020-10108, CVE-2020-10109: one refusal, and the bytes behind it are no request, though one is signed."""
    smuggled = f"DELETE {there} HTTP/1.1\r\n{lines(sign(daemon, 'DELETE', there))}\r\n"
    connection = daemon.server.connect()
    head = f"POST {there} HTTP/1.1\r\nHost: {HOST}\r\n{framing}\r\n\r\n"
    connection.send(head.encode() + b"0\r\n\r\n" + smuggled.encode())
    assert answers(connection) in ([400], [501])
    assert not connection.open
    assert (daemon.data / "photos" / "there").read_bytes() == OLD


@pytest.mark.parametrize(
    "chunk", [b"4;a\nb\r\nevil", b"+4\r\nevil", b"0x4\r\nevil", b"4 \r\nevil", b"4_0\r\nevil", b"4\nevil"]
)
def test_27_a_chunk_is_framed_in_one_way(daemon, there, chunk):
    """CVE-2022-24801."""
    headers = sign(daemon, "PUT", there, payload="UNSIGNED-PAYLOAD")
    connection = daemon.server.connect()
    head = f"PUT {there} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{lines(headers)}\r\n"
    connection.send(head.encode() + chunk + b"\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answers(connection) == [400]
    assert (daemon.data / "photos" / "there").read_bytes() == OLD


@pytest.mark.parametrize(
    "head",
    [
        "GET {} HTTP/1.1",
        "GET {} HTTP/1.1\r\nHost: s3.test\r\nHost: s3.test",
        "GET {} HTTP/1.1\r\nHost: s3.test\r\nX: a\r\n b",
        "GET {}#fragment HTTP/1.1\r\nHost: s3.test",
        "GET {} HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 99999999999999999999999",
        "GET {} HTTP/1.1\r\nHost: s3.test/evil",
        "GET {} HTTP/2.0\r\nHost: s3.test",
    ],
)
def test_28_what_is_no_request_is_answered_at_once_and_the_connection_ends(daemon, there, head):
    connection = daemon.server.connect()
    connection.send((head.format(there) + "\r\n\r\n").encode())
    response = connection.receive()
    assert response.status == 400
    assert response.error_code
    assert not connection.open


def test_28_a_url_for_a_target_is_the_path_of_that_url(daemon, client, there):
    """The bucket is not ``http:``, and the host that was signed is that of the URL."""
    for host, status in ((HOST, 200), ("evil.test", 403)):
        assert send(daemon, "GET", f"http://{host}{there}", sign(daemon)).status == status


def test_29_a_body_that_nobody_signed_for_is_not_awaited_nor_kept(daemon, there):
    """Refused on the head; then only so much is read and nothing of it is written."""
    for expect in ("Expect: 100-continue\r\n", ""):
        for method, target in (("PUT", "/photos/new"), ("POST", "/photos/x?uploadId=y"), ("POST", "/photos?delete")):
            connection = daemon.server.connect()
            head = f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 200000000\r\n{expect}\r\n"
            connection.send(head.encode())
            assert answers(connection) == [403]
            for _ in range(10):
                connection.send(b"x" * 65536)
            assert answers(connection) == [403]
            daemon.server.clock.advance(3)
            assert not connection.open
    assert daemon.temporary_files() == []
    assert [path.name for path in (daemon.data / "photos").iterdir()] == ["there"]


def test_30_a_head_that_is_too_large_is_told_so_and_the_server_is_not_named(daemon, there):
    for filler in (f"GET /{'x' * MAX_HEAD} HTTP/1.1\r\n", f"GET / HTTP/1.1\r\nHost: h\r\nA: {'x' * MAX_HEAD}\r\n"):
        connection = daemon.server.connect()
        connection.send(filler.encode() + b"\r\n")
        response = connection.receive()
        assert (response.status, response.headers["content-type"]) == (400, "application/xml")
        assert response.error_code == "RequestHeaderSectionTooLarge"
    for answer in (response, send(daemon, "GET", there, sign(daemon)), send(daemon, "GET", "/", {"Host": HOST})):
        said = str(answer.pairs).lower()
        assert "server" not in answer.headers or answer.headers["server"].lower() in ("zs3", "amazons3")
        assert "twisted" not in said
        assert "python" not in said


def test_31_pipelined_requests_are_answered_in_their_order(daemon, client, there):
    """CVE-2023-46137, CVE-2024-41671: the answer to one went to another."""
    for number in range(8):
        client.put(f"/photos/{number}", b"object %d" % number)
    connection = daemon.server.connect(segment=7)
    whole = ""
    for number in range(8):
        path = f"/photos/{number}"
        signed = sign(daemon, path=path) if number % 3 else {"Host": HOST}
        whole += f"GET {path} HTTP/1.1\r\n{lines(signed)}\r\n"
    connection.send(whole.encode())
    for number in range(8):
        response = connection.receive()
        assert response.body == b"object %d" % number if number % 3 else response.status == 403


@pytest.mark.parametrize("host", ["<script>alert(1)</script>", 'a"onload="x', "a%3Cb", "a&b"])
def test_31_no_answer_is_html_nor_has_a_host_that_was_not_escaped(daemon, there, host):
    """CVE-2022-39348, CVE-2024-41810."""
    for target in ("/", there, "/photos?<script>", "/<script>/x", "/photos/<script>alert(1)</script>"):
        response = send(daemon, "GET", target, {"Host": host})
        assert response.status in (400, 403, 404, 501)
        assert response.headers["content-type"] == "application/xml"
        assert b"<script>" not in response.body
        assert "location" not in response.headers


def test_31_http_2_is_not_spoken(daemon):
    connection = daemon.server.connect()
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" * 1000)
    assert answers(connection) == [400]
    assert not connection.open
    connection = daemon.server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n")
    assert answers(connection) == [403]


@pytest.mark.parametrize(
    "number", ["1_0", " 5", "+5", "-0", "\u0663", "5.0", "1e3", "0x5", "5\x0b", "\u00b2", "9" * 5000]
)
def test_32_a_number_is_ascii_digits_wherever_one_is_asked_for(daemon, client, there, number):
    """``int()`` takes underscores, spaces and the digits of all scripts, and refuses more than 4300 of them."""
    for query in ({"max-keys": number}, {"list-type": "2", "max-keys": number}, {"uploads": "", "max-uploads": number}):
        assert client("GET", "/photos", query).status == 400, query
    for query in ({"partNumber": number}, {"uploadId": "x", "max-parts": number}):
        assert client("GET", there, query).status in (400, 404, 416), query
    if number.isascii() and number.isprintable():
        response = send(daemon, "GET", there, {**sign(daemon), "range": f"bytes=0-{number}"})
        assert (response.status, response.body) in ((200, OLD), (206, OLD))


def test_32_other_digits_are_no_range(daemon, client, there):
    for text in ("bytes=\u0660-\u0661", "bytes=0-\u0661", "\uff42ytes=0-1"):
        headers = sign(daemon) | {"range": text}
        response = send(daemon, "GET", there, headers)
        assert (response.status, response.body) == (200, OLD)


def test_32_nothing_is_unpacked_that_a_client_packed(daemon, client, there):
    """A bomb of gzip is kept as it is, and is no document."""
    bomb = gzip.compress(b"<Delete>" + b" " * 1_000_000)
    client.put("/photos/bomb", bomb, {"content-encoding": "gzip"})
    response = client("GET", "/photos/bomb")
    assert (response.headers["content-encoding"], response.body) == ("gzip", bomb)
    for query in ({"tagging": ""}, {"cors": ""}, {"versioning": ""}):
        response = client("PUT", "/photos", query, {"content-encoding": "gzip"}, bomb)
        assert response.status == 400


#: What is told to the type checker of what the daemon itself has made.
FOR_TYPES = re.compile(r"isinstance\(request, Request\)|self\._\w+ is not None")


def test_32_nothing_is_checked_by_assert():
    """It does nothing under ``python -O``: what it says must be true whatever a client sends."""
    for path in Path(zs3.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Assert):
                assert FOR_TYPES.fullmatch(ast.unparse(node.test)), f"{path}:{node.lineno}"


SPLITTING = [
    "a\r\nx-evil: 1",
    "a\nx-evil: 1",
    "a\rx-evil: 1",
    "a\0b",
    "a\x0bx-evil: 1",
    "a\u2028x-evil: 1",
    "\u560d\u560ax-evil: 1",
]


@pytest.mark.parametrize("value", SPLITTING)
def test_33_no_parameter_splits_an_answer(client, there, value):
    for name in (
        "content-disposition",
        "content-type",
        "content-language",
        "cache-control",
        "expires",
        "content-encoding",
    ):
        response = client("GET", there, {f"response-{name}": value})
        assert "x-evil" not in response.headers
        assert response.status in (200, 400)


@pytest.mark.parametrize("value", SPLITTING)
def test_33_what_is_kept_splits_no_answer_later(client, there, value):
    """CVE-2020-10753, CVE-2021-3524: tags, CORS rules, redirects and metadata with line breaks in them."""
    escaped = "".join(f"&#{ord(character)};" for character in value)
    rule = (
        "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
        "<ExposeHeader>{0}</ExposeHeader></CORSRule></CORSConfiguration>"
    )
    client("PUT", "/photos", {"cors": ""}, body=rule.format(escaped).encode())
    tags = "<Tagging><TagSet><Tag><Key>{0}</Key><Value>{0}</Value></Tag></TagSet></Tagging>"
    client("PUT", there, {"tagging": ""}, body=tags.format(escaped).encode())
    for response in (client("GET", there, headers={"Origin": "https://a.test"}), client("HEAD", there)):
        assert response.status == 200
        assert "x-evil" not in response.headers
        assert not any("\r" in text or "\n" in text or "\0" in text for pair in response.pairs for text in pair)


@pytest.mark.parametrize("value", ["caf\u00e9", "\U0001f600", "a\tb", "=?UTF-8?Q?a=0D=0Ax-evil:_1?=", "x" * 2000])
def test_33_metadata_comes_back_as_one_header(client, there, value):
    response = client("PUT", "/photos/meta", headers={"x-amz-meta-a": value}, body=b"")
    assert response.status in (200, 400)
    if response.status == 200:
        response = client("HEAD", "/photos/meta")
        assert "x-evil" not in response.headers
        assert [name.lower() for name, _ in response.pairs].count("x-amz-meta-a") == 1


def test_33_34_what_is_echoed_is_escaped_in_every_error(daemon, client, there):
    """CVE-2015-5245, CVE-2025-69723: the bucket, the key, a parameter, an argument, and the access key."""
    evil = "<script>alert('1')</script>&amp;\"]]>"
    for response in (
        client("GET", f"/photos/{evil}"),
        client("GET", f"/{evil}"),
        client("GET", f"/{evil}/key"),
        client("GET", "/photos", {"max-keys": evil}),
        client("GET", "/photos", {"encoding-type": evil}),
        client("GET", "/photos", {"continuation-token": evil, "list-type": "2"}),
        client("GET", there, {"versionId": evil}),
        client("GET", there, {"uploadId": evil}),
        client("GET", there, {"partNumber": evil}),
        client("PUT", "/photos/copy", headers={"x-amz-copy-source": evil}),
        client("PUT", "/photos/x", headers={"x-amz-acl": evil}),
        client("PUT", "/photos/x", headers={"x-amz-storage-class": evil}),
        client("PUT", "/photos/x", headers={"content-md5": evil}),
        client("GET", "/photos", {"prefix": evil}),
        client("GET", "/photos", {"prefix": evil, "delimiter": evil, "list-type": "2", "start-after": evil}),
        send(daemon, "GET", there, sign(daemon, access_key=evil)),
        send(daemon, "GET", there, {"Host": HOST, "Authorization": evil}),
    ):
        assert response.headers["content-type"] == "application/xml"
        assert b"<script>" not in response.body
        assert b"]]>" not in response.body


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "", "text/html;x"])
def test_34_what_was_stored_is_not_run_by_a_browser_that_guesses(client, there, kind):
    """GHSA-v9fg: also what is no HTML is not made one."""
    client.put("/photos/page", b"<script>alert(1)</script>", {"content-type": kind} if kind else {})
    for method in ("GET", "HEAD"):
        assert client(method, "/photos/page").headers["x-content-type-options"] == "nosniff"
    assert client("GET", "/photos/absent").headers.get("content-type") == "application/xml"
