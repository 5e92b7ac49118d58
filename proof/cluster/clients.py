"""Clients that write all the time, each to keys of its own, and know what must be there then."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

from tests.e2e.daemon import Endpoint
from tests.e2e.signed import Client, code

_KEYS = 40
#: Of every so many requests one is a deletion.
_DELETIONS = 10
#: What stands for no object.
GONE = ""


@dataclass
class Figures:
    """What clients saw in some time.

    :ivar answered: the writes that were acknowledged.
    :ivar refused: what else came, by the code of the S3 error, or the name of the exception where nothing came.
    :ivar slowest_s: the longest that one of them waited for an answer, or for its absence.
    :ivar silence_s: the longest time in which none of them had a write acknowledged.
    """

    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0
    silence_s: float = 0

    def __str__(self) -> str:
        refused = ", ".join(f"{count} {what}" for what, count in sorted(self.refused.items())) or "none"
        return (
            f"{self.answered} acknowledged, refused: {refused}, slowest {self.slowest_s:.1f} s, "
            f"longest without any {self.silence_s:.1f} s"
        )


class Writers:
    """They write while this is entered.

    :param endpoint: where they go.
    :ivar bucket: what they write to.
    """

    def __init__(self, endpoint: Endpoint, bucket: str, number: int = 8) -> None:
        self._endpoint, self.bucket = endpoint, bucket
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(each,)) for each in range(number)]
        #: Of each key what may be there: what was acknowledged last, and what had no answer: that may happen later yet.
        self._allowed: dict[str, list[str]] = {}
        self._figures = Figures()
        self._last = 0.0

    def __enter__(self) -> Writers:
        self._last = time.monotonic()
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for each in self._threads:
            each.join()

    def figures(self, seconds: float = 0) -> Figures:
        """What they saw since this was asked last, after so many more seconds."""
        time.sleep(seconds)
        with self._lock:
            found, self._figures = self._figures, Figures()
            now = time.monotonic()
            found.silence_s = max(found.silence_s, now - self._last)
            self._last = now
        return found

    def _write(self, number: int) -> None:
        chance = random.Random(number)
        client = Client(self._endpoint)
        turn = 0
        while not self._stopping.is_set():
            turn += 1
            key = f"{number}/{chance.randrange(_KEYS)}"
            value = GONE if turn % _DELETIONS == 0 else f"{number} {turn} " * chance.choice((1, 1, 1, 10_000))
            with self._lock:
                allowed = self._allowed.setdefault(key, [GONE])
            start = time.monotonic()
            try:
                answer = client("DELETE" if value == GONE else "PUT", f"/{self.bucket}/{key}", body=value.encode())
                refused = code(answer)
            except (HTTPException, OSError) as error:
                refused = type(error).__name__
            now = time.monotonic()
            with self._lock:
                self._figures.slowest_s = max(self._figures.slowest_s, now - start)
                if refused:
                    self._figures.refused[refused] += 1
                    allowed.append(value)
                else:
                    self._figures.answered += 1
                    self._figures.silence_s = max(self._figures.silence_s, now - self._last)
                    self._last = now
                    allowed[0] = value
            if refused:
                # A client that comes again at once would do nothing else.
                self._stopping.wait(0.05)
        client.close()

    def wrong(self, endpoints: Sequence[Endpoint]) -> list[str]:
        """What is not as it was acknowledged, once they have ended."""
        found = []
        for endpoint in endpoints:
            client = Client(endpoint)
            for key, allowed in self._allowed.items():
                answer = client("GET", f"/{self.bucket}/{key}")
                value = GONE if answer.status == 404 else answer.body.decode()
                if answer.status not in (200, 404) or value not in allowed:
                    found.append(f"{endpoint.port}: {key}: {answer.status} {value[:30]!r}, not {allowed[0][:30]!r}")
            client.close()
        return found

    @property
    def keys(self) -> int:
        return len(self._allowed)
