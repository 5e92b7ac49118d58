"""The proxies of docs/clustering.rst, with the configurations that are printed there."""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig

from tests import pages
from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Daemon, running

#: What proxies like to change in a path.
KEYS = ("plain", "a//b", "a b+c%d", "ä/ö?x=1&y", "dir/", "x/./y", "q:r;s,t@u=v", "%2F", "tilde~'()*!")
#: Programs of administrators are not in everybody's path.
PATH = os.pathsep.join((os.defpath, "/usr/sbin", "/sbin", "/usr/local/sbin"))


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def printed(caption: str) -> str:
    """A configuration of the page."""
    (block,) = [each for each in pages.blocks(pages.DOCS / "clustering.rst") if each.caption == caption]
    return block.text


@contextmanager
def program(name: str, port: int, directory: Path, *arguments: str) -> Iterator[None]:
    """A proxy that runs for a block; it serves when its port is open."""
    path = shutil.which(name, path=PATH)
    if path is None:
        pytest.skip(f"{name} is not installed")
    with (directory / f"{name}.log").open("wb") as log:
        environment = {"PATH": PATH, "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
        process = subprocess.Popen([path, *arguments], cwd=directory, env=environment, stdout=log, stderr=log)
    ended = os.pidfd_open(process.pid)
    try:
        for _ in range(PATIENCE * 20):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            # Nobody tells when a proxy is ready; that it has ended is told.
            assert not select.select([ended], [], [], 0.05)[0], (directory / f"{name}.log").read_text("utf-8")
        yield
    finally:
        os.close(ended)
        process.terminate()
        process.wait(PATIENCE)


def use(url: str, certificate: Path | None, bucket: str, large_file: Path, tmp_path: Path) -> None:
    """What a client does, through a proxy."""
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    client: Any = session.client("s3", endpoint_url=url, verify=str(certificate) if certificate else None)
    client.create_bucket(Bucket=bucket)
    for key in KEYS:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"name": "value"})
        found = client.get_object(Bucket=bucket, Key=key)
        assert found["Body"].read() == key.encode()
        assert {name.lower(): value for name, value in found["Metadata"].items()} == {"name": "value"}  # Caddy: Name
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert {each["Key"] for each in listed} == set(KEYS)
    in_parts = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=16 << 20)
    client.upload_file(str(large_file), bucket, "large", Config=in_parts)
    client.download_file(bucket, "large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == large_file.read_bytes()
    client.close()


def test_haproxy_passes_on_the_address_of_the_client(tmp_path: Path, bucket: str, large_file: Path) -> None:
    inner, outer = free_port(), free_port()
    configuration = printed("haproxy.cfg").replace("bind :9000", f"bind 127.0.0.1:{outer}")
    # All servers of the page are this one.
    configuration = re.sub(r"192\.168\.\d+\.\d+:9001", f"127.0.0.1:{inner}", configuration)
    (tmp_path / "haproxy.cfg").write_text(configuration, "utf-8")
    behind = f"haproxy:tcp:{inner}:interface=127.0.0.1"
    with (
        running(tmp_path, tmp_path / "data", "--listen", behind) as daemon,
        program("haproxy", outer, tmp_path, "-db", "-f", "haproxy.cfg"),
    ):
        use(f"http://127.0.0.1:{outer}", None, bucket, large_file, tmp_path)
        with socket.socket() as client:
            client.bind(("127.0.0.9", 0))
            client.connect(("127.0.0.1", outer))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while client.recv(4096):
                pass
        assert " 127.0.0.9 - " in daemon.log()


def with_daemon(configuration: str, daemon: Daemon) -> str:
    """A configuration with the daemon's port and certificate in the place of those that are printed."""
    return (
        configuration.replace("127.0.0.1:9000", daemon.plain.address)
        .replace("/etc/zs3/cert.pem", str(daemon.certificate))
        .replace("/etc/zs3/key.pem", str(daemon.certificate.with_name("key.pem")))
    )


def nginx(daemon: Daemon, port: int, directory: Path) -> tuple[str, ...]:
    server = printed("nginx.conf").replace("listen 9443", f"listen 127.0.0.1:{port}")
    server = with_daemon(server, daemon)
    paths = "".join(f"{each}_temp_path {directory};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (directory / "nginx.conf").write_text(
        f"daemon off; pid {directory}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off;\n{paths}{server} }}\n",
        "utf-8",
    )
    return ("-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf"))


def caddy(daemon: Daemon, port: int, directory: Path) -> tuple[str, ...]:
    server = printed("Caddyfile").replace("s3.home.lan:9443", f"127.0.0.1:{port}")
    server = with_daemon(server, daemon)
    only = "{\nadmin off\nauto_https disable_redirects\ndefault_bind 127.0.0.1\n}\n"
    (directory / "Caddyfile").write_text(only + server, "utf-8")
    return ("run", "--adapter", "caddyfile", "--config", "Caddyfile")


@pytest.mark.parametrize("configure", [nginx, caddy])
def test_a_proxy_changes_nothing_that_is_signed(
    configure: Callable[[Daemon, int, Path], tuple[str, ...]],
    daemon: Daemon,
    bucket: str,
    large_file: Path,
    tmp_path: Path,
) -> None:
    port = free_port()
    with program(configure.__name__, port, tmp_path, *configure(daemon, port, tmp_path)):
        use(f"https://127.0.0.1:{port}", daemon.certificate, bucket, large_file, tmp_path)
