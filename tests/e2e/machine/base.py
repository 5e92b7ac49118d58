"""Asking two daemons, and holding what they tell against the models: what all rules have in common."""

from __future__ import annotations

import itertools
import random
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, initialize
from lxml import etree

from tests import versionmodel
from tests.e2e.machine.operations import name_of
from tests.e2e.plainhttp import Response
from tests.e2e.signed import code, elements, texts
from tests.e2e.two import Two, versioning
from tests.objectmodel import IS_MARKER, NO_KEY, Condition, Headers, Refusal, Tags, Upload, object_of
from tests.versionmodel import ENABLED, NULL, SUSPENDED, History, Page, Row, Version

KEYS = ("a", "a/b", "a/b/c", "a,v", "a.b", "dir/", "x" * 255, "x" * 255 + "y/z", "\u00fc ~+%41", ".zs3=q", "a//b")
UNKNOWN = "17979cfe3d85cd15" + "0" * 16

#: Of the keys of this sequence, which are few or all.
keys = st.integers(0, len(KEYS) - 1)
sides = st.sampled_from((0, 1))
#: Picks one of some, whose number is not known yet.
picks = st.integers(0, 1 << 16)
#: -1 is nothing at all.
SIZES = (0, 0, 0, 0, -1, 5_000, 70_000)
sizes = st.sampled_from(SIZES)
#: What is seldom done, because it takes long.
seldom = st.integers(1, 10).map(lambda number: number == 7)

#: What a client stores with an object.
HEADERS: Sequence[Headers] = (
    (),
    (("content-type", "text/plain"),),
    (
        ("cache-control", "no-cache"),
        ("content-disposition", 'attachment; filename="a b"'),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-type", "text/html; charset=utf-8"),
        ("expires", "Thu, 01 Jan 2037 00:00:00 GMT"),
    ),
    (("x-amz-meta-a", "1"), ("x-amz-meta-b", "two words")),
    (("content-type", "image/png"), ("x-amz-storage-class", "STANDARD_IA"), ("x-amz-website-redirect-location", "/b")),
    # What no attribute holds.
    (("cache-control", "c" * 2500), ("x-amz-meta-long", "m" * 1500)),
)
headers_of_new = st.sampled_from((*HEADERS, (), (), ()))
TAGS: Sequence[Tags] = ((), (), (("a", "1"),), (("a", "2"), ("key b", "+=@"), ("\u00fc", "")))
MARKS = ("", "same", "other", "*")
#: How the parts of a `Condition` are meant.
CONDITIONS = tuple(itertools.product(MARKS, MARKS, (0, 1, 2), (0, 1, 2)))
WRITE_CONDITIONS = ("", "", "", "", "", "", "create", "match", "match other", "match *", "not other")

#: Of what is told of an object all that is not the same each time, or told of every answer.
_OTHER = {"date", "server", "x-amz-request-id", "x-amz-id-2", "connection", "x-content-type-options"}

#: Of a trace: what is no use to read.
_LONG = re.compile(r"(?:\\x00|x){40,}|c{40,}|m{40,}").sub


def same(found: object, wanted: object) -> None:
    """That what was told is what should be; with both in the error."""
    assert found == wanted, f"told {_shortened(found)}, wanted {_shortened(wanted)}"


class Base(RuleBasedStateMachine):
    """:cvar two: the daemons.
    :ivar state: of versioning, "" if it never was on.
    :ivar chance: decides how something is done; what is done next, and to which key, is Hypothesis' choice.  So there
        is as much variety late in a sequence as early, at little cost.
    :ivar uploads: all there ever were, the oldest first.
    :ivar modified: the Last-Modified of what was written, by turns.
    """

    two: Two

    def __init__(self) -> None:
        super().__init__()
        self.bucket = self.two.new_bucket()
        self.state = ""
        self.keys: Sequence[str] = KEYS
        self.histories: dict[str, History] = {key: History() for key in KEYS}
        self.touched: set[str] = set()
        self.uploads: list[Upload] = []
        self.modified: dict[int, str] = {}
        self.chance = random.Random()
        self.made = 0
        self.trace: list[object] = []
        self.ok(self.ask(0, "PUT"))

    @initialize(
        chosen=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True),
        many=seldom,
        versioned=st.booleans(),
        filled=st.lists(st.tuples(sizes, headers_of_new), min_size=1, max_size=4),
        seed=st.integers(0, (1 << 24) - 1),
    )
    def begin_with(
        self, chosen: Sequence[str], many: bool, versioned: bool, filled: Sequence[tuple[int, Headers]], seed: int
    ) -> None:
        """Choose the keys, and whether versions are kept; and put some objects, a few of them before that."""
        self.keys = KEYS if many else chosen
        self.chance.seed(seed)
        for number, (size, headers) in enumerate(filled):
            if number == len(filled) // 2 and versioned:
                self.switch_to(True, 0)
            self.fill(self.key(number), size, headers, number % 2)

    def fill(self, key: str, size: int, headers: Headers, side: int) -> None:
        """Put an object, without further ado."""
        new = object_of(self.turn(), self.body(size), headers)
        self.put_version(key, new, self.ok(self.ask(side, "PUT", key, headers=dict(headers), body=new.data)), side)

    # Asking

    def ask(self, side: int, method: str, key: str = "", **more: Any) -> Response:
        answer = self.two.clients[side](method, f"/{self.bucket}/{key}" if key else f"/{self.bucket}", **more)
        self.two.done[f"{name_of(method, key, **more)} {answer.status}"] += 1
        self.asked(side, method, key, more, f"{answer.status} {answer.headers['x-amz-version-id'] or ''}")
        return answer

    def asked(self, side: int, method: str, key: str, more: Mapping[str, Any], outcome: str) -> None:
        """For the trace."""
        self.trace.append((side, method, key, more, outcome))

    def ok(self, answer: Response) -> Response:
        assert answer.status < 300, (answer.status, answer.body)
        return answer

    def refused(self, answer: Response, *refusals: Refusal) -> None:
        """That it was refused, for one of these reasons."""
        told = Refusal(answer.status, code(answer))
        # The answer to a HEAD has no code.
        assert told in [*refusals, *(Refusal(each.status, str(each.status)) for each in refusals)], (
            f"told {told}, wanted one of {refusals}: {answer.body!r}"
        )

    def ended(self, answer: Response, *refusals: Refusal | None) -> bool:
        """Whether it did what was asked, as it should have if there is no reason to refuse that."""
        reasons = [each for each in refusals if each]
        if reasons:
            self.refused(answer, *reasons)
        else:
            self.ok(answer)
        return not reasons

    def document(self, answer: Response) -> etree._Element:
        return elements(self.ok(answer).body)

    # Choosing

    def key(self, number: int) -> str:
        return self.keys[number % len(self.keys)]

    def likely_key(self, number: int) -> str:
        """One that has an object, more often than not."""
        there = [key for key in self.keys if self.histories[key].current]
        return there[number % len(there)] if there and number % 4 else self.key(number)

    def turn(self) -> int:
        self.made += 1
        return self.made

    def body(self, size: int) -> bytes:
        """Of each another, but for what is empty."""
        if size < 0:
            return b""
        text = b"%d of %s" % (self.made, self.bucket.encode())
        return text + bytes(max(0, size - len(text)))

    def pick(self, key: str, pick: int) -> str:
        """The id of a version of a key, or now and then of none."""
        known = [each.id for each in self.histories[key].told()]
        return known[pick % len(known)] if known and pick % 7 else UNKNOWN

    def other_etag(self, key: str, pick: int) -> str:
        """One that the object may have had."""
        etags = [each.etag for each in self.histories[key].told()[1:] if each.etag] or ["0" * 32]
        return etags[pick % len(etags)]

    def write_condition(self, key: str, how: str, pick: int) -> tuple[Condition, dict[str, str]]:
        current = self.histories[key].current
        etag = current.etag if current and "other" not in how else self.other_etag(key, pick)
        condition = Condition()
        if how == "create":
            condition = Condition(none_match="*")
        elif how.startswith("not"):
            condition = Condition(none_match=etag)
        elif how:
            condition = Condition("*" if "*" in how else etag)
        match, none_match = (tag if tag in ("", "*") else f'"{tag}"' for tag in condition[:2])
        told = {"If-Match": match, "If-None-Match": none_match}
        return condition, {name: value for name, value in told.items() if value}

    def version_of(self, answer: Response) -> str:
        """The id that an answer has, which there is if versions are kept."""
        version = answer.headers["x-amz-version-id"]
        if self.state != ENABLED:
            # S3 leaves it out of the answers to what was written.
            assert version in (None, NULL)
            return NULL
        assert version not in (None, NULL)
        return str(version)

    # Changing

    def set(self, key: str, history: History, side: int) -> None:
        """What is to be told of a key from now on, also by the other daemon."""
        self.set_all({key: history}, side)

    def set_all(self, histories: Mapping[str, History], side: int) -> None:
        """The same of several."""
        self.histories |= histories
        self.touched |= histories.keys()
        for key in histories:
            self.check(key, 1 - side)

    def put_version(self, key: str, new: Version, answer: Response, side: int) -> None:
        """What was made is the current version now."""
        new = replace(new, id=self.version_of(answer))
        self.set(key, self.histories[key].put(new, self.state), side)

    def switch_to(self, enabled: bool, side: int) -> None:
        state = ENABLED if enabled else SUSPENDED
        self.ok(self.ask(side, "PUT", query={"versioning": ""}, body=versioning(state)))
        if not self.state:
            # A file that others made has had an id all the time, which is told from now on.
            for key, history in self.histories.items():
                if history.current and history.current.plain:
                    [row] = self.rows_of(side, key)
                    self.histories[key] = History(replace(history.current, id=row.id))
        self.state = state

    # Checking

    def page(self, side: int, **query: str) -> Page:
        """A page of ListObjectVersions."""
        document = self.document(self.ask(side, "GET", query={"versions": "", **query}))
        decode = unquote if "encoding-type" in query else str
        rows = []
        for each in document.iterchildren("Version", "DeleteMarker"):
            key, version, latest, etag, size = texts(each, "Key", "VersionId", "IsLatest", "ETag", "Size")
            marker = each.tag == "DeleteMarker"
            rows.append(Row(decode(key), version, marker, latest == "true", etag.strip('"'), int(size or 0)))
        prefixes = [decode(each.findtext("Prefix") or "") for each in document.iterchildren("CommonPrefixes")]
        truncated, key, version = texts(document, "IsTruncated", "NextKeyMarker", "NextVersionIdMarker")
        return Page(rows, prefixes, truncated == "true", decode(key), version)

    def rows_of(self, side: int, key: str) -> list[Row]:
        return [row for row in self.page(side, prefix=key).rows if row.key == key]

    def check(self, key: str, side: int) -> None:
        """That one key is told as it should be, and perhaps others."""
        self.two.done["steps"] += 1
        self.check_key(key, side)
        self.look(key, side)

    def check_key(self, key: str, side: int) -> None:
        history = self.histories[key]
        found, wanted = self.rows_of(side, key), history.rows(key)
        same(found, wanted)
        self.check_current(key, self.ask(side, "GET", key, headers={"x-amz-checksum-mode": "ENABLED"}))

    def look(self, key: str, side: int) -> None:
        """Ask about a key, or about others, in some of many ways."""

    def check_current(self, key: str, answer: Response) -> None:
        history = self.histories[key]
        if history.current is None:
            self.check_missing(history, answer)
            return
        same(self.ok(answer).body, history.current.data)
        told = {"content-length": str(len(history.current.data)), **self.checksum_headers(history.current)}
        self.check_headers(history.current, answer, told)

    def check_missing(self, history: History, answer: Response) -> None:
        self.refused(answer, NO_KEY)
        marker = history.hidden_by()
        told = answer.headers["x-amz-delete-marker"], answer.headers["x-amz-version-id"]
        same(told, (("true", marker.id) if marker else (None, None)))

    def check_headers(self, version: Version, answer: Response, more: Mapping[str, str]) -> None:
        """That an answer tells all of an object, and nothing else.

        :param more: what it tells of itself.
        """
        told = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in _OTHER}
        modified = self.modified.setdefault(version.turn, told.get("last-modified", ""))
        wanted = {
            "accept-ranges": "bytes",
            "content-type": "binary/octet-stream",
            "etag": f'"{version.etag}"',
            "last-modified": modified,
            **dict(version.headers),
            **({"x-amz-tagging-count": str(len(version.tags))} if version.tags else {}),
            **({"x-amz-version-id": version.id} if self.state else {}),
            **more,
        }
        same(told, wanted)

    @staticmethod
    def checksum_headers(version: Version) -> dict[str, str]:
        if version.checksum is None:
            return {}
        algorithm, text, kind = version.checksum
        return {f"x-amz-checksum-{algorithm.lower()}": text, "x-amz-checksum-type": kind}

    def check_version(self, side: int, key: str, version: Version) -> None:
        named = {"versionId": version.id}
        answer = self.ask(side, "GET", key, query=named)
        if version.marker:
            self.refused(answer, IS_MARKER)
            same(answer.headers["x-amz-delete-marker"], "true")
            return
        same(self.ok(answer).body, version.data)
        self.check_headers(version, answer, {"content-length": str(len(version.data))})
        same(self.tags(self.ask(side, "GET", key, query={"tagging": "", **named})), version.tags)

    def tags(self, answer: Response) -> Tags:
        document = self.document(answer)
        return tuple((each.findtext("Key") or "", each.findtext("Value") or "") for each in document.iter("Tag"))

    def teardown(self) -> None:
        error = sys.exc_info()[1]
        if error is None:
            try:
                self.check_everything()
            except Exception as wrong:
                self.violated(wrong)
                raise
        elif isinstance(error, Exception) and not isinstance(error, HypothesisException):
            # Of a step: if it was about what the daemons do, it may not come again.
            self.violated(error)

    def violated(self, error: Exception) -> None:
        self.two.done["violations"] += 1
        print(*map(_shortened, self.trace), "".join(traceback.format_exception(error)), sep="\n", flush=True)

    def check_everything(self) -> None:
        for key in sorted(self.touched):
            self.check(key, 0)
            for version in self.histories[key].told():
                self.check_version(1, key, version)
        whole = versionmodel.list_versions(self.histories)
        for side in (0, 1):
            same(self.page(side), whole)
        for client in self.two.clients:
            client.close()


def _shortened(value: object) -> str:
    """What it is, without what is long in it."""
    if isinstance(value, bytes) and len(value) > 1000:
        return f"{value[:60]!r}... {len(value)} bytes"
    return _LONG(lambda match: f"{match[0][:20]}...{len(match[0])}", repr(value))
