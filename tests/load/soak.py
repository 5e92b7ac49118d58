"""A daemon under the load of several clients, with restarts, and with an eye on what it holds."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.e2e.daemon import ENDED, METRICS, Daemon
from tests.e2e.signed import Client as Connection
from tests.e2e.signed import elements
from tests.e2e.webhook import Receiver, receiving, targets_file
from tests.e2e.workers import pids, wait_until
from tests.load.client import PLAIN, VERSIONED, Client, Wrong
from tests.load.growth import Life, cpu_seconds, sample
from tests.load.tally import Gate, Interrupted, Tally
from tests.load.work import ABANDONED, COUNTER, EXPIRING, ORIGIN, WORK

#: Another spelling than those of the daemon's other endpoints, by which its log tells it from them.
_CONSOLE = "tcp:interface=127.0.0.1:port=0"
#: Seconds that lifecycle rules take for a day.
DAY_S = 60

_LIFECYCLE = (
    "<LifecycleConfiguration>"
    f"<Rule><ID>a</ID><Status>Enabled</Status><Filter><Prefix>{EXPIRING}</Prefix></Filter>"
    "<Expiration><Days>1</Days></Expiration></Rule>"
    f"<Rule><ID>b</ID><Status>Enabled</Status><Filter><Prefix>{ABANDONED}</Prefix></Filter>"
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
    "<Rule><ID>c</ID><Status>Enabled</Status><Filter></Filter><NoncurrentVersionExpiration>"
    "<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions>"
    "</NoncurrentVersionExpiration></Rule></LifecycleConfiguration>"
)
_NOTIFICATION = (
    "<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:us-east-1:000000000000:hook</Queue>"
    "<Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event><Event>s3:LifecycleExpiration:*</Event>"
    "</QueueConfiguration></NotificationConfiguration>"
)
_VERSIONING = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
_CORS = (
    f"<CORSConfiguration><CORSRule><AllowedOrigin>{ORIGIN}</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>"
    "</CORSRule></CORSConfiguration>"
)


@dataclass
class Hook(Receiver):
    """A target of events that only counts them: the run may be long."""

    count: int = 0

    def take(self, message: dict[str, Any], headers: dict[str, str]) -> int:
        with self.changed:
            self.count += len(message.get("Records", ()))
            return self.status


@dataclass(frozen=True)
class Left:
    """What is on the disk at the end, that is nothing to anybody."""

    temporary: int
    trash: int
    uploads: int
    expired: int


class Soak:
    """The daemon, its clients and its restarts, in the block of `running`.

    :param clients: how many there are.
    :param rate: what all of them together begin in a second, if the daemon is as fast.
    :param arguments: options of the daemon.
    :param bare: without metrics, console, access log and lifecycle rules.
    :ivar lives: of the daemon.
    """

    def __init__(
        self, home: Path, *arguments: str, clients: int = 8, rate: float = 40.0, seed: int = 1, bare: bool = False
    ) -> None:
        self.home, self._clients, self._rate, self._seed, self._bare = home, clients, rate, seed, bare
        self._arguments = list(arguments)
        self.tally, self.gate = Tally(), Gate()
        self.hook, self.heard = Hook(), 0
        self.lives: list[Life] = []
        self.largest_on_disk = 0
        self.cpu = 0.0
        self.clients: list[Client] = []
        self._threads: list[threading.Thread] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all of it; at the end of the block all has ended, whatever it is."""
        with ExitStack() as stack:
            if self._bare:
                arguments = [*self._arguments, "--access-log", "off"]
            else:
                stack.enter_context(receiving(receiver=self.hook))
                arguments = [
                    *self._arguments,
                    *("--metrics", METRICS, "--console", _CONSOLE, "--lifecycle-day", str(DAY_S)),
                    *("--event-targets", str(targets_file(self.home, self.hook.url, "batch = 50"))),
                    *("--access-log", str(self._access_log)),
                ]
            self.data = self.home / "data"
            self.data.mkdir()
            self.daemon = Daemon(self.home, self.data, *arguments)
            stack.callback(self._kill)
            self._start()
            self._make_buckets()
            stack.callback(self._end_clients)
            self._begin_clients()
            yield

    @property
    def _access_log(self) -> Path:
        return self.home / "access.log"

    def _make_buckets(self) -> None:
        wanted = [(PLAIN, "cors", _CORS), (VERSIONED, "versioning", _VERSIONING)]
        if not self._bare:
            for bucket in (PLAIN, VERSIONED):
                wanted += [(bucket, "lifecycle", _LIFECYCLE), (bucket, "notification", _NOTIFICATION)]
        self._set_up("PUT", f"/{PLAIN}")
        self._set_up("PUT", f"/{VERSIONED}")
        for bucket, query, body in wanted:
            self._set_up("PUT", f"/{bucket}", {query: ""}, body=body.encode())
        self._set_up("PUT", f"/{PLAIN}/{COUNTER}", body=b"0")

    def _set_up(self, method: str, path: str, query: dict[str, str] | None = None, body: bytes = b"") -> bytes:
        connection = Connection(self.daemon.plain)
        try:
            digest = base64.b64encode(hashlib.md5(body).digest()).decode()
            answer = connection(method, path, query, {"content-md5": digest}, body)
        finally:
            connection.close()
        assert answer.status == 200, answer.body
        return answer.body

    def _kill(self) -> None:
        with suppress(AssertionError):  # it was never started
            self.daemon.kill()

    # The clients

    def _begin_clients(self) -> None:
        self.clients = [Client(number, self._seed, self.gate, self.tally) for number in range(self._clients)]
        works: list[Callable[[], None]] = [lambda each=each: self._work(each) for each in self.clients]  # type: ignore[misc]
        works += [self._listen] if self._bare else [self._listen, self._visit]
        for work in works:
            thread = threading.Thread(target=self._guarded, args=(work,))
            self._threads.append(thread)
            thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.tally.violated(f"a client failed: {error!r}")
            raise

    def _end_clients(self) -> None:
        self.gate.end()
        self.gate.close()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self, client: Client) -> None:
        works, shares = [each for each, _ in WORK], [share for _, share in WORK]
        seen = self.gate.generation
        due = time.monotonic()
        try:
            while not self.gate.has_ended:
                with suppress(Interrupted):
                    if seen != (now := self.gate.pass_through()[0]):
                        client.verify()
                        seen = now
                    work = client.chance.choices(works, shares)[0]
                    client.attempt(work.__name__, lambda work=work: work(client))  # type: ignore[misc]
                due = max(due + client.chance.expovariate(self._rate / self._clients), time.monotonic() - 1)
                self.gate.wait(max(0.0, due - time.monotonic()))
        finally:
            client.close()

    def _listen(self) -> None:
        """Hear the events of the ordinary bucket."""
        while not self.gate.has_ended:
            connection = None
            with suppress(Interrupted, OSError, HTTPException):
                connection = Connection(self.gate.pass_through()[1][0])
                answer = connection.send("GET", f"/{PLAIN}", {"events": ""}).getresponse()
                while not self.gate.has_ended and (line := answer.readline()):
                    self.heard += line.startswith(b"event:")
            if connection is not None:
                connection.close()

    def _visit(self) -> None:
        """Look at the metrics and at the console, now and then."""
        while not self.gate.wait(3):
            try:
                generation, _ = self.gate.pass_through()
            except Interrupted:
                return
            for description, path in ((METRICS, "/metrics"), (_CONSOLE, "/"), (METRICS, "/-/ready")):
                try:
                    url = f"http://127.0.0.1:{self.daemon.port_of(description)}{path}"
                    with urllib.request.urlopen(url, timeout=30) as answer:
                        answer.read()
                except (OSError, HTTPException, AssertionError) as error:
                    if not self.gate.was_closed_since(generation):
                        self.tally.violated(f"GET {path} of {description}: {error!r}")
                else:
                    self.tally.did(f"visit {path}")

    # The daemon

    @property
    def processes(self) -> list[int]:
        return [self.daemon.pid, *pids(self.daemon).values()]

    def _start(self) -> None:
        self.daemon.start()
        self.lives.append(Life())
        self.gate.open([self.daemon.plain, self.daemon.plain, self.daemon.tls])

    def sample(self) -> None:
        """See what the daemon holds now."""
        taken = sample(self.processes, sum(1 for _ in self._temporary()))
        if taken is not None:
            self.lives[-1].samples.append(taken)

    def _temporary(self) -> Iterator[str]:
        for _, _, files in os.walk(self.data / ".zs3" / "tmp"):
            yield from (each for each in files if each not in ("lock", "owner"))

    def watch(self, seconds: float, interval: float = 5.0, reload_every: float = 60.0) -> None:
        """Let the load go on, and take samples meanwhile."""
        end = time.monotonic() + seconds
        reload_at = time.monotonic() + reload_every
        while (left := end - time.monotonic()) > 0:
            self.gate.wait(min(interval, left))
            self.sample()
            if time.monotonic() >= reload_at:
                reload_at += reload_every
                self.reload()
                self.largest_on_disk = max(self.largest_on_disk, on_disk(self.data))

    def reload(self) -> None:
        """SIGHUP, with another access log."""
        with suppress(FileNotFoundError):
            self._access_log.replace(self._access_log.with_suffix(".old"))
        os.kill(self.daemon.pid, signal.SIGHUP)
        self.tally.did("SIGHUP")

    def restart(self, kind: str) -> None:
        """End the daemon in the middle of its work and start it again, by `TERM` or `KILL`; or kill a `worker`."""
        self.gate.close()
        if kind == "worker":
            self._replace_worker()
            self.gate.open([self.daemon.plain, self.daemon.plain, self.daemon.tls])
        else:
            self._end(kind)
            self._start()
        self.tally.did(f"restart: {kind}")

    def _replace_worker(self) -> None:
        before = pids(self.daemon)
        number = min(before)
        os.kill(before[number], signal.SIGKILL)
        wait_until(lambda: pids(self.daemon)[number] != before[number], self.daemon)

    def _end(self, kind: str) -> None:
        self.cpu += sum(map(cpu_seconds, self.processes))
        self.lives[-1].end = kind
        if kind == "KILL":
            self.daemon.kill()
        else:
            self.daemon.terminate()
            status = self.daemon.wait()
            if status != ENDED:
                self.tally.violated(f"exit status {status} after SIGTERM")
        self._check_log()

    def _check_log(self) -> None:
        lines = self.daemon.log_of_this_run().splitlines(keepends=True)
        log = "".join(line for line in lines if not line.endswith("(signal 9), another is started now\n"))
        for sign in ("Traceback", "Unhandled", "#error]", "#critical]", "are cut"):
            if sign in log:
                at = log.index(sign)
                self.tally.violated(f"in the log: {log[max(0, at - 300) : at + 2000]}")

    def finish(self, patience: float) -> Left:
        """End the load and look at all that was acknowledged; then end the daemon and see what is left.

        :param patience: seconds that lifecycle rules may take to remove what they are for.
        """
        self._end_clients()
        self.gate = Gate()
        self.gate.open([self.daemon.plain])
        for client in self.clients:
            client.gate = self.gate
            client.verify()
            client.close()
        self._check_counter()
        expired = 0 if self._bare else self._wait_for_lifecycle(patience)
        self.gate.close()
        self._end("TERM")
        left = Left(
            sum(1 for _ in self._temporary()),
            len(os.listdir(self.data / ".zs3" / "trash")),
            len(os.listdir(self.data / ".uploads")),
            expired,
        )
        self.largest_on_disk = max(self.largest_on_disk, on_disk(self.data))
        shutil.rmtree(self.data)
        return left

    def _check_counter(self) -> None:
        seen = int(self._set_up("GET", f"/{PLAIN}/{COUNTER}"))
        if not self.tally.counted <= seen <= self.tally.counted + self.tally.uncertain:
            self.tally.violated(
                f"the counter is {seen} after {self.tally.counted} and perhaps {self.tally.uncertain} times"
            )

    def _wait_for_lifecycle(self, patience: float) -> int:
        """Until what expires has gone; how much has not."""
        end = time.monotonic() + patience
        while True:
            root = elements(self._set_up("GET", f"/{PLAIN}", {"list-type": "2", "prefix": EXPIRING}))
            left = len(root.findall("Contents"))
            root = elements(self._set_up("GET", f"/{PLAIN}", {"uploads": "", "prefix": ABANDONED}))
            left += len(root.findall("Upload"))
            if not left or time.monotonic() >= end:
                return left
            time.sleep(1)


def on_disk(directory: Path) -> int:
    """Bytes that the files below a directory take."""
    total = 0
    for root, _, files in os.walk(directory):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total


def verdict(soak: Soak) -> Sequence[str]:
    """What is wrong with a run that is over."""
    grown = [f"life {number}: {each}" for number, life in enumerate(soak.lives, 1) for each in life.growth()]
    return [*soak.tally.violations, *grown]


__all__ = ["Hook", "Left", "Soak", "Wrong", "on_disk", "verdict"]
