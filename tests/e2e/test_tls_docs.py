"""What docs/tls.rst has people type, typed."""

from __future__ import annotations

import grp
import os
import shutil
import socket
import ssl
import subprocess
import textwrap
from contextlib import closing
from pathlib import Path

import boto3
import pytest

from tests.certificates import Issued
from tests.e2e.conftest import Run
from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Daemon, isolated_environment, running
from tests.e2e.plainhttp import fetch
from tests.e2e.tls import installed, port_of, shown, wait_until_shown
from tests.e2e.workers import wait_until

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "daemon"
    home.mkdir()
    return home


def commands_below(heading: str) -> str:
    """The first block of commands below a heading."""
    text = (DOCS / "tls.rst").read_text("utf-8")
    _, _, below = text.partition(f"\n{heading}\n{'-' * len(heading)}\n")
    assert below, f"there is no heading {heading!r}"
    _, _, block = below.partition(".. code-block:: shell\n\n")
    lines = []
    for line in block.splitlines():
        if line and not line.startswith("   "):
            break
        lines.append(line)
    return textwrap.dedent("\n".join(lines))


def test_an_authority_of_ones_own_signs_what_clients_trust(home: Path, tmp_path: Path) -> None:
    installed("openssl")
    commands = commands_below("An authority of your own").replace("192.168.1.10", "127.0.0.1")
    subprocess.run(["sh", "-euc", commands], cwd=home, check=True, capture_output=True, timeout=PATIENCE)
    daemon = Daemon(home, tmp_path)
    daemon._secure = "ssl:0:interface=127.0.0.1"  # which finds server.pem where it is started
    daemon.certificate = home / "ca.crt"
    daemon.start()
    assert fetch(daemon.tls, "/").status == 403
    trusting = ssl.create_default_context(cafile=str(home / "ca.crt"))
    # As Python has it by default from 3.13 on.
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", daemon.tls.port), PATIENCE) as connection,
        trusting.wrap_socket(connection, server_hostname="s3.home.lan"),
    ):
        pass
    daemon.stop()


def test_the_hook_of_certbot_hands_certificates_to_a_running_daemon(home: Path, tmp_path: Path) -> None:
    renewals = [Issued("s3.example.org", days=days) for days in (30, 90)]
    lineage, directory = tmp_path / "live" / "s3.example.org", tmp_path / "etc" / "tls"
    lineage.mkdir(parents=True)
    directory.parent.mkdir()

    def renew(each: Issued) -> None:
        (lineage / "privkey.pem").write_bytes(each.key_pem)
        (lineage / "fullchain.pem").write_bytes(each.pem)
        group = grp.getgrgid(os.getgid()).gr_name
        variables = {"RENEWED_LINEAGE": str(lineage), "ZS3_TLS": str(directory), "ZS3_GROUP": group}
        command = ["sh", str(DOCS / "certbot-hook.sh")]
        subprocess.run(command, env=isolated_environment(home, **variables), check=True, timeout=PATIENCE)

    renew(renewals[0])
    assert directory.stat().st_mode & 0o777 == 0o750
    assert [(each.name, each.stat().st_mode & 0o777) for each in directory.iterdir()] == [("s3.example.org.pem", 0o640)]
    listen = f"tls:{directory}:port=0:interface=127.0.0.1"
    with running(home, tmp_path / "data", "--listen", listen) as daemon:
        port = port_of(daemon, listen)
        assert shown(port, "s3.example.org") == renewals[0].pem
        renew(renewals[1])
        wait_until_shown(renewals[1], daemon, port, "s3.example.org")
        assert "#warn]" not in daemon.log()


def test_caddy_in_front_leaves_alone_what_clients_sign(tmp_path: Path, daemon: Daemon, bucket: str, run: Run) -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("there is no caddy here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = (DOCS / "Caddyfile").read_text("utf-8")
    assert "s3.example.org {" in told
    told = told.replace("s3.example.org {", f"localhost:{port} {{\n\ttls internal")
    told = told.replace("127.0.0.1:9000", daemon.plain.address)
    settings = (
        f"admin off\n\tskip_install_trust\n\tauto_https disable_redirects\n\tstorage file_system {tmp_path}/caddy"
    )
    (tmp_path / "Caddyfile").write_text(f"{{\n\t{settings}\n}}\n{told}")
    process = subprocess.Popen(
        [caddy, "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
        cwd=tmp_path,
        env=isolated_environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        root = tmp_path / "caddy" / "pki" / "authorities" / "local" / "root.crt"

        def serves() -> bool:
            try:
                with socket.create_connection(("127.0.0.1", port), PATIENCE):
                    return root.exists()
            except ConnectionRefusedError:
                return False

        wait_until(serves, daemon)
        session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
        client = session.client("s3", endpoint_url=f"https://localhost:{port}", verify=str(root))
        with closing(client):
            client.create_bucket(Bucket=bucket)
            body = os.urandom(6_000_000)
            client.put_object(Bucket=bucket, Key="a b/ü+%", Body=body)
            assert client.get_object(Bucket=bucket, Key="a b/ü+%")["Body"].read() == body
            url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b/ü+%"})
        file = tmp_path / "got"
        run(installed("curl"), "--silent", "--show-error", "--fail", "--cacert", root, "--output", file, url)
        assert file.read_bytes() == body
    finally:
        process.terminate()
        process.wait(PATIENCE)
