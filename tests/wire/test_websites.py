"""Buckets as websites: what is configured, and what browsers are answered."""

import json
import time
from email.utils import formatdate

import pytest
from lxml import etree
from twisted.internet import defer

from tests.wire.daemon import ADMIN, READER, WRITER, Daemon, parse, texts
from tests.wire.test_express import Log
from zs3.auth.access import WRITER as OBJECT_WRITER

INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
ERROR = "<ErrorDocument><Key>oops/error.html</Key></ErrorDocument>"
HOST = "photos.web.test"
ARN = "arn:aws:s3:::photos"
READ = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": ARN + "/*"}
LIST = {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": ARN}


def document(*elements):
    return f"<WebsiteConfiguration>{''.join(elements)}</WebsiteConfiguration>".encode()


def routing(*rules):
    return f"<RoutingRules>{''.join(rules)}</RoutingRules>"


def rule(redirect, prefix=None, code=None):
    condition = "" if prefix is None else f"<KeyPrefixEquals>{prefix}</KeyPrefixEquals>"
    if code is not None:
        condition += f"<HttpErrorCodeReturnedEquals>{code}</HttpErrorCodeReturnedEquals>"
    where = f"<Condition>{condition}</Condition>" if condition else ""
    return f"<RoutingRule>{where}<Redirect>{redirect}</Redirect></RoutingRule>"


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(
        tmp_path,
        domains=["s3.test"],
        website_domains=["Web.test.", "deep.s3.test"],
        ownership=OBJECT_WRITER,
        access_log=Log(),
    )
    yield daemon
    daemon.stop()


@pytest.fixture
def configure(client, bucket):
    """Replaces the website."""

    def configure(*elements):
        response = client("PUT", bucket, {"website": ""}, body=document(*elements))
        assert (response.status, response.body) == (200, b"")

    return configure


@pytest.fixture
def allow(client, bucket):
    """Replaces the policy, which may be public."""
    block = b"<PublicAccessBlockConfiguration/>"
    assert client("PUT", bucket, {"publicAccessBlock": ""}, body=block).status == 200

    def allow(*statements):
        text = json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()
        assert client("PUT", bucket, {"policy": ""}, body=text).status == 204

    return allow


@pytest.fixture
def pages(client, bucket, configure, allow):
    """A website that everybody may read, and nobody list."""
    for key in ("index.html", "about.html", "docs/index.html", "docs/a b.html", "oops/error.html"):
        client.put(f"{bucket}/{key}", b"<p>" + key.encode(), {"Content-Type": "text/html"})
    configure(INDEX, ERROR)
    allow(READ)


@pytest.fixture
def visit(daemon):
    """Sends what a browser sends."""

    def visit(target="/", method="GET", headers=None, body=None, host=HOST):
        return daemon.server.connect().request(method, target, {"Host": host, **(headers or {})}, body)

    return visit


def told(response):
    """What an error page says, by name."""
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    root = etree.HTML(response.body)
    found = {}
    for item in root.iterfind(".//li"):
        name, _, text = item.text.partition(": ")
        found.setdefault(name, text)
        assert len(item) == 0, "no element in a text"
    assert root.findtext(".//h1").startswith(str(response.status))
    assert found["RequestId"] == response.headers["x-amz-request-id"]
    return found


# What is configured


def test_what_was_put_is_got_until_it_is_deleted(client, bucket):
    body = document(INDEX, ERROR, routing(rule("<ReplaceKeyWith>b</ReplaceKeyWith>", "a", 404)))
    assert client("PUT", bucket, {"website": ""}, body=body).status == 200
    root = parse(client("GET", bucket, {"website": ""}))
    assert root.tag == "WebsiteConfiguration"
    assert texts(root, "IndexDocument/Suffix") == ["index.html"]
    assert texts(root, "ErrorDocument/Key") == ["oops/error.html"]
    assert texts(root, "RoutingRules/RoutingRule/Condition/HttpErrorCodeReturnedEquals") == ["404"]
    assert client("PUT", bucket, {"website": ""}, body=b"<x/>").error_code == "MalformedXML"
    assert client("GET", bucket, {"website": ""}).status == 200
    assert client("DELETE", bucket, {"website": ""}).status == 204
    response = client("GET", bucket, {"website": ""})
    assert (response.status, response.error_code) == (404, "NoSuchWebsiteConfiguration")
    assert client("DELETE", bucket, {"website": ""}).status == 204


def test_it_is_kept_and_goes_with_the_bucket(tmp_path, daemon, client, bucket, configure):
    configure(INDEX)
    daemon.stop()
    again = Daemon(tmp_path)
    client = again.client()
    assert client("GET", bucket, {"website": ""}).status == 200
    assert client("DELETE", bucket).status == 204
    client.put(bucket)
    assert client("GET", bucket, {"website": ""}).error_code == "NoSuchWebsiteConfiguration"
    again.stop()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_who_may_configure_it(daemon, configure, bucket, alice, nobody, method):
    configure(INDEX)
    body = document(INDEX) if method == "PUT" else None
    for client in (alice, nobody, *([] if method == "GET" else [daemon.client(READER)])):
        response = client(method, bucket, {"website": ""}, body=body)
        assert (response.status, response.error_code) == (403, "AccessDenied")
    expected = {"x-amz-expected-bucket-owner": "0" * 64}
    assert daemon.client()(method, bucket, {"website": ""}, expected, body).error_code == "AccessDenied"
    assert daemon.client(ADMIN)(method, bucket, {"website": ""}, body=body).status in (200, 204)
    assert daemon.client(WRITER)("HEAD", bucket).status == 200


def test_a_document_above_the_limit_is_refused(client, bucket):
    body = document(INDEX, " " * 128 * 1024)
    assert client("PUT", bucket, {"website": ""}, body=body).error_code == "MaxMessageLengthExceeded"


# Pages


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("/", "index.html"),
        ("/?a=b&versionId=x&partNumber=0&website", "index.html"),
        ("/index.html", "index.html"),
        ("/about.html", "about.html"),
        ("/about.html?response-content-type=text/evil", "about.html"),
        ("/docs/", "docs/index.html"),
        ("/docs/a%20b.html", "docs/a b.html"),
    ],
)
def test_a_page(visit, pages, target, key):
    response = visit(target)
    assert (response.status, response.body) == (200, b"<p>" + key.encode())
    assert response.headers["content-type"] == "text/html"
    head = visit(target, "HEAD")
    assert (head.status, head.body) == (200, b"")
    for name in ("content-length", "etag", "last-modified", "content-type", "accept-ranges"):
        assert head.headers[name] == response.headers[name]
    for each in (response, head):
        assert "x-content-type-options" not in each.headers


@pytest.mark.parametrize("host", [HOST, "Photos.Web.Test.:9000", "photos.deep.s3.test"])
def test_the_host_names_the_bucket(visit, pages, host):
    assert visit(host=host).body == b"<p>index.html"


@pytest.mark.parametrize("host", ["photos.s3.test", "s3.test", "other"])
def test_other_hosts_are_those_of_s3(visit, pages, host):
    response = visit("/about.html" if host == "photos.s3.test" else "/photos/about.html", host=host)
    assert (response.status, response.body) == (200, b"<p>about.html")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert visit("/" if host == "photos.s3.test" else "/photos", host=host).error_code == "AccessDenied"


def test_the_connection_is_told_to_believe_types_again(daemon, pages):
    connection = daemon.server.connect()
    assert "x-content-type-options" not in connection.request("GET", "/", {"Host": HOST}).headers
    response = connection.request("GET", "/photos/about.html", {"Host": "s3.test"})
    assert response.headers["x-content-type-options"] == "nosniff"


def test_conditions_and_ranges_are_those_of_objects(visit, pages):
    etag = visit("/about.html").headers["etag"]
    response = visit("/about.html", headers={"If-None-Match": etag})
    assert (response.status, response.body, response.headers["etag"]) == (304, b"", etag)
    tomorrow = formatdate(time.time() + 86400, usegmt=True)
    assert visit("/about.html", headers={"If-Modified-Since": tomorrow}).status in (200, 304)
    response = visit("/about.html", headers={"Range": "bytes=1-3"})
    assert (response.status, response.body) == (206, b"p>a")
    assert response.headers["content-range"] == "bytes 1-3/13"
    # What is wrong with these is shown as any error.
    response = visit("/about.html", headers={"If-Match": '"x"'})
    assert (response.status, response.body) == (412, b"<p>oops/error.html")
    response = visit("/about.html", headers={"Range": "bytes=99-"})
    assert (response.status, response.body) == (416, b"<p>oops/error.html")


@pytest.mark.parametrize("size", [0, 70_000, 2_000_000])
def test_a_page_of_any_size(client, bucket, visit, pages, size):
    client.put(bucket + "/large", b"x" * size)
    response = visit("/large")
    assert (response.status, response.body) == (200, b"x" * size)
    assert visit("/large", "HEAD").headers["content-length"] == str(size)


def test_a_directory_without_a_slash_is_sent_to_the_one_with_it(client, bucket, visit, pages):
    client.put(bucket + "/sp ace/é/index.html")
    client.put(bucket + "/both")
    client.put(bucket + "/both/index.html")
    for target, location in (("/docs", "/docs/"), ("/sp%20ace/%C3%A9", "/sp%20ace/%C3%A9/"), ("/docs?a", "/docs/")):
        for method in ("GET", "HEAD"):
            response = visit(target, method)
            assert (response.status, response.body, response.headers["location"]) == (302, b"", location)
    assert visit("/both").status == 200


def test_no_directory_leads_to_another_host(client, bucket, visit, pages):
    for key in ("/evil.example", "/\\evil.example", "//evil.example"):
        client.put(f"{bucket}/{key}/index.html", b"page")
    for target in ("//evil.example", "///evil.example", "/%2Fevil.example", "/%2F%5Cevil.example"):
        response = visit(target)
        assert response.status == 302
        location = response.headers["location"]
        assert location.startswith("/%2F")
        assert visit(location).body == b"page"


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_done_but_reading(daemon, client, bucket, visit, pages, method):
    body = b"new" if method in ("PUT", "POST", "PATCH") else None
    for headers in ({}, {"Origin": "https://a", "Access-Control-Request-Method": "GET"}):
        response = visit("/about.html", method, headers, body)
        assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
        assert told(response)["Code"] == "MethodNotAllowed"
    # Nor with a signature: the host is not one of S3.
    signer = daemon.client()
    signer.host = HOST
    assert signer(method, "/about.html", body=body).status == 405
    assert client("GET", bucket + "/about.html").body == b"<p>about.html"


def test_a_form_is_no_page(visit, pages):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert visit("/", "POST", headers, b"--x--").status == 405


# Who may see what


def test_a_signature_is_passed_over(daemon, client, bucket, visit, configure):
    client.put(bucket + "/index.html", b"secret")
    configure(INDEX)
    signer = daemon.client()
    signer.host = HOST
    assert signer("GET", "/index.html").status == 403
    assert visit(signer.presigned("GET", "/index.html")).status == 403
    for headers in ({"Authorization": "nonsense"}, {"x-amz-content-sha256": "nonsense"}):
        response = visit("/index.html", headers=headers)
        assert (response.status, told(response)["Code"]) == (403, "AccessDenied")
    client("PUT", bucket, {"publicAccessBlock": ""}, body=b"<PublicAccessBlockConfiguration/>")
    assert client("PUT", bucket + "/index.html", {"acl": ""}, {"x-amz-acl": "public-read"}, b"").status == 200
    for headers in ({"Authorization": "nonsense"}, {"x-amz-content-sha256": "nonsense"}):
        assert visit("/index.html", headers=headers).body == b"secret"
    assert visit("/index.html?X-Amz-Signature=x&X-Amz-Algorithm=AWS4-HMAC-SHA256").body == b"secret"
    seen = [each for each, *_ in daemon.server.site._recorders[0].records if each.operation == "Website"]
    assert len(seen) == 7
    assert {each.access_key for each in seen} == {""}


@pytest.mark.parametrize("may_list", [False, True])
def test_who_may_list_the_bucket_is_told_what_is_missing(client, bucket, visit, configure, allow, may_list):
    configure(INDEX)
    allow(READ, *([LIST] if may_list else []))
    status, code = (404, "NoSuchKey") if may_list else (403, "AccessDenied")
    for target in ("/", "/missing", "/missing/", "/a/b"):
        response = visit(target)
        assert (response.status, told(response)["Code"]) == (status, code)
        assert response.headers["x-amz-error-code"] == code
        head = visit(target, "HEAD")
        assert (head.status, head.body, head.headers["x-amz-error-code"]) == (status, b"", code)


def test_what_is_private_is_answered_as_what_is_not_there(client, bucket, visit, configure, allow):
    """Unless everybody may know what is there."""
    configure(INDEX)
    private = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": ARN + "/secret*"}
    for key in ("secret/a", "secret/b/index.html", "dir/index.html", "tagged"):
        client.put(f"{bucket}/{key}")
    allow(READ, private)
    assert {visit(target).status for target in ("/secret/a", "/secret/x", "/secret/b", "/secret/b/")} == {403}
    only = {**READ, "Resource": ARN + "/*/index.html"}
    allow(only)
    # `dir` is to be had whether there is an object of that name or not.
    assert visit("/dir").status == 302
    client.put(bucket + "/dir")
    assert visit("/dir").status == 302
    allow(only, LIST)
    assert visit("/dir").status == 403
    client("DELETE", bucket + "/dir")
    assert visit("/dir").status == 302


def test_the_conditions_of_policies_count(visit, pages, allow):
    allow({**READ, "Condition": {"StringLike": {"aws:Referer": "http://photos.web.test/*"}}})
    assert visit("/about.html").status == 403
    assert visit("/about.html", headers={"Referer": "http://photos.web.test/"}).status == 200


# Errors


def test_the_error_document_has_the_status_of_the_error(visit, pages, allow):
    for statements, status in (([READ], 403), ([READ, LIST], 404)):
        allow(*statements)
        response = visit("/missing", headers={"Range": "bytes=0-1", "If-None-Match": "*"})
        assert (response.status, response.body) == (status, b"<p>oops/error.html")
        assert response.headers["content-type"] == "text/html"
        assert response.headers["x-amz-error-code"] == {403: "AccessDenied", 404: "NoSuchKey"}[status]
        head = visit("/missing", "HEAD")
        assert (head.status, head.body, head.headers["content-length"]) == (status, b"", "18")


def test_an_error_document_that_is_not_there_is_told_too(client, bucket, visit, pages, allow):
    allow(READ, LIST)
    client("DELETE", bucket + "/oops/error.html")
    response = visit("/missing")
    assert response.status == 404
    assert told(response)["Code"] == "NoSuchKey"
    assert b"<li>Key: oops/error.html</li>" in response.body


def test_an_error_document_that_nobody_may_read_stays_unread(visit, pages, allow):
    allow({**READ, "Resource": ARN + "/index.html"})
    response = visit("/missing")
    assert (response.status, told(response)["Code"]) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("absent.web.test", "NoSuchBucket"),
        ("web.test", "NoSuchBucket"),
        (HOST, "NoSuchWebsiteConfiguration"),
    ],
)
def test_where_there_is_no_website(client, bucket, visit, host, code):
    response = visit(host=host)
    assert (response.status, told(response)["Code"]) == (404, code)


@pytest.mark.parametrize(
    ("target", "status"),
    [("/" + "a" * 1025, 400), ("/%", 400), ("/%ff", 400), ("/a%00b", 400), ("/..%2f..%2fetc%2fpasswd", 404)],
)
def test_a_path_that_is_no_key(visit, configure, allow, target, status):
    configure(INDEX)
    allow(READ, LIST)
    assert visit(target).status == status
    assert told(visit(target))


def test_what_is_repeated_is_escaped(visit):
    """34: of what is told nothing becomes an element."""
    response = visit(host="b&lt;'i.web.test")
    assert b"<li>BucketName: b&amp;lt;&#x27;i</li>" in response.body
    assert told(response)["BucketName"] == "b&lt;'i"
    assert visit(host="b<i>.web.test").status == 400, "no name of a host"


def test_a_fault_of_ours_is_told_in_html_too(daemon, visit, pages, monkeypatch, logged):
    monkeypatch.setattr(daemon.store, "get_configuration", lambda _: defer.fail(ZeroDivisionError()))
    response = visit()
    assert (response.status, told(response)["Code"]) == (500, "InternalError")
    assert len(logged("critical")) == 1


# Redirects


def test_an_object_that_is_a_redirect(client, bucket, visit, pages):
    for location, sent in (
        ("/about.html", "/about.html"),
        ("https://example.org/a?b#c", "https://example.org/a?b#c"),
        ("/ä b", "/%C3%A4%20b"),
    ):
        client.put(bucket + "/moved", b"body", {"x-amz-website-redirect-location": location})
        response = visit("/moved", headers={"Range": "bytes=0-0"})
        assert (response.status, response.body, response.headers["location"]) == (301, b"", sent)
    client.put(bucket + "/docs/index.html", b"", {"x-amz-website-redirect-location": "/about.html"})
    assert visit("/docs/").headers["location"] == "/about.html"
    # To S3 it is an object.
    response = client("GET", bucket + "/moved")
    assert (response.status, response.body) == (200, b"body")


def test_a_redirect_that_nobody_may_read_is_not_told(client, bucket, visit, configure):
    configure(INDEX)
    client.put(bucket + "/moved", b"", {"x-amz-website-redirect-location": "https://secret.example/"})
    response = visit("/moved")
    assert (response.status, "location" in response.headers) == (403, False)


@pytest.mark.parametrize(
    ("protocol", "target", "url"),
    [
        ("", "/", "http://example.org/"),
        ("", "/a%20b/?c=d%20e&f", "http://example.org/a%20b/?c=d%20e&f"),
        ("<Protocol>https</Protocol>", "/x", "https://example.org/x"),
        ("", "//evil.example", "http://example.org//evil.example"),
        ("", "/%0d%0aSet-Cookie:%20a=b", "http://example.org/%0D%0ASet-Cookie:%20a=b"),
    ],
)
def test_everything_is_sent_elsewhere(visit, configure, protocol, target, url):
    """33: whatever is asked for, the answer has the headers it has."""
    configure(f"<RedirectAllRequestsTo><HostName>example.org</HostName>{protocol}</RedirectAllRequestsTo>")
    for method in ("GET", "HEAD"):
        response = visit(target, method)
        if target.startswith("/%0d"):
            assert response.status in (301, 400)
            assert "set-cookie" not in response.headers
            continue
        assert (response.status, response.headers["location"]) == (301, url)
    assert visit("/", "PUT", body=b"x").status == 405


def test_the_protocol_is_that_of_the_request(daemon, configure):
    configure("<RedirectAllRequestsTo><HostName>example.org</HostName></RedirectAllRequestsTo>")
    response = daemon.server.connect(secure=True).request("GET", "/a", {"Host": HOST})
    assert response.headers["location"] == "https://example.org/a"


RULES = (
    rule("<ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith>", "old/"),
    rule(
        "<HostName>search.example</HostName><Protocol>https</Protocol><HttpRedirectCode>307</HttpRedirectCode>"
        "<ReplaceKeyWith>?gone=1</ReplaceKeyWith>",
        "gone/",
        404,
    ),
    rule("<ReplaceKeyPrefixWith>#!/</ReplaceKeyPrefixWith>", None, 404),
)


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/about.html", 200, None),
        ("/old/a%20b", 301, f"http://{HOST}/new/a%20b"),
        ("/old/there", 301, f"http://{HOST}/new/there"),
        ("/gone/a", 307, "https://search.example/?gone=1"),
        ("/app/state", 301, f"http://{HOST}/#!/app/state"),
        ("/docs", 302, "/docs/"),
    ],
)
def test_routing_rules(client, bucket, visit, pages, configure, allow, target, status, location):
    configure(INDEX, ERROR, routing(*RULES))
    allow(READ, LIST)
    client.put(bucket + "/old/there")
    for method in ("GET", "HEAD"):
        response = visit(target, method)
        assert (response.status, response.headers.get("location")) == (status, location)


def test_a_rule_is_for_its_error_alone(visit, pages, configure):
    configure(INDEX, ERROR, routing(*RULES))
    response = visit("/gone/a")
    assert (response.status, response.body) == (403, b"<p>oops/error.html")


# Beside them


def test_pages_of_other_origins_are_told_what_cors_allows(client, bucket, visit, pages):
    cors = (
        b"<CORSConfiguration><CORSRule><AllowedOrigin>https://a.example</AllowedOrigin>"
        b"<AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
    )
    assert client("PUT", bucket, {"cors": ""}, body=cors).status == 200
    for target, status in (("/about.html", 200), ("/missing", 403), ("/docs", 302), ("/%ff", 400)):
        response = visit(target, headers={"Origin": "https://a.example"})
        assert response.status == status
        assert response.headers["access-control-allow-origin"] == "https://a.example"
        assert "access-control-allow-origin" not in visit(target, headers={"Origin": "https://b.example"}).headers
    assert visit(headers={"Origin": "https://a.example"}, host="web.test").status == 404


def test_the_log_tells_of_them(daemon, visit, pages):
    visit("/about.html")
    visit("/missing")
    page, missing = [each for each, *_ in daemon.server.site._recorders[0].records[-2:]]
    assert (page.operation, page.bucket, page.key) == ("Website", "photos", "about.html")
    assert (missing.error, missing.key) == ("AccessDenied", "missing")
    assert missing.reason


def test_a_website_shows_what_is_current(client, bucket, pages, visit):
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert client("PUT", bucket, {"versioning": ""}, body=body).status == 200
    old = client.put(bucket + "/about.html", b"old").headers["x-amz-version-id"]
    client.put(bucket + "/about.html", b"new")
    assert visit("/about.html").body == visit(f"/about.html?versionId={old}").body == b"new"
    client("DELETE", bucket + "/about.html")
    gone = visit("/about.html")
    assert (gone.status, gone.body) == (403, b"<p>oops/error.html")
    assert "x-amz-delete-marker" not in gone.headers
