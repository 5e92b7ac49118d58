"""What is configured of a bucket: named JSON values, kept in the file ``config`` of its internals.

Blocking.  The store keeps them and knows no meaning of theirs, but of whether
versions are kept.  The file is
replaced whole, so that a reader finds one state or the next; none means that
nothing is configured.  Here it is read each time it is asked for, and what is
remembered is only what its bytes mean; `states` remembers more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from zs3.errors import S3Error
from zs3.store import paths
from zs3.store.internals import Internals
from zs3.store.memo import PER_VALUE, Memo
from zs3.store.values import NOT_CONFIGURED, VERSIONING, Configuration, ConfigurationChange, DamagedError

if TYPE_CHECKING:
    from zs3.store.buckets import Bucket

NAME = b"config"
#: No key has a NUL, so this is the lock of none.
_LOCK = "\0config"


#: What bytes mean, by these; parsed they take a few times as much.
_known = Memo(8 << 20)
_PER_BYTE = 4


def parse(data: bytes) -> Configuration:
    """What the bytes of the file say.

    :raises DamagedError: it cannot be read; that is not the same as nothing configured, which may allow more.
    """
    found = _known.get(data)
    if found is None:
        found = (_parse(data), PER_VALUE + _PER_BYTE * len(data))
        _known.keep([(data, found)])
    else:
        _known.touch((data,))
    configuration: Configuration = found[0]
    return configuration


def _parse(data: bytes) -> Configuration:
    try:
        values = json.loads(data)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise DamagedError("a configuration is damaged")
    return MappingProxyType(values)


def render(values: Configuration) -> bytes:
    """The bytes of the file that says this."""
    return json.dumps(dict(values), separators=(",", ":")).encode("ascii")


def read(bucket: Bucket) -> Configuration:
    """What is configured of an open bucket.

    :raises DamagedError: it cannot be known.
    :raises S3Error: NoSuchBucket: it was deleted meanwhile.
    """
    if not bucket.id:
        return NOT_CONFIGURED
    path = os.path.join(bucket.home, NAME)
    if bucket.calls.exists(path):
        with suppress(FileNotFoundError):
            return parse(paths.read_file(path))
    # A deletion takes the bucket first and then this, at once with all that is kept beside it.
    if not bucket.calls.exists(bucket.home) and bucket.is_gone():
        raise S3Error("NoSuchBucket", BucketName=bucket.name)
    return NOT_CONFIGURED


def change(
    bucket: Bucket, change: ConfigurationChange, internals: Internals, keep_versions: Callable[[], None]
) -> Configuration:
    """Change what is configured, durably; as one step for all who read or change it.

    :param bucket: opened for writing.
    :param change: raises `S3Error` to leave everything as it is.
    :param keep_versions: makes room for versions before they are kept.
    :returns: what is configured then.
    :raises WouldBlock: another changes it just now, or an object, where that matters.
    """
    try:
        return _change(bucket, change, internals, None)
    except _WholeBucketError:
        return _change(bucket, change, internals, keep_versions)


class _WholeBucketError(Exception):
    """What is to be changed must not change while an object is: whoever replaces one has asked before."""


def _change(
    bucket: Bucket, change: ConfigurationChange, internals: Internals, keep_versions: Callable[[], None] | None
) -> Configuration:
    """:param keep_versions: None: no object is kept from changing meanwhile.
    :raises _WholeBucketError: that does not do.
    """
    path = os.path.join(bucket.home, NAME)
    with bucket.locked(_LOCK if keep_versions is None else None):
        if bucket.is_gone():
            raise S3Error("NoSuchBucket", BucketName=bucket.name)
        before = read(bucket)
        # Not a copy of the outermost mapping alone: what is remembered is never written to.
        values = json.loads(render(before))
        change(values)
        if values == before:
            return before
        if values.get(VERSIONING) != before.get(VERSIONING):
            if keep_versions is None:
                raise _WholeBucketError
            keep_versions()
        if values:
            internals.write_file(path, render(values))
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)
            internals.durability.flush_path(bucket.home)
        return MappingProxyType(values)
