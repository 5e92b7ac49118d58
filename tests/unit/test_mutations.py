"""Faults happen to every operation that changes something: a few crashes of what ``python -m proof.crashes`` makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.enumerator import Enumerator, Log, client_of, open_daemon, running
from tests.faults import Wrong, check, check_again, check_answer, check_rubbish, expect
from tests.mutations import MUTATIONS, failure
from tests.wire.harness import Response
from zs3.web import untouched
from zs3.web.operations import OPERATIONS, WRITE

BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
#: Those that change something: not what always fails, and not what removes what cannot be there.
CHANGING = {
    each.name
    for each in OPERATIONS
    if each.access == WRITE and not each.refusal and each.handler is not untouched.remove
}


def test_every_operation_that_changes_something_is_tried(tmp_path: Path) -> None:
    log = Log()
    daemon = open_daemon(tmp_path, log)
    client = client_of(daemon)
    for number, mutation in enumerate(MUTATIONS):
        bucket = f"bucket{number}"
        prepared = mutation.prepare(client, bucket)
        log.operations.clear()
        answer = mutation.run(client, bucket, prepared)
        assert not failure(answer), (mutation.name, answer.body)
        # Its name begins with what it is, so that the lists of results can be read.
        assert log.operations == {mutation.name.split(" ")[0].rstrip(",")}
    daemon.stop()
    assert {mutation.name.split(" ")[0].rstrip(",") for mutation in MUTATIONS} == CHANGING


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("PutObject of a version", (6, 8)),
        ("DeleteObjects", (2,)),
        ("PutObjectRetention", (1,)),
        ("UploadPartCopy", (5,)),
        ("CreateBucket with Object Lock", (4,)),
        ("DeleteBucketPolicy", (1,)),
        ("PutAccountPublicAccessBlock", (1, 3)),
    ],
)
def test_a_crash_leaves_the_old_or_the_new(tmp_path: Path, name: str, steps: tuple[int, ...]) -> None:
    enumerator = Enumerator(tmp_path)
    for step in steps:
        assert not enumerator.crash(BY_NAME[name], step), "it has fewer calls by now"
    assert enumerator.violations == []


def test_what_must_not_be_is_found(tmp_path: Path) -> None:
    mutation = BY_NAME["PutObject"]
    half = replace(mutation, run=lambda client, bucket, _: client("PUT", f"/{bucket}/key", body=b"new"))
    with running(tmp_path) as client:
        expected = expect(client, "bucket0", mutation)
        prepared = mutation.prepare(client, "bucket1")
        check(client, "bucket1", mutation, expected, answered=False)
        with pytest.raises(Wrong, match="not as was answered"):
            check(client, "bucket1", mutation, expected, answered=True)
        with pytest.raises(Wrong, match="done again: not as was answered"):
            check_again(client, "bucket1", half, expected, prepared)
        with pytest.raises(Wrong, match="neither old nor new"):
            check(client, "bucket1", mutation, expected, answered=False)
        mutation.prepare(client, "bucket2")
        client.must("DELETE", "/bucket2/other")
        with pytest.raises(Wrong, match="neither old nor new"):
            check(client, "bucket2", mutation, expected, answered=False)
        with pytest.raises(Wrong, match="changes nothing"):
            expect(client, "bucket3", replace(mutation, run=lambda client, bucket, _: client("GET", f"/{bucket}/key")))


@pytest.mark.parametrize("place", [".zs3/tmp/x/1", ".zs3/buckets/x/config.0123456789abcdef", ".zs3/trash/x"])
def test_rubbish_is_found(tmp_path: Path, place: str) -> None:
    check_rubbish(tmp_path, restarted=True)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).touch()
    with pytest.raises(Wrong, match="these stay"):
        check_rubbish(tmp_path, restarted=True)


@pytest.mark.parametrize(
    ("status", "code", "fine"),
    [
        (200, "", True),
        (500, "InternalError", True),
        (200, "InternalError", True),
        (507, "StorageFull", True),
        (403, "AccessDenied", False),
        (404, "InternalError", False),
    ],
)
def test_an_answer_to_a_fault_is_an_error_of_the_server(status: int, code: str, fine: bool) -> None:
    body = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
    answer = Response(status, "", {}, body)
    if fine:
        check_answer(answer)
    else:
        with pytest.raises(Wrong):
            check_answer(answer)
