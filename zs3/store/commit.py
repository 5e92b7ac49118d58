"""The commit protocol: how a file becomes an object and how an object goes, atomically and for good.

Blocking.  The rules are those that were checked by exhaustive search with the
explicit-state model, ``proof.protocol``; change them there first.

* An object is at its natural path N, or beside it at E while N is a directory.
* Sticky: nothing ever moves an object from E to N, so that a reader who looks
  at N and then at E is linearizable without trying again.
* Every mutation of a key holds its lock while it looks, decides and renames;
  not during the fsync of the directory, which comes before the answer.
* Nobody holds the locks of two keys.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from zs3.errors import S3Error
from zs3.store import layout, paths, records, versions
from zs3.store.buckets import Bucket
from zs3.store.durability import Durability
from zs3.store.immutable import thawing
from zs3.store.layout import KeyPath
from zs3.store.locks import WouldBlock
from zs3.store.places import Place, make_directory, place_of
from zs3.store.preconditions import ALWAYS, check
from zs3.store.records import Records
from zs3.store.staged import StagedFile
from zs3.store.values import ObjectInfo, WriteCondition
from zs3.store.versions import Versions

_TRIES = 64
#: errno of a name that is no longer, or no longer not, what it was; or whose directory another host has removed
_MOVED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ESTALE)
_NO_WAY = "The path of this key is taken by a symbolic link or special file, which is not followed."


class _Obstacle(Exception):
    """A file stands where a directory is needed: the object of this key must give way."""

    def __init__(self, key: str) -> None:
        self.key = key


def _open_parent(bucket: Bucket, path: KeyPath, mode: int) -> int:
    """The directory of a key, made with all above it where missing; an fd."""
    try:
        return bucket.calls.open_directory(bucket.fd, path.parent)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
    at = os.dup(bucket.fd)
    try:
        for depth, name in enumerate(path.parent):
            make_directory(at, name, mode)
            try:
                below = paths.open_below(at, (name,), paths.DIRECTORY)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                found = paths.look(at, name)
                if found is None or stat.S_ISDIR(found.st_mode):
                    # What stood there has gone since.
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
                if not stat.S_ISREG(found.st_mode):
                    raise S3Error("AccessDenied", _NO_WAY) from None
                raise _Obstacle(_key_at(path, depth)) from None
            os.close(at)
            at = below
        result, at = at, -1
        return result
    finally:
        if at >= 0:
            os.close(at)


def _key_at(path: KeyPath, depth: int) -> str:
    """The key whose natural path is the first `depth` + 1 names of this one's directories."""
    for key in layout.ancestors(path.key):
        names = layout.directory_names(key + "/")
        if len(names) == depth + 1:
            return key
    raise S3Error("AccessDenied", _NO_WAY)


def _displace(bucket: Bucket, key: str, mode: int, durability: Durability) -> None:
    """Move the object of `key` from N to E, because N must be a directory."""
    path = layout.encode(key)
    with (
        paths.opened(paths.open_below(bucket.fd, path.parent, paths.DIRECTORY)) as parent,
        bucket.locked(key),
        place_of(parent, path, make=mode) as place,
    ):
        before = paths.look(parent, path.name)
        if before is None or not paths.is_file(before):
            return
        with _thawed(bucket, place, key):
            os.rename(path.name, place.beside_name, src_dir_fd=parent, dst_dir_fd=place.beside)
        after = paths.look(parent, path.name)
        if after is not None and os.path.samestat(before, after):
            # Both names were hard links to one file: rename does nothing then.
            os.unlink(path.name, dir_fd=parent)
        if place.beside != parent:
            # Two directories: that of E must not be behind that of N.
            durability.flush(place.beside)
            durability.flush(parent)
        make_directory(parent, path.name, mode)


@contextmanager
def _thawed(bucket: Bucket, place: Place, key: str) -> Iterator[None]:
    """Let an object be renamed, in a block, though it be locked."""
    with ExitStack() as stack:
        if versions.is_versioned(bucket) and (found := place.open()) is not None:
            stack.callback(os.close, found.fd)
            thaw = stack.enter_context(thawing(enabled=bucket.immutable))
            thaw.add(found.fd, bucket.records().lock(found.fd, found.status, key))
        yield


def _current(place: Place, kept: Records, key: str) -> tuple[ObjectInfo, list[bytes]] | None:
    """The object as it is, and the sidecars that go with it."""
    found = place.open()
    if found is None:
        return None
    with paths.opened(found.fd) as fd:
        return kept.info(fd, found.status, key), kept.sidecars(fd, found.status, key)


def _check_current(bucket: Bucket, place: Place, key: str, condition: WriteCondition) -> list[bytes]:
    """Check the condition; the sidecars that are rubbish once the object as it is has gone.

    The object is only opened where it matters what it is.
    """
    kept = bucket.records()
    if condition == ALWAYS and not kept.has_sidecars(bucket.calls):
        return []
    current, rubbish = _current(place, kept, key) or (None, [])
    check(condition, current)
    return rubbish


#: Before a file takes the place of an object whose versions are kept: gives the sidecars that are rubbish then.
Way = Callable[[Versions, Place], list[bytes]]


def publish(
    bucket: Bucket,
    key: str,
    staged: StagedFile,
    condition: WriteCondition,
    durability: Durability,
    mode: int,
    way: Way | None = None,
) -> ObjectInfo:
    """Make a sealed file the object of `key`, under its lock, and durable.

    May be called again with the same arguments after `WouldBlock`.

    :param mode: of the directories it makes.
    :param way: instead of `Versions.make_way`.
    :raises S3Error: PreconditionFailed, NoSuchKey (see `check`), NoSuchBucket, AccessDenied, SlowDown.
    """
    path = layout.encode(key)
    for _ in range(_TRIES):
        try:
            try:
                parent = _open_parent(bucket, path, mode)
            except _Obstacle as obstacle:
                _displace(bucket, obstacle.key, mode, durability)
                continue
        except OSError as error:
            # Others have changed the way meanwhile: look again.
            if error.errno not in _MOVED:
                raise
            _check_bucket(bucket)
            continue
        with bucket.calls.opened(parent):
            with bucket.locked(key):
                done = _publish_locked(bucket, parent, path, staged, condition, durability, mode, way)
            if done is not None:
                names, rubbish = done
                staged.published()
                _settle(bucket, parent, path, names, durability)
                # Not before: a crash may bring back what was replaced.
                records.remove_sidecars(rubbish)
                return staged.record.info(key)
        _check_bucket(bucket)
    raise S3Error("SlowDown")


def _settle(bucket: Bucket, parent: int, path: KeyPath, way: tuple[bytes, ...], durability: Durability) -> None:
    """Make the entry of a published object durable.

    :param way: the names from its parent directory to the one that it was put in.
    """
    if not way:
        durability.settle(bucket.fd, path.parent, parent, bucket.calls)
        return
    try:
        fd = paths.open_below(parent, way, paths.DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        # Pruned since, with the object that was put in it: the deletion answers for it.
        return
    with paths.opened(fd) as beside:
        durability.settle(bucket.fd, (*path.parent, *way), beside)


def _publish_locked(
    bucket: Bucket,
    parent: int,
    path: KeyPath,
    staged: StagedFile,
    condition: WriteCondition,
    durability: Durability,
    mode: int,
    way: Way | None,
) -> tuple[tuple[bytes, ...], list[bytes]] | None:
    """Rename or link a sealed file into place.

    :returns: the names from its parent directory to the one it was put in, and the sidecars that are rubbish once that
        is durable; None if the place has changed: look again.
    """
    with versions.kept(bucket, path.key, durability) as kept:
        with place_of(parent, path) as place:
            if kept is None:
                rubbish = _check_current(bucket, place, path.key, condition)
            elif way is None:
                rubbish = kept.make_way(place, condition, staged)
            else:
                rubbish = way(kept, place)
            natural = bucket.calls.look(parent, path.name)
            beside = bucket.calls.look(place.beside, place.beside_name) if place.beside >= 0 else None
        for status in (natural, beside):
            if status is not None and status.st_mtime_ns == staged.record.mtime_ns:
                staged.seal(staged.record, bucket.records(), path.key, differ_from=status.st_mtime_ns)
        use_natural = paths.is_file(natural) or (natural is None and beside is None)
        with place_of(parent, path, make=None if use_natural else mode) as place:
            directory, name = (parent, path.name) if use_natural else (place.beside, place.beside_name)
            try:
                _rename(staged.path, directory, name, new=condition.if_none_match == "*")
            except OSError as error:
                if error.errno == errno.EXDEV:
                    raise S3Error("InvalidRequest", "The key's path leads to another file system.") from error
                if error.errno not in _MOVED:
                    raise
                return None
            if use_natural and beside is not None and place.beside >= 0:
                with suppress(FileNotFoundError):
                    os.unlink(place.beside_name, dir_fd=place.beside)
            if kept is not None:
                kept.thaw.add(staged.fd, staged.record.attributes.lock)
                if way is None:
                    # An older version that is current again takes no place of the null one.
                    kept.forget_null(directory, put=True)
        return () if use_natural else path.beside[:-1], rubbish


def _rename(source: bytes, directory: int, name: bytes, *, new: bool) -> None:
    """Rename a file into place.

    :param new: nothing may stand there: another program might just have made that file, and knows no lock.
    """
    if new:
        paths.move_new(source, directory, name)
    else:
        os.rename(source, name, dst_dir_fd=directory)


def _check_bucket(bucket: Bucket) -> None:
    if bucket.is_gone():
        raise S3Error("NoSuchBucket", BucketName=bucket.name)


def settle(bucket: Bucket, key: str, durability: Durability) -> None:
    """Make durable what was done to `key` by one who did not live to do it."""
    path = layout.encode(key)
    for names in {path.parent, (*path.parent, *path.beside[:-1])}:
        parent, names = deepest(bucket, names)
        with paths.opened(parent):
            durability.settle(bucket.fd, names, parent)


def remove(bucket: Bucket, key: str, condition: WriteCondition, durability: Durability) -> bool:
    """Remove the object of `key`, whose versions are not kept, durably, and the directories that this leaves empty.

    :returns: whether there was one.
    :raises WouldBlock: also where its versions are kept by now.
    :raises S3Error: as `check`.
    """
    path = layout.encode(key)
    parent, names = deepest(bucket, path.parent)
    calls = bucket.calls
    with calls.opened(parent):
        if names != path.parent:
            check(condition, None)
            # It may have been deleted, and its directories pruned, by one who has not made that durable yet.
            durability.flush(parent)
            return False
        with bucket.locked(key), place_of(parent, path) as place:
            if versions.is_versioned(bucket):
                raise WouldBlock
            rubbish = _check_current(bucket, place, key, condition)
            found = unlink(bucket, place, durability)
        durability.flush(parent)
    if not found:
        return False
    records.remove_sidecars(rubbish)
    prune(bucket, path)
    return True


def unlink(bucket: Bucket, place: Place, durability: Durability) -> bool:
    """Remove an object from its place; whether there was one.  The caller fsyncs its directory."""
    found = False
    for directory, name in ((place.beside, place.beside_name), (place.parent, place.name)):
        if directory >= 0 and paths.is_file(bucket.calls.look(directory, name)):
            os.unlink(name, dir_fd=directory)
            found = True
    if place.beside not in (place.parent, -1):
        durability.flush(place.beside)
    return found


def deepest(bucket: Bucket, names: tuple[bytes, ...]) -> tuple[int, tuple[bytes, ...]]:
    """The deepest directory that exists on a way from the bucket: its fd, and the way to it."""
    while True:
        try:
            return bucket.calls.open_directory(bucket.fd, names), names
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) or not names:
                raise
        names = names[:-1]


def prune(bucket: Bucket, path: KeyPath) -> None:
    """Remove directories that a deletion left empty, from the deepest up.  Nothing is lost if a crash undoes it."""
    names = (*path.parent, *path.beside[:-1])
    while names:
        try:
            with bucket.calls.opened(bucket.calls.open_directory(bucket.fd, names[:-1])) as parent:
                os.rmdir(names[-1], dir_fd=parent)
        except OSError as error:
            if error.errno != errno.ENOENT:
                return
        names = names[:-1]
