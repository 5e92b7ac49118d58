"""A replicated GlusterFS volume: on each host glusterd, a brick on a file system of its own, and a mount."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from proof.cluster.hosts import Host, run

VOLUME = "s3"
#: Where each host has it.
MOUNT = Path("/mnt")
BRICK = Path("/srv")
#: What the promise needs, and what makes it bearable; docs/clustering.rst tells why.
_CACHES = (
    *("stat-prefetch", "quick-read", "io-cache", "open-behind"),
    *("write-behind", "read-ahead", "readdir-ahead"),
)
OPTIONS = {f"performance.{each}": "off" for each in _CACHES} | {"network.ping-timeout": "5"}
MOUNT_OPTIONS = "attribute-timeout=0,entry-timeout=0,negative-timeout=0"
_SIZE = "2G"
#: What glusterd keeps; what it has in /run goes with the host.
_OWN = ("/var/lib/glusterd", "/var/log/glusterfs")
_PATIENCE = 120


class Volume:
    """The volume.

    :param options: of the volume (`gluster volume set`).
    :param mount_options: of its mounts.
    :param arbiter: the last host keeps names only, and no bytes.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        options: Mapping[str, str],
        mount_options: str,
        *,
        arbiter: bool = False,
    ) -> None:
        self.hosts = hosts
        self.options = options
        self.mount_options = mount_options
        self.arbiter = arbiter

    def create(self) -> None:
        """Make it, on hosts that are on."""
        first = self.hosts[0]
        for host in self.hosts:
            image = host.home / "brick.img"
            run("truncate", "-s", _SIZE, image)
            run("mkfs.xfs", "-q", "-i", "size=512", image)
            for path in _OWN:
                (host.home / Path(path).name).mkdir()
            self.serve(host)
        for host in self.hosts[1:]:
            self.gluster(first, "peer", "probe", host.address)
        self._wait(lambda: self._connected(first), "all hosts know each other")
        bricks = [f"{host.address}:{BRICK}/brick" for host in self.hosts]
        kind = ["replica", "3", "arbiter", "1"] if self.arbiter else ["replica", str(len(self.hosts))]
        self.gluster(first, "volume", "create", VOLUME, *kind, *bricks)
        self.set(self.options)
        self.gluster(first, "volume", "start", VOLUME)
        self.wait_for_bricks()

    def serve(self, host: Host) -> None:
        """Let a host that was switched on serve its brick."""
        host.run("mount", "-t", "tmpfs", "tmpfs", "/run")
        for path in _OWN:
            host.run("mkdir", "-p", path)
            host.run("mount", "--bind", host.home / Path(path).name, path)
        host.run("mount", "-o", "loop,noatime", host.home / "brick.img", BRICK)
        host.start_program("glusterd", "--no-daemon")
        self._wait(lambda: "UUID" in self.gluster(host, "pool", "list", check=False), f"glusterd of {host.name}")

    def mount(self, host: Host) -> None:
        """Mount it on a host."""
        others = ":".join(each.address for each in self.hosts if each is not host)
        options = ",".join(filter(None, (self.mount_options, f"backup-volfile-servers={others}")))
        self._wait(
            lambda: (
                "Z"
                in host.run(
                    "sh",
                    "-c",
                    f"mountpoint -q {MOUNT} || mount -t glusterfs -o {options} "
                    f"{host.address}:/{VOLUME} {MOUNT} && echo Z",
                    check=False,
                )
            ),
            f"a mount on {host.name}",
        )

    def kill_mount(self, host: Host) -> None:
        """`kill -9` of the process that it is; all that is asked of it fails then."""
        (process,) = host.processes("glusterfs", "--volfile-id=/")
        os.kill(process, signal.SIGKILL)

    def unmount(self, host: Host) -> None:
        host.run("umount", "--lazy", MOUNT)

    def gluster(self, host: Host, *command: str, check: bool = True) -> str:
        """A command of the administrator."""
        return host.run("gluster", "--mode=script", *command, check=check)

    def set(self, options: Mapping[str, str]) -> None:
        for name, value in options.items():
            self.gluster(self.hosts[0], "volume", "set", VOLUME, name, value)

    # Bricks

    def kill_brick(self, host: Host) -> None:
        """`kill -9` of the process that serves it."""
        (process,) = host.processes("glusterfsd")
        os.kill(process, signal.SIGKILL)

    def start_brick(self, host: Host) -> None:
        self.gluster(host, "volume", "start", VOLUME, "force")

    def wait_for_bricks(self) -> None:
        """Until every brick of a host that is on serves, as all of these say."""
        on = [host for host in self.hosts if host.is_on]
        for host in on:
            self._wait(lambda host=host: self._online(host) == len(on), f"{len(on)} bricks, as {host.name} sees it")

    def _online(self, host: Host) -> int:
        told = self.gluster(host, "volume", "status", VOLUME, check=False)
        return len(re.findall(r"^Brick .*\bY +\d+ *$", told, re.MULTILINE))

    def _connected(self, host: Host) -> bool:
        told = self.gluster(host, "peer", "status", check=False)
        return told.count("Peer in Cluster (Connected)") == len(self.hosts) - 1

    def to_heal(self, host: Host) -> list[str]:
        """What is not yet the same on all bricks, as the host sees it; and what bricks cannot be asked."""
        told = self.gluster(host, "volume", "heal", VOLUME, "info", check=False)
        counts = re.findall(r"^Number of entries: (\d+|-)$", told, re.MULTILINE)
        if len(counts) != len(self.hosts):
            return ["not told"]
        return [line for line in told.splitlines() if line.startswith(("/", "<gfid")) or line.endswith(": -")]

    def differences(self, directory: Path) -> list[str]:
        """What is not the same on the bricks of all hosts below a directory of the volume, whatever healing says."""
        held: list[dict[str, str]] = []
        for host in self.hosts[: 2 if self.arbiter else None]:
            top = host.path(BRICK) / "brick" / directory
            files = [each for each in top.rglob("*") if each.is_file()]
            held.append({str(each.relative_to(top)): hashlib.md5(each.read_bytes()).hexdigest() for each in files})
        names = sorted(set().union(*held))
        return [name for name in names if len({each.get(name) for each in held}) > 1]

    def wait_for_heal(self) -> float:
        """Until nothing is left to heal; how many seconds that took."""
        start = time.monotonic()
        host = next(each for each in self.hosts if each.is_on)
        self.gluster(host, "volume", "heal", VOLUME, check=False)
        self._wait(lambda: not self.to_heal(host), "nothing to heal")
        return time.monotonic() - start

    def _wait(self, condition, what: str) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not in {_PATIENCE} seconds")
            # Of what gluster does nobody is told when it is done.
            time.sleep(0.5)
