"""The tags of objects."""

from __future__ import annotations

from xml.sax.saxutils import escape

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.e2e.machine.base import TAGS, Base, keys, same, sides
from tests.objectmodel import IS_MARKER, NO_KEY, NO_VERSION


class Tagging(Base):
    @rule(number=keys, times=st.integers(1, 3), side=sides)
    def tag(self, number: int, times: int, side: int) -> None:
        for _ in range(times):
            self.tag_somehow(self.likely_key(number), side)

    def tag_somehow(self, key: str, side: int) -> None:
        choose, pick = self.chance.choice, self.chance.randrange(1 << 16)
        named, method, tags = choose((False, True)), choose(("PUT", "PUT", "DELETE", "GET")), choose(TAGS[2:])
        history = self.histories[key]
        version = self.pick(key, pick) if named else ""
        found = history.find(version) if named else history.current or history.hidden_by()
        query = {"tagging": ""} | ({"versionId": version} if named else {})
        told = "".join(f"<Tag><Key>{escape(name)}</Key><Value>{value}</Value></Tag>" for name, value in tags)
        body = f"<Tagging><TagSet>{told}</TagSet></Tagging>".encode() if method == "PUT" else b""
        answer = self.ask(side, method, key, query=query, body=body)
        if found is None:
            self.refused(answer, NO_VERSION if named else NO_KEY)
        elif found.marker:
            self.refused(answer, IS_MARKER)
        elif method == "GET":
            same(self.tags(answer), found.tags)
        else:
            self.ok(answer)
            self.set(key, history.tag(found.id, tags if method == "PUT" else ()), side)
            same(answer.headers["x-amz-version-id"], found.id if self.state else None)
