"""What is measured: for each case its requests, what must be there before, and what a right answer is."""

from __future__ import annotations

import os
import random
import stat
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import ClassVar

from bench.client import Answer, swarm
from bench.samples import Work
from bench.server import BUCKET, Server
from bench.signing import Call, sha256

_PREPARE_CONNECTIONS = 16
_PREPARE_S = 120.0
#: What a server that is slow to take objects gets of the time to put what is then deleted.
_PREPARE_DELETE_S = 5.0
_PAGE = 1000
_POSITIONS = 16


class WrongAnswer(Exception):
    """The server does not do what is to be measured."""


@dataclass(frozen=True)
class Scale:
    """How large what is measured is.

    :ivar keys: of the large buckets, flat and tree; a multiple of 1000.
    :ivar deletes: objects that are deleted in one measurement.
    :ivar huge: numbers of keys, each a multiple of 10,000, of larger buckets that are listed as well.
    """

    keys: int = 100_000
    deletes: int = 1000
    huge: tuple[int, ...] = ()


def content(size: int) -> bytes:
    """The bytes of an object of a size; always the same, and nothing that compresses."""
    return random.Random(size).randbytes(size)


def require(condition: bool, answer: Answer, what: str) -> None:
    """Raise `WrongAnswer` unless the condition holds."""
    if not condition:
        raise WrongAnswer(f"{what}: {answer.status} {answer.body[:200]!r}")


@dataclass(frozen=True)
class Case:
    """One kind of request."""

    name: str
    title: str

    #: At most so many connections: where an answer takes long, more of them only lengthen the queue.
    most: ClassVar[int] = 1000

    #: Its writes are in memory when a server does not sync: they are to be on the disk before the next measurement.
    writes: ClassVar[bool] = False

    def suits(self, server: Server) -> bool:
        """Whether this server can do that at all."""
        return server.speaks_s3 and (self.writes or not server.only_writes)

    def prepare(self, server: Server) -> None:
        """Make what the case needs, once."""

    def check(self, server: Server) -> None:
        """Send it once and look at the answer; raises `WrongAnswer`."""
        raise NotImplementedError

    def work(self, server: Server, connections: int) -> Work:
        """The requests, freshly signed; makes again what the last measurement used up."""
        raise NotImplementedError


def put_all(server: Server, keys: list[str], body: bytes, limit: float = _PREPARE_S) -> int:
    """Put objects until all are there or the time is up; how many are (the first ones)."""
    signer, digest = server.signer(), sha256(body)
    heads = [signer.head(Call("PUT", key, length=len(body), sha256=digest)) for key in keys]
    taken, errors = swarm(server.address, heads, body, _PREPARE_CONNECTIONS, limit)
    if errors:
        raise WrongAnswer(f"{errors} of {taken} objects could not be put")
    return taken


@dataclass(frozen=True)
class Read(Case):
    """GET or HEAD of one of 16 objects."""

    method: str
    size: int

    def suits(self, server: Server) -> bool:
        return not server.only_writes

    def _paths(self) -> list[str]:
        return [f"/{BUCKET}/read-{self.size}/{number:02}" for number in range(16)]

    def prepare(self, server: Server) -> None:
        if server.speaks_s3:
            put_all(server, self._paths(), content(self.size))
            return
        for path in self._paths():
            file = server.data / path[1:]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content(self.size))

    def check(self, server: Server) -> None:
        for path in self._paths():
            answer = server.call(Call(self.method, path))
            right = answer.status == 200 and answer.headers["Content-Length"] == str(self.size)
            require(right, answer, f"{self.method} {path}")
            if self.method == "GET":
                require(answer.body == content(self.size), answer, f"the bytes of {path}")

    def work(self, server: Server, connections: int) -> Work:
        signer = server.signer()
        return Work([signer.head(Call(self.method, path)) for path in self._paths()], bodiless=self.method == "HEAD")


@dataclass(frozen=True)
class Put(Case):
    """PUT over and over to many keys, at least as many as there are connections."""

    size: int

    writes: ClassVar[bool] = True

    def _call(self, number: int) -> Call:
        body = content(self.size)
        return Call("PUT", f"/{BUCKET}/put-{self.size}/{number:04}", length=len(body), sha256=sha256(body))

    def check(self, server: Server) -> None:
        put = self._call(0)
        answer = server.call(put, content(self.size))
        require(answer.status == 200, answer, f"PUT {put.path}")
        answer = server.call(Call("GET", put.path))
        require(answer.body == content(self.size), answer, f"the bytes of {put.path} after PUT")

    def work(self, server: Server, connections: int) -> Work:
        count = max(2 * connections, min(1000, 16 * 1024**2 // self.size))
        signer = server.signer()
        first = self._call(0)
        calls = (
            Call("PUT", f"{first.path[:-4]}{number:04}", length=first.length, sha256=first.sha256)
            for number in range(count)
        )
        return Work([signer.head(call) for call in calls], content(self.size))


@dataclass(frozen=True)
class Delete(Case):
    """DELETE of objects that are there, each once."""

    count: int

    writes: ClassVar[bool] = True

    def _paths(self) -> list[str]:
        return [f"/{BUCKET}/delete/{number:05}" for number in range(self.count)]

    def check(self, server: Server) -> None:
        path = self._paths()[0]
        put_all(server, [path], b"x")
        answer = server.call(Call("DELETE", path))
        require(answer.status == 204, answer, f"DELETE {path}")
        answer = server.call(Call("HEAD", path))
        require(answer.status == 404, answer, f"HEAD {path} after DELETE")

    def work(self, server: Server, connections: int) -> Work:
        made = put_all(server, self._paths(), content(1024), _PREPARE_DELETE_S)
        if made < 2 * connections:
            raise WrongAnswer("takes objects too slowly")
        signer = server.signer()
        return Work([signer.head(Call("DELETE", path)) for path in self._paths()[:made]], once=True)


@dataclass(frozen=True)
class List(Case):
    """A page of ListObjectsV2, from one of some positions.

    :ivar bucket: of its own.
    :ivar keys: all that is in the bucket, in order.
    :ivar starts: the pages begin behind these keys; "" is the beginning.
    :ivar delimiter: "" or "/".
    """

    most: ClassVar[int] = 8

    bucket: str
    keys: Callable[[], Iterator[str]]
    starts: tuple[str, ...]
    delimiter: str = ""
    dropped: bool = True
    body: bytes = b"bench"

    def suits(self, server: Server) -> bool:
        # Through the server's own PUT it would take too long, for some of them hours.
        return super().suits(server) and (server.plain or not self.dropped)

    def plant(self, data: Path) -> None:
        """Make the bucket as plain files, before the server is started."""
        if not (data / self.bucket).exists():
            made: set[Path] = set()
            for key in self.keys():
                path = data / self.bucket / key
                if path.parent not in made:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    made.add(path.parent)
                if self.body:
                    path.write_bytes(self.body)
                else:
                    # The quickest way, for millions of them.
                    os.mknod(path, stat.S_IFREG | 0o600)

    def prepare(self, server: Server) -> None:
        if not self.dropped:
            answer = server.call(Call("PUT", f"/{self.bucket}", length=0))
            require(answer.status in (200, 409), answer, "PUT of a bucket")
            put_all(server, [f"/{self.bucket}/{key}" for key in self.keys()], b"bench")

    def _call(self, start: str) -> Call:
        query = [("list-type", "2"), ("max-keys", str(_PAGE))]
        query += [("start-after", start)] if start else []
        query += [("delimiter", self.delimiter)] if self.delimiter else []
        return Call("GET", f"/{self.bucket}", query)

    def check(self, server: Server) -> None:
        for start in {self.starts[0], self.starts[-1]}:
            names: Iterable[str] = (key for key in self.keys() if key > start)
            if self.delimiter:
                names = (
                    name for name, _ in groupby(key.partition(self.delimiter)[0] + self.delimiter for key in names)
                )
            rest = list(islice(names, _PAGE))
            answer = server.call(self._call(start))
            require(answer.status == 200, answer, "the listing")
            found = listed(answer.body, "Prefix" if self.delimiter else "Key")
            require(found == rest, answer, f"{len(found)} names from {found[:1]} where {rest[:1]} begins")

    def work(self, server: Server, connections: int) -> Work:
        signer = server.signer()
        return Work([signer.head(self._call(start)) for start in self.starts])


@dataclass(frozen=True)
class Changed(List):
    """The first page after a change in its directory."""

    most: ClassVar[int] = 1

    def work(self, server: Server, connections: int) -> Work:
        new = server.data / self.bucket / "zzz"
        new.touch()
        new.unlink()
        # What has just changed is not trusted.
        time.sleep(0.1)
        return Work([server.signer().head(self._call(self.starts[0]))], once=True)


def listed(document: bytes, kind: str) -> list[str]:
    """The keys (kind "Key") or common prefixes ("Prefix") of a listing."""
    inside = {"Key": "Contents", "Prefix": "CommonPrefixes"}[kind]
    root = ET.fromstring(document)
    return [each.text or "" for entry in root.iterfind(f"{{*}}{inside}") for each in entry.iterfind(f"{{*}}{kind}")]


def _flat_key(number: int) -> str:
    return f"key-{number:08}"


def _tree_key(number: int, count: int) -> str:
    """A thousand directories, ten in each, and the rest as files."""
    files = count // 10_000
    rest, file = divmod(number, files)
    return f"a{rest // 10:03}/b{rest % 10}/c{file:03}"


def _flat(count: int) -> Callable[[], Iterator[str]]:
    return lambda: map(_flat_key, range(count))


def _tree(count: int) -> Callable[[], Iterator[str]]:
    return lambda: (_tree_key(number, count) for number in range(count))


def _steps(count: int) -> list[int]:
    return [(2 * step + 1) * count // (2 * _POSITIONS + 2) for step in range(_POSITIONS)]


def _large(count: int, mark: str = "", body: bytes = b"bench") -> list[List]:
    """Listings of so many keys.

    :param mark: makes the names of the cases and buckets different.
    """
    many = f"{count:,}"
    flat, tree = tuple(map(_flat_key, _steps(count))), tuple(_tree_key(step, count) for step in _steps(count))
    return [
        List(f"list-flat{mark}", f"LIST 1,000 deep in {many}", f"flat{mark}", _flat(count), flat, body=body),
        List(f"list-tree{mark}", f"LIST 1,000 deep in a tree of {many}", f"tree{mark}", _tree(count), tree, body=body),
        List(
            *(f"list-delimiter{mark}", f"LIST 1,000 prefixes of a tree of {many}", f"tree{mark}", _tree(count)),
            *(("",), "/"),
            body=body,
        ),
        Changed(
            *(f"list-changed{mark}", f"LIST 1,000 of {many} after a change", f"flat{mark}", _flat(count), flat[8:9]),
            body=body,
        ),
    ]


def all_cases(scale: Scale) -> list[Case]:
    """Every case but the large transfers, in the order of the table."""
    sizes = {"1k": 1024, "64k": 64 * 1024, "1m": 1024**2}
    words = {"1k": "1 KiB", "64k": "64 KiB", "1m": "1 MiB"}
    cases: list[Case] = [
        Read(f"{method.lower()}-{short}", f"{method} {words[short]}", method, size)
        for method in ("GET", "HEAD")
        for short, size in sizes.items()
    ]
    cases += [Put(f"put-{short}", f"PUT {words[short]}", size) for short, size in sizes.items()]
    cases.append(Delete("delete", "DELETE", scale.deletes))
    cases.append(List("list-first", "LIST 1,000 of 1,000", "first", _flat(1000), ("",), dropped=False))
    cases += _large(scale.keys)
    for count in scale.huge:
        cases += _large(count, f"-{count}", b"")
    return cases
