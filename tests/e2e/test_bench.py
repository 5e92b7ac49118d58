"""`python -m bench` against a real zs3: its requests are taken, and what it measures is what it says."""

import json
from pathlib import Path

import pytest

from bench import cli, processes
from bench.cases import Delete, List, Put, Read
from bench.copies import Complete, Copy
from bench.loop import Loop
from bench.peers import CLONE, Zs3
from bench.server import Server


@pytest.fixture
def server(tmp_path: Path):
    server = Zs3(str(CLONE), tmp_path / "zs3")
    List("list", "", "flat", lambda: (f"key-{number:06}" for number in range(1500)), ("key-000700",)).plant(server.data)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_signed_requests_of_every_kind_are_answered_rightly(server: Server):
    listing = List("list", "", "flat", lambda: (f"key-{number:06}" for number in range(1500)), ("key-000700",))
    for case in (
        Read("get", "", "GET", 1024),
        Read("head", "", "HEAD", 1024),
        Put("put", "", 1024),
        Delete("delete", "", 10),
        Complete("complete", "", 1),
        Copy("copy", "", 1 << 20),
        listing,
    ):
        case.prepare(server)
        case.check(server)
        work = case.work(server, 2)
        sent = Loop().run(server.address, type(work)(work.heads[:10], work.body, True, work.bodiless), 2, 30)()
        assert (sent.requests, sent.errors) == (min(10, len(work.heads)), 0), case


def test_the_processes_of_a_server_are_measured(server: Server):
    pids = server.pids()
    assert processes.cpu_seconds(pids) > 0
    assert processes.peak_memory(pids) >= processes.memory(pids) > 10_000_000


def test_a_run_leaves_a_report(tmp_path: Path, capsys):
    output = tmp_path / "report"
    arguments = ["--servers", "zs3", "--cases", "head-1k,put-large-tls", "--connections", "2", "--large", "1"]
    status = cli.main(
        [*arguments, "--seconds", "1", "--rounds", "1", "--directory", str(tmp_path), "--output", str(output)]
    )
    assert status == 0
    rows = json.loads((output / "report.json").read_text("utf-8"))["rows"]
    assert [row["case"] for row in rows] == ["head-1k", "put-large-tls"]
    assert all(row["median"]["zs3"]["rate"] > 0 and not row["refused"] for row in rows)
    assert "HEAD 1 KiB" in capsys.readouterr().out
    # matplotlib, where it is installed, keeps something in hidden directories.
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == [output]
