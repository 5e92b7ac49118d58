"""A server that is measured: a process of its own with a fresh directory, on a free port of the loopback interface."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

from bench import processes
from bench.client import Answer, Connection
from bench.signing import Call, Credentials, Signer

_PATIENCE_S = 30.0

#: Bucket for objects of the cases.
BUCKET = "bench"


class ServerError(Exception):
    """The server does not start, or ended."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """What all have in common; a subclass knows how its program is started.

    :cvar name: as it is chosen by and as it is shown.
    :cvar note: a line on how it is started, for the reader of the table.
    :cvar speaks_s3: false for one that only serves files.
    :cvar plain: what is in its data directory when it starts is served: DIR/BUCKET/KEY.
    :cvar only_writes: its reads are those of another one.
    :cvar version_option: shows the version, in the first line.
    """

    name = ""
    note = ""
    speaks_s3 = True
    plain = True
    only_writes = False
    version_option: str | None = "--version"

    def __init__(self, program: str, home: Path, *, workers: int = 1) -> None:
        """:param home: a directory of its own; its data will be in ``data`` in it."""
        self.program = program
        self.home = home
        self.data = home / "data"
        self.data.mkdir(parents=True)
        self.port = free_port()
        self.secure_port: int | None = None
        self.credentials = Credentials("BENCHACCESSKEY", "bench-secret-key-of-no-worth")
        self.workers = workers
        self.started_in = 0.0
        self.memory_at_start = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def command(self) -> list[str]:
        """What is run, in the directory `home`."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What is added to the environment."""
        return {}

    def version(self) -> str:
        """What the program says it is."""
        if self.version_option is None:
            return ""
        said = subprocess.run(
            [self.program, self.version_option], capture_output=True, text=True, timeout=30, check=False
        )
        lines = (said.stdout + said.stderr).strip().splitlines()
        return lines[0] if lines else ""

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def signer(self, *, secure: bool = False) -> Signer:
        """For requests that are sent within minutes."""
        port = self.secure_port if secure else self.port
        return Signer(f"127.0.0.1:{port}", self.credentials)

    def call(self, call: Call, body: bytes = b"") -> Answer:
        """One signed request on a connection of its own."""
        connection = Connection(self.address)
        try:
            return connection.call(self.signer().head(call), body)
        finally:
            connection.close()

    def start(self) -> None:
        """Start it, wait until it answers, and make the bucket; `ServerError` if that fails."""
        inherited = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "NODE_PATH") if name in os.environ}
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.home), "TMPDIR": str(self.home)}
        self._log = (self.home / "log").open("wb")
        began = time.monotonic()
        self._process = subprocess.Popen(
            self.command(),
            cwd=self.home,
            env=environment | inherited | self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > began + _PATIENCE_S:
                raise ServerError(f"{self.name} does not start:\n{self.log()}")
            time.sleep(0.01)
        self.started_in = time.monotonic() - began
        self.memory_at_start = processes.memory(self.pids())
        if self.speaks_s3 and not (self.data / BUCKET).is_dir():
            made = self.call(Call("PUT", f"/{BUCKET}", length=0))
            if made.status != 200:
                raise ServerError(f"{self.name} makes no bucket: {made.status} {made.body[:300]!r}")

    def _answers(self) -> bool:
        try:
            self.call(Call("GET", "/"))
        except OSError:
            return False
        return True

    def log(self) -> str:
        """The last that it told."""
        return (self.home / "log").read_text("utf-8", "replace")[-3000:]

    def pids(self) -> list[int]:
        """All its processes."""
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"{self.name} is not running:\n{self.log()}")
        return processes.tree(self._process.pid)

    def settle(self) -> None:
        """Wait until it does nothing any more: what it still does for the last case must not count for the next."""
        pids, before = self.pids(), -1.0
        for _ in range(100):
            now = processes.cpu_seconds(pids)
            if now == before:
                return
            before = now
            time.sleep(0.05)

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """End it and throw its data away."""
        self.terminate()
        if self._process is not None:
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self.home, ignore_errors=True)
