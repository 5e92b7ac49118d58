"""What must hold for a mutation to happen.  Pure."""

from __future__ import annotations

from zs3.errors import S3Error
from zs3.store.values import ObjectInfo, WriteCondition

#: Nothing is asked of what is there.
ALWAYS = WriteCondition()


def check(condition: WriteCondition, current: ObjectInfo | None) -> None:
    """Whether a mutation may happen.

    Sources: Amazon S3 User Guide, "How to prevent object overwrites with conditional writes" and "How to perform
    conditional deletes"; API Reference, DeleteObject for size and time, which what does not exist is not held against.

    :raises S3Error: PreconditionFailed, NoSuchKey.
    """
    if current is None:
        if condition.if_match is not None:
            raise S3Error("NoSuchKey")
        return
    if condition.if_none_match in ("*", current.etag):
        raise S3Error("PreconditionFailed", Condition="If-None-Match")
    if condition.if_match not in (None, "*", current.etag):
        raise S3Error("PreconditionFailed", Condition="If-Match")
    if condition.size not in (None, current.size):
        raise S3Error("PreconditionFailed", Condition="x-amz-if-match-size")
    if condition.mtime_s not in (None, current.mtime_ns // 1_000_000_000):
        raise S3Error("PreconditionFailed", Condition="x-amz-if-match-last-modified-time")


def check_noncurrent(condition: WriteCondition) -> None:
    """Whether the current version may be removed.  PreconditionFailed."""
    if condition.noncurrent:
        raise S3Error("PreconditionFailed", Condition="noncurrent")
