"""What an operation to which a fault happened must leave, see `tests.mutations`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutations import Answer, Client, Mutation, failure, view

#: What may be answered to a fault of the disk.
CODES = ("InternalError", "StorageFull", "SlowDown", "ServiceUnavailable")
#: A name that `Internals.write_file` gives a file that is not yet whole.
_HALF_WRITTEN = re.compile(r".+\.[0-9a-f]{16}")


class Wrong(AssertionError):
    """What must not be."""


@dataclass(frozen=True)
class Expected:
    """What is seen before an operation, and after it when all went well."""

    before: dict[Any, Any]
    after: dict[Any, Any]


def expect(client: Client, bucket: str, mutation: Mutation) -> Expected:
    """Do an operation without any fault.

    :param bucket: the name of one that there is not.
    """
    prepared = mutation.prepare(client, bucket)
    before = view(client, bucket, halfway=mutation.halfway)
    answer = mutation.run(client, bucket, prepared)
    if failure(answer):
        raise Wrong(f"{mutation.name}: {answer.status} {answer.body!r}")
    after = view(client, bucket, halfway=mutation.halfway)
    if before == after:
        raise Wrong(f"{mutation.name} changes nothing that is seen")
    return Expected(before, after)


def check_answer(answer: Answer) -> None:
    """That it tells of success, or of a fault of the server as S3 does."""
    code = failure(answer)
    # A completion is answered before it is done, and many deletions have one answer: their errors come under 200.
    if code and (code not in CODES or 200 < answer.status < 500):
        raise Wrong(f"answered {answer.status} {answer.body!r}")


def check(client: Client, bucket: str, mutation: Mutation, expected: Expected, *, answered: bool) -> None:
    """That all is as before or as after, and as after if that was answered; and so once it was done again."""
    found = _view(client, bucket, mutation)
    if answered:
        allowed = found == expected.after
    elif mutation.apart:
        allowed = all(
            found.get(name) in (expected.before.get(name), expected.after.get(name))
            for name in found.keys() | expected.before.keys() | expected.after.keys()
        )
    else:
        allowed = found in (expected.before, expected.after)
    if not allowed:
        raise Wrong(_differences(found, expected, answered=answered))


def check_again(client: Client, bucket: str, mutation: Mutation, expected: Expected, prepared: Any) -> None:
    """That the operation works when it is done again, where it was not done."""
    old = _view(client, bucket, mutation) == expected.before
    answer = mutation.run(client, bucket, prepared)
    if answer.status >= 500 or (old and failure(answer)):
        raise Wrong(f"done again: {answer.status} {answer.body!r}")
    found = _view(client, bucket, mutation)
    if old and found != expected.after:
        raise Wrong("done again: " + _differences(found, expected, answered=True))


def check_rubbish(data: Path, *, restarted: bool) -> None:
    """That nothing stays of what was not finished.

    :param restarted: whether a daemon has started since.
    """
    rubbish = [path for path in data.glob(".zs3/tmp/*/*") if path.name != "owner"]
    rubbish += [
        path
        for root in (".zs3", ".uploads")
        for path in (data / root).rglob("*.*")
        if _HALF_WRITTEN.fullmatch(path.name) and path.is_file()
    ]
    if restarted:
        rubbish += data.glob(".zs3/trash/*")
    if rubbish:
        raise Wrong(f"{'after a start' if restarted else 'at once'} these stay: {rubbish}")


def _view(client: Client, bucket: str, mutation: Mutation) -> dict[Any, Any]:
    try:
        return view(client, bucket, halfway=mutation.halfway)
    except AssertionError as error:
        raise Wrong(str(error)) from error


def _differences(found: dict[Any, Any], expected: Expected, *, answered: bool) -> str:
    names = found.keys() | expected.before.keys() | expected.after.keys()
    parts = []
    for name in sorted(names, key=str):
        each = [seen.get(name, "nothing") for seen in (found, expected.before, expected.after)]
        if len({str(value) for value in each}) > 1:
            parts.append("{}: {}; before {}, after {}".format(name, *(str(value)[:200] for value in each)))
    return ("not as was answered: " if answered else "neither old nor new: ") + "; ".join(parts)
