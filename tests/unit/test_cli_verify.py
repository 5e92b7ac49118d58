"""`zs3 verify`: what it prints, how it ends, and that a run which was stopped is gone on with."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.support import Body, Client, fired, open_client
from tests.verifying import rot, verify
from zs3.cli import verify as command
from zs3.cli.main import main
from zs3.store.values import Attributes
from zs3.verify import run as runs
from zs3.verify.findings import Finding, Tally, Verdict
from zs3.verify.ledger import Ledger, Position, Progress, Selection
from zs3.verify.reading import Throttle
from zs3.verify.run import Run

BUCKETS = ("music", "photos")
KEYS = ("1", "2", "3", "4")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with four objects in each of two buckets."""
    client: Client = open_client(tmp_path, sync=False)
    for bucket in BUCKETS:
        fired(client.store.create_bucket(bucket))
        for key in KEYS:
            client.put(key, b"content", bucket=bucket)
    fired(client.store.stop())
    return tmp_path


def run(data: Path, *arguments: str) -> tuple[int, str, str]:
    output, errors = io.StringIO(), io.StringIO()
    status = main(["verify", "--data", str(data), *arguments], output, errors)
    return status, output.getvalue(), errors.getvalue()


def run_json(data: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """The exit status, the findings, and the last line."""
    status, output, errors = run(data, "--json", *arguments)
    assert errors == ""
    *lines, last = map(json.loads, output.splitlines())
    return status, lines, last


def stop_after(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let a run be stopped, as a signal does it, when so many files were read."""
    left = number
    real = Throttle.spend

    def spend(self: Throttle, size: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            signal.raise_signal(signal.SIGINT)
        real(self, size)

    monkeypatch.setattr(Throttle, "spend", spend)


def test_all_is_well(data: Path) -> None:
    status, output, errors = run(data)
    assert (status, errors) == (0, "")
    assert output.startswith("8 files, 0.0 MiB in ")
    assert output.endswith(" s: 8 as stored\n")


def test_damage_is_told_and_is_the_exit_status(data: Path) -> None:
    rot(data / "photos/2")
    (data / "music/odd\x01name").write_bytes(b"x")
    client = open_client(data)
    client.put("odd\x7fname", b"content", bucket="music")
    rot(data / "music/odd\x7fname")
    fired(client.store.stop())
    status, output, errors = run(data)
    assert (status, errors) == (1, "")
    assert output.splitlines()[1:3] == [
        "damaged music/odd?name: the content differs, though size and time are as recorded (ETag differs)",
        "damaged photos/2: the content differs, though size and time are as recorded (ETag differs)",
    ]
    assert output.splitlines()[0] == "invisible music/odd?name: the name stands for no key: it is not served"
    assert output.splitlines()[3].endswith(" s: 7 as stored, 2 damaged, 1 not served")


def test_json_has_an_object_on_each_line(data: Path) -> None:
    rot(data / "photos/2")
    (data / "photos/theirs").write_bytes(b"x")
    os.utime(data / "photos/theirs", ns=(1001, 1001))
    status, found, last = run_json(data)
    assert status == 1
    assert found == [
        {
            "verdict": "damaged",
            "path": "photos/2",
            "bucket": "photos",
            "key": "2",
            "version": None,
            "upload": None,
            "part": None,
            "size": 7,
            "mtime_ns": (data / "photos/2").stat().st_mtime_ns,
            "differs": ["ETag"],
            "agrees": [],
            "parts": [],
            "locked": False,
            "adopted": False,
            "reason": None,
        },
        found[1],
    ]
    assert (found[1]["verdict"], found[1]["path"], found[1]["mtime_ns"]) == ("foreign", "photos/theirs", 1001)
    seconds = last.pop("seconds")
    assert seconds >= 0
    verdicts = {"ok": 7, "damaged": 1, "metadata-lost": 0, "edited": 0, "foreign": 1, "unverifiable": 0}
    verdicts |= {"unreadable": 0, "changing": 0, "invisible": 0}
    assert last == {
        "summary": {"files": 9, "bytes": 57, "verdicts": verdicts, "wrong": 1, "adopted": 0},
        "complete": True,
        "resumed": False,
        "noted": True,
        "status": 1,
    }


def test_what_cannot_be_read_is_another_exit_status(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv
    bad = (data / "music/3").stat().st_ino

    def fail(fd: int, buffers: Any, offset: int) -> int:
        if os.fstat(fd).st_ino == bad:
            raise OSError(5, "Input/output error")
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", fail)
    status, output, _ = run(data)
    assert status == 3
    assert output.splitlines()[0] == "unreadable music/3: it cannot be read (Input/output error at byte 0)"
    assert output.splitlines()[1].endswith(" s: 7 as stored, 1 unreadable")
    rot(data / "photos/1")
    assert run(data)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent"], "zs3: The specified bucket does not exist.\n"),
        (["--data", "/dev"], "zs3: /dev is no data directory of a daemon\n"),
    ],
)
def test_what_is_not_there_cannot_be_verified(data: Path, arguments: list[str], said: str) -> None:
    assert run(data, *arguments) == (3, "", said)


@pytest.mark.parametrize("arguments", [["--rate", "0"], ["--rate", "fast"], ["--rate", "nan"]])
def test_a_wrong_command_line_is_refused(data: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(data, *arguments)
    assert caught.value.code == 2
    assert "usage: zs3 verify" in capsys.readouterr().err


def test_a_rate_is_kept(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    class Slow(Throttle):
        def __init__(self, rate: float | None, *arguments: Any) -> None:
            super().__init__(rate, *arguments, now=lambda: sum(slept), sleep=slept.append)

    monkeypatch.setattr(command, "Throttle", Slow)
    # 56 bytes, at about one in each second
    assert run(data, "--rate", str(1 / (1 << 20)))[0] == 0
    assert sum(slept) == pytest.approx(56)


# Stopped, and gone on with


def test_a_run_that_was_stopped_is_gone_on_with(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rot(data / "music/2")
    handler = signal.getsignal(signal.SIGINT)  # a shell in the background has it ignored
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        status, found, last = run_json(data)
    # 1, 2 and 2 again to be sure, 3, 4, and in the other bucket 1
    assert (status, last["complete"], last["summary"]["files"]) == (1, False, 4)
    assert [each["path"] for each in found] == ["music/2"]
    assert signal.getsignal(signal.SIGINT) is handler
    read: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(Throttle, "spend", lambda _, size: read.append(size))
        status, found, last = run_json(data)
    # What was found before is not lost, and told again.
    assert (status, last["complete"], last["resumed"]) == (1, True, True)
    assert [each["path"] for each in found] == ["music/2"]
    assert (last["summary"]["files"], last["summary"]["verdicts"]["ok"], last["summary"]["wrong"]) == (8, 7, 1)
    assert len(read) == 4
    # It was ended: the next one begins anew.
    assert run_json(data)[2]["resumed"] is False
    assert not (data / ".zs3/verify.json").exists()


@pytest.mark.parametrize("number", range(1, 9))
def test_wherever_it_is_stopped_nothing_is_lost_nor_told_twice(
    data: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    client = open_client(data, sync=False)
    client.configure("photos", versioning="Enabled")
    for text in (b"second", b"third"):
        client.put("2", text, bucket="photos")
    created = client.store.create_upload(
        "photos", "upload", attributes=Attributes(), checksum_algorithm="", checksum_type=""
    )
    upload = fired(created)
    for part in (1, 2):
        writer = client.store.put_part("photos", "upload", upload.upload_id, part, Body(), length=4)
        fired(writer.write(b"part"))
        fired(writer.commit())
    fired(client.store.stop())
    Path(os.fsdecode(os.fsencode(data) + b"/photos/\xff")).touch()
    (data / "music/theirs").write_bytes(b"x")
    _, expected, whole = run_json(data)
    assert whole["summary"]["files"] == 13
    stops = 0
    seen: list[dict[str, Any]] = []
    while True:
        with monkeypatch.context() as patch:
            stop_after(patch, number)
            _, found, last = run_json(data)
        seen += found
        if last["complete"]:
            break
        stops += 1
        if stops > 30:
            # Fewer files than the largest key has: it never comes further, as is told of very large files.
            assert number < 4
            return
    assert last["summary"] == whole["summary"]
    assert {each["path"] for each in seen} == {each["path"] for each in expected}


def test_what_cannot_be_listed_is_counted_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "loop").symlink_to("loop")
    found: list[Finding] = []
    measured = Run(str(data), Selection(), throttle=Throttle(), report=found.append)
    measured.measure()
    measured.make()
    assert [each.verdict for each in found] == [Verdict.UNREADABLE]
    assert measured.tally.verdicts[Verdict.UNREADABLE] == 1
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        assert run_json(data)[0] == 3
    status, again, last = run_json(data)
    assert (status, last["resumed"], last["summary"]["verdicts"]["unreadable"]) == (3, True, 1)
    assert [each["verdict"] for each in again] == ["unreadable"]


def test_a_restart_begins_anew(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        status, output, _ = run(data)
    assert status == 3
    assert output.startswith("stopped, and the same command goes on from there: 5 files, ")
    status, output, _ = run(data, "--restart")
    assert (status, output.startswith("8 files")) == (0, True)


def test_another_selection_is_another_run(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        run(data)
    status, output, _ = run(data, "photos")
    assert (status, output.startswith("4 files")) == (0, True)
    status, output, _ = run(data)
    assert output.startswith("going on where the last run was stopped\n8 files")


def test_how_far_it_has_come_is_noted_while_it_runs(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kill -9` takes five seconds at most."""
    ledger, noted, time = Ledger(os.fsencode(data)), [], [0.0]
    real = Ledger.write

    def write(self: Ledger, selection: Selection, progress: Progress | None) -> None:
        real(self, selection, progress)
        found = self.read(selection)
        noted.append(found.position.key if found else None)

    monkeypatch.setattr(Ledger, "write", write)

    def pass_time(_: int) -> None:
        time[0] += 3.0

    verify(data, "photos", ledger=ledger, progressed=pass_time, now=lambda: time[0])
    assert noted == ["2", "4", None]


def test_a_ledger_keeps_what_it_is_given(data: Path) -> None:
    ledger = Ledger(os.fsencode(data))
    finding = Finding(Verdict.DAMAGED, "a/\udcff", "a", "k", "v", "u", 3, 4, 5, ("ETag",), ("CRC32",), (1, 2), True)
    tally = Tally()
    tally.add(finding)
    tally.add(Finding(Verdict.OK, "b", "a", size=10))
    progress = Progress(Position("a", "k", True, "u"), tally, 2.5)
    selection = Selection(("a", "b"), "prefix", True)
    ledger.write(selection, progress)
    assert ledger.read(selection) == progress
    assert ledger.read(Selection()) is None
    for number in range(10):
        ledger.write(Selection(prefix=str(number)), progress)
    assert ledger.read(selection) is None
    assert ledger.read(Selection(prefix="9")) == progress


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '[{"selection": {}}]', '[{"selection": {"odd": 1}}]', "null"])
def test_a_damaged_ledger_is_none(data: Path, text: str) -> None:
    (data / ".zs3/verify.json").write_text(text)
    status, output, _ = run(data)
    assert (status, output.startswith("8 files")) == (0, True)


# Who else is there


def test_two_do_not_verify_one_directory(data: Path) -> None:
    ledger = Ledger(os.fsencode(data))
    assert ledger.acquire()
    assert run(data) == (3, "", "zs3: another zs3 verify is at it: try again later\n")
    ledger.release()
    assert run(data)[0] == 0


def refuse_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(runs.Buckets, "naming", refuse)
    monkeypatch.setattr("zs3.store.internals.Internals.open_lock", refuse)
    monkeypatch.setattr("zs3.store.internals.Internals.write_file", refuse)
    monkeypatch.setattr("zs3.store.internals.Internals.make_directory", refuse)


def test_who_may_only_read_gets_a_report(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_write(monkeypatch)
    rot(data / "photos/2")
    status, found, last = run_json(data)
    assert (status, [each["path"] for each in found], last["noted"]) == (1, ["photos/2"], False)
    assert run(data, "--adopt") == (3, "", "zs3: --adopt needs the right to write to the data directory\n")


def test_root_adopts_nothing_where_the_daemon_is_another_user(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = (data / ".zs3").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    real = os.stat

    def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        found = real(path, *arguments, **options)
        if path == f"{data}/.zs3":
            found = os.stat_result((*found[:4], 1234, *found[5:10]))
        return found

    if owner == 0:
        monkeypatch.setattr(os, "stat", stat)
        owner = 1234
    said = f"zs3: --adopt must be run as the user that the daemon runs as: sudo -u '#{owner}' zs3 verify ...\n"
    assert run(data, "--adopt") == (3, "", said)
    status, _, last = run_json(data)
    assert (status, last["noted"]) == (0, False)
    assert not (data / ".zs3/verify.lock").exists()


def test_adopting_shows_how_many(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zs3.verify.check.YOUNG_NS", -(10**12))
    (data / "photos/theirs").write_bytes(b"x")
    os.utime(data / "photos/theirs", ns=(1001, 1001))
    status, output, _ = run(data, "--adopt")
    assert (status, output.endswith(" s: 8 as stored, 1 from outside; 1 adopted\n")) == (0, True)
    assert run_json(data, "--adopt")[2]["summary"]["verdicts"]["ok"] == 9


def test_what_was_not_adopted_is_told(data: Path) -> None:
    (data / "photos/theirs").write_bytes(b"x")
    (data / "photos/2").write_bytes(b"y")
    output = run(data, "--adopt")[1]
    assert output.splitlines()[:2] == [
        "edited photos/2: another program changed it after it was stored (not adopted: it was changed just now)",
        "foreign photos/theirs: not adopted: it was changed just now",
    ]


# The progress bar


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a terminal; the second is what a program has."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (25, 80))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def run_in(data: Path, errors: int, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-c", "import sys; from zs3.cli.main import run; sys.exit(run())"]
    return subprocess.run(
        [*program, "verify", "--data", str(data), *arguments], stdout=subprocess.PIPE, stderr=errors, check=False
    )


def read_all(fd: int) -> bytes:
    text = b""
    while select.select([fd], [], [], 0)[0]:
        text += os.read(fd, 65536)
    return text


def test_on_a_terminal_there_is_a_progress_bar(data: Path, terminal: tuple[int, int]) -> None:
    rot(data / "photos/2")
    done = run_in(data, terminal[1])
    assert done.returncode == 1
    assert done.stdout.startswith(b"damaged photos/2: ")
    text = read_all(terminal[0])
    assert b"0.00/56.0" in text
    # What is damaged was read twice.
    assert b"100%" in text
    assert b"63.0/63.0" in text


def test_a_progress_bar_may_be_declined(data: Path, terminal: tuple[int, int]) -> None:
    assert run_in(data, terminal[1], "--no-progress").returncode == 0
    assert read_all(terminal[0]) == b""


def test_in_a_pipe_there_is_no_progress_bar(data: Path) -> None:
    assert run_in(data, subprocess.PIPE).stderr == b""
