"""The units in `systemd/`, as far as they can be tried without systemd."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zs3.cli.main import make_parser

UNITS = Path(__file__).parents[2] / "systemd"


def settings(name):
    lines = (UNITS / name).read_text("utf-8").replace("\\\n", "").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_command_that_verifies_is_understood():
    values = dict(line.split("=", 1) for line in settings("zs3-verify.service") if "=" in line)
    data = values["Environment"].partition("=")[2]
    program, *arguments = shlex.split(values["ExecStart"].replace("${ZS3_DATA}", data))
    assert program == "/opt/zs3/bin/zs3"
    options = make_parser().parse_args(arguments)
    assert options.data == data == "/var/lib/zs3"


def test_the_access_log_that_is_rotated_is_where_the_daemon_may_write():
    rotated = (UNITS.parent / "packaging" / "logrotate").read_text("utf-8")
    directory = re.search(r"^/var/log/(\S+)/\*\.log \{$", rotated, re.MULTILINE)[1]
    assert f"LogsDirectory={directory}" in settings("zs3.service")


def test_verifying_is_sandboxed_as_the_daemon_is():
    about = re.compile(
        "(Protect|Private|Restrict|SystemCall|Capability|Ambient|Lock|Memory|NoNew|Proc|Remove|UMask|State)"
    )
    daemon, verify = (
        {line for line in settings(name) if about.match(line)} for name in ("zs3.service", "zs3-verify.service")
    )
    # It has no notification to send.
    assert daemon ^ verify == {"RestrictAddressFamilies=AF_UNIX", "RestrictAddressFamilies=none"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_finds_no_fault_with_the_units_that_verify(tmp_path):
    for name in ("zs3-verify.service", "zs3-verify.timer"):
        # It looks for the program, too.
        text = (UNITS / name).read_text("utf-8").replace("/opt/zs3/bin/zs3", sys.executable)
        (tmp_path / name).write_text(text)
    command = ["systemd-analyze", "verify", tmp_path / "zs3-verify.service", tmp_path / "zs3-verify.timer"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
