"""The store's operations under the model of power cuts: what each may leave, and a check of all that it may leave."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import execute
from twisted.internet.task import Clock

from tests.contract.support import CREATE, Client, fired
from tests.powercut import Recorder
from zs3.errors import S3Error
from zs3.store import completion, kernel, records
from zs3.store.calls import AtOnce
from zs3.store.deferred import FilesystemStore
from zs3.store.durability import Durability
from zs3.store.values import ENABLED, NULL_VERSION, SUSPENDED, VERSIONING, Attributes, Deletion, ObjectInfo

LONG = Attributes({}, {"long": "v" * 3000})
SHORT = Attributes({"content-type": "text/plain"}, {"k": "v"})
OLD = {"key": b"old", "dir": b"beside", "dir/a/b": b"below"}


def open_client(data: Path) -> Client:
    store = FilesystemStore(str(data), execute, Clock())
    fired(store.start())
    return Client(store)


def view(client: Client) -> Any:
    """All that clients can see: the objects and the parts of uploads in each bucket."""
    seen: dict[str, Any] = {}
    for bucket in fired(client.store.list_buckets()):
        objects = {}
        for key in client.listed(bucket.name):
            info = client.info(key, bucket.name)
            objects[key] = (client.get(key, bucket.name), info.etag, info.attributes)
        versions = [
            (info, latest, None if info.is_delete_marker else client.get(info.key, bucket.name, info.version))
            for info, latest in client.versions(bucket.name)
        ]
        # Those that are not kept are the objects.
        if VERSIONING in bucket.configuration:
            objects |= {("versions of", info.key): [] for info, *_ in versions}
            for each in versions:
                objects["versions of", each[0].key].append(each)
        options: dict[str, Any] = {"prefix": "", "delimiter": "", "key_marker": "", "upload_id_marker": ""}
        uploads = []
        for upload in fired(client.store.list_uploads(bucket.name, **options, limit=10)).uploads:
            work = client.store.list_parts(bucket.name, upload.key, upload.upload_id, after=0, limit=10)
            uploads.append((upload.key, [(part.number, part.etag, part.size) for part in fired(work).parts]))
        seen[bucket.name] = objects, (sorted(uploads), dict(bucket.configuration))
    return seen


@dataclass(frozen=True)
class Scenario:
    """An operation, or some of which each is answered before the next.

    :ivar prepare: makes what it needs; its result is given to each step.
    :ivar halfway: completes an upload: its parts are not listed meanwhile, and once it is done, doing it again must not
        undo what came after it.
    :ivar again: doing it again ends in the same state.
    :ivar unanswered: how many of the first steps have no answer when others come.
    """

    name: str
    steps: tuple[Callable[[Client, Any], Any], ...]
    prepare: Callable[[Client], Any] = lambda _: None
    halfway: bool = False
    again: bool = True
    unanswered: int = 0


def _begun(*pieces: bytes) -> Callable[[Client], Any]:
    def prepare(client: Client) -> Any:
        upload = client.begin("key", attributes=SHORT)
        return upload, [client.part(upload, number, piece) for number, piece in enumerate(pieces, 1)]

    return prepare


def _path(client: Client, key: str) -> Path:
    return Path(os.fsdecode(client.store._posix.buckets.path("bucket"))) / key


def _write_plainly(client: Client) -> None:
    path = _path(client, "key")
    path.write_bytes(b"plain")
    # Now and then the clock gives a whole microsecond, which looks rounded.
    os.utime(path, ns=(path.stat().st_mtime_ns // 1000 * 1000 + 1,) * 2)


def _tag(client: Client, _: Any) -> None:
    client.change("key", metadata={}, tags={"k": "v"})


def _configure(client: Client) -> None:
    client.configure(tags="old")


def _complete(client: Client, begun: Any) -> None:
    client.complete(*begun)


def _versions(*steps: Callable[[Client], Any], state: str = ENABLED) -> Callable[[Client], Any]:
    """What came before in a bucket that keeps versions.

    :returns: what the first step gave.
    """

    def prepare(client: Client) -> Any:
        client.configure(**{VERSIONING: ENABLED})
        results = [step(client) for step in steps]
        client.configure(**{VERSIONING: state})
        return results[0] if results else None

    return prepare


def _one(client: Client) -> ObjectInfo:
    return client.put("key", b"one")


def _two(client: Client) -> ObjectInfo:
    return client.put("key", b"two")


def _null(client: Client) -> None:
    client.configure(**{VERSIONING: SUSPENDED})
    client.put("key", b"null")


def _gone(client: Client) -> Deletion:
    return client.remove("key", "")


def _remove(client: Client, what: Any) -> None:
    """Remove a version that was made before."""
    client.remove("key", what.version)


def _gone_but_for_one(client: Client) -> Deletion:
    """The delete marker of a version that was removed since, over an older one."""
    _one(client)
    two = _two(client)
    marker = _gone(client)
    client.remove("key", two.version)
    return marker


def _uncovered(client: Client) -> Deletion:
    """A delete marker that hides an object again, as others removed what came after it."""
    marker = _gone(client)
    _two(client)
    _path(client, "key").unlink()
    return marker


def _put_back(client: Client) -> None:
    """An older version is current, as others copied it there, and tagged."""
    one = _one(client)
    _two(client)
    path = _path(client, "key")
    [older] = path.parent.parent.glob(f".zs3/versions/bucket/key,v/*_{one.version}")
    path.unlink()
    shutil.copy2(older, path)
    client.change("key", tags={"k": "v"})


def _unsettled(client: Client, _: Any) -> None:
    """A version that is current, but not for sure on the disk yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zs3.store.commit._settle", lambda *_: None)
        _two(client)


def _unsettled_bucket(client: Client, _: Any) -> None:
    """A bucket whose name is not for sure on the disk yet."""
    data, real = client.store._posix.buckets._data, Durability.flush_path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Durability, "flush_path", lambda self, path: None if path == data else real(self, path))
        fired(client.store.create_bucket("other"))


#: What others do before something was answered.
UNANSWERED = (
    Scenario(
        "put into a bucket that is not answered",
        (_unsettled_bucket, lambda client, _: client.put("key", b"new", bucket="other")),
        again=False,
        unanswered=1,
    ),
    *(
        Scenario(f"{name} that is not answered", (_unsettled, step), _versions(_one), again=False, unanswered=1)
        for name, step in (
            ("a version over one", lambda client, _: client.put("key", b"three")),
            ("mark deleted one", lambda client, _: _gone(client)),
            ("remove what is older than one", _remove),
        )
    ),
)

#: Once more makes one more version.
VERSIONED = tuple(
    Scenario(name, steps, prepare, again=again)
    for name, steps, prepare, again in (
        ("keep versions", (lambda client, _: client.configure(versioning=ENABLED),), lambda _: None, True),
        ("a version", (lambda client, _: _two(client),), _versions(), False),
        ("another version", (lambda client, _: client.put("key", b"three"),), _versions(_one, _two), False),
        ("a version after a deletion", (lambda client, _: _two(client),), _versions(_one, _gone), False),
        ("a version beside", (lambda client, _: client.put("dir", b"new"),), _versions(), False),
        ("a null version", (lambda client, _: client.put("key", b"0"),), _versions(_one, state=SUSPENDED), False),
        (
            "another null version",
            (lambda client, _: client.put("key", b"0"),),
            _versions(_null, state=SUSPENDED),
            False,
        ),
        (
            "a null version over an older one",
            (lambda client, _: client.put("key", b"0"),),
            _versions(_null, lambda client: client.configure(versioning=ENABLED), _two, state=SUSPENDED),
            False,
        ),
        ("mark deleted", (lambda client, _: _gone(client),), _versions(_one), False),
        ("mark deleted again", (lambda client, _: _gone(client),), _versions(_one, _gone), False),
        ("mark deleted while suspended", (lambda client, _: _gone(client),), _versions(_null, state=SUSPENDED), False),
        ("mark deleted below", (lambda client, _: client.delete("dir/a/b"),), _versions(), False),
        ("remove the current version", (_remove,), _versions(_two), True),
        ("remove the only version", (lambda client, _: client.remove("key", NULL_VERSION),), _versions(), True),
        ("remove an older version", (_remove,), _versions(_one, _two), True),
        ("remove what covers a marker", (_remove,), _versions(_two, lambda client: client.remove("x", "")), True),
        ("undelete", (_remove,), _versions(_gone), True),
        ("undelete to a marker", (_remove,), _versions(lambda client: [_gone(client), _gone(client)][1]), True),
        ("undelete to an older version", (_remove,), _versions(_gone_but_for_one), True),
        ("undelete after others", (_remove,), _versions(_uncovered), True),
        ("a version over one put back", (lambda client, _: _two(client),), _versions(_put_back), False),
        (
            "tag an older version",
            (lambda client, one: client.change("key", version=one.version, tags={"k": "v"}),),
            _versions(_one, _two),
            True,
        ),
        (
            "one version after another",
            (
                lambda client, _: client.put("a", b"1"),
                lambda client, _: client.put("a", b"2"),
                lambda client, _: client.put("a/b", b"3"),
                lambda client, _: client.delete("a"),
                lambda client, _: client.put("a", b"4"),
                lambda client, _: client.remove("a", client.versions(prefix="a")[0][0].version),
                lambda client, _: client.remove("a", client.versions(prefix="a")[0][0].version),
            ),
            _versions(),
            False,
        ),
    )
)

SCENARIOS = (
    *VERSIONED,
    *UNANSWERED,
    Scenario("put", (lambda client, _: client.put("new", b"new", attributes=SHORT),)),
    Scenario("put over", (lambda client, _: client.put("key", b"new"),)),
    Scenario("put with a sidecar", (lambda client, _: client.put("key", b"new", attributes=LONG),)),
    Scenario(
        "put over a sidecar",
        (lambda client, _: client.put("key", b"new"),),
        prepare=lambda client: client.put("key", b"old", attributes=LONG),
    ),
    Scenario("put deep", (lambda client, _: client.put("new/deep/key", b"new"),)),
    Scenario("put beside", (lambda client, _: client.put("dir", b"new"),)),
    Scenario("put a long key", (lambda client, _: client.put("x" * 600, b"new"),)),
    Scenario("create only", (lambda client, _: client.put("new/key", b"new", condition=CREATE),)),
    Scenario("displace", (lambda client, _: client.put("key/below", b"new"),)),
    Scenario(
        "displace a long key",
        (lambda client, _: client.put("y" * 255 + "/below", b"new"),),
        prepare=lambda client: client.put("y" * 255, b"long"),
    ),
    Scenario("copy", (lambda client, _: client.copy("key", "dir/a/b"),)),
    Scenario("copy deep", (lambda client, _: client.copy("key", "new/deep/key"),)),
    Scenario("delete", (lambda client, _: client.delete("key"),)),
    Scenario("delete and prune", (lambda client, _: client.delete("dir/a/b"),)),
    Scenario("delete beside", (lambda client, _: client.delete("dir"),)),
    Scenario("change", (_tag,)),
    Scenario("change to a sidecar", (lambda client, _: client.change("key", metadata=LONG.metadata),)),
    Scenario("change from a sidecar", (_tag,), prepare=lambda client: client.put("key", b"old", attributes=LONG)),
    Scenario(
        "change of a sidecar",
        (lambda client, _: client.change("key", tags={"k": "v"}),),
        prepare=lambda client: client.put("key", b"old", attributes=LONG),
    ),
    Scenario("change of a plain file", (_tag,), prepare=_write_plainly),
    Scenario(
        "change of one of two names",
        (_tag,),
        prepare=lambda client: os.link(_path(client, "key"), _path(client, "other")),
    ),
    Scenario("create upload", (lambda client, _: client.begin("key"),), again=False),
    Scenario("part", (lambda client, begun: client.part(begun[0], 2, b"part"),), prepare=_begun(b"first")),
    Scenario("part over", (lambda client, begun: client.part(begun[0], 1, b"other"),), prepare=_begun(b"first")),
    Scenario("complete", (_complete,), prepare=_begun(b"first", b"second"), halfway=True),
    Scenario("complete of one part", (_complete,), prepare=_begun(b"first"), halfway=True),
    Scenario(
        "abort",
        (lambda client, begun: fired(client.store.abort_upload("bucket", "key", begun[0].upload_id)),),
        prepare=_begun(b"first", b"second"),
    ),
    Scenario(
        "create bucket",
        (
            lambda client, _: fired(client.store.create_bucket("other")),
            # What belongs to a bucket is found by its id.
            lambda client, _: client.put("key", b"new", bucket="other", attributes=LONG),
        ),
    ),
    Scenario(
        "create a configured bucket",
        (lambda client, _: fired(client.store.create_bucket("other", {"owner": "me"})),),
    ),
    Scenario("configure", (lambda client, _: client.configure(tags="new"),), prepare=_configure),
    Scenario("configure no more", (lambda client, _: client.configure(tags=None),), prepare=_configure),
    Scenario(
        "configure another's directory",
        (lambda client, _: client.configure("theirs", tags="new"),),
    ),
    Scenario(
        "delete bucket",
        (lambda client, _: fired(client.store.delete_bucket("other")),),
        prepare=lambda client: fired(client.store.create_bucket("other")),
    ),
    Scenario(
        "delete a configured bucket",
        (lambda client, _: fired(client.store.delete_bucket("other")),),
        prepare=lambda client: fired(client.store.create_bucket("other", {"owner": "me"})),
    ),
    Scenario(
        "first put into another's directory",
        (lambda client, _: client.put("key", b"new", bucket="theirs", attributes=LONG),),
    ),
    Scenario(
        "one after another",
        (
            lambda client, _: client.put("a/b", b"1"),
            lambda client, _: client.put("a/b", b"2"),
            lambda client, _: client.put("a/b/c", b"3"),
            lambda client, _: client.delete("a/b"),
            lambda client, _: client.delete("a/b/c"),
            lambda client, _: client.put("a", b"4"),
        ),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario.

    :ivar cuts: how many states of the disk were checked.
    :ivar syncs: how many fsyncs there were.
    :ivar violations: what was found that must not be.
    """

    cuts: int
    syncs: int
    violations: list[str]


def run(
    scenario: Scenario,
    place: Path,
    *,
    skip: Callable[[int, os.stat_result], bool] = lambda *_: False,
    most: int = 6,
    seed: int = 0,
    first_only: bool = False,
) -> Outcome:
    """Record a scenario, make each state that a power cut may leave of it, and start a store on that.

    :param place: an empty directory.
    :param skip: which fsyncs to leave out, see `Recorder`.
    :param most: states of each moment.
    :param first_only: one violation is enough.
    """
    with pytest.MonkeyPatch.context() as patch:
        # Parts of a few bytes: what they hold changes nothing.
        patch.setattr(completion, "MIN_PART_SIZE", 1)
        # The disk is the model's; nobody pulls the plug of the one beneath.
        for name in ("fsync", "fdatasync", "sync"):
            patch.setattr(os, name, lambda *_: None)
        # Also where the file system has none: which ancestors are fsynced again must not depend on that.
        patch.setattr(kernel, "generation", lambda _: 1)
        patch.setattr(AtOnce, "generation", lambda *_: 1)
        # The files of each state have numbers of their own, of which the ETag of a plain file must not be made.
        patch.setattr(records, "has_stable_inodes", lambda *_: False)
        data = place / "data"
        data.mkdir()
        recorder, after, prepared = _record(scenario, data, skip)
        violations = []
        cuts = 0
        for moment, disk in recorder.cuts(most, seed):
            cuts += 1
            copy = place / "cut"
            recorder.make(disk, copy)
            try:
                _check(scenario, copy, moment.allowed, after, prepared)
            except Exception as error:
                violations.append(f"{scenario.name}, after change {moment.step}: {error!r}")
                if first_only:
                    break
            finally:
                shutil.rmtree(copy)
        return Outcome(cuts, recorder.syncs, violations)


def _record(scenario: Scenario, data: Path, skip: Callable[[int, os.stat_result], bool]) -> tuple[Recorder, Any, Any]:
    client = open_client(data)
    fired(client.store.create_bucket("bucket"))
    for key, value in OLD.items():
        client.put(key, value)
    (data / "theirs").mkdir()
    prepared = scenario.prepare(client)
    before = view(client)
    with Recorder(data, skip) as recorder:
        possible = [before]
        for number, step in enumerate(scenario.steps):
            # Known when it has been done, and looked up when all has.
            under_way = possible.copy()
            answered = under_way if number < scenario.unanswered else []
            recorder.may_be(under_way)
            step(client, prepared)
            recorder.may_be(answered)
            after = view(client)
            under_way.append(after)
            possible = under_way if number < scenario.unanswered else [after]
            answered[:] = possible
    fired(client.store.stop())
    return recorder, after, prepared


class Wrong(Exception):
    """Something was found that no cut may leave."""


def _check(scenario: Scenario, data: Path, allowed: list[Any], after: Any, prepared: Any) -> None:
    client = open_client(data)
    try:
        found = view(client)
        if scenario.halfway:
            found, allowed = _objects(found), [_objects(each) for each in allowed]
        if found not in allowed:
            raise Wrong(f"found {found}, allowed {allowed}")
        if scenario.again:
            if scenario.halfway and found == _objects(after):
                client.put("key", b"newer")
                after = view(client) | {"bucket": (view(client)["bucket"][0], ([], {}))}
            for step in scenario.steps:
                with suppress(S3Error):
                    step(client, prepared)
            if (found := view(client)) != after:
                raise Wrong(f"done again, found {found}, wanted {after}")
        if rubbish := [path for path in data.glob(".zs3/tmp/*/*") if path.name != "owner"]:
            raise Wrong(f"temporary files stay: {rubbish}")
    finally:
        fired(client.store.stop())


def _objects(seen: Any) -> Any:
    return {bucket: objects for bucket, (objects, _) in seen.items()}
