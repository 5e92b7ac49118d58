"""A pass over the buckets that have lifecycle rules: reads page by page, and does what the rules ask for.

Between two pages others have their turn.  What is done is done on condition that
the object is still what was judged, so whoever comes in between loses nothing.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from zs3.errors import S3Error
from zs3.lifecycle.evaluation import Day, Place, Placing, Version, What, abortion, judge
from zs3.lifecycle.rules import LIFECYCLE, Rule, lifecycle_of, prefixes
from zs3.store.values import (
    ENABLED,
    VERSIONING,
    BucketInfo,
    BucketState,
    Deletion,
    Lock,
    ObjectInfo,
    PinnedName,
    UploadsPage,
    VersionsPage,
    VersionsQuery,
    WriteCondition,
)

#: Versions, or uploads, that are read at once: few enough that nobody waits for the reactor.
PAGE = 200

#: After so many seconds within a page others have their turn.
_TURN_S = 0.02

#: So many failures of a pass are told in the log.
_TOLD = 10

log = Logger()

#: What another was faster with.
_CHANGED = frozenset(("NoSuchKey", "NoSuchUpload", "NoSuchVersion", "PreconditionFailed"))


class Stopped(Exception):
    """The pass is to end before it is over."""


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done with one version or upload, and by which rule.

    :ivar version: the id of the one that is removed; "" for an object that expires, and for an upload.
    :ivar upload_id: "" for a version.
    """

    what: What
    rule: str
    bucket: str
    key: str
    version: str = ""
    upload_id: str = ""
    size: int = 0
    mtime_ns: int = 0


@dataclass(slots=True)
class Counts:
    """What came of a pass.

    :ivar buckets: how many have rules.
    :ivar looked_at: at how many versions and uploads.
    :ivar done: how many actions, by kind.
    :ivar changed: how many were not done, because others came in between.
    :ivar failed: how many were refused, and the buckets that could not be read.
    """

    buckets: int = 0
    looked_at: int = 0
    done: Counter[What] = field(default_factory=Counter)
    changed: int = 0
    failed: int = 0

    def __str__(self) -> str:
        done = ", ".join(f"{what.value} {self.done[what]}" for what in What if self.done[what]) or "nothing to do"
        more = "".join(
            f", {n} {name}" for n, name in ((self.changed, "changed meanwhile"), (self.failed, "failed")) if n
        )
        return f"{self.buckets} buckets with rules, {self.looked_at} versions and uploads: {done}{more}"


def show(info: ObjectInfo, latest: bool) -> bytes:
    """What a listing tells of a version here; see `zs3.store.values.ShowVersion`."""
    lock = info.attributes.lock
    tags = dict(info.attributes.tags)
    place = (info.key, info.mtime_ns, info.size, info.etag, tags, info.version, info.is_delete_marker, latest)
    return json.dumps((place, (lock.mode, lock.until_ns, lock.legal_hold))).encode("ascii")


def shown(data: bytes) -> Version:
    """The version that `show` has told of."""
    (key, mtime_ns, size, etag, tags, version, marker, latest), lock = json.loads(data)
    return Version(key, mtime_ns, size, etag, tags, Lock(*lock), version, marker, latest)


def condition_of(version: Version, what: What) -> WriteCondition:
    """That what is removed is what was judged, and stands where it stood."""
    return WriteCondition(
        # Who removes the delete marker before it makes an older version current.
        noncurrent=what is What.REMOVE,
        if_match=None if version.is_delete_marker else version.etag,
        size=version.size,
        mtime_s=version.mtime_ns // 1_000_000_000,
    )


class Pass:
    """One pass.

    :param store: an `IStore`.
    :param seconds: tells the time, in seconds since the epoch.
    :param pause: is given the seconds that a page took, and fires when the next one may be read, or fails with
        `Stopped`.
    :param save: is told after each page of a bucket which bucket it is and up to which key it is done; likewise.
    :param report: is told of each action that was done, or with `dry_run`, would be.
    :param announce: is told of each version that was removed, or object that expired, and what became of it.
    """

    def __init__(
        self,
        store: Any,
        seconds: Callable[[], float],
        day: Day,
        *,
        pause: Callable[[float], Deferred[None]],
        save: Callable[[str, str], Deferred[None]],
        report: Callable[[Action], object] = lambda _: None,
        announce: Callable[[Action, Deletion], Deferred[None]] = lambda *_: succeed(None),
        dry_run: bool = False,
    ) -> None:
        self._store, self._seconds, self._day = store, seconds, day
        self._pause, self._save, self._report, self._dry_run = pause, save, report, dry_run
        self._announce = announce
        self.counts = Counts()

    async def run(self, bucket: str = "", key: str = "", *, only: str | None = None) -> Counts:
        """Make the pass.  `Stopped`.

        :param bucket: where to begin.
        :param key: what is done of that one.
        :param only: the only bucket.
        """
        found: list[BucketInfo]
        found = await self._store.list_buckets() if only is None else [await self._store.get_bucket(only)]
        for each in found:
            if LIFECYCLE in each.configuration:
                self.counts.buckets += 1
                if each.name >= bucket:
                    await self._bucket(each.name, key if each.name == bucket else "")
        return self.counts

    async def _bucket(self, name: str, key: str) -> None:
        try:
            # Whichever bucket gets its name later, it is about this one.
            state: BucketState = await self._store.look_at(name)
            await self._versions(state.name, key)
            await self._uploads(state.name)
        except S3Error as error:
            if error.code != "NoSuchBucket":
                self.counts.failed += 1
                log.error("the lifecycle of the bucket {bucket} waits: {error}", bucket=name, error=str(error))
        except Stopped:
            raise
        except ValueError as error:
            self.counts.failed += 1
            log.error("the lifecycle of the bucket {bucket} waits: {error}", bucket=name, error=str(error))
        except Exception:
            # The buckets after it need not wait too.
            self.counts.failed += 1
            log.failure("the lifecycle of the bucket {bucket} waits", bucket=name)

    async def _rules(self, name: PinnedName) -> tuple[tuple[Rule, ...], bool]:
        """The rules that count now, for they may be changed at any time, and whether versions are kept."""
        state: BucketState = await self._store.look_at(name)
        return lifecycle_of(state.configuration).enabled, state.configuration.get(VERSIONING) == ENABLED

    # Versions

    async def _versions(self, name: PinnedName, done: str) -> None:
        """:param done: the key up to which all is done."""
        placing, after, finished, reading = Placing(), (done, ""), "", ""
        while True:
            began = time.monotonic()
            enabled, versioned = await self._rules(name)
            rules = [rule for rule in enabled if rule.is_about_versions]
            prefix = _next_prefix(rules, after[0], finished)
            if prefix is None:
                return
            if prefix != reading:
                # The rules have changed: what follows is not known of what was kept back.
                placing, reading = Placing(), prefix
            page: VersionsPage = await self._store.list_versions(
                name, VersionsQuery(prefix, "", *after, limit=PAGE), show
            )
            self.counts.looked_at += len(page.versions)
            for version, place in _placed(placing, page):
                await self._judge(name, rules, version, place, versioned=versioned)
                if version.key != placing.key:
                    done = version.key
                if (took := time.monotonic() - began) > _TURN_S:
                    # There are many rules, or much to do.
                    await self._pause(took)
                    began = time.monotonic()
            after = (page.next_key, page.next_version) if page.truncated else (done or after[0], "")
            finished = finished if page.truncated else prefix + "\0"
            await self._save(name, done)
            await self._pause(time.monotonic() - began)

    async def _judge(
        self, name: PinnedName, rules: Sequence[Rule], version: Version, place: Place, *, versioned: bool
    ) -> None:
        now_ns = int(self._seconds() * 1_000_000_000)
        verdict = judge(rules, version, place, now_ns, self._day, versioned=versioned)
        if verdict is not None:
            what, rule = verdict
            which = "" if what is What.EXPIRE else version.version
            action = Action(what, rule, name, version.key, which, "", version.size, version.mtime_ns)
            condition = condition_of(version, what)
            await self._do(action, partial(self._store.delete_object, name, version.key, condition, version=which))

    # Uploads

    async def _uploads(self, name: PinnedName) -> None:
        key, upload_id, finished = "", "", ""
        while True:
            began = time.monotonic()
            enabled, _ = await self._rules(name)
            rules = [rule for rule in enabled if rule.abort_days is not None]
            prefix = _next_prefix(rules, key, finished)
            if prefix is None:
                return
            page: UploadsPage = await self._store.list_uploads(
                name, prefix=prefix, delimiter="", key_marker=key, upload_id_marker=upload_id, limit=PAGE
            )
            self.counts.looked_at += len(page.uploads)
            for upload in page.uploads:
                due = abortion(rules, upload.key, upload.initiated_ns, self._day)
                if due is not None and due.at_ns <= int(self._seconds() * 1_000_000_000):
                    ids = ("", upload.upload_id)
                    action = Action(What.ABORT, due.rule, name, upload.key, *ids, mtime_ns=upload.initiated_ns)
                    await self._do(action, partial(self._store.abort_upload, name, upload.key, upload.upload_id))
            key, upload_id = page.next_key or key, page.next_upload_id
            finished = finished if page.truncated else prefix + "\0"
            await self._pause(time.monotonic() - began)

    async def _do(self, action: Action, work: Callable[[], Deferred[Any]]) -> None:
        try:
            if not self._dry_run:
                done = await work()
                if isinstance(done, Deletion):
                    await self._announce(action, done)
        except S3Error as error:
            if error.code == "NoSuchBucket":
                raise
            if error.code in _CHANGED:
                self.counts.changed += 1
            else:
                self.counts.failed += 1
                if self.counts.failed <= _TOLD:
                    log.warn("lifecycle: {action} failed: {error}", action=action, error=str(error))
        else:
            self.counts.done[action.what] += 1
            self._report(action)


def _next_prefix(rules: Sequence[Rule], after: str, finished: str) -> str | None:
    """The first prefix of which there may be more; None if there is none.

    :param after: the last key that was seen, "" for none.
    :param finished: all prefixes up to this have been read to their end.
    """
    for prefix in prefixes(rules):
        is_past = after.encode() > prefix.encode() and not after.startswith(prefix)
        if not is_past and not prefix.encode() < finished.encode():
            return prefix
    return None


def _placed(placing: Placing, page: VersionsPage) -> Iterator[tuple[Version, Place]]:
    yield from placing.add(map(shown, page.versions))
    if not page.truncated:
        # With another prefix, other keys follow.
        yield from placing.end()
