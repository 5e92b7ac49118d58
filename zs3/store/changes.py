"""Changing what is kept with an object, while its bytes stay as they are.

Blocking.  At any moment, and after a crash at any moment, the object has the
old record or the new one.  A reader sees the one or the other.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from zs3.errors import S3Error
from zs3.store import commit, layout, paths, records
from zs3.store.buckets import Bucket
from zs3.store.durability import Durability
from zs3.store.interface import AttributesChange, ObjectInfo
from zs3.store.locks import WouldBlock
from zs3.store.metadata import Record
from zs3.store.places import Found, place_of
from zs3.store.records import Records
from zs3.store.staged import StagedFile

_ACCESS_LIST = "system.posix_acl_access"


def change(
    bucket: Bucket, key: str, how: AttributesChange, stage: Callable[[Bucket], StagedFile], durability: Durability
) -> ObjectInfo:
    """Change the attributes of the object of `key`, under its lock, durably.

    A file that others made gets a record that says what was seen of it from outside.

    :param how: is given the object as it is, and gives the attributes that it is to have.
    :param stage: makes an empty file for the bucket.
    :raises WouldBlock: also where the file was just changed by others, or too lately to be sure of its record.
    :raises S3Error: NoSuchKey, and what `how` raises.
    """
    if not layout.is_key(key):
        raise S3Error("NoSuchKey", Key=key)
    path = layout.encode(key)
    try:
        parent = bucket.calls.open_directory(bucket.fd, path.parent)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        raise S3Error("NoSuchKey", Key=key) from None
    kept = bucket.records()
    with bucket.calls.opened(parent), bucket.locked(key), place_of(parent, path) as place:
        found = place.open()
        if found is None:
            raise S3Error("NoSuchKey", Key=key)
        with paths.opened(found.fd):
            if records.is_young(found.status):
                raise WouldBlock
            record = kept.read_or_describe(found.fd, found.status, key)
            record = replace(record, attributes=how(record.info(key)))
            _keep(found, record, kept, key, lambda: stage(bucket), durability)
    # Of the object, too: who made it may not have come to that.
    commit.settle(bucket, key, durability)
    return record.info(key)


def _keep(
    found: Found, record: Record, kept: Records, key: str, stage: Callable[[], StagedFile], durability: Durability
) -> None:
    rubbish = kept.sidecars(found.fd, found.status, key)
    if found.status.st_nlink > 1:
        # The copy has nothing in common with the original.
        done = _replace(found, kept.with_part_checksums(record), kept, key, stage, durability)
    else:
        done = kept.attach(found.fd, record)
        durability.flush(found.fd)
        still = kept.sidecars(found.fd, found.status, key)
        rubbish = [path for path in rubbish if path not in still]
    if done:
        records.remove_sidecars(rubbish)
    else:
        kept.keep_by_key(found.fd, record, key)


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
    with suppress(PermissionError):
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
