"""One bucket, which is made and deleted, with one key in a directory, and what is configured of it.

As `zs3.store.buckets` and `zs3.store.posix` do it, call by call.  What is configured is kept by the bucket's id, which
is another of each directory; here its number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from proof.protocol.filesystem import ENOENT, ROOT, Error, State, at_rest
from proof.protocol.legal import Event, Specification
from proof.protocol.search import Family, Operation, Rules, Scenario, mixed, run

RULES: Mapping[str, str] = {
    "nothing else": "a deletion removes nothing but empty directories, and excludes all who write: each would do",
    "not made again": "what is put into a bucket that is gone does not make it again",
    "id": "what is configured belongs to the directory, not to its name",
    "sync of the name": "a bucket's name is on the disk, or off it, when that is answered",
    "sync of the way": "an object's way is on the disk when it is answered",
    "sync before writing": "who writes into a bucket makes its name durable first, once",
    "gone": "who finds nothing configured looks whether the bucket is there still",
}
_NAME, _HOMES, _DIRECTORY, _KEY = "bucket", ".homes", "dir", "a"


def _home(rules: Rules, bucket: int) -> str:
    return str(bucket) if "id" in rules else _NAME


def create(rules: Rules) -> Operation:
    yield ("lock", "names")
    answer = yield ("mkdir", ROOT, _NAME)
    yield ("unlock", "names")
    if isinstance(answer, Error):
        return "exists"
    if "sync of the name" in rules:
        yield ("sync", ROOT)
    return "done"


def _opened(rules: Rules) -> Operation:
    """The bucket, to write to; an error if there is none."""
    bucket = yield ("walk", ROOT, (_NAME,))
    if not isinstance(bucket, Error) and "sync before writing" in rules:
        yield ("sync", ROOT)
    return bucket


def delete(rules: Rules) -> Operation:
    bucket = yield ("walk", ROOT, (_NAME,))
    if isinstance(bucket, Error):
        return "none"
    if "nothing else" in rules:
        yield ("lock", f"{bucket}/*")
    answer = yield from _delete(rules, bucket)
    if "nothing else" in rules:
        yield ("unlock", f"{bucket}/*")
    return answer


def _delete(rules: Rules, bucket: int) -> Operation:
    if (yield ("walk", ROOT, (_NAME,))) != bucket:
        return "none"
    below = yield ("look", bucket, _DIRECTORY)
    if below is not None and (yield ("names", below.number)):
        return "not empty"
    if below is not None:
        if "nothing else" not in rules:
            yield ("unlink", below.number, _KEY)
        yield ("rmdir", bucket, _DIRECTORY)
    done = yield ("rmdir", ROOT, _NAME)
    if isinstance(done, Error):
        # Somebody is just writing.
        return "none" if done == ENOENT else "busy"
    if "sync of the name" in rules:
        yield ("sync", ROOT)
    homes = yield ("walk", ROOT, (_HOMES,))
    yield ("unlink", homes, _home(rules, bucket)) if "id" in rules else ("names", homes)
    return "done"


def _gone(bucket: int) -> Operation:
    return (yield ("walk", ROOT, (_NAME,))) != bucket


def put(rules: Rules, who: str) -> Operation:
    bucket = yield from _opened(rules)
    if isinstance(bucket, Error):
        return "none"
    for _ in range(8):
        made = yield ("mkdir", bucket, _DIRECTORY)
        if made == ENOENT:
            if "not made again" in rules:
                return "none"
            yield ("mkdir", ROOT, _NAME)
            bucket = yield ("walk", ROOT, (_NAME,))
            continue
        below = yield ("look", bucket, _DIRECTORY)
        if below is None:
            if (yield from _gone(bucket)):
                return "none"
            continue
        yield ("lock", f"{bucket}/{_KEY}")
        done = yield ("put", below.number, _KEY, who, True, False)
        yield ("unlock", f"{bucket}/{_KEY}")
        if isinstance(done, Error):
            if (yield from _gone(bucket)):
                return "none"
            continue
        yield ("sync", below.number)
        if "sync of the way" in rules:
            yield ("sync", bucket)
        return "done"
    return None


def get() -> Operation:
    below = yield ("walk", ROOT, (_NAME, _DIRECTORY))
    if not isinstance(below, Error):
        found = yield ("look", below, _KEY)
        if found is not None:
            return (found.content,)
    bucket = yield ("walk", ROOT, (_NAME,))
    return ("none" if isinstance(bucket, Error) else None,)


def remove(rules: Rules) -> Operation:
    bucket = yield from _opened(rules)
    if isinstance(bucket, Error):
        return "none"
    below = yield ("look", bucket, _DIRECTORY)
    if below is None:
        yield ("sync", bucket)
        return "done"
    yield ("lock", f"{bucket}/{_KEY}")
    yield ("unlink", below.number, _KEY)
    yield ("unlock", f"{bucket}/{_KEY}")
    yield ("sync", below.number)
    yield ("rmdir", bucket, _DIRECTORY)
    return "done"


def configure(rules: Rules, who: str) -> Operation:
    bucket = yield from _opened(rules)
    if isinstance(bucket, Error):
        return "none"
    yield ("lock", f"{bucket}/*")
    gone = yield from _gone(bucket)
    if not gone:
        homes = yield ("walk", ROOT, (_HOMES,))
        yield ("put", homes, _home(rules, bucket), who, True, False)
        yield ("sync", homes)
    yield ("unlock", f"{bucket}/*")
    return "none" if gone else "done"


def configured(rules: Rules) -> Operation:
    bucket = yield ("walk", ROOT, (_NAME,))
    if isinstance(bucket, Error):
        return ("none",)
    homes = yield ("walk", ROOT, (_HOMES,))
    found = yield ("look", homes, _home(rules, bucket))
    if found is None and "gone" in rules and (yield from _gone(bucket)):
        return ("none",)
    return (found.content if found is not None else None,)


#: What is there at the key and what is configured; None without a bucket.
Value = tuple[str | None, str | None] | None


def step(_: str, value: Value, event: Event) -> Iterator[Value]:
    after, answer = value, "none"
    match event.name:
        case "CREATE":
            after, answer = ((None, None), "done") if value is None else (value, "exists")
        case "DELETE BUCKET" if value is not None:
            after, answer = (None, "done") if value[0] is None else (value, "not empty")
        case "PUT" if value is not None:
            after, answer = (event.who, value[1]), "done"
        case "DELETE" if value is not None:
            after, answer = (None, value[1]), "done"
        case "CONFIGURE" if value is not None:
            after, answer = (value[0], event.who), "done"
        case "GET":
            answer = ("none" if value is None else value[0],)  # type: ignore[assignment]
        case "GET CONFIGURATION":
            answer = ("none" if value is None else value[1],)  # type: ignore[assignment]
    if event.answer in (None, answer):
        yield after
    elif event.answer == "busy" and value is not None:
        yield value


def counts(event: Event) -> bool:
    return not event.name.startswith("GET") and event.answer in (None, "done")


def look(files: State, rules: Rules) -> list[Event]:
    seen = [Event("GET", "get", run(get(), files)[1], None)]
    return [*seen, Event("GET CONFIGURATION", "configuration", run(configured(rules), files)[1], None)]


OPERATIONS: Mapping[str, Any] = {
    "CREATE": lambda rules, _: create(rules),
    "DELETE BUCKET": lambda rules, _: delete(rules),
    "PUT": put,
    "DELETE": lambda rules, _: remove(rules),
    "CONFIGURE": configure,
    "GET": lambda *_: get(),
    "GET CONFIGURATION": lambda rules, _: configured(rules),
}
FAMILY = Family("buckets", RULES, OPERATIONS, Specification(step, counts), look, ("CREATE", "PUT", "DELETE BUCKET"))
_STARTS: tuple[tuple[str, ...], ...] = ((), ("CREATE",), ("CREATE", "PUT"), ("CREATE", "CONFIGURE"))


def _start(names: tuple[str, ...]) -> tuple[State, Value]:
    files, value = State((("d", ((_HOMES, 1),), ()), ("d", (), ()))), None
    for name in names:
        files, answer = run(OPERATIONS[name](frozenset(RULES), "s"), files)
        [value] = step("", value, Event(name, "s", answer, None))
    return at_rest(files), value


def scenarios() -> Iterator[Scenario]:
    writes, reads = ("CREATE", "DELETE BUCKET", "PUT", "DELETE", "CONFIGURE"), ("GET", "GET CONFIGURATION")
    both = (("DELETE BUCKET", "CREATE"), ("DELETE", "DELETE BUCKET"), ("CREATE", "PUT"), ("PUT", "DELETE"))
    for names in _STARTS:
        files, value = _start(names)
        yield from mixed(FAMILY, files, (value,), writes, reads, both)
        for third in ("DELETE BUCKET", "CREATE"):
            for pair in itertools.combinations(writes, 2):
                yield Scenario(FAMILY, files, (value,), (*((each,) for each in pair), (third,)))
