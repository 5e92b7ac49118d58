"""What policies cost a small authorised GET: CPU time of one process that has no socket and no thread.

    python -m bench.policies

A site over a real directory answers signed requests for 1 KiB from an in-memory transport.  The buckets differ in
nothing but their policies.  They take turns in short batches, so that whatever else the machine does hits all of them
alike, and what is told of one beside the first is the median of the differences within a turn.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import statistics
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal
from twisted.internet.address import IPv4Address
from twisted.internet.defer import execute
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from bench.cases import WrongAnswer, content
from bench.signing import Call, Credentials, Signer, sha256
from zs3.auth.credentials import UsersChecker
from zs3.auth.users import User
from zs3.store.deferred import FilesystemStore
from zs3.web.guard import S3Guard
from zs3.web.resources import Realm
from zs3.web.site import Site

_HOST = "bench.test"
_KEY = "read/object"
_SIZE = 1024
#: What has just changed is looked at each time: that is not what is measured.
_SETTLED_S = 1.5
_STATEMENTS = 20


def _statement(bucket: str, number: int, **other: Any) -> dict[str, Any]:
    return {
        "Sid": f"S{number}",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        **other,
    }


def _elsewhere(bucket: str, number: int) -> dict[str, Any]:
    """About GET, but by turns of other objects, by others, or not about GET at all."""
    return _statement(
        bucket,
        number,
        Effect=("Allow", "Deny")[number % 2],
        **(
            {"Resource": f"arn:aws:s3:::{bucket}/private-{number}/*"},
            {"Principal": {"AWS": f"arn:aws:iam::other{number}:root"}},
            {"Action": ["s3:PutObject", "s3:DeleteObject"]},
        )[number % 3],
    )


def _denial(bucket: str, number: int) -> dict[str, Any]:
    """About this very request, and each looks at it: none of the conditions holds."""
    return _statement(
        bucket,
        number,
        Effect="Deny",
        Condition=(
            {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.168.0.0/16"]}},
            {"StringLike": {"aws:UserAgent": f"robot-{number}*"}},
            {"DateGreaterThan": {"aws:CurrentTime": "2100-01-01T00:00:00Z"}},
            {"StringEquals": {"s3:signatureversion": "AWS"}},
        )[number % 4],
    )


_OWNER = User("OWNERKEY", "owner-secret", "admin", None, "owner")
#: Of another account: what it may, only a policy says.
_GUEST = User("GUESTKEY", "guest-secret", "admin", None, "guest", "guests")


@dataclass(frozen=True)
class _Case:
    """One bucket, and who reads there.

    :ivar statement: makes those of its policy, each of its number; None for no policy.
    :ivar tagged: whether something else is configured of it.
    """

    name: str
    title: str
    statement: Callable[[str, int], dict[str, Any]] | None = None
    tagged: bool = False
    user: User = _OWNER


#: The others are held against the first.
_CASES = (
    _Case("none", "no policy"),
    _Case("tagged", "no policy, but tags of the bucket", tagged=True),
    _Case("elsewhere", f"{_STATEMENTS} statements that do not apply", _elsewhere),
    _Case("match", f"{_STATEMENTS} statements that match", _statement),
    _Case("guest", f"{_STATEMENTS} statements that match, for another account", _statement, user=_GUEST),
    _Case("denials", f"{_STATEMENTS} denials whose conditions do not hold", _denial),
)

_TAGS = b"<Tagging><TagSet><Tag><Key>of</Key><Value>bench</Value></Tag></TagSet></Tagging>"


class _Transport(StringTransport):
    """Has what a channel asks of TCP."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed."""


class _Daemon:
    """A site without a network over a directory."""

    def __init__(self, data: str) -> None:
        self._clock = Clock()
        self._clock.rightNow = time.time()
        self._store = FilesystemStore(data, execute, self._clock, sync=False)
        users = UsersChecker({user.access_key: user for user in (_OWNER, _GUEST)})
        guard = S3Guard(
            Portal(Realm(self._store, users), [users, AllowAnonymousAccess()]),
            region=None,
            sigv2=False,
            domains=(),
            clock=self._clock,
        )
        site = Site(guard, clock=self._clock)
        self._store.start()
        self._transport = _Transport(peerAddress=IPv4Address("TCP", "10.1.2.3", 54321))
        protocol = site.buildProtocol(self._transport.getPeer())
        assert protocol is not None
        self._protocol = protocol
        protocol.makeConnection(self._transport)

    def signed(self, call: Call, user: User = _OWNER) -> bytes:
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

    def prepare(self, case: _Case) -> bytes:
        """Make a bucket and its object; the request for that."""
        self.write(f"/{case.name}")
        self.write(f"/{case.name}/{_KEY}", content(_SIZE))
        if case.tagged:
            self.write(f"/{case.name}", _TAGS, [("tagging", "")])
        if case.statement is not None:
            # As AWS, a new bucket takes no policy that is public.
            self.send(self.signed(Call("DELETE", f"/{case.name}", [("publicAccessBlock", "")])))
            statements = [case.statement(case.name, number) for number in range(_STATEMENTS)]
            document = json.dumps({"Version": "2012-10-17", "Statement": statements}).encode("ascii")
            self.write(f"/{case.name}", document, [("policy", "")])
        return self.signed(Call("GET", f"/{case.name}/{_KEY}"), case.user)

    def check(self, request: bytes) -> None:
        """Look at the answer."""
        body = self.send(request)
        if body != content(_SIZE):
            raise WrongAnswer(f"{request[:60]!r}: other bytes")

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


def measure(data: str, rounds: int, times: int) -> list[tuple[str, float, float, float]]:
    """For each case its title, and in microseconds the least, the median, and the median difference to the first."""
    daemon = _Daemon(data)
    try:
        requests = [daemon.prepare(case) for case in _CASES]
        time.sleep(_SETTLED_S)
        for request in requests * 3:
            daemon.check(request)
            daemon.run(request, times)
        gc.collect()
        turns = [[daemon.run(request, times) for request in requests] for _ in range(rounds)]
        for request in requests:
            daemon.check(request)
    finally:
        daemon.stop()
    figures = []
    for number, case in enumerate(_CASES):
        taken = [turn[number] for turn in turns]
        more = statistics.median(turn[number] - turn[0] for turn in turns)
        figures.append((case.title, min(taken), statistics.median(taken), more))
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = argparse.ArgumentParser(
        prog="python -m bench.policies", description="Measures what the policy of a bucket costs a GET of 1 KiB."
    )
    options.add_argument("--rounds", type=int, default=200, help="how often all take their turn")
    options.add_argument("--times", type=int, default=100, help="requests in a turn")
    options.add_argument("--directory", help="where the data is put for the time of the run")
    given = options.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="zs3-bench-", dir=given.directory) as data:
        figures = measure(data, given.rounds, given.times)
    sys.stdout.write(f"{'GET of 1 KiB, CPU microseconds':50}  least  median  more\n")
    for title, least, median, more in figures:
        sys.stdout.write(f"{title:50} {least:6.1f} {median:7.1f} {more:+5.1f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
