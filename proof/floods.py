"""What an honest client notices of floods: ``python -m proof.floods [--seconds N] [--flood NAME]``.

Each flood of `tests.load.floods` comes from four addresses to a daemon without limits per address, and to one with
them.  From a fifth one, a client makes signed requests over plain HTTP and TLS, on a connection that stays and on new
ones; how long they take is held against what they took before.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from tests.e2e.daemon import Daemon, Endpoint
from tests.e2e.signed import Client
from tests.load.crowd import percentile
from tests.load.floods import COUNTED, FLOODS, flood
from tests.load.growth import MIB, Sample, cpu_seconds, sample

VARIANTS = {
    "no limits": (*COUNTED, "--address-connections", "0"),
    "limits": (*COUNTED, "--address-connections", "100", "--address-requests", "200"),
}
#: Seconds between two requests of the honest client.
_PAUSE_S = 0.02


@dataclass
class Honest:
    """:ivar seconds: how long its requests took.
    :ivar errors: those that failed.
    """

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def ask(self, endpoints: Sequence[Endpoint], duration: float) -> None:
        """GETs and PUTs for so many seconds."""
        staying = [Client(endpoint) for endpoint in endpoints]
        end, turn = time.monotonic() + duration, 0
        try:
            while time.monotonic() < end:
                turn += 1
                side = turn % len(endpoints)
                client = Client(endpoints[side]) if turn % 5 == 0 else staying[side]
                start = time.perf_counter()
                try:
                    if turn % 4 == 0:
                        answer = client("PUT", f"/bucket/honest-{turn % 50}", body=b"x" * 4096)
                    else:
                        answer = client("GET", "/bucket/key")
                    if answer.status != 200:
                        self.errors.append(f"{answer.status} {answer.body[:200]!r}")
                except (OSError, HTTPException) as error:
                    self.errors.append(repr(error))
                self.seconds.append(time.perf_counter() - start)
                if client not in staying:
                    client.close()
                time.sleep(_PAUSE_S)
        finally:
            for each in staying:
                each.close()

    def __str__(self) -> str:
        return (
            f"p50 {percentile(self.seconds, 0.5) * 1e3:6.1f}  p99 {percentile(self.seconds, 0.99) * 1e3:7.1f}  "
            f"longest {max(self.seconds, default=0) * 1e3:6.0f} ms  of {len(self.seconds):4}, {len(self.errors)} errors"
        )


def _held(daemon: Daemon) -> Sample:
    found = sample([daemon.pid])
    assert found is not None, "the daemon has ended"
    return found


def _variant(name: str, home: Path, floods: Sequence[str], seconds: float) -> bool:
    """One daemon and all floods; whether it was in order afterwards."""
    bucket = home / "data" / "bucket"
    bucket.mkdir(parents=True)
    (bucket / "key").write_bytes(b"x" * 1024)
    (bucket / "large").write_bytes(b"x" * (8 << 20))
    (bucket / "secret").write_bytes(b"x")
    arguments = ("--access-log", "off", "--sync", "off", "--no-watch", *VARIANTS[name])
    daemon = Daemon(home, home / "data", *arguments)
    daemon.start()
    good = True
    try:
        endpoints = daemon.plain, daemon.tls
        Honest().ask(endpoints, 2)
        quiet = Honest()
        quiet.ask(endpoints, seconds)
        print(f"{name:9}  {'quiet':27} {quiet}", flush=True)
        for each in floods:
            before, used = _held(daemon), cpu_seconds(daemon.pid)
            honest, start = Honest(), time.monotonic()
            with flood(each, *endpoints) as did:
                time.sleep(1)
                honest.ask(endpoints, seconds)
                during, told = _held(daemon), did.value
            used, took = cpu_seconds(daemon.pid) - used, time.monotonic() - start
            end = time.monotonic() + 90
            # What was begun and is gone costs nothing.
            while (after := _held(daemon)).fds > before.fds + 20:
                if time.monotonic() > end:
                    good = False
                    break
                time.sleep(0.5)
            print(
                f"{name:9}  {each:27} {honest}\n{'':39}{told} done or held, {used / took:4.0%} of a core, MiB "
                f"{before.memory / MIB:.0f} -> {during.memory / MIB:.0f} -> {after.memory / MIB:.0f}, "
                f"fds {before.fds} -> {during.fds} -> {after.fds}",
                flush=True,
            )
            for error in honest.errors[:3]:
                print(f"{'':39}{error}")
            if name == "limits" and honest.errors:
                good = False
    finally:
        daemon.kill()
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.floods", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="of each flood")
    parser.add_argument("--flood", action="append", choices=FLOODS)
    parser.add_argument("--variant", action="append", choices=VARIANTS)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    good = True
    for variant in options.variant or VARIANTS:
        with tempfile.TemporaryDirectory() as name:
            good &= _variant(variant, Path(name), options.flood or list(FLOODS), options.seconds)
    print("in order" if good else "WRONG")
    return not good


if __name__ == "__main__":
    sys.exit(main())
