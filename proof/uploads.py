"""A thousand uploads at once, in step: ``python -m proof.uploads [N]``.

Objects of 1 to 4 MiB, then parts of 1 MiB, then both at a daemon with two workers, and objects over TLS.  None may fail
but with SlowDown, all that were answered 200 are read again, and memory is bounded.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.e2e.daemon import Daemon, Endpoint
from tests.e2e.signed import Client, elements
from tests.e2e.workers import pids
from tests.load.crowd import told
from tests.load.growth import MIB, cpu_seconds, sample
from tests.load.tally import Body
from tests.load.uploads import Upload, send, wrong_bytes

#: What an upload may take of the daemon's memory at most, in bytes.
_PROMISED = MIB


class _Peak(threading.Thread):
    """The most memory that processes hold together at one time."""

    def __init__(self, processes: list[int]) -> None:
        super().__init__()
        self._processes, self._ended = processes, threading.Event()
        self.memory, self.fds, self.threads = 0.0, 0, 0

    def run(self) -> None:
        while not self._ended.wait(0.2):
            taken = sample(self._processes)
            if taken is not None:
                self.memory = max(self.memory, taken.memory)
                self.fds, self.threads = max(self.fds, taken.fds), max(self.threads, taken.threads)

    def end(self) -> None:
        self._ended.set()
        self.join()


def _round(what: str, daemon: Daemon, endpoint: Endpoint, uploads: list[Upload]) -> list[str]:
    """Send some, all at once; what was wrong."""
    processes = [daemon.pid, *pids(daemon).values()]
    before = sample(processes)
    assert before is not None
    peak, used = _Peak(processes), sum(map(cpu_seconds, processes))
    at_once = 0

    def under_way() -> bool:
        nonlocal at_once
        at_once = max(at_once, len(_being_written(daemon.data)))
        return at_once >= len(uploads)

    peak.start()
    try:
        outcome = send(endpoint, uploads, under_way)
    finally:
        peak.end()
    used = sum(map(cpu_seconds, processes)) - used
    size = sum(each.body.size for each in uploads)
    each = (peak.memory - before.memory) / len(uploads)
    print(
        f"{what}: {len(uploads)} of {size / MIB:.0f} MiB in {outcome.seconds:.1f} s, connected after "
        f"{outcome.connecting:.1f} s; {dict(outcome.codes)}\n"
        f"   answered after {told([each.seconds for each in uploads])}; {at_once} were under way at once\n"
        f"   MiB {before.memory / MIB:.1f} -> {peak.memory / MIB:.1f}, {each / 1024:.0f} KiB each; "
        f"fds {before.fds} -> {peak.fds}, threads {peak.threads}; {used:.1f} s of CPU time",
        flush=True,
    )
    wrong = [f"{what}: {count} x {code}" for code, count in outcome.codes.items() if code not in ("", "SlowDown")]
    if each > _PROMISED:
        wrong.append(f"{what}: {each / MIB:.2f} MiB of memory for each")
    time.sleep(1)
    after = sample(processes)
    assert after is not None
    # Each process keeps some open of what it has used once.
    if after.fds > before.fds + 6 * len(processes):
        wrong.append(f"{what}: {after.fds} descriptors instead of {before.fds}")
    if left := _being_written(daemon.data):
        wrong.append(f"{what}: {len(left)} temporary files are left")
    return wrong


def _being_written(data: Path) -> list[Path]:
    return [each for each in data.glob(".zs3/tmp/*/*") if each.name != "owner"]


def _objects(daemon: Daemon, endpoint: Endpoint, number: int, what: str) -> list[str]:
    chance = random.Random(number)
    uploads = [
        Upload(f"/bucket/{turn % 37}/{turn}", Body(f"{what} {turn}", chance.randint(1, 4) * MIB - turn))
        for turn in range(number)
    ]
    wrong = _round(what, daemon, endpoint, uploads)
    client = Client(daemon.plain)

    def read(path: str) -> tuple[int, bytes]:
        answer = client("GET", path)
        return answer.status, answer.body

    wrong += wrong_bytes(read, uploads)
    for each in uploads:
        answer = client("DELETE", each.path)
        if answer.status != 204:
            wrong.append(f"DELETE {each.path}: {answer.status}")
    client.close()
    return wrong


def _parts(daemon: Daemon, endpoint: Endpoint, number: int, what: str) -> list[str]:
    client = Client(daemon.plain)
    upload = elements(client("POST", "/bucket/parts", {"uploads": ""}).body).findtext("UploadId") or ""
    uploads = [
        Upload(f"/bucket/parts?partNumber={turn}&uploadId={upload}", Body(f"part {turn}", MIB))
        for turn in range(1, number + 1)
    ]
    wrong = _round(what, daemon, endpoint, uploads)
    good = [each for each in uploads if each.status == 200]
    wrong += [f"{each.path}: ETag {each.etag}" for each in good if each.etag != each.body.md5]
    listed = elements(client("GET", "/bucket/parts", {"uploadId": upload, "max-parts": "1000"}).body)
    found = {(each.findtext("PartNumber"), (each.findtext("ETag") or "").strip('"')) for each in listed.iter("Part")}
    expected = {(each.body.name.split()[1], each.body.md5) for each in good}
    if not expected <= found and number <= 1000:
        wrong.append(f"{what}: {len(expected - found)} parts are not listed")
    answer = client("DELETE", "/bucket/parts", {"uploadId": upload})
    if answer.status != 204:
        wrong.append(f"abort: {answer.status}")
    client.close()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.uploads", description=__doc__)
    parser.add_argument("number", type=int, nargs="?", default=1000, metavar="N")
    parser.add_argument("--tls", type=int, default=250, help="how many over TLS")
    parser.add_argument("--directory", type=Path, help="where to make the data directory")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wrong: list[str] = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory(dir=options.directory) as name:
            home = Path(name)
            (home / "data" / "bucket").mkdir(parents=True)
            daemon = Daemon(home, home / "data", "--workers", str(workers), "--access-log", "off")
            daemon.start()
            print(f"--workers {workers}", flush=True)
            try:
                wrong += _objects(daemon, daemon.plain, options.number, "objects")
                wrong += _parts(daemon, daemon.plain, options.number, "parts")
                wrong += _objects(daemon, daemon.tls, options.tls, "objects over TLS")
            except BaseException:
                daemon.kill()
                raise
            daemon.stop()
    for each in wrong[:50]:
        print(f"WRONG: {each}")
    print(f"{len(wrong)} violations")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
