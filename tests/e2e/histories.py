"""Clients that do things to keys at once, and a record of it for `tests.linearizability`.

`Versions` is of a key in a bucket that keeps versions; `tests.e2e.objecthistories` has the one of others.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from typing import Any, NamedTuple, Protocol

from tests.e2e.daemon import PATIENCE, Endpoint
from tests.e2e.plainhttp import Response
from tests.e2e.signed import Client, code, elements, texts
from tests.linearizability import FAILED, MISSING, NEVER, NOTHING, Marker, Operation, explain, is_linearizable

_KINDS = ("put", "put", "complete", "create", "swap", "swap", "delete", "remove", "remove", "get", "get", "get version")


class Recording(Protocol):
    """What clients do at once, and what came of it.

    :ivar count: of what was done, by its kind; once it is checked, of the operations in all, too.
    """

    count: Counter[str]

    def do(self, worker: Worker, chance: random.Random, value: str) -> None:
        """Do something, and note it.

        :param value: no other operation has it.
        """

    def check(self, endpoints: Sequence[Endpoint]) -> str:
        """Look at what is left; what is wrong with it all, "" for nothing."""


def run(
    recordings: Sequence[Recording],
    endpoints: Callable[[], Sequence[Endpoint]],
    clients: int,
    operations: int,
    seed: int,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Let so many clients do so many operations each, of any of the recordings.

    :param endpoints: gives those of the daemons as they are now.
    :param meanwhile: is called when half of them are done.
    """
    barrier = threading.Barrier(clients, timeout=PATIENCE)
    halfway = threading.Semaphore(0)

    def work(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        worker = Worker(endpoints, number)
        barrier.wait()
        try:
            for turn in range(operations):
                if turn == operations // 2:
                    halfway.release()
                chance.choice(recordings).do(worker, chance, f"{seed} {number}.{turn}")
        finally:
            halfway.release()
            worker.close()

    with ThreadPoolExecutor(clients) as threads:
        running = [threads.submit(work, number) for number in range(clients)]
        halfway.acquire()
        meanwhile()
        for each in running:
            each.result()


def tally(history: Sequence[Operation]) -> Counter[str]:
    """How many operations there are, and how many without an answer."""
    return Counter({"operations": len(history), "without an answer": sum(each.is_open for each in history)})


class Upload(NamedTuple):
    """A multipart upload with its one part.

    :ivar etag: of the object.
    :ivar document: that completes it.
    """

    id: str
    etag: str
    document: bytes


def etag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def begin(worker: Worker, path: str, body: bytes) -> Upload | None:
    """Make an upload; None if that had no answer."""
    begun = worker.ask("POST", path, {"uploads": ""})
    if begun is None or begun.status == 503:
        return None
    assert begun.status == 200, begun.body
    upload = elements(begun.body).findtext("UploadId") or ""
    put = worker.ask("PUT", path, {"uploadId": upload, "partNumber": "1"}, body=body)
    if put is None or put.status == 503:
        return None
    assert put.status == 200, put.body
    digest = hashlib.md5(body)
    document = f"<Part><PartNumber>1</PartNumber><ETag>{digest.hexdigest()}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>"
    return Upload(upload, f"{etag(digest.digest())}-1", document.encode())


class Versions:
    """The versions of one key while clients are at it."""

    def __init__(self, bucket: str, key: str) -> None:
        self._path = f"/{bucket}/{key}"
        self._bucket, self._key = bucket, key
        self._lock = threading.Lock()
        self._done: list[Operation] = []
        #: Versions by id: what was written, or the marker.
        self._versions: dict[str, str | Marker] = {}
        #: The ETags of what was written by a multipart upload.
        self._completed: dict[str, str] = {}
        self.count: Counter[str] = Counter()

    def check(self, endpoints: Sequence[Endpoint]) -> str:
        history = self.history(endpoints)
        self.count += tally(history)
        return "" if is_linearizable(history) else explain(history)

    def history(self, endpoints: Sequence[Endpoint]) -> list[Operation]:
        """All that was done, and what is left, from each daemon."""
        for endpoint in endpoints:
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

    def do(self, worker: Worker, chance: random.Random, value: str) -> None:
        kind = chance.choice(_KINDS)
        with self._lock:
            known = list(self._versions.items())
        version, wanted = chance.choice(known[-6:]) if known else ("", "")
        if kind in ("remove", "get version") and not version:
            kind = "put"
        self.count[kind] += 1
        expected = ""
        headers: dict[str, str] = {}
        method = {"delete": "DELETE", "remove": "DELETE", "get": "GET", "get version": "GET"}.get(kind, "PUT")
        query = {"versionId": version} if kind in ("remove", "get version") else {}
        body = value.encode() if method == "PUT" else b""
        if kind == "create":
            headers = {"If-None-Match": "*"}
        elif kind == "swap":
            last = next((each for _, each in reversed(known) if isinstance(each, str)), "none")
            expected = str(worker.seen.get(self._path) or last)
            headers = {"If-Match": f'"{self._completed.get(expected) or etag(expected.encode())}"'}
        elif kind == "complete":
            upload = begin(worker, self._path, body)
            if upload is None:
                return
            kind, method, query, body = "put", "POST", {"uploadId": upload.id}, upload.document
            self._completed[value] = upload.etag
        start = time.monotonic()
        answer = worker.ask(method, self._path, query, headers, body)
        end = time.monotonic()
        value_of: Any = wanted if kind in ("remove", "get version") else value if kind in _WRITES else ""
        operation = Operation(kind, start, NEVER, value_of, "", expected)
        if answer is not None:
            operation = self._answered(operation, end, answer)
        if isinstance(operation.result, str) and kind in ("get", *_WRITES):
            worker.seen[self._path] = operation.value or operation.result
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


class Worker:
    """A client that goes to the other daemon when one is gone.

    :ivar seen: what it saw last, by the path of the key.
    """

    def __init__(self, endpoints: Callable[[], Sequence[Endpoint]], number: int) -> None:
        self._endpoints = endpoints
        self._number = number
        self._client: Client | None = None
        self.seen: dict[str, str | Marker] = {}

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
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
