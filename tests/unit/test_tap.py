"""The options of `twistd zs3`, and the daemon they make."""

import os
import re
import socket
import stat
import subprocess
import sys

import pytest
from twisted.application.service import IServiceMaker
from twisted.cred import strcred
from twisted.cred.strcred import ICheckerFactory
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError

from zs3 import tap
from zs3.auth import users
from zs3.auth.credentials import ISignedRequest, UsersFileChecker
from zs3.memory import PAUSE_S
from zs3.messages import MessageChannel, socket_pair
from zs3.service import StartError
from zs3.web.limits import Limits
from zs3.workers import WorkersService

USERS = '[users.alice]\naccess_key = "ALICE"\nsecret_key = "alices-secret"\nrole = "admin"\n'


class Reactor(MemoryReactorClock):
    def callFromThread(self, f, *args, **kwargs):
        f(*args, **kwargs)

    def listenTCP(self, *args, **kwargs):
        port = super().listenTCP(*args, **kwargs)
        port.stopReading = lambda: None
        return port


@pytest.fixture(autouse=True)
def reactor(monkeypatch):
    reactor = Reactor()
    monkeypatch.setattr("twisted.internet.reactor", reactor, raising=False)
    return reactor


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """Started in an empty directory, with no credentials in the environment."""
    monkeypatch.delenv("ZS3_ACCESS_KEY", raising=False)
    monkeypatch.delenv("ZS3_SECRET_KEY", raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def users_file(tmp_path):
    path = tmp_path / "users.toml"
    path.write_text(USERS)
    path.chmod(0o600)
    return str(path)


def parse(*arguments, parent=None):
    options = tap.Options()
    if parent is not None:
        options.parent = parent
    options.parseOptions([str(each) for each in arguments])
    return options


def refusal(*arguments, parent=None):
    with pytest.raises(UsageError) as caught:
        parse(*arguments, parent=parent)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestOptions:
    def test_data_is_all_that_is_needed(self, data):
        options = parse("--data", data)
        assert options["data"] == str(data)
        assert [description for description, _ in options["endpoints"]["listen"]] == ["tcp:9000"]
        assert (options["file-mode"], options["dir-mode"]) == (0o600, 0o700)
        assert (options["threads"], options["drain-timeout"]) == (16, 30.0)
        assert (options["address-connections"], options["address-requests"].per_second) == (2000, 0)
        assert "127.9.9.9" in options["unlimited"]
        assert "::1" in options["unlimited"]
        assert "10.0.0.1" not in options["unlimited"]
        assert options["lifecycle-day"].is_real
        assert (options["sync"], options["no-sigv2"], options["region"], options["domain"]) == ("on", 0, None, [])

    def test_data_is_made_absolute_before_twistd_changes_directory(self, data, monkeypatch):
        monkeypatch.chdir(data.parent)
        assert parse("--data", "data")["data"] == str(data)

    def test_everything_can_be_said(self, data, users_file, tmp_path):
        options = parse(
            "--data", data, "--listen", "tcp:9001:interface=127.0.0.1", "--listen", "unix:s", "--auth",
            f"zs3:{users_file}", "--region", "eu-central-1", "--domain", "S3.home.lan.", "--domain", "s3.example.org",
            "--website-domain", "Web.Home.lan.",
            "--no-sigv2", "--sync", "off", "--file-mode", "0640", "--dir-mode", "750", "--access-log",
            tmp_path / "log", "--access-log-format", "json", "--threads", "4", "--drain-timeout", "2.5",
            "--lifecycle-day", "10", "--max-connections", "500", "--address-connections", "5", "--address-requests",
            "2.5:10", "--unlimited", "10.0.0.0/8", "--unlimited", "192.0.2.7", "--idle-timeout", "75",
            "--head-timeout", "1", "--body-timeout", "2", "--send-timeout", "3",
        )  # fmt: skip
        assert [description for description, _ in options["endpoints"]["listen"]] == [
            "tcp:9001:interface=127.0.0.1",
            "unix:s",
        ]
        assert options["users"].lookup("ALICE").name == "alice"
        assert (options["file-mode"], options["dir-mode"]) == (0o640, 0o750)
        assert options["domain"] == ["s3.home.lan", "s3.example.org"]
        assert options["website-domain"] == ["web.home.lan"]
        assert options["access-log"] == str(tmp_path / "log")
        assert (options["threads"], options["drain-timeout"], options["no-sigv2"]) == (4, 2.5, 1)
        assert options["lifecycle-day"].seconds == 10
        assert (options["max-connections"], options["address-connections"]) == (500, 5)
        assert options["address-requests"] == (2.5, 10)
        assert "192.0.2.7" in options["unlimited"]
        assert "127.0.0.1" not in options["unlimited"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--sync", "maybe"], "--sync: on or off"),
            (["--object-ownership", "Nobody"], "--object-ownership: BucketOwnerEnforced or BucketOwnerPreferred or"),
            (["--file-mode", "999"], "three octal digits, e.g. 640"),
            (["--file-mode", "-1"], "three octal digits, e.g. 640"),
            (["--file-mode", "400"], "--file-mode must let the owner read and write"),
            (["--dir-mode", "600"], "--dir-mode"),
            (["--dir-mode", "0o700"], "three octal digits, e.g. 640"),
            (["--threads", "0"], "--threads: a number from 1"),
            (["--threads", "many"], "--threads: a number from 1"),
            (["--threads", "1_0"], "--threads: a number from 1"),
            (["--workers", "-1"], "--workers: a number from 0"),
            (["--workers", "two"], "--workers: a number from 0"),
            (["--drain-timeout", "-1"], "--drain-timeout: a number of seconds"),
            (["--lifecycle-day", "0"], "--lifecycle-day: a number of seconds from 1 to 86400 is needed"),
            (["--lifecycle-day", "86401"], "--lifecycle-day: a number of seconds from 1 to 86400 is needed"),
            (["--lifecycle-day", "short"], "--lifecycle-day: a number of seconds"),
            (["--drain-timeout", "inf"], "--drain-timeout: a number of seconds"),
            (["--max-connections", "-1"], "--max-connections: a number is needed, or 0"),
            (["--address-connections", "many"], "--address-connections: a number is needed, or 0"),
            (["--address-requests", "1/s"], "--address-requests: a number per second is needed, or two: RATE:BURST"),
            (["--address-requests", "10:0"], "--address-requests: a BURST is at least 1"),
            (["--unlimited", "localhost"], "--unlimited: localhost: "),
            (["--unlimited", "192.0.2.1/24"], "--unlimited: 192.0.2.1/24: "),
            (["--idle-timeout", "0"], "--idle-timeout: a second is the least"),
            (["--head-timeout", "soon"], "--head-timeout: a number of seconds"),
            (["--body-timeout", "0.5"], "--body-timeout: a second is the least"),
            (["--send-timeout", "-1"], "--send-timeout: a number of seconds"),
            (["--region", "EU Central"], "--region: "),
            (["--region", ""], "--region: "),
            (["--domain", "a_b"], "--domain: 'a_b' is no host name"),
            (["--website-domain", "a_b"], "--website-domain: 'a_b' is no host name"),
            (
                ["--domain", "s3.lan", "--website-domain", "S3.lan."],
                "--website-domain: s3.lan is a --domain too",
            ),
            (["--domain", ""], "--domain: '' is no host name"),
            (["--domain", "home.lan\n"], "--domain: "),
            (["--access-log-format", "xml"], "--access-log-format: text or json"),
            (["--access-log", "/nowhere/log"], "--access-log: /nowhere/log cannot be a file"),
            (["--access-log", "/"], "--access-log: / cannot be a file"),
            (["--listen", "tpc:9000"], "--listen tpc:9000: "),
            (["--metrics", "tpc:9100"], "--metrics tpc:9100: "),
            (["--listen", "ssl:9443"], "--listen ssl:9443: there is no "),
            (["--nonsense"], "nonsense"),
            (["argument"], "Wrong number of arguments"),
        ],
    )
    def test_mistake_is_told_in_one_line(self, data, arguments, message):
        assert message in refusal("--data", data, *arguments)

    def test_data_is_needed(self):
        assert refusal().startswith("--data DIR is needed")

    def test_missing_data_and_data_that_is_a_file_are_named(self, tmp_path):
        (tmp_path / "file").touch()
        assert refusal("--data", tmp_path / "none") == f"--data: {tmp_path}/none is not there"
        assert refusal("--data", tmp_path / "file") == f"--data: {tmp_path}/file is not a directory"

    def test_unreadable_data_is_refused(self, data, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        assert refusal("--data", data) == f"--data: {data} may not be read by this user"

    def test_ssl_alone_looks_where_it_was_started_then_in_the_data_directory(self, data, tmp_path):
        text = refusal("--data", data, "--listen", "ssl:9443")
        assert f"there is no {tmp_path}/cwd/server.pem and no {data}/.zs3/tls/server.pem" in text
        assert "privateKey=" in text
        assert "certKey=" in text


class TestAccessLog:
    def test_it_goes_to_standard_output_by_default(self, data):
        assert parse("--data", data)["access-log"] == "-"
        assert parse("--data", data, parent={"nodaemon": True})["access-log"] == "-"

    def test_a_daemon_in_the_background_has_none_to_write_to(self, data, tmp_path):
        background = {"nodaemon": 0}
        assert parse("--data", data, parent=background)["access-log"] == "off"
        assert "background" in refusal("--data", data, "--access-log", "-", parent=background)
        assert parse("--data", data, "--access-log", tmp_path / "log", parent=background)["access-log"] == str(
            tmp_path / "log"
        )

    def test_relative_file_is_of_where_the_daemon_was_started(self, data, tmp_path):
        assert parse("--data", data, "--access-log", "log")["access-log"] == f"{tmp_path}/cwd/log"
        assert parse("--data", data, "--access-log", "off")["access-log"] == "off"


class TestCredentials:
    def test_auth_comes_before_the_environment(self, data, users_file, monkeypatch):
        monkeypatch.setenv("ZS3_ACCESS_KEY", "ENVIRONMENT")
        monkeypatch.setenv("ZS3_SECRET_KEY", "environments-secret")
        options = parse("--data", data, "--auth", f"zs3:{users_file}")
        assert options["users"].lookup("ALICE") is not None
        assert options["users"].lookup("ENVIRONMENT") is None

    def test_environment_gives_an_admin(self, data, monkeypatch):
        monkeypatch.setenv("ZS3_ACCESS_KEY", "ENVIRONMENT")
        monkeypatch.setenv("ZS3_SECRET_KEY", "environments-secret")
        admin = parse("--data", data)["users"].lookup("ENVIRONMENT")
        assert (admin.role, admin.secret_key, admin.buckets) == ("admin", "environments-secret", None)

    @pytest.mark.parametrize(
        ("access_key", "secret_key"), [("KEY", None), (None, "a-secret-key"), ("KEY", "short"), ("", "a-secret-key")]
    )
    def test_half_a_pair_in_the_environment_is_refused(self, data, monkeypatch, access_key, secret_key):
        for name, value in (("ZS3_ACCESS_KEY", access_key), ("ZS3_SECRET_KEY", secret_key)):
            if value is not None:
                monkeypatch.setenv(name, value)
        text = refusal("--data", data)
        assert "ZS3_ACCESS_KEY" in text
        assert "a-secret-key" not in text

    def test_with_neither_nothing_is_made_before_the_start(self, data):
        assert parse("--data", data)["users"].path == f"{data}/.zs3/private/credentials"
        assert os.listdir(data) == []

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ("zs3:/nowhere", "--auth zs3: /nowhere: No such file or directory"),
            ("zs3", "--auth zs3: it needs a file: zs3:FILE"),
            ("nonsense:x", "--auth nonsense: there is no such type, see --help-auth"),
            ("memory:alice:password", "--auth memory: these users cannot sign requests, see --help-auth"),
        ],
    )
    def test_useless_auth_is_refused_without_telling_what_may_be_secret(self, data, argument, message):
        assert refusal("--data", data, "--auth", argument) == message

    def test_checker_that_knows_no_users_is_refused(self, data, monkeypatch):
        class Checker:
            credentialInterfaces = (ISignedRequest,)

        monkeypatch.setattr(strcred, "makeChecker", lambda description: Checker())
        assert refusal("--data", data, "--auth", "other").startswith("--auth: this type knows no users of zs3")

    def test_second_auth_is_refused_rather_than_ignored(self, data, users_file):
        auth = ["--auth", f"zs3:{users_file}"]
        assert refusal("--data", data, *auth, *auth) == "--auth may be given once"

    def test_read_only_data_needs_credentials_from_elsewhere(self, data, users_file, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
        text = refusal("--data", data)
        assert "--auth zs3:FILE" in text
        assert "ZS3_ACCESS_KEY" in text
        assert parse("--data", data, "--auth", f"zs3:{users_file}")["users"].lookup("ALICE") is not None

    def test_read_only_data_that_has_credentials_is_served(self, data, monkeypatch):
        (data / ".zs3" / "private").mkdir(parents=True)
        (data / ".zs3" / "private" / "credentials").touch()
        monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
        assert isinstance(parse("--data", data)["users"], UsersFileChecker)


class TestDaemon:
    def start(self, *arguments):
        daemon = tap.makeService(parse(*arguments))
        daemon.privilegedStartService()
        daemon.startService()
        return daemon

    def stop(self, daemon, reactor):
        done = []
        daemon.stopService().addBoth(done.append)
        reactor.advance(0)
        assert done == [None]

    @pytest.fixture(autouse=True)
    def _signals(self, monkeypatch):
        monkeypatch.setattr("signal.signal", lambda number, handler: None)

    def test_makes_credentials_once_and_logs_where_never_what(self, data, reactor, logged):
        for _ in range(2):
            daemon = self.start("--data", data, "--access-log", "off")
            self.stop(daemon, reactor)
        path = data / ".zs3" / "private" / "credentials"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        (admin,) = users.load(str(path)).values()
        texts = logged("debug")
        assert len([text for text in texts if text == f"new credentials were made: see {path}"]) == 1
        assert not [text for text in texts if admin.secret_key in text or admin.access_key in text]

    def test_makes_no_credentials_where_there_are_some(self, data, reactor, monkeypatch):
        monkeypatch.setenv("ZS3_ACCESS_KEY", "ENVIRONMENT")
        monkeypatch.setenv("ZS3_SECRET_KEY", "environments-secret")
        self.stop(self.start("--data", data, "--access-log", "off"), reactor)
        assert not (data / ".zs3" / "private" / "credentials").exists()

    def test_listens_where_it_was_told(self, data, reactor):
        daemon = self.start("--data", data, "--listen", "tcp:9001", "--listen", "tcp:9002", "--access-log", "off")
        assert [server[0] for server in reactor.tcpServers] == [9001, 9002]
        self.stop(daemon, reactor)

    def test_the_limits_are_those_that_were_said(self, data, reactor):
        daemon = self.start(
            "--data", data, "--access-log", "off", "--max-connections", "7", "--address-connections", "3",
            "--idle-timeout", "75", "--head-timeout", "1", "--body-timeout", "2", "--send-timeout", "4",
        )  # fmt: skip
        site = reactor.tcpServers[0][1].wrappedFactory
        assert site.limits == Limits(idle=75, head=1, body=2, stall=4)
        assert site._max_connections == 7
        client, here = IPv4Address("TCP", "192.0.2.1", 1), IPv4Address("TCP", "127.0.0.1", 1)
        for _ in range(3):
            assert site.admits(client)
            site.admission.enter(site.admission.network(client.host))
        assert not site.admits(client)
        assert site.admits(here)
        self.stop(daemon, reactor)

    def test_the_metrics_are_served_beside_and_only_if_asked_for(self, data, reactor):
        daemon = self.start("--data", data, "--access-log", "off", "--metrics", "tcp:9100:interface=127.0.0.1")
        (port, site, *_), (other, metrics, *_) = sorted(reactor.tcpServers, key=lambda server: server[0])
        assert (port, other) == (9000, 9100)
        assert type(site.wrappedFactory).__name__ == "Site"
        assert type(metrics.wrappedFactory).__name__ == "MetricsSite"
        self.stop(daemon, reactor)
        reactor.tcpServers.clear()
        daemon = self.start("--data", data, "--access-log", "off")
        assert [server[0] for server in reactor.tcpServers] == [9000]
        self.stop(daemon, reactor)

    def test_who_asks_for_no_metrics_and_no_console_does_not_load_them(self, data):
        code = (
            "import sys; from zs3 import tap; options = tap.Options(); "
            "options.parseOptions(['--data', sys.argv[1]]); tap.makeService(options); "
            "print(*sys.modules)"
        )
        modules = subprocess.run(
            [sys.executable, "-c", code, str(data)], capture_output=True, text=True, check=True
        ).stdout.split()
        assert "zs3.assembly" in modules
        assert not {"prometheus_client", "zs3.metrics.instruments", "zs3.console.assembly", "tomlkit"} & set(modules)

    def test_writes_its_access_log(self, data, reactor, tmp_path):
        self.stop(self.start("--data", data, "--access-log", tmp_path / "log"), reactor)
        assert (tmp_path / "log").exists()

    def test_memory_is_given_back_after_there_was_work(self, data, reactor, monkeypatch):
        given = []
        monkeypatch.setattr("zs3.memory.give_back", lambda: given.append(True))
        daemon = self.start("--data", data, "--access-log", "off")
        connection = reactor.tcpServers[0][1].buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        connection.makeConnection(StringTransport())
        connection.dataReceived(b"GET /-/live HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.connectionLost(Failure(ConnectionDone()))
        reactor.advance(PAUSE_S)
        assert given == [True]
        self.stop(daemon, reactor)

    def test_sync_off_is_said(self, data, reactor, logged):
        self.stop(self.start("--data", data, "--sync", "off", "--access-log", "off"), reactor)
        assert [text for text in logged() if text.startswith("--sync=off")]


class TestWorkers:
    @pytest.fixture(autouse=True)
    def _signals(self, monkeypatch):
        monkeypatch.setattr("signal.signal", lambda number, handler: None)

    def test_there_is_one_by_default_and_0_is_one_for_each_core(self, data, monkeypatch):
        assert parse("--data", data)["workers"] == 1
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5})
        assert parse("--data", data, "--workers", "0")["workers"] == 3

    def test_the_parent_listens_and_makes_credentials_but_keeps_no_store(self, data, reactor, logged, tmp_path):
        log = tmp_path / "access.log"
        daemon = tap.makeService(parse("--data", data, "--workers", "2", "--access-log", log))
        _, workers, *_ = daemon
        assert isinstance(workers, WorkersService)
        workers.startService = lambda: None
        daemon.privilegedStartService()
        daemon.startService()
        assert [server[0] for server in reactor.tcpServers] == [9000]
        assert (data / ".zs3" / "private" / "credentials").exists()
        assert os.listdir(data / ".zs3" / "tmp") == ["lock"]
        assert log.exists()
        assert len([text for text in logged("info") if text.startswith("new credentials were made")]) == 1

    def test_what_cannot_be_used_ends_the_start_of_the_parent(self, data):
        (data / ".zs3").touch()
        daemon = tap.makeService(parse("--data", data, "--workers", "2", "--access-log", "off"))
        with pytest.raises(StartError, match=f"^cannot use {re.escape(str(data))}: "):
            next(iter(daemon)).startService()

    def test_a_worker_serves_as_the_parent_was_told(self, data, reactor, tmp_path, monkeypatch, users_file):
        one, other = socket_pair()
        monkeypatch.setattr(reactor, "run", lambda: None, raising=False)
        triggers = []
        monkeypatch.setattr(reactor, "addSystemEventTrigger", lambda *args: triggers.append(args))
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            monkeypatch.setattr(tap, "FIRST_SOCKET_FD", os.dup(listening.fileno()))
            os.chdir(tmp_path)
            settings = {
                "arguments": [
                    *("--data", "../data", "--auth", f"zs3:{users_file}"),
                    *("--workers", "2", "--listen", "systemd:domain=INET:index=0"),
                ],
                "directory": str(tmp_path / "cwd"),
                "access-log": "off",
                "sockets": 1,
            }
            tap.run_worker(MessageChannel(one), settings)
            assert os.getcwd() == str(tmp_path)
            (port, *_) = reactor.getReaders()
            assert port.getHost().port == listening.getsockname()[1]
            ((*when, stop),) = triggers
            assert when == ["before", "shutdown"]
            done = []
            stop().addBoth(done.append)
            reactor.advance(0)
            assert done == [None]
            assert reactor.tcpServers == []
        one.close()
        other.close()


def test_twistd_finds_the_service_and_the_checker():
    (maker,) = [each for each in getPlugins(IServiceMaker) if each.tapname == "zs3"]
    assert issubclass(maker.options, TwistedOptions)
    assert maker.makeService is tap.makeService
    (factory,) = [each for each in getPlugins(ICheckerFactory) if each.authType == "zs3"]
    assert "[users.alice]" in factory.authHelp


def test_help_names_every_option():
    text = tap.Options().getUsage()
    for name in ("data", "listen", "auth", "object-ownership", "region", "domain", "website-domain", "no-sigv2", "sync",
                 "file-mode", "dir-mode", "access-log", "access-log-format", "threads", "workers",
                 "drain-timeout", "metrics"):  # fmt: skip
        assert re.search(rf"--{name}\b", text)
