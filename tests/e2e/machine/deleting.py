"""DeleteObject and DeleteObjects: of objects, and of versions for good."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from xml.sax.saxutils import escape

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.e2e.machine.base import Base, keys, picks, same, sides
from tests.objectmodel import Refusal, refused_write
from tests.versionmodel import NULL, History, Version

_HOWS = ("", "", "", "match", "match other", "match *")


class Deleting(Base):
    @rule(number=keys, pick=picks, side=sides)
    def delete(self, number: int, pick: int, side: int) -> None:
        key = self.likely_key(number)
        condition, headers = self.write_condition(key, self.chance.choice(_HOWS), pick)
        turn = self.turn()
        answer = self.ask(side, "DELETE", key, headers=headers)
        if not self.ended(answer, refused_write(condition, self.histories[key].current)):
            self.check(key, 1 - side)
            return
        same(answer.headers["x-amz-delete-marker"], "true" if self.state else None)
        marker = Version(self.deleted_version(answer.headers["x-amz-version-id"]), turn, marker=True)
        self.set(key, self.histories[key].delete(marker, self.state), side)

    def deleted_version(self, told: str | None) -> str:
        same(told is None, not self.state)
        return told or NULL

    @rule(number=keys, pick=picks, side=sides)
    def remove(self, number: int, pick: int, side: int) -> None:
        key = self.likely_key(number)
        version = self.pick(key, pick)
        found = self.histories[key].find(version)
        answer = self.ok(self.ask(side, "DELETE", key, query={"versionId": version}))
        same(answer.headers["x-amz-version-id"], version)
        same(answer.headers["x-amz-delete-marker"], "true" if found and found.marker else None)
        self.set(key, self.histories[key].remove(version), side)

    @rule(numbers=st.lists(keys, min_size=1, max_size=4, unique=True), quiet=st.booleans(), side=sides)
    def delete_many(self, numbers: Sequence[int], quiet: bool, side: int) -> None:
        choose = self.chance.choice
        wanted: dict[str, tuple[str, Refusal | None]] = {}
        entries = ""
        for key in dict.fromkeys(map(self.likely_key, numbers)):
            named, how, pick = choose((False, True)), choose(_HOWS), self.chance.randrange(1 << 16)
            version = self.pick(key, pick) if named else ""
            condition, _ = self.write_condition(key, "" if named else how, pick)
            wanted[key] = version, refused_write(condition, self.histories[key].current)
            entries += f"<Object><Key>{escape(key)}</Key>"
            entries += f"<VersionId>{version}</VersionId>" if version else ""
            entries += f"<ETag>{condition.match}</ETag>" if condition.match else ""
            entries += "</Object>"
        body = f"<Delete>{entries}<Quiet>{str(quiet).lower()}</Quiet></Delete>".encode()
        headers = {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        turn = self.turn()
        document = self.document(self.ask(side, "POST", query={"delete": ""}, headers=headers, body=body))
        told = {each.findtext("Key") or "": each for each in document}
        failed = {key for key, (_, refusal) in wanted.items() if refusal}
        same(told.keys(), failed if quiet else wanted.keys())
        after = {key: self.histories[key] for key in wanted}
        for key, (version, refusal) in wanted.items():
            element = told.get(key)
            if refusal:
                assert element is not None
                same((element.tag, element.findtext("Code")), ("Error", refusal.code))
                continue
            history = self.histories[key]
            marker = None
            if element is not None:
                assert (element.tag, element.findtext("VersionId")) == ("Deleted", version or None)
                marker = element.findtext("DeleteMarkerVersionId")
            if version:
                found = history.find(version)
                assert element is None or marker == (version if found and found.marker else None)
                after[key] = history.remove(version)
                continue
            if element is None and self.state:
                # It tells nothing, so the marker is looked for.
                marker = self.rows_of(side, key)[0].id
            after[key] = history.delete(Version(self.deleted_version(marker), turn, marker=True), self.state)
        self.set_all(after, side)

    @rule(number=keys, limit=st.integers(1, 3), side=sides)
    def remove_all(self, number: int, limit: int, side: int) -> None:
        """Page by page, as clients empty a bucket: what each page tells, before the next is asked for."""
        prefix = self.key(number)
        at: dict[str, str] = {}
        while True:
            page = self.page(side, prefix=prefix, **at, **{"max-keys": str(limit)})
            at = {"key-marker": page.next_key, "version-id-marker": page.next_id}
            for row in page.rows:
                self.ok(self.ask(1 - side, "DELETE", row.key, query={"versionId": row.id}))
            if not page.truncated:
                break
        self.set_all({key: History() for key in sorted(self.touched) if key.startswith(prefix)}, side)
