"""Daemons that are restarted and killed, also while a request is under way: it happened, or it did not."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.e2e.machine.base import HEADERS, keys, picks, same, seldom, sides
from tests.e2e.machine.copying import Copying
from tests.e2e.machine.multipart import part_list
from tests.objectmodel import copy_of, object_of
from tests.versionmodel import NULL, History, Version

_delays = st.sampled_from((0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.03))


@dataclass(frozen=True)
class Underway:
    """A request for a key during which the daemon is killed.

    :ivar made: the history with it, given the id of what it makes.
    :ivar upload: the place of the upload that it completes.
    """

    method: str
    made: Callable[[str], History]
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    upload: int = -1

    @property
    def asked(self) -> dict[str, Any]:
        return {"query": self.query, "headers": self.headers, "body": self.body}


class Crashes(Copying):
    @rule(side=sides, now=seldom, killed=st.booleans())
    def restart(self, side: int, now: bool, killed: bool) -> None:
        """Between two requests."""
        if not now:
            return
        self.trace.append((side, "killed" if killed else "restarted"))
        if killed:
            self.two.kill(side)
            self.two.revive(side)
        else:
            self.two.restart(side)

    @rule(
        number=keys,
        side=sides,
        how=st.sampled_from(("put", "delete", "remove", "complete", "copy", "tag")),
        pick=picks,
        delay=_delays,
        now=seldom,
    )
    def kill(self, number: int, side: int, how: str, pick: int, delay: float, now: bool) -> None:
        key = self.key(number)
        before = self.histories[key]
        # Other programs may have left what is not told yet.
        if not now or not before.is_simple:
            return
        request = self.underway(key, how, pick, side)
        if request is None:
            return
        answered = self.killed_during(side, delay, key, request)
        seen: History | None = None
        for other in (1 - side, side):
            if other == side:
                self.two.revive(side)
            known = {each.id for each in before.told()}
            new = next((row.id for row in self.rows_of(other, key) if row.id not in known), NULL)
            possible = [request.made(new)] if answered else [before, request.made(new)]
            # What was seen once stays.
            seen = self.told_of(other, key, possible if seen is None else [seen])
        assert seen is not None
        if how == "complete":
            self.uploads[request.upload] = self.uploads[request.upload].end()
            if not answered and seen == before:
                again = self.ok(self.ask(side, "POST", key, **request.asked))
                seen = request.made(self.version_of(again))
            elif not answered:
                # Who does not know asks again, and is told the same.
                self.ok(self.ask(side, "POST", key, **request.asked))
        self.set(key, seen, side)

    def told_of(self, side: int, key: str, possible: Sequence[History]) -> History:
        """Which of these histories a daemon tells."""
        wrong = []
        for each in possible:
            self.histories[key] = each
            try:
                self.check_key(key, side)
                if each.current:
                    same(self.tags(self.ask(side, "GET", key, query={"tagging": ""})), each.current.tags)
                return each
            except AssertionError as error:
                wrong.append(error)
        raise ExceptionGroup(f"{key} is told as neither", wrong)

    def underway(self, key: str, how: str, pick: int, side: int) -> Underway | None:
        """None where there is nothing to do it with."""
        history, current = self.histories[key], self.histories[key].current
        turn, state = self.turn(), self.state
        data, headers = self.body(0), dict(HEADERS[pick % len(HEADERS)])
        if how == "delete":
            return Underway("DELETE", lambda new: history.delete(Version(new, turn, marker=True), state))
        if how == "remove":
            version = self.pick(key, pick)
            return Underway("DELETE", lambda _: history.remove(version), {"versionId": version})
        if how == "tag":
            if current is None:
                return None
            body = f"<Tagging><TagSet><Tag><Key>turn</Key><Value>{turn}</Value></Tag></TagSet></Tagging>".encode()
            tagged = history.tag(current.id, (("turn", str(turn)),))
            return Underway("PUT", lambda _: tagged, {"tagging": ""}, body=body)
        query: dict[str, str] = {}
        method, at = "PUT", -1
        if how == "complete":
            at = self.begin_upload(key, side)
            self.put_part(at, 1, data, side)
            upload = self.uploads[at]
            new = upload.complete(turn, [1])
            method, query, headers, data = "POST", {"uploadId": upload.id}, {}, part_list([(1, upload.parts[1].etag)])
        elif how == "copy":
            source = self.key(pick)
            found = self.histories[source].current
            if found is None:
                return None
            headers |= {"x-amz-meta-turn": str(turn)}
            new = copy_of(found, turn, given=tuple(sorted(headers.items())), replaces=True, tags=None)
            headers |= {"x-amz-copy-source": f"/{self.bucket}/{quote(source)}", "x-amz-metadata-directive": "REPLACE"}
            data = b""
        else:
            new = object_of(turn, data, tuple(headers.items()))
        return Underway(method, lambda version: history.put(replace(new, id=version), state), query, headers, data, at)

    def killed_during(self, side: int, delay: float, key: str, request: Underway) -> bool:
        """Whether the request was answered, which then must have been in good order."""
        client = self.two.clients[side]
        connection = client.send(request.method, f"/{self.bucket}/{key}", **request.asked)
        select.select([connection.sock], [], [], delay)
        self.two.kill(side)
        self.asked(side, request.method, key, request.asked, f"killed after {delay} s")
        try:
            self.ok(client.read())
        except (HTTPException, OSError):
            return False
        self.two.done["answered before the kill"] += 1
        return True
