"""The listings of objects, versions and uploads, with all their parameters, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.e2e.machine.base import Base, same, sides
from tests.e2e.signed import texts
from tests.objectmodel import list_uploads
from tests.versionmodel import CURRENT, Page, list_objects, list_versions

_PREFIXES = ("", "", "", "a", "a/", "a/b", "a,", "d", "x", "x" * 255, "\u00fc", ".zs3", "a//", "no")
_DELIMITERS = ("", "", "/", "/", ",", ".", "/b", "//", "b/c", "\u00fc ~")
_MARKERS = (
    "",
    "",
    "",
    "a",
    "a/",
    "a/b",
    "a/b/",
    "a,v",
    "a0",
    "dir",
    "dir/",
    "x" * 254,
    "x" * 255,
    "\u00fb",
    "\u00fc",
    "z",
)
#: More than there ever is is the most often.
_LIMITS = (0, 1, 2, 3, 1000)


class Wanted(NamedTuple):
    """What is asked of any listing."""

    prefix: str
    delimiter: str
    limit: int
    encoded: bool

    @property
    def query(self) -> dict[str, str]:
        told = {"prefix": self.prefix, "delimiter": self.delimiter}
        encoded = {"encoding-type": "url"} if self.encoded else {}
        return {name: value for name, value in told.items() if value} | encoded


class Said(NamedTuple):
    """What a page of objects says of itself, "" for nothing."""

    marker: str
    token: str
    count_of_keys: str


class Listing(Base):
    def look(self, key: str, side: int) -> None:
        super().look(key, side)
        if self.chance.random() < 0.2:
            self.list_somehow(side)

    @rule(times=st.integers(1, 3), side=sides)
    def list(self, times: int, side: int) -> None:
        for _ in range(times):
            self.list_somehow(side)

    def list_somehow(self, side: int) -> None:
        choose = self.chance.choice
        prefix, after = (
            choose(given) if choose((False, True)) else self.beginning_of(choose(self.keys))
            for given in (_PREFIXES, _MARKERS)
        )
        wanted = Wanted(prefix, choose(_DELIMITERS), choose(_LIMITS), choose((False, True)))
        what = choose((self.versions, self.objects_v1, self.objects_v2, self.list_uploads))
        what(wanted, after, side, on=choose((False, True)))

    def beginning_of(self, key: str) -> str:
        """Some of it, or all."""
        return key[: self.chance.randint(0, len(key))] if self.chance.randrange(2) else key

    def held(self, found: Page, wanted: Page) -> bool:
        """Whether there is more to come, after a page that is as it should be."""
        self.two.done["steps"] += 1
        same(found._replace(next_id=found.next_id.removesuffix(CURRENT)), wanted)
        return wanted.truncated

    # Each of these asks for one page, or for all.
    #
    # :param on: for all.

    def versions(self, wanted: Wanted, after: str, side: int, *, on: bool) -> None:
        version = ""
        if after in self.histories:
            ids = ["", *(each.id for each in self.histories[after].told())]
            version = self.chance.choice(ids)
        while True:
            at = {"key-marker": after, "version-id-marker": version} if version else {"key-marker": after}
            found = self.page(side, **wanted.query, **at, **{"max-keys": str(wanted.limit)})
            expected = list_versions(self.histories, wanted.prefix, wanted.delimiter, after, version, wanted.limit)
            if not self.held(found, expected) or not on:
                return
            after, version, side = found.next_key, found.next_id, 1 - side

    def objects(self, side: int, wanted: Wanted, query: dict[str, str], *, owned: bool) -> tuple[Page, Said]:
        """A page of either listing of objects, and where it says that it goes on."""
        document = self.document(self.ask(side, "GET", query={**wanted.query, **query, "max-keys": str(wanted.limit)}))
        decode: Callable[[str], str] = unquote if wanted.encoded else str
        rows = []
        for each in document.iterchildren("Contents"):
            rows.append((*map(decode, texts(each, "Key")), *texts(each, "ETag", "Size", "StorageClass")))
            same(each.find("Owner") is not None, owned)
        prefixes = [decode(each.findtext("Prefix") or "") for each in document.iterchildren("CommonPrefixes")]
        marker, token, count = texts(document, "NextMarker", "NextContinuationToken", "KeyCount")
        same(document.findtext("MaxKeys"), str(wanted.limit))
        same(decode(document.findtext("Prefix") or ""), wanted.prefix)
        same(decode(document.findtext("Delimiter") or ""), wanted.delimiter)
        return Page(rows, prefixes, document.findtext("IsTruncated") == "true"), Said(decode(marker), token, count)

    def expected(self, wanted: Wanted, after: str) -> tuple[Page, str]:
        """The same, and what it ends with."""
        page = list_objects(self.histories, wanted.prefix, wanted.delimiter, after, wanted.limit)
        rows = []
        for row in page.rows:
            current = self.histories[row.key].current
            assert current is not None
            storage = dict(current.headers).get("x-amz-storage-class", "STANDARD")
            rows.append((row.key, f'"{row.etag}"', str(row.size), storage))
        return Page(rows, page.prefixes, page.truncated), page.next_key

    def objects_v2(self, wanted: Wanted, after: str, side: int, *, on: bool) -> None:
        owned = self.chance.choice((False, True))
        query = {"list-type": "2", **({"fetch-owner": "true"} if owned else {})}
        token = {"start-after": after} if after else {}
        while True:
            found, said = self.objects(side, wanted, {**query, **token}, owned=owned)
            expected, after = self.expected(wanted, after)
            same(said.count_of_keys, str(len(expected.rows) + len(expected.prefixes)))
            same(bool(said.token), expected.truncated)
            if not self.held(found, expected) or not on:
                return
            token, side = {"continuation-token": said.token}, 1 - side

    def objects_v1(self, wanted: Wanted, after: str, side: int, *, on: bool) -> None:
        while True:
            found, said = self.objects(side, wanted, {"marker": after} if after else {}, owned=True)
            expected, after = self.expected(wanted, after)
            same(said.marker, after if wanted.delimiter and expected.truncated else "")
            if not self.held(found, expected) or not on:
                return
            side = 1 - side

    def list_uploads(self, wanted: Wanted, after: str, side: int, *, on: bool) -> None:
        ids = ["", *(each.id for each in self.uploads if each.key == after)]
        upload = self.chance.choice(ids)
        decode: Callable[[str], str] = unquote if wanted.encoded else str
        while True:
            at = {"key-marker": after, "upload-id-marker": upload, "max-uploads": str(wanted.limit)}
            document = self.document(self.ask(side, "GET", query={"uploads": "", **wanted.query, **at}))
            rows = [
                (decode(key), *rest)
                for key, *rest in (
                    texts(each, "Key", "UploadId", "ChecksumAlgorithm") for each in document.iterchildren("Upload")
                )
            ]
            prefixes = [decode(each.findtext("Prefix") or "") for each in document.iterchildren("CommonPrefixes")]
            truncated, key, identifier = texts(document, "IsTruncated", "NextKeyMarker", "NextUploadIdMarker")
            found = Page(rows, prefixes, truncated == "true", decode(key), identifier)
            page = list_uploads(self.uploads, wanted.prefix, wanted.delimiter, after, upload, wanted.limit)
            expected = page._replace(rows=[(each.key, each.id, each.algorithm) for each in page.rows])
            if not self.held(found, expected) or not on:
                return
            after, upload, side = found.next_key, found.next_id, 1 - side
