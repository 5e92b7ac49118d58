"""haproxy before the hosts, as docs/clustering.rst configures it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from proof.cluster.hosts import Host
from tests.e2e.daemon import Endpoint
from tests.e2e.test_proxies import PATH, printed

#: Where clients find all hosts, and where the first one alone; the others follow.
_PORT, _FIRST = 9000, 9011
_BEHIND, _DIRECT = 9001, 9002
#: What a daemon listens on.
LISTEN = (f"haproxy:tcp:{_BEHIND}:interface={{0}}", f"tcp:{_DIRECT}:interface={{0}}")

ALL = Endpoint(_PORT)


def only(host: Host) -> Endpoint:
    """Where clients find one host: the tests' ones know no address but 127.0.0.1."""
    return Endpoint(_FIRST + host.number - 1)


def configuration(printed: str, hosts: Sequence[Host]) -> str:
    """The one of the page with the addresses of these hosts, and a port for each alone."""
    addresses = iter(host.address for host in hosts)
    text, count = re.subn(r"(?m)^( +server \w+ )[\d.]+:", lambda found: f"{found[1]}{next(addresses, None)}:", printed)
    assert count == len(hosts), f"{count} servers are printed"
    assert "bind :9000\n" in text
    text = text.replace("bind :9000\n", f"bind 127.0.0.1:{_PORT}\n")
    for host in hosts:
        text += f"\nlisten {host.name}\n    bind 127.0.0.1:{only(host).port}\n    server it {host.address}:{_DIRECT}\n"
    return text


class Balancer:
    """It, as long as it is entered."""

    def __init__(self, hosts: Sequence[Host], home: Path) -> None:
        self._file = home / "haproxy.cfg"
        self._file.write_text(configuration(printed("haproxy.cfg"), hosts), "utf-8")
        self._log = home / "haproxy.log"

    def __enter__(self) -> None:
        path = shutil.which("haproxy", path=PATH)
        assert path is not None, "haproxy is not installed"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([path, "-db", "-f", self._file], stdout=log, stderr=log)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
