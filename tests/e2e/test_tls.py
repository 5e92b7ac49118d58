"""Certificates of a running daemon: renewed, broken, by name, and those of `zs3 cert`; one process and workers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.certificates import Issued
from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, ENDED, PATIENCE, REGION, SECRET_KEY, Daemon, Endpoint, isolated_environment
from tests.e2e.plainhttp import fetch, presigned
from tests.e2e.tls import ANY, installed, port_of, put, shown, wait_until_shown
from tests.e2e.workers import only, wait_until

#: A bit more than the daemon lets pass before it looks again.
A_LOOK = 1.05


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "daemon"
    home.mkdir()
    return home


def wait_until_told(words: str, daemon: Daemon, port: int) -> None:
    """The daemon looks when somebody comes."""

    def told() -> bool:
        shown(port)
        return words in daemon.log_of_this_run()

    wait_until(told, daemon)


@pytest.fixture
def serve(home: Path, tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """A function that starts a daemon with one object in a bucket; it must end in good order."""
    daemons: list[Daemon] = []

    def serve(*arguments: str) -> Daemon:
        (tmp_path / "data" / "bucket").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "bucket" / "k").write_bytes(b"content")
        daemon = Daemon(home, tmp_path / "data", *arguments)
        daemon.start()
        daemons.append(daemon)
        return daemon

    try:
        yield serve
    except BaseException:
        for each in daemons:
            each.kill()
        raise
    for each in daemons:
        each.terminate()
        assert each.wait() == ENDED, each.log()
        for sign in ("Traceback", "Unhandled", "#critical]"):
            assert sign not in each.log()


@pytest.mark.parametrize("arguments", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_a_renewed_certificate_is_shown_to_new_connections_and_old_ones_go_on(
    serve: Callable[..., Daemon], home: Path, arguments: list[str]
) -> None:
    first, second = Issued("first", addresses=["127.0.0.1"]), Issued("second", addresses=["127.0.0.1"])
    key, certificate = home / "my.key", home / "my.crt"
    put(key, first.key_pem)
    put(certificate, first.pem)
    listen = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    daemon = serve("--listen", listen, *arguments)
    port = port_of(daemon, listen)
    with closing(http.client.HTTPSConnection("127.0.0.1", port, context=ANY, timeout=PATIENCE)) as old:
        target = presigned(Endpoint(port, certificate), "GET", "bucket", "k")

        def get_on_old() -> bytes:
            old.request("GET", target)
            return old.getresponse().read()

        assert get_on_old() == b"content"
        put(key, second.key_pem)
        wait_until_told("the private key is not that of the certificate", daemon, port)
        assert shown(port) == first.pem
        put(certificate, second.pem)
        for number in range(1, 3) if arguments else (None,):
            if number is None:
                wait_until_shown(second, daemon, port)
            else:
                with only(daemon, number):
                    wait_until_shown(second, daemon, port)
        assert get_on_old() == b"content"
        assert fetch(Endpoint(port, certificate), target).body == b"content"
    processes = 2 if arguments else 1
    assert 1 <= daemon.log().count("the private key is not that of the certificate") <= processes
    assert daemon.log().count("new certificate for second") == processes


@pytest.mark.parametrize("arguments", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_certificates_are_reloaded_by_sighup(serve: Callable[..., Daemon], home: Path, arguments: list[str]) -> None:
    first, second = Issued("first"), Issued("second")
    put(home / "my.pem", first.both)
    listen = "ssl:0:interface=127.0.0.1:privateKey=my.pem"
    daemon = serve("--listen", listen, *arguments)
    processes = 2 if arguments else 1
    put(home / "my.pem", second.both)
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: daemon.log().count("certificates reloaded") == processes, daemon)
    assert shown(port_of(daemon, listen)) == second.pem
    put(home / "my.pem", second.both[:300])
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: daemon.log().count("certificates not reloaded: ") == processes, daemon)
    assert f"{home / 'my.pem'}: a block in it has no end; the certificate of before stays in use" in daemon.log()
    assert shown(port_of(daemon, listen)) == second.pem
    assert "users reloaded" in daemon.log()


def test_without_tls_no_certificates_are_reloaded(home: Path, tmp_path: Path, run: Run) -> None:
    """What is not there is not talked of."""
    (tmp_path / "data").mkdir()
    daemon = Daemon(home, tmp_path / "data")
    daemon._secure = "tcp:0:interface=127.0.0.1"
    daemon.start()
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: "access log reloaded" in daemon.log(), daemon)
    daemon.stop()
    assert "certificates" not in daemon.log()


def test_a_broken_certificate_leaves_the_old_one_and_is_told_once(serve: Callable[..., Daemon], home: Path) -> None:
    first, second = Issued("first"), Issued("second")
    path = home / "my.pem"
    put(path, first.both)
    listen = f"ssl:0:interface=127.0.0.1:privateKey={path}"
    daemon = serve("--listen", listen)
    port = port_of(daemon, listen)
    for broken, words in ((b"nonsense", "there is no private key"), (second.both[:-100], "a block in it has no end")):
        put(path, broken)
        wait_until_told(words, daemon, port)
        time.sleep(A_LOOK)
        assert shown(port) == first.pem
        assert daemon.log().count(words) == 1
    path.unlink()
    wait_until_told("No such file or directory", daemon, port)
    assert shown(port) == first.pem
    put(path, second.both)
    wait_until_shown(second, daemon, port)


@pytest.mark.parametrize("arguments", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_each_name_of_a_directory_has_its_certificate(
    serve: Callable[..., Daemon], home: Path, arguments: list[str]
) -> None:
    root = Issued("a root")
    middle = Issued("in the middle", issuer=root, authority=True)
    made = {name: Issued(name, issuer=middle) for name in ("a.example", "*.b.example", "new.example")}
    address = Issued("address", addresses=["127.0.0.1"], issuer=middle)
    put(home / "tls" / "chain.pem", middle.pem)
    put(home / "tls" / "a.pem", made["a.example"].both)
    put(home / "tls" / "b.pem", made["*.b.example"].both)
    put(home / "tls" / "c.pem", address.both)
    listen = r"tls:tls:port=0:interface=0.0.0.0"
    daemon = serve("--listen", listen, *arguments)
    port = port_of(daemon, listen)
    for _ in range(4):
        assert shown(port, "a.example") == made["a.example"].pem
        assert shown(port, "X.b.example") == made["*.b.example"].pem
        assert shown(port, "unknown.example") == made["a.example"].pem
        assert shown(port) == address.pem
    trusting = ssl.create_default_context(cadata=root.pem.decode())
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as connection,
        trusting.wrap_socket(connection, server_hostname="photos.b.example"),
    ):
        pass
    put(home / "tls" / "sub" / "new.pem", made["new.example"].both)
    wait_until_shown(made["new.example"], daemon, port, "new.example")
    (home / "tls" / "sub" / "new.pem").unlink()
    wait_until_shown(made["a.example"], daemon, port, "new.example")


@pytest.fixture
def tls_port(serve: Callable[..., Daemon]) -> int:
    return serve().tls.port


def openssl(port: int, *arguments: str) -> str:
    """What `openssl s_client` says of a handshake."""
    command = [installed("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *arguments]
    ended = subprocess.run(command, input=b"", capture_output=True, timeout=PATIENCE, check=False)
    return (ended.stdout + ended.stderr).decode("utf-8", "replace")


def test_old_versions_weak_ciphers_and_renegotiation_are_refused(tls_port: int) -> None:
    assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in openssl(tls_port, "-tls1_2")
    for arguments in (
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        ["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
        ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
    ):
        told = openssl(tls_port, *arguments)
        assert "Cipher is (NONE)" in told, told
        assert "alert" in told, told
    told = openssl(tls_port, "-alpn", "h2,http/1.1")
    assert "ALPN protocol: http/1.1" in told
    assert "Compression: NONE" in told

    command = [installed("openssl"), "s_client", "-connect", f"127.0.0.1:{tls_port}", "-tls1_2"]
    ended = subprocess.run(command, input=b"R\n", capture_output=True, timeout=PATIENCE, check=False)
    told = (ended.stdout + ended.stderr).decode("utf-8", "replace")
    assert "RENEGOTIATING" in told
    assert "no renegotiation" in told or "NO_RENEGOTIATION" in told.upper().replace(" ", "_"), told


def test_the_proxy_header_comes_before_tls(serve: Callable[..., Daemon], home: Path) -> None:
    put(home / "my.pem", Issued("localhost").both)
    listen = "haproxy:ssl:0:interface=127.0.0.1:privateKey=my.pem"
    daemon = serve("--listen", listen, "--access-log", "-")
    with socket.create_connection(("127.0.0.1", port_of(daemon, listen)), PATIENCE) as connection:
        connection.sendall(b"PROXY TCP4 203.0.113.7 203.0.113.8 40000 443\r\n")
        with ANY.wrap_socket(connection) as secure:
            secure.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            response = http.client.HTTPResponse(secure)
            response.begin()
            assert response.status == 403
            response.read()
    wait_until(lambda: " 203.0.113.7 - ListBuckets " in daemon.log(), daemon)


def test_a_certificate_that_expires_soon_is_told_at_the_start(serve: Callable[..., Daemon], home: Path) -> None:
    put(home / "my.pem", Issued("soon", days=5).both)
    daemon = serve("--listen", "ssl:0:interface=127.0.0.1:privateKey=my.pem", "--workers", "2")
    assert daemon.log().count("#warn] the certificate for soon expires on") == 1
    assert daemon.log().count("in 4 days") == 1


class TestQuickStart:
    """`zs3 cert`, then a daemon with ``ssl:``, then clients that are given the file for them."""

    @pytest.fixture
    def secure(self, home: Path, tmp_path: Path, run: Run) -> Iterator[tuple[Endpoint, Daemon]]:
        (tmp_path / "data").mkdir()
        run("zs3", "cert", "--data", tmp_path / "data")
        daemon = Daemon(home, tmp_path / "data")
        daemon._secure = "ssl:0:interface=127.0.0.1"
        daemon.certificate = tmp_path / "for clients.crt"
        daemon.certificate.write_bytes((tmp_path / "data" / ".zs3" / "tls" / "server.crt").read_bytes())
        daemon.start()
        yield daemon.tls, daemon
        daemon.stop()

    def test_boto3_and_curl_and_others_trust_it(
        self, secure: tuple[Endpoint, Daemon], run: Run, tmp_path: Path
    ) -> None:
        endpoint, _ = secure
        certificate = str(endpoint.certificate)
        for url in (endpoint.url, f"https://localhost:{endpoint.port}"):
            client: Any = boto3.client(
                "s3",
                endpoint_url=url,
                region_name=REGION,
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
                verify=certificate,
            )
            with closing(client):
                client.create_bucket(Bucket="photos")
                client.put_object(Bucket="photos", Key="k", Body=b"content")
        url = endpoint.url + presigned(endpoint, "GET", "photos", "k")
        assert run(installed("curl"), "--silent", "--show-error", "--cacert", certificate, url) == "content"
        variables = {
            "RCLONE_CA_CERT": certificate,
            "RCLONE_S3_PROVIDER": "Other",
            "RCLONE_S3_ENDPOINT": endpoint.url,
            "RCLONE_S3_ACCESS_KEY_ID": ACCESS_KEY,
            "RCLONE_S3_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        assert run("rclone", "cat", ":s3:photos/k", variables=variables) == "content"

    def test_who_was_not_told_of_it_refuses_it(self, secure: tuple[Endpoint, Daemon]) -> None:
        endpoint, _ = secure
        with (
            socket.create_connection(("127.0.0.1", endpoint.port), PATIENCE) as connection,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(connection, server_hostname="127.0.0.1")

    def test_a_running_daemon_takes_the_next_one(
        self, secure: tuple[Endpoint, Daemon], run: Run, tmp_path: Path
    ) -> None:
        endpoint, daemon = secure
        before = shown(endpoint.port)
        run("zs3", "cert", "--data", tmp_path / "data", "--force", "--name", "127.0.0.1")
        wait_until(lambda: shown(endpoint.port) != before, daemon)
        again = Endpoint(endpoint.port, tmp_path / "data" / ".zs3" / "tls" / "server.crt")
        assert fetch(again, "/").status == 403

    def test_without_one_it_is_told_how_to_make_it(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        command = [
            Daemon(home, tmp_path / "data").command[0],
            "-n",
            "--pidfile=",
            "zs3",
            "--data",
            str(tmp_path / "data"),
        ]
        ended = subprocess.run(
            [*command, "--listen", "ssl:0"],
            cwd=home,
            env=isolated_environment(home),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 1
        assert f"`zs3 cert --data {tmp_path / 'data'}` makes one".encode() in ended.stdout + ended.stderr
