"""Multipart uploads: directories of parts, each a plain file, until they are completed or aborted.

Blocking.  ``.uploads/<id>/`` holds ``.meta``, the parts ``1``, ``2``..., and
while it is being completed ``.object`` (the assembled file) and ``.intent``
(what it is to be).  An intent without an object means that it was published:
completing again answers the same and never publishes twice.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from zs3 import checksums
from zs3.checksums import FULL_OBJECT, Checksum
from zs3.errors import S3Error
from zs3.store import locks, metadata, paths
from zs3.store.buckets import Bucket
from zs3.store.interface import (
    MAX_PARTS,
    MIN_PART_SIZE,
    Attributes,
    CompletedPart,
    PartInfo,
    PartsPage,
    UploadInfo,
    UploadsPage,
)
from zs3.store.internals import Internals, Staging, remove_tree
from zs3.store.metadata import Record
from zs3.store.records import Records
from zs3.store.staged import StagedFile

#: Time of initiation and a random number, so that ids sort as S3 orders uploads of one key.
_ID = re.compile(r"[0-9a-f]{48}", re.ASCII)
_PART = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Intent:
    """What a completion is to make: decided once, and durable before anything is visible."""

    record: Record
    parts: tuple[tuple[int, str], ...]


class Upload:
    """An upload that exists.

    :ivar path: its directory.
    """

    def __init__(self, internals: Internals, staging: Staging, path: bytes, info: UploadInfo) -> None:
        self._internals = internals
        self._durability = internals.durability
        self._staging = staging
        self.path = path
        self.info = info

    def file(self, name: str) -> bytes:
        return os.path.join(self.path, name.encode())

    def records(self) -> Records:
        """Where the records of the parts are."""
        return Records(self.file(".records"), self._internals)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude other completions and aborts for a block.

        :raises WouldBlock: one is under way.
        :raises S3Error: NoSuchUpload: one came first.
        """
        try:
            lock = locks.locked(self.file(".lock"), 0, 0, self._internals.file_mode)
            lock.__enter__()
        except FileNotFoundError:
            raise _no_such(self.info.upload_id) from None
        try:
            if not os.path.exists(self.file(".meta")):
                raise _no_such(self.info.upload_id)
            yield
        finally:
            lock.__exit__(None, None, None)

    def part(self, number: int) -> tuple[int, PartInfo]:
        """A part: its file, open, and what is known of it.

        :raises S3Error: InvalidPart.
        """
        found = paths.open_path(self.file(str(number)))
        if found is None:
            raise S3Error("InvalidPart", PartNumber=str(number))
        fd, status = found
        try:
            # A part's record is bound to its number as an object's is to its key.
            info = self.records().info(fd, status, str(number))
            return fd, PartInfo(number, status.st_size, status.st_mtime_ns, info.etag, info.checksum)
        except BaseException:
            os.close(fd)
            raise

    def numbers(self) -> list[int]:
        """The numbers of the parts there are."""
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            raise _no_such(self.info.upload_id) from None
        return sorted(int(name) for name in map(os.fsdecode, names) if _PART.fullmatch(name))

    def put(self, number: int, staged: StagedFile) -> PartInfo:
        """Make a sealed file part `number`, in place of an earlier one, durably."""
        if self.is_published():
            raise _no_such(self.info.upload_id)
        try:
            os.rename(staged.path, self.file(str(number)))
            staged.published()
            self._durability.flush_path(self.path)
        except FileNotFoundError:
            raise _no_such(self.info.upload_id) from None
        record = staged.record
        return PartInfo(number, record.size, record.mtime_ns, record.etag, record.checksum)

    def intent(self) -> Intent | None:
        """What an earlier completion meant to make, if it came so far."""
        try:
            with open(self.file(".intent"), "rb") as file:
                document = json.load(file)
        except FileNotFoundError:
            return None
        record = metadata.unpack(base64.b64decode(document["record"]))
        return Intent(record, tuple((number, etag) for number, etag in document["parts"])) if record else None

    def is_published(self) -> bool:
        """Whether the object was made of it; the caller holds its lock, or does not mind."""
        return is_published(self.path)

    def assemble(self, intent: Intent) -> None:
        """Make the one file of the parts, durable but not visible; then the intent, which says that it is whole."""
        durability = self._durability
        with suppress(FileNotFoundError):
            # Of an earlier try with other parts: it must not vouch for what is being made now.
            os.unlink(self.file(".intent"))
            durability.flush_path(self.path)
        path = self.file(".object")
        if len(intent.parts) == 1:
            # The part itself; until the intent is written it is what it was, so that all can begin again.
            with suppress(FileNotFoundError):
                os.rename(self.file(str(intent.parts[0][0])), path)
        else:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            staged = StagedFile(os.open(path, flags, self._internals.file_mode), path, durability)
            try:
                for number, _ in intent.parts:
                    fd, part = self.part(number)
                    with paths.opened(fd):
                        if staged.copy(fd, 0, part.size) != part.size:
                            raise S3Error("InvalidPart", PartNumber=str(number))
                durability.flush(staged.fd)
            except BaseException:
                staged.discard()
                raise
            staged.close()
        document = {"record": base64.b64encode(metadata.pack(intent.record)).decode(), "parts": intent.parts}
        self._internals.write_file(self.file(".intent"), json.dumps(document).encode())

    def assembled(self) -> StagedFile:
        """The file that `assemble` made."""
        path = self.file(".object")
        return StagedFile(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), path, self._durability)

    def single(self, number: int) -> PartInfo | None:
        """The part `number` if an interrupted completion has made it the object already."""
        found = paths.open_path(self.file(".object"))
        if found is None or os.path.exists(self.file(".intent")):
            return None
        fd, status = found
        with paths.opened(fd):
            info = self.records().info(fd, status, str(number))
        return PartInfo(number, status.st_size, status.st_mtime_ns, info.etag, info.checksum)

    def finish(self) -> None:
        """Forget an upload whose object is published and durable: that it must not be published again, first."""
        self._durability.flush_path(self.path)
        self.discard()

    def discard(self) -> None:
        """Forget an upload and its parts."""
        self._staging.discard(self.path)


def _no_such(upload_id: str) -> S3Error:
    return S3Error("NoSuchUpload", UploadId=upload_id)


def create(
    internals: Internals,
    bucket: Bucket,
    key: str,
    now_ns: int,
    attributes: Attributes,
    checksum_algorithm: str,
    checksum_type: str,
) -> UploadInfo:
    """Begin an upload, durably."""
    upload_id = f"{now_ns:016x}{secrets.token_hex(16)}"
    info = UploadInfo(upload_id, bucket.name, key, now_ns, attributes, checksum_algorithm, checksum_type)
    staging = bucket.staging()
    temporary = staging.path()
    internals.make_scratch_directory(temporary)
    document = {
        "bucket": bucket.id,
        "key": key,
        "headers": dict(attributes.headers),
        "metadata": dict(attributes.metadata),
        "algorithm": checksum_algorithm,
        "type": checksum_type,
    }
    try:
        meta = os.path.join(temporary, b".meta")
        internals.write_file(meta, json.dumps(document).encode())
        os.rename(temporary, os.path.join(staging.uploads, upload_id.encode()))
    except BaseException:
        remove_tree(temporary)
        raise
    internals.durability.flush_path(staging.uploads)
    return info


def find(internals: Internals, bucket: Bucket, key: str, upload_id: str) -> Upload:
    """An upload under way of this very key.

    :raises S3Error: NoSuchUpload.
    """
    if bucket.id and _ID.fullmatch(upload_id):
        staging = bucket.staging()
        path = os.path.join(staging.uploads, upload_id.encode())
        info = _read_meta(bucket, path, upload_id)
        if info is not None and info.key == key:
            return Upload(internals, staging, path, info)
    raise _no_such(upload_id)


def _read_meta(bucket: Bucket, path: bytes, upload_id: str) -> UploadInfo | None:
    try:
        with open(os.path.join(path, b".meta"), "rb") as file:
            document: dict[str, Any] = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if document["bucket"] != bucket.id:
        return None
    return UploadInfo(
        upload_id,
        bucket.name,
        document["key"],
        int(upload_id[:16], 16),
        Attributes(document["headers"], document["metadata"]),
        document["algorithm"],
        document["type"],
    )


def of_bucket(internals: Internals, bucket: Bucket) -> list[Upload]:
    """All uploads of a bucket that are under way, by key and then by time of initiation."""
    if not bucket.id:
        return []
    staging = bucket.staging()
    found = []
    for name in map(os.fsdecode, os.listdir(staging.uploads)):
        path = os.path.join(staging.uploads, name.encode())
        if _ID.fullmatch(name) and (info := _read_meta(bucket, path, name)) is not None:
            upload = Upload(internals, staging, path, info)
            if not upload.is_published():
                found.append(upload)
    return sorted(found, key=lambda upload: (upload.info.key.encode(), upload.info.upload_id))


def sweep(staging: Staging) -> None:
    """Forget the uploads that a process completed and did not live to forget."""
    for name in map(os.fsdecode, os.listdir(staging.uploads)):
        path = os.path.join(staging.uploads, name.encode())
        if _ID.fullmatch(name) and is_published(path):
            staging.discard(path)


def is_published(path: bytes) -> bool:
    """Whether the object was made of the upload in this directory."""
    return os.path.exists(os.path.join(path, b".intent")) and not os.path.exists(os.path.join(path, b".object"))


def list_page(
    uploads: Sequence[Upload], *, prefix: str, delimiter: str, key_marker: str, upload_id_marker: str, limit: int
) -> UploadsPage:
    """One page of the uploads of a bucket.

    Source: Amazon S3 API Reference, ListMultipartUploads.
    """
    found: list[UploadInfo] = []
    prefixes: list[str] = []
    last = ("", "")
    for upload in uploads:
        info = upload.info
        if not info.key.startswith(prefix) or not _is_after(info, key_marker, upload_id_marker):
            continue
        end = info.key.find(delimiter, len(prefix)) if delimiter else -1
        common = info.key[: end + len(delimiter)] if end >= 0 else ""
        if common and (key_marker.startswith(common) or (prefixes and prefixes[-1] == common)):
            continue
        if len(found) + len(prefixes) == limit:
            return UploadsPage(found, prefixes, limit > 0, *last)
        if common:
            prefixes.append(common)
            last = (common, "")
        else:
            found.append(info)
            last = (info.key, info.upload_id)
    return UploadsPage(found, prefixes, False)


def _is_after(info: UploadInfo, key_marker: str, upload_id_marker: str) -> bool:
    if info.key == key_marker:
        return bool(upload_id_marker) and info.upload_id > upload_id_marker
    return info.key.encode() > key_marker.encode()


def list_parts(upload: Upload, *, after: int, limit: int) -> PartsPage:
    """One page of an upload's parts."""
    numbers = [number for number in upload.numbers() if number > after]
    parts = []
    for number in numbers[:limit]:
        with suppress(S3Error):
            fd, part = upload.part(number)
            os.close(fd)
            parts.append(part)
    return PartsPage(upload.info, parts, len(numbers) > limit > 0)


def plan(upload: Upload, parts: Sequence[CompletedPart], checksum: Checksum | None, size: int | None) -> Intent:
    """Check what a client wants completed against the parts there are, and decide what the object will be.

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
    sizes = tuple(part.size for part in known)
    if size is not None and size != sum(sizes):
        raise S3Error("InvalidRequest", "The provided 'x-amz-mp-object-size' does not match what was uploaded.")
    digests = b"".join(bytes.fromhex(part.etag.partition("-")[0]) for part in known)
    record = Record(
        size=sum(sizes),
        mtime_ns=0,
        digest=hashlib.md5(digests, usedforsecurity=False).digest(),
        suffix=len(known),
        attributes=upload.info.attributes,
        checksum=_whole_checksum(upload.info, known, checksum),
        part_sizes=sizes,
        upload_id=upload.info.upload_id,
    )
    return Intent(record, tuple((part.number, part.etag) for part in known))


def _checked(upload: Upload, wanted: CompletedPart, *, only: bool) -> PartInfo:
    if not 1 <= wanted.number <= MAX_PARTS:
        raise S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    try:
        fd, part = upload.part(wanted.number)
        os.close(fd)
    except S3Error:
        moved = upload.single(wanted.number) if only else None
        if moved is None:
            raise
        part = moved
    if wanted.etag != part.etag:
        raise S3Error("InvalidPart", PartNumber=str(wanted.number), ETag=wanted.etag)
    if wanted.checksum is not None and (
        part.checksum is None
        or (wanted.checksum.algorithm, wanted.checksum.value) != (part.checksum.algorithm, part.checksum.value)
    ):
        raise S3Error("InvalidPart", PartNumber=str(wanted.number), ETag=wanted.etag)
    return part


def _whole_checksum(info: UploadInfo, parts: Sequence[PartInfo], stated: Checksum | None) -> Checksum | None:
    """The object's checksum from its parts', compared with what the client states."""
    algorithm = info.checksum_algorithm
    values = [part.checksum.value for part in parts if part.checksum and part.checksum.algorithm == algorithm]
    found = None
    if algorithm and len(values) == len(parts):
        if info.checksum_type == FULL_OBJECT:
            sizes = [part.size for part in parts]
            found = checksums.combine(algorithm, list(zip(values, sizes, strict=True)))
        else:
            found = checksums.composite(algorithm, values)
    if stated is None:
        return found
    if found is None or stated.algorithm != found.algorithm:
        raise S3Error("InvalidRequest", "The checksum type or algorithm is not that of the upload.")
    if stated.value != found.value:
        raise S3Error("BadDigest", f"The {stated.algorithm} you specified did not match the calculated checksum.")
    return found
