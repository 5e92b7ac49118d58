"""What clients under load have in common: the bytes they send, where the daemon is, and the count of all they saw."""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from tests.e2e.daemon import PATIENCE, Endpoint

#: Larger than any object here.
_POOL = random.Random(8).randbytes(12 << 20)


@dataclass(frozen=True)
class Body:
    """The content of an object: another one for each name, and the same again whenever it is asked for."""

    name: str
    size: int

    def bytes(self, start: int = 0, end: int | None = None) -> bytes:
        """All of it, or a piece."""
        end = self.size if end is None else min(end, self.size)
        head = f"{self.name};".encode()
        at = int.from_bytes(hashlib.blake2b(head, digest_size=4).digest()) % (len(_POOL) - self.size)
        return head[start:end] + _POOL[at + max(0, start - len(head)) : at + max(0, end - len(head))]

    @cached_property
    def md5(self) -> str:
        return hashlib.md5(self.bytes()).hexdigest()


class Interrupted(Exception):
    """There was no answer because the daemon was ended meanwhile."""


class Gate:
    """Where the daemon is, and whether it is there.

    Who ends it closes the gate first, so that a client that hears nothing knows whether it has reason to.

    :ivar generation: how often it was opened.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._endpoints: Sequence[Endpoint] = ()
        self._ended = False
        self.generation = 0

    def open(self, endpoints: Sequence[Endpoint]) -> None:
        with self._changed:
            self._endpoints = endpoints
            self.generation += 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._endpoints = ()

    def end(self) -> None:
        """There is no more to do."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; whether it has come."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, seconds)

    def pass_through(self) -> tuple[int, Sequence[Endpoint]]:
        """Wait until the daemon is there; gives its generation and its endpoints."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._endpoints or self._ended, PATIENCE):
                pass
            if not self._endpoints:
                raise Interrupted
            return self.generation, self._endpoints

    def was_closed_since(self, generation: int) -> bool:
        with self._changed:
            return not self._endpoints or self.generation != generation

    @property
    def has_ended(self) -> bool:
        return self._ended


class Tally:
    """What all clients have done and seen.

    :ivar done: requests by what they were for.
    :ivar errors: answers by the S3 code of their error, expected or not.
    :ivar violations: what must not have happened.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.violations: list[str] = []
        self.bytes_sent = self.bytes_read = 0
        self.counted, self.uncertain = 0, 0

    def did(self, what: str) -> None:
        with self._lock:
            self.done[what] += 1

    def answered(self, error: str, sent: int, read: int) -> None:
        with self._lock:
            self.bytes_sent += sent
            self.bytes_read += read
            if error:
                self.errors[error] += 1

    def violated(self, what: str) -> None:
        with self._lock:
            self.violations.append(what)

    @contextmanager
    def counting(self) -> Iterator[list[bool]]:
        """An attempt to count the shared counter up, whose end is not known until something is put in the list."""
        outcome: list[bool] = []
        with self._lock:
            self.uncertain += 1
        try:
            yield outcome
        finally:
            with self._lock:
                if outcome:
                    self.uncertain -= 1
                    self.counted += outcome[0]
