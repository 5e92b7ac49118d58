"""Completing a multipart upload: what a client wants against the parts there are, and what the object will be.

Blocking: it opens the parts.  Nothing is changed here.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import replace

from zs3 import checksums
from zs3.checksums import DEFAULT, FULL_OBJECT, Checksum
from zs3.errors import S3Error
from zs3.store.metadata import Record
from zs3.store.uploads import Intent, Upload, invalid_part
from zs3.store.values import (
    MAX_PARTS,
    MIN_PART_SIZE,
    NOT_LOCKED,
    Attributes,
    CompletedPart,
    Lock,
    PartChecksums,
    PartInfo,
    UploadInfo,
)


def plan(
    upload: Upload,
    parts: Sequence[CompletedPart],
    checksum: Checksum | None,
    size: int | None,
    default_lock: Lock = NOT_LOCKED,
) -> Intent:
    """Check what a client wants completed against the parts there are, and decide what the object will be.

    :param default_lock: its retention where the upload has none.

    Source: Amazon S3 API Reference, CompleteMultipartUpload.

    :raises S3Error: InvalidPart, InvalidPartOrder, EntityTooSmall, BadDigest, InvalidRequest, MalformedXML.
    """
    if not parts:
        raise S3Error("MalformedXML")
    numbers = [part.number for part in parts]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        raise S3Error("InvalidPartOrder", UploadId=upload.info.upload_id)
    known = [_checked(upload, part, only=len(parts) == 1) for part in parts]
    for part in known[:-1]:
        if part.size < MIN_PART_SIZE:
            raise S3Error(
                "EntityTooSmall",
                ProposedSize=str(part.size),
                MinSizeAllowed=str(MIN_PART_SIZE),
                PartNumber=str(part.number),
                ETag=part.etag,
            )
    if upload.info.checksum_algorithm and numbers != list(range(1, len(parts) + 1)):
        # Source: API Reference, CompletedPart, of parts with additional checksums.
        raise S3Error("InvalidPartOrder", UploadId=upload.info.upload_id)
    sizes = tuple(part.size for part in known)
    if size is not None and size != sum(sizes):
        raise S3Error("InvalidRequest", "The provided 'x-amz-mp-object-size' does not match what was uploaded.")
    digests = b"".join(bytes.fromhex(part.etag.partition("-")[0]) for part in known)
    whole, values = _whole_checksum(upload.info, known, checksum)
    record = Record(
        size=sum(sizes),
        mtime_ns=0,
        digest=hashlib.md5(digests, usedforsecurity=False).digest(),
        suffix=len(known),
        attributes=_with_retention(upload.info.attributes, default_lock),
        checksum=whole,
        part_sizes=sizes,
        upload_id=upload.info.upload_id,
        part_checksums=PartChecksums(values),
    )
    return Intent(record, tuple((part.number, part.etag) for part in known))


def _checked(upload: Upload, wanted: CompletedPart, *, only: bool) -> PartInfo:
    if not 1 <= wanted.number <= MAX_PARTS:
        raise S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    try:
        fd, part = upload.part(wanted.number)
        os.close(fd)
    except S3Error:
        moved = upload.moved(wanted.number) if only else None
        if moved is None:
            raise
        part = moved
    if wanted.etag != part.etag:
        raise invalid_part(wanted.number)
    if wanted.checksum is not None and (
        part.checksum is None
        or (wanted.checksum.algorithm, wanted.checksum.value) != (part.checksum.algorithm, part.checksum.value)
    ):
        raise invalid_part(wanted.number)
    return part


def _whole_checksum(
    info: UploadInfo, parts: Sequence[PartInfo], stated: Checksum | None
) -> tuple[Checksum | None, bytes]:
    """The object's checksum from its parts', compared with what the client states; and those, one behind the other."""
    algorithm, kind = info.checksum_algorithm or DEFAULT, info.checksum_type or FULL_OBJECT
    values = [found.value for part in parts if (found := _of(algorithm, part)) is not None]
    whole = None
    if len(values) == len(parts):
        if kind == FULL_OBJECT:
            sizes = [part.size for part in parts]
            whole = checksums.combine(algorithm, list(zip(values, sizes, strict=True)))
        else:
            whole = checksums.composite(algorithm, values)
    if stated is not None:
        if whole is None or stated.algorithm != whole.algorithm:
            raise S3Error("InvalidRequest", "The checksum type or algorithm is not that of the upload.")
        if stated.value != whole.value:
            raise S3Error("BadDigest", f"The {stated.algorithm} you specified did not match the calculated checksum.")
    return whole, b"".join(values) if whole else b""


def _with_retention(attributes: Attributes, default: Lock) -> Attributes:
    lock = attributes.lock
    if lock.mode or not default.mode:
        return attributes
    return replace(attributes, lock=replace(lock, mode=default.mode, until_ns=default.until_ns))


def _of(algorithm: str, part: PartInfo) -> Checksum | None:
    """The checksum that a part has in an algorithm, or None."""
    return next((found for found in (part.checksum, part.second) if found and found.algorithm == algorithm), None)
