"""`/-/live` and `/-/ready` beside S3: for everybody, without a word of the data, and in nobody's way."""

import pytest
from twisted.internet.defer import execute

from tests.wire.daemon import ADMIN, Daemon
from zs3.health import FRESH_S, Health
from zs3.store.diskspace import Disk
from zs3.web import health as resources


class Log:
    def __init__(self):
        self.records = []

    def record(self, log, *, status, **_):
        self.records.append((log.operation, log.bucket, log.key, status, log.error))


class Disks:
    def __init__(self):
        self.disk = Disk(100, 50)
        self.looks = 0

    def look(self):
        self.looks += 1
        return self.disk


@pytest.fixture
def disks():
    return Disks()


@pytest.fixture
def daemon(tmp_path, disks):
    beside = {}
    daemon = Daemon(tmp_path, access_log=Log(), domains=["s3.hosts"], website_domains=["web.hosts"], beside=beside)
    health = Health(daemon.server.clock, execute, disks.look, lambda: daemon.store.healthy)
    daemon.server.site.resource._beside = resources.resources(health)
    yield daemon
    daemon.stop()


def ask(daemon, path, method="GET", **headers):
    return daemon.server.connect().request(method, path, {"Host": "s3.test", **headers})


@pytest.mark.parametrize("path", ["/-/live", "/-/ready", "/-/ready?verbose"])
def test_who_signs_nothing_is_told_that_all_is_well(daemon, path):
    response = ask(daemon, path)
    assert (response.status, response.body) == (200, b"ok\n")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_signature_is_not_looked_at(daemon):
    assert ask(daemon, "/-/ready", Authorization="AWS4-HMAC-SHA256 nonsense").status == 200
    assert ask(daemon, "/-/live", Origin="http://a.page").status == 200


@pytest.mark.parametrize("path", ["/-/live", "/-/ready"])
def test_head_is_answered_without_the_body(daemon, path):
    connection = daemon.server.connect()
    response = connection.request("HEAD", path)
    assert (response.status, response.headers["content-length"], response.body) == (200, "3", b"")
    assert connection.request("GET", path).body == b"ok\n"


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
def test_no_other_method_is_allowed(daemon, method):
    response = ask(daemon, "/-/ready", method)
    assert (response.status, response.error_code, response.headers["allow"]) == (405, "MethodNotAllowed", "GET, HEAD")


@pytest.mark.parametrize("problem", ["disk-space", "not-writable", "not-there"])
def test_what_is_wrong_is_told_in_one_word(daemon, disks, problem):
    disks.disk = Disk(problem=problem)
    response = ask(daemon, "/-/ready")
    assert (response.status, response.body) == (503, problem.encode() + b"\n")
    assert response.headers["cache-control"] == "no-store"
    assert ask(daemon, "/-/live").status == 200


def test_an_fsync_that_failed_makes_it_unready(daemon, disks):
    daemon.store._posix.durability.broken = True
    assert ask(daemon, "/-/ready").body == b"io-error\n"


def test_a_flood_of_questions_is_one_for_the_disk(daemon, disks):
    connection = daemon.server.connect()
    for _ in range(200):
        connection.request("GET", "/-/ready")
    assert disks.looks == 1
    daemon.server.clock.advance(FRESH_S)
    connection.request("GET", "/-/ready")
    assert disks.looks == 2


def test_a_daemon_that_is_about_to_end_is_alive_and_not_ready(daemon):
    busy, other = daemon.server.connect(), daemon.server.connect()
    busy.send(b"GET /-/ready HTTP/1.1\r\n")
    other.send(b"GET /-/live HTTP/1.1\r\n")
    daemon.server.site.drain()
    for connection in (busy, other):
        connection.send(b"Host: s3.test\r\n\r\n")
    response = busy.receive()
    assert (response.status, response.body, response.headers["connection"]) == (503, b"stopping\n", "close")
    assert other.receive().status == 200


def test_where_the_host_names_a_bucket_the_path_is_a_key(daemon):
    client = daemon.client(ADMIN, host="photos.s3.hosts")
    assert client("PUT", "/").status == 200
    assert client("PUT", "/-/ready", body=b"mine").status == 200
    assert client("GET", "/-/ready").body == b"mine"
    assert (daemon.data / "photos" / "-" / "ready").read_bytes() == b"mine"
    assert ask(daemon, "/-/ready", Host="s3.hosts").body == b"ok\n"
    assert ask(daemon, "/-/ready", Host="photos.web.hosts").status == 404


@pytest.mark.parametrize("path", ["/-/other", "/-", "/-/", "/-/ready/", "/-/live/x", "//-/ready", "/%2D/ready"])
def test_other_paths_are_those_of_s3(daemon, path):
    response = ask(daemon, path)
    assert response.status in (400, 403, 404)
    assert response.error_code


def test_no_bucket_can_be_called_like_that(daemon):
    assert daemon.client()("PUT", "/-").error_code == "InvalidBucketName"


def test_the_log_tells_them_from_operations_on_buckets(daemon, disks):
    ask(daemon, "/-/live")
    disks.disk = Disk(problem="disk-space")
    ask(daemon, "/-/ready")
    assert daemon.server.site._recorders[0].records == [
        ("HealthLive", "", "", 200, ""),
        ("HealthReady", "", "", 503, "ServiceUnavailable"),
    ]


def test_who_left_before_the_disk_answered_is_no_error(daemon):
    from twisted.internet.defer import Deferred

    waiting = Deferred()
    health = Health(daemon.server.clock, lambda f: waiting, lambda: None, lambda: True)
    daemon.server.site.resource._beside = resources.resources(health)
    connection = daemon.server.connect()
    connection.send(b"GET /-/ready HTTP/1.1\r\nHost: s3.test\r\n\r\n")
    connection.hang_up()
    waiting.callback(Disk())
    assert daemon.server.site._recorders[0].records == [("HealthReady", "", "", 0, "")]
