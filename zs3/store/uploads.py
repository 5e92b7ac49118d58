"""Multipart uploads: directories of parts, each a plain file, until they are completed or aborted.

Blocking.  ``.uploads/<id>/`` holds ``.meta``, the parts ``1``, ``2``..., and
while it is being completed ``.object`` (the assembled file) and ``.intent``
(what it is to be).  An intent without an object means that it was published:
completing again answers the same and never publishes twice.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from zs3.errors import S3Error
from zs3.store import locks, metadata, paths
from zs3.store.buckets import Bucket, Buckets
from zs3.store.internals import Internals, Staging, remove_tree
from zs3.store.metadata import Record
from zs3.store.records import Records
from zs3.store.staged import StagedFile
from zs3.store.values import EMPTY, Attributes, Lock, ObjectInfo, PartInfo, PartsPage, UploadInfo, UploadsPage

#: Time of initiation and a random number, so that ids sort as S3 orders uploads of one key.
_ID = re.compile(r"[0-9a-f]{48}", re.ASCII)
_PART = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
#: What every ``.meta`` says.
_DOCUMENT = frozenset(("bucket", "key", "headers", "metadata", "algorithm", "type"))


@dataclass(frozen=True, slots=True)
class Intent:
    """What a completion is to make: decided once, and durable before anything is visible.

    :ivar record: of the object.
    :ivar parts: the numbers and ETags of its parts.
    :ivar part: the record of its only part, whose file the object's is to be.
    """

    record: Record
    parts: tuple[tuple[int, str], ...]
    part: Record | None = None


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
        return Records(self.file(".records"), self._internals, private=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude other completions and aborts for a block.

        :raises WouldBlock: one is under way.
        :raises S3Error: NoSuchUpload: one came first.
        """
        try:
            lock = _locked(self.path)
            lock.__enter__()
        except FileNotFoundError:
            raise no_such(self.info.upload_id) from None
        try:
            if not paths.exists(self.file(".meta")):
                raise no_such(self.info.upload_id)
            yield
        finally:
            lock.__exit__(None, None, None)

    def part(self, number: int) -> tuple[int, PartInfo]:
        """A part: its file, open, and what is known of it.

        :raises S3Error: InvalidPart.
        """
        found = paths.open_path(self.file(str(number)))
        if found is None:
            raise invalid_part(number)
        fd, status = found
        try:
            info = self.records().info(fd, status, str(number))
            return fd, _part_info(number, status, info)
        except BaseException:
            os.close(fd)
            raise

    def numbers(self) -> list[int]:
        """The numbers of the parts there are."""
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            raise no_such(self.info.upload_id) from None
        return sorted(int(name) for name in map(os.fsdecode, names) if _PART.fullmatch(name))

    def seal(self, number: int, staged: StagedFile, record: Record) -> None:
        """Keep the record of what is to be part `number`; see `StagedFile.seal`.

        :raises S3Error: NoSuchUpload.
        """
        try:
            staged.seal(record, self.records(), str(number))
        except FileNotFoundError:
            raise no_such(self.info.upload_id) from None

    def put(self, number: int, staged: StagedFile) -> PartInfo:
        """Make a sealed file part `number`, in place of an earlier one, durably."""
        if self.is_published():
            raise no_such(self.info.upload_id)
        try:
            os.rename(staged.path, self.file(str(number)))
            staged.published()
            self._durability.flush_path(self.path)
        except FileNotFoundError:
            raise no_such(self.info.upload_id) from None
        record = staged.record
        return PartInfo(number, record.size, record.mtime_ns, record.etag, record.checksum, record.second)

    def intent(self) -> Intent | None:
        """What an earlier completion meant to make, if it came so far."""
        try:
            with open(self.file(".intent"), "rb") as file:
                document = json.load(file)
        except FileNotFoundError:
            return None
        record, part = (metadata.unpack(base64.b64decode(document.get(name, ""))) for name in ("record", "part"))
        parts = tuple((number, etag) for number, etag in document["parts"])
        return Intent(record, parts, part) if record else None

    def is_published(self) -> bool:
        """Whether the object was made of it; the caller holds its lock, or does not mind."""
        return is_published(self.path)

    def assemble(self, intent: Intent) -> None:
        """Make the one file of the parts, durable but not visible; then the intent, which says that it is whole."""
        document: dict[str, Any] = {"parts": intent.parts}
        if len(intent.parts) == 1:
            number, etag = intent.parts[0]
            # The part itself; until the intent is written it is what it was, so that all can begin again.
            with suppress(FileNotFoundError):
                os.rename(self.file(str(number)), self.file(".object"))
            found = self._read(".object", number)
            if found is None or found[0].etag != etag or found[1] is None:
                self.restore(intent)
                raise invalid_part(number)
            document["part"] = base64.b64encode(metadata.pack(found[1])).decode()
        else:
            self._join(intent)
        document["record"] = base64.b64encode(metadata.pack(intent.record)).decode()
        try:
            self._internals.write_file(self.file(".intent"), json.dumps(document).encode())
        except OSError:
            self.restore(intent)
            raise

    def _join(self, intent: Intent) -> None:
        """Copy the parts, one behind the other, into the file that is to be the object."""
        path = self.file(".object")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        staged = StagedFile(os.open(path, flags, 0o600), path, self._durability)
        try:
            for number, etag in intent.parts:
                fd, part = self.part(number)
                with paths.opened(fd):
                    # It may have been put again since it was compared with what the client named.
                    if part.etag != etag or staged.copy(fd, 0, part.size) != part.size:
                        raise invalid_part(number)
            self._durability.flush(staged.fd)
        except BaseException:
            staged.discard()
            raise
        staged.close()

    def restore(self, intent: Intent) -> None:
        """Be again what it was before `assemble`: the object was not published, and other parts may be wanted."""
        path = self.file(".object")
        number = str(intent.parts[0][0])
        if len(intent.parts) == 1 and not paths.exists(self.file(number)):
            if intent.part is not None:
                with paths.opened(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)) as fd:
                    self.records().write(fd, intent.part, number)
                    self._durability.flush(fd)
            os.rename(path, self.file(number))
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)
        # Last: until then it can be told what the file is.
        with suppress(FileNotFoundError):
            os.unlink(self.file(".intent"))
        self._durability.flush_path(self.path)

    def assembled(self) -> StagedFile:
        """The file that `assemble` made."""
        path = self.file(".object")
        return StagedFile(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), path, self._durability)

    def moved(self, number: int) -> PartInfo | None:
        """The part `number` if an interrupted completion has moved it, and nothing more."""
        found = None if paths.exists(self.file(".intent")) else self._read(".object", number)
        return found[0] if found else None

    def _read(self, name: str, number: int) -> tuple[PartInfo, Record | None] | None:
        """What is known of part `number`, and its record, in the file `name`; None if there is none."""
        return paths.looked_again(lambda: self._look(name, number))

    def _look(self, name: str, number: int) -> tuple[PartInfo, Record | None] | None:
        opened = paths.open_path(self.file(name))
        if opened is None:
            return None
        fd, status = opened
        with paths.opened(fd):
            kept = self.records()
            # A part's record is bound to its number as an object's is to its key.
            info, record = kept.info(fd, status, str(number)), kept.read(fd, status, str(number))
        return _part_info(number, status, info), record

    def finish(self) -> None:
        """Forget an upload whose object is published and durable: that it must not be published again, first."""
        with suppress(FileNotFoundError):
            self._durability.flush_path(self.path)
        self.discard()

    def discard(self) -> None:
        """Forget an upload and its parts."""
        self._staging.discard(self.path)


def _part_info(number: int, status: os.stat_result, info: ObjectInfo) -> PartInfo:
    return PartInfo(number, status.st_size, status.st_mtime_ns, info.etag, info.checksum, info.second)


def invalid_part(number: int) -> S3Error:
    """The error for a part that is not there, or not the one that was meant."""
    return S3Error("InvalidPart", PartNumber=str(number))


def no_such(upload_id: str) -> S3Error:
    return S3Error("NoSuchUpload", UploadId=upload_id)


def create(
    internals: Internals,
    bucket: Bucket,
    key: str,
    now_ns: int,
    attributes: Attributes,
    checksum_algorithm: str,
    checksum_type: str,
    initiator: str,
) -> UploadInfo:
    """Begin an upload, durably."""
    upload_id = f"{now_ns:016x}{secrets.token_hex(16)}"
    info = UploadInfo(upload_id, bucket.name, key, now_ns, attributes, checksum_algorithm, checksum_type, initiator)
    staging = bucket.staging()
    temporary = staging.path()
    document = {
        "bucket": bucket.id,
        "key": key,
        "headers": dict(attributes.headers),
        "metadata": dict(attributes.metadata),
        "tags": dict(attributes.tags),
        "access": attributes.access,
        "lock": [attributes.lock.mode, attributes.lock.until_ns, attributes.lock.legal_hold],
        "initiator": initiator,
        "algorithm": checksum_algorithm,
        "type": checksum_type,
    }
    try:
        internals.make_scratch_directory(temporary)
        meta = os.path.join(temporary, b".meta")
        internals.write_file(meta, json.dumps(document).encode())
        os.rename(temporary, os.path.join(staging.uploads, upload_id.encode()))
    except BaseException:
        remove_tree(temporary)
        raise
    internals.durability.flush_path(staging.uploads)
    return info


def _staging(bucket: Bucket) -> Staging | None:
    """Where the uploads of a bucket are; None where there can be none, as nothing can be or ever was written."""
    if not bucket.id:
        return None
    try:
        return bucket.staging()
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        return None


def find(internals: Internals, bucket: Bucket, key: str, upload_id: str) -> Upload:
    """An upload under way of this very key.

    :raises S3Error: NoSuchUpload.
    """
    staging = _staging(bucket)
    if staging is not None and _ID.fullmatch(upload_id):
        path = os.path.join(staging.uploads, upload_id.encode())
        info = _read_meta(bucket, path, upload_id)
        if info is not None and info.key == key:
            return Upload(internals, staging, path, info)
    raise no_such(upload_id)


def _read_document(path: bytes) -> dict[str, Any] | None:
    try:
        with open(os.path.join(path, b".meta"), "rb") as file:
            document: dict[str, Any] = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    # A bit of it may have flipped.
    return document if isinstance(document, dict) and set(document) >= _DOCUMENT else None


def _read_meta(bucket: Bucket, path: bytes, upload_id: str) -> UploadInfo | None:
    document = _read_document(path)
    if document is None or document["bucket"] != bucket.id:
        return None
    return UploadInfo(
        upload_id,
        bucket.name,
        document["key"],
        int(upload_id[:16], 16),
        Attributes(
            document["headers"],
            document["metadata"],
            document.get("tags", EMPTY),
            document.get("access", ""),
            Lock(*document.get("lock", ())),
        ),
        document["algorithm"],
        document["type"],
        document.get("initiator", ""),
    )


def of_bucket(internals: Internals, bucket: Bucket) -> list[Upload]:
    """All uploads of a bucket that are under way, by key and then by time of initiation."""
    staging = _staging(bucket)
    return [] if staging is None else below(staging.uploads, internals, staging, bucket)


def below(directory: bytes, internals: Internals, staging: Staging, bucket: Bucket) -> list[Upload]:
    """The same of those in one directory.

    :param staging: needed, and started, only for what changes an upload.
    """
    found = []
    for name in map(os.fsdecode, os.listdir(directory)):
        path = os.path.join(directory, name.encode())
        if _ID.fullmatch(name) and (info := _read_meta(bucket, path, name)) is not None:
            upload = Upload(internals, staging, path, info)
            if not upload.is_published():
                found.append(upload)
    return sorted(found, key=lambda upload: (upload.info.key.encode(), upload.info.upload_id))


def sweep(buckets: Buckets, staging: Staging) -> None:
    """Forget the uploads that a process completed, and those whose bucket it removed, and did not live to forget."""
    for name in map(os.fsdecode, os.listdir(staging.uploads)):
        path = os.path.join(staging.uploads, name.encode())
        document = _read_document(path) if _ID.fullmatch(name) else None
        if document is None:
            continue
        if not paths.exists(buckets.home(document["bucket"])):
            staging.discard(path)
        elif is_published(path):
            with suppress(locks.WouldBlock, FileNotFoundError), _locked(path):
                # Not while another process is about to.  What it renamed may not be on the disk yet.
                if buckets.internals.durability.enabled:
                    os.sync()
                staging.discard(path)


def _locked(path: bytes) -> AbstractContextManager[None]:
    """Hold the lock of the upload in this directory for a block: on a file that it has, as a full disk gives no other.

    :raises WouldBlock: another holds it.
    :raises FileNotFoundError: there is no upload.
    """
    return locks.held(os.open(os.path.join(path, b".meta"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW))


def is_published(path: bytes) -> bool:
    """Whether the object was made of the upload in this directory."""
    return paths.exists(os.path.join(path, b".intent")) and not paths.exists(os.path.join(path, b".object"))


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
