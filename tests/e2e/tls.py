"""What a daemon's TLS endpoints show, and files that take the place of others."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from tests.certificates import Issued
from tests.e2e.daemon import PATIENCE, Daemon
from tests.e2e.workers import wait_until

ANY = ssl.create_default_context()
ANY.check_hostname = False
ANY.verify_mode = ssl.CERT_NONE


def put(path: Path, data: bytes) -> None:
    """Put a file in place of another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(".new")
    temporary.write_bytes(data)
    temporary.rename(path)


def port_of(daemon: Daemon, description: str) -> int:
    found = re.search(rf"listening on \S+:(\d+) \({re.escape(description)}\)$", daemon.log_of_this_run(), re.MULTILINE)
    assert found is not None, daemon.log()
    return int(found[1])


def shown(port: int, name: str | None = None, host: str = "127.0.0.1") -> bytes:
    """The certificate that a new connection is shown, as PEM."""
    with (
        socket.create_connection((host, port), PATIENCE) as connection,
        ANY.wrap_socket(connection, server_hostname=name) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
        assert der is not None
        return ssl.DER_cert_to_PEM_cert(der).encode()


def wait_until_shown(expected: Issued, daemon: Daemon, port: int, name: str | None = None) -> None:
    wait_until(lambda: shown(port, name) == expected.pem, daemon)


def installed(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"there is no {name} here")
    return path
