"""Lines of the access log, and where they go."""

import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs3.web import accesslog
from zs3.web.accesslog import AccessLog, RequestLog, json_line, text_line

WHEN = 1_767_225_599_007_999_999  # 2025-12-31T23:59:59.007999999Z
ANY_TEXT = st.text(st.characters(), max_size=20)  # lone surrogates too


def request(**changes):
    return RequestLog(
        **{
            "operation": "PutObject",
            "bucket": "photos",
            "key": "2024/cat.jpg",
            "access_key": "ALICE",
            "bytes_in": 12345,
            "bytes_out": 0,
            "error": "",
            **changes,
        }
    )


def text(log):
    return text_line(log, WHEN, "192.0.2.1", 200, 0.0123456, "4F2A")


def record(log, entry):
    log.record(entry, received_ns=WHEN, remote="192.0.2.1", status=200, seconds=0.5, request_id="4F2A")


def test_text_line_has_all_fields_in_order():
    assert text(request()) == (
        '2025-12-31T23:59:59.007Z 192.0.2.1 ALICE PutObject "photos/2024/cat.jpg" 200 - 12345 0 0.012346 4F2A\n'
    )


def test_absent_fields_of_a_text_line_are_hyphens():
    assert text_line(RequestLog(error="AccessDenied"), WHEN, "", 403, 1, "4F2A") == (
        '2025-12-31T23:59:59.007Z - - - "" 403 AccessDenied 0 0 1.000000 4F2A\n'
    )


def test_json_line_has_all_fields():
    line = json_line(request(error="SlowDown"), WHEN, "::1", 503, 0.0123456, "4F2A")
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "time": "2025-12-31T23:59:59.007Z",
        "remote": "::1",
        "access_key": "ALICE",
        "operation": "PutObject",
        "bucket": "photos",
        "key": "2024/cat.jpg",
        "status": 503,
        "error": "SlowDown",
        "reason": "",
        "bytes_in": 12345,
        "bytes_out": 0,
        "seconds": 0.012346,
        "request_id": "4F2A",
    }


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ('a" 200 - 0 0 0.1 4F2A\n2025 forged', r"a\" 200 - 0 0 0.1 4F2A\u000a2025 forged"),
        ("back\\slash\\", r"back\\slash\\"),
        ("tab\tescape\x1b[31m\x00", r"tab\u0009escape\u001b[31m\u0000"),
        ("next\x85line\u2028paragraph\u2029", r"next\u0085line\u2028paragraph\u2029"),
        ("right\u202eto left", r"right\u202eto left"),
        ("lone \udc80", r"lone \udc80"),
        ("language tag \U000e0001", r"language tag \U000e0001"),
        ("Käse 日本 🐈", "Käse 日本 🐈"),
    ],
)
def test_key_cannot_end_its_field_or_the_line(key, shown):
    assert f' "photos/{shown}" 200 - ' in text(request(key=key))


@pytest.mark.parametrize("access_key", ["A B", 'A"B', "A\nB", "Ä"])
def test_unusual_access_key_is_quoted(access_key):
    assert f' "{accesslog.escape(access_key)}" PutObject ' in text(request(access_key=access_key))


FIELDS = re.compile(
    r'\S+Z 192\.0\.2\.1 (?:"(?:[^"\\]|\\.)*"|[^\s"]+) PutObject "(?:[^"\\]|\\.)*" 200 - 12345 0 0\.012346 4F2A\n'
)


@given(bucket=ANY_TEXT, key=ANY_TEXT, access_key=ANY_TEXT)
def test_whatever_a_client_sends_stays_one_line_of_the_same_fields(bucket, key, access_key):
    entry = request(bucket=bucket, key=key, access_key=access_key)
    line = text(entry)
    assert len(line.encode("utf-8").decode("utf-8").splitlines()) == 1
    assert FIELDS.fullmatch(line)
    line = json_line(entry, WHEN, "", 200, 0, "4F2A")
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert [json.loads(line)[each] for each in ("bucket", "key", "access_key")] == [bucket, key, access_key]


def test_lines_are_appended_to_the_file(tmp_path):
    (tmp_path / "log").write_text("before\n")
    log = AccessLog(str(tmp_path / "log"))
    log.open()
    record(log, request())
    record(log, request(key="Käse"))
    log.close()
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "before"
    assert ["photos/2024/cat.jpg" in lines[1], "photos/Käse" in lines[2], len(lines)] == [True, True, 3]


def test_ipv4_client_of_an_ipv6_socket_is_logged_by_its_ipv4_address(tmp_path):
    log = AccessLog(str(tmp_path / "log"))
    log.open()
    for remote in ("::ffff:192.0.2.1", "2001:db8::1"):
        log.record(request(), received_ns=WHEN, remote=remote, status=200, seconds=0.5, request_id="4F2A")
    log.close()
    assert [line.split()[1] for line in (tmp_path / "log").read_text().splitlines()] == ["192.0.2.1", "2001:db8::1"]


def test_form_json_writes_json(tmp_path):
    log = AccessLog(str(tmp_path / "log"), "json")
    log.open()
    record(log, request())
    log.close()
    assert json.loads((tmp_path / "log").read_text())["operation"] == "PutObject"


def test_file_is_not_for_everybody(tmp_path):
    old = os.umask(0)
    try:
        log = AccessLog(str(tmp_path / "log"))
        log.open()
        log.close()
    finally:
        os.umask(old)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


def test_open_again_goes_on_in_the_new_file_of_that_name(tmp_path):
    log = AccessLog(str(tmp_path / "log"))
    log.open()
    record(log, request(key="first"))
    (tmp_path / "log").rename(tmp_path / "log.1")
    record(log, request(key="second"))
    log.open()
    record(log, request(key="third"))
    log.close()
    assert (tmp_path / "log.1").read_text().count("\n") == 2
    assert "third" in (tmp_path / "log").read_text()


def test_failure_to_open_again_keeps_the_old_file(tmp_path):
    log = AccessLog(str(tmp_path / "dir" / "log"))
    (tmp_path / "dir").mkdir()
    log.open()
    (tmp_path / "dir").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        log.open()
    record(log, request())
    log.close()
    assert (tmp_path / "away" / "log").read_text().count("\n") == 1


def test_hyphen_is_standard_output_and_close_leaves_that_open(capfd):
    log = AccessLog("-")
    log.open()
    record(log, request())
    log.close()
    record(log, request())
    os.write(1, b"still open\n")
    assert capfd.readouterr().out == text_line(request(), WHEN, "192.0.2.1", 200, 0.5, "4F2A") + "still open\n"


def test_off_writes_nothing(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = AccessLog("off")
    log.open()
    record(log, request())
    log.close()
    assert capfd.readouterr().out == ""
    assert os.listdir(tmp_path) == []


def test_lost_lines_fail_nothing_and_are_reported_once(tmp_path, monkeypatch, logged):
    log = AccessLog(str(tmp_path / "log"))
    log.open()

    def full(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for _ in range(3):
            record(log, request())
    assert [("No space left" in each) for each in logged()] == [True]
    record(log, request())
    log.close()
    assert "3 lines are missing" in logged()[1]
    assert (tmp_path / "log").read_text().count("\n") == 1
