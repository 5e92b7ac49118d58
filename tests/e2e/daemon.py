"""The real daemon as a process of its own, and how its clients find and trust it.

Nothing here sleeps: the daemon tells over sd_notify's socket when it is ready
and when it stops, and its end is seen through a pidfd.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import self_signed

ACCESS_KEY = "E2EACCESSKEYEXAMPLE1"
SECRET_KEY = "e2e/secret+key=of-forty-characters-0123"
REGION = "us-east-1"

PLAIN = "tcp:0:interface=127.0.0.1"
#: For --metrics: the same in other words, so that the log tells which is which.
METRICS = "tcp:port=0:interface=127.0.0.1"

#: twistd's exit status after SIGTERM: with all its work done, it ends by that same signal, as a shell expects.
ENDED = -signal.SIGTERM

#: Seconds; only there so that a broken daemon fails a test instead of hanging it.
PATIENCE = 30


def program(name: str) -> str:
    """The path of a program that pip installed beside this Python."""
    path = Path(sys.executable).with_name(name)
    assert path.exists(), f"{path} is missing: pip install -e '.[test]'"
    return str(path)


def isolated_environment(home: Path, **variables: str) -> dict[str, str]:
    """The environment of a child that must see nothing of this machine's configuration."""
    environment = {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.defpath)),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
    }
    # A checkout that is on the path but not installed (and the library path some Pythons need).
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    return environment | kept | variables


@dataclass(frozen=True)
class Endpoint:
    """One port of the daemon as a client is told of it."""

    port: int
    certificate: Path | None = None

    @property
    def secure(self) -> bool:
        return self.certificate is not None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.address}"


class Daemon:
    """`twistd -n zs3` on the directory `data`, from `start` until `stop` or `kill`.

    :param home: a directory of the test's own for the log, the certificate and HOME.
    :param arguments: options of zs3 besides --data and --listen.
    :param command: what starts it: a program that pip installed, or a path, and its arguments.
    """

    def __init__(
        self, home: Path, data: Path, *arguments: str, command: Sequence[str] = ("twistd", "--nodaemon", "--pidfile=")
    ) -> None:
        self.data = data
        self.arguments = arguments
        self.command = [command[0] if "/" in command[0] else program(command[0]), *command[1:]]
        self.home = home
        self.pass_fds: Sequence[int] = ()
        self.variables = {"ZS3_ACCESS_KEY": ACCESS_KEY, "ZS3_SECRET_KEY": SECRET_KEY}
        self.certificate = home / "certificate.pem"
        self._log = home / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._notifications: socket.socket | None = None

        key = home / "key.pem"
        for path, pem in zip((key, self.certificate), self_signed(), strict=True):
            path.write_bytes(pem)
        self._secure = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={self.certificate}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def plain(self) -> Endpoint:
        return Endpoint(self.port_of(PLAIN))

    @property
    def tls(self) -> Endpoint:
        return Endpoint(self.port_of(self._secure), self.certificate)

    @property
    def metrics(self) -> Endpoint:
        """With `METRICS` among the arguments."""
        return Endpoint(self.port_of(METRICS))

    def log(self) -> str:
        """What this run of the daemon and those before it logged, access log and events."""
        return self._log.read_text("utf-8")

    def log_of_this_run(self) -> str:
        return self._log.read_bytes()[self._started_at :].decode("utf-8")

    def start(self) -> None:
        """Start it, and return when it serves."""
        self._notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notifications.bind("")  # a free name in the abstract namespace
        with self._log.open("ab") as log:
            self._started_at = log.tell()
            self._process = subprocess.Popen(
                [
                    *(*self.command, "zs3", "--data", str(self.data)),
                    *("--listen", PLAIN, "--listen", self._secure, *self.arguments),
                ],
                cwd=self.home,
                env=isolated_environment(
                    self.home,
                    **self.variables,
                    NOTIFY_SOCKET="@" + self._notifications.getsockname()[1:].decode("ascii"),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self.pass_fds,
            )
        self.wait_for_state("READY=1")

    def wait_for_state(self, state: str) -> None:
        """Wait until the daemon tells the service manager `state`."""
        assert self._notifications is not None
        ended = os.pidfd_open(self.pid)
        try:
            while True:
                ready, _, _ = select.select([self._notifications, ended], [], [], PATIENCE)
                assert ready, f"no {state} in {PATIENCE} seconds:\n{self.log()}"
                assert self._notifications in ready, f"the daemon ended before {state}:\n{self.log()}"
                if state in self._notifications.recv(4096).decode("utf-8").splitlines():
                    return
        finally:
            os.close(ended)

    def terminate(self) -> None:
        """SIGTERM, without waiting for the end."""
        assert self._process is not None
        self._process.terminate()

    def has_ended(self, patience: float) -> bool:
        """Whether the process ends within so many seconds."""
        ended = os.pidfd_open(self.pid)
        try:
            return bool(select.select([ended], [], [], patience)[0])
        finally:
            os.close(ended)

    def wait(self) -> int:
        """The exit status, once it has ended."""
        assert self._process is not None
        assert self._notifications is not None
        try:
            return self._process.wait(PATIENCE + 15)
        finally:
            self._process.kill()
            self._process.wait()
            self._notifications.close()

    def stop(self) -> None:
        """End it in good order, and look whether it was in good order all the time."""
        self.terminate()
        status = self.wait()
        assert status == ENDED, f"exit status {status}:\n{self.log()}"
        self.check_log()

    def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None
        self._process.kill()
        self.wait()

    def check_log(self) -> None:
        """That a run which was ended in good order logged no error, and its end as the last line."""
        log = self.log()
        assert log.endswith("Server Shut Down.\n"), log
        for sign in ("Traceback", "Unhandled", "#error]", "#critical]"):
            assert sign not in log, f"{sign} in the daemon's log:\n{log}"

    def port_of(self, description: str) -> int:
        """Of an endpoint on 127.0.0.1, as it was given to the daemon."""
        this_run = self.log_of_this_run()
        found = re.search(rf"listening on 127\.0\.0\.1:(\d+) \({re.escape(description)}\)$", this_run, re.MULTILINE)
        assert found is not None, f"{description} is not listened on:\n{this_run}"
        return int(found[1])


@contextmanager
def running(home: Path, data: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon that lives as long as the block, and must have had a good life if the block ended well.

    :param variables: its own ones of the environment; by default those of the key pair.
    """
    data.mkdir(exist_ok=True)
    daemon = Daemon(home, data, *arguments)
    if variables is not None:
        daemon.variables = dict(variables)
    daemon.start()
    try:
        yield daemon
    except BaseException:
        daemon.kill()
        raise
    daemon.stop()
