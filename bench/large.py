"""One large object in and out over one connection: the rate in bytes, the CPU time for them, the memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.cases import WrongAnswer, content
from bench.client import Connection, fetch_large, send_large
from bench.server import BUCKET, Server
from bench.signing import Call

_PIECE = 1024**2
_PATIENCE_S = 300.0
_PATH = f"/{BUCKET}/large"


class Source:
    """The file that is sent, and what is known of it."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.piece = content(_PIECE)
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for _ in range(size // _PIECE):
                file.write(self.piece)
                digest.update(self.piece)
        self.sha256 = digest.hexdigest()


@dataclass(frozen=True)
class LargeCase:
    """GET or PUT of the large object, plain or over TLS."""

    name: str
    title: str
    method: str
    secure: bool

    def suits(self, server: Server) -> bool:
        if self.secure and server.secure_port is None:
            return False
        if server.only_writes and (self.method == "GET" or self.secure):
            return False
        return server.speaks_s3 or self.method == "GET"

    def prepare(self, server: Server, source: Source) -> None:
        """Before a GET the object has to be there."""
        if self.method == "PUT":
            return
        if server.speaks_s3:
            self._put(server, source, secure=False)
        else:
            (server.data / BUCKET).mkdir(exist_ok=True)
            shutil.copyfile(source.path, server.data / _PATH[1:])

    def check(self, server: Server, source: Source) -> None:
        """Look at all its bytes; raises `WrongAnswer`."""
        if self.method == "PUT":
            self._put(server, source, self.secure)
        try:
            size = self._get(server, source.piece)
        except (OSError, ValueError) as error:
            raise WrongAnswer(str(error)) from None
        if size != source.size:
            raise WrongAnswer(f"{size} bytes instead of {source.size}")

    def transfer(self, server: Server, source: Source) -> Callable[[], None]:
        """What is to be timed."""
        if self.method == "PUT":
            return lambda: self._put(server, source, self.secure)
        return lambda: self._download(server)

    def _connection(self, server: Server, secure: bool) -> Connection:
        port = server.secure_port if secure else server.port
        assert port is not None
        return Connection(("127.0.0.1", port), secure=secure, patience=_PATIENCE_S)

    def _get(self, server: Server, expected: bytes | None = None) -> int:
        connection = self._connection(server, self.secure)
        try:
            return fetch_large(connection, server.signer(secure=self.secure).head(Call("GET", _PATH)), expected)
        finally:
            connection.close()

    def _download(self, server: Server) -> None:
        self._get(server)

    def _put(self, server: Server, source: Source, secure: bool) -> None:
        connection = self._connection(server, secure)
        call = Call("PUT", _PATH, length=source.size, sha256=source.sha256)
        try:
            send_large(connection, server.signer(secure=secure).head(call), str(source.path))
        except (OSError, ValueError) as error:
            raise WrongAnswer(str(error)) from None
        finally:
            connection.close()


def large_cases(size: int) -> list[LargeCase]:
    """All of them, in the order of the table."""
    word = f"{size // 1024**3} GiB" if size % 1024**3 == 0 else f"{size // 1024**2} MiB"
    unit = "MB/s, CPU ms/GB"
    return [
        LargeCase(
            f"{method.lower()}-large{'-tls' if secure else ''}",
            f"{method} {word}{' over TLS' if secure else ''} ({unit})",
            method,
            secure,
        )
        for secure in (False, True)
        for method in ("PUT", "GET")
    ]


def tools(source: Source, directory: Path) -> tuple[float, float]:
    """The limit for PUT: ``md5sum``, ``sha256sum`` and ``dd conv=fsync`` of the file, at once: seconds, CPU seconds."""
    target = directory / "limit"
    before, began = os.times(), time.perf_counter()
    running = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in (
            ["md5sum", str(source.path)],
            ["sha256sum", str(source.path)],
            ["dd", f"if={source.path}", f"of={target}", "bs=1M", "conv=fsync"],
        )
    ]
    failed = [process.wait() for process in running]
    seconds, after = time.perf_counter() - began, os.times()
    target.unlink(missing_ok=True)
    if any(failed):
        raise WrongAnswer("md5sum, sha256sum or dd failed")
    return seconds, after.children_user + after.children_system - before.children_user - before.children_system
