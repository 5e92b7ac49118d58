"""Announces what other programs change in the buckets that anybody wants to know of.

One process of all that serve a directory on a machine watches.  inotify tells
of what zs3 itself does, too: that is told apart by what it has announced, which
is heard as streams hear it.  A file without a record, or with one that is not its
own, was changed by others for certain; of all else it is waited for a moment
whether zs3 announces it.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from zs3.auth.access import ENFORCED, bucket_access
from zs3.errors import S3Error
from zs3.events.announcer import Events, Hop
from zs3.events.inotify import (
    CLOSE_WRITE,
    CREATE,
    DELETE,
    IGNORED,
    ISDIR,
    MOVED_FROM,
    MOVED_TO,
    OVERFLOW,
    Happening,
    Inotify,
)
from zs3.events.queue import Lock
from zs3.events.records import OUTSIDE, Event, with_kept_version
from zs3.events.rules import CREATED_PUT, NOTIFICATION, REMOVED
from zs3.events.streams import Listening, Streams
from zs3.events.tree import Names, Scan, is_linked_file, key_of, scan
from zs3.store import layout
from zs3.store.internals import Internals
from zs3.store.metadata import is_plain
from zs3.store.values import BucketInfo, BucketState, ObjectInfo

#: Seconds for which what happens is gathered before it is looked at.
SETTLE_S = 0.2
#: Seconds that zs3 may take to announce what it did: it does so when that is durable.
PATIENCE_S = 3.0
#: Keys of which it is known what zs3 has announced: the most while there is something to look at, and else.
_MOST_KNOWN, _KEPT = 50_000, 5_000
#: What the store says of an object that is no more.
_GONE = ("NoSuchKey", "NoSuchBucket")
#: Objects that are looked at at once.
_WIDTH = 4
#: One for each machine: inotify tells of what is done on it alone.
_LOCK = b"watch.%b.lock" % os.fsencode(re.sub("[^A-Za-z0-9-]", "_", os.uname().nodename))
_MASK = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE

log = Logger()

#: What was announced of a key last: modification time in nanoseconds and size; None: it is no more.
_State = tuple[int, int] | None
_Key = tuple[str, str]
#: A bucket's directory: device and inode.
_Identity = tuple[int, int]


@dataclass
class _Bucket:
    """A bucket that is watched."""

    name: str
    path: bytes
    identity: _Identity
    hearing: Listening
    watches: set[int] = field(default_factory=set)


class Watcher(Service):
    """The service.

    :param directory: of events.
    :param data: the data directory.
    :param store: an `IStore`.
    :param hop: runs a function in a thread; fires with its result.
    """

    def __init__(
        self,
        reactor: Any,
        data: str,
        directory: bytes,
        internals: Internals,
        store: Any,
        events: Events,
        streams: Streams,
        hop: Hop,
    ) -> None:
        self._reactor, self._store, self._events, self._streams, self._hop = reactor, store, events, streams, hop
        self._data, self._directory = os.fsencode(data), directory
        self._lock = Lock(directory, internals, _LOCK)
        self._inotify: Inotify | None = None
        self._has_lock = False
        self._complaints: set[str] = set()
        self._buckets: dict[str, _Bucket] = {}
        self._places: dict[int, tuple[_Bucket, Names]] = {}
        self._own_watches: set[int] = set()
        self._happened: list[Happening] = []
        self._timer: IDelayedCall | None = None
        self._working: Deferred[None] | None = None
        self._choose = self._overflow = False
        self._settled_ns = time.time_ns()
        self._known: OrderedDict[_Key, _State] = OrderedDict()
        #: Keys of which the next that is found is what zs3 made of them.
        self._adopting: set[_Key] = set()
        #: When each key that is to be looked at was first touched, in seconds.
        self._touched: dict[_Key, float] = {}
        #: When those are to be looked at of which it is waited for what zs3 says.
        self._due: dict[_Key, float] = {}
        #: Keys of files that were not there before.
        self._fresh: set[_Key] = set()

    # From the start to the end

    def startService(self) -> None:
        super().startService()
        # Not before: until then the threads are not there.
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        if not self.running:
            return
        try:
            self._inotify = Inotify(self._reactor, self._hear_kernel)
            for path, mask in (
                (self._directory, CLOSE_WRITE | MOVED_TO),
                (os.path.join(self._directory, b"listeners"), MOVED_TO | DELETE),
            ):
                self._own_watches.add(self._inotify.watch(path, mask))
            self._inotify.start()
        except OSError as error:
            log.warn("what other programs change is not announced: {reason}", reason=error.strerror)
            return
        self._choose_again()

    def stopService(self) -> Deferred[None]:
        """Fires when what was being done is done."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._inotify is not None:
            self._inotify.stop()
        if self._working is None:
            self._end()
            return succeed(None)
        ended: Deferred[None] = Deferred()

        def over(_: Any) -> None:
            self._end()
            ended.callback(None)

        self._working.addBoth(over)
        return ended

    def _end(self) -> None:
        for bucket in list(self._buckets.values()):
            bucket.hearing.close()
        self._buckets.clear()
        self._lock.release()

    # What the kernel and zs3 tell

    def _hear_kernel(self, found: list[Happening]) -> None:
        for each in found:
            if each.mask & OVERFLOW:
                self._overflow = True
            elif each.watch in self._own_watches:
                self._choose = True
            else:
                self._happened.append(each)
        self._soon()

    def _choose_again(self) -> None:
        self._choose = True
        self._soon(0)

    def _soon(self, seconds: float = SETTLE_S) -> None:
        if self.running and self._timer is None and self._working is None:
            self._timer = self._reactor.callLater(seconds, self._work)

    def _hear_zs3(self, _number: int, document: Mapping[str, Any]) -> None:
        name, key, version = document["name"], document["key"], document["version"]
        self._due.pop((document["bucket"], key), None)
        if name.startswith(("ObjectRemoved:", "LifecycleExpiration:")):
            state: _State = None
            if version and not name.endswith("DeleteMarkerCreated"):
                # Another version may be the object now.
                self._adopting.add((document["bucket"], key))
                self._touched.setdefault((document["bucket"], key), self._reactor.seconds())
                self._soon(0)
                return
        else:
            state = (document["mtime"], document["size"])
        self._know((document["bucket"], key), state)

    def _know(self, key: _Key, state: _State) -> None:
        self._known[key] = state
        self._known.move_to_end(key)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    # The work

    def _work(self) -> None:
        self._timer = None
        self._working = Deferred.fromCoroutine(self._do())
        self._working.addErrback(lambda failure: log.failure("changes by other programs are missed", failure))
        self._working.addBoth(self._worked)

    def _worked(self, _: Any) -> None:
        self._working = None
        if self._happened or self._choose or self._overflow:
            self._soon()
        elif self._touched:
            self._soon(PATIENCE_S / 4)
        else:
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)

    async def _do(self) -> None:
        if self._choose:
            self._choose = False
            await self._choose_buckets()
        now_ns = time.time_ns()
        happened, self._happened = self._happened, []
        if self._overflow:
            self._overflow = False
            log.warn("inotify has lost changes by other programs: what they removed just now is not announced")
            for bucket in list(self._buckets.values()):
                await self._scan(bucket, (), self._settled_ns - 1_000_000_000)
        await self._take(happened)
        self._settled_ns = now_ns
        await self._judge()

    # Which buckets

    async def _choose_buckets(self) -> None:
        """Watch the buckets that anybody wants to know of, if no other process of this machine does."""
        if not self._has_lock:
            self._has_lock = await self._hop(self._lock.is_free) and await self._hop(self._lock.acquire)
            if not self._has_lock:
                return
        found: list[BucketInfo] = await self._store.list_buckets()
        streamed = self._streams.streamed
        wanted = {each.name for each in found if NOTIFICATION in each.configuration or each.name in streamed}
        for name, bucket in list(self._buckets.items()):
            if name not in wanted or await self._hop(_identity, bucket.path) != bucket.identity:
                self._drop(bucket)
        for name in sorted(wanted - self._buckets.keys()):
            await self._add(name)
        assert self._inotify is not None  # noqa: S101 - for mypy
        if self._buckets and self.running:
            # Of directories that are moved away, or come in their place.
            self._own_watches.add(self._inotify.watch(self._data, MOVED_FROM | MOVED_TO | DELETE))

    async def _add(self, name: str) -> None:
        path = os.path.join(self._data, os.fsencode(name))
        identity = await self._hop(_identity, path)
        try:
            state: BucketState = await self._store.look_at(name)
        except S3Error:
            return
        if identity is None or not self.running:
            return
        bucket = self._buckets[name] = _Bucket(
            name, path, identity, self._streams.watch(name, state.name.identifier, self._hear_zs3)
        )
        await self._scan(bucket, (), None)
        log.info("changes in the bucket {bucket} by other programs are announced", bucket=name)

    def _drop(self, bucket: _Bucket) -> None:
        assert self._inotify is not None  # noqa: S101 - for mypy
        del self._buckets[bucket.name]
        bucket.hearing.close()
        for watch in bucket.watches:
            self._places.pop(watch, None)
            self._inotify.forget(watch)

    async def _scan(self, bucket: _Bucket, start: Names, since_ns: int | None) -> list[Names]:
        """Watch a directory and what is below it; gives the files there, which count as touched."""
        if self._inotify is None or not self.running:
            return []
        inotify = self._inotify
        found: Scan = await self._hop(scan, bucket.path, start, lambda path: inotify.watch(path, _MASK), since_ns)
        for watch, names in found.watches.items():
            before = self._places.get(watch)
            if before is not None:
                before[0].watches.discard(watch)  # it may have come from another bucket
            self._places[watch] = (bucket, names)
            bucket.watches.add(watch)
        if found.failed is not None:
            full = found.failed.errno == errno.ENOSPC
            self._complain("raise the sysctl fs.inotify.max_user_watches" if full else str(found.failed.strerror))
        for names in found.files:
            self._touch(bucket, names)
        return found.files

    def _complain(self, reason: str) -> None:
        if reason not in self._complaints:
            self._complaints.add(reason)
            log.warn("not all changes by other programs are announced: {reason}", reason=reason)

    # What has happened

    def _touch(self, bucket: _Bucket, names: Names) -> None:
        key = key_of(names)
        if key is not None:
            self._touched.setdefault((bucket.name, key), self._reactor.seconds())

    def _note_fresh(self, bucket: _Bucket, names: Names) -> None:
        """A file appeared that nothing was written to yet."""
        key = key_of(names)
        if key is not None and (bucket.name, key) not in self._touched and not self._known.get((bucket.name, key)):
            if len(self._fresh) > _MOST_KNOWN:
                self._fresh.clear()
            self._fresh.add((bucket.name, key))

    async def _take(self, happened: list[Happening]) -> None:
        moved: dict[int, tuple[_Bucket, Names]] = {}
        touched = {(each.watch, each.name) for each in happened if each.mask & (CLOSE_WRITE | MOVED_TO)}
        for each in happened:
            place = self._places.get(each.watch)
            if each.mask & IGNORED:
                if place is not None:
                    del self._places[each.watch]
                    place[0].watches.discard(each.watch)
                    if not place[1]:
                        self._choose = True  # the bucket itself has gone
                continue
            if place is None:
                continue
            bucket, names = place[0], (*place[1], each.name)
            if each.name == layout.INTERNAL:
                continue
            if not each.mask & ISDIR:
                if not each.mask & CREATE or (
                    (each.watch, each.name) not in touched and await self._hop(is_linked_file, bucket.path, names)
                ):
                    self._touch(bucket, names)
                else:
                    self._note_fresh(bucket, names)
            elif each.mask & MOVED_FROM:
                moved[each.cookie] = (bucket, names)
            elif each.mask & (MOVED_TO | CREATE):
                files = await self._scan(bucket, names, 0)
                if each.cookie in moved:
                    old, where = moved.pop(each.cookie)
                    for file in files:
                        self._touch(old, where + file[len(names) :])
        for bucket, names in moved.values():
            self._forget_below(bucket, names)

    def _forget_below(self, bucket: _Bucket, names: Names) -> None:
        """A directory was moved to where nobody watches: what was in it is not known."""
        assert self._inotify is not None  # noqa: S101 - for mypy
        for watch in [each for each in bucket.watches if self._places[each][1][: len(names)] == names]:
            del self._places[watch]
            bucket.watches.discard(watch)
            self._inotify.forget(watch)

    # What comes of it

    async def _judge(self) -> None:
        """Look at what was touched, and announce what zs3 has not done."""
        now = self._reactor.seconds()
        waiting = [(key, since) for key, since in self._touched.items() if self._due.get(key, now) <= now]
        for at in range(0, len(waiting), _WIDTH):
            if not self.running:
                return
            looking = [Deferred.fromCoroutine(self._look(*key, since)) for key, since in waiting[at : at + _WIDTH]]
            for each in looking:
                await each

    async def _look(self, bucket_name: str, key: str, since: float) -> None:
        about = (bucket_name, key)
        bucket = self._buckets.get(bucket_name)
        if bucket is None:
            self._done(about)
            return
        info: ObjectInfo | None
        try:
            info = await self._store.get_object_info(bucket.name, key)
        except (S3Error, OSError) as error:
            code = getattr(error, "code", "")
            if code == "SlowDown":
                self._due[about] = self._reactor.seconds() + PATIENCE_S
                return
            if code not in _GONE:
                # It is there, and what it is cannot be told.
                self._done(about)
                self._complain(str(error))
                return
            info = None
        now = self._reactor.seconds()
        state = None if info is None else (info.mtime_ns, info.size)
        is_known = about in self._known and self._known[about] == state
        if is_known or about in self._adopting:
            self._know(about, state)
            self._done(about)
            return
        by_others = info is not None and is_plain(info)
        if not by_others and now - since < PATIENCE_S:
            # zs3 may have done it, and is about to say so.
            self._due[about] = since + PATIENCE_S
            return
        came_and_went = state is None and about in self._fresh
        self._done(about)
        if not came_and_went:
            self._know(about, state)
            await self._announce(bucket, key, info)

    def _done(self, about: _Key) -> None:
        self._touched.pop(about, None)
        self._due.pop(about, None)
        self._fresh.discard(about)
        self._adopting.discard(about)

    async def _announce(self, bucket: _Bucket, key: str, info: ObjectInfo | None) -> None:
        try:
            state: BucketState = self._store.look_now(bucket.name) or await self._store.look_at(bucket.name)
        except S3Error:
            self._choose = True
            return
        configuration = state.configuration
        if info is None:
            event = Event(REMOVED, state.name, key, OUTSIDE)
        else:
            what = (info.size, info.etag, info.version, info.mtime_ns)
            event = with_kept_version(Event(CREATED_PUT, state.name, key, OUTSIDE, *what), configuration)
        await self._events.announce(configuration, bucket_access(configuration, ENFORCED).owner, [event])


def _identity(path: bytes) -> _Identity | None:
    """Which directory a path leads to; None if to none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
