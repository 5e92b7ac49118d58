"""The files of a bucket that hold what was stored: objects, their older versions, and the parts of uploads.

Blocking; reads only, and needs no right to write.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from zs3.errors import S3Error
from zs3.store import history, layout, paths, uploads
from zs3.store.buckets import Bucket, Buckets
from zs3.store.dircache import DirectoryCache
from zs3.store.directory import HISTORIES, OBJECTS, Tree, open_directory
from zs3.store.history import History
from zs3.store.memo import Memo
from zs3.store.records import Records
from zs3.store.uploads import Upload
from zs3.store.versionids import DELETED, parse_order
from zs3.store.versionlist import Keys
from zs3.store.walk import Source
from zs3.verify.check import Opener

#: Bytes for the names in directories: some millions of them.
_CACHE = 32 << 20
_UPLOADS = b".uploads"


@dataclass(frozen=True, slots=True)
class File:
    """A file, which may be gone by now.

    :ivar place: where it is, from the data directory; asked for after it was opened.
    :ivar kept: where its record is...
    :ivar name: ...and what that is bound to.
    :ivar version: its id, if it is an older version.
    :ivar part: its number, if it is a part of the upload `upload`.
    """

    open: Opener
    place: Callable[[], bytes]
    kept: Records
    name: str
    key: str
    version: str = ""
    upload: str = ""
    part: int = 0


class Troubles:
    """What is told on the way; to be overridden."""

    def invisible(self, path: bytes) -> None:
        """A name, with the way to it from the data directory, that stands for no key."""

    def barred(self, path: bytes, error: OSError) -> None:
        """A directory that could not be read."""


class BucketFiles:
    """Those of a bucket.

    :param bucket: open.
    :param root: the fd of the directory of its histories; -1 if there is none.
    :param after: only keys greater than this.
    """

    def __init__(self, data: bytes, bucket: Bucket, root: int, prefix: str, after: str, troubles: Troubles) -> None:
        self._data, self._bucket, self._root, self._prefix, self._after = data, bucket, root, prefix, after
        self._troubles = troubles
        self._kept = bucket.records()
        self._memo, self._cache = Memo(0), DirectoryCache(_CACHE)
        self._base = bucket.name.encode()
        self._versions = os.path.join(layout.INTERNAL, b"versions", self._base)
        path = layout.encode(after) if after else None
        #: what was told before it was stopped: the directories above the last key were read then
        self._known = b"/".join((*path.parent, path.name)) if path else None

    # Keys

    def __iter__(self) -> Iterator[tuple[str, bool]]:
        """The keys in order, and whether there may be older versions of it."""
        walks = [self._keys(self._bucket.fd, self._source(OBJECTS, self._base), False)]
        if self._root >= 0:
            walks.append(self._keys(self._root, self._source(HISTORIES, self._versions), True))
        for key, found in groupby(heapq.merge(*walks), itemgetter(0)):
            yield key.decode(), any(older for _, older in found)

    def _keys(self, fd: int, source: Source, older: bool) -> Iterator[tuple[bytes, bool]]:
        floor = self._after.encode() + b"\0" if self._after else b""
        with closing(Keys(fd, source, self._prefix.encode(), floor, b"")) as keys:
            for key in keys:
                yield key, older

    def _source(self, tree: Tree, base: bytes) -> Source:
        def report(path: bytes) -> None:
            above = os.path.dirname(path)
            if self._known is None or not self._known.startswith(above + b"/" if above else b""):
                self._troubles.invisible(os.path.join(base, path))

        def barred(path: bytes, error: OSError) -> None:
            self._troubles.barred(os.path.join(base, path).rstrip(b"/"), error)

        # Where a directory never holds still, what is being replaced may be missed: it was just written.
        return Source(self._cache, self._memo, report, None, tree, barred)

    # Objects and older versions

    def of_key(self, key: str, *, older: bool) -> Iterator[File]:
        """The files of a key: the object, and the older versions.

        :param older: whether to look for these.
        """
        path = layout.encode(key)
        where = (*path.parent, path.name)

        def open_object() -> tuple[int, os.stat_result] | None:
            nonlocal where
            for names in ((*path.parent, path.name), (*path.parent, *path.beside)):
                where = names
                found = paths.open_file(self._bucket.fd, names)
                if found is not None:
                    return found
            return None

        yield File(open_object, lambda: b"/".join((self._base, *where)), self._kept, key, key)
        if older:
            yield from self._older(key, open_object)

    def _older(self, key: str, open_object: Opener) -> Iterator[File]:
        with closing(History(self._bucket, self._root, key)) as kept:
            entries = [entry for order in kept.orders() if (entry := parse_order(order)) is not None]
            fd = kept.open()
            if fd < 0:
                return
            above = os.path.join(self._versions, *layout.encode_history(key))
            names = [(entry.name, entry.version) for entry in entries]
            marker = kept.deleted()
            if marker is not None:
                names.append((DELETED, marker.info.version))
            for name, version in names:
                if not self._is_current(fd, name, open_object):
                    yield File(
                        lambda name=name: paths.open_file(fd, (name,)),  # type: ignore[misc]
                        lambda name=name: os.path.join(above, name),  # type: ignore[misc]
                        self._kept,
                        key,
                        key,
                        version,
                    )

    @staticmethod
    def _is_current(fd: int, name: bytes, open_object: Opener) -> bool:
        """Whether an older version is the object itself, which then has two names for a moment."""
        status = paths.look(fd, name)
        if status is None or status.st_nlink < 2:
            return False
        with suppress(OSError):
            current = open_object()
            if current is not None:
                os.close(current[0])
                return os.path.samestat(current[1], status)
        return False

    # Uploads

    def uploads(self, buckets: Buckets, after: str) -> Iterator[Upload]:
        """The uploads of the bucket by their ids, that are greater than one."""
        found: list[Upload] = []
        with ExitStack() as stack:
            directories = [os.path.join(self._data, _UPLOADS)]
            inner = open_directory(self._bucket.fd, (layout.INTERNAL, b"uploads"))
            if inner is not None:
                directories.append(b"/proc/self/fd/%d" % stack.enter_context(paths.opened(inner)))
            for directory in directories:
                try:
                    found += uploads.below(directory, buckets.internals, buckets.shared, self._bucket)
                except FileNotFoundError:
                    pass
                except OSError as error:
                    self._troubles.barred(_UPLOADS, error)
            for upload in sorted(found, key=lambda upload: upload.info.upload_id):
                if upload.info.upload_id > after and upload.info.key.startswith(self._prefix):
                    yield upload

    def of_upload(self, upload: Upload) -> Iterator[File]:
        """The parts of an upload."""
        info, kept = upload.info, upload.records()
        inside = not upload.path.startswith(self._data)
        above = os.path.join(self._base, layout.INTERNAL, b"uploads") if inside else _UPLOADS
        numbers: list[int] = []
        # Completed or aborted meanwhile.
        with suppress(S3Error):
            numbers = upload.numbers()
        for number in numbers:
            path, name = upload.file(str(number)), str(number)
            place = os.path.join(above, info.upload_id.encode(), name.encode())
            yield File(
                lambda path=path: paths.open_path(path),  # type: ignore[misc]
                lambda place=place: place,  # type: ignore[misc]
                kept,
                name,
                info.key,
                upload=info.upload_id,
                part=number,
            )


@contextmanager
def opened(
    data: bytes, buckets: Buckets, name: str, prefix: str, after: str, troubles: Troubles
) -> Iterator[tuple[Bucket, BucketFiles]]:
    """A bucket and its files, for a block.

    :raises S3Error: NoSuchBucket.
    """
    with buckets.opened(name) as bucket, history.opened_root(bucket) as root:
        yield bucket, BucketFiles(data, bucket, root, prefix, after, troubles)
