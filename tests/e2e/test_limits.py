"""How much one address may have of a real daemon, and what others have meanwhile."""

from __future__ import annotations

from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.e2e.daemon import METRICS, Daemon, Endpoint, running
from tests.e2e.plainhttp import connect, fetch
from tests.e2e.signed import Client, code
from tests.e2e.workers import wait_until
from tests.load.floods import COUNTED, flood
from tests.scrape import Scrape


def admitted(endpoint: Endpoint, source: str) -> HTTPConnection | None:
    """A connection that has had an answer; None if it is closed before anything is said on it."""
    made = connect(endpoint, source)
    try:
        made.request("GET", "/-/live")
        made.getresponse().read()
    except (OSError, HTTPException):
        made.close()
        return None
    return made


def is_refused(endpoint: Endpoint, source: str) -> bool:
    made = admitted(endpoint, source)
    if made is not None:
        made.close()
    return made is None


def refused(daemon: Daemon, limit: str) -> float:
    text = fetch(daemon.metrics, "/metrics").body.decode()
    return Scrape(text)("zs3_refused_total", limit=limit)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_has_no_more_connections_than_it_may(tmp_path: Path, workers: str, secure: bool) -> None:
    limits = (*COUNTED, "--address-connections", "3", "--workers", workers, "--metrics", METRICS)
    with running(tmp_path, tmp_path / "data", *limits) as daemon, ExitStack() as connections:
        endpoint = daemon.tls if secure else daemon.plain
        held = 0
        while (made := admitted(endpoint, "127.0.0.2")) is not None:
            connections.enter_context(closing(made))
            held += 1
        # Each worker counts for itself, and which of them takes a connection is not known.
        assert 3 <= held <= 3 * int(workers)
        assert not is_refused(endpoint, "127.0.0.3")
        with closing(Client(endpoint, "127.0.0.3")) as other:
            assert other("GET", "/").status == 200
        assert refused(daemon, "connections_per_address") >= 1
        connections.close()
        wait_until(lambda: not is_refused(endpoint, "127.0.0.2"), daemon)
        assert "127.0.0.2 was refused for the limit of connections per address" in daemon.log()


def test_who_asks_too_often_is_told_to_slow_down_and_others_are_not(tmp_path: Path) -> None:
    limits = (*COUNTED, "--address-requests", "0.1:1", "--metrics", METRICS)
    with running(tmp_path, tmp_path / "data", *limits) as daemon:
        with closing(Client(daemon.plain, "127.0.0.2")) as greedy:
            # The connection has counted as one.
            answer = greedy("GET", "/")
            assert (answer.status, code(answer)) == (503, "SlowDown")
        assert refused(daemon, "requests_per_address") == 1
        assert "127.0.0.2 was refused for the limit of requests per address" in daemon.log()


def test_a_flood_takes_what_one_address_may_have_and_no_more(tmp_path: Path) -> None:
    limits = (*COUNTED, "--address-connections", "10", "--access-log", "off", "--metrics", METRICS)
    with (
        running(tmp_path, tmp_path / "data", *limits) as daemon,
        closing(Client(daemon.plain)) as honest,
        flood("heads that drip", daemon.plain, daemon.tls, share=0.05),
    ):
        wait_until(lambda: refused(daemon, "connections_per_address") >= 60, daemon)
        for _ in range(20):
            assert honest("GET", "/").status == 200
        assert Scrape(fetch(daemon.metrics, "/metrics").body.decode())("zs3_connections") <= 41
