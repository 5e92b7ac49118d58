"""CORS: what is configured of a bucket, preflights, and what every answer to a page of another origin says."""

import pytest

from tests.wire.daemon import ADMIN, READER, WRITER, Daemon, parse, texts
from tests.wire.hop import Hop
from tests.wire.test_express import Log
from tests.wire.test_guard import UNKNOWN, WRONG
from zs3.web.cors import MAX_RULES

ORIGIN = "https://app.example"
OTHER = "https://other.example"
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
RULE = f"""<CORSRule><ID>app</ID><AllowedOrigin>{ORIGIN}</AllowedOrigin><AllowedMethod>GET</AllowedMethod>
    <AllowedMethod>HEAD</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedMethod>POST</AllowedMethod>
    <AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>Content-Type</AllowedHeader><ExposeHeader>ETag</ExposeHeader>
    <ExposeHeader>x-amz-request-id</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>"""
EVERYBODY = (
    "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
    "<AllowedMethod>DELETE</AllowedMethod></CORSRule>"
)
#: What answers to ORIGIN say by RULE, whatever they answer.
ALLOWED = {
    "access-control-allow-origin": ORIGIN,
    "access-control-allow-methods": "GET, HEAD, PUT, POST",
    "access-control-expose-headers": "ETag, x-amz-request-id",
    "access-control-max-age": "600",
    "access-control-allow-credentials": "true",
    "vary": VARY,
}


def document(*rules):
    return f"<CORSConfiguration>{''.join(rules)}</CORSConfiguration>".encode()


def told(response):
    """What of an answer is a matter of CORS."""
    found = [(name.lower(), value) for name, value in response.pairs]
    found = [(name, value) for name, value in found if name == "vary" or name.startswith("access-control-")]
    assert len(found) == len(dict(found)), found
    return dict(found)


@pytest.fixture
def configured(client, bucket):
    """A bucket with an object and the two rules."""
    client.put(bucket + "/key", b"content")
    assert client("PUT", bucket, {"cors": ""}, body=document(RULE, EVERYBODY)).status == 200
    return bucket


@pytest.fixture
def ask(daemon):
    """Sends an unsigned OPTIONS."""

    def ask(target="/photos/key", **headers):
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        return daemon.server.connect().request("OPTIONS", target, lines)

    return ask


def preflight(ask, target="/photos/key", origin=ORIGIN, method="GET", headers=None, **more):
    lines = {"Origin": origin, "Access_Control_Request_Method": method, **more}
    if headers is not None:
        lines["Access_Control_Request_Headers"] = headers
    return ask(target, **lines)


# What is configured


def test_what_was_put_is_got_until_it_is_deleted(client, bucket):
    response = client("PUT", bucket, {"cors": ""}, body=document(RULE, EVERYBODY))
    assert (response.status, response.body) == (200, b"")
    root = parse(client("GET", bucket, {"cors": ""}))
    assert root.tag == "CORSConfiguration"
    assert texts(root, "CORSRule/AllowedOrigin") == [ORIGIN, "*"]
    assert texts(root, "CORSRule/AllowedMethod") == ["GET", "HEAD", "PUT", "POST", "GET", "DELETE"]
    assert texts(root, "CORSRule/AllowedHeader") == ["x-amz-*", "Content-Type"]
    assert (texts(root, "CORSRule/ID"), texts(root, "CORSRule/MaxAgeSeconds")) == (["app"], ["600"])
    assert client("PUT", bucket, {"cors": ""}, body=document(EVERYBODY)).status == 200
    assert texts(parse(client("GET", bucket, {"cors": ""})), "CORSRule/AllowedOrigin") == ["*"]
    for _ in range(2):
        assert client("DELETE", bucket, {"cors": ""}).status == 204
        response = client("GET", bucket, {"cors": ""})
        assert (response.status, response.error_code) == (404, "NoSuchCORSConfiguration")
        assert response.element("BucketName") == "photos"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (document(), "MalformedXML"),
        (document(EVERYBODY.replace("GET", "PATCH")), "InvalidRequest"),
        (document(*[EVERYBODY] * (MAX_RULES + 1)), "InvalidRequest"),
        (document(EVERYBODY, "<!--" + " " * 65536 + "-->"), "MaxMessageLengthExceeded"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + document(EVERYBODY), "MalformedXML"),
    ],
)
def test_what_is_wrong_is_refused_and_what_stands_stays(client, configured, body, code):
    response = client("PUT", configured, {"cors": ""}, body=body)
    assert (response.status, response.error_code) == (400, code)
    assert len(texts(parse(client("GET", configured, {"cors": ""})), "CORSRule")) == 2


def test_a_document_that_was_damaged_on_its_way_is_refused(client, configured):
    headers = {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    response = client("PUT", configured, {"cors": ""}, headers, document(EVERYBODY))
    assert response.error_code == "BadDigest"
    assert len(texts(parse(client("GET", configured, {"cors": ""})), "CORSRule")) == 2


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_of_no_bucket_nothing_is_configured(client, method):
    response = client(method, "/absent", {"cors": ""}, body=document(EVERYBODY) if method == "PUT" else None)
    assert (response.status, response.error_code) == (404, "NoSuchBucket")


def test_only_who_may_write_configures(daemon, configured):
    reader = daemon.client(READER)
    assert reader("GET", configured, {"cors": ""}).status == 200
    for method in ("PUT", "DELETE"):
        response = reader(method, configured, {"cors": ""}, body=document(EVERYBODY) if method == "PUT" else None)
        assert (response.status, response.error_code) == (403, "AccessDenied")
    assert daemon.client(WRITER)("DELETE", configured, {"cors": ""}).status == 204


def test_the_bucket_is_of_who_is_expected(client, configured):
    for method in ("GET", "PUT", "DELETE"):
        response = client(method, configured, {"cors": ""}, {"x-amz-expected-bucket-owner": "1" * 64}, body=b"")
        assert (response.status, response.error_code) == (403, "AccessDenied")


# Preflights


def test_a_preflight_needs_no_signature(ask, configured):
    response = preflight(ask, method="PUT", headers="content-type, X-Amz-Meta-A,,x-amz-date")
    assert (response.status, response.body) == (200, b"")
    assert response.headers["content-length"] == "0"
    requested = {"access-control-allow-headers": "content-type, X-Amz-Meta-A, x-amz-date"}
    assert told(response) == ALLOWED | requested


@pytest.mark.parametrize("target", ["/photos", "/photos/", "/photos/key", "/photos/absent", "/photos/a//b%20?acl&x=1"])
def test_a_preflight_is_of_the_bucket_whatever_is_in_it(ask, configured, target):
    response = preflight(ask, target)
    assert (response.status, told(response)) == (200, ALLOWED)


def test_a_presigned_url_is_asked_for_as_it_is(client, ask, configured):
    target = client.presigned("PUT", configured + "/key")
    assert preflight(ask, target, method="PUT").status == 200
    assert preflight(ask, target.replace("Signature=", "Signature=0"), method="PUT").status == 200


def test_everybody_is_told_of_everybody(ask, configured):
    response = preflight(ask, origin=OTHER)
    assert response.status == 200
    assert told(response) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, DELETE",
        "vary": VARY,
    }


@pytest.mark.parametrize(
    ("target", "kind"),
    [("/photos", "BUCKET"), ("/photos/", "BUCKET"), ("/photos/key", "OBJECT"), ("/photos//", "OBJECT")],
)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": OTHER, "method": "PUT"},
        {"origin": ORIGIN.upper(), "method": "PUT"},
        {"origin": OTHER, "headers": "range"},
        {"origin": ORIGIN, "method": "PUT", "headers": "x-amz-date, range"},
        {"origin": ORIGIN, "method": "PUT", "headers": "x-amz-a b"},
        {"origin": ORIGIN, "method": "PUT", "headers": ",".join(f"x-amz-{number}" for number in range(1000))},
        {"origin": "a b"},
        {"origin": "h\xe4"},
    ],
)
def test_what_no_rule_allows_is_forbidden(ask, configured, target, kind, headers):
    response = preflight(ask, target, **headers)
    assert (response.status, response.error_code) == (403, "AccessForbidden")
    assert response.element("Message").startswith("CORSResponse: This CORS request is not allowed.")
    assert response.element("Method") == headers.get("method", "GET")
    assert response.element("ResourceType") == kind
    assert told(response) == {}


def test_without_rules_everything_is_forbidden_and_no_bucket_is_told_from_none(ask, bucket):
    seen = set()
    for target in ("/photos", "/photos/key", "/absent", "/absent/key", "/.zs3", "/..", "/x%00", "/", "//", "//key"):
        response = preflight(ask, target, method="PUT")
        assert told(response) == {}
        seen.add((response.status, response.error_code, response.element("Message"), response.element("Method")))
        assert response.element("ResourceType") == "BUCKET"
    assert seen == {(403, "AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.", "PUT")}
    assert ask("/photos", Origin=ORIGIN).element("Method") == "OPTIONS"


@pytest.mark.parametrize("target", ["/", "/photos", "/photos/key", "/absent"])
@pytest.mark.parametrize("headers", [{}, {"Access_Control_Request_Method": "GET"}, {"Origin": ""}])
def test_a_preflight_has_an_origin(ask, configured, target, headers):
    response = ask(target, **headers)
    assert (response.status, response.error_code) == (400, "BadRequest")
    assert response.element("Message") == "Insufficient information. Origin request header needed."


@pytest.mark.parametrize("method", [None, "", "get", "PATCH", "OPTIONS", "GET, PUT", "<&>"])
def test_a_preflight_is_for_a_method_that_there_is(ask, configured, method):
    lines = {} if method is None else {"Access_Control_Request_Method": method}
    response = ask("/photos/key", Origin=ORIGIN, **lines)
    assert (response.status, response.error_code) == (400, "BadRequest")
    shown = {"<&>": "&lt;&amp;&gt;"}.get(method, method or "null")
    assert response.element("Message") == f"Invalid Access-Control-Request-Method: {shown}"
    assert told(response) == {}


@pytest.mark.parametrize("target", ["/%ff", "/photos/%ff", "/photos?a=%ff"])
def test_a_preflight_for_what_is_no_name_is_refused(ask, configured, target):
    assert preflight(ask, target).error_code == "InvalidURI"


def test_a_preflight_may_have_a_body_and_is_not_the_last_request(daemon, configured):
    connection = daemon.server.connect()
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    for body in (b"", b"x" * 100_000):
        response = connection.request("OPTIONS", "/photos/key", headers, body)
        assert (response.status, told(response)) == (200, ALLOWED)
        assert connection.open


def test_a_signature_makes_no_difference_to_a_preflight(daemon, configured):
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    for user in (ADMIN, UNKNOWN, WRONG):
        assert told(daemon.client(user)("OPTIONS", "/photos/key", headers=headers)) == ALLOWED


@pytest.fixture
def hosts(tmp_path):
    daemon = Daemon(tmp_path, domains=["s3.hosts"], access_log=Log())
    client = daemon.client()
    client.put("/photos")
    client.put("/photos/key", b"content")
    client("PUT", "/photos", {"cors": ""}, body=document(RULE))
    yield daemon
    daemon.stop()


@pytest.mark.parametrize(
    ("host", "target", "known"),
    [
        ("photos.s3.hosts", "/key", True),
        ("photos.s3.hosts:9000", "/", True),
        ("photos.s3.hosts", "/photos/key", True),
        ("s3.hosts", "/photos/key", True),
        ("other.s3.hosts", "/photos/key", False),
        ("s3.hosts", "/other/key", False),
    ],
)
def test_the_bucket_may_be_in_the_host(hosts, host, target, known):
    headers = {"Host": host, "Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    response = hosts.server.connect().request("OPTIONS", target, headers)
    assert (response.status == 200, told(response) == ALLOWED) == (known, known)
    response = hosts.server.connect().request("GET", target, {"Host": host, "Origin": ORIGIN})
    assert (told(response) == ALLOWED) == known


def test_the_access_log_tells_of_preflights(hosts):
    headers = {"Host": "photos.s3.hosts", "Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    for method in ("GET", "DELETE"):
        hosts.server.connect().request("OPTIONS", "/a/b%20c", headers | {"Access-Control-Request-Method": method})
    (granted, status, _), (refused, other, _) = hosts.server.site._recorders[0].records[-2:]
    assert (granted.operation, granted.bucket, granted.key, granted.error, status) == (
        "Preflight", "photos", "a/b c", "", 200,
    )  # fmt: skip
    assert (refused.operation, refused.error, other) == ("Preflight", "AccessForbidden", 403)


# All other requests


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "status"),
    [
        ("GET", "/photos/key", None, {}, 200),
        ("HEAD", "/photos/key", None, {}, 200),
        ("GET", "/photos/large", None, {}, 200),
        ("GET", "/photos/key", None, {"Range": "bytes=1-2"}, 206),
        ("GET", "/photos/large", None, {"Range": "bytes=1-90000"}, 206),
        ("GET", "/photos/key", None, {"Range": "bytes=99-"}, 416),
        ("GET", "/photos/key", None, {"If-None-Match": "*"}, 304),
        ("GET", "/photos/key", None, {"If-Match": '"other"'}, 412),
        ("HEAD", "/photos/absent", None, {}, 404),
        ("GET", "/photos/absent", None, {}, 404),
        ("GET", "/photos", {"list-type": "2"}, {}, 200),
        ("HEAD", "/photos", None, {}, 200),
        ("GET", "/photos", {"cors": ""}, {}, 200),
        ("PUT", "/photos/new", None, {}, 200),
        ("PUT", "/photos", None, {}, 200),
        ("PUT", "/photos/key", {"nobody-knows": ""}, {}, 501),
        ("POST", "/photos/new", {"uploads": ""}, {}, 200),
        ("PUT", "/photos/copy", None, {"x-amz-copy-source": "photos/key"}, 200),
        ("GET", "/photos/key", None, {"x-amz-expected-bucket-owner": "1" * 64}, 403),
    ],
)
def test_every_answer_tells_a_page_that_it_may_read_it(client, configured, method, path, query, headers, status):
    client.put("/photos/large", bytes(100_000))
    response = client(method, path, query, {"Origin": ORIGIN, **headers})
    assert (response.status, told(response)) == (status, ALLOWED)
    for origin in ({}, {"Origin": ""}, {"Origin": "a b"}):
        assert told(client(method, path, query, {**origin, **headers})) == {}


@pytest.mark.parametrize("user", [READER, WRONG, UNKNOWN])
def test_a_page_may_read_why_it_was_refused(daemon, configured, user):
    response = daemon.client(user)("PUT", "/photos/key", headers={"Origin": ORIGIN}, body=b"evil")
    assert (response.status, told(response)) == (403, ALLOWED)
    assert response.error_code
    unsigned = daemon.server.connect().request("GET", "/photos/key", {"Origin": ORIGIN})
    assert (unsigned.error_code, told(unsigned)) == ("AccessDenied", ALLOWED)


def test_a_rule_is_of_origin_and_method(client, configured):
    everybody = {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, DELETE",
        "vary": VARY,
    }
    assert told(client("GET", "/photos/key", headers={"Origin": OTHER})) == everybody
    assert told(client("HEAD", "/photos/key", headers={"Origin": OTHER})) == {}
    assert told(client("PUT", "/photos/key", headers={"Origin": OTHER})) == {}
    response = client("DELETE", "/photos/key", headers={"Origin": ORIGIN})
    assert (response.status, told(response)) == (204, everybody)


def test_what_a_request_says_of_another_one_counts_as_on_s3(client, configured):
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
    assert told(client("DELETE", "/photos/absent", headers=headers)) == ALLOWED
    headers = {"Origin": OTHER, "Access-Control-Request-Method": "PUT"}
    assert told(client("GET", "/photos/key", headers=headers)) == {}
    headers = {"Origin": ORIGIN, "Access-Control-Request-Headers": "range"}
    assert told(client("GET", "/photos/key", headers=headers)) == {}


def test_where_nothing_is_configured_nothing_is_told(client, configured):
    client.put("/music")
    for path in ("/music", "/music/key", "/absent", "/absent/key", "/"):
        response = client("GET", path, headers={"Origin": ORIGIN})
        assert (response.status in (200, 404), told(response)) == (True, {})
    client("DELETE", "/photos", {"cors": ""})
    assert told(client("GET", "/photos/key", headers={"Origin": ORIGIN})) == {}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_with_an_origin_does_not_take_the_short_cut(daemon, client, configured, method):
    """It would not know of the rules."""
    guard = daemon.server.site.resource
    served = []
    serve = guard._express.serve
    guard._express.serve = lambda *args: served.append(serve(*args)) or served[-1]
    assert told(client(method, "/photos/key", headers={"Origin": ORIGIN})) == ALLOWED
    assert served == [False]


# Without waiting


@pytest.fixture
def hopping(tmp_path):
    hop = Hop()
    daemon = Daemon(tmp_path, hop=hop)
    client = daemon.client()
    client.put("/photos")
    client.put("/photos/key", b"content")
    client("PUT", "/photos", {"cors": ""}, body=document(RULE))
    yield daemon, hop, client
    daemon.stop()


PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}


def test_what_the_kernel_has_at_hand_takes_no_thread(hopping):
    daemon, hop, client = hopping
    if daemon.store._hot._fd < 0:
        pytest.skip("the temporary directory is on no file system that this works on")
    del hop.calls[:]
    assert told(daemon.server.connect().request("OPTIONS", "/photos/key", PREFLIGHT)) == ALLOWED
    assert told(client("GET", "/photos/key", headers={"Origin": ORIGIN})) == ALLOWED
    assert hop.calls == []


def test_what_is_not_at_hand_is_waited_for(hopping, monkeypatch):
    daemon, hop, client = hopping
    monkeypatch.setattr(daemon.store, "look_now", lambda _: None)
    connection = daemon.server.connect()
    for refused, headers in ((False, PREFLIGHT), (True, PREFLIGHT | {"Origin": OTHER})):
        hop.held = True
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.send(f"OPTIONS /photos/key HTTP/1.1\r\nHost: s3.test\r\n{lines}\r\n".encode())
        assert connection.received() == b""
        hop.release()
        response = connection.receive()
        assert (response.status, told(response)) == ((403, {}) if refused else (200, ALLOWED))
    assert told(client("GET", "/photos/key", headers={"Origin": ORIGIN})) == ALLOWED
    assert told(daemon.client(WRONG)("GET", "/photos/key", headers={"Origin": ORIGIN})) == ALLOWED
    assert told(client("GET", "/absent/key", headers={"Origin": ORIGIN})) == {}
    assert client("GET", "/photos/key", headers={"Origin": ORIGIN}).body == b"content"
    assert client("PUT", "/photos/sub/new", headers={"Origin": ORIGIN}, body=b"new").status == 200
    assert (daemon.data / "photos/sub/new").read_bytes() == b"new"


def test_a_client_that_goes_meanwhile_breaks_nothing(hopping, monkeypatch):
    daemon, hop, client = hopping
    monkeypatch.setattr(daemon.store, "look_now", lambda _: None)
    hop.held = True
    for method in ("OPTIONS", "GET"):
        connection = daemon.server.connect()
        lines = "".join(f"{name}: {value}\r\n" for name, value in PREFLIGHT.items())
        connection.send(f"{method} /photos/key HTTP/1.1\r\nHost: s3.test\r\n{lines}\r\n".encode())
        connection.hang_up()
    hop.release()
    assert client("GET", "/photos/key").body == b"content"


def test_an_answer_that_takes_long_says_it_from_the_beginning(hopping):
    daemon, hop, client = hopping
    hop.held = True
    target, headers = client.signed("PUT", "/photos/copy", None, {"x-amz-copy-source": "photos/key", "Origin": ORIGIN})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    client.connection.send(f"PUT {target} HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n".encode())
    daemon.server.clock.advance(11)
    assert client.connection.received().startswith(b"HTTP/1.1 200 OK\r\n")
    hop.release()
    response = client.connection.receive()
    assert (response.headers["transfer-encoding"], told(response)) == ("chunked", ALLOWED)


def test_of_what_cannot_be_read_nothing_is_concluded(daemon, client, configured, ask, logged):
    [file] = (daemon.data / ".zs3" / "buckets").glob("*/config")
    file.write_bytes(b"{")
    assert preflight(ask).error_code == "InternalError"
    assert client("GET", "/photos/key", headers={"Origin": ORIGIN}).error_code == "InternalError"
    assert len(logged()) == 2
