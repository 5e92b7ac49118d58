"""`--workers 2` by each way of starting, on each kind of socket, and what goes wrong at the start."""

from __future__ import annotations

import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.certificates import self_signed
from tests.e2e.daemon import ACCESS_KEY, ENDED, PATIENCE, SECRET_KEY, Daemon, isolated_environment, program, running
from tests.e2e.plainhttp import fetch, presigned
from tests.e2e.workers import pids, wait_until, watched


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "daemon"
    home.mkdir()
    return home


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A data directory with one object in it."""
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    (tmp_path / "data" / "bucket" / "k").write_bytes(b"content")
    return tmp_path / "data"


def answer_on(connection: socket.socket, before: bytes = b"") -> http.client.HTTPResponse:
    """To a request that is refused, after `before` is sent."""
    connection.sendall(before + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    response.close()
    return response


def unix_connection(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(os.path.relpath(path))  # there is little room for a path
    return connection


def test_each_kind_of_socket_is_served(home: Path, store: Path) -> None:
    key, certificate = self_signed()
    (home / "tls").mkdir()
    (home / "tls" / "localhost.pem").write_bytes(key + certificate)
    listen = [
        "unix:zs3.sock:mode=600",
        "haproxy:tcp:0:interface=127.0.0.1",
        r"tcp6:0:interface=\:\:1",
        "tls:tls:port=0",
    ]
    arguments = [argument for each in listen for argument in ("--listen", each)]
    with running(home, store, "--workers", "2", *arguments) as daemon:
        for endpoint in (daemon.plain, daemon.tls):
            assert fetch(endpoint, presigned(endpoint, "GET", "bucket", "k")).body == b"content"

        path = home / "zs3.sock"
        with closing(unix_connection(path)) as connection:
            assert answer_on(connection).status == 403
        assert path.stat().st_mode & 0o777 == 0o600
        old = pids(daemon)[1]
        os.kill(old, signal.SIGTERM)
        wait_until(lambda: pids(daemon)[1] != old, daemon)
        with closing(unix_connection(path)) as connection:  # the end of one worker is not that of the socket
            assert answer_on(connection).status == 403
        assert path.stat().st_mode & 0o777 == 0o600

        ports = {
            description: int(port)
            for port, description in re.findall(r"listening on \S+:(\d+) \((.*)\)$", daemon.log(), re.MULTILINE)
        }
        with closing(socket.create_connection(("127.0.0.1", ports[listen[1]]), PATIENCE)) as connection:
            assert answer_on(connection, b"PROXY TCP4 192.0.2.7 127.0.0.1 1234 9000\r\n").status == 403
        wait_until(lambda: " 192.0.2.7 - " in daemon.log(), daemon)
        with closing(socket.create_connection(("::1", ports[listen[2]]), PATIENCE)) as connection:
            assert answer_on(connection).status == 403
    assert not path.exists()


#: Starts a program as systemd does, with the socket whose descriptor is the first argument.
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="zs3")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_socket_of_systemd_is_shared_and_outlives_the_daemon(home: Path, store: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port, fd = listening.getsockname()[1], listening.fileno()
        twistd = [program("twistd"), "--nodaemon", "--pidfile="]
        daemon = Daemon(
            home,
            store,
            *("--workers", "2", "--listen", "systemd:domain=INET:name=zs3"),
            command=[sys.executable, "-c", AS_SYSTEMD, str(fd), *twistd],
        )
        daemon.pass_fds = [fd]
        daemon.start()
        with closing(socket.create_connection(("127.0.0.1", port), PATIENCE)) as connection:
            assert answer_on(connection).status == 403
        daemon.stop()
        with closing(socket.create_connection(("127.0.0.1", port), PATIENCE)) as connection:
            daemon.start()
            assert answer_on(connection).status == 403
        daemon.stop()


def test_twist_starts_workers(home: Path, store: Path) -> None:
    daemon = Daemon(home, store, "--workers", "2", command=["twist", "--log-format=text"])
    daemon.start()
    try:
        assert len(pids(daemon)) == 2
        assert fetch(daemon.plain, presigned(daemon.plain, "GET", "bucket", "k")).body == b"content"
    except BaseException:
        daemon.kill()
        raise
    with watched(list(pids(daemon).values())) as gone:
        daemon.terminate()
        assert daemon.wait() == ENDED
        gone()


def test_a_daemon_in_the_background_has_workers_and_one_log(home: Path, store: Path) -> None:
    started = subprocess.run(
        [
            *(program("twistd"), "zs3", "--data", os.path.relpath(store, home), "--workers", "2"),
            *("--listen", "tcp:0:interface=127.0.0.1", "--access-log", "access.log"),
        ],
        cwd=home,
        env=isolated_environment(home, ZS3_ACCESS_KEY=ACCESS_KEY, ZS3_SECRET_KEY=SECRET_KEY),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (started.returncode, started.stdout, started.stderr) == (0, b"", b"")
    pid = int((home / "twistd.pid").read_text())
    ended = os.pidfd_open(pid)
    try:
        log = (home / "twistd.log").read_text()
        workers = [int(each) for each in re.findall(r"worker \d serves: process (\d+)$", log, re.MULTILINE)]
        assert len(workers) == 2
        found = re.search(r"listening on 127\.0\.0\.1:(\d+) ", log)
        assert found is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=PATIENCE)
        with closing(connection):
            connection.request("GET", "/")
            assert connection.getresponse().read() != b""
        with watched(workers) as gone:
            signal.pidfd_send_signal(ended, signal.SIGTERM)
            gone()
            assert select.select([ended], [], [], PATIENCE)[0]
    finally:
        try:
            signal.pidfd_send_signal(ended, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(ended)
    assert len((home / "access.log").read_text().splitlines()) == 1
    assert not (home / "twistd.pid").exists()
    assert "#error]" not in (home / "twistd.log").read_text()


def test_credentials_are_made_once(home: Path, store: Path) -> None:
    daemon = Daemon(home, store, "--workers", "2")
    daemon.variables = {}
    daemon.start()
    assert daemon.log().count("new credentials were made") == 1
    assert os.listdir(store / ".zs3" / "private") == ["credentials"]
    daemon.stop()


# What goes wrong


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def start(home: Path, *arguments: str, **variables: str) -> str:
    """What a daemon says that is expected not to start."""
    ended = subprocess.run(
        [program("twistd"), "--nodaemon", "--pidfile=", "zs3", "--workers", "2", *arguments],
        cwd=home,
        env=isolated_environment(home, **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stdout, ended.stdout
    return ended.stdout


WRONG = {
    "--data store --listen tcp:{port}:interface=127.0.0.1": "cannot listen on tcp:{port}:interface=127.0.0.1: Address",
    "--data store --listen unix:/nowhere/s": "cannot listen on unix:/nowhere/s: /nowhere/s",
    "--data broken": "cannot use {home}/broken",
    "--data store --workers many": "--workers: a number from 0",
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_told_in_one_line(home: Path, port: int, arguments: str, message: str) -> None:
    (home / "store").mkdir()
    (home / "broken").mkdir()
    (home / "broken" / ".zs3").touch()
    log = start(home, *arguments.format(port=port).split())
    assert sum(message.format(port=port, home=home) in line for line in log.splitlines()) == 1, log


def in_workers(home: Path, code: str) -> dict[str, str]:
    """Variables that make each worker run `code` before anything else."""
    (home / "sitecustomize.py").write_text(f"import os, sys\nif 'zs3.worker' in sys.orig_argv:\n    {code}\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(home), os.environ.get("PYTHONPATH"))))}


def test_what_is_wrong_for_the_workers_alone_is_told_in_one_line(home: Path, store: Path) -> None:
    (home / "server.pem").write_bytes(b"".join(self_signed()))
    variables = in_workers(home, "open('server.pem', 'w').close()")
    log = start(home, "--data", str(store), "--listen", "ssl:0:interface=127.0.0.1", **variables)
    (line,) = (line for line in log.splitlines() if "#critical]" in line)
    assert "--listen ssl:0:interface=127.0.0.1: " in line
    assert "server.pem: there is no private key" in line


def test_workers_that_end_without_a_word_end_the_start(home: Path, store: Path) -> None:
    log = start(home, "--data", str(store), "--listen", "tcp:0:interface=127.0.0.1", **in_workers(home, "os._exit(3)"))
    assert log.rstrip().endswith("#critical] a worker ended before it served")


def test_workers_that_end_at_once_are_started_ever_more_slowly(home: Path, store: Path) -> None:
    daemon = Daemon(home, store, "--workers", "2")
    daemon.variables |= in_workers(home, f"os.path.exists({str(home / 'broken')!r}) and os._exit(3)")
    daemon.start()
    try:
        (home / "broken").touch()
        os.kill(pids(daemon)[1], signal.SIGKILL)
        wait_until(lambda: "another is started in 1 s" in daemon.log(), daemon)
        told = r"worker 1 \(process \d+\) ended \((.*)\), another is started (.*)$"
        ends = re.findall(told, daemon.log(), re.MULTILINE)
        assert ends[:3] == [("signal 9", "now"), ("exit status 3", "in 0.5 s"), ("exit status 3", "in 1 s")]
        assert fetch(daemon.plain, "/").status == 403, "the other serves"
        old = pids(daemon)[1]
        (home / "broken").unlink()
        wait_until(lambda: pids(daemon)[1] != old, daemon)
    except BaseException:
        daemon.kill()
        raise
    daemon.terminate()
    assert daemon.wait() == ENDED
