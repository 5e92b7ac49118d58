"""`zs3 doctor` as a whole: what it says and in which form, and that it leaves nothing behind."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doctors import failing
from tests.e2e.daemon import program
from zs3.cli.main import main
from zs3.doctor import examination, scratch
from zs3.store import internals

ROOT = Path(__file__).parents[2]


@pytest.fixture
def doctor(data):
    """Runs `zs3 doctor`; gives the exit status, and the findings by check."""

    def run(*arguments):
        output, errors = io.StringIO(), io.StringIO()
        status = main(["doctor", "--data", str(data), "--json", *arguments], output, errors)
        document = json.loads(output.getvalue())
        return status, {each["check"]: each for each in document["findings"]}

    return run


def test_a_disk_that_fails_is_a_problem_and_the_rest_is_probed(doctor, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    status, found = doctor()
    assert status == 1
    assert found["filesystem.fsync"]["verdict"] == "problem"
    assert "Input/output error" in found["filesystem.fsync"]["fact"]
    assert "clock.filesystem" in found


def tree(path):
    return sorted(
        (str(each.relative_to(path)), each.lstat().st_ino, each.lstat().st_ctime_ns) for each in path.rglob("*")
    )


def test_nothing_is_left_behind_before_the_first_start(doctor, data):
    (data / "photos").mkdir()
    before = tree(data)
    doctor()
    assert tree(data) == before


def test_nothing_is_left_behind_where_a_daemon_is(doctor, data):
    for name in (".zs3/tmp", ".zs3/trash", ".uploads", "photos"):
        (data / name).mkdir(parents=True)
    seen = []
    real = scratch._make

    def make(path):
        seen.append(os.path.realpath(os.path.dirname(path)))
        return real(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scratch, "_make", make)
        doctor()
    assert seen == [os.fsencode(data / ".zs3/tmp")]
    assert list((data / ".zs3/tmp").iterdir()) == []


def test_a_link_in_place_of_the_internals_is_not_followed(doctor, data, tmp_path):
    (tmp_path / "planted/tmp").mkdir(parents=True)
    (data / ".zs3").symlink_to(tmp_path / "planted")
    before = tree(tmp_path / "planted")
    doctor()
    assert tree(tmp_path / "planted") == before


def test_what_a_killed_examination_left_goes_with_the_next(doctor, data):
    (data / ".zs3-doctor-dead").mkdir()
    (data / ".zs3-doctor-dead/owner").touch()
    with scratch.made(os.fsencode(data)) as alive:
        doctor()
        assert os.listdir(alive.path) == [b"owner"]
        assert not (data / ".zs3-doctor-dead").exists()


def test_a_starting_daemon_that_takes_it_for_a_dead_ones_is_survived(doctor, data, monkeypatch):
    real, made = os.mkdir, []

    def mkdir(path, *args, **kwargs):
        real(path, *args, **kwargs)
        if os.path.basename(path).startswith(b".zs3-doctor-"):
            made.append(path)
            if len(made) < 3:
                internals.sweep(path)

    monkeypatch.setattr(os, "mkdir", mkdir)
    _, found = doctor()
    assert len(made) == 3
    assert found["filesystem.locks"]["verdict"] == "ok"
    assert list(data.iterdir()) == []


def test_a_directory_that_cannot_be_written_to_is_looked_at(doctor, monkeypatch):
    monkeypatch.setattr(scratch, "_make", failing(errno.EROFS))
    status, found = doctor()
    assert status == 0
    assert found["filesystem.probes"]["verdict"] == "note"
    assert "filesystem.quick-reads" in found
    assert "mount.type" in found
    assert "filesystem.locks" not in found


def test_a_directory_that_may_not_even_be_entered_is_a_problem(doctor, data, monkeypatch):
    real_open, real_lstat, inside = os.open, os.lstat, os.fsencode(data) + b"/"

    def closed(real):
        def call(path, *args, **kwargs):
            name = os.fsencode(os.fspath(path))
            reads = real is real_open and name == inside[:-1] and not args[0] & os.O_PATH
            if reads or name.startswith(inside):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return real(path, *args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", closed(real_open))
        patch.setattr(os, "lstat", closed(real_lstat))
        patch.setattr(os, "access", lambda *_: False)
        status, found = doctor()
    assert status == 1
    assert found["permissions.data"]["verdict"] == "problem"
    for check in ("permissions.internals", "permissions.credentials", "filesystem.probes", "certificate.file"):
        assert found[check]["verdict"] == "note"
    assert "mount.type" in found
    assert "limits.files" in found


def test_a_full_disk_is_a_problem(doctor, monkeypatch):
    monkeypatch.setattr(scratch, "_make", failing(errno.ENOSPC))
    status, found = doctor()
    assert status == 1
    assert "No space left" in found["filesystem.probes"]["fact"]


def test_json_has_every_check_with_what_it_is_worth(data):
    output = io.StringIO()
    status = main(["doctor", "--data", str(data), "--json"], output, io.StringIO())
    document = json.loads(output.getvalue())
    assert list(document) == ["data", "verdict", "counts", "findings"]
    assert document["data"] == str(data)
    assert status == (document["verdict"] == "problem")
    assert sum(document["counts"].values()) == len(document["findings"])
    for each in document["findings"]:
        assert list(each) == ["check", "verdict", "fact", "advice", "values"]
        assert (each["advice"] is None) == (each["verdict"] == "ok")
    expected = {check for check, _ in examination._PROBES}
    assert expected <= {each["check"] for each in document["findings"]}


def test_people_get_a_line_for_each_check_and_what_to_change(data, tmp_path):
    output, errors = io.StringIO(), io.StringIO()
    arguments = ["doctor", "--data", str(data), "--users", str(tmp_path / "missing")]
    assert main(arguments, output, errors) == 1
    lines = output.getvalue().splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("  problem  users ")]
    assert "No such file" in lines[at]
    assert lines[at + 1].lstrip().startswith("-> give --users FILE")
    assert "1 problem" in lines[-1]
    assert errors.getvalue() == "zs3: 1 problem\n"


@pytest.mark.parametrize("arguments", [["--data", "/nonexistent"], [], ["--data", "/", "--key", "x"]])
def test_a_wrong_command_line_is_refused(arguments):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments], io.StringIO(), io.StringIO())
    assert ended.value.code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_nothing_left_behind(data, number):
    process = subprocess.Popen(
        [program("zs3"), "doctor", "--data", str(data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(b"filesystem"):
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == b""
    assert list(data.iterdir()) == []


def test_whoever_stops_listening_leaves_nothing_behind(data):
    findings = examination.examine(str(data))
    for each in findings:
        if each.check == "filesystem.locks":
            break
    assert [path.name[:12] for path in data.iterdir()] == [".zs3-doctor-"]
    findings.close()
    assert list(data.iterdir()) == []


def test_no_reactor_is_loaded_for_it():
    code = "import sys; import zs3.cli.doctor; sys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_manual_has_every_check_and_no_other():
    manual = (ROOT / "docs/doctor.rst").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in (ROOT / "zs3/doctor").glob("*.py"))
    topics = "software|permissions|mount|buckets|filesystem|clock|limits|certificate"
    checks = set(re.findall(rf'"((?:{topics})\.[a-z-]+)"', code))
    assert checks == set(re.findall(rf"^``((?:{topics})\.[a-z-]+)``", manual, re.MULTILINE))
