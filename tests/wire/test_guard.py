"""The guard: who passes, who does not, and what is found out on the way."""

import time
from dataclasses import replace

import pytest
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, fail
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource

from tests.wire.daemon import ADMIN, READER, Daemon
from zs3.auth.credentials import ISignedRequest
from zs3.web.guard import S3Guard
from zs3.web.resources import Realm

WRONG = replace(ADMIN, secret_key="something else")
UNKNOWN = replace(ADMIN, access_key="NOBODY")


@pytest.fixture
def path(client, bucket):
    client.put(bucket + "/a", b"content")
    return bucket + "/a"


def split(target):
    path, _, query = target.partition("?")
    return path, {query: ""} if query else None


@pytest.mark.parametrize(
    "target", ["/", "/photos", "/photos/a", "/photos/absent", "/absent", "/photos?acl", "/a?b=%ff"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "OPTIONS"])
def test_without_a_signature_nothing_is_told_but_that_there_is_no_such_bucket(daemon, path, method, target):
    response = daemon.server.connect().request(method, target, body=b"")
    if "%ff" in target:
        assert (response.status, response.error_code) == (400, "InvalidURI")
    elif response.status in (405, 501):
        # There is no such operation, whoever asks.
        assert daemon.client()(method, *split(target)).status == response.status
    elif target == "/absent" and method in ("GET", "DELETE"):
        assert (response.status, response.error_code) == (404, "NoSuchBucket")
    else:
        assert (response.status, response.error_code) == (403, "AccessDenied")
    assert response.error_code != "NoSuchKey"
    assert (daemon.data / "photos" / "a").read_bytes() == b"content"


def test_a_head_without_a_signature_tells_nothing(daemon, path):
    """Neither existence nor conditions (CVE-2024-36107)."""
    etag = daemon.client()("HEAD", path).headers["etag"]
    connection = daemon.server.connect()
    for target in (path, "/photos/absent"):
        response = connection.request("HEAD", target, {"If-None-Match": etag})
        assert (response.status, response.body) == (403, b"")
        assert "etag" not in response.headers


@pytest.mark.parametrize(("user", "code"), [(WRONG, "SignatureDoesNotMatch"), (UNKNOWN, "InvalidAccessKeyId")])
def test_a_wrong_signature_writes_nothing(daemon, path, user, code):
    other = daemon.client(user)
    for response in (
        other("PUT", path, body=b"evil"),
        other("DELETE", path),
        other("PUT", "/evil"),
        other("GET", path),
        other("GET", "/absent/absent"),
    ):
        assert (response.status, response.error_code) == (403, code)
        assert ADMIN.secret_key.encode() not in response.body
    assert (daemon.data / "photos" / "a").read_bytes() == b"content"
    assert not (daemon.data / "evil").exists()


@pytest.mark.parametrize("user", [WRONG, READER])
def test_a_denied_upload_is_refused_before_its_body(daemon, path, user):
    other = daemon.client(user)
    target, headers = other.signed("PUT", path)
    lines = {**headers, "Content-Length": str(10 * 1024**3), "Expect": "100-continue"}
    head = f"PUT {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    other.connection.send(head.encode())
    response = other.connection.receive()
    assert response.status == 403
    assert response.headers["connection"] == "close"


def test_a_signed_url_is_a_request(daemon, client, path):
    connection = daemon.server.connect()
    assert connection.request("GET", client.presigned("GET", path)).body == b"content"
    assert connection.request("PUT", client.presigned("PUT", "/photos/b"), body=b"new").status == 200
    assert client("GET", "/photos/b").body == b"new"


def test_a_signed_url_is_good_for_its_method_and_time_only(daemon, client, path):
    connection = daemon.server.connect()
    target = client.presigned("GET", path, expires=60)
    assert connection.request("DELETE", target).error_code == "SignatureDoesNotMatch"
    assert connection.request("GET", target.replace("/photos/a", "/photos/b")).error_code == "SignatureDoesNotMatch"
    daemon.server.clock.advance(61)
    response = daemon.server.connect().request("GET", target)
    assert (response.status, response.error_code) == (403, "AccessDenied")


def test_amazon_headers_in_a_signed_url_are_headers(daemon, client, path):
    connection = daemon.server.connect()
    target = client.presigned("PUT", "/photos/b", {"x-amz-meta-color": "ü", "x-amz-storage-class": "STANDARD_IA"})
    assert connection.request("PUT", target, body=b"new").status == 200
    head = client("HEAD", "/photos/b").headers
    assert (head["x-amz-meta-color"], head["x-amz-storage-class"]) == ("=?UTF-8?B?w7w=?=", "STANDARD_IA")
    target = client.presigned("PUT", "/photos/c", {"x-amz-acl": "public-read"})
    assert connection.request("PUT", target, body=b"new").error_code == "AccessControlListNotSupported"
    target = client.presigned("PUT", "/photos/d", {"x-amz-copy-source": "photos/a"})
    assert connection.request("PUT", target, body=b"").status == 200
    assert client("GET", "/photos/d").body == b"content"


def presigned_v2(method, path, expires=60):
    request = AWSRequest(method, f"http://s3.test{path}", auth_path=path)
    HmacV1QueryAuth(Credentials(ADMIN.access_key, ADMIN.secret_key), expires).add_auth(request)
    return request.url.removeprefix("http://s3.test")


def test_the_old_signed_urls_work_unless_turned_off(daemon, path):
    target = presigned_v2("GET", path)
    assert daemon.server.connect().request("GET", target).body == b"content"
    other = Daemon(daemon.data, sigv2=False)
    assert other.server.connect().request("GET", target).error_code == "InvalidRequest"
    other.stop()


def test_what_an_old_signed_url_does_not_cover_has_no_effect(daemon, client, path):
    client.put("/photos/secret", b"secret")
    target = presigned_v2("PUT", "/photos/b") + "&x-amz-copy-source=photos/secret&x-amz-meta-evil=1"
    assert daemon.server.connect().request("PUT", target, body=b"mine").status == 200
    assert client("GET", "/photos/b").body == b"mine"
    assert "x-amz-meta-evil" not in client("HEAD", "/photos/b").headers


def test_a_removed_user_is_out_at_once(daemon, path):
    reader = daemon.client(READER)
    assert reader("GET", path).status == 200
    del daemon.users._users[READER.access_key]
    assert reader("GET", path).error_code == "InvalidAccessKeyId"


# Other checkers


class Checker:
    """Decides later, or otherwise than ours."""

    credentialInterfaces = (ISignedRequest,)

    def __init__(self, answer):
        self.answer = answer

    def requestAvatarId(self, credentials):
        credentials.check(ADMIN.secret_key)
        return self.answer


def use(daemon, answer):
    realm = Realm(daemon.store, daemon.users)
    daemon.server.site.resource = S3Guard(
        Portal(realm, [Checker(answer)]), region=None, sigv2=True, domains=[], clock=daemon.server.clock
    )


def test_a_checker_may_take_its_time(daemon, path):
    answer = Deferred()
    use(daemon, answer)
    client = daemon.client()
    target, headers = client.signed("GET", path)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    client.connection.send(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())
    assert client.connection.received() == b""
    answer.callback(ADMIN.access_key.encode())
    assert client.connection.receive().body == b"content"


def test_a_checker_may_refuse_late(daemon, path):
    answer = Deferred()
    use(daemon, answer)
    client = daemon.client()
    target, headers = client.signed("GET", path)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    client.connection.send(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())
    answer.errback(UnauthorizedLogin())
    assert client.connection.receive().error_code == "AccessDenied"


def test_a_checker_that_knows_no_s3_refuses_with_access_denied(daemon, path):
    use(daemon, fail(UnauthorizedLogin()))
    assert daemon.client()("GET", path).error_code == "AccessDenied"


def test_a_checker_that_breaks_is_an_internal_error(daemon, path, logged):
    use(daemon, fail(ZeroDivisionError("secret detail")))
    response = daemon.client()("GET", path)
    assert (response.status, response.error_code) == (500, "InternalError")
    assert b"secret detail" not in response.body
    assert len(logged()) == 1


def test_an_avatar_of_a_user_that_is_gone_is_refused(daemon, path):
    answer = Deferred()
    use(daemon, answer)
    answer.callback(b"GONE")
    assert daemon.client()("GET", path).error_code == "InvalidAccessKeyId"


def test_the_realm_gives_resources_for_sessions_only(daemon):
    realm = Realm(daemon.store, daemon.users)
    for interface, mind in ((IResource, None), (IRequest, None)):
        with pytest.raises(NotImplementedError):
            realm.requestAvatar(b"ADMINKEY", mind, interface)


def test_the_guard_has_no_children_of_its_own(daemon):
    guard = daemon.server.site.resource
    with pytest.raises(NotImplementedError):
        guard.putChild(b"x", guard)


# The access log


class Log:
    def __init__(self):
        self.records = []

    def record(self, log, **rest):
        self.records.append((log, rest))


def test_the_log_is_told_what_was_asked_for(tmp_path):
    log = Log()
    daemon = Daemon(tmp_path, access_log=log)
    client = daemon.client()
    client.put("/photos")
    client.put("/photos/a/b c", b"12345")
    client("GET", "/photos/a/b c")
    client("GET", "/photos/absent")
    daemon.client(WRONG)("GET", "/photos/a")
    daemon.server.connect().request("GET", "/photos/a")
    daemon.stop()
    told = [
        (each.operation, each.bucket, each.key, each.access_key, each.error, rest["status"])
        for each, rest in log.records
    ]
    assert told == [
        ("CreateBucket", "photos", "", "ADMINKEY", "", 200),
        ("PutObject", "photos", "a/b c", "ADMINKEY", "", 200),
        ("GetObject", "photos", "a/b c", "ADMINKEY", "", 200),
        ("GetObject", "photos", "absent", "ADMINKEY", "NoSuchKey", 404),
        ("", "", "", "ADMINKEY", "SignatureDoesNotMatch", 403),
        ("GetObject", "photos", "a", "", "AccessDenied", 403),
    ]
    assert log.records[-1][0].reason
    assert [each.bytes_in for each, _ in log.records][:2] == [0, 5]


@pytest.mark.parametrize("way", ["open_now", "get_object_info"])
def test_a_bug_is_an_internal_error_and_no_more(daemon, client, path, logged, monkeypatch, way):
    def broken(*_):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(daemon.store, "open_now", lambda *_: None)
    monkeypatch.setattr(daemon.store, way, broken)
    response = client("HEAD", path)
    assert (response.status, response.body) == (500, b"")
    assert len(logged()) == 1
    monkeypatch.undo()
    assert client("HEAD", path).status == 200


def test_time_is_that_of_the_clock(daemon, client, path):
    daemon.server.clock.rightNow = time.time() + 16 * 60
    assert daemon.client()("GET", path).error_code == "RequestTimeTooSkewed"


def test_the_right_region_is_told_to_head_too(tmp_path):
    daemon = Daemon(tmp_path, region="eu-x-1")
    response = daemon.client()("HEAD", "/photos")
    assert (response.status, response.headers["x-amz-bucket-region"]) == (400, "eu-x-1")
    daemon.stop()
