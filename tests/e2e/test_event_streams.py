"""Streams of events, as curl hears them."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.daemon import ACCESS_KEY, PATIENCE, REGION, SECRET_KEY, Daemon, running
from tests.e2e.test_events import Connect, connect
from tests.e2e.workers import only

__all__ = ["connect"]


class Curl:
    """`curl` that listens to the bucket `photos`.

    :ivar ids: of the events that it heard.
    """

    def __init__(self, daemon: Daemon, *arguments: str, query: str = "events=") -> None:
        self.ids: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            [
                *("curl", "-sN", "--noproxy", "*", "--aws-sigv4", f"aws:amz:{REGION}:s3"),
                *("--user", f"{ACCESS_KEY}:{SECRET_KEY}", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"),
                *(*arguments, f"{daemon.plain.url}/photos?{query}"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line(self) -> str:
        return self._lines.get(timeout=PATIENCE)

    def begin(self) -> None:
        """Wait until it hears."""
        while not re.fullmatch("id: [0-9a-f]{16}", self.line()):
            pass

    def hear(self) -> tuple[str, str]:
        """The next event, and the key that it is about."""
        lines: dict[str, str] = {}
        while "data" not in lines:
            name, _, value = self.line().partition(": ")
            lines[name] = value
        self.ids.append(lines.get("id", ""))
        return lines["event"], json.loads(lines["data"]).get("s3", {}).get("object", {}).get("key", "")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def listening(daemon: Daemon, *arguments: str, query: str = "events=") -> Iterator[Curl]:
    curl = Curl(daemon, *arguments, query=query)
    try:
        yield curl
    finally:
        curl.end()


def test_curl_hears_what_happens(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path, tmp_path / "data") as daemon:
        s3 = connect(daemon)
        s3.create_bucket(Bucket="photos")
        query = "events=s3%3AObjectCreated%3APut&prefix=a"
        with listening(daemon) as all_of_it, listening(daemon, query=query) as some:
            all_of_it.begin()
            some.begin()
            for key in ("b", "a"):
                s3.put_object(Bucket="photos", Key=key)
            s3.delete_object(Bucket="photos", Key="a")
            assert [all_of_it.hear() for _ in range(3)] == [
                ("ObjectCreated:Put", "b"),
                ("ObjectCreated:Put", "a"),
                ("ObjectRemoved:Delete", "a"),
            ]
            assert some.hear() == ("ObjectCreated:Put", "a")


def test_it_hears_of_all_workers_and_goes_on_at_any(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path, tmp_path / "data", "--workers", "3") as daemon:
        connect(daemon).create_bucket(Bucket="photos")
        with only(daemon, 1):
            first = Curl(daemon)
            first.begin()
        for number in (1, 2, 3):
            with only(daemon, number):
                connect(daemon).put_object(Bucket="photos", Key=str(number))
        assert [first.hear()[1] for _ in range(3)] == ["1", "2", "3"]
        first.end()
        connect(daemon).put_object(Bucket="photos", Key="4")
        with only(daemon, 2):
            again = Curl(daemon, "-H", f"Last-Event-ID: {first.ids[0]}")
            again.begin()
        assert [again.hear()[1] for _ in range(3)] == ["2", "3", "4"]
        again.end()


def test_a_stream_does_not_hold_up_the_end(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path, tmp_path / "data", "--workers", "2", "--drain-timeout", "30") as daemon:
        connect(daemon).create_bucket(Bucket="photos")
        with listening(daemon) as curl:
            curl.begin()
            daemon.terminate()
            assert daemon.has_ended(10)
            assert curl.process.wait(PATIENCE) == 0


def test_after_a_restart_it_is_told_of_the_gap(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path, tmp_path / "data") as daemon:
        s3 = connect(daemon)
        s3.create_bucket(Bucket="photos")
        with listening(daemon) as curl:
            curl.begin()
            s3.put_object(Bucket="photos", Key="a")
            curl.hear()
    with (
        running(tmp_path, tmp_path / "data") as daemon,
        listening(daemon, "-H", f"Last-Event-ID: {curl.ids[0]}") as curl,
    ):
        assert curl.hear() == ("gap", "")
