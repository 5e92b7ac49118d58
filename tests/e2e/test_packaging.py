"""What packagers get: the units of systemd, the files for /etc, the container file, a Debian package."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.e2e.daemon import PATIENCE, Daemon, Endpoint, program, running
from tests.e2e.plainhttp import fetch
from tests.e2e.test_workers_start import AS_SYSTEMD
from tests.pages import REPOSITORY

PATH = os.pathsep.join((os.defpath, "/usr/sbin", "/sbin"))
SERVICE = (REPOSITORY / "systemd" / "zs3.service").read_text("utf-8")
CONTAINERFILE = (REPOSITORY / "Containerfile").read_text("utf-8")


def tool(name: str) -> str:
    path = shutil.which(name, path=PATH)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def command_line() -> list[str]:
    """What the unit starts, as written."""
    found = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", SERVICE, re.MULTILINE)
    assert found is not None
    return shlex.split(found[1].replace("\\\n", " "))


def test_the_command_of_the_unit_serves_the_socket_that_systemd_passes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    users = tmp_path / "users"
    users.write_text('[users.ann]\naccess_key = "ANN"\nsecret_key = "a-long-secret"\nrole = "admin"\n', "utf-8")
    users.chmod(0o600)
    words = command_line()
    assert words[-1] == "$ZS3_OPTIONS"
    options = words[words.index("zs3") + 1 : -1]
    assert options[options.index("--data") + 1] == "${ZS3_DATA}"
    given = [each.replace("%d", str(tmp_path)) for each in options[2:]]
    with socket.socket(socket.AF_INET6) as listening:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(("::", 0))
        listening.listen()
        fd, port = listening.fileno(), listening.getsockname()[1]
        twistd = [program("twistd"), *words[1 : words.index("zs3")]]
        daemon = Daemon(
            tmp_path,
            tmp_path / "data",
            *(*given, *shlex.split("--workers 2 --access-log off")),
            command=[sys.executable, "-c", AS_SYSTEMD, str(fd), *twistd],
        )
        daemon.pass_fds = [fd]
        daemon.start()
        for address in ("127.0.0.1", "::1"):
            with closing(socket.create_connection((address, port), PATIENCE)) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(12) == b"HTTP/1.1 403"
        daemon.stop()


#: As `AS_SYSTEMD`, with a name and a descriptor for each socket.
WITH_SOCKETS = """
import os, sys
names, fds = sys.argv[1].split(":"), [os.dup(int(each)) for each in sys.argv[2].split(":")]
for at, fd in enumerate(fds):
    os.dup2(fd, 3 + at)
    os.set_inheritable(3 + at, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[1])
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_sockets_for_metrics_and_the_console_are_those_that_the_manual_names(tmp_path: Path, workers: str) -> None:
    (tmp_path / "data").mkdir()
    text = (REPOSITORY / "docs" / "packaging.rst").read_text("utf-8")
    found = re.search(r"ZS3_OPTIONS=(--metrics systemd:\S+ --console systemd:\S+)$", text, re.MULTILINE)
    assert found is not None
    options = shlex.split(f"{found[1]} --listen systemd:domain=INET6:name=zs3 --workers {workers}")
    names, sockets = [], []
    with ExitStack() as stack:
        for name in ("zs3-console", "zs3", "zs3-metrics"):
            unit = (REPOSITORY / "systemd" / f"{name}.socket").read_text("utf-8")
            assert f"\nFileDescriptorName={name}\n" in unit
            only_ipv4 = "\nListenStream=127.0.0.1:" in unit
            made = stack.enter_context(socket.socket(socket.AF_INET if only_ipv4 else socket.AF_INET6))
            if not only_ipv4:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            made.bind(("127.0.0.1" if only_ipv4 else "::", 0))
            made.listen()
            names.append(name)
            sockets.append(made)
        fds = [each.fileno() for each in sockets]
        command = [sys.executable, "-c", WITH_SOCKETS, ":".join(names), ":".join(map(str, fds))]
        daemon = Daemon(
            tmp_path, tmp_path / "data", *options, command=[*command, program("twistd"), "--nodaemon", "--pidfile="]
        )
        daemon.pass_fds = fds
        daemon.start()
        console, s3, metrics = (Endpoint(each.getsockname()[1]) for each in sockets)
        page, listing, figures = fetch(console, "/"), fetch(s3, "/"), fetch(metrics, "/metrics")
        daemon.stop()
    assert (page.status, b"<html" in page.body) == (200, True)
    assert (listing.status, b"AccessDenied" in listing.body) == (403, True)
    assert (figures.status, b"zs3_requests_total" in figures.body) == (200, True)


def test_systemd_finds_nothing_wrong_with_the_units_and_little_exposed(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    for name in ("zs3.service", "zs3.socket", "zs3-metrics.socket", "zs3-console.socket"):
        text = (REPOSITORY / "systemd" / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace("/opt/zs3/bin/twistd", program("twistd")), "utf-8")
    service = str(tmp_path / "zs3.service")
    more = [str(tmp_path / name) for name in ("zs3-metrics.socket", "zs3-console.socket")]
    verified = subprocess.run(
        [analyze, "verify", "--man=no", service, *more], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    # In tenths; systemd 252 says 0.5.
    judged = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=10", service], capture_output=True, text=True, check=False
    )
    if "unrecognized option" in judged.stderr:
        pytest.skip("this systemd judges no files")
    assert judged.returncode == 0, judged.stdout


def test_the_user_of_the_package_can_be_made() -> None:
    configuration = REPOSITORY / "packaging" / "sysusers.conf"
    made = subprocess.run(
        [tool("systemd-sysusers"), "--dry-run", str(configuration)], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


def test_a_rotated_access_log_is_opened_again(tmp_path: Path) -> None:
    logrotate = tool("logrotate")
    access_log = tmp_path / "log" / "access.log"
    access_log.parent.mkdir(mode=0o700)
    with running(tmp_path, tmp_path / "data", "--access-log", str(access_log)) as daemon:
        # A line may come later than its answer, and an empty file is not rotated.
        for _ in range(PATIENCE * 100):
            assert fetch(daemon.plain, "/before").status == 404
            if access_log.stat().st_size:
                break
        text = (REPOSITORY / "packaging" / "logrotate").read_text("utf-8")
        configuration = tmp_path / "logrotate.conf"
        configuration.write_text(
            text.replace("/var/log/zs3/*.log", str(access_log)).replace(
                "systemctl reload zs3.service", f"kill -HUP {daemon.pid}"
            ),
            "utf-8",
        )
        configuration.chmod(0o600)
        rotated = subprocess.run(
            [logrotate, "--force", "--state", str(tmp_path / "state"), str(configuration)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert rotated.returncode == 0, rotated.stderr
        # The signal may come later than a request: until the new file is there.
        for _ in range(PATIENCE * 100):
            assert fetch(daemon.plain, "/after").status == 404
            if access_log.exists():
                break
        assert fetch(daemon.plain, "/last").status == 404
    assert "before" in access_log.with_name("access.log.1").read_text("utf-8")
    assert "last" in access_log.read_text("utf-8")


def test_the_check_of_the_container_tells_a_daemon_that_answers_from_none(daemon: Daemon) -> None:
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", CONTAINERFILE, re.MULTILINE)
    assert found is not None
    name, *arguments = json.loads(found[1])
    assert name == "python"

    def check(port: int) -> int:
        here = [each.replace("9000", str(port)) for each in arguments]
        return subprocess.run([sys.executable, *here], capture_output=True, check=False).returncode

    assert check(daemon.plain.port) == 0
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert check(closed.getsockname()[1]) != 0


def test_the_check_of_the_container_is_kept_by_what_the_manual_tells_to_type() -> None:
    """podman's own format of images has none, and it says no more than that."""
    manual = (REPOSITORY / "docs" / "container.rst").read_text("utf-8")
    for text in (manual, CONTAINERFILE):
        builds = re.findall(r"podman build .*", text)
        assert builds
        assert all("--format docker " in each for each in builds)


def test_the_container_has_all_that_it_copies_and_starts_what_there_is(tmp_path: Path) -> None:
    for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (REPOSITORY / source).exists(), source
            assert f"!{source}\n" in (REPOSITORY / ".containerignore").read_text("utf-8")
    found = re.search(r"^ENTRYPOINT (\[.*\])$", CONTAINERFILE, re.MULTILINE)
    assert found is not None
    words = json.loads(found[1])
    data = tmp_path / "data"
    data.mkdir()
    assert words[-2:] == ["--data", "/data"]
    daemon = Daemon(tmp_path, data, command=words[: words.index("zs3")])
    daemon.start()
    daemon.terminate()
    assert daemon.wait() == -signal.SIGTERM


def test_the_package_of_debian_takes_files_that_are_there() -> None:
    rules = (REPOSITORY / "packaging" / "debian" / "rules").read_text("utf-8")
    taken = re.findall(r"install -D -m \d+ (\S+)", rules)
    assert len(taken) == 10
    for source in taken:
        assert (REPOSITORY / source).exists(), source
