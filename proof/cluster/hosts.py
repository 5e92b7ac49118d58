"""Hosts on this machine: each is a set of namespaces (network, mounts, processes, name) with one address on a bridge.

All of it is made inside namespaces of this run, so no other program sees any of it, and it goes when the run ends,
however that ends.  A host goes, with all its processes and mounts, when its first process is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NET = "10.77.0"
#: Of the clients and the balancer.
CLIENT = f"{_NET}.1"
_INSIDE = "ZS3_PROOF_INSIDE"
_CLONE_NEWNET, _CLONE_NEWPID = 0x40000000, 0x20000000
#: The first process of a host: it takes over those whose parents have ended.  A dead brick that nobody waits for is, to
#: glusterd, one that runs.
_FIRST = """
import os, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(flush=True)
while True:
    signal.pause()
"""
_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Go on in namespaces of this run's own, with a bridge in them; this does not return before that is so."""
    if os.environ.get(_INSIDE) != "1":
        if os.geteuid() != 0:
            sys.exit("this takes root")
        os.environ[_INSIDE] = "1"
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.execvp("unshare", [*unshare, sys.executable, "-m", "proof.cluster", *sys.argv[1:]])
    # What the hosts leave behind ends here.
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "bridge", "type", "bridge")
    run("ip", "address", "add", f"{CLIENT}/24", "dev", "bridge")
    run("ip", "link", "set", "bridge", "up")


def run(*command: object, timeout: float = 120, check: bool = True) -> str:
    """What a command prints.

    :raises RuntimeError: it failed.
    """
    words = [str(each) for each in command]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{' '.join(words)}: no end in {timeout} seconds") from error
    if check and ended.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


class Host:
    """One of them.

    :param number: 1 and up.
    :param home: a directory for what it keeps while it is off.
    """

    def __init__(self, number: int, home: Path) -> None:
        self.number = number
        self.name = f"host{number}"
        self.address = f"{_NET}.{number + 1}"
        self.home = home
        self.is_on = False
        home.mkdir()

    def start(self) -> None:
        """Switch it on."""
        unshare = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        process = subprocess.Popen(
            [*unshare, sys.executable, "-I", "-c", _FIRST], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n", "no namespaces can be made"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii")
        self.first = int(children)
        self.is_on = True
        port = f"port{self.number}"
        run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.first)
        run("ip", "link", "set", port, "master", "bridge", "up")
        self.run("hostname", self.name)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def kill(self) -> None:
        """Cut its power.  Whoever started processes in it by `children` waits for their end."""
        os.kill(self.first, signal.SIGKILL)
        run("ip", "link", "delete", f"port{self.number}")
        self.is_on = False

    def plug(self, *, into: bool) -> None:
        """Put the network cable in, or pull it."""
        run("ip", "link", "set", f"port{self.number}", "up" if into else "down")

    def command(self, *command: str) -> list[str]:
        """What runs a command in it, as a child of the command."""
        return ["nsenter", "--target", str(self.first), "--all", "--wd=/", "--", *command]

    def run(self, *command: object, timeout: float = 120, check: bool = True) -> str:
        """As `run`, in it."""
        return run(*self.command(*map(str, command)), timeout=timeout, check=check)

    def start_program(self, *command: str) -> subprocess.Popen[bytes]:
        """Start what runs until the host goes."""
        return subprocess.Popen(self.command(*command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @contextmanager
    def children(self) -> Iterator[Sequence[str]]:
        """Within the block this thread's children are born in its network and among its processes.

        :returns: what a command begins with to see its mounts, too.  Its process is that which was started: signals
            reach it.
        """
        with _namespace("net", self.first, _CLONE_NEWNET), _namespace("pid", self.first, _CLONE_NEWPID):
            yield ["/usr/bin/nsenter", f"--mount=/proc/{self.first}/ns/mnt", f"--uts=/proc/{self.first}/ns/uts"]

    def processes(self, name: str, argument: str = "") -> list[int]:
        """Those of that name in it, with such an argument, as they are numbered here."""
        own = os.stat(f"/proc/{self.first}/ns/pid").st_ino
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = (entry / "comm").read_text().strip() == name and (entry / "ns/pid").stat().st_ino == own
                if is_ours and argument in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
            except OSError:
                # It has just ended.
                continue
        return found

    def path(self, path: Path) -> Path:
        """What it has at a path, also on a mount of its own."""
        return Path(f"/proc/{self.first}/root") / path.relative_to("/")


@contextmanager
def _namespace(kind: str, of: int, flag: int) -> Iterator[None]:
    name = "pid_for_children" if kind == "pid" else kind
    with open(f"/proc/thread-self/ns/{name}", "rb") as before, open(f"/proc/{of}/ns/{kind}", "rb") as wanted:
        _set(wanted, flag)
        try:
            yield
        finally:
            _set(before, flag)


def _set(namespace: Any, flag: int) -> None:
    if _libc.setns(namespace.fileno(), flag) != 0:
        raise OSError(ctypes.get_errno(), "setns")
