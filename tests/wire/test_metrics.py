"""The metrics of requests over the whole tree, and the site that tells them."""

import gzip

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from twisted.internet.defer import execute
from twisted.internet.task import Clock

from tests.scrape import Scrape, check
from tests.wire.daemon import READER, Daemon
from tests.wire.harness import Server
from zs3.health import Health
from zs3.metrics.setup import Setup
from zs3.metrics.site import MetricsRoot, MetricsSite
from zs3.store.diskspace import Disk


@pytest.fixture
def setup():
    return Setup(16)


@pytest.fixture
def daemon(tmp_path, setup):
    daemon = Daemon(tmp_path, observer=setup.instruments)
    yield daemon
    daemon.stop()


@pytest.fixture
def scrape(setup):
    return lambda: Scrape(generate_latest(setup.registry).decode())


class Reactor(Clock):
    def getThreadPool(self):
        raise AssertionError("the tests have no threads")


@pytest.fixture
def disk():
    return [Disk(100 << 30, 50 << 30, 1000, 900)]


@pytest.fixture
def metrics_server(setup, disk):
    """The site as the daemon has it, but that it has no threads."""
    server = Server(None)
    health = Health(server.clock, execute, lambda: disk[0], lambda: True)
    server.site = MetricsSite(server.clock, setup.registry, setup._looked_up, health)
    server.site.resource = MetricsRoot(setup.registry, setup._looked_up, health, execute)
    return server


class TestCounting:
    def test_requests_are_counted_whichever_way_they_are_answered(self, client, bucket, daemon, scrape):
        client.put("/photos/cat", b"12345")
        for _ in range(3):
            assert client("GET", "/photos/cat").body == b"12345"
        client("GET", "/photos/absent")
        client("GET", "/photos", {"list-type": "2"})
        found = scrape()
        name = "zs3_requests_total"
        assert found(name, operation="CreateBucket", status="200", bucket="photos") == 1
        assert found(name, operation="PutObject", status="200", bucket="photos") == 1
        assert found(name, operation="GetObject", status="200", bucket="photos") == 3
        assert found(name, operation="GetObject", status="404", bucket="photos") == 1
        assert found(name, operation="ListObjectsV2", status="200", bucket="photos") == 1
        assert found("zs3_request_duration_seconds_count", operation="GetObject") == 4
        assert found("zs3_received_bytes_total", bucket="photos") == 5
        assert found("zs3_sent_bytes_total", bucket="photos") > 15
        assert found("zs3_errors_total", code="NoSuchKey") == 1

    def test_the_short_cut_is_counted_as_such(self, client, bucket, daemon, scrape, tmp_path):
        client.put("/photos/cat", b"12345")
        client("GET", "/photos/cat")
        client("GET", "/photos/cat", {"partNumber": "1"})
        found = scrape()
        assert found("zs3_requests_total", operation="GetObject") == 2
        # Where the file system of the tests has no such short cut, none was taken.
        assert found("zs3_answered_at_once_total", operation="GetObject") == (1 if daemon.store._hot._fd >= 0 else 0)

    def test_nothing_is_under_way_when_all_is_over(self, client, bucket, daemon, scrape):
        writing = daemon.server.connect()
        target, headers = client.signed("PUT", "/photos/big", None, {}, b"x" * 100)
        head = f"PUT {target} HTTP/1.1\r\nContent-Length: 100\r\n"
        writing.send((head + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode("latin-1"))
        found = scrape()
        assert (found("zs3_requests_in_flight"), found("zs3_connections")) == (1, 2)
        writing.send(b"x" * 100)
        assert writing.receive().status == 200
        assert (scrape()("zs3_requests_in_flight"), scrape()("zs3_connections")) == (0, 2)
        writing.hang_up()
        assert scrape()("zs3_connections") == 1

    def test_what_a_client_leaves_is_no_longer_under_way(self, client, bucket, daemon, scrape):
        for data in (
            b"GET",
            b"nonsense\r\n\r\n",
            b"PUT /photos/a HTTP/1.1\r\nHost: s3.test\r\nContent-Length: 9\r\n\r\n",
        ):
            connection = daemon.server.connect()
            connection.send(data)
            connection.hang_up()
        assert scrape()("zs3_requests_in_flight") == 0
        assert scrape()("zs3_connections") == 1

    def test_wrong_signatures_are_counted_by_their_code(self, daemon, scrape):
        wrong = READER.__class__("READERKEY", "wrong-secret", "reader", None, "bob")
        unknown = READER.__class__("NOBODYKEY", "wrong-secret", "reader", None, "bob")
        assert daemon.client(wrong)("GET", "/").status == 403
        assert daemon.client(unknown)("GET", "/photos/a").status == 403
        found = scrape()
        name = "zs3_authentication_failures_total"
        assert found(name, code="SignatureDoesNotMatch") == found(name, code="InvalidAccessKeyId") == 1
        # Nobody makes a label with a path alone.
        assert found.labels("zs3_requests_total", "bucket") == {"-"}

    def test_a_user_who_may_not_do_it_failed_no_authentication(self, client, bucket, daemon, scrape):
        assert daemon.client(READER)("PUT", "/photos/a", body=b"").status == 403
        found = scrape()
        assert found("zs3_errors_total", code="AccessDenied") == 1
        assert found("zs3_authentication_failures_total") == 0

    def test_all_of_it_is_what_prometheus_wants(self, client, bucket, setup):
        client.put("/photos/cat", b"12345")
        check(generate_latest(setup.registry).decode())


class TestSite:
    def test_the_metrics_are_at_their_path(self, metrics_server):
        response = metrics_server.connect().request("GET", "/metrics")
        assert response.status == 200
        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert response.headers["server"] == "zs3-metrics"
        assert not [name for name in response.headers if name.startswith("x-amz")]
        check(response.body.decode())

    def test_the_disk_is_told_as_it_is_now(self, metrics_server, disk):
        scrape = Scrape(metrics_server.connect().request("GET", "/metrics").body.decode())
        assert scrape("zs3_disk_size_bytes") == 100 << 30
        assert scrape("zs3_disk_available_bytes") == 50 << 30
        assert (scrape("zs3_disk_inodes"), scrape("zs3_disk_inodes_available")) == (1000, 900)
        assert scrape("zs3_ready") == 1
        disk[0] = Disk(100 << 30, 0, 1000, 900, "disk-space")
        metrics_server.clock.advance(1)
        scrape = Scrape(metrics_server.connect().request("GET", "/metrics").body.decode())
        assert (scrape("zs3_disk_available_bytes"), scrape("zs3_ready")) == (0, 0)

    def test_head_has_no_body(self, metrics_server):
        connection = metrics_server.connect()
        assert int(connection.request("HEAD", "/metrics").headers["content-length"]) > 1000
        assert connection.request("GET", "/-/ready").body == b"ok\n"

    @pytest.mark.parametrize("path", ["/", "/metrics/", "/other", "/metric", "/-/", "//metrics"])
    def test_there_is_nothing_else(self, metrics_server, path):
        assert metrics_server.connect().request("GET", path).status == 404

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_no_other_method_is_allowed(self, metrics_server, method):
        response = metrics_server.connect().request(method, "/metrics", None, b"")
        assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")

    def test_openmetrics_is_told_to_who_asks_for_it(self, metrics_server):
        accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
        response = metrics_server.connect().request("GET", "/metrics", {"Accept": accept})
        assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert response.body.endswith(b"# EOF\n")
        assert "zs3_requests" in {family.name for family in parse_openmetrics(response.body.decode())}

    @pytest.mark.parametrize("accept", ["application/openmetrics-text;version=x", ";=,", "*/*;q=x"])
    def test_who_asks_for_nonsense_is_told_all_the_same(self, metrics_server, accept):
        response = metrics_server.connect().request("GET", "/metrics", {"Accept": accept})
        assert (response.status, b"zs3_ready 1.0\n" in response.body) == (200, True)

    def test_it_is_compressed_for_who_can_take_that(self, metrics_server):
        response = metrics_server.connect().request("GET", "/metrics", {"Accept-Encoding": "gzip"})
        assert response.headers["content-encoding"] == "gzip"
        assert len(response.body) < 5000
        check(gzip.decompress(response.body).decode())

    def test_scrapes_are_no_requests_of_s3(self, metrics_server, setup):
        connection = metrics_server.connect()
        for _ in range(3):
            connection.request("GET", "/metrics")
        assert Scrape(connection.request("GET", "/metrics").body.decode())("zs3_requests_total") == 0

    def test_an_error_while_telling_is_told_without_its_traceback(self, metrics_server, setup, monkeypatch):
        from twisted.logger import globalLogPublisher

        failures = []
        globalLogPublisher.addObserver(failures.append)
        monkeypatch.setattr(setup.registry, "collect", lambda: 1 / 0)
        response = metrics_server.connect().request("GET", "/metrics")
        globalLogPublisher.removeObserver(failures.append)
        assert response.status == 500
        assert b"ZeroDivision" not in response.body
        assert [each for each in failures if "log_failure" in each]
