"""One multipart upload of one part or of two, and the object that it is to be, at the key a.

As `zs3.store.uploads` and `zs3.store.posix` do it, call by call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proof.protocol.filesystem import ROOT, Error, State, at_rest
from proof.protocol.legal import Event, Specification
from proof.protocol.search import Family, Operation, Rules, Scenario, mixed, run

RULES: Mapping[str, str] = {
    "lock": "a completion or an abort holds the upload's lock",
    "intent": "what is to be made is written down before it is visible",
    "published once": "with an intent and no assembled file the object was made: never again",
    "sync": "the object is on the disk, and gone from the upload, before that is forgotten",
    "moved whole": "an upload is forgotten by one rename",
    "no abort of what is made": "an upload whose object was made cannot be aborted",
    "sync of the abort": "an abort is on the disk when it is answered",
}
_HERE, _UPLOADS, _TRASH, _UPLOAD, _KEY = "here", "uploads", "trash", "upload", "a"
MADE = "made"


def _opened(rules: Rules) -> Operation:
    """The directory of the upload, once its lock is held; None if there is none."""
    upload = yield ("walk", ROOT, (_UPLOADS, _UPLOAD))
    if isinstance(upload, Error):
        return None
    if "lock" in rules:
        yield ("lock", _UPLOAD)
    meta = yield ("walk", ROOT, (_UPLOADS, _UPLOAD))
    # Its .meta is opened by the way to it.
    if isinstance(meta, Error) or (yield ("look", upload, ".meta")) is None:
        yield from _closed(rules)
        return None
    return upload


def _closed(rules: Rules) -> Operation:
    if "lock" in rules:
        yield ("unlock", _UPLOAD)


def _forget(rules: Rules, *, sync: bool = True) -> Operation:
    """Make the upload invisible at once and for good."""
    uploads = yield ("walk", ROOT, (_UPLOADS,))
    if "moved whole" in rules:
        trash = yield ("walk", ROOT, (_TRASH,))
        yield ("move", uploads, _UPLOAD, trash, _UPLOAD)
    else:
        upload = yield ("walk", ROOT, (_UPLOADS, _UPLOAD))
        for name in () if isinstance(upload, Error) else (yield ("names", upload)):
            yield ("unlink", upload, name)
        yield ("rmdir", uploads, _UPLOAD)
    if sync:
        yield ("sync", uploads)


def complete(rules: Rules, parts: int) -> Operation:
    upload = yield from _opened(rules)
    here = yield ("walk", ROOT, (_HERE,))
    if upload is None:
        # Completed before, and the answer lost: tell again what was made, if it still stands.
        found = yield ("look", here, _KEY)
        if found is None or found.content != MADE:
            return "none"
        yield ("sync", here)
        return "done"
    intent = yield ("look", upload, ".intent")
    whole = yield ("look", upload, ".object")
    if "published once" in rules and intent is not None and whole is None:
        yield ("sync", here)
        yield from _finish(rules, upload)
        yield from _closed(rules)
        return "done"
    if intent is None:
        if parts == 1:
            # The part itself, if that was not moved before.
            yield ("move", upload, "1", upload, ".object")
        elif whole is None:
            yield ("put", upload, ".object", MADE, True, False)
        if "intent" in rules:
            yield ("put", upload, ".intent", "intent", True, False)
            yield ("sync", upload)
    elif whole is None and parts == 2:
        yield ("put", upload, ".object", MADE, True, False)
    yield ("lock", _KEY)
    done = yield ("move", upload, ".object", here, _KEY)
    yield ("unlock", _KEY)
    if isinstance(done, Error):
        yield from _closed(rules)
        return "none"
    if "sync" in rules:
        yield ("sync", here)
    yield from _finish(rules, upload)
    yield from _closed(rules)
    return "done"


def _finish(rules: Rules, upload: int) -> Operation:
    if "sync" in rules:
        yield ("sync", upload)
    yield from _forget(rules)


def abort(rules: Rules) -> Operation:
    upload = yield from _opened(rules)
    if upload is None:
        return "none"
    intent = yield ("look", upload, ".intent")
    whole = yield ("look", upload, ".object")
    if "no abort of what is made" in rules and intent is not None and whole is None:
        here = yield ("walk", ROOT, (_HERE,))
        yield ("sync", here)
        yield from _finish(rules, upload)
        yield from _closed(rules)
        return "none"
    yield from _forget(rules, sync="sync of the abort" in rules)
    yield from _closed(rules)
    return "done"


def put(who: str) -> Operation:
    here = yield ("walk", ROOT, (_HERE,))
    yield ("lock", _KEY)
    yield ("put", here, _KEY, who, True, False)
    yield ("unlock", _KEY)
    yield ("sync", here)
    return "done"


def delete() -> Operation:
    here = yield ("walk", ROOT, (_HERE,))
    yield ("lock", _KEY)
    yield ("unlink", here, _KEY)
    yield ("unlock", _KEY)
    yield ("sync", here)
    return "done"


def get() -> Operation:
    here = yield ("walk", ROOT, (_HERE,))
    found = yield ("look", here, _KEY)
    return (found.content if found is not None else None,)


def step(_: str, value: tuple[str | None, str], event: Event) -> Iterator[tuple[str | None, str]]:
    """:param value: what is there, and what has become of the upload: "", made or aborted."""
    there, upload = value
    match event.name.split()[0]:
        case "PUT":
            yield event.who, upload
        case "DELETE":
            yield None, upload
        case "GET":
            if event.answer in (None, (there,)):
                yield value
        case "COMPLETE":
            if not upload and event.answer in (None, "done"):
                yield MADE, MADE
            # Again: it is told, or that it is known no more.
            if upload and event.answer in (None, "none", *(["done"] if upload == MADE else [])):
                yield value
        case "ABORT":
            if not upload and event.answer in (None, "done"):
                yield there, "aborted"
            if upload and event.answer in (None, "none"):
                yield value


def counts(event: Event) -> bool:
    # That there is no such upload is not promised to stay so.
    return event.name != "GET" and event.answer in (None, "done")


def look(files: State, _: Rules) -> list[Event]:
    return [Event("GET", "get", run(get(), files)[1], None)]


OPERATIONS: Mapping[str, Any] = {
    "COMPLETE one": lambda rules, _: complete(rules, 1),
    "COMPLETE two": lambda rules, _: complete(rules, 2),
    "ABORT": lambda rules, _: abort(rules),
    "PUT": lambda _, who: put(who),
    "DELETE": lambda *_: delete(),
    "GET": lambda *_: get(),
}


def _family(complete: str) -> Family:
    """:param complete: what a client does again when it had no answer."""
    return Family("uploads", RULES, OPERATIONS, Specification(step, counts), look, (complete, "ABORT"))


def _start(old: bool, parts: int) -> State:
    files = State(
        (
            ("d", ((_HERE, 1), (_TRASH, 3), (_UPLOADS, 2)), ()),
            ("d", (), ()),
            ("d", ((_UPLOAD, 4),), ()),
            ("d", (), ()),
            ("d", ((".meta", 5), *(((str(n), 5 + n)) for n in range(1, parts + 1))), ()),
            ("f", "meta", "meta"),
            *(("f", MADE if parts == 1 else "part", "") for _ in range(parts)),
        )
    )
    if old:
        files, _ = run(put("old"), files)
    return at_rest(files)


def scenarios() -> Iterator[Scenario]:
    for parts, name in ((1, "COMPLETE one"), (2, "COMPLETE two")):
        for old in (False, True):
            files, values = _start(old, parts), (("old" if old else None, ""),)
            both = ((name, name), ("ABORT", name), (name, "ABORT"), (name, "PUT", name))
            yield from mixed(_family(name), files, values, (name, "ABORT", "PUT", "DELETE"), ("GET",), both)
            for other in ("ABORT", "PUT"):
                yield Scenario(_family(name), files, values, ((name,), (name,), (other,)))
