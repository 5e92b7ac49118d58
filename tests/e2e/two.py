"""Two daemons on one directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.e2e.daemon import Daemon, Endpoint
from tests.e2e.signed import Client
from tests.versionmodel import ENABLED


class Two:
    """Two daemons on one directory, and a client of each.

    :ivar done: how often what was done, and went wrong.
    """

    def __init__(self, home: Path, *arguments: str, other: Sequence[str] = ()) -> None:
        """:param arguments: options of zs3 for both.
        :param other: for the second one.
        """
        self.data = home / "data"
        self.data.mkdir()
        self.done: Counter[str] = Counter()
        self._connect: Callable[[Endpoint], Client] = Client
        self.daemons = []
        self.clients: list[Client] = []
        self._dead: set[int] = set()
        for name, own in (("one", ()), ("other", other)):
            (home / name).mkdir()
            self.daemons.append(Daemon(home / name, self.data, "--sync", "off", *arguments, *own))

    def start(self) -> None:
        for daemon in self.daemons:
            daemon.start()
            self.clients.append(self._connect(daemon.plain))

    def connect(self, connect: Callable[[Endpoint], Client]) -> None:
        """Have other clients from now on."""
        self._connect = connect
        for client in self.clients:
            client.close()
        self.clients = [connect(client.endpoint) for client in self.clients]

    def restart(self, side: int) -> None:
        self.clients[side].close()
        self.daemons[side].stop()
        self.daemons[side].start()
        self.clients[side] = self._connect(self.daemons[side].plain)
        self.done["restarts"] += 1

    def kill(self, side: int) -> None:
        self._dead.add(side)
        self.daemons[side].kill()
        self.done["kills"] += 1

    def revive(self, side: int) -> None:
        self.clients[side].close()
        self.daemons[side].start()
        self.clients[side] = self._connect(self.daemons[side].plain)
        self._dead.discard(side)

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        for daemon in self.daemons:
            daemon.stop()

    def endpoints(self) -> list[Endpoint]:
        """Those of the daemons that live."""
        return [client.endpoint for side, client in enumerate(self.clients) if side not in self._dead]

    def new_bucket(self) -> str:
        self.done["sequences"] += 1
        return f"bucket-{self.done['sequences']}"

    def new_versioned_bucket(self) -> str:
        """One that is there, and keeps versions."""
        bucket = self.new_bucket()
        for query, body in (({}, b""), ({"versioning": ""}, versioning(ENABLED))):
            answer = self.clients[0]("PUT", f"/{bucket}", query=query, body=body)
            assert answer.status == 200, answer.body
        return bucket


def versioning(state: str) -> bytes:
    """The document that switches it."""
    return f"<VersioningConfiguration><Status>{state}</Status></VersioningConfiguration>".encode()
