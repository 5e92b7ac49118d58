"""Random requests to two daemons on one directory, which are restarted and killed, held against `tests.versionmodel`.

Other programs come between.  After each step the key that it was about is looked at, at the end everything.
"""

from __future__ import annotations

import base64
import hashlib
import os
import select
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests import versionmodel
from tests.e2e.daemon import Daemon, Endpoint
from tests.e2e.plainhttp import Response
from tests.e2e.signed import Client, code, elements, texts
from tests.versionmodel import ENABLED, NULL, SUSPENDED, History, Row, Version
from zs3.store import layout

KEYS = ("a", "a/b", "a,v", "a.b", "dir/", "x" * 255)
MIB = 1 << 20
_FIRST_PART = bytes(5 * MIB)
UNKNOWN = "17979cfe3d85cd15" + "0" * 16

#: Of the keys of this sequence, which are few or all.
keys = st.runner().flatmap(lambda machine: st.sampled_from(machine.keys))
sides = st.integers(0, 1)
#: Picks one of some, whose number is not known yet.
picks = st.integers(0, 1 << 16)
sizes = st.sampled_from((0, 0, 0, 5_000, 70_000))
#: What is seldom done, because it takes long.
seldom = st.integers(0, 9).map(lambda number: number == 0)
delays = st.sampled_from((0.0, 0.001, 0.002, 0.004, 0.008, 0.03))


class Two:
    """Two daemons on one directory, and a client of each.

    :ivar done: how often what was done, and went wrong.
    """

    def __init__(self, home: Path, *arguments: str) -> None:
        self.data = home / "data"
        self.data.mkdir()
        self.done: Counter[str] = Counter()
        self.daemons = []
        self.clients: list[Client] = []
        self._dead: set[int] = set()
        for name in ("one", "other"):
            (home / name).mkdir()
            self.daemons.append(Daemon(home / name, self.data, "--sync", "off", *arguments))

    def start(self) -> None:
        for daemon in self.daemons:
            daemon.start()
            self.clients.append(Client(daemon.plain))

    def restart(self, side: int) -> None:
        self.clients[side].close()
        self.daemons[side].stop()
        self.daemons[side].start()
        self.clients[side] = Client(self.daemons[side].plain)
        self.done["restarts"] += 1

    def kill(self, side: int) -> None:
        self._dead.add(side)
        self.daemons[side].kill()
        self.done["kills"] += 1

    def revive(self, side: int) -> None:
        self.clients[side].close()
        self.daemons[side].start()
        self.clients[side] = Client(self.daemons[side].plain)
        self._dead.discard(side)

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        for daemon in self.daemons:
            daemon.stop()

    def endpoints(self) -> list[Endpoint]:
        """Those of the daemons that live."""
        return [client.endpoint for side, client in enumerate(self.clients) if side not in self._dead]

    def new_bucket(self) -> str:
        self.done["sequences"] += 1
        return f"bucket-{self.done['sequences']}"

    def new_versioned_bucket(self) -> str:
        """One that is there, and keeps versions."""
        bucket = self.new_bucket()
        for query, body in (({}, b""), ({"versioning": ""}, versioning(ENABLED))):
            answer = self.clients[0]("PUT", f"/{bucket}", query=query, body=body)
            assert answer.status == 200, answer.body
        return bucket


def versioning(state: str) -> bytes:
    return f"<VersioningConfiguration><Status>{state}</Status></VersioningConfiguration>".encode()


class VersionsMachine(RuleBasedStateMachine):
    """:cvar two: the daemons."""

    two: Two

    def __init__(self) -> None:
        super().__init__()
        self.bucket = self.two.new_bucket()
        self.state = ""
        self.keys: Sequence[str] = KEYS
        self.histories: dict[str, History] = {key: History() for key in KEYS}
        self.made = 0
        self.trace: list[str] = []
        self.ok(self.ask(0, "PUT"))

    # Asking

    def ask(self, side: int, method: str, key: str = "", **more: Any) -> Response:
        answer = self.two.clients[side](method, f"/{self.bucket}/{key}" if key else f"/{self.bucket}", **more)
        if method != "GET":
            shown = {name: value[:80] if isinstance(value, bytes) else value for name, value in more.items()}
            version = answer.headers["x-amz-version-id"]
            self.trace.append(f"{side} {method} {key} {shown}: {answer.status} {version}")
        return answer

    def ok(self, answer: Response) -> Response:
        assert answer.status < 300, (answer.status, answer.body)
        return answer

    def refused(self, answer: Response, status: int, error: str) -> Response:
        assert (answer.status, code(answer)) in ((status, error), (status, str(status))), (answer.status, answer.body)
        return answer

    def turn(self) -> int:
        self.made += 1
        return self.made

    def body(self, size: int) -> bytes:
        """Of each another."""
        text = b"%d of %s" % (self.made, self.bucket.encode())
        return text + bytes(max(0, size - len(text)))

    def pick(self, key: str, pick: int, *, markers: bool = True) -> str:
        """The id of a version of a key, or now and then of none."""
        known = [each.id for each in self.histories[key].told() if markers or not each.marker]
        known.append(UNKNOWN)
        return known[pick % len(known)]

    def version_of(self, answer: Response) -> str:
        """The id that an answer has, which there is if versions are kept."""
        version = answer.headers["x-amz-version-id"]
        if self.state != ENABLED:
            # S3 leaves it out of the answers to what was written.
            assert version in (None, NULL)
            return NULL
        assert version not in (None, NULL)
        return str(version)

    def set(self, key: str, history: History, side: int) -> None:
        self.histories[key] = history
        self.check(key, 1 - side)

    # Checking

    def rows(self, side: int, **query: str) -> tuple[list[Row], list[str], bool, str, str]:
        document = elements(self.ok(self.ask(side, "GET", query={"versions": "", **query})).body)
        rows = []
        for each in document.iterchildren("Version", "DeleteMarker"):
            key, version, latest, etag, size = texts(each, "Key", "VersionId", "IsLatest", "ETag", "Size")
            marker = each.tag == "DeleteMarker"
            rows.append(Row(key, version, marker, latest == "true", etag.strip('"'), int(size or 0)))
        prefixes = [each.findtext("Prefix") or "" for each in document.iterchildren("CommonPrefixes")]
        truncated, *following = texts(document, "IsTruncated", "NextKeyMarker", "NextVersionIdMarker")
        return rows, prefixes, truncated == "true", following[0], following[1]

    def rows_of(self, side: int, key: str) -> list[Row]:
        rows, *_ = self.rows(side, prefix=key)
        return [row for row in rows if row.key == key]

    def check(self, key: str, side: int) -> None:
        """That one key is told as it should be."""
        self.two.done["steps"] += 1
        history = self.histories[key]
        found, wanted = self.rows_of(side, key), self.told(key)
        assert found == wanted, f"{key}: told {found}, wanted {wanted}"
        self.check_read(key, history.current, history.hidden_by(), self.ask(side, "GET", key))

    def told(self, key: str) -> list[Row]:
        return self.histories[key].rows(key)

    def check_read(self, key: str, current: Version | None, marker: Version | None, answer: Response) -> None:
        if current is not None:
            assert self.ok(answer).body == current.data
            assert answer.headers["ETag"] == f'"{current.etag}"'
            assert answer.headers["x-amz-version-id"] == (current.id if self.state else None)
        else:
            self.refused(answer, 404, "NoSuchKey")
            told = answer.headers["x-amz-delete-marker"], answer.headers["x-amz-version-id"]
            assert told == (("true", marker.id) if marker else (None, None))

    def teardown(self) -> None:
        """Everything, by both daemons."""
        error = sys.exc_info()[1]
        if error is not None:
            # Of a step: if it was about what the daemons do, it may not come again.
            if isinstance(error, Exception) and not isinstance(error, HypothesisException):
                self.two.done["violations"] += 1
                print(*self.trace, "".join(traceback.format_exception(error)), sep="\n", flush=True)
            return
        for side in (0, 1):
            for key in KEYS:
                self.check(key, side)
                for version in self.histories[key].told():
                    self.check_version(side, key, version)
            whole = versionmodel.list_versions(self.histories)
            assert self.rows(side)[:2] == (whole.rows, whole.prefixes)
            self.check_pages(side, 2, {})
            self.check_pages(1 - side, 3, {"delimiter": "/"})
        for client in self.two.clients:
            client.close()

    def check_version(self, side: int, key: str, version: Version) -> None:
        named = {"versionId": version.id}
        answer = self.ask(side, "GET", key, query=named)
        if version.marker:
            self.refused(answer, 405, "MethodNotAllowed")
            assert answer.headers["x-amz-delete-marker"] == "true"
            return
        assert self.ok(answer).body == version.data
        assert answer.headers["ETag"] == f'"{version.etag}"'
        assert self.tags(self.ok(self.ask(side, "GET", key, query={"tagging": "", **named}))) == version.tags

    def check_pages(self, side: int, limit: int, query: dict[str, str]) -> None:
        """That all pages together are the whole, each of them full."""
        found: list[Any] = []
        at: dict[str, str] = {}
        while True:
            rows, prefixes, truncated, key, version = self.rows(side, **query, **at, **{"max-keys": str(limit)})
            found += [*rows, *prefixes]
            if not truncated:
                break
            assert len(rows) + len(prefixes) == limit
            at = {"key-marker": key} | ({"version-id-marker": version} if version else {})
        whole = versionmodel.list_versions(self.histories, delimiter=query.get("delimiter", ""))
        assert sorted(found, key=str) == sorted([*whole.rows, *whole.prefixes], key=str)
        assert [each for each in found if isinstance(each, Row)] == whole.rows

    @staticmethod
    def tags(answer: Response) -> tuple[tuple[str, str], ...]:
        document = elements(answer.body)
        return tuple((each.findtext("Key") or "", each.findtext("Value") or "") for each in document.iter("Tag"))

    # Versioning

    @initialize(
        chosen=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True) | st.just(KEYS),
        old=st.lists(st.sampled_from(KEYS), max_size=2, unique=True),
        kept=seldom,
    )
    def begin(self, chosen: Sequence[str], old: list[str], kept: bool) -> None:
        self.keys = chosen
        for key in old:
            self.put(key, 0, 0, "")
        if not kept:
            self.switch(True, 0)

    @rule(enabled=st.sampled_from((True, True, False)), side=sides)
    def switch(self, enabled: bool, side: int) -> None:
        state = ENABLED if enabled else SUSPENDED
        self.ok(self.ask(side, "PUT", query={"versioning": ""}, body=versioning(state)))
        self.state = state

    # Writing

    def condition(self, key: str, how: str, pick: int) -> tuple[dict[str, str], str]:
        """The headers of a condition, and the error that it makes, "" if it holds."""
        current = self.histories[key].current
        if how == "create":
            return {"If-None-Match": "*"}, "PreconditionFailed" if current else ""
        if how == "match":
            etags = [each.etag for each in self.histories[key].told() if each.etag] or ["0" * 32]
            etag = etags[pick % len(etags)]
            error = "NoSuchKey" if current is None else "" if current.etag == etag else "PreconditionFailed"
            return {"If-Match": f'"{etag}"'}, error
        return {}, ""

    @rule(key=keys, size=sizes, side=sides, how=st.sampled_from(("", "", "create", "match")), pick=picks)
    def put(self, key: str, size: int, side: int, how: str, pick: int = 0) -> None:
        headers, error = self.condition(key, how, pick)
        turn = self.turn()
        data = self.body(size)
        answer = self.ask(side, "PUT", key, headers=headers, body=data)
        if error:
            self.refused(answer, 404 if error == "NoSuchKey" else 412, error)
            self.check(key, 1 - side)
            return
        etag = hashlib.md5(data).hexdigest()
        assert self.ok(answer).headers["ETag"] == f'"{etag}"'
        new = Version(self.version_of(answer), turn, data, etag)
        self.set(key, self.histories[key].put(new, self.state), side)

    def begun(self, key: str, side: int, pieces: list[bytes]) -> tuple[str, bytes, str]:
        """An upload with all its parts: its id, what completes it, and the ETag of the object."""
        document = elements(self.ok(self.ask(side, "POST", key, query={"uploads": ""})).body)
        upload = document.findtext("UploadId") or ""
        parts = []
        for number, piece in enumerate(pieces, 1):
            where = {"partNumber": str(number), "uploadId": upload}
            self.ok(self.ask((side + number) % 2, "PUT", key, query=where, body=piece))
            etag = hashlib.md5(piece).hexdigest()
            parts.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        digest = hashlib.md5(b"".join(hashlib.md5(piece).digest() for piece in pieces)).hexdigest()
        body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>"
        return upload, body.encode(), f"{digest}-{len(pieces)}"

    @rule(key=keys, two=seldom, side=sides)
    def complete(self, key: str, two: bool, side: int) -> None:
        turn = self.turn()
        pieces = [_FIRST_PART, self.body(0)] if two else [self.body(0)]
        upload, body, etag = self.begun(key, side, pieces)
        answer = self.ok(self.ask(side, "POST", key, query={"uploadId": upload}, body=body))
        assert (elements(answer.body).findtext("ETag") or "").strip('"') == etag
        new = Version(self.version_of(answer), turn, b"".join(pieces), etag)
        self.set(key, self.histories[key].put(new, self.state), side)

    @rule(source=keys, key=keys, pick=picks, named=st.booleans(), side=sides)
    def copy(self, source: str, key: str, pick: int, named: bool, side: int) -> None:
        history = self.histories[source]
        version = self.pick(source, pick) if named else ""
        found = history.find(version) if named else history.current
        query = f"?versionId={version}" if named else ""
        headers = {
            "x-amz-copy-source": f"/{self.bucket}/{quote(source)}{query}",
            "x-amz-metadata-directive": "REPLACE",
        }
        turn = self.turn()
        answer = self.ask(side, "PUT", key, headers=headers)
        if found is None:
            self.refused(answer, 404, "NoSuchVersion" if named else "NoSuchKey")
            return
        if found.marker:
            self.refused(answer, 400, "InvalidRequest")
            return
        etag = (elements(self.ok(answer).body).findtext("ETag") or "").strip('"')
        version = answer.headers["x-amz-version-id"] or NULL
        assert (version == NULL) == (self.state != ENABLED)
        new = Version(version, turn, found.data, etag, found.tags)
        self.set(key, self.histories[key].put(new, self.state), side)

    @rule(key=keys, side=sides)
    def delete(self, key: str, side: int) -> None:
        turn = self.turn()
        answer = self.ok(self.ask(side, "DELETE", key))
        if self.state:
            assert answer.headers["x-amz-delete-marker"] == "true"
        marker = Version(self.version_of(answer), turn, marker=True)
        self.set(key, self.histories[key].delete(marker, self.state), side)

    @rule(key=keys, pick=picks, side=sides)
    def remove(self, key: str, pick: int, side: int) -> None:
        version = self.pick(key, pick)
        found = self.histories[key].find(version)
        answer = self.ok(self.ask(side, "DELETE", key, query={"versionId": version}))
        assert answer.headers["x-amz-version-id"] == version
        assert answer.headers["x-amz-delete-marker"] == ("true" if found and found.marker else None)
        self.set(key, self.histories[key].remove(version), side)

    @rule(chosen=st.dictionaries(keys, st.tuples(st.booleans(), picks), min_size=1), side=sides)
    def delete_many(self, chosen: dict[str, tuple[bool, int]], side: int) -> None:
        wanted = {key: self.pick(key, pick) if named else "" for key, (named, pick) in chosen.items()}
        entries = "".join(
            f"<Object><Key>{escape(key)}</Key>{f'<VersionId>{version}</VersionId>' if version else ''}</Object>"
            for key, version in wanted.items()
        )
        body = f"<Delete>{entries}</Delete>".encode()
        headers = {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        turn = self.turn()
        answer = self.ok(self.ask(side, "POST", query={"delete": ""}, headers=headers, body=body))
        deleted = list(elements(answer.body))
        assert [each.tag for each in deleted] == ["Deleted"] * len(wanted), answer.body
        told = {each.findtext("Key") or "": each for each in deleted}
        assert told.keys() == wanted.keys()
        for key, version in wanted.items():
            history = self.histories[key]
            marker = told[key].findtext("DeleteMarkerVersionId")
            assert told[key].findtext("VersionId") == (version or None)
            if version:
                found = history.find(version)
                assert marker == (version if found and found.marker else None)
                self.set(key, history.remove(version), side)
            else:
                assert (marker is None) == (not self.state)
                self.set(key, history.delete(Version(marker or NULL, turn, marker=True), self.state), side)

    @rule(prefix=keys, limit=st.integers(1, 3), side=sides, now=st.booleans())
    def remove_all(self, prefix: str, limit: int, side: int, now: bool) -> None:
        """Page by page, as clients empty a bucket: what each page tells, before the next is asked for."""
        at: dict[str, str] = {}
        while now:
            rows, _, now, key, version = self.rows(side, prefix=prefix, **at, **{"max-keys": str(limit)})
            at = {"key-marker": key, "version-id-marker": version}
            for row in rows:
                self.ok(self.ask(1 - side, "DELETE", row.key, query={"versionId": row.id}))
            if not now:
                for each in filter(lambda each: each.startswith(prefix), KEYS):
                    self.set(each, History(), side)

    # Reading

    @rule(key=keys, pick=picks, method=st.sampled_from(("GET", "HEAD")), side=sides)
    def read_version(self, key: str, pick: int, method: str, side: int) -> None:
        version = self.pick(key, pick)
        found = self.histories[key].find(version)
        answer = self.ask(side, method, key, query={"versionId": version})
        if found is None:
            self.refused(answer, 404, "NoSuchVersion")
        elif found.marker:
            self.refused(answer, 405, "MethodNotAllowed")
        else:
            assert self.ok(answer).body == (found.data if method == "GET" else b"")
            assert answer.headers["Content-Length"] == str(len(found.data))
            assert answer.headers["x-amz-version-id"] == (version if self.state else None)

    @rule(key=keys, side=sides)
    def head(self, key: str, side: int) -> None:
        current = self.histories[key].current
        answer = self.ask(side, "HEAD", key)
        assert answer.status == (200 if current else 404)
        if current:
            assert answer.headers["ETag"] == f'"{current.etag}"'

    @rule(key=keys, pick=picks, named=st.booleans(), side=sides)
    def tag(self, key: str, pick: int, named: bool, side: int) -> None:
        history = self.histories[key]
        version = self.pick(key, pick) if named else ""
        found = history.find(version) if named else history.current or history.hidden_by()
        tags = (("turn", str(self.turn())),)
        body = f"<Tagging><TagSet><Tag><Key>turn</Key><Value>{tags[0][1]}</Value></Tag></TagSet></Tagging>".encode()
        query = {"tagging": ""} | ({"versionId": version} if named else {})
        answer = self.ask(side, "PUT", key, query=query, body=body)
        if found is None:
            self.refused(answer, 404, "NoSuchVersion" if named else "NoSuchKey")
        elif found.marker:
            self.refused(answer, 405, "MethodNotAllowed")
        else:
            self.ok(answer)
            self.set(key, history.tag(found.id, tags), side)
            assert self.tags(self.ok(self.ask(1 - side, "GET", key, query=query))) == tags

    @rule(
        prefix=st.sampled_from(("", "", "a", "a/", "a,", "d", "x")),
        delimiter=st.sampled_from(("", "/", ",", ".", "/b")),
        limit=st.sampled_from((0, 1, 2, 3, 1000)),
        after=st.sampled_from(("", "a", "a/", "a/b", "a,v", "b", "dir/", "dir")),
        pick=picks,
        side=sides,
    )
    def list_versions(self, prefix: str, delimiter: str, limit: int, after: str, pick: int, side: int) -> None:
        version = ""
        if after in KEYS:
            ids = ["", *(each.id for each in self.histories[after].told())]
            version = ids[pick % len(ids)]
        query = {"prefix": prefix, "delimiter": delimiter, "max-keys": str(limit), "key-marker": after}
        if version:
            query["version-id-marker"] = version
        found = self.rows(side, **query)
        wanted = versionmodel.list_versions(self.histories, prefix, delimiter, after, version, limit)
        assert found == tuple(wanted), f"{query}: told {found}, wanted {wanted}"
        self.two.done["steps"] += 1

    @rule(
        prefix=st.sampled_from(("", "", "a", "a/", "a,", "d", "x")),
        delimiter=st.sampled_from(("", "/", ",", ".", "/b")),
        limit=st.sampled_from((0, 1, 2, 1000)),
        after=st.sampled_from(("", "a", "a/", "a,v", "b")),
        side=sides,
    )
    def list_objects(self, prefix: str, delimiter: str, limit: int, after: str, side: int) -> None:
        query = {"list-type": "2", "prefix": prefix, "delimiter": delimiter, "max-keys": str(limit)}
        document = elements(self.ok(self.ask(side, "GET", query={**query, "start-after": after})).body)
        found = [tuple(texts(each, "Key", "ETag", "Size")) for each in document.iterchildren("Contents")]
        prefixes = [each.findtext("Prefix") for each in document.iterchildren("CommonPrefixes")]
        wanted = versionmodel.list_objects(self.histories, prefix, delimiter, after, limit)
        assert found == [(row.key, f'"{row.etag}"', str(row.size)) for row in wanted.rows]
        assert prefixes == wanted.prefixes
        assert document.findtext("IsTruncated") == str(wanted.truncated).lower()
        self.two.done["steps"] += 1

    # Daemons that end

    @rule(side=sides, now=seldom)
    def restart(self, side: int, now: bool) -> None:
        if now:
            self.trace.append(f"{side} restarted")
            self.two.restart(side)

    @rule(
        key=keys,
        side=sides,
        how=st.sampled_from(("put", "delete", "remove", "complete")),
        pick=picks,
        delay=delays,
        now=seldom,
    )
    def kill(self, key: str, side: int, how: str, pick: int, delay: float, now: bool) -> None:
        """`kill -9` while a request is under way: it happened, or it did not."""
        before = self.histories[key]
        if not now or not self.state or not before.is_simple:
            return
        turn = self.turn()
        data = self.body(0)
        method, query, body, etag = "PUT", {}, data, hashlib.md5(data).hexdigest()
        happened: Callable[[str], History] = lambda version: before.put(  # noqa: E731
            Version(version, turn, data, etag), self.state
        )
        if how == "complete":
            upload, body, etag = self.begun(key, side, [data])
            method, query = "POST", {"uploadId": upload}
        elif how == "delete":
            method, body = "DELETE", b""
            happened = lambda version: before.delete(Version(version, turn, marker=True), self.state)  # noqa: E731
        elif how == "remove":
            version = self.pick(key, pick)
            method, body, query = "DELETE", b"", {"versionId": version}
            happened = lambda _: before.remove(version)  # noqa: E731
        answered = self._killed_during(side, delay, method, key, query, body)
        for other in (1 - side, side):
            if other == side:
                self.two.revive(side)
            found = self.rows_of(other, key)
            known = {each.id for each in before.told()}
            new = next((row.id for row in found if row.id not in known), NULL)
            outcomes = [happened(new)] if answered else [before, happened(new)]
            matching = [each for each in outcomes if each.rows(key) == found]
            assert matching, f"{key}: told {found}, answered {answered}, wanted one of {outcomes}"
            outcomes = matching[:1]
        # What was seen once stays.
        if how == "complete" and not answered:
            again = self.ask(side, "POST", key, query=query, body=body)
            if outcomes[0] == before:
                new = self.version_of(self.ok(again))
                outcomes = [happened(new)]
            elif again.status != 200:
                self.refused(again, 404, "NoSuchUpload")
        self.set(key, outcomes[0], side)

    def _killed_during(
        self, side: int, delay: float, method: str, key: str, query: dict[str, str], body: bytes
    ) -> bool:
        """Whether the request was answered, which then must have been in good order."""
        client = self.two.clients[side]
        connection = client.send(method, f"/{self.bucket}/{key}", query, body=body)
        select.select([connection.sock], [], [], delay)
        self.two.kill(side)
        self.trace.append(f"{side} {method} {key} {query}: killed after {delay} s")
        try:
            self.ok(client.read())
        except (HTTPException, OSError):
            return False
        self.two.done["answered before the kill"] += 1
        return True

    # Other programs

    def paths(self, key: str) -> list[Path]:
        """The natural path of an object, and the one beside it."""
        path = layout.encode(key)
        ways = ((*path.parent, path.name), (*path.parent, *path.beside))
        return [self.two.data / self.bucket / os.fsdecode(b"/".join(way)) for way in ways]

    def file_of(self, key: str) -> Path | None:
        return next((path for path in self.paths(key) if path.is_file()), None)

    def put_by_others(self, key: str, file: Path) -> None:
        """Move a file to where the object is, or should be."""
        natural, beside = self.paths(key)
        path = self.file_of(key) or (beside if natural.is_dir() else natural)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            # An object is in the way, and others do not know how to make it give way.
            file.unlink()
            assume(False)
        file.replace(path)
        self.two.done["changes by others"] += 1

    @precondition(lambda self: self.state)
    @rule(key=keys, size=sizes, side=sides)
    def replace_by_rename(self, key: str, size: int, side: int) -> None:
        turn = self.turn()
        data = self.body(size)
        file = self.two.data.parent / "new"
        file.write_bytes(data)
        # The kernel's clock is that of zs3, but goes in steps; and a time may not look rounded.
        now = time.time_ns() // 1000 * 1000 + 1
        os.utime(file, ns=(now, now))
        self.put_by_others(key, file)
        answer = self.ok(self.ask(side, "HEAD", key))
        version, etag = answer.headers["x-amz-version-id"], answer.headers["ETag"].strip('"')
        assert version not in {each.id for each in self.histories[key].told()}
        new = Version(version, turn, data, etag, plain=True)
        self.trace.append(f"replaced by others: {key} {version}")
        self.set(key, self.histories[key].replaced_by_others(new), side)

    @precondition(lambda self: self.state)
    @rule(key=keys, side=sides)
    def remove_by_hand(self, key: str, side: int) -> None:
        for path in self.paths(key):
            if path.is_file():
                path.unlink()
                self.trace.append(f"removed by others: {path}")
                self.two.done["changes by others"] += 1
        self.set(key, self.histories[key].removed_by_others(), side)

    @precondition(lambda self: self.state)
    @rule(key=keys, pick=picks, side=sides)
    def put_back_by_hand(self, key: str, pick: int, side: int) -> None:
        """As ``cp -a`` does it; of a file that others made a copy is another."""
        older = [each for each in self.histories[key].older if not each.marker and not each.plain]
        assume(older)
        version = older[pick % len(older)]
        where = self.two.data / ".zs3" / "versions" / self.bucket / os.fsdecode(b"/".join(layout.encode_history(key)))
        [kept] = where.glob(f"*_{version.id}") if version.id != NULL else where.glob(NULL)
        file = self.two.data.parent / "new"
        shutil.copy2(kept, file)
        self.put_by_others(key, file)
        self.trace.append(f"put back by others: {key} {version.id}")
        self.set(key, self.histories[key].replaced_by_others(version), side)


def machine(two: Two) -> type[VersionsMachine]:
    """A machine of its own for these daemons."""

    class Machine(VersionsMachine):
        pass

    Machine.two = two
    return Machine
