"""What `proof.cluster` judges by: it finds what is lost, and what is not the same everywhere."""

from __future__ import annotations

from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proof.cluster import balancer, clients
from proof.cluster.gluster import Volume
from tests.e2e.daemon import Endpoint
from tests.e2e.plainhttp import Response
from tests.e2e.test_proxies import printed


class _Server:
    """In place of `Client`: keeps what is put, and forgets what `loses` says."""

    kept: dict[str, bytes] = {}
    loses = ""

    def __init__(self, endpoint: Endpoint) -> None:
        pass

    def __call__(self, method: str, path: str, body: bytes = b"") -> Response:
        status = 200
        if method == "PUT":
            if body.decode() != self.loses:
                self.kept[path] = body
        elif method == "DELETE":
            self.kept.pop(path, None)
            status = 204
        elif path not in self.kept:
            status = 404
        return Response(status, Message(), self.kept.get(path, b"") if method == "GET" else b"")  # type: ignore[arg-type]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("loses", ["", "0 3 "])
def test_a_write_that_was_acknowledged_and_is_not_there_is_found(monkeypatch: pytest.MonkeyPatch, loses: str) -> None:
    monkeypatch.setattr(clients, "Client", _Server)
    monkeypatch.setattr(clients, "_KEYS", 1_000_000)
    monkeypatch.setattr(_Server, "kept", {})
    monkeypatch.setattr(_Server, "loses", loses)
    writers = clients.Writers(balancer.ALL, "bucket", 1)
    with writers:
        while writers.keys < 20:
            pass
    assert not writers.figures().refused
    assert len(writers.wrong([balancer.ALL])) == bool(loses)


def test_what_is_not_the_same_on_all_bricks_is_found(tmp_path: Path) -> None:
    hosts: list[Any] = []
    for number in range(3):
        top = tmp_path / str(number)
        (top / "srv/brick/data/a").mkdir(parents=True)
        (top / "srv/brick/data/a/same").write_text("same")
        hosts.append(SimpleNamespace(path=lambda path, top=top: top / path.relative_to("/")))
    volume = Volume(hosts, {}, "")
    assert volume.differences(Path("data")) == []
    (tmp_path / "1/srv/brick/data/a/same").write_text("other")
    (tmp_path / "2/srv/brick/data/more").write_text("more")
    assert volume.differences(Path("data")) == ["a/same", "more"]


def test_the_printed_balancer_asks_these_hosts() -> None:
    hosts: list[Any] = [SimpleNamespace(number=n, name=f"host{n}", address=f"10.0.0.{n}") for n in (1, 2, 3)]
    text = balancer.configuration(printed("haproxy.cfg"), hosts)
    for host in hosts:
        assert text.count(f" {host.address}:9001") == 1
        assert f"bind 127.0.0.1:{balancer.only(host).port}\n" in text
    assert "192.168" not in text
    with pytest.raises(AssertionError, match="3 servers"):
        balancer.configuration(printed("haproxy.cfg"), hosts[:2])
