"""The servers that are known, and how each is started.  A new one is a class here and a line in `SERVERS`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.certificate import self_signed
from bench.server import Server, free_port
from bench.signing import Credentials

#: The clone that this is a part of.
CLONE = Path(__file__).parent.parent


class Zs3(Server):
    """This clone's daemon; its "program" is the directory of the clone."""

    name = "zs3"
    note = "durable writes (fsync), no access log"
    options: tuple[str, ...] = ()

    def __init__(self, program: str, home: Path, *, workers: int = 1) -> None:
        super().__init__(program, home, workers=workers)
        self.secure_port = free_port()
        self._pem = home / "server.pem"
        self._pem.write_bytes(self_signed())

    def command(self) -> list[str]:
        plain = f"tcp:{self.port}:interface=127.0.0.1"
        secure = f"ssl:{self.secure_port}:interface=127.0.0.1:privateKey={self._pem}:certKey={self._pem}"
        return [
            *(sys.executable, "-c", "from twisted.scripts.twistd import run; run()"),
            *("--nodaemon", "--pidfile=", "zs3", "--data", str(self.data), "--access-log", "off"),
            *("--listen", plain, "--listen", secure),
            *(("--workers", str(self.workers)) if self.workers != 1 else ()),
            *self.options,
        ]

    def environment(self) -> dict[str, str]:
        inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        return {
            "PYTHONPATH": os.pathsep.join(
                [self.program, *(each for each in inherited if each not in ("", str(CLONE)))]
            ),
            "ZS3_ACCESS_KEY": self.credentials.access_key,
            "ZS3_SECRET_KEY": self.credentials.secret_key,
        }

    def version(self) -> str:
        if shutil.which("git") is None:
            return ""
        said = subprocess.run(
            ["git", "-C", self.program, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
        return f"commit {said.stdout.strip()}" if said.returncode == 0 else ""


class Zs3WithoutSync(Zs3):
    """The same without fsync, as most others are."""

    name = "zs3-nosync"
    note = "--sync off, no access log"
    only_writes = True
    options = ("--sync", "off")


class Zs3Before(Zs3):
    """Another checkout of zs3, to see what a change brought; as the Python installed here runs it."""

    name = "before"
    note = "the checkout given as --program before=DIR"


class Rclone(Server):
    """``rclone serve s3``."""

    name = "rclone"
    note = "serve s3, all settings by default; no fsync, all cores"
    version_option = "version"

    def command(self) -> list[str]:
        keys = f"{self.credentials.access_key},{self.credentials.secret_key}"
        return [
            *(self.program, "--config", str(self.home / "rclone.conf"), "serve", "s3"),
            *("--addr", f"127.0.0.1:{self.port}", "--auth-key", keys, str(self.data)),
        ]


class Moto(Server):
    """moto's server: in memory, for tests."""

    name = "moto"
    note = "moto_server; everything in memory, signatures not verified"
    plain = False
    version_option = None

    def command(self) -> list[str]:
        return [self.program, "-H", "127.0.0.1", "-p", str(self.port)]


class S3rver(Server):
    """s3rver, of Node.js."""

    name = "s3rver"
    note = "no fsync, overwrites in place"
    plain = False

    def __init__(self, program: str, home: Path, *, workers: int = 1) -> None:
        super().__init__(program, home, workers=workers)
        self.credentials = Credentials("S3RVER", "S3RVER")

    def command(self) -> list[str]:
        return [self.program, "-d", str(self.data), "-a", "127.0.0.1", "-p", str(self.port), "--silent"]


class Original(Server):
    """The program in Zig after which this one is named; it keeps ``data`` in the current directory."""

    name = "original"
    note = "as built; one thread"
    version_option = None

    def __init__(self, program: str, home: Path, *, workers: int = 1) -> None:
        super().__init__(program, home, workers=workers)
        self.credentials = Credentials("minioadmin", "minioadmin")

    def command(self) -> list[str]:
        return [self.program, f"--port={self.port}"]


class Nginx(Server):
    """nginx, as the limit for reading: files with sendfile, no signatures, no S3."""

    name = "nginx"
    note = "static files, sendfile, no signatures; as many workers as zs3"
    speaks_s3 = False
    version_option = "-v"

    def command(self) -> list[str]:
        temporary = "".join(
            f"{kind}_temp_path {self.home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = self.home / "nginx.conf"
        configuration.write_text(
            f"{'user root;' if os.geteuid() == 0 else ''}\n"
            f"daemon off; worker_processes {self.workers or os.cpu_count()}; pid {self.home}/pid; error_log stderr;\n"
            "events { worker_connections 1024; }\n"
            f"http {{\n{temporary}"
            "access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n"
            f"server {{ listen 127.0.0.1:{self.port}; root {self.data}; }}\n}}\n"
        )
        return [self.program, "-c", str(configuration), "-e", "stderr", "-p", str(self.home)]


SERVERS: tuple[type[Server], ...] = (Zs3, Zs3WithoutSync, Zs3Before, Original, Rclone, S3rver, Moto, Nginx)

_PROGRAMS = {"rclone": "rclone", "moto": "moto_server", "s3rver": "s3rver", "nginx": "nginx"}


def find_program(name: str, given: Mapping[str, str]) -> str | None:
    """A program: as `given`, else beside this Python, else on the path (and where administrators' programs are)."""
    if name in given:
        return given[name]
    places = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin")
    return shutil.which(name, path=os.pathsep.join(places))


def installed(given: Mapping[str, str]) -> dict[str, str]:
    """The servers that can be started: name to program; `given` are the paths that were told, by server."""
    found = {Zs3.name: str(CLONE), Zs3WithoutSync.name: str(CLONE)}
    for server in SERVERS:
        if server.name in given:
            found[server.name] = str(Path(given[server.name]).absolute())
        elif server.name in _PROGRAMS and (program := find_program(_PROGRAMS[server.name], {})):
            found[server.name] = program
    return {server.name: found[server.name] for server in SERVERS if server.name in found}
