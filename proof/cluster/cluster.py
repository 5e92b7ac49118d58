"""All of it: hosts, the volume on them, a daemon on each, and the balancer before them."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from proof.cluster import balancer
from proof.cluster.gluster import MOUNT, Volume
from proof.cluster.hosts import Host
from tests.e2e.daemon import Daemon, Endpoint
from tests.e2e.plainhttp import connect

DATA = MOUNT / "data"


class _Daemon(Daemon):
    """One whose processes are on a host."""

    def __init__(self, host: Host, home: Path, *arguments: str) -> None:
        home.mkdir()
        super().__init__(home, DATA, *arguments)
        self._host = host
        self._command = self.command

    def start(self) -> None:
        with self._host.children() as inside:
            self.command = [*inside, *self._command]
            super().start()


class Cluster:
    """It.

    :ivar daemons: by host.
    """

    def __init__(self, hosts: list[Host], volume: Volume, home: Path, *arguments: str) -> None:
        self.hosts, self.volume, self.home = hosts, volume, home
        listen = [option for each in balancer.LISTEN for option in ("--listen", each)]
        self._dead = set(hosts)
        self.daemons = {
            host: _Daemon(host, host.home / "zs3", *(each.format(host.address) for each in listen), *arguments)
            for host in hosts
        }

    def kill_daemon(self, host: Host) -> None:
        """`kill -9` of the daemon of a host and of its mount."""
        self.volume.kill_mount(host)
        self.daemons[host].kill()
        self._dead.add(host)
        # Not before: a daemon must not see what is below the mount.
        self.volume.unmount(host)

    def endpoints(self) -> list[Endpoint]:
        """Of the hosts that are on, each alone."""
        return [balancer.only(host) for host in self.hosts if host not in self._dead]

    def failures(self) -> Counter[str]:
        """What the daemons have logged as not foreseen: the exception, and where it was raised."""
        found: Counter[str] = Counter()
        for daemon in self.daemons.values():
            for trace in re.split(r"\n(?=\S)", daemon.log()):
                if "\tTraceback" in trace:
                    frames = re.findall(r'/zs3/([\w/]+\.py)", line (\d+)', trace)
                    error = re.sub(r"(?<=\]) .*", "", trace.rstrip().splitlines()[-1].strip())
                    found[f"{error} at {' '.join(':'.join(each) for each in frames[-10:])}"] += 1
        return found

    def serve(self, host: Host) -> None:
        """Mount, and start the daemon."""
        self.volume.mount(host)
        host.run("mkdir", "-p", DATA)
        self.daemons[host].start()
        self._dead.discard(host)

    def kill(self, host: Host) -> None:
        """Cut the power of a host."""
        host.kill()
        if host not in self._dead:
            self.daemons[host].kill()
            self._dead.add(host)

    def revive(self, host: Host) -> None:
        """Switch it on again, with all that it had."""
        host.start()
        self.volume.serve(host)
        self.volume.wait_for_bricks()
        self.serve(host)


@contextmanager
def running(
    home: Path, options: Mapping[str, str], mount_options: str, *arguments: str, count: int = 3, arbiter: bool = False
) -> Iterator[Cluster]:
    """A cluster for a block.

    :param arguments: of the daemons.
    """
    hosts = [Host(number, home / f"host{number}") for number in range(1, count + 1)]
    for host in hosts:
        host.start()
    volume = Volume(hosts, options, mount_options, arbiter=arbiter)
    volume.create()
    cluster = Cluster(hosts, volume, home, *arguments)
    try:
        for host in hosts:
            cluster.serve(host)
        with balancer.Balancer(hosts, home):
            _wait_for(balancer.ALL)
            yield cluster
    finally:
        for host in hosts:
            if host.is_on:
                cluster.kill(host)


def _wait_for(endpoint: Endpoint) -> None:
    """Until the balancer has found a daemon."""
    deadline = time.monotonic() + 30
    while True:
        try:
            connection = connect(endpoint)
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
