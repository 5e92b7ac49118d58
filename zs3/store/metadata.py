"""The record that is kept with an object's file, as a value and as bytes.  Pure.

It must fit, in the common case, the 68 bytes that an ext4 inode of 256 bytes
has left for attributes: a fixed head, the checksum, and only when there is
more to tell, JSON.  It names no key, inode or ctime, so that ``mv``, ``cp -a``
and restores keep it valid; it holds the size and modification time of the file
that it was written for, and is void for any other.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from zs3.checksums import ALGORITHMS, COMPOSITE, FULL_OBJECT, Checksum
from zs3.store.values import (
    COMPLIANCE,
    EMPTY,
    GOVERNANCE,
    MAX_PARTS,
    NO_PART_CHECKSUMS,
    NOT_LOCKED,
    NULL_VERSION,
    Attributes,
    Lock,
    ObjectInfo,
    PartChecksums,
)

#: format, flags, size, mtime_ns, ETag digest, ETag suffix (0: none), content type code, checksum code
_HEAD = struct.Struct("<BBqq16sIBB")
_FORMAT = 1
_SIDECAR = 0x01
_COMPOSITE = 0x02
#: the checksums of the parts follow that of the object: raw, as they are many and seldom wanted
_PARTS = 0x04
#: the version id follows these: raw, so that all of it stays within the inode
_VERSION = 0x08
_VERSION_SIZE = 16
_LENGTH = struct.Struct("<I")

DEFAULT_TYPE = "binary/octet-stream"
#: Content types by code; append only.  0 is none given, `_OTHER` is spelled out.
_TYPES: tuple[str, ...] = (
    "",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "text/plain",
    "text/html",
    "text/css",
    "text/csv",
    "text/plain; charset=utf-8",
    "text/html; charset=utf-8",
    "application/json",
    "application/xml",
    "application/pdf",
    "application/zip",
    "application/gzip",
    "application/x-tar",
    "application/javascript",
    "text/javascript",
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/svg+xml",
    "audio/mpeg",
    "video/mp4",
    DEFAULT_TYPE,
    "application/x-directory",
    "application/x-directory; charset=UTF-8",
    "application/vnd.apache.parquet",
)
_CODES = {name: code for code, name in enumerate(_TYPES)}
_OF_TYPE = tuple(Attributes(MappingProxyType({"content-type": name} if name else {})) for name in _TYPES)
_OTHER = 255
_PARTS_FILE = "S"
_PARTS_FILE_MARK = b'"S":"'
_ALGORITHMS = ("", *ALGORITHMS)

#: The types of files that a compressor made, whatever is inside.
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "br": "application/x-brotli",
    "compress": "application/x-compress",
}


@dataclass(frozen=True, slots=True)
class Record:
    """What zs3 knows of the bytes it wrote.

    :ivar digest: 16 bytes: the MD5 of the content, or of the parts' MD5s, or for a copy of unknown content, anything.
    :ivar suffix: what stands behind the ``-`` of the ETag, 0 for a plain MD5.
    :ivar second: of a part only: a checksum beside the one that it was sent with.
    :ivar version: 32 hexadecimal digits, or `NULL_VERSION`.
    :ivar covers: of a delete marker only: the version that was current when it was made, "" if none was.
    """

    size: int
    mtime_ns: int
    digest: bytes
    suffix: int = 0
    attributes: Attributes = field(default_factory=Attributes)
    checksum: Checksum | None = None
    part_sizes: tuple[int, ...] = ()
    upload_id: str = ""
    second: Checksum | None = None
    part_checksums: PartChecksums = NO_PART_CHECKSUMS
    version: str = NULL_VERSION
    covers: str = ""

    @classmethod
    def of(cls, info: ObjectInfo) -> Record:
        """The record that says of an object's file what `info` says."""
        return cls(
            info.size,
            info.mtime_ns,
            *parse_etag(info.etag),
            info.attributes,
            info.checksum,
            info.part_sizes,
            info.upload_id,
            info.second,
            info.part_checksums,
            info.version,
        )

    @property
    def etag(self) -> str:
        return f"{self.digest.hex()}-{self.suffix}" if self.suffix else self.digest.hex()

    @property
    def is_derived(self) -> bool:
        """Whether the ETag is that of a file which others made, see `plain_info`, and nothing is known of its content.

        Be it that tags came to it since, or that it was copied; so also of a copy of an object that was made of one
        part, which was itself copied.
        """
        return self.suffix == 1 and self.checksum is None and not self.part_sizes and not self.upload_id

    def describes(self, status: os.stat_result) -> bool:
        """Whether the file is still as it was when the record was written."""
        return self.size == status.st_size and self.mtime_ns == status.st_mtime_ns

    def stamped(self, size: int, mtime_ns: int) -> Record:
        """The same for a file of this size and modification time."""
        return replace(self, size=size, mtime_ns=mtime_ns)

    def info(self, key: str) -> ObjectInfo:
        attributes = self.attributes
        if "content-type" not in attributes.headers:
            attributes = replace(attributes, headers={"content-type": DEFAULT_TYPE, **attributes.headers})
        return ObjectInfo(
            key,
            self.size,
            self.mtime_ns,
            self.etag,
            attributes,
            self.checksum,
            self.part_sizes,
            self.upload_id,
            self.second,
            self.part_checksums,
            self.version,
        )


def can_tell(mtime_ns: int) -> bool:
    """Whether a record can have this time: others may set one that it cannot."""
    return -(1 << 63) <= mtime_ns < 1 << 63


def parse_etag(etag: str) -> tuple[bytes, int]:
    """The digest and suffix of an ETag that a record, or `plain_info`, gave."""
    digest, _, suffix = etag.partition("-")
    return bytes.fromhex(digest), int(suffix or 0)


def plain_info(key: str, status: os.stat_result, *, inode: bool) -> ObjectInfo:
    """What is told of a file without a valid record: one that others made or changed.

    Its ETag changes with its size or modification time, and has a ``-`` so that no client takes it for an MD5.  So does
    its version id: where versions are kept, each state of such a file that zs3 replaces is one.

    :param inode: whether inode numbers are stable here, so that replacing the file changes the ETag too.
    """
    # What others set may be out of the range of what zs3 writes down: size and inode number tell such files apart.
    mtime_ns = max(-(1 << 63), min(status.st_mtime_ns, (1 << 63) - 1))
    facts = (status.st_size, mtime_ns, status.st_ino if inode else 0)
    digest = hashlib.blake2b(struct.pack("<qqQ", *facts), digest_size=16).hexdigest()
    headers = {"content-type": guess_type(key)}
    version = _plain_version(mtime_ns, digest)
    return ObjectInfo(key, status.st_size, status.st_mtime_ns, f"{digest}-1", Attributes(headers), version=version)


def _plain_version(mtime_ns: int, digest: str) -> str:
    return f"{max(mtime_ns, 0):016x}{digest[:16]}"


def is_plain(info: ObjectInfo) -> bool:
    """Whether a file is told so, see `plain_info`, and not from a record."""
    return info.etag.endswith("-1") and info.version == _plain_version(info.mtime_ns, info.etag)


def guess_type(key: str) -> str:
    """The content type that the name of a file suggests."""
    kind, encoding = mimetypes.guess_type(key.rsplit("/", 1)[-1], strict=False)
    if encoding is not None:
        return _COMPRESSED.get(encoding, DEFAULT_TYPE)
    return kind or DEFAULT_TYPE


def _runs(sizes: Sequence[int]) -> list[int]:
    """Run lengths, flat: nearly all parts of an upload have one size."""
    out: list[int] = []
    for size in sizes:
        if out and out[-2] == size:
            out[-1] += 1
        else:
            out += [size, 1]
    return out


def pack(record: Record) -> bytes:
    """The bytes of a record."""
    headers = dict(record.attributes.headers)
    kind = headers.pop("content-type", "")
    more: dict[str, Any] = {
        "t": kind if kind not in _CODES else None,
        "h": headers,
        "m": dict(record.attributes.metadata),
        "g": dict(record.attributes.tags),
        "a": record.attributes.access,
        "p": _runs(record.part_sizes),
        "u": record.upload_id,
        "c": [record.second.algorithm, record.second.value.hex()] if record.second else None,
        "l": _pack_lock(record.attributes.lock),
        "d": record.covers,
        _PARTS_FILE: record.part_checksums.file.hex(),
    }
    checksum = record.checksum
    flags = 0
    if checksum is not None and checksum.kind == COMPOSITE:
        flags, more["k"] = _COMPOSITE, checksum.parts
    values = record.part_checksums.values
    if values:
        flags |= _PARTS
    version = b""
    if record.version != NULL_VERSION:
        flags, version = flags | _VERSION, bytes.fromhex(record.version)
    more = {name: value for name, value in more.items() if value}
    return (
        _HEAD.pack(
            _FORMAT,
            flags,
            record.size,
            record.mtime_ns,
            record.digest,
            record.suffix,
            _CODES.get(kind, _OTHER),
            _ALGORITHMS.index(checksum.algorithm) if checksum else 0,
        )
        + (checksum.value if checksum else b"")
        + version
        + (_LENGTH.pack(len(values)) + values if values else b"")
        + (json.dumps(more, ensure_ascii=False, separators=(",", ":")).encode() if more else b"")
    )


def unpack(data: bytes) -> Record | None:
    """The record that `data` holds, or None if it holds none: it is then void, whatever the reason."""
    try:
        return _unpack(data)
    except (struct.error, ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _unpack(data: bytes) -> Record | None:
    version, flags, size, mtime_ns, digest, suffix, kind, algorithm = _HEAD.unpack_from(data)
    if version != _FORMAT or flags & _SIDECAR:
        return None
    at = _HEAD.size
    checksum = None
    if algorithm:
        name = _ALGORITHMS[algorithm]
        start, at = at, at + ALGORITHMS[name]
        if len(data) < at:
            return None
        checksum = Checksum(name, data[start:at], FULL_OBJECT, 0)
    number = NULL_VERSION
    if flags & _VERSION:
        start, at = at, at + _VERSION_SIZE
        if len(data) < at:
            return None
        number = data[start:at].hex()
    values = b""
    if flags & _PARTS:
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(data, at)[0]
        values = data[start:at]
        if len(data) < at:
            return None
    if len(data) == at and kind != _OTHER and not flags & (_COMPOSITE | _PARTS):
        # All there is, of most objects.
        return Record(size, mtime_ns, digest, suffix, _OF_TYPE[kind], checksum, version=number)
    more: dict[str, Any] = json.loads(data[at:]) if len(data) > at else {}
    headers: Mapping[str, str] = more.get("h", EMPTY)
    content_type = more.get("t") if kind == _OTHER else _TYPES[kind]
    if content_type:
        headers = {"content-type": content_type, **headers}
    if checksum is not None and flags & _COMPOSITE:
        checksum = replace(checksum, kind=COMPOSITE, parts=more["k"])
    runs = more.get("p", ())
    if sum(runs[1::2]) > MAX_PARTS:
        return None
    sizes = tuple(size for size, count in zip(runs[::2], runs[1::2], strict=True) for _ in range(count))
    metadata, tags, access = more.get("m", EMPTY), more.get("g", EMPTY), more.get("a", "")
    upload_id, covers = more.get("u", ""), more.get("d", "")
    second = None
    if "c" in more:
        name, text = more["c"]
        second = Checksum(name, bytes.fromhex(text))
        if len(second.value) != ALGORITHMS[name]:
            return None
    parts = NO_PART_CHECKSUMS
    if values or _PARTS_FILE in more:
        parts = PartChecksums(values, bytes.fromhex(more.get(_PARTS_FILE, "")))
        if len(parts.file) not in (0, 16):
            return None
    # Others can write into the attribute, too.
    texts = (*headers.values(), *metadata.values(), *tags.values(), access, upload_id, covers)
    if not all(isinstance(text, str) for text in texts):
        return None
    attributes = Attributes(headers, metadata, tags, access, _unpack_lock(more.get("l")))
    return Record(size, mtime_ns, digest, suffix, attributes, checksum, sizes, upload_id, second, parts, number, covers)


def _pack_lock(lock: Lock) -> list[Any] | None:
    return None if lock == NOT_LOCKED else [lock.mode, lock.until_ns, lock.legal_hold]


def _unpack_lock(packed: Any) -> Lock:
    if packed is None:
        return NOT_LOCKED
    mode, until_ns, legal_hold = packed
    if mode not in ("", GOVERNANCE, COMPLIANCE) or not isinstance(until_ns, int) or not isinstance(legal_hold, bool):
        raise ValueError("a record's lock")
    return Lock(mode, until_ns, legal_hold)


def part_checksums_file(data: bytes) -> bytes:
    """The 16 bytes that name the file with the checksums of the parts, or nothing if there is none."""
    record = unpack(data) if _PARTS_FILE_MARK in data else None
    return record.part_checksums.file if record else b""


def pack_reference(record: Record, name: bytes) -> bytes:
    """What stands in the attribute when the record itself is in the sidecar file `name` (16 bytes)."""
    return _HEAD.pack(_FORMAT, _SIDECAR, record.size, record.mtime_ns, name, 0, 0, 0)


def is_reference_for(data: bytes, status: os.stat_result) -> bool:
    """Whether an attribute says that the record of the file as it is, is in a sidecar."""
    if unpack_reference(data) is None:
        return False
    _, _, size, mtime_ns, *_ = _HEAD.unpack(data)
    return bool((size, mtime_ns) == (status.st_size, status.st_mtime_ns))


def unpack_reference(data: bytes) -> bytes | None:
    """The 16 bytes that name the sidecar file, or None if the record is not in one."""
    if len(data) != _HEAD.size or data[0] != _FORMAT or not data[1] & _SIDECAR:
        return None
    name: bytes = _HEAD.unpack(data)[4]
    return name
