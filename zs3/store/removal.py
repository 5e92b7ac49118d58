"""Deleting objects whose versions are kept, and removing versions for good.

Blocking.  What is to be there when is `zs3.store.versions`'s affair; here it is
done, under the lock of the key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from zs3.store import commit, history, immutable, layout, paths, records, versions
from zs3.store.buckets import Bucket
from zs3.store.durability import Durability
from zs3.store.layout import KeyPath
from zs3.store.locks import WouldBlock
from zs3.store.places import Place, place_of
from zs3.store.preconditions import ALWAYS, check, check_noncurrent
from zs3.store.staged import StagedFile
from zs3.store.values import NULL_VERSION, Deletion, WriteCondition
from zs3.store.versionids import DELETED, Entry
from zs3.store.versions import Removal, Versions


@contextmanager
def _placed(bucket: Bucket, path: KeyPath) -> Iterator[Place | None]:
    """The place of an object whose lock is held, for a block; None if its directory is not there."""
    parent, names = commit.deepest(bucket, path.parent)
    with bucket.calls.opened(parent):
        if names != path.parent:
            yield None
        else:
            with place_of(parent, path) as place:
                yield place


def delete(
    bucket: Bucket,
    key: str,
    condition: WriteCondition,
    access: str,
    stage: Callable[[Bucket], StagedFile],
    durability: Durability,
) -> Deletion:
    """Delete an object by a delete marker, durably; also one that is not there.

    :param access: of the delete marker.
    :param stage: makes an empty file for the bucket.
    :raises WouldBlock: also where versions were never kept.
    :raises S3Error: see `check`.
    """
    path = layout.encode(key)
    with bucket.locked(key), _placed(bucket, path) as place, versions.kept(bucket, key, durability) as kept:
        if kept is None:
            raise WouldBlock
        done, rubbish = kept.mark_deleted(place, condition, access, stage)
        if place is not None and commit.unlink(bucket, place, durability):
            durability.flush(place.parent)
        kept.forget_null(-1, put=False)
    records.remove_sidecars(rubbish)
    commit.prune(bucket, path)
    return done


def remove_version(
    bucket: Bucket,
    key: str,
    version: str,
    condition: WriteCondition,
    bypass: bool,
    durability: Durability,
    directory_mode: int,
) -> Deletion:
    """Remove a version for good, or a delete marker, durably.  What was before it becomes current, if that was.

    :param bypass: whether a retention in governance mode does not count.
    :raises WouldBlock: also where another came in between.
    :raises S3Error: see `check`; AccessDenied for what is locked.
    """
    path = layout.encode(key)
    with bucket.locked(key), _placed(bucket, path) as place, versions.kept(bucket, key, durability) as kept:
        if kept is not None:
            removal = None if place is None else kept.remove_current(place, version, condition, bypass)
            if removal is not None and place is not None:
                _replace(bucket, key, place, removal, kept, durability)
                done, successor = Deletion(True, version), None
            else:
                done, successor = kept.remove_older(place, version, condition, bypass)
            staged = None if successor is None else _linked(bucket, key, kept, successor, durability)
    if kept is None:
        if version != NULL_VERSION:
            check(condition, None)
            return Deletion(False, version)
        check_noncurrent(condition)
        return Deletion(commit.remove(bucket, key, condition, durability), version)
    if successor is not None and staged is not None:
        _undelete(bucket, key, version, successor, staged, durability, directory_mode)
    elif done.found:
        commit.prune(bucket, path)
    return done


def _replace(bucket: Bucket, key: str, place: Place, removal: Removal, kept: Versions, durability: Durability) -> None:
    """Remove the current version; its successor takes its place."""
    older, successor = kept.older, removal.successor
    staged = None
    if successor is not None and successor.is_delete_marker:
        older.rename(successor.name, DELETED)
        older.settle(durability)
    elif successor is not None:
        staged = _linked(bucket, key, kept, successor, durability)
    if staged is None:
        commit.unlink(bucket, place, durability)
        durability.flush(place.parent)
    else:
        directory, name = removal.directory, removal.name
        try:
            os.rename(staged.path, name, dst_dir_fd=directory)
        finally:
            _forget(staged)
        if name == place.name and place.beside >= 0:
            with suppress(FileNotFoundError):
                os.unlink(place.beside_name, dir_fd=place.beside)
        durability.flush(directory)
    records.remove_sidecars(removal.rubbish)
    if staged is not None and successor is not None:
        older.remove(successor.name)
        older.settle(durability)
    older.prune()


def _linked(bucket: Bucket, key: str, kept: Versions, entry: Entry, durability: Durability) -> StagedFile:
    """Another name for an older version, from which it can be made current.

    :raises WouldBlock: it is gone.
    """
    version = kept.older.read(entry.name, entry)
    if version is None:
        raise WouldBlock
    kept.thaw.add(version.fd, version.info.attributes.lock)
    path = bucket.staging().path()
    try:
        with paths.opened(os.open(os.path.dirname(path), paths.DIRECTORY | os.O_CLOEXEC)) as directory:
            history.link(version.fd, directory, os.path.basename(path))
        staged = StagedFile(version.fd, path, durability)
        staged.resume(bucket.records().read_or_describe(version.fd, version.status, key))
        return staged
    except BaseException:
        os.close(version.fd)
        raise


def _forget(staged: StagedFile) -> None:
    """Close it, and remove the name that it was to be moved from, if that is still there."""
    staged.close()
    with suppress(FileNotFoundError):
        immutable.unlink(staged.path)


def _undelete(
    bucket: Bucket,
    key: str,
    version: str,
    successor: Entry,
    staged: StagedFile,
    durability: Durability,
    directory_mode: int,
) -> None:
    """Make an older version current, of an object that is deleted; then remove the delete marker.

    :param version: of the marker.
    """

    def way(kept: Versions, place: Place) -> list[bytes]:
        kept.thaw.add(staged.fd, staged.record.attributes.lock)
        if not kept.is_deleted_by(place, version, successor):
            raise WouldBlock
        return []

    try:
        commit.publish(bucket, key, staged, ALWAYS, durability, directory_mode, way)
    finally:
        _forget(staged)
    path = layout.encode(key)
    with bucket.locked(key), _placed(bucket, path) as place, versions.kept(bucket, key, durability) as kept:
        if kept is not None:
            kept.finish_undelete(place, version, successor)
