"""GetObject, HeadObject, GetObjectAttributes: of the current version, and of any."""

from __future__ import annotations

import time
from email.utils import formatdate, parsedate_to_datetime

from hypothesis import strategies as st
from hypothesis.stateful import rule
from lxml import etree

from tests.e2e.machine.base import CONDITIONS, Base, keys, picks, same, sides
from tests.e2e.plainhttp import Response
from tests.objectmodel import IS_MARKER, NO_VERSION, RANGES, Condition, Refusal, read
from tests.versionmodel import Checksum, Version

_OVERRIDES = {
    "response-content-type": "text/x-other",
    "response-cache-control": "max-age=1",
    "response-content-disposition": "inline; filename=\u00fc",
    "response-content-encoding": "x-none",
    "response-content-language": "fr",
    "response-expires": "Thu, 01 Jan 2032 00:00:00 GMT",
}
_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")

#: What a 304 tells of an object.
_OF_UNMODIFIED = ("last-modified", "etag", "cache-control", "expires")

#: Whether a version is asked for by its id.
_named = st.sampled_from((False, False, True))


class Reading(Base):
    def condition(
        self, key: str, version: Version, how: tuple[str, str, int, int], pick: int
    ) -> tuple[Condition, dict[str, str]]:
        """What a read is to be held against, and the headers that say so."""

        def tag(mark: str) -> str:
            return version.etag if mark == "same" else self.other_etag(key, pick) if mark == "other" else mark

        condition = Condition(tag(how[0]), tag(how[1]), *(None if at == 0 else pick % 2 - (at - 1) for at in how[2:]))
        headers = {}
        for name, value in (("If-Match", condition.match), ("If-None-Match", condition.none_match)):
            if value:
                headers[name] = value if value == "*" else f'"{value}"'
        modified = self.modified.get(version.turn, "")
        at = parsedate_to_datetime(modified).timestamp() if modified else time.time()
        for name, offset in (
            ("If-Modified-Since", condition.modified_since),
            ("If-Unmodified-Since", condition.unmodified_since),
        ):
            if offset is not None:
                headers[name] = formatdate(at + offset, usegmt=True)
        return condition, headers

    def found(self, key: str, named: bool, pick: int) -> tuple[Version | None, dict[str, str]]:
        """What is asked for, and the parameters that say so."""
        if named:
            version = self.pick(key, pick)
            return self.histories[key].find(version), {"versionId": version}
        return self.histories[key].current, {}

    def look(self, key: str, side: int) -> None:
        super().look(key, side)
        if self.chance.random() < 0.5:
            self.read_somehow(key, side)

    @rule(number=keys, times=st.integers(1, 4), side=sides)
    def read(self, number: int, times: int, side: int) -> None:
        for _ in range(times):
            self.read_somehow(self.likely_key(number), side)

    def read_somehow(self, key: str, side: int) -> None:
        choose = self.chance.choice
        pick = self.chance.randrange(1 << 16)
        named = choose((False, False, True))
        version, query = self.found(key, named, pick)
        method, wanted, part = (
            choose(("GET", "GET", "HEAD")),
            choose(("", "", *RANGES)),
            choose((0, 0, 0, 0, 0, 1, 2, 3)),
        )
        headers: dict[str, str] = {}
        condition = Condition()
        if version is not None and not version.marker and choose((False, True)):
            condition, headers = self.condition(key, version, choose(CONDITIONS), pick)
        if wanted:
            headers["Range"] = wanted
        if part:
            query["partNumber"] = str(part)
        overrides = choose((*[{}] * 9, _OVERRIDES))
        answer = self.ask(side, method, key, query={**query, **overrides}, headers=headers)
        if version is not None and not version.marker:
            self.check_answer(version, answer, method, condition, wanted, part, overrides)
        elif not named:
            self.check_missing(self.histories[key], answer)
        else:
            self.refused(answer, IS_MARKER if version else NO_VERSION)
            same(answer.headers["x-amz-delete-marker"], "true" if version else None)

    def check_answer(
        self,
        version: Version,
        answer: Response,
        method: str,
        condition: Condition,
        wanted: str,
        part: int,
        overrides: dict[str, str],
    ) -> None:
        """:param overrides: what the answer is to say in place of what the object does."""
        expected = read(version, condition, wanted, part)
        if expected.code:
            self.refused(answer, Refusal(expected.status, expected.code))
            return
        assert answer.status == expected.status, (answer.status, answer.body, expected)
        if expected.status == 304:
            assert not answer.body
            told = {name for name in _OF_UNMODIFIED if answer.headers[name] is not None}
            same(told, {"last-modified", "etag"} | (dict(version.headers).keys() & set(_OF_UNMODIFIED)))
            return
        first, size = expected.first, expected.size
        assert answer.body == (version.data[first : first + size] if method == "GET" else b"")
        more = {name.removeprefix("response-"): value for name, value in overrides.items()}
        more["content-length"] = str(size)
        if expected.status == 206:
            more["content-range"] = f"bytes {first}-{first + size - 1}/{len(version.data)}"
        if part and version.parts:
            more["x-amz-mp-parts-count"] = str(len(version.parts))
        self.check_headers(version, answer, more)

    @rule(
        number=keys,
        named=_named,
        pick=picks,
        wanted=st.sets(st.sampled_from(_ATTRIBUTES), min_size=1),
        limit=st.sampled_from((0, 1, 1000)),
        marker=st.sampled_from((0, 0, 1)),
        side=sides,
    )
    def attributes(
        self, number: int, named: bool, pick: int, wanted: set[str], limit: int, marker: int, side: int
    ) -> None:
        key = self.likely_key(number)
        version, query = self.found(key, named, pick)
        headers = {
            "x-amz-object-attributes": ",".join(sorted(wanted)),
            "x-amz-max-parts": str(limit),
            "x-amz-part-number-marker": str(marker),
        }
        answer = self.ask(side, "GET", key, query={"attributes": "", **query}, headers=headers)
        if version is None or version.marker:
            assert answer.status in (404, 405)
            return
        told = {each.tag: _shown(each) for each in self.document(answer)}
        assert told == {name: each for name, each in _attributes(version, marker, limit).items() if name in wanted}
        same(answer.headers["x-amz-version-id"], version.id if self.state else None)


def _shown(element: etree._Element) -> object:
    """An element as text, or as a list of what is in it."""
    return [(each.tag, _shown(each)) for each in element] if len(element) else element.text


def _attributes(version: Version, marker: int, limit: int) -> dict[str, object]:
    """All that GetObjectAttributes tells, in the same form."""
    told: dict[str, object] = {
        "ETag": version.etag,
        "StorageClass": dict(version.headers).get("x-amz-storage-class", "STANDARD"),
        "ObjectSize": str(len(version.data)),
    }
    if version.checksum:
        told["Checksum"] = [(f"Checksum{version.checksum.algorithm}", version.checksum.text), _kind(version.checksum)]
    if version.parts:
        page = version.parts[marker : marker + limit]
        last = marker + len(page)
        parts: list[tuple[str, object]] = []
        for number, each in enumerate(page, marker + 1):
            part = [("PartNumber", str(number)), ("Size", str(each.size))]
            if each.checksum and version.checksum:
                part.insert(0, (f"Checksum{version.checksum.algorithm}", each.checksum))
            parts.append(("Part", part))
        told["ObjectParts"] = [
            ("IsTruncated", str(limit > 0 and last < len(version.parts)).lower()),
            ("MaxParts", str(limit)),
            ("NextPartNumberMarker", str(last if page else 0)),
            ("PartNumberMarker", str(marker)),
            *parts,
            ("PartsCount", str(len(version.parts))),
        ]
    return told


def _kind(checksum: Checksum) -> tuple[str, str]:
    return ("ChecksumType", checksum.kind)
