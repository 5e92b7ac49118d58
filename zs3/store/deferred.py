"""The store as the rest of the daemon sees it: `IStore` over threads.

The reactor's half: one hop to a thread per operation, the queue before a key's
lock, trying again by timer where another process holds it, and writers and
readers that may be given up at any moment.  No file system calls here.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, DeferredList, DeferredLock, DeferredSemaphore, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from zs3.checksums import Checksum
from zs3.errors import S3Error
from zs3.store import posix, targets
from zs3.store.buckets import Bucket
from zs3.store.hot import HotFiles
from zs3.store.interface import IObjectReader, IStore, IWriter
from zs3.store.locks import WouldBlock
from zs3.store.lookup import OpenObject
from zs3.store.observer import StoreObserver
from zs3.store.readers import FileReader, Hop, Reader, shielded
from zs3.store.staged import StagedFile
from zs3.store.values import (
    NOT_CONFIGURED,
    NOT_LOCKED,
    VERSIONING,
    Attributes,
    AttributesChange,
    BucketInfo,
    BucketState,
    CompletedPart,
    Configuration,
    ConfigurationChange,
    Deletion,
    Digests,
    Ingest,
    ListPage,
    ListQuery,
    Lock,
    ObjectInfo,
    PartInfo,
    PartsPage,
    Show,
    ShowVersion,
    SourceCheck,
    UploadInfo,
    UploadsPage,
    VersionsPage,
    VersionsQuery,
    WriteCondition,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Raw bytes gathered before they are worth a hop.
_GATHER = 256 * 1024
#: What takes so long to sync that others who wait for the same key shall not wait for that too.
_LARGE = 8 * 1024 * 1024
_FIRST_DELAY_S = 0.001
_LAST_DELAY_S = 0.05
_PATIENCE_S = 10.0
_LIST_PATIENCE_S = 1.0


def _slow_down(failure: Failure) -> NoReturn:
    failure.trap(WouldBlock)
    raise S3Error("SlowDown") from None


def _feed(hasher: Callable[[bytes], object], pieces: list[bytes]) -> None:
    for piece in pieces:
        hasher(piece)


@implementer(IWriter)
class Writer:
    """A body on its way to a target, written and hashed in threads."""

    def __init__(self, store: FilesystemStore, target: targets.Target, ingest: Ingest, name: tuple[str, str]) -> None:
        """:param name: of the queue that its publication waits in."""
        self._store = store
        self._target = target
        self._ingest = ingest
        self._name = name
        self._gathered: list[bytes] = []
        self._size = 0
        self._staged: StagedFile | None = None
        self._hash: Callable[[bytes], object] | None = None
        self._begun_hashing = False
        self._digests: Digests | None = None
        self._over = False
        # One thread at a time may touch the file: who cancels must wait for it before throwing the file away.
        self._turn = DeferredLock()

    def _step(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        work: Deferred[_T] = self._turn.run(lambda: self._store.patiently(function, *args, **kwargs))
        return work

    def open(self) -> Deferred[None]:
        return shielded(self._step(self._begin))

    def write(self, data: bytes) -> Deferred[None]:
        self._gathered.append(data)
        self._size += len(data)
        return succeed(None) if self._size < _GATHER else shielded(self._turn.run(self._pass_on))

    def _pass_on(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._flush())

    async def _flush(self) -> None:
        """Write what was gathered, and hash it beside that, in two threads."""
        if not self._begun_hashing:
            self._begun_hashing, self._hash = True, self._ingest.split()
        pieces, self._gathered, self._size = self._gathered, [], 0
        work = [self._store.patiently(self._take, pieces)]
        if self._hash is not None:
            work.append(self._store.call(_feed, self._hash, pieces))
        # Both are over, whatever comes of one: nothing may be closed under the other.
        for succeeded, outcome in await DeferredList(work, consumeErrors=True):
            if not succeeded and isinstance(outcome, Failure):
                outcome.raiseException()

    def commit(self) -> Deferred[Any]:
        if self._staged is not None and self._staged.size > _LARGE:
            work = self._step(self._seal).addCallback(lambda _: self._publish())
        else:
            # A body that was not worth a hop before is written, sealed and published in this one.
            work = self._publish()
        return shielded(work.addErrback(self._give_up))

    def _publish(self) -> Deferred[Any]:
        work: Deferred[Any] = self._turn.run(self._store.mutate, self._name, self._finish)
        return work

    def _give_up(self, failure: Failure) -> Deferred[Failure]:
        return self.abort().addCallback(lambda _: failure)

    def abort(self) -> Deferred[None]:
        self._over = True
        return self._turn.run(self._store.call, self._discard).addErrback(self._store.log_failure)

    # In a thread, and each again where it met `WouldBlock`:

    def _begin(self) -> None:
        with self._target.opened() as bucket:
            self._begun(bucket)

    def _seal(self) -> None:
        with self._target.opened() as bucket:
            self._sealed(bucket)

    def _finish(self) -> ObjectInfo | PartInfo:
        with self._target.opened() as bucket:
            return self._target.publish(bucket, self._sealed(bucket))

    def _begun(self, bucket: Bucket) -> StagedFile:
        if self._over:
            raise ValueError("the writer was given up")
        if self._staged is None:
            self._staged = self._target.begin(bucket)
        return self._staged

    def _sealed(self, bucket: Bucket) -> StagedFile:
        staged = self._begun(bucket)
        if self._digests is None:
            pieces, self._gathered = self._gathered, []
            self._take(pieces)
            if self._hash is not None:
                _feed(self._hash, pieces)
            self._digests = self._ingest.finish()
        if not staged.sealed:
            self._target.seal(bucket, staged, self._digests)
        return staged

    def _take(self, pieces: list[bytes]) -> None:
        if self._staged is None or self._over:
            self._begin()
        assert self._staged is not None  # noqa: S101 - for mypy: it has begun
        for piece in pieces:
            self._staged.write(self._ingest.feed(piece))

    def _discard(self) -> None:
        if self._staged is not None:
            self._staged.discard()


@implementer(IStore)
class FilesystemStore:
    """`IStore` over a directory of plain files.

    :param data: the directory.
    :param hop: runs a function in a thread; in tests, `twisted.internet.defer.execute`.
    :param sync: whether to fsync before answering.
    :param file_mode: of the files of objects.
    :param dir_mode: of the directories of buckets and keys.
    :param copies: how many threads may be busy with copies and with joining parts at once, which take long.
    :param cache_size: the most bytes that what listings remember may take: half for names of directories, half for
        what is shown of objects.
    :param immutable: whether the files of locked versions get the immutable flag.
    :param observer: is told of the work that is done.
    """

    _log = Logger()

    def __init__(
        self,
        data: str,
        hop: Hop,
        clock: IReactorTime,
        *,
        sync: bool = True,
        file_mode: int = 0o600,
        dir_mode: int = 0o700,
        cache_size: int = 32 << 20,
        copies: int = 8,
        immutable: bool = False,
        observer: StoreObserver | None = None,
    ) -> None:
        self._posix = posix.PosixStore(
            data,
            sync=sync,
            file_mode=file_mode,
            directory_mode=dir_mode,
            cache_size=cache_size,
            freeze=immutable,
            report=self._report,
            observer=observer,
        )
        self._hot = HotFiles(os.path.realpath(os.fsencode(data)))
        self._hop = hop
        self._clock = clock
        self._copies = DeferredSemaphore(copies)
        #: by name, what waits until the mutation that is under way has ended
        self._queues: dict[tuple[str, str], deque[Callable[[], None]]] = {}

    def _report(self, message: str) -> None:
        self._log.warn("{message}", message=message)

    def log_failure(self, failure: Any) -> None:
        """An errback for what nobody waits for."""
        self._log.failure("cleaning up failed", failure=failure)

    def start(self) -> Deferred[None]:
        """Sweep what dead processes left and be ready to write; fires when that is done."""
        return self._hop(self._start)

    def _start(self) -> None:
        self._posix.start()
        self._hot.start()

    def stop(self) -> Deferred[None]:
        """Remove this process's temporary directory."""
        self._hot.stop()
        return self._hop(self._posix.stop)

    @property
    def healthy(self) -> bool:
        """False once an fsync has failed: what was answered before may not be on disk."""
        return not self._posix.durability.broken

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        """Run a function of the blocking store in a thread."""
        return self._hop(posix.call, function, *args, **kwargs)

    def _retry(self, deadline: float, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        """Call until it does not block; the thread is given back between the tries.

        :param deadline: on the clock, in seconds; after it, `WouldBlock`.
        """

        def blocked(failure: Failure) -> Deferred[_T]:
            failure.trap(WouldBlock)
            return Deferred.fromCoroutine(self._try_again(deadline, function, *args, **kwargs))

        return self.call(function, *args, **kwargs).addErrback(blocked)

    async def _try_again(self, deadline: float, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        delay = _FIRST_DELAY_S
        while self._clock.seconds() < deadline:
            # Jitter, so that two daemons do not meet again and again.
            await deferLater(self._clock, delay * random.uniform(0.5, 1.5))  # noqa: S311
            delay = min(delay * 2, _LAST_DELAY_S)
            with suppress(WouldBlock):
                return await self.call(function, *args, **kwargs)
        raise WouldBlock

    def patiently(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        """Call what takes a lock for a moment; SlowDown if that is not had in time."""
        deadline = self._clock.seconds() + _PATIENCE_S
        return self._retry(deadline, function, *args, **kwargs).addErrback(_slow_down)

    def mutate(
        self, name: tuple[str, str], function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """The same in the order of arrival within this process.

        :param name: of the queue, e.g. bucket and key.
        """
        result: Deferred[_T] = Deferred()
        deadline = self._clock.seconds() + _PATIENCE_S

        def begin() -> None:
            self._retry(deadline, function, *args, **kwargs).addErrback(_slow_down).addBoth(end)

        def end(outcome: Any) -> None:
            if waiting := self._queues[name]:
                waiting.popleft()()
            else:
                del self._queues[name]
            result.callback(outcome)

        queue = self._queues.get(name)
        if queue is None:
            self._queues[name] = deque()
            begin()
        else:
            queue.append(begin)
        return result

    def _mutate(
        self, name: tuple[str, str], function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        return shielded(self.mutate(name, function, *args, **kwargs))

    def _mutate_slowly(
        self, name: tuple[str, str], function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """The same for what copies: threads must be left for others."""
        return shielded(self._copies.run(lambda: self.mutate(name, function, *args, **kwargs)))

    # Buckets

    def list_buckets(self) -> Deferred[list[BucketInfo]]:
        return self.call(self._posix.list_buckets)

    def create_bucket(self, name: str, configuration: Configuration = NOT_CONFIGURED) -> Deferred[BucketInfo]:
        return self._mutate((name, ""), self._posix.create_bucket, name, configuration)

    def get_bucket(self, name: str) -> Deferred[BucketInfo]:
        return self.call(self._posix.get_bucket, name)

    def get_configuration(self, name: str) -> Deferred[Configuration]:
        found = self.look_now(name)
        return self.call(self._posix.get_configuration, name) if found is None else succeed(found.configuration)

    def look_at(self, name: str) -> Deferred[BucketState]:
        found = self.look_now(name)
        return self.call(self._posix.look_at, name) if found is None else succeed(found)

    def look_now(self, name: str) -> BucketState | None:
        return self._hot.look(name, self._posix.buckets)

    def change_configuration(self, name: str, change: ConfigurationChange) -> Deferred[Configuration]:
        return self._mutate((name, ""), self._posix.change_configuration, name, change)

    def delete_bucket(self, name: str) -> Deferred[None]:
        return self._mutate((name, ""), self._posix.delete_bucket, name)

    # Accounts

    def get_account(self, account: str) -> Deferred[Configuration]:
        return self.call(self._posix.get_account, account)

    def get_account_now(self, account: str) -> Configuration | None:
        return self._hot.account(account)

    def change_account(self, account: str, change: ConfigurationChange) -> Deferred[Configuration]:
        # No bucket has this name, so nothing else waits in this queue.
        return self._mutate(("", account), self._posix.change_account, account, change)

    # Objects

    def open_now(self, bucket: str, key: str) -> FileReader | None:
        found = self._open_hot(bucket, key)
        return None if found is None else FileReader(found, self._hop, self._hot)

    def _open_hot(self, bucket: str, key: str) -> OpenObject | None:
        try:
            return self._hot.open(bucket, key)
        except S3Error:
            # There may be a delete marker to tell of.
            state = self.look_now(bucket)
            if state is None or VERSIONING in state.configuration:
                return None
            raise

    def open_object(self, bucket: str, key: str, version: str = "") -> Deferred[IObjectReader]:
        try:
            reader = None if version else self.open_now(bucket, key)
        except S3Error as error:
            return fail(error)
        if reader is not None:
            return succeed(reader)
        work = self.call(self._posix.open_object, bucket, key, version)
        outer: Deferred[IObjectReader] = Deferred()

        def relay(result: Any) -> None:
            if outer.called:
                # Cancelled: nobody will close it.
                if isinstance(result, OpenObject):
                    result.close()
            elif isinstance(result, OpenObject):
                outer.callback(self._reader(result))
            else:
                outer.errback(result)

        work.addBoth(relay)
        return outer

    def _reader(self, found: OpenObject) -> IObjectReader:
        return FileReader(found, self._hop, self._hot) if self._hot.covers(found.fd) else Reader(found, self._hop)

    def get_object_info(self, bucket: str, key: str, version: str = "") -> Deferred[ObjectInfo]:
        try:
            found = None if version else self._open_hot(bucket, key)
        except S3Error as error:
            return fail(error)
        if found is not None:
            found.close()
            return succeed(found.info)
        return self.call(self._posix.get_object_info, bucket, key, version)

    def get_part_checksums(self, bucket: str, info: ObjectInfo) -> Deferred[Sequence[bytes]]:
        return self.call(self._posix.get_part_checksums, bucket, info)

    def put_object(
        self,
        bucket: str,
        key: str,
        ingest: Ingest,
        *,
        attributes: Attributes,
        condition: WriteCondition,
        length: int | None,
    ) -> Writer:
        target = targets.ObjectTarget(self._posix, bucket, key, attributes, condition, length)
        return Writer(self, target, ingest, (bucket, key))

    def copy_object(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        *,
        check: SourceCheck,
        attributes: AttributesChange | None,
        condition: WriteCondition,
        checksum_algorithm: str = "",
        source_version: str = "",
    ) -> Deferred[ObjectInfo]:
        copy = (source_bucket, source_key, bucket, key, check, attributes, checksum_algorithm, source_version)
        return shielded(Deferred.fromCoroutine(self._copy_object(copy, condition)))

    async def _copy_object(
        self,
        copy: tuple[str, str, str, str, SourceCheck, AttributesChange | None, str, str],
        condition: WriteCondition,
    ) -> ObjectInfo:
        bucket, key = copy[2:4]
        async with self._copies:
            staged = await self.patiently(self._posix.stage_copy, *copy)
        try:
            return await self.mutate((bucket, key), self._posix.publish, bucket, key, staged, condition)
        finally:
            await self.call(staged.discard)

    def delete_object(
        self,
        bucket: str,
        key: str,
        condition: WriteCondition,
        *,
        access: str = "",
        version: str = "",
        bypass: bool = False,
    ) -> Deferred[Deletion]:
        what = (bucket, key, condition, access, version, bypass)
        return self._mutate((bucket, key), self._posix.delete_object, *what)

    def change_object(self, bucket: str, key: str, change: AttributesChange, version: str = "") -> Deferred[ObjectInfo]:
        return self._mutate((bucket, key), self._posix.change_object, bucket, key, change, version)

    def list_objects(self, bucket: str, query: ListQuery, show: Show) -> Deferred[ListPage]:
        return Deferred.fromCoroutine(self._list(self._posix.list_objects, bucket, query, show))

    def list_versions(self, bucket: str, query: VersionsQuery, show: ShowVersion) -> Deferred[VersionsPage]:
        return Deferred.fromCoroutine(self._list(self._posix.list_versions, bucket, query, show))

    async def _list(self, function: Callable[..., _T], *args: Any) -> _T:
        try:
            deadline = self._clock.seconds() + _LIST_PATIENCE_S
            return await self._retry(deadline, function, *args, True)
        except WouldBlock:
            # So many writers that the lock was never free: the united passes must do.
            return await self.call(function, *args, False)

    # Multipart uploads

    def create_upload(
        self,
        bucket: str,
        key: str,
        *,
        attributes: Attributes,
        checksum_algorithm: str,
        checksum_type: str,
        initiator: str = "",
    ) -> Deferred[UploadInfo]:
        what = (attributes, checksum_algorithm, checksum_type, initiator)
        return self._mutate((bucket, ""), self._posix.create_upload, bucket, key, *what)

    def get_upload(self, bucket: str, key: str, upload_id: str) -> Deferred[UploadInfo]:
        return self.call(self._posix.get_upload, bucket, key, upload_id)

    def put_part(
        self, bucket: str, key: str, upload_id: str, number: int, ingest: Ingest, *, length: int | None
    ) -> Writer:
        target = targets.PartTarget(self._posix, bucket, key, upload_id, number, length)
        return Writer(self, target, ingest, (bucket, f"{upload_id}/{number}"))

    def copy_part(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        *,
        check: SourceCheck,
        span: tuple[int, int] | None,
        source_version: str = "",
    ) -> Deferred[PartInfo]:
        return self._mutate_slowly(
            (bucket, f"{upload_id}/{number}"),
            self._posix.copy_part,
            source_bucket,
            source_key,
            bucket,
            key,
            upload_id,
            number,
            check,
            span,
            source_version,
        )

    def list_parts(self, bucket: str, key: str, upload_id: str, *, after: int, limit: int) -> Deferred[PartsPage]:
        return self.call(self._posix.list_parts, bucket, key, upload_id, after, limit)

    def list_uploads(
        self, bucket: str, *, prefix: str, delimiter: str, key_marker: str, upload_id_marker: str, limit: int
    ) -> Deferred[UploadsPage]:
        return self.call(self._posix.list_uploads, bucket, prefix, delimiter, key_marker, upload_id_marker, limit)

    def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[CompletedPart],
        *,
        condition: WriteCondition,
        checksum: Checksum | None = None,
        size: int | None = None,
        default_lock: Lock = NOT_LOCKED,
    ) -> Deferred[ObjectInfo]:
        return self._mutate_slowly(
            # Not the key's queue: joining the parts may take long.
            (bucket, upload_id),
            self._posix.complete_upload,
            bucket,
            key,
            upload_id,
            parts,
            condition,
            checksum,
            size,
            default_lock,
        )

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> Deferred[None]:
        return self._mutate((bucket, upload_id), self._posix.abort_upload, bucket, key, upload_id)
