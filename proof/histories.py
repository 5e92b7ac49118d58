"""Clients at the same keys at once: ``python -m proof.histories [HISTORIES [PROCESSES [SEED]]]``.

Eight clients do a hundred things between them, to two or three keys of a bucket that keeps versions or does not.  Can
what they saw have happened one after the other?  In one of twenty a daemon or a worker is killed meanwhile.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.e2e.histories import Recording, Versions, run
from tests.e2e.objecthistories import Objects
from tests.e2e.two import Two
from tests.e2e.workers import pids
from tests.linearizability import TooMany

CLIENTS = 8
OPERATIONS = 100
#: How many are made by the same daemons.
_CHUNK = 250
_PLACES: Mapping[str, tuple[str, ...]] = {
    "two daemons": (),
    "two daemons of two workers each": ("--workers", "2"),
    "two daemons with --sync on": ("--sync", "on"),
}
#: Those that make each other give way, that go with their directory, and that have nothing to do with each other.
_KEYS = (("a", "a/b", "a/b/c"), ("new/x", "new/y"), ("a", "a/b", "a.b"), ("dir/", "dir/x"), ("a", "b", "c"))


class _Place:
    """Two daemons on a directory, and a bucket for all that keeps no versions."""

    def __init__(self, two: Two) -> None:
        self.two = two
        self.bucket = two.new_bucket()
        assert two.clients[0]("PUT", f"/{self.bucket}").status == 200
        self._seen: Counter[Path] = Counter()

    def traces(self) -> str:
        """What the daemons have logged of errors that nobody expected, since this was asked for the last time."""
        found = []
        for daemon in self.two.daemons:
            events = re.split(r"^(?=\S)", daemon.log(), flags=re.MULTILINE)
            traces = [each for each in events if "Traceback" in each or "Unhandled" in each]
            found += traces[self._seen[daemon.home] :]
            self._seen[daemon.home] = len(traces)
        return "\n".join(found)

    def history(self, seed: int, done: Counter[str]) -> str:
        """Let clients make one, and look at it; what is wrong with it, "" for nothing."""
        chance = random.Random(seed)
        keys = chance.choice(_KEYS)
        recordings: list[Recording] = []
        if seed % 4 == 3:
            done["of versions"] += 1
            bucket = self.two.new_versioned_bucket()
            recordings += (Versions(bucket, key) for key in keys[:2])
        else:
            recordings.append(Objects(self.bucket, f"{seed}/", keys))
        meanwhile, afterwards = self._kill(chance.randrange(2), done) if not chance.randrange(20) else (None, None)
        # In turns, so that a hundred is divided among eight.
        run(
            recordings,
            self.two.endpoints,
            CLIENTS,
            (OPERATIONS + seed % CLIENTS) // CLIENTS,
            seed,
            meanwhile or _nothing,
        )
        if afterwards is not None:
            afterwards()
        found = "\n".join(filter(None, (each.check(self.two.endpoints()) for each in recordings)))
        for each in recordings:
            done.update(each.count)
        return found

    def _kill(self, side: int, done: Counter[str]) -> tuple[Callable[[], None], Callable[[], None]]:
        """What kills a daemon or one of its workers, and what to do afterwards."""
        workers = pids(self.two.daemons[side])
        if workers:
            done["killed workers"] += 1
            # The daemon starts another, and the client's connection may have been to this one.
            return partial(_kill, workers[max(workers)]), self.two.clients[side].close
        done["killed daemons"] += 1
        return partial(self.two.kill, side), partial(self.two.revive, side)


def _nothing() -> None:
    pass


def _kill(worker: int) -> None:
    # It may be dead from the last time, and the next one not there yet.
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)


def _end(place: _Place, done: Counter[str]) -> None:
    """As `Two.stop` does it, but that a worker was killed is logged as an error."""
    for client, daemon in zip(place.two.clients, place.two.daemons, strict=True):
        client.close()
        daemon.terminate()
        daemon.wait()
    if unexpected := place.traces():
        done["violations"] += 1
        print(f"in the logs: {unexpected}", flush=True)


@contextmanager
def _places(done: Counter[str]) -> Iterator[list[_Place]]:
    with ExitStack() as stack:
        places = []
        for arguments in _PLACES.values():
            two = Two(Path(stack.enter_context(tempfile.TemporaryDirectory())), *arguments)
            two.start()
            places.append(_Place(two))
            stack.callback(_end, places[-1], done)
        yield places


def _chunk(seeds: range) -> Counter[str]:
    done: Counter[str] = Counter()
    with _places(done) as places:
        for seed in seeds:
            done["histories"] += 1
            place = places[seed % len(places)]
            try:
                found = place.history(seed, done)
            except TooMany:
                done["not judged"] += 1
                continue
            except Exception:
                found = traceback.format_exc()
            if found:
                done["violations"] += 1
                print(f"seed {seed}: {found}\n{place.traces()}", flush=True)
    return done


def main() -> int:
    most, processes, first = (*map(int, sys.argv[1:]), *(10_000, 2, 0)[len(sys.argv) - 1 :])
    start = time.monotonic()
    chunks = [range(at, min(at + _CHUNK, first + most)) for at in range(first, first + most, _CHUNK)]
    done: Counter[str] = Counter()
    with ProcessPoolExecutor(processes) as pool:
        for each in pool.map(_chunk, chunks):
            done += each
            took = time.monotonic() - start
            print(f"{done['histories']} histories, {done['violations']} violations, {took:.0f} s", flush=True)
    for name, count in sorted(done.items()):
        print(f"{name:20} {count:10,}")
    return bool(done["violations"] + done["not judged"])


if __name__ == "__main__":
    sys.exit(main())
