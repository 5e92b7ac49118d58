"""`zs3 lifecycle`."""

import io
import json
import os

import pytest

from tests.contract.support import Client, fired, open_client
from zs3.cli.main import main
from zs3.lifecycle.ledger import Ledger
from zs3.lifecycle.rules import LIFECYCLE, Lifecycle, Rule, kept

OLD_NS = 1_600_000_000_000_000_000


@pytest.fixture
def data(tmp_path):
    """A data directory with an object that is due in each of two buckets, and one that is not."""
    client: Client = open_client(tmp_path, sync=False)
    for bucket in ("music", "photos"):
        fired(client.store.create_bucket(bucket))
        client.configure(bucket, **{LIFECYCLE: kept(Lifecycle((Rule("a rule", days=1),)))})
        client.put("new", bucket=bucket)
        client.put("old", bucket=bucket)
        os.utime(tmp_path / bucket / "old", ns=(OLD_NS, OLD_NS))
    fired(client.store.stop())
    return tmp_path


def run(*arguments):
    output, errors = io.StringIO(), io.StringIO()
    status = main(["lifecycle", *map(str, arguments)], output, errors)
    return status, output.getvalue(), errors.getvalue()


def objects(data):
    return sorted(str(path.relative_to(data)) for path in data.glob("[a-z]*/*"))


EVERYTHING = ["music/new", "music/old", "photos/new", "photos/old"]


def test_a_dry_run_shows_what_would_be_done_and_touches_nothing(data):
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    status, output, _ = run("--data", data, "--dry-run")
    assert status == 0
    assert output.splitlines() == [
        "would expire music/old (rule 'a rule')",
        "would expire photos/old (rule 'a rule')",
        "2 buckets with rules, 4 versions and uploads: expire 2",
    ]
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_what_is_due_is_done(data):
    status, output, errors = run("--data", data)
    assert (status, errors) == (0, "")
    assert output.splitlines() == [
        "expire music/old (rule 'a rule')",
        "expire photos/old (rule 'a rule')",
        "2 buckets with rules, 4 versions and uploads: expire 2",
    ]
    assert objects(data) == ["music/new", "photos/new"]
    assert run("--data", data)[1] == "2 buckets with rules, 2 versions and uploads: nothing to do\n"


def test_one_bucket_may_be_meant(data):
    assert run("--data", data, "--bucket", "photos")[0] == 0
    assert objects(data) == EVERYTHING[:3]
    assert run("--data", data, "--bucket", "absent") == (1, "", "zs3: The specified bucket does not exist.\n")


def test_json_has_an_object_on_each_line(data):
    status, output, _ = run("--data", data, "--bucket", "photos", "--dry-run", "--json")
    assert status == 0
    assert [json.loads(line) for line in output.splitlines()] == [
        {
            "action": "expire",
            "done": False,
            "rule": "a rule",
            "bucket": "photos",
            "key": "old",
            "version": None,
            "upload": None,
            "size": 4,
            "time": 1_600_000_000,
        },
        {"buckets": 1, "looked_at": 2, "changed": 0, "failed": 0},
    ]


def test_while_a_daemon_is_at_it_nothing_is_done(data):
    ledger = Ledger(str(data))
    assert ledger.acquire()
    status, output, errors = run("--data", data)
    assert (status, output) == (1, "")
    assert errors == "zs3: a daemon is at it just now: try again later\n"
    assert run("--data", data, "--dry-run")[0] == 0
    ledger.release()
    assert objects(data) == EVERYTHING


def test_a_directory_that_no_daemon_serves_is_left_alone(tmp_path):
    status, _, errors = run("--data", tmp_path)
    assert (status, errors) == (1, f"zs3: {tmp_path} is no data directory of a daemon\n")
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_done_is_said(data):
    client = open_client(data, sync=False)
    client.configure("music", **{LIFECYCLE: "damaged"})
    fired(client.store.stop())
    status, output, errors = run("--data", data)
    assert status == 1
    assert output.startswith("expire photos/old")
    assert "1 failed" in output
    assert errors.startswith("zs3: the lifecycle of the bucket music waits: ")
    assert objects(data) == ["music/new", "music/old", "photos/new"]
