"""Clients that do all kinds of things to a daemon at once, and enter it in a `Ledger`.

A key belongs to one client, who knows what it has, but for a few to which all write.  Directories are everybody's: they
are made, pruned and given way to by all at once.
"""

from __future__ import annotations

import base64
import hashlib
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from proof.blockdevice.ledger import MARKER, THERE, Content, Ledger, Moment, Register, Value
from proof.blockdevice.look import digest
from tests.e2e.daemon import Endpoint
from tests.e2e.plainhttp import Response
from tests.e2e.signed import Client, elements, texts

#: A bucket of objects, and one that keeps versions.
PLAIN, KEPT = "plain", "kept"
_HOT = ("hot/1", "hot/2")
_MOST_UPLOADS = 3
_MOST_VERSIONS = 4

#: What is done, and how often.
_CHOICES = {
    "put": 12,
    "create": 3,
    "hot": 4,
    "copy": 4,
    "tag": 3,
    "delete": 5,
    "delete many": 2,
    "remove version": 3,
    "begin": 3,
    "part": 6,
    "complete": 3,
    "abort": 1,
    "bucket": 1,
}


@dataclass
class _Upload:
    bucket: str
    key: str
    id: str
    metadata: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)

    def changes(self) -> dict[Register, Value]:
        """What its end makes of its registers."""
        parts = {Register("part", self.bucket, self.key, self.id, number): None for number in self.parts}
        return {Register("upload", self.bucket, self.key, self.id): None, **parts}


class Workload:
    """:param position: tells how many records the log of the device has."""

    def __init__(self, endpoint: Endpoint, position: Callable[[], int], ledger: Ledger) -> None:
        self.endpoint = endpoint
        self._position = position
        self.ledger = ledger

    def now(self) -> Moment:
        # The position is not after the clock when it is sent, and not before it when it is answered: both are asked for
        # at once, and the clock only orders what one client was told before another asked.
        return Moment(self._position(), time.monotonic_ns())

    def prepare(self) -> None:
        """Make the buckets."""
        client = Client(self.endpoint)
        for bucket in (PLAIN, KEPT):
            sent = self.now()
            assert client("PUT", f"/{bucket}").status == 200
            if bucket == KEPT:
                body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
                assert client("PUT", f"/{bucket}", {"versioning": ""}, body=body).status == 200
            self.ledger.enter({Register("bucket", bucket): THERE}, sent, self.now())
        client.close()

    def run(self, clients: int, operations: int, seed: int) -> None:
        with ThreadPoolExecutor(clients) as threads:
            running = [
                threads.submit(_Worker(self, number, clients, f"{seed} {number}").run, operations)
                for number in range(clients)
            ]
            for each in running:
                each.result()


class _Worker:
    def __init__(self, workload: Workload, number: int, clients: int, seed: str) -> None:
        self._workload = workload
        self._client = Client(workload.endpoint)
        self._chance = random.Random(seed)
        self._number = number
        self._turn = 0
        others = (number + 1) % clients
        self._keys = [
            *(f"d{at}/of {number}" for at in range(3)),
            *(f"new{at}/{number}/deep/key" for at in range(2)),
            # One must give way to what another has below it.
            *(f"tree{number}", f"tree{others}/leaf {number}", f"tree{others}/more/leaf {number}"),
            f"long{number}" + "x" * 300,
            f"top{number}",
        ]
        #: Of each key the versions, the last one current; in a bucket that keeps none at most one.
        self._versions: dict[tuple[str, str], list[tuple[str, Content | None]]] = {}
        self._uploads: list[_Upload] = []
        self._buckets: list[str] = []

    def run(self, operations: int) -> None:
        try:
            for self._turn in range(operations):
                [kind] = self._chance.choices(list(_CHOICES), list(_CHOICES.values()))
                getattr(self, "_" + kind.replace(" ", "_"))()
        finally:
            self._client.close()

    # What every operation needs

    def _do(
        self,
        changes: Callable[[Response], Mapping[Register, Value]],
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        fails: tuple[int, ...] = (),
    ) -> Response:
        """Ask, and enter what that changes.

        :param fails: other answers than success that may be, and change nothing.
        """
        sent = self._workload.now()
        answer = self._client(method, path, query, headers, body)
        answered = self._workload.now()
        if answer.status >= 300:
            assert answer.status in fails, (method, path, query, answer.status, answer.body)
        else:
            self._workload.ledger.enter(changes(answer), sent, answered)
        return answer

    def _pick(self, *, full: bool | None = None) -> tuple[str, str] | None:
        """A key of one's own, in either bucket; one with an object, without, or any."""
        all_ = [(bucket, key) for bucket in (PLAIN, KEPT) for key in self._keys]
        fitting = [each for each in all_ if full is None or (self._current(*each) is not None) == full]
        return self._chance.choice(fitting) if fitting else None

    def _current(self, bucket: str, key: str) -> Content | None:
        versions = self._versions.get((bucket, key))
        return versions[-1][1] if versions else None

    def _data(self) -> bytes:
        low, high = self._chance.choice(((0, 0), (1, 300), (1, 300), (4000, 20_000), (4000, 20_000), (60_000, 200_000)))
        return self._chance.randbytes(self._chance.randint(low, high))

    def _metadata(self) -> dict[str, str]:
        """That tells this write from all others."""
        long = {"long": "x" * 1900} if self._chance.random() < 0.15 else {}
        return {"by": f"{self._number}.{self._turn}", **long}

    def _made(self, bucket: str, key: str, content: Content | None, answer: Response) -> dict[Register, Value]:
        """What a write changes; without content, a deletion."""
        changes: dict[Register, Value] = {Register("object", bucket, key): content}
        version = answer.headers["x-amz-version-id"] or ""
        if bucket == KEPT:
            assert version
            changes[Register("version", bucket, key, version)] = content or MARKER
        mine = self._versions.setdefault((bucket, key), [])
        if bucket != KEPT:
            mine.clear()
        mine.append((version, content))
        return changes

    # Operations

    def _write(self, bucket: str, key: str, headers: dict[str, str], fails: tuple[int, ...] = ()) -> None:
        data, metadata = self._data(), self._metadata()
        tags = {"x-amz-tagging": f"turn={self._turn}"} if self._chance.random() < 0.3 else {}
        # With long metadata, the record is too long for an attribute.
        more = {"content-disposition": f"attachment; filename={'x' * 1000}"} if "long" in metadata else {}
        content = Content(
            digest(data),
            hashlib.md5(data).hexdigest(),
            tuple(sorted(metadata.items())),
            (("turn", str(self._turn)),) if tags else (),
        )
        self._do(
            lambda answer: self._made(bucket, key, content, answer),
            "PUT",
            f"/{bucket}/{key}",
            headers=headers | tags | more | {f"x-amz-meta-{name}": value for name, value in metadata.items()},
            body=data,
            fails=fails,
        )

    def _put(self) -> None:
        if picked := self._pick():
            self._write(*picked, {})

    def _create(self) -> None:
        if picked := self._pick():
            self._write(*picked, {"if-none-match": "*"}, () if self._current(*picked) is None else (412,))

    def _hot(self) -> None:
        bucket, key = self._chance.choice((PLAIN, KEPT)), self._chance.choice(_HOT)
        if self._chance.random() < 0.3:
            self._do(lambda answer: self._made(bucket, key, None, answer), "DELETE", f"/{bucket}/{key}")
        elif self._chance.random() < 0.3:
            self._write(bucket, key, {"if-none-match": "*"}, (412, 409))
        else:
            self._write(bucket, key, {})

    def _copy(self) -> None:
        source, target = self._pick(full=True), self._pick()
        if source is None or target is None or source == target:
            return
        content = self._current(*source)
        assert content is not None

        def changes(answer: Response) -> dict[Register, Value]:
            # That of an object of many parts is made anew.
            [etag] = texts(elements(answer.body), "ETag")
            return self._made(*target, content._replace(etag=etag.strip('"')), answer)

        self._do(
            changes,
            "PUT",
            f"/{target[0]}/{target[1]}",
            headers={"x-amz-copy-source": f"/{source[0]}/{source[1]}".replace(" ", "%20")},
        )

    def _tag(self) -> None:
        if (picked := self._pick(full=True)) is None:
            return
        bucket, key = picked
        version, content = self._versions[picked][-1]
        assert content is not None
        changed = content._replace(tags=(("k", f"v{self._turn}"),))
        body = f"<Tagging><TagSet><Tag><Key>k</Key><Value>v{self._turn}</Value></Tag></TagSet></Tagging>".encode()

        def changes(_: Response) -> dict[Register, Value]:
            self._versions[picked][-1] = version, changed
            both: dict[Register, Value] = {Register("object", bucket, key): changed}
            return both | ({Register("version", bucket, key, version): changed} if bucket == KEPT else {})

        self._do(changes, "PUT", f"/{bucket}/{key}", {"tagging": ""}, {"content-md5": _base64_md5(body)}, body)

    def _delete(self) -> None:
        if (picked := self._pick(full=True)) is not None:
            self._do(lambda answer: self._made(*picked, None, answer), "DELETE", f"/{picked[0]}/{picked[1]}")

    def _delete_many(self) -> None:
        bucket = self._chance.choice((PLAIN, KEPT))
        full = [key for key in self._keys if self._current(bucket, key) is not None]
        chosen = self._chance.sample(full, min(len(full), 3))
        if not chosen:
            return
        objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in chosen)
        body = f"<Delete>{objects}</Delete>".encode()

        def changes(answer: Response) -> dict[Register, Value]:
            made: dict[Register, Value] = {}
            found = elements(answer.body)
            assert found.find("Error") is None, answer.body
            for each in found.iter("Deleted"):
                key, marker = texts(each, "Key", "DeleteMarkerVersionId")
                made[Register("object", bucket, key)] = None
                mine = self._versions[bucket, key]
                if bucket == KEPT:
                    made[Register("version", bucket, key, marker)] = MARKER
                else:
                    mine.clear()
                mine.append((marker, None))
            return made

        headers = {"content-md5": _base64_md5(body)}
        self._do(changes, "POST", f"/{bucket}", {"delete": ""}, headers, body)

    def _remove_version(self) -> None:
        many = [(key, versions) for (bucket, key), versions in self._versions.items() if bucket == KEPT and versions]
        many = [(key, versions) for key, versions in many if key in self._keys]
        if not many:
            return
        key, versions = (
            max(many, key=lambda each: len(each[1])) if self._chance.random() < 0.5 else self._chance.choice(many)
        )
        chosen = self._chance.randrange(len(versions))
        version, _ = versions[chosen]

        def changes(_: Response) -> dict[Register, Value]:
            del versions[chosen]
            current = versions[-1][1] if versions else None
            return {Register("version", KEPT, key, version): None, Register("object", KEPT, key): current}

        self._do(changes, "DELETE", f"/{KEPT}/{key}", {"versionId": version})
        if len(versions) > _MOST_VERSIONS:
            self._remove_version()

    def _begin(self) -> None:
        if len(self._uploads) >= _MOST_UPLOADS or (picked := self._pick()) is None:
            return
        bucket, key = picked
        metadata = self._metadata()

        def changes(answer: Response) -> dict[Register, Value]:
            [upload] = texts(elements(answer.body), "UploadId")
            self._uploads.append(_Upload(bucket, key, upload, metadata))
            return {Register("upload", bucket, key, upload): THERE}

        headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        self._do(changes, "POST", f"/{bucket}/{key}", {"uploads": ""}, headers)

    def _part(self) -> None:
        if not self._uploads:
            return
        upload = self._chance.choice(self._uploads)
        number, data = self._chance.randint(1, 3), self._data()

        def changes(_: Response) -> dict[Register, Value]:
            upload.parts[number] = data
            etag = hashlib.md5(data).hexdigest()
            return {Register("part", upload.bucket, upload.key, upload.id, number): etag}

        query = {"uploadId": upload.id, "partNumber": str(number)}
        self._do(changes, "PUT", f"/{upload.bucket}/{upload.key}", query, body=data)

    def _complete(self) -> None:
        able = [each for each in self._uploads if each.parts]
        # All but the last must have something in them.
        able = [each for each in able if all(data for _, data in sorted(each.parts.items())[:-1])]
        if not able:
            return
        upload = self._chance.choice(able)
        parts = sorted(upload.parts.items())
        sums = [hashlib.md5(data) for _, data in parts]
        etag = f"{hashlib.md5(b''.join(each.digest() for each in sums)).hexdigest()}-{len(parts)}"
        content = Content(digest(b"".join(data for _, data in parts)), etag, tuple(sorted(upload.metadata.items())))
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{each.hexdigest()}</ETag></Part>"
            for (number, _), each in zip(parts, sums, strict=True)
        )

        def changes(answer: Response) -> dict[Register, Value]:
            assert elements(answer.body).tag == "CompleteMultipartUploadResult", answer.body
            self._uploads.remove(upload)
            return self._made(upload.bucket, upload.key, content, answer) | upload.changes()

        body = f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()
        self._do(changes, "POST", f"/{upload.bucket}/{upload.key}", {"uploadId": upload.id}, body=body)

    def _abort(self) -> None:
        if not self._uploads:
            return
        upload = self._chance.choice(self._uploads)

        def changes(_: Response) -> dict[Register, Value]:
            self._uploads.remove(upload)
            return upload.changes()

        self._do(changes, "DELETE", f"/{upload.bucket}/{upload.key}", {"uploadId": upload.id})

    def _bucket(self) -> None:
        """A bucket comes, or one goes."""
        if self._buckets and self._chance.random() < 0.6:
            name = self._buckets.pop()
            self._do(lambda _: {Register("object", name, "in it"): None}, "DELETE", f"/{name}/in it")
            self._do(lambda _: {Register("bucket", name): None}, "DELETE", f"/{name}")
            return
        name = f"bucket-{self._number}-{self._turn}"
        self._do(lambda _: {Register("bucket", name): THERE}, "PUT", f"/{name}")
        self._buckets.append(name)
        self._write(name, "in it", {})


def _base64_md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()
