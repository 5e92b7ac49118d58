"""How many connections and requests an address may have, so that one client leaves room for the others.

Pure, with a clock.  Requests are counted by a bucket of tokens: each takes one, and
so many come back in a second.  Who has none left waits until there is one; who would
wait too long is refused, and waits for that as well, so that it cannot ask at once again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple

from zs3.addresses import network_of

#: What may be the reason of a refusal: the limit of all connections, and those of an address.
LIMITS = CONNECTIONS, CONNECTIONS_PER_ADDRESS, REQUESTS_PER_ADDRESS = (
    "connections",
    "connections_per_address",
    "requests_per_address",
)
#: Seconds that a request waits for its turn at most.
MOST_WAIT_S = 5.0
#: The most addresses that are remembered without a connection.
MAX_REMEMBERED = 4096
#: Of the addresses that are asked for, how many are known without being taken apart.
_MAX_KNOWN = 8192

_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(?::([0-9]{1,6}))?", re.ASCII).fullmatch


class Rate(NamedTuple):
    """How often something may happen.

    :ivar per_second: 0 for as often as anybody wants.
    :ivar burst: so many at once, after a pause.
    """

    per_second: float
    burst: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """``RATE`` or ``RATE:BURST``; without the latter, as many at once as in a second, and at least one.

        :raises ValueError: it is neither, with a message for the user.
        """
        match = _RATE(text)
        if match is None:
            raise ValueError("a number per second is needed, or two: RATE:BURST")
        per_second, burst = float(match[1]), match[2]
        if burst is not None and int(burst) == 0:
            raise ValueError("a BURST is at least 1")
        return cls(per_second, max(1.0, per_second) if burst is None else float(burst))


@dataclass(slots=True)
class _Client:
    """:ivar tokens: as many as there were `at` that time; less than none if requests wait for them."""

    connections: int
    tokens: float
    at: float


class Admission:
    """Counts what comes from each address, or from the /64 that an IPv6 address is in.

    What has no address, as on a Unix socket, is not counted.

    :param now: seconds on a clock.
    :param connections: the most of an address, 0 for any number.
    :param requests: of an address; a new connection counts as a request.
    :param unlimited: the addresses that are not counted.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        connections: int = 0,
        requests: Rate = Rate(0, 1),  # noqa: B008 - a tuple
        unlimited: Container[str] = (),
    ) -> None:
        self._now, self._connections, self._unlimited = now, connections, unlimited
        self._per_second, self._burst = requests
        self._clients: dict[bytes, _Client] = {}
        # Those that have no connection but tokens to come; who went last at the end.
        self._gone: dict[bytes, _Client] = {}
        self._known: dict[str, bytes | None] = {}

    @property
    def limits_requests(self) -> bool:
        """Whether `turn` may be anything but 0."""
        return self._per_second > 0

    def network(self, host: str | None) -> bytes | None:
        """What an address is counted as, None if it is not counted."""
        if not host or not (self._connections or self._per_second):
            return None
        try:
            return self._known[host]
        except KeyError:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            network = self._known[host] = None if host in self._unlimited else network_of(host)
            return network

    def refusal(self, network: bytes) -> str:
        """For which of `LIMITS` no more connection may be made; "" if one may."""
        client = self._clients.get(network) or self._gone.get(network)
        if client is None:
            return ""
        if self._connections and client.connections >= self._connections:
            return CONNECTIONS_PER_ADDRESS
        if self._per_second and self._wait(self._count(client) - 1) > MOST_WAIT_S:
            return REQUESTS_PER_ADDRESS
        return ""

    def enter(self, network: bytes) -> str:
        """Count one connection more, of which `leave` must be told when it is gone; if it is refused, says for what."""
        if limit := self.refusal(network):
            return limit
        client = self._clients.get(network)
        if client is None:
            client = self._gone.pop(network, None) or _Client(0, self._burst, self._now())
            self._clients[network] = client
        client.connections += 1
        if self._per_second:
            client.tokens = self._count(client) - 1
        return ""

    def leave(self, network: bytes) -> None:
        """A connection that was admitted is gone."""
        client = self._clients[network]
        client.connections -= 1
        if client.connections:
            return
        del self._clients[network]
        if self._per_second and self._count(client) < self._burst:
            if len(self._gone) >= MAX_REMEMBERED:
                del self._gone[next(iter(self._gone))]
            self._gone[network] = client

    def turn(self, network: bytes) -> float:
        """Seconds that a request has to wait; infinity if that would be more than `MOST_WAIT_S`, and it is refused."""
        client = self._clients[network]
        left = self._count(client) - 1
        wait = self._wait(left)
        if wait > MOST_WAIT_S:
            return math.inf
        client.tokens = left
        return wait

    def _wait(self, tokens: float) -> float:
        return max(0.0, -tokens / self._per_second)

    def _count(self, client: _Client) -> float:
        """The tokens it has now."""
        now = self._now()
        # A clock that is put back gives nothing and takes nothing.
        client.tokens = min(self._burst, client.tokens + max(0.0, now - client.at) * self._per_second)
        client.at = now
        return client.tokens
