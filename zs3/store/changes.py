"""Changing what is kept with an object, while its bytes stay as they are.

Blocking.  At any moment, and after a crash at any moment, the object has the
old record or the new one.  A reader sees the one or the other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace

from zs3.errors import S3Error
from zs3.store import commit, configuration, history, layout, metadata, paths, records, versions
from zs3.store.buckets import Bucket
from zs3.store.durability import Durability
from zs3.store.history import History
from zs3.store.immutable import thawing
from zs3.store.locks import WouldBlock
from zs3.store.memo import state
from zs3.store.metadata import Record
from zs3.store.places import Found, place_of
from zs3.store.records import Records
from zs3.store.staged import StagedFile
from zs3.store.values import (
    NOT_LOCKED,
    NULL_VERSION,
    OBJECT_LOCK,
    AttributesChange,
    DeleteMarkerError,
    Digests,
    Lock,
    ObjectInfo,
)

_ACCESS_LIST = "system.posix_acl_access"


def change(
    bucket: Bucket,
    key: str,
    version: str,
    how: AttributesChange,
    stage: Callable[[Bucket], StagedFile],
    durability: Durability,
) -> ObjectInfo:
    """Change the attributes of the object of `key`, or of one of its versions, under its lock, durably.

    A file that others made gets a record that says what was seen of it from outside.

    :param version: its id; "" for the current one.
    :param how: is given the object as it is, and gives the attributes that it is to have.
    :param stage: makes an empty file for the bucket.
    :raises WouldBlock: also where the file was just changed by others, or too lately to be sure of its record.
    :raises S3Error: NoSuchKey, NoSuchVersion, `DeleteMarkerError`, and what `how` raises; AccessDenied where it cannot
        be known whether it is locked, and it may be.
    """
    if not layout.is_key(key):
        raise _no_such(key, version)
    kept = bucket.records()
    with bucket.locked(key), _opened(bucket, key, version, kept) as (found, number):
        if records.is_young(found.status):
            raise WouldBlock
        record, lock = _record(bucket, found, key, number, kept)
        record = replace(record, attributes=how(record.info(key)))
        _rewrite(bucket, key, version, found, record, lock, kept, stage, durability)
    # Of the object, too: who made it may not have come to that.
    commit.settle(bucket, key, durability)
    return record.info(key)


def adopt(
    bucket: Bucket,
    key: str,
    version: str,
    seen: os.stat_result,
    digests: Digests,
    stage: Callable[[Bucket], StagedFile],
    durability: Durability,
) -> bool:
    """Give a file that others made, or changed, a record with its true MD5, under the lock of its key, durably.

    What is told of it stays but for the ETag and the checksum.  Whoever changes the file later, and be it while this
    is done, gives it another time than the record has, which is void then.

    :param version: the id of an older one; "" for the current one.
    :param seen: what the file was before its content was read for the digests, and not changed so lately that a change
        after that could have left it looking the same.
    :param digests: of its content.
    :returns: False if it is not what was seen any more, or has a record that knows its content: nothing was done.
    :raises WouldBlock: another holds the lock.
    :raises S3Error: as `change`.
    :raises OSError: EACCES, EPERM: this user may not write to the file.
    """
    kept = bucket.records()
    with bucket.locked(key), _opened(bucket, key, version, kept) as (found, number):
        if state(found.status) != state(seen) or records.is_young(found.status):
            return False
        record, lock = _record(bucket, found, key, number, kept)
        if not record.is_derived or not metadata.can_tell(record.mtime_ns):
            return False
        record = replace(record, digest=digests.md5, suffix=0, checksum=digests.checksum)
        _rewrite(bucket, key, version, found, record, lock, kept, stage, durability)
    return True


def _record(bucket: Bucket, found: Found, key: str, number: str, kept: Records) -> tuple[Record, Lock | None]:
    """The record that a version's file has, or what is told of it without one; and its lock, None if not known.

    :param number: the id of the version.
    """
    record = replace(kept.read_or_describe(found.fd, found.status, key), version=number)
    lock = kept.lock(found.fd, found.status, key)
    if lock is None and OBJECT_LOCK in configuration.read(bucket):
        raise history.protected()
    # Also of a file that others changed: a new record must not unlock it.
    return replace(record, attributes=replace(record.attributes, lock=lock or NOT_LOCKED)), lock


def _rewrite(
    bucket: Bucket,
    key: str,
    version: str,
    found: Found,
    record: Record,
    lock: Lock | None,
    kept: Records,
    stage: Callable[[Bucket], StagedFile],
    durability: Durability,
) -> None:
    """Keep another record with the file of a version.  The lock of the key is held.

    :param lock: the version's, before.
    """
    with thawing(enabled=bucket.immutable) as thaw:
        thaw.add(found.fd, lock)
        rubbish = _rubbish(bucket, found, key, kept)
        if _keep(found, record, kept, key, lambda: stage(bucket), durability):
            records.remove_sidecars(path for path in rubbish if path not in kept.needs(found.fd))
        thaw.forget()
        # It may be another file by now.
        now = paths.open_file(found.directory, (found.name,))
        if now is not None:
            with paths.opened(now[0]) as fd:
                thaw.add(fd, record.attributes.lock)
    if found.name != layout.encode(key).name and version:
        # An older one.
        durability.flush(found.directory)


def _no_such(key: str, version: str) -> S3Error:
    return S3Error("NoSuchVersion", Key=key, VersionId=version) if version else S3Error("NoSuchKey", Key=key)


@contextmanager
def _opened(bucket: Bucket, key: str, version: str, kept: Records) -> Iterator[tuple[Found, str]]:
    """A version's file, open for a block, wherever it is; and its id.  The key's lock is held."""
    path = layout.encode(key)
    with ExitStack() as stack:
        current = None
        parent, names = commit.deepest(bucket, path.parent)
        stack.enter_context(bucket.calls.opened(parent))
        if names == path.parent:
            current = stack.enter_context(place_of(parent, path)).open()
        if current is not None:
            stack.enter_context(paths.opened(current.fd))
            number = kept.info(current.fd, current.status, key).version
            if version in ("", number) or (version == NULL_VERSION and not versions.is_versioned(bucket)):
                yield current, number
                return
        if not version:
            raise _no_such(key, version)
        root = stack.enter_context(history.opened_root(bucket))
        older = stack.enter_context(closing(History(bucket, root, key)))
        found = older.find(version) if root >= 0 else None
        if found is None:
            raise _no_such(key, version)
        stack.enter_context(paths.opened(found.fd))
        if found.info.is_delete_marker:
            raise DeleteMarkerError(found.info, current=False)
        yield Found(found.fd, found.status, older.open(), found.name), version


def _rubbish(bucket: Bucket, found: Found, key: str, kept: Records) -> list[bytes]:
    """The sidecars that are needed no more once a file has another record, but for those that it has then as well."""
    rubbish = kept.sidecars(found.fd, found.status, key)
    if not rubbish:
        # As for nearly all: then the older versions need not be looked at.
        return rubbish
    with history.opened_root(bucket) as root:
        if root < 0:
            return rubbish
        with closing(History(bucket, root, key)) as older:
            return older.rubbish(found.fd, found.status)


def _keep(
    found: Found, record: Record, kept: Records, key: str, stage: Callable[[], StagedFile], durability: Durability
) -> bool:
    """:returns: whether the record could be kept so that what was needed before is not."""
    if found.status.st_nlink > 1:
        # The copy has nothing in common with the original.
        done = _replace(found, kept.with_part_checksums(record), kept, key, stage, durability)
    else:
        done = kept.attach(found.fd, record)
        durability.flush(found.fd)
    if not done:
        kept.keep_by_key(found.fd, record, key)
    return done


def _replace(
    found: Found, record: Record, kept: Records, key: str, stage: Callable[[], StagedFile], durability: Durability
) -> bool:
    """Put a copy with this record in place of a file that has other names, whose record must not change.

    :returns: whether the record could be kept with the copy; otherwise nothing has changed.
    """
    staged = stage()
    try:
        staged.copy(found.fd, 0, record.size)
        _resemble(staged.fd, found)
        if not all(record.describes(os.fstat(fd)) for fd in (found.fd, staged.fd)):
            raise WouldBlock
        if not kept.attach(staged.fd, record):
            return False
        staged.resume(record, kept, key)
        durability.flush(staged.fd)
        now = paths.look(found.directory, found.name)
        if now is None or not os.path.samestat(now, found.status):
            raise WouldBlock
        os.rename(staged.path, found.name, dst_dir_fd=found.directory)
        staged.published()
        return True
    finally:
        staged.discard()


def _resemble(fd: int, found: Found) -> None:
    """Give a copy what else belongs to a file, as far as that may be done; and its time."""
    status = found.status
    mode, access = stat.S_IMODE(status.st_mode), _access_list(found.fd)
    own = os.fstat(fd)
    with suppress(PermissionError):
        # A sandbox may take the call away, be it for nothing.
        if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
            os.fchown(fd, status.st_uid, status.st_gid)
        # Not for another group.
        os.fchmod(fd, mode)
        if access is not None:
            try:
                os.setxattr(fd, _ACCESS_LIST, access)
            except OSError:
                # What looks like the group's permissions was the most that the list gives to anybody.
                os.fchmod(fd, mode & ~stat.S_IRWXG)
    with suppress(OSError):
        for name in os.listxattr(found.fd):
            if name.startswith("user.") and name != records.ATTRIBUTE:
                os.setxattr(fd, name, os.getxattr(found.fd, name))
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _access_list(fd: int) -> bytes | None:
    """The POSIX access control list of an open file; None if it has none beside its mode (acl(5))."""
    try:
        return os.getxattr(fd, _ACCESS_LIST)
    except OSError as error:
        if error.errno not in records.REFUSED:
            raise
        return None
