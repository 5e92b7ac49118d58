"""The object API, by random sequences of requests, restarts, kills and changes by others, against a model of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.e2e.machine.whole import machine
from tests.e2e.plainhttp import Response
from tests.e2e.signed import Client
from tests.e2e.two import Two


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    two = Two(tmp_path_factory.mktemp("two"))
    two.start()
    yield two
    two.stop()


def run(two: Two, sequences: int) -> None:
    run_state_machine_as_test(
        machine(two),
        settings=settings(
            max_examples=sequences,
            stateful_step_count=15,
            deadline=None,
            # The same each time; `python -m proof.model` is there to find more.
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(900)
def test_two_daemons_do_as_the_model_does(two: Two) -> None:
    run(two, 200)
    assert not two.done["violations"]


# What would be seen if the daemon had a fault -------------------------------------------------------------------------


@dataclass
class Asked:
    """A request, as it is sent in place of what was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    payload: str

    @property
    def is_object(self) -> bool:
        return self.path.count("/") > 1


#: Sends a request, perhaps another one, and tells an answer, perhaps another one.
Lie = Callable[[Asked, Callable[[Asked], Response]], Response]


class Liar(Client):
    """A client of a daemon that seems to have a fault."""

    lie: Lie

    def __call__(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        payload: str = "UNSIGNED-PAYLOAD",
    ) -> Response:
        def send(asked: Asked) -> Response:
            return Client.__call__(
                self, asked.method, asked.path, asked.query, asked.headers, asked.body, asked.payload
            )

        return type(self).lie(Asked(method, path, dict(query or {}), dict(headers or {}), body, payload), send)


def without_header(*names: str, method: str = "PUT") -> Lie:
    """Whatever these headers say is not heeded."""

    def lie(asked: Asked, send: Callable[[Asked], Response]) -> Response:
        if asked.method == method and asked.is_object:
            asked.headers = {name: value for name, value in asked.headers.items() if name.lower() not in names}
        return send(asked)

    return lie


def a_listing_without_its_last_key(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    answer = send(asked)
    if asked.is_object or "list-type" not in asked.query:
        return answer
    return replace(answer, body=re.sub(rb"<Contents>(?:(?!<Contents>).)*</Contents>(?!.*<Contents>)", b"", answer.body))


def a_page_that_says_it_is_the_last(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    answer = send(asked)
    return replace(answer, body=answer.body.replace(b"<IsTruncated>true", b"<IsTruncated>false"))


def an_old_etag(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    answer = send(asked)
    if asked.method == "GET" and asked.is_object and answer.headers["ETag"] and not asked.query:
        known = _etags.setdefault(asked.path, answer.headers["ETag"])
        answer.headers.replace_header("ETag", known)
    return answer


_etags: dict[str, str] = {}


def a_part_that_is_lost(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    if asked.method == "PUT" and asked.query.get("partNumber") == "2":
        asked.query["partNumber"] = "3"
    return send(asked)


def a_part_that_is_not_replaced(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    if asked.method == "PUT" and "partNumber" in asked.query:
        known = _parts.setdefault((asked.query["uploadId"], asked.query["partNumber"]), asked)
        return send(known)
    return send(asked)


_parts: dict[tuple[str, str], Asked] = {}


def an_abort_that_does_not_happen(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    if asked.method == "DELETE" and "uploadId" in asked.query:
        asked = replace(asked, method="GET")
        answer = send(asked)
        return replace(answer, status=204) if answer.status == 200 else answer
    return send(asked)


def a_deletion_that_does_not_happen(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    if asked.method == "DELETE" and asked.is_object and not asked.query:
        answer = send(replace(asked, method="HEAD", headers={}))
        return replace(answer, status=204)
    return send(asked)


def a_range_that_is_too_long(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    asked.headers = {name: value.replace("=1-4", "=1-5") for name, value in asked.headers.items()}
    return send(asked)


def the_current_version_in_place_of_an_older_one(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    source = asked.headers.get("x-amz-copy-source", "")
    if "?" in source and "uploadId" not in asked.query:
        asked.headers["x-amz-copy-source"] = source.partition("?")[0]
    return send(asked)


def tags_of_an_older_version_go_to_the_current_one(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    if "tagging" in asked.query and asked.method == "PUT":
        asked.query.pop("versionId", None)
    return send(asked)


def a_prefix_that_is_not_heeded(asked: Asked, send: Callable[[Asked], Response]) -> Response:
    if "uploads" in asked.query:
        asked.query.pop("prefix", None)
    return send(asked)


OF_SOURCES = tuple(f"x-amz-copy-source-if-{name}match" for name in ("", "none-"))


@pytest.mark.parametrize(
    "lie",
    [
        an_old_etag,
        a_listing_without_its_last_key,
        a_page_that_says_it_is_the_last,
        a_part_that_is_lost,
        a_part_that_is_not_replaced,
        an_abort_that_does_not_happen,
        a_deletion_that_does_not_happen,
        a_range_that_is_too_long,
        the_current_version_in_place_of_an_older_one,
        tags_of_an_older_version_go_to_the_current_one,
        a_prefix_that_is_not_heeded,
        pytest.param(without_header("if-match", "if-none-match"), id="conditions-of-writes-not-heeded"),
        pytest.param(without_header("if-match", method="DELETE"), id="conditions-of-deletions-not-heeded"),
        pytest.param(without_header("if-none-match", method="GET"), id="conditions-of-reads-not-heeded"),
        pytest.param(without_header(*OF_SOURCES), id="conditions-of-copies-not-heeded"),
        pytest.param(without_header("content-md5"), id="a-wrong-digest-not-seen"),
        pytest.param(without_header("x-amz-tagging"), id="tags-not-kept"),
        pytest.param(without_header("content-type"), id="a-content-type-not-kept"),
        pytest.param(without_header("x-amz-metadata-directive"), id="metadata-not-replaced"),
    ],
)
def test_a_fault_is_seen(two: Two, lie: Lie) -> None:
    two.connect(type("OneLiar", (Liar,), {"lie": staticmethod(lie)}))
    before = two.done["violations"]
    try:
        with pytest.raises(AssertionError):
            run(two, 200)
    finally:
        two.connect(Client)
    assert two.done["violations"] > before
