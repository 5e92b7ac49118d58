"""A daemon without a network: a site over a real directory in this process, whose requests come from memory."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal
from twisted.internet.address import IPv4Address
from twisted.internet.defer import execute
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from bench.cases import WrongAnswer
from bench.signing import Call, Credentials, Signer, sha256
from zs3.auth.credentials import UsersChecker
from zs3.auth.users import User
from zs3.store.deferred import FilesystemStore
from zs3.web.guard import S3Guard
from zs3.web.resources import Realm
from zs3.web.site import Site

_HOST = "bench.test"
OWNER = User("OWNERKEY", "owner-secret", "admin", None, "owner")


class _Transport(StringTransport):
    """Has what a channel asks of TCP."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed."""


class Daemon:
    """A site without a network over a directory."""

    def __init__(self, data: str, *more: User, observer: Any = None) -> None:
        """
        :param more: users beside `OWNER`.
        :param observer: what counts, see `zs3.metrics.instruments`.
        """
        self._clock = Clock()
        self._clock.rightNow = time.time()
        self._store = FilesystemStore(data, execute, self._clock, sync=False, observer=observer)
        users = UsersChecker({user.access_key: user for user in (OWNER, *more)})
        guard = S3Guard(
            Portal(Realm(self._store, users), [users, AllowAnonymousAccess()]),
            region=None,
            sigv2=False,
            domains=(),
            clock=self._clock,
        )
        site = Site(guard, clock=self._clock, observer=observer)
        self._store.start()
        self._transport = _Transport(peerAddress=IPv4Address("TCP", "10.1.2.3", 54321))
        protocol = site.buildProtocol(self._transport.getPeer())
        assert protocol is not None
        self._protocol = protocol
        protocol.makeConnection(self._transport)

    def signed(self, call: Call, user: User = OWNER) -> bytes:
        """The head of a request."""
        return Signer(_HOST, Credentials(user.access_key, user.secret_key), self._clock.rightNow).head(call)

    def send(self, request: bytes) -> bytes:
        """The body of the answer, which must be a success."""
        self._protocol.dataReceived(request)
        self._clock.advance(0)
        answer: bytes = self._transport.value()
        head, _, body = answer.partition(b"\r\n\r\n")
        self._transport.clear()
        if not head.startswith(b"HTTP/1.1 20"):
            raise WrongAnswer(f"{request[:60]!r}: {head[:60]!r} {body[:300]!r}")
        return body

    def write(self, path: str, body: bytes = b"", query: Sequence[tuple[str, str]] = ()) -> None:
        """PUT something."""
        digest = (("content-md5", b64encode(hashlib.md5(body).digest()).decode("ascii")),)
        self.send(self.signed(Call("PUT", path, query, len(body), sha256(body), digest)) + body)

    def run(self, request: bytes, times: int) -> float:
        """Microseconds of CPU time for one of so many requests."""
        receive, clear = self._protocol.dataReceived, self._transport.clear
        before = time.process_time_ns()
        for _ in range(times):
            receive(request)
            clear()
        return (time.process_time_ns() - before) / times / 1000

    def stop(self) -> None:
        self._store.stop()
