"""Clients that do things to one key at once, and a record of it for `tests.linearizability`."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from typing import Any

from tests.e2e.daemon import PATIENCE, Endpoint
from tests.e2e.plainhttp import Response
from tests.e2e.signed import Client, code, elements, texts
from tests.linearizability import FAILED, MISSING, NEVER, NOTHING, Marker, Operation

_KINDS = ("put", "put", "create", "swap", "swap", "delete", "remove", "remove", "get", "get", "get version")


class Recording:
    """One key while clients are at it.

    :param endpoints: gives those of the daemons as they are now.
    """

    def __init__(self, endpoints: Callable[[], Sequence[Endpoint]], bucket: str, key: str) -> None:
        self._endpoints = endpoints
        self._path = f"/{bucket}/{key}"
        self._bucket, self._key = bucket, key
        self._lock = threading.Lock()
        self._done: list[Operation] = []
        #: Versions by id: what was written, or the marker.
        self._versions: dict[str, str | Marker] = {}

    def run(self, clients: int, operations: int, seed: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Let so many clients do so many operations each.

        :param meanwhile: is called when half of them are done.
        """
        barrier = threading.Barrier(clients, timeout=PATIENCE)
        halfway = threading.Semaphore(0)

        def work(number: int) -> None:
            chance = random.Random(f"{seed} {number}")
            worker = _Worker(self._endpoints, number)
            barrier.wait()
            try:
                for turn in range(operations):
                    if turn == operations // 2:
                        halfway.release()
                    self._do(worker, chance, f"{number}.{turn}")
            finally:
                halfway.release()
                worker.close()

        with ThreadPoolExecutor(clients) as threads:
            running = [threads.submit(work, number) for number in range(clients)]
            halfway.acquire()
            meanwhile()
            for each in running:
                each.result()

    def history(self) -> list[Operation]:
        """All that was done, and what is left, from both daemons."""
        for endpoint in self._endpoints():
            client = Client(endpoint)
            start = time.monotonic()
            answer = client("GET", f"/{self._bucket}", query={"versions": "", "prefix": self._key})
            end = time.monotonic()
            assert answer.status == 200, answer.body
            seen: list[str | Marker] = []
            for each in elements(answer.body).iterchildren("Version", "DeleteMarker"):
                key, version, latest = texts(each, "Key", "VersionId", "IsLatest")
                if key != self._key:
                    continue
                assert (latest == "true") == (not seen), answer.body
                if version not in self._versions and each.tag == "Version":
                    # Of a write without an answer.
                    self._learn(version, client("GET", self._path, query={"versionId": version}).body.decode())
                seen.append(self._versions.get(version, Marker(version)))
            client.close()
            self._done.append(Operation("list", start, end, "", tuple(reversed(seen))))
        # Of a write without an answer others may have told the id.
        ids = {value: version for version, value in self._versions.items()}
        return [
            replace(each, id=ids[each.value]) if not each.id and each.kind in _WRITES and each.value in ids else each
            for each in self._done
        ]

    def _do(self, worker: _Worker, chance: random.Random, value: str) -> None:
        kind = chance.choice(_KINDS)
        with self._lock:
            known = list(self._versions.items())
        version, wanted = chance.choice(known[-6:]) if known else ("", "")
        if kind in ("remove", "get version") and not version:
            kind = "put"
        expected = ""
        headers: dict[str, str] = {}
        if kind == "create":
            headers = {"If-None-Match": "*"}
        elif kind == "swap":
            expected = str(worker.seen or next((each for _, each in reversed(known) if isinstance(each, str)), "none"))
            headers = {"If-Match": f'"{hashlib.md5(expected.encode()).hexdigest()}"'}
        method = {"delete": "DELETE", "remove": "DELETE", "get": "GET", "get version": "GET"}.get(kind, "PUT")
        query = {"versionId": version} if kind in ("remove", "get version") else {}
        body = value.encode() if method == "PUT" else b""
        start = time.monotonic()
        answer = worker.ask(method, self._path, query, headers, body)
        end = time.monotonic()
        value_of: Any = wanted if kind in ("remove", "get version") else value if method == "PUT" else ""
        operation = Operation(kind, start, NEVER, value_of, "", expected)
        if answer is not None:
            operation = self._answered(operation, end, answer)
        if isinstance(operation.result, str) and kind in ("get", *_WRITES):
            worker.seen = operation.value or operation.result
        with self._lock:
            self._done.append(operation)

    def _answered(self, operation: Operation, end: float, answer: Response) -> Operation:
        """The operation with what came of it."""
        kind, version = operation.kind, answer.headers["x-amz-version-id"] or ""
        result: str | Marker = ""
        made = ""
        if answer.status in (500, 503):
            # What came of it is not known.
            return operation
        match answer.status, kind:
            case 200, ("put" | "create" | "swap"):
                made = version
                self._learn(version, str(operation.value))
            case 412, _:
                result = FAILED
            case 404, "swap" | "get version":
                result = MISSING
            case 204, "delete":
                result, made = Marker(version), version
                self._learn(version, result)
            case 204, "remove":
                pass
            case 200, ("get" | "get version"):
                result = answer.body.decode()
                self._learn(version, result)
            case 404, "get":
                result = Marker(version) if version else NOTHING
                if version:
                    self._learn(version, result)
            case 405, "get version":
                result = Marker(version)
            case _:
                raise AssertionError((operation, answer.status, code(answer)))
        return replace(operation, end=end, result=result, id=made)

    def _learn(self, version: str, value: str | Marker) -> None:
        with self._lock:
            assert self._versions.setdefault(version, value) == value, f"{version} is both {value} and another"


_WRITES = ("put", "create", "swap")


class _Worker:
    """A client that goes to the other daemon when one is gone.

    :ivar seen: what it saw last of the key.
    """

    def __init__(self, endpoints: Callable[[], Sequence[Endpoint]], number: int) -> None:
        self._endpoints = endpoints
        self._number = number
        self._client: Client | None = None
        self.seen: str | Marker = ""

    def ask(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Response | None:
        """The answer; None if none came."""
        if self._client is None:
            endpoints = self._endpoints()
            self._client = Client(endpoints[self._number % len(endpoints)])
        try:
            return self._client(method, path, query, headers, body)
        except (HTTPException, OSError):
            self._number += 1
            self.close()
            return None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
