"""The record of what clients do to objects at once tells when a daemon, here a feigned one, answers wrongly."""

from __future__ import annotations

import random
from email.message import Message
from typing import Any

import pytest

from tests.e2e.histories import Upload, etag
from tests.e2e.objecthistories import Objects, _Shared
from tests.e2e.plainhttp import Response
from tests.linearizability import NEVER, NOTHING, is_linearizable

ETAG = etag(b"0")


class Feigned:
    """A worker whose daemon gives one answer to all."""

    def __init__(self, status: int, body: str = "", told: str = ETAG) -> None:
        headers: Any = Message()
        headers["ETag"] = f'"{told}"'
        self.answer = Response(status, headers, body.encode())
        self.seen: dict[str, str] = {}

    def ask(self, *_: Any, **__: Any) -> Response:
        return self.answer


def listed(*keys: str) -> str:
    rows = (f"<Contents><Key>{key}</Key><ETag>{ETAG}</ETag></Contents>" for key in keys)
    return f"<ListBucketResult>{''.join(rows)}</ListBucketResult>"


@pytest.fixture
def objects() -> Objects:
    return Objects("bucket", "", ("a", "b"))


def test_a_write_whose_etag_is_not_that_of_its_body_is_found(objects: Objects) -> None:
    chance = random.Random(0)
    objects._write(Feigned(200), chance, "put", "a", b"0")  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        objects._write(Feigned(200), chance, "put", "a", b"1")  # type: ignore[arg-type]


def test_a_torn_read_is_found(objects: Objects) -> None:
    objects._read(Feigned(200, "0"), "GET", "a")  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="torn"):
        objects._read(Feigned(200, "00"), "GET", "a")  # type: ignore[arg-type]


@pytest.mark.parametrize("keys", [("a", "a"), ("a", "c")])
def test_a_key_that_is_listed_twice_or_never_was_is_found(objects: Objects, keys: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match="listed"):
        objects._list(Feigned(200, listed(*keys)))  # type: ignore[arg-type]


def test_a_list_reads_each_key(objects: Objects) -> None:
    objects._list(Feigned(200, listed("b")))  # type: ignore[arg-type]
    seen = {key: [each.result for each in history] for key, history in objects.histories().items()}
    assert seen == {"a": [NOTHING], "b": [ETAG]}
    # Nobody wrote it.
    assert [is_linearizable(each, keeps=False) for each in objects.histories().values()] == [True, False]


def shared(completed: list[tuple[float, float, int]], aborted: list[tuple[float, float, int]]) -> list[Any]:
    writes = _Shared(Upload("id", ETAG, b""), completed, aborted).as_writes()
    return [(each.start, each.end) for each in writes]


def test_a_completion_that_is_sent_twice_is_one_write() -> None:
    assert shared([], []) == []
    assert shared([(1, 4, 200), (2, 3, 200), (0, 5, 404)], []) == [(0, 3)]
    assert shared([(1, 9, 0)], []) == [(1, NEVER)]
    assert shared([(1, 9, 0), (2, 3, 200)], [(4, 5, 404)]) == [(1, 3)]
    assert shared([(3, 4, 404)], [(1, 2, 204)]) == []
    # What began after it was aborted cannot have taken effect.
    assert shared([(1, 9, 0), (3, 9, 0)], [(1, 2, 204)]) == [(1, NEVER)]
    assert shared([(3, 9, 0)], [(1, 2, 204)]) == []


@pytest.mark.parametrize(
    ("completed", "aborted"),
    [
        ([(1, 2, 200)], [(1, 2, 204)]),
        ([(1, 2, 404)], []),
        ([], [(1, 2, 204), (3, 4, 204)]),
    ],
    ids=["completed and aborted", "lost", "aborted twice"],
)
def test_an_upload_that_ended_in_two_ways_or_none_is_found(
    completed: list[tuple[float, float, int]], aborted: list[tuple[float, float, int]]
) -> None:
    with pytest.raises(AssertionError):
        shared(completed, aborted)
