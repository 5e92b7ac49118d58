"""Clients that do things at once to keys of a bucket that keeps no versions, and a record of it.

What is at a key is known by its ETag, as nothing that is written is written twice, but by copies.
"""

from __future__ import annotations

import base64
import hashlib
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.e2e.daemon import Endpoint
from tests.e2e.histories import Upload, Worker, begin, etag, tally
from tests.e2e.plainhttp import Response
from tests.e2e.signed import code, elements, texts
from tests.linearizability import FAILED, MISSING, NEVER, NOTHING, Marker, Operation, explain, is_linearizable

_KINDS = (
    *("put", "put", "create", "create", "swap", "swap", "swap", "delete", "delete", "take", "delete many"),
    *("get", "get", "get", "head", "list", "list", "begin", "complete", "complete", "complete", "abort"),
    *("complete if", "copy"),
)
#: Lengths of bodies, in bytes: where others begin, they are stored and sent in another way.
_SIZES = (0, 0, 0, 0, 5_000, 70_000)


@dataclass
class _Shared:
    """An upload that any client may complete or abort.

    :ivar completed: what each that tried saw: start, end, and the status, 0 for no answer.
    :ivar aborted: the same.
    """

    upload: Upload
    completed: list[tuple[float, float, int]] = field(default_factory=list)
    aborted: list[tuple[float, float, int]] = field(default_factory=list)

    def as_writes(self) -> list[Operation]:
        """The one write that it was, if it may have been one: whoever was told so, it had taken effect by then."""
        told = [end for _, end, status in self.completed if status == 200]
        aborted = [each for each in self.aborted if each[2] == 204]
        assert not told or not aborted, f"{self} was completed and aborted"
        assert len(aborted) < 2, f"{self} was aborted twice"
        unknown = [each for each in self.completed if not each[2]]
        if not told and not unknown:
            assert not self.completed or self.aborted, f"{self} was lost"
            return []
        starts = [start for start, _, _ in self.completed if not aborted or start < aborted[0][1]]
        return [Operation("put", min(starts), min(told, default=NEVER), self.upload.etag)] if starts else []


class Objects:
    """Some keys of one bucket while clients are at them.

    :param prefix: of all the keys; no others have it.
    :param keys: behind the prefix.
    """

    def __init__(self, bucket: str, prefix: str, keys: Sequence[str]) -> None:
        self._bucket, self._prefix = bucket, prefix
        self._keys = [prefix + key for key in keys]
        self._lock = threading.Lock()
        self._done: dict[str, list[Operation]] = {key: [] for key in self._keys}
        self._uploads: dict[str, list[_Shared]] = {key: [] for key in self._keys}
        #: The ETags that may be seen.
        self._written: dict[str, list[str]] = defaultdict(list)
        self.count: Counter[str] = Counter()

    def do(self, worker: Worker, chance: random.Random, value: str) -> None:
        kind, key = chance.choice(_KINDS), chance.choice(self._keys)
        body = value.encode()
        body += bytes(max(0, chance.choice(_SIZES) - len(body)))
        self.count[kind] += 1
        match kind:
            case "put" | "create" | "swap" | "complete if":
                self._write(worker, chance, kind, key, body)
            case "delete" | "take":
                self._delete(worker, kind, key)
            case "delete many":
                self._delete_many(worker, chance.sample(self._keys, chance.randint(1, len(self._keys))))
            case "get" | "head":
                self._read(worker, kind.upper(), key)
            case "list":
                self._list(worker)
            case "begin":
                self._begin(worker, key, body)
            case "complete":
                self._complete(worker, chance, key, body)
            case "abort":
                self._abort(worker, chance, key)
            case "copy":
                self._copy(worker, key, chance.choice(self._keys))

    def check(self, endpoints: Sequence[Endpoint]) -> str:
        for number in range(len(endpoints)):
            worker = Worker(lambda: endpoints, number)
            self._list(worker)
            for key in self._keys:
                self._read(worker, "GET", key)
            worker.close()
        for key, history in self.histories().items():
            self.count += tally(history)
            if not is_linearizable(history, keeps=False):
                return f"{key}:\n{explain(history, keeps=False)}"
        return ""

    def histories(self) -> dict[str, list[Operation]]:
        """What was done to each key, and seen of it."""
        return {
            key: [*done, *(write for shared in self._uploads[key] for write in shared.as_writes())]
            for key, done in self._done.items()
        }

    # Noting

    def _note(self, key: str, operation: Operation) -> None:
        with self._lock:
            self._done[key].append(operation)

    def _saw(self, worker: Worker, key: str, start: float, end: float, seen: str | Marker) -> None:
        self._note(key, Operation("get", start, end, "", seen))
        if isinstance(seen, str):
            worker.seen[key] = seen

    def _expected(self, worker: Worker, key: str) -> str:
        """The ETag that a client would take for the current one."""
        return str(worker.seen.get(key) or next(reversed(self._written[key]), "0" * 32))

    # Writing

    def _write(self, worker: Worker, chance: random.Random, kind: str, key: str, body: bytes) -> None:
        method, query, made = "PUT", {}, etag(body)
        sent = body
        if kind == "complete if":
            upload = begin(worker, self._path(key), body)
            if upload is None:
                return
            method, query, made, sent = "POST", {"uploadId": upload.id}, upload.etag, upload.document
            kind = chance.choice(("create", "swap"))
        self._written[key].append(made)
        expected = self._expected(worker, key) if kind == "swap" else ""
        headers = {"If-None-Match": "*"} if kind == "create" else {"If-Match": f'"{expected}"'} if expected else {}
        start = time.monotonic()
        answer = worker.ask(method, self._path(key), query, headers, sent)
        end = time.monotonic()
        operation = Operation(kind, start, end, made, "", expected)
        match answer and answer.status:
            case None | 503:
                operation = Operation(kind, start, NEVER, made, "", expected)
            case 200:
                assert answer is not None
                told = answer.headers["ETag"] if method == "PUT" else elements(answer.body).findtext("ETag")
                assert told == f'"{made}"', (operation, told)
                worker.seen[key] = made
            case 412:
                operation = Operation(kind, start, end, made, FAILED, expected)
            case 404 if kind == "swap":
                operation = Operation(kind, start, end, made, MISSING, expected)
            case _:
                raise _unexpected(operation, answer)
        self._note(key, operation)

    def _delete(self, worker: Worker, kind: str, key: str) -> None:
        expected = self._expected(worker, key) if kind == "take" else ""
        headers = {"If-Match": f'"{expected}"'} if expected else {}
        start = time.monotonic()
        answer = worker.ask("DELETE", self._path(key), headers=headers)
        operation = Operation(kind, start, time.monotonic(), "", "", expected)
        match answer and answer.status:
            case None | 503:
                operation = Operation(kind, start, NEVER, "", "", expected)
            case 204:
                pass
            case 412 if expected:
                operation = Operation(kind, start, operation.end, "", FAILED, expected)
            case 404 if expected:
                operation = Operation(kind, start, operation.end, "", MISSING, expected)
            case _:
                raise _unexpected(operation, answer)
        self._note(key, operation)

    def _delete_many(self, worker: Worker, keys: Sequence[str]) -> None:
        named = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
        body = f"<Delete>{named}</Delete>".encode()
        headers = {"x-amz-checksum-sha256": _sha256(body)}
        start = time.monotonic()
        answer = worker.ask("POST", f"/{self._bucket}", {"delete": ""}, headers, body)
        end = time.monotonic()
        deleted = set()
        if answer is not None and answer.status != 503:
            if answer.status != 200:
                raise _unexpected(keys, answer)
            deleted = {each.findtext("Key") for each in elements(answer.body).iterchildren("Deleted")}
        for key in keys:
            self._note(key, Operation("delete", start, end if key in deleted else NEVER))

    def _copy(self, worker: Worker, source: str, key: str) -> None:
        """Of what the client thinks is there: else it would not be known what a copy without an answer has made."""
        made = self._expected(worker, source)
        if source == key:
            return
        headers = {"x-amz-copy-source": quote(self._path(source)), "x-amz-copy-source-if-match": f'"{made}"'}
        start = time.monotonic()
        answer = worker.ask("PUT", self._path(key), headers=headers)
        end = time.monotonic()
        match answer and answer.status:
            case None | 503:
                self._note(key, Operation("put", start, NEVER, made))
            case 200:
                assert answer is not None
                assert elements(answer.body).findtext("ETag") == f'"{made}"', answer.body
                self._note(source, Operation("get", start, end, "", made))
                self._note(key, Operation("put", start, end, made))
                worker.seen[key] = made
            case 404:
                self._note(source, Operation("get", start, end, "", NOTHING))
            case 412:
                pass
            case _:
                raise _unexpected((source, key), answer)

    # Multipart uploads

    def _begin(self, worker: Worker, key: str, body: bytes) -> _Shared | None:
        upload = begin(worker, self._path(key), body)
        if upload is None:
            return None
        self._written[key].append(upload.etag)
        shared = _Shared(upload)
        with self._lock:
            self._uploads[key].append(shared)
        return shared

    def _some_upload(self, chance: random.Random, key: str) -> _Shared | None:
        """One of the last few, which others may be at, too, or done with."""
        with self._lock:
            return chance.choice(self._uploads[key][-3:]) if self._uploads[key] else None

    def _complete(self, worker: Worker, chance: random.Random, key: str, body: bytes) -> None:
        shared = self._some_upload(chance, key) or self._begin(worker, key, body)
        if shared is None:
            return
        start = time.monotonic()
        answer = worker.ask("POST", self._path(key), {"uploadId": shared.upload.id}, body=shared.upload.document)
        end = time.monotonic()
        status = 0
        match answer and answer.status:
            case None | 503:
                pass
            case 200:
                assert answer is not None
                assert elements(answer.body).findtext("ETag") == f'"{shared.upload.etag}"', answer.body
                status = 200
            case 404 if code(answer) == "NoSuchUpload":  # type: ignore[arg-type]
                status = 404
            case _:
                raise _unexpected(shared, answer)
        with self._lock:
            shared.completed.append((start, end, status))

    def _abort(self, worker: Worker, chance: random.Random, key: str) -> None:
        shared = self._some_upload(chance, key)
        if shared is None:
            return
        start = time.monotonic()
        answer = worker.ask("DELETE", self._path(key), {"uploadId": shared.upload.id})
        end = time.monotonic()
        status = 0 if answer is None or answer.status == 503 else answer.status
        if status not in (0, 204, 404):
            raise _unexpected(shared, answer)
        with self._lock:
            shared.aborted.append((start, end, status))

    # Reading

    def _read(self, worker: Worker, method: str, key: str) -> None:
        start = time.monotonic()
        answer = worker.ask(method, self._path(key))
        end = time.monotonic()
        match answer and answer.status:
            case None | 503:
                pass
            case 200:
                assert answer is not None
                seen = answer.headers["ETag"].strip('"')
                if method == "GET":
                    digest = hashlib.md5(answer.body)
                    assert seen in (digest.hexdigest(), f"{etag(digest.digest())}-1"), f"{key}: {seen} is torn"
                self._saw(worker, key, start, end, seen)
            case 404:
                self._saw(worker, key, start, end, NOTHING)
            case _:
                raise _unexpected(key, answer)

    def _list(self, worker: Worker) -> None:
        start = time.monotonic()
        answer = worker.ask("GET", f"/{self._bucket}", {"list-type": "2", "prefix": self._prefix})
        end = time.monotonic()
        if answer is None or answer.status == 503:
            return
        if answer.status != 200:
            raise _unexpected(self._prefix, answer)
        found = [tuple(texts(each, "Key", "ETag")) for each in elements(answer.body).iterchildren("Contents")]
        told = {key: seen.strip('"') for key, seen in found}
        assert len(told) == len(found), f"a key is listed twice: {found}"
        assert told.keys() <= set(self._keys), f"what was never written is listed: {found}"
        for key in self._keys:
            self._saw(worker, key, start, end, told.get(key, NOTHING))

    def _path(self, key: str) -> str:
        return f"/{self._bucket}/{key}"


def _sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def _unexpected(what: Any, answer: Response | None) -> AssertionError:
    assert answer is not None
    return AssertionError(f"{what}: {answer.status} {code(answer)}")
