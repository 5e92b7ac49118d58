"""The console's origin: the page, S3 and the API behind the header, and who may look after users."""

import base64
import errno
import functools
import gzip
import hashlib
import json
import os

import pytest
from twisted.cred.checkers import AllowAnonymousAccess
from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from tests.wire.daemon import Client, Daemon
from zs3.auth import useradmin, users
from zs3.auth.credentials import UsersFileChecker
from zs3.auth.users import User
from zs3.console import assembly
from zs3.console.files import make_file
from zs3.console.origins import is_origin
from zs3.health import Health
from zs3.store.diskspace import NO_SPACE, NOT_THERE, NOT_WRITABLE, Disk, DiskProbe
from zs3.web.guard import S3Guard

FILE = """\
[policies.look]
document = '''{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}}'''

[users.alice]
access_key = "ALICE"
secret_key = "alices-secret"
role = "admin"

[users.bob]
access_key = "BOB"
secret_key = "bobs-secret"
role = "writer"

[users.carol]
access_key = "CAROL"
secret_key = "carols-secret"
role = "admin"
account = "family"

[users.dave]
access_key = "DAVE"
secret_key = "daves-secret"
role = "admin"
policies = ["look"]
"""

ALICE, BOB, CAROL, DAVE = (
    User(name.upper(), f"{name}s-secret", None, None, name) for name in ("alice", "bob", "carol", "dave")
)
FILES = {
    path: make_file(path, content)
    for path, content in {
        "index.html": b"<!doctype html>" + b" " * 2000,
        "assets/a-1234.js": b"'use strict'",
        "favicon.svg": b"<svg/>",
    }.items()
}
PLACES = [("tcp:9000", IPv4Address("TCP", "0.0.0.0", 9000))]
LAN = IPv4Address("TCP", "192.168.1.2", 50000)
LOCAL = IPv4Address("TCP", "127.0.0.1", 50000)


def nested(depth):
    """A list in a list in a list."""
    return [nested(depth - 1)] if depth else []


class Page(Client):
    """Asks as the page does."""

    def signed(self, method, path, query=None, headers=None, body=None):
        return super().signed(method, path, query, {"X-Zs3-Console": "1", **(headers or {})}, body)

    def api(self, method, path, document=None, headers=None):
        """The status and the document of an answer of the API."""
        body = None if document is None else json.dumps(document).encode()
        response = self(method, "/-/api/" + path, None, headers, body)
        assert response.headers["cache-control"] == "no-store"
        return response.status, json.loads(response.body) if response.body else None


class Console(Daemon):
    """A daemon whose site is that of the console."""

    def __init__(self, data, path, s3_url=None, places=PLACES):
        super().__init__(data)
        self.path = path
        self.checker = UsersFileChecker(str(path))
        self.checker.reload()
        self.look, self.kept = DiskProbe(os.fsencode(data), read_only=False).look, True
        guard = functools.partial(
            S3Guard, region=None, sigv2=True, clock=self.server.clock, ownership="BucketOwnerEnforced"
        )
        self.server.site.resource = assembly.make_console(
            guard,
            [self.checker, AllowAnonymousAccess()],
            self.store,
            defer.execute,
            health=Health(self.server.clock, defer.execute, lambda: self.look(), lambda: self.kept),
            read_only=False,
            s3_url=s3_url,
            places=lambda: places,
        )

    def page(self, user=ALICE, peer=LOCAL, **more):
        return Page(self, user, peer=peer, **more)


@pytest.fixture
def users_file(tmp_path):
    path = tmp_path / "users.toml"
    path.touch(0o600)
    path.write_text(FILE)
    return path


@pytest.fixture
def make_console(tmp_path, users_file, monkeypatch):
    monkeypatch.setattr(assembly, "read_files", lambda: FILES)
    made = []

    def make(**options):
        data = tmp_path / "data"
        data.mkdir()
        made.append(Console(data, users_file, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def console(make_console):
    return make_console()


class TestPage:
    def get(self, console, path="/", headers=None, method="GET"):
        return console.page(None).connection.request(method, path, {"Host": "nas.lan:9001", **(headers or {})})

    def test_the_root_is_the_index(self, console):
        response = self.get(console)
        assert (response.status, response.body) == (200, FILES["index.html"].content)
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-content-type-options"] == "nosniff"

    def test_its_policy_lets_in_what_is_its_own_and_media_of_s3(self, console):
        policy = self.get(console).headers["content-security-policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "img-src 'self' http://nas.lan:9000" in policy
        assert "media-src http://nas.lan:9000" in policy
        assert "form-action 'none'" in policy
        assert policy[-2:] == ["require-trusted-types-for 'script'", "trusted-types zs3-xml"]
        assert "frame-ancestors 'none'" in policy
        assert not any("unsafe" in each or "*" in each for each in policy)

    @pytest.mark.parametrize("host", ["evil; script-src *", "a b", "x'", "[::1"])
    def test_a_host_that_is_none_gets_into_no_policy(self, console, host):
        response = self.get(console, headers={"Host": host})
        assert host not in response.headers.get("content-security-policy", "")

    def test_what_has_its_content_in_its_name_is_kept_by_browsers(self, console):
        response = self.get(console, "/assets/a-1234.js")
        assert response.headers["content-type"] == "text/javascript; charset=utf-8"
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "content-encoding" not in response.headers

    def test_it_is_compressed_for_who_takes_that(self, console):
        response = self.get(console, headers={"Accept-Encoding": "deflate, gzip;q=0.5, br"})
        assert response.headers["content-encoding"] == "gzip"
        assert gzip.decompress(response.body) == FILES["index.html"].content
        assert "accept-encoding" in response.headers["vary"]
        for refused in ("gzip;q=0", "br", "gzip; q=0.0"):
            assert "content-encoding" not in self.get(console, headers={"Accept-Encoding": refused}).headers

    def test_it_is_not_sent_again_to_who_has_it(self, console):
        etag = self.get(console).headers["etag"]
        response = self.get(console, headers={"If-None-Match": f'"other", {etag}'})
        assert (response.status, response.body) == (304, b"")

    def test_head_tells_the_length(self, console):
        response = self.get(console, method="HEAD")
        assert response.headers["content-length"] == str(len(FILES["index.html"].content))
        assert response.body == b""

    @pytest.mark.parametrize("path", ["/bucket/key", "/-/api/session", "/nothing", "/assets/", "/..%2findex.html"])
    def test_without_the_header_there_is_nothing_else(self, console, path):
        response = self.get(console, path)
        assert (response.status, response.error_code) == (400, "InvalidRequest")
        assert "sandbox" in response.headers["content-security-policy"]

    def test_a_client_of_s3_is_told_where_it_is(self, console):
        response = Client(console, ALICE)("PUT", "/photos")
        assert (response.status, response.element("Message")) == (
            400,
            "This is the address of the console, not that of S3.",
        )
        assert console.page()("GET", "/").body.count(b"<Bucket>") == 0

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_it_can_only_be_read(self, console, method):
        response = self.get(console, method=method)
        assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
        assert not [name for name in response.headers if name.startswith("access-control")]


class TestS3:
    def test_signed_requests_with_the_header_are_s3(self, console):
        page = console.page()
        page.put("/photos")
        page.put(
            "/photos/a.html", b"<script>alert(1)</script>", {"Content-Type": "text/html", "Cache-Control": "public"}
        )
        response = page("GET", "/photos/a.html")
        assert response.body == b"<script>alert(1)</script>"
        assert (console.data / "photos" / "a.html").exists()

    def test_no_answer_can_be_kept_or_rendered_by_a_browser(self, console):
        page = console.page()
        page.put("/photos")
        page.put(
            "/photos/a.html", b"<script>alert(1)</script>", {"Content-Type": "text/html", "Cache-Control": "public"}
        )
        for response in (page("GET", "/photos/a.html"), page("GET", "/photos/none"), page("GET", "/photos")):
            assert response.headers["cache-control"] == "no-store"
            assert "sandbox" in response.headers["content-security-policy"]
            assert response.headers["cross-origin-resource-policy"] == "same-origin"
            assert response.headers["x-content-type-options"] == "nosniff"

    def test_a_presigned_link_does_not_work_without_the_header(self, console):
        console.page().put("/photos")
        console.page().put("/photos/a.html", b"x", {"Content-Type": "text/html"})
        target = Client(console, ALICE).presigned("GET", "/photos/a.html")
        response = console.page(None).connection.request("GET", target, {"Host": "s3.test"})
        assert response.status == 400
        assert response.body != b"x"

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.test"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    def test_another_page_is_refused_whoever_signed(self, console, headers):
        for path in ("/", "/-/api/session"):
            response = console.page()("GET", path, None, headers)
            assert (response.status, response.error_code) == (403, "AccessDenied")

    def test_the_own_page_is_not_told_of_rules_for_others(self, console):
        page = console.page()
        page.put("/photos")
        rules = b"""<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>
                    </CORSRule></CORSConfiguration>"""
        md5 = base64.b64encode(hashlib.md5(rules).digest()).decode()
        assert page("PUT", "/photos", {"cors": ""}, {"Content-MD5": md5}, rules).status == 200
        response = page("GET", "/photos", None, {"Origin": "http://s3.test", "Sec-Fetch-Site": "same-origin"})
        assert response.status == 200
        assert "access-control-allow-origin" not in response.headers
        assert response.headers["cache-control"] == "no-store"


class TestSession:
    def test_it_tells_who_is_signed_in(self, console):
        status, document = console.page().api("GET", "session")
        assert status == 200
        assert document.pop("version")
        assert document == {
            "user": "alice",
            "access_key": "ALICE",
            "admin": True,
            "role": "admin",
            "account": "default",
            "account_id": document["account_id"],
            "region": "us-east-1",
            "s3_url": "http://s3.test:9000",
            "users": "writable",
        }

    def test_everybody_may_know_that_of_themselves(self, console):
        status, document = console.page(BOB).api("GET", "session")
        assert (status, document["user"], document["admin"]) == (200, "bob", False)

    @pytest.mark.parametrize(
        "user", [None, User("ALICE", "wrong-secret", None, None, ""), User("NO1", "12345678", None, None, "")]
    )
    def test_nobody_else_may_know_anything(self, console, user):
        response = console.page(user)("GET", "/-/api/session")
        assert response.status == 403
        assert b"alice" not in response.body

    def test_a_signature_in_the_query_is_none_here(self, console):
        target = Client(console, ALICE).presigned("GET", "/-/api/session")
        response = console.page().connection.request("GET", target, {"Host": "s3.test", "X-Zs3-Console": "1"})
        assert response.status == 403

    def test_a_user_limited_by_policies_is_no_administrator(self, console):
        assert console.page(DAVE).api("GET", "session")[1]["admin"] is False
        assert console.page(DAVE).api("GET", "users")[0] == 403

    @pytest.mark.parametrize(
        ("secure", "places", "host", "url"),
        [
            (False, [("tcp:1", 1), ("ssl:2", 2)], "nas:9001", "http://nas:1"),
            (True, [("tcp:1", 1), ("tls:/d:port=2", 2)], "nas:9001", "https://nas:2"),
            (True, [("tcp:1", 1)], "[fe80::1]:9001", "http://[fe80::1]:1"),
            (False, [("haproxy:tcp:1", 1)], "nas", None),
            (False, [("unix:/s", None)], "nas", None),
        ],
    )
    def test_s3_is_at_the_same_host_and_as_safe(self, make_console, secure, places, host, url):
        addresses = [
            (text, UNIXAddress("/s") if port is None else IPv6Address("TCP", "::", port)) for text, port in places
        ]
        page = make_console(places=addresses).page(secure=secure, host=host)
        assert page.api("GET", "session")[1]["s3_url"] == url

    def test_the_administrator_knows_better(self, make_console):
        console = make_console(s3_url="https://s3.example.net")
        assert console.page().api("GET", "session")[1]["s3_url"] == "https://s3.example.net"

    @pytest.mark.parametrize(
        "url", ["s3.lan", "ftp://s3.lan", "http://s3.lan/", "http://s3.lan:9000/x", "http://a b", ""]
    )
    def test_an_origin_is_a_scheme_and_a_host(self, url):
        assert not is_origin(url)
        assert is_origin("https://s3.lan:9000")


class TestUsers:
    def names(self, console, user=ALICE):
        return [each["name"] for each in console.page(user).api("GET", "users")[1]["users"]]

    def test_an_administrator_sees_those_of_the_account(self, console):
        _, document = console.page().api("GET", "users")
        assert [each["name"] for each in document["users"]] == ["alice", "bob", "dave"]
        assert (document["writable"], document["secure"], document["policies"]) == (True, True, ["look"])
        assert "secret" not in json.dumps(document["users"])
        assert self.names(console, CAROL) == ["carol"]

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            *(("GET", "users"), ("GET", "disk"), ("POST", "users"), ("PUT", "users/alice"), ("DELETE", "users/alice")),
            *(("POST", "users/alice/keys"), ("PUT", "users/alice/keys/ALICE"), ("DELETE", "users/alice/keys/ALICE")),
        ],
    )
    def test_others_may_not(self, console, method, path):
        before = console.path.read_text()
        for user in (BOB, DAVE):
            assert console.page(user).api(method, path, {"enabled": False})[0] == 403
        assert console.path.read_text() == before

    def test_a_new_user_can_sign_at_once(self, console):
        status, pair = console.page().api("POST", "users", {"name": "eve", "role": "writer", "buckets": ["photos"]})
        assert status == 201
        eve = User(pair["access_key"], pair["secret_key"], None, None, "eve")
        assert console.page(eve).api("GET", "session")[1]["user"] == "eve"
        made = users.load(str(console.path))[pair["access_key"]]
        assert (made.role, made.buckets, made.account) == ("writer", frozenset({"photos"}), "default")

    def test_it_is_of_the_account_of_who_made_it(self, console):
        assert console.page(CAROL).api("POST", "users", {"name": "eve", "policies": ["look"]})[0] == 201
        assert self.names(console, CAROL) == ["carol", "eve"]
        assert self.names(console) == ["alice", "bob", "dave"]
        assert (
            console.page(CAROL).api("POST", "users", {"name": "eve2", "role": "admin", "account": "default"})[0] == 403
        )

    @pytest.mark.parametrize(
        "document",
        [
            *(
                [],
                "x",
                {},
                {"name": ""},
                {"name": "a b", "role": "writer"},
                {"name": "eve", "role": "king"},
                {"name": 1},
            ),
            *(
                {"name": "eve", "role": "writer", "secret_key": "12345678"},
                {"name": "eve", "role": "writer", "keys": []},
            ),
            *(
                {"name": "bob", "role": "writer"},
                {"name": "eve", "policies": ["none"]},
                {"name": "eve", "buckets": "x"},
            ),
            *({"name": "eve", "role": "admin", "buckets": ["x"]}, {"name": "eve", "role": "writer", "buckets": [1]}),
            *({"name": "eve", "role": {"a": 1}}, {"name": "eve", "role": ["admin"]}, {"name": "eve", "policies": [{}]}),
            *({"name": "eve", "role": nested(400)}, {"name": "eve", "role": "writer", "buckets": nested(400)}),
        ],
    )
    def test_what_can_be_no_user_is_refused_and_changes_nothing(self, console, document):
        before = console.path.read_text()
        status, answer = console.page().api("POST", "users", document)
        assert (status, answer["code"]) == (400, "InvalidRequest")
        assert str(console.path) not in answer["message"]
        assert console.path.read_text() == before

    def test_a_document_that_is_nested_too_deeply_is_none(self, console, logged):
        response = console.page()("POST", "/-/api/users", body=b"[" * 60_000)
        assert (response.status, json.loads(response.body)["code"]) == (400, "InvalidRequest")
        assert not logged("critical")

    def test_who_was_disabled_while_the_body_came_changes_nothing(self, console):
        carol = console.page(CAROL)
        body = json.dumps({"name": "eve", "role": "admin"}).encode()
        target, headers = carol.signed("POST", "/-/api/users", None, None, body)
        headers["Content-Length"] = len(body)
        head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        carol.connection.send(head.encode() + b"\r\n" + body[:5])
        useradmin.set_enabled(str(console.path), "carol", False)
        console.checker.reload()
        before = console.path.read_text()
        carol.connection.send(body[5:])
        assert carol.connection.receive().status == 403
        assert console.path.read_text() == before

    def test_no_secret_goes_over_the_net_in_clear(self, console):
        before = console.path.read_text()
        page = console.page(peer=LAN)
        assert page.api("GET", "users")[1]["secure"] is False
        for path, document in (("users", {"name": "eve", "role": "writer"}), ("users/bob/keys", {})):
            status, answer = page.api("POST", path, document)
            assert (status, "over TLS" in answer["message"]) == (403, True)
        assert console.path.read_text() == before
        assert console.page(peer=LAN, secure=True).api("POST", "users/bob/keys")[0] == 201

    @pytest.mark.parametrize(
        "peer", [LOCAL, IPv6Address("TCP", "::1", 1), IPv6Address("TCP", "::ffff:127.0.0.1", 1), UNIXAddress("/s")]
    )
    def test_within_the_machine_it_may(self, console, peer):
        assert console.page(peer=peer).api("GET", "users")[1]["secure"] is True

    @pytest.mark.parametrize(
        ("headers", "secure"),
        [
            ({"X-Forwarded-For": "192.168.1.2", "X-Forwarded-Proto": "https"}, True),
            ({"X-Forwarded-For": "192.168.1.2", "X-Forwarded-Proto": "http"}, False),
            ({"X-Forwarded-For": "192.168.1.2"}, False),
            ({"Via": "1.1 proxy"}, False),
            ({"Forwarded": "for=192.168.1.2;proto=https"}, False),
        ],
    )
    def test_a_proxy_within_the_machine_has_to_say_that_it_speaks_tls(self, console, headers, secure):
        document = json.loads(console.page()("GET", "/-/api/users", None, headers).body)
        assert document["secure"] is secure
        status = console.page()("POST", "/-/api/users/bob/keys", None, headers).status
        assert status == (201 if secure else 403)

    def test_what_a_proxy_would_say_makes_nothing_private(self, console):
        headers = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}
        assert json.loads(console.page(peer=LAN)("GET", "/-/api/users", None, headers).body)["secure"] is False

    def test_a_user_is_disabled_and_enabled(self, console):
        page = console.page()
        assert page.api("PUT", "users/bob", {"enabled": False}) == (204, None)
        assert console.page(BOB)("GET", "/-/api/session").status == 403
        assert page.api("PUT", "users/bob", {"enabled": True}) == (204, None)
        assert console.page(BOB)("GET", "/-/api/session").status == 200

    @pytest.mark.parametrize("document", [{}, {"enabled": 1}, {"enabled": True, "role": "admin"}, {"role": "admin"}])
    def test_nothing_else_of_a_user_can_be_changed(self, console, document):
        assert console.page().api("PUT", "users/bob", document)[0] == 400
        assert console.page().api("PUT", "users/bob/keys/BOB", document)[0] == 400

    def test_a_user_has_one_more_key_and_one_less(self, console):
        page = console.page()
        status, pair = page.api("POST", "users/bob/keys")
        assert status == 201
        new = User(pair["access_key"], pair["secret_key"], None, None, "bob")
        assert page.api("PUT", "users/bob/keys/BOB", {"enabled": False}) == (204, None)
        assert console.page(new)("GET", "/-/api/session").status == 200
        assert console.page(BOB)("GET", "/-/api/session").status == 403
        assert page.api("DELETE", "users/bob/keys/BOB") == (204, None)
        assert page.api("DELETE", f"users/bob/keys/{pair['access_key']}")[0] == 400, "the only one"

    def test_a_user_is_removed(self, console):
        assert console.page().api("DELETE", "users/bob") == (204, None)
        assert self.names(console) == ["alice", "dave"]
        assert console.page().api("DELETE", "users/bob")[0] == 400

    def test_another_accounts_users_are_not_there(self, console):
        before = console.path.read_text()
        page = console.page()
        for method, path, document in (
            ("PUT", "users/carol", {"enabled": False}),
            ("DELETE", "users/carol", None),
            ("POST", "users/carol/keys", None),
            ("PUT", "users/carol/keys/CAROL", {"enabled": False}),
            ("DELETE", "users/carol/keys/CAROL", None),
        ):
            assert page.api(method, path, document) == (
                400,
                {"code": "InvalidRequest", "message": "there is no user 'carol'"},
            )
        assert console.path.read_text() == before

    def test_nobody_is_shut_out_by_the_own_hand(self, console):
        page = console.page()
        for method, path, document in (
            ("PUT", "users/alice", {"enabled": False}),
            ("DELETE", "users/alice", None),
            ("PUT", "users/alice/keys/ALICE", {"enabled": False}),
            ("DELETE", "users/alice/keys/ALICE", None),
        ):
            assert page.api(method, path, document)[0] == 400
        assert page.api("GET", "session")[0] == 200

    def test_a_body_other_than_the_signed_one_changes_nothing(self, console):
        page = console.page()
        target, headers = page.signed("PUT", "/-/api/users/bob", body=b'{"enabled": true}')
        response = page.connection.request("PUT", target, headers, b'{"enabled":false}')
        assert response.status == 400
        assert "enabled = false" not in console.path.read_text()

    def test_a_file_that_cannot_be_changed_is_told_of(self, console, monkeypatch):
        monkeypatch.setattr("zs3.console.api._writable", lambda path: False)
        assert console.page().api("GET", "session")[1]["users"] == "read-only"
        assert console.page().api("GET", "users")[1]["writable"] is False

    def test_users_of_the_environment_are_in_no_file(self, make_console, monkeypatch):
        monkeypatch.setattr(assembly, "UsersFileChecker", type(None))
        page = make_console().page()
        assert page.api("GET", "session")[1]["users"] == "none"
        assert page.api("GET", "users")[0] == 403


class TestApi:
    @pytest.mark.parametrize("path", ["", "nothing", "users/bob/keys/BOB/x", "session/", "users/"])
    def test_there_is_nothing_else(self, console, path):
        assert console.page().api("GET", path)[0] == 400

    def test_other_methods_are_refused(self, console):
        response = console.page()("PUT", "/-/api/session")
        assert (response.status, response.headers["allow"]) == (405, "GET")

    def test_the_disk(self, console):
        status, document = console.page().api("GET", "disk")
        assert status == 200
        assert 0 < document["free"] <= document["total"]
        assert (document["read_only"], document["healthy"]) == (False, True)
        assert document.keys() == {"total", "free", "inodes", "inodes_free", "read_only", "healthy"}

    @pytest.mark.parametrize(
        ("problem", "kept", "read_only", "healthy"),
        [
            ("", False, False, False),  # it did not keep what another part, or another worker, gave it
            (NOT_WRITABLE, True, True, True),
            (NOT_THERE, True, False, False),
            (NO_SPACE, True, False, True),
        ],
    )
    def test_the_disk_is_as_ready_as_the_daemon(self, console, problem, kept, read_only, healthy):
        console.look, console.kept = (lambda: Disk(1, problem=problem)), kept
        status, document = console.page().api("GET", "disk")
        assert (status, document["read_only"], document["healthy"]) == (200, read_only, healthy)

    def test_a_disk_that_does_not_answer_is_told_of(self, console):
        def broken():
            raise OSError(errno.EIO, "Input/output error")

        console.look = broken
        assert console.page().api("GET", "disk")[1]["code"] == "ServiceUnavailable"

    def test_a_mistake_of_ours_is_logged_and_shows_no_traceback(self, console, monkeypatch, logged):
        monkeypatch.setattr("zs3.auth.useradmin.describe_users", lambda path: 1 / 0)
        assert console.page().api("GET", "users") == (
            500,
            {"code": "InternalError", "message": "We encountered an internal error. Please try again."},
        )
        assert len(logged("critical")) == 1
