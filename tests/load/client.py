"""A client under load: what it knows of its own objects, and how it looks whether they are as they must be.

Each has keys of its own, so that it knows to the byte what must be there.  Where an answer did not come because the
daemon was ended, either is right until it is looked at.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException

from tests.e2e.daemon import Endpoint
from tests.e2e.plainhttp import Response
from tests.e2e.signed import Client as Connection
from tests.e2e.signed import code, elements, texts
from tests.load.tally import Body, Gate, Interrupted, Tally

#: The buckets of all clients: an ordinary one, and one that keeps versions.
PLAIN, VERSIONED = "soak", "soak-versions"


@dataclass(frozen=True)
class Kept:
    """What is under a key.

    :ivar etag: "" if it is not known.
    """

    body: Body
    etag: str

    @classmethod
    def of(cls, body: Body) -> Kept:
        return cls(body, body.md5)


class Wrong(Exception):
    """An answer that must not be."""


class Slow(Exception):
    """503 SlowDown: nothing was promised."""


class Client:
    """:ivar objects: what may be under each of its keys, None for nothing; one of it if all is certain."""

    def __init__(self, number: int, seed: int, gate: Gate, tally: Tally) -> None:
        self.chance = random.Random(f"{seed} {number}")
        self.prefix = f"c{number}/"
        self.gate, self.tally = gate, tally
        self.objects: dict[str, list[Kept | None]] = {}
        #: Of each key its versions that must be there, the newest last; None for a marker.
        self.versions: dict[str, list[tuple[str, Kept | None]]] = {}
        self.made = 0
        self._generation = 0
        self._connection: Connection | None = None

    # Asking

    def endpoint(self) -> Endpoint:
        """One of the daemon's, for a connection of its own; waits until there is one."""
        generation, endpoints = self.gate.pass_through()
        if generation != self._generation:
            # Its own connection was to a daemon that is no more.
            self.close()
            self._generation = generation
        return self.chance.choice(endpoints)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Tells an error of the connection that has a reason from one that has none."""
        try:
            yield
        except (HTTPException, OSError) as error:
            if self.gate.was_closed_since(self._generation):
                raise Interrupted from None
            raise Wrong(f"no answer: {error!r}") from None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        allow: Collection[str] = (),
    ) -> Response:
        """The answer to a signed request.

        :param path: of what is in the ordinary bucket, if it does not begin with ``/``.
        :param allow: the codes of errors that may be.
        """
        if self.gate.was_closed_since(self._generation) or self.chance.random() < 0.1:
            self.close()
        if self._connection is None:
            self._connection = Connection(self.endpoint())
        path = path if path.startswith("/") else f"/{PLAIN}/{path}"
        try:
            with self.interruptible():
                answer = self._connection(method, path, query, headers, body)
        except Interrupted:
            self.close()
            raise
        except Wrong as wrong:
            raise Wrong(f"{method} {path} {query or ''}: {wrong}") from None
        return self.judge(f"{method} {path} {query or ''}", answer, len(body), allow)

    def judge(self, what: str, answer: Response, sent: int = 0, allow: Collection[str] = ()) -> Response:
        """The answer, if it may be."""
        found = code(answer)
        self.tally.answered(found, sent, len(answer.body))
        if found == "SlowDown":
            raise Slow
        if found and found not in allow:
            raise Wrong(f"{what}: {answer.status} {found} {answer.body[:300]!r}")
        return answer

    # What is known

    def new_body(self, least: int, most: int) -> Body:
        self.made += 1
        return Body(f"{self.prefix}{self.made}", self.chance.randint(least, most))

    def new_key(self) -> str:
        """Of a name that has never been: what is remembered of names must not grow without end."""
        self.made += 1
        return f"{self.prefix}d{self.chance.randrange(20)}/e{self.made // 50}/{self.made}"

    def key(self, *, there: bool = True) -> str | None:
        """Any of its keys; with certainty one of an object."""
        keys = [key for key, kept in self.objects.items() if not there or (len(kept) == 1 and kept[0] is not None)]
        return self.chance.choice(keys) if keys else None

    def kept(self, key: str) -> Kept:
        kept = self.objects[key][0]
        assert kept is not None
        return kept

    def write(self, key: str, kept: Kept | None, send: Callable[[], object]) -> None:
        """Let `send` put it under the key; until it has returned, what was there may be there as well."""
        self.objects[key] = [*self.objects.get(key, [None]), kept]
        send()
        self.learn(key, kept)

    def learn(self, key: str, kept: Kept | None) -> None:
        if kept is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = [kept]

    def look(self, key: str) -> None:
        """Read an object and look at each byte."""
        possible = self.objects.get(key, [None])
        answer = self.ask("GET", key, allow=("NoSuchKey",))
        for each in possible:
            if (
                answer.status == 404
                if each is None
                else (answer.status == 200 and answer.body == each.body.bytes() and each.etag in ("", etag(answer)))
            ):
                self.learn(key, each if each is None or each.etag else Kept(each.body, etag(answer)))
                return
        # That it is so is told once.
        self.objects.pop(key, None)
        raise Wrong(f"GET {key}: {told(answer)} instead of {possible}")

    def look_at_version(self, key: str, version: str, kept: Kept) -> None:
        answer = self.ask("GET", f"/{VERSIONED}/{key}", {"versionId": version}, allow=("NoSuchVersion",))
        if answer.status != 200 or answer.body != kept.body.bytes():
            self.versions.pop(key, None)
            raise Wrong(f"GET {key} version {version}: {told(answer)} instead of {kept}")

    def listed(self, query: dict[str, str]) -> Iterator[tuple[str, str, int]]:
        """(key, ETag, size) of all pages of a list of the ordinary bucket."""
        token: dict[str, str] = {}
        while True:
            answer = self.ask("GET", f"/{PLAIN}", {"list-type": "2", "encoding-type": "url", **query, **token})
            document = elements(answer.body)
            for each in document.iterchildren("Contents"):
                key, quoted, size = texts(each, "Key", "ETag", "Size")
                yield key.replace("%2F", "/"), quoted.strip('"'), int(size)
            if document.findtext("IsTruncated") != "true":
                return
            token = {"continuation-token": document.findtext("NextContinuationToken") or ""}

    def compare(self, found: Iterable[tuple[str, str, int]]) -> None:
        """Hold a list of all its objects against what it knows."""
        left = dict(self.objects)
        last = ""
        for key, tag, size in found:
            if key.encode() <= last.encode():
                raise Wrong(f"LIST: {key} after {last}")
            last = key
            for each in left.pop(key, ()):
                if each is not None and each.body.size == size and each.etag in ("", tag):
                    break
            else:
                raise Wrong(f"LIST: {key} {tag} {size}, not {self.objects.get(key)}")
        missing = [key for key, possible in left.items() if None not in possible]
        if missing:
            raise Wrong(f"LIST: {missing} are missing")

    def verify(self) -> None:
        """Look at all its objects and versions; what is wrong with one does not end that."""
        for key in list(self.objects):
            self.attempt("verified", lambda key=key: self.look(key))  # type: ignore[misc]
        self.attempt("verified list", lambda: self.compare(self.listed({"prefix": self.prefix, "max-keys": "50"})))
        for key, versions in list(self.versions.items()):
            for version, kept in versions[-3:]:
                if kept is not None:
                    self.attempt(
                        "verified version",
                        lambda key=key, version=version, kept=kept: self.look_at_version(key, version, kept),  # type: ignore[misc]
                    )

    def attempt(self, name: str, work: Callable[[], object]) -> None:
        """Do something, and take note of what must not be."""
        try:
            work()
        except Slow:
            self.tally.did("slowed down")
        except Wrong as wrong:
            self.tally.violated(f"{self.prefix} {name}: {wrong}")
        else:
            self.tally.did(name)


def etag(answer: Response) -> str:
    return (answer.headers["ETag"] or "").strip('"')


def told(answer: Response) -> str:
    """An answer in short."""
    digest = hashlib.md5(answer.body).hexdigest()
    return f"{answer.status} {code(answer)} {len(answer.body)} bytes, MD5 {digest}, {answer.body[:60]!r}"
