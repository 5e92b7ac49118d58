"""What versions cost, where there are very many: CPU time of one process that has no socket and no thread.

    python -m bench.versions

A site over a real directory answers signed requests from memory: PUTs of 1 KiB and pages of 1,000 entries, of a bucket
that never kept versions, of one that has begun to, of a key with 100,000 versions and of a bucket with 1,000,000.  They
take turns.  The versions are made in the directory, each a file with a record, as zs3 leaves them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cases import WrongAnswer, content
from bench.inprocess import Daemon
from bench.signing import Call, sha256
from zs3.store import layout, records
from zs3.store.metadata import Record, pack
from zs3.store.versionids import Entry, new_id

_SIZE = 1024
_PAGE = 1000
_ENABLED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
_BEGUN_NS = 1_700_000_000_000_000_000
#: What has just changed is looked at anew each time: that is not what is measured.
_SETTLED_S = 1.5
_PER_KEY, _PER_DIRECTORY = 10, 1000
_FLAT, _YOUNG, _DEEP, _WIDE = "never", "begun", "deep", "wide"


@dataclass(frozen=True)
class _Case:
    """:ivar request: gives the next request."""

    title: str
    request: Callable[[], bytes]


class _Bench:
    """The buckets, and requests for them.

    :ivar cases: what is measured.
    """

    def __init__(self, data: str, deep: int, wide: int) -> None:
        """:param deep: versions of one key.
        :param wide: versions in a bucket.
        """
        self._data = Path(data)
        self.daemon = Daemon(data)
        for bucket in (_FLAT, _YOUNG, _DEEP, _WIDE):
            self.daemon.write(f"/{bucket}")
            if bucket != _FLAT:
                self.daemon.write(f"/{bucket}", _ENABLED, [("versioning", "")])
        for number in range(2 * _PAGE):
            # What was shown in one way is not remembered for another.
            self.daemon.write(f"/{_FLAT}/list/{number:07}", b"")
            self.daemon.write(f"/{_FLAT}/versions/{number:07}", b"")
            self.daemon.write(f"/{_YOUNG}/list/{number:07}", b"")
        self.daemon.write(f"/{_DEEP}/key", content(_SIZE))
        middle = self._make_versions(_DEEP, "key", deep, deep // 2)
        for number in range(wide // _PER_KEY):
            self._make_versions(_WIDE, _key(number), _PER_KEY, 0)
        keys = wide // _PER_KEY
        half = [("key-marker", _key(keys // 2))]
        self.cases = (
            self._put("where versions were never kept", _FLAT),
            self._put("of a new version", _YOUNG),
            self._put(f"of one more than {deep:,} versions", _DEEP),
            self._put(f"of a version, among {wide:,} of others", _WIDE),
            self._page(
                "of objects, never versioned", _PAGE, _FLAT, [("list-type", "2"), ("prefix", "list/")], "Contents"
            ),
            self._page("of versions, never versioned", _PAGE, _FLAT, [("prefix", "versions/")]),
            self._page("of versions, one of each key", _PAGE, _YOUNG, [("prefix", "list/")]),
            # The PUT came before it.
            self._page(f"of {deep:,} versions of a key, after a change", deep + 1, _DEEP, []),
            self._page("of these, the first again", deep + 1, _DEEP, []),
            self._page(
                "of these, in the middle", deep // 2, _DEEP, [("key-marker", "key"), ("version-id-marker", middle)]
            ),
            self._page(f"of {wide:,} versions, the first", wide, _WIDE, []),
            self._page("of these, in the middle", (keys - keys // 2 - 1) * _PER_KEY, _WIDE, half),
        )

    def _make_versions(self, bucket: str, key: str, count: int, wanted: int) -> str:
        """Make older versions of a key; the id of one by its number."""
        [root] = self._data.glob(f".zs3/versions/{bucket}")
        directory = os.path.join(os.path.realpath(os.fsencode(root)), *layout.encode_history(key))
        os.makedirs(directory)
        found = ""
        for number in range(count):
            made_ns = _BEGUN_NS + number * 1_000_000_001
            version = new_id(made_ns)
            fd = os.open(os.path.join(directory, Entry(version, False).name), os.O_CREAT | os.O_WRONLY, 0o600)
            os.utime(fd, ns=(made_ns, made_ns))
            os.setxattr(fd, records.ATTRIBUTE, pack(Record(0, made_ns, hashlib.md5(b"").digest(), version=version)))
            os.close(fd)
            found = version if number == wanted else found
        return found

    def _put(self, title: str, bucket: str) -> _Case:
        body = content(_SIZE)
        call = Call("PUT", f"/{bucket}/key", (), len(body), sha256(body))
        return _Case(f"PUT {title}", lambda: self.daemon.signed(call) + body)

    def _page(
        self, title: str, there: int, bucket: str, query: list[tuple[str, str]], element: str = "Version"
    ) -> _Case:
        """:param there: how many entries there are, of which a page has as many as it may."""
        asked = query if element == "Contents" else [("versions", ""), *query]
        request = self.daemon.signed(Call("GET", f"/{bucket}", asked))
        found = len(re.findall(f"<{element}>".encode(), self.daemon.send(request)))
        if found != min(_PAGE, there):
            raise WrongAnswer(f"a page {title} has {found} entries")
        return _Case(f"page {title}", lambda: request)

    def turns(self, rounds: int) -> Iterator[list[float]]:
        """What each case took, in milliseconds of CPU time, again and again."""
        for _ in range(rounds):
            # Else a page would be of what has just changed by a PUT.
            time.sleep(0.05)
            # After that pause all is slower for a moment.
            self.daemon.send(self.cases[0].request())
            taken = []
            for case in self.cases:
                request = case.request()
                before = time.process_time_ns()
                self.daemon.send(request)
                taken.append((time.process_time_ns() - before) / 1e6)
            yield taken


def _key(number: int) -> str:
    return f"{number // _PER_DIRECTORY:04}/{number % _PER_DIRECTORY:04}"


def measure(data: str, deep: int, wide: int, rounds: int) -> list[tuple[str, float, float]]:
    """For each case its title, and the least and the median in milliseconds."""
    bench = _Bench(data, deep, wide)
    try:
        time.sleep(_SETTLED_S)
        turns = list(bench.turns(rounds))
    finally:
        bench.daemon.stop()
    columns = zip(*turns, strict=True)
    return [
        (case.title, min(taken), statistics.median(taken)) for case, taken in zip(bench.cases, columns, strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = argparse.ArgumentParser(prog="python -m bench.versions", description="Measures what versions cost.")
    options.add_argument("--deep", type=int, default=100_000, help="versions of one key")
    options.add_argument("--wide", type=int, default=1_000_000, help="versions in one bucket")
    options.add_argument("--rounds", type=int, default=30, help="how often all take their turn")
    options.add_argument("--directory", help="where the data is put for the time of the run")
    given = options.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="zs3-bench-", dir=given.directory) as data:
        figures = measure(data, given.deep, given.wide, given.rounds)
    sys.stdout.write(f"{'CPU milliseconds':50}   least  median\n")
    for title, least, median in figures:
        sys.stdout.write(f"{title:50} {least:7.2f} {median:7.2f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
