"""The harness of `proof.soak`, `proof.connections` and `proof.uploads` for seconds, and that it sees what is wrong."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon, running
from tests.e2e.signed import Client as Connection
from tests.load.client import PLAIN, Client
from tests.load.crowd import Crowd
from tests.load.growth import MIB, Life, Sample, sample
from tests.load.soak import Soak, verdict
from tests.load.tally import Body, Gate, Tally
from tests.load.uploads import Upload, send, wrong_bytes
from tests.load.work import put_as


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose descriptors nobody else uses, with a bucket."""
    home = tmp_path_factory.mktemp("load")
    with running(home, home / "data") as daemon:
        (daemon.data / "bucket").mkdir()
        (daemon.data / "bucket" / "key").write_bytes(b"1")
        yield daemon


def test_a_short_soak_with_a_kill_sees_nothing_wrong(tmp_path: Path) -> None:
    soak = Soak(tmp_path, "--sync", "off", clients=4, rate=200)
    with soak.running():
        soak.watch(1, interval=0.2, reload_every=0.5)
        soak.restart("KILL")
        soak.watch(1, interval=0.2)
        left = soak.finish(0)
    assert verdict(soak) == []
    assert (left.temporary, left.trash) == (0, 0)
    assert [life.end for life in soak.lives] == ["KILL", "TERM"]
    assert all(life.samples for life in soak.lives)
    assert len(soak.tally.done) > 15


def test_a_client_does_not_take_a_connection_of_one_life_into_the_next(own: Daemon) -> None:
    gate = Gate()
    gate.open([own.plain])
    client = Client(0, 1, gate, Tally())
    assert client.ask("GET", "/bucket/key").status == 200
    gate.close()
    # Another port than that of the first life.
    gate.open([own.tls])
    assert client.endpoint() == own.tls
    assert client._connection is None
    client.close()


def test_a_soak_sees_a_wrong_byte(tmp_path: Path) -> None:
    soak = Soak(tmp_path, "--sync", "off", "--no-watch", clients=0, bare=True)
    with soak.running():
        client = Client(0, 1, soak.gate, soak.tally)
        body = client.new_body(1000, 1000)
        put_as(client, f"{client.prefix}one", body)
        path = soak.data / PLAIN / client.prefix / "one"
        status = path.stat()
        with path.open("r+b") as file:
            file.seek(500)
            file.write(bytes([body.bytes()[500] ^ 1]))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        client.verify()
        client.close()
    assert f"GET {client.prefix}one" in soak.tally.violations[0]


@pytest.mark.parametrize(
    ("what", "grows", "expected"),
    [
        ("nothing", lambda _: {}, []),
        ("memory", lambda share: {"memory": (80 + 10 * share) * MIB}, ["memory"]),
        ("fds", lambda share: {"fds": int(50 + 60 * share)}, ["fds"]),
        ("threads", lambda share: {"threads": int(20 + 60 * share)}, ["threads"]),
    ],
)
def test_growth_over_half_an_hour_is_seen(what: str, grows: object, expected: list[str]) -> None:
    chance = random.Random(1)
    life = Life()
    for turn in range(360):
        held = {"memory": (80 + chance.random()) * MIB, "fds": chance.randint(45, 55), "threads": 20}
        held |= grows(turn / 360)  # type: ignore[operator]
        life.samples.append(Sample(turn * 5.0, held["memory"], int(held["fds"]), int(held["threads"])))
    assert [each.split()[0] for each in life.growth()] == expected
    assert (life.slope("memory") > 15 * MIB) == (what == "memory")
    assert Life(life.samples[:100]).growth() == []


def test_connections_that_wait_are_given_back(own: Daemon) -> None:
    before = sample([own.pid])
    crowd = Crowd(own.plain, "/bucket/key")
    crowd.come(200)
    full = sample([own.pid])
    crowd.go()
    assert before is not None
    assert full is not None
    assert crowd.errors == []
    assert full.fds - before.fds >= 200
    # The daemon has seen all that ended before what came after them.
    client = Connection(own.plain)
    for _ in range(20):
        client("GET", "/bucket/key")
    client.close()
    after = sample([own.pid])
    assert after is not None
    assert after.fds <= before.fds + 5


def test_uploads_at_once_are_all_taken_or_slowed_down(own: Daemon) -> None:
    uploads = [Upload(f"/bucket/uploads/{turn}", Body(f"upload {turn}", 3 * 65_536 - turn)) for turn in range(60)]
    outcome = send(own.plain, uploads, lambda: True)
    assert set(outcome.codes) <= {"", "SlowDown"}
    client = Connection(own.plain)

    def read(path: str) -> tuple[int, bytes]:
        answer = client("GET", path)
        return answer.status, answer.body

    assert wrong_bytes(read, uploads) == []
    victim = own.data / "bucket" / "uploads" / "7"
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    (wrong,) = wrong_bytes(read, uploads)
    assert wrong.startswith("/bucket/uploads/7: 200")
    client.close()
