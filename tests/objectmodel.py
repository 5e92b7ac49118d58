"""What clients are to be told of objects and multipart uploads: a small model that the daemon is held against.  Pure.

Of a request it says how it must end, and what there is then.  The versions of an object, and the listings, are in
`tests.versionmodel`; that checksums are computed rightly is tested elsewhere (`zs3.checksums`).
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tests.versionmodel import Checksum, Page, Stored, Version, page_of
from zs3 import checksums

FULL_OBJECT, COMPOSITE = "FULL_OBJECT", "COMPOSITE"
#: What an object is given whose client sends none.
DEFAULT = "CRC64NVME"
SMALLEST_PART = 5 << 20

#: What a copy does not take from its source.
_OWN = ("x-amz-storage-class", "x-amz-website-redirect-location")

Headers = tuple[tuple[str, str], ...]
Tags = tuple[tuple[str, str], ...]


class Refusal(NamedTuple):
    """How a request fails."""

    status: int
    code: str


NO_KEY = Refusal(404, "NoSuchKey")
NO_UPLOAD = Refusal(404, "NoSuchUpload")
NO_VERSION = Refusal(404, "NoSuchVersion")
FAILED = Refusal(412, "PreconditionFailed")
IS_MARKER = Refusal(405, "MethodNotAllowed")
BAD_DIGEST = Refusal(400, "BadDigest")
INVALID = Refusal(400, "InvalidRequest")
NO_RANGE = Refusal(416, "InvalidRange")


@functools.lru_cache(32)
def etag_of(data: bytes) -> str:
    """Of an object or a part; those of 5 MiB are the same again and again."""
    return hashlib.md5(data).hexdigest()


@functools.lru_cache(32)
def digest_of(algorithm: str, data: bytes) -> bytes:
    hasher = checksums.new(algorithm)
    hasher.update(data)
    return hasher.digest()


def checksum_of(algorithm: str, data: bytes) -> Checksum:
    return Checksum(algorithm, base64.b64encode(digest_of(algorithm, data)).decode(), FULL_OBJECT)


def object_of(turn: int, data: bytes, headers: Headers = (), tags: Tags = (), algorithm: str = "") -> Version:
    """What PutObject makes, but for its id."""
    checksum = checksum_of(algorithm or DEFAULT, data)
    return Version("", turn, data, etag_of(data), tags, headers=headers, checksum=checksum)


# Conditions -----------------------------------------------------------------------------------------------------------


class Condition(NamedTuple):
    """:ivar match: an ETag, ``*``, or "" for no such condition.
    :ivar since: offsets in seconds from when the object was modified, or None.
    """

    match: str = ""
    none_match: str = ""
    modified_since: int | None = None
    unmodified_since: int | None = None


def _is(tag: str, version: Version) -> bool:
    return tag in ("*", version.etag)


def read_outcome(condition: Condition, version: Version) -> int:
    """200, 304 or 412.  A tag overrules the time beside it."""
    if condition.match:
        if not _is(condition.match, version):
            return 412
    elif condition.unmodified_since is not None and condition.unmodified_since < 0:
        return 412
    if condition.none_match:
        return 304 if _is(condition.none_match, version) else 200
    return 304 if condition.modified_since is not None and condition.modified_since >= 0 else 200


def refused_write(condition: Condition, current: Version | None) -> Refusal | None:
    """Whether a write, or a deletion, must not happen."""
    if current is None:
        return NO_KEY if condition.match else None
    if condition.match and not _is(condition.match, current):
        return FAILED
    return FAILED if condition.none_match and _is(condition.none_match, current) else None


# Reading --------------------------------------------------------------------------------------------------------------

#: Values of `Range`: the first and the last byte, where that is a range at all, or is heeded.
RANGES: Mapping[str, tuple[int | None, int | None] | None] = {
    "bytes=0-0": (0, 0),
    "bytes=1-4": (1, 4),
    "bytes=3-": (3, None),
    "bytes=0-99999999": (0, None),
    "bytes=5000-5001": (5000, 5001),
    "bytes=-3": (None, 3),
    "bytes=-99999999": (None, 99999999),
    "bytes=-0": (None, 0),
    "bytes=99999999-": (99999999, None),
    "bytes=4-1": None,
    "bytes=0-1,3-4": None,
    "lines=0-1": None,
}


class Read(NamedTuple):
    """How a GET or HEAD ends: 200, 206, 304, or an error; and with which bytes."""

    status: int
    code: str = ""
    first: int = 0
    size: int = 0


def read(version: Version, condition: Condition, wanted: str, part: int) -> Read:
    """:param wanted: the `Range`, "" for none.
    :param part: the number of a part, 0 for none.
    """
    whole = len(version.data)
    outcome = read_outcome(condition, version)
    if outcome != 200:
        return Read(outcome, "PreconditionFailed" if outcome == 412 else "")
    if part:
        if wanted:
            return Read(*INVALID)
        sizes = [each.size for each in version.parts] or [whole]
        if part > len(sizes):
            return Read(416, "InvalidPartNumber")
        size = sizes[part - 1]
        return Read(206 if size else 200, "", sum(sizes[: part - 1]), size)
    span = RANGES[wanted] if wanted else None
    if span is None:
        return Read(200, "", 0, whole)
    first, last = span
    if first is None:
        first, last = max(0, whole - (last or 0)), None
    if first >= whole:
        return Read(*NO_RANGE)
    return Read(206, "", first, (whole if last is None else min(last + 1, whole)) - first)


# Copying --------------------------------------------------------------------------------------------------------------


def copy_of(
    source: Version, turn: int, *, given: Headers, replaces: bool, tags: Tags | None, algorithm: str = ""
) -> Version:
    """What CopyObject makes, but for its id.

    :param tags: None for those of the source.
    :param algorithm: what its checksum is to be, "" for that of the source.
    """
    own = tuple(each for each in given if each[0] in _OWN)
    headers = given if replaces else tuple(sorted((*(e for e in source.headers if e[0] not in _OWN), *own)))
    checksum = source.checksum
    if algorithm and (checksum is None or (checksum.algorithm, checksum.kind) != (algorithm, FULL_OBJECT)):
        checksum = checksum_of(algorithm, source.data)
    kept = source.tags if tags is None else tags
    return Version("", turn, source.data, source.etag, kept, headers=headers, checksum=checksum)


# Multipart uploads ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """:ivar digest: in the algorithm of the object's checksum, if it is known."""

    data: bytes
    etag: str
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload.

    :ivar algorithm: of the checksum that was asked for, or "".
    :ivar ended: whether it was completed or aborted.
    """

    key: str
    id: str
    headers: Headers = ()
    tags: Tags = ()
    algorithm: str = ""
    kind: str = FULL_OBJECT
    parts: Mapping[int, Part] = field(default_factory=dict)
    ended: bool = False

    def end(self) -> Upload:
        return replace(self, ended=True)

    def put(self, number: int, data: bytes, etag: str = "", *, known: bool = True) -> Upload:
        """:param known: whether the part has a checksum in the algorithm of the object's."""
        digest = digest_of(self.algorithm or DEFAULT, data) if known else None
        part = Part(data, etag or etag_of(data), digest)
        return replace(self, parts=dict(sorted({**self.parts, number: part}.items())))

    def put_copy(self, number: int, source: Version, data: bytes, etag: str) -> Upload:
        """UploadPartCopy; only where a checksum was asked for, the copy is read for one."""
        has = source.checksum is not None and len(data) == len(source.data)
        known = has and source.checksum is not None and source.checksum[::2] == (DEFAULT, FULL_OBJECT)
        return self.put(number, data, etag, known=bool(self.algorithm) or known)

    def refused(self, chosen: Sequence[tuple[int, str]]) -> Refusal | None:
        """Whether it cannot be completed with these parts: their numbers and ETags."""
        numbers = [number for number, _ in chosen]
        if numbers != sorted(set(numbers)):
            return Refusal(400, "InvalidPartOrder")
        if any(number not in self.parts or self.parts[number].etag != etag for number, etag in chosen):
            return Refusal(400, "InvalidPart")
        if any(len(self.parts[number].data) < SMALLEST_PART for number in numbers[:-1]):
            return Refusal(400, "EntityTooSmall")
        if self.algorithm and numbers != list(range(1, len(numbers) + 1)):
            return Refusal(400, "InvalidPartOrder")
        return None

    def complete(self, turn: int, numbers: Iterable[int]) -> Version:
        """What completing it with these parts makes, but for its id."""
        parts = [self.parts[number] for number in numbers]
        data = b"".join(part.data for part in parts)
        digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts)).hexdigest()
        checksum, known = None, [part.digest for part in parts if part.digest is not None]
        algorithm = self.algorithm or DEFAULT
        if len(known) == len(parts):
            if self.kind == FULL_OBJECT:
                checksum = checksum_of(algorithm, data)
            else:
                text = base64.b64encode(digest_of(algorithm, b"".join(known))).decode()
                checksum = Checksum(algorithm, f"{text}-{len(parts)}", COMPOSITE)
        stored = tuple(
            Stored(len(part.data), base64.b64encode(part.digest).decode() if checksum and part.digest else "")
            for part in parts
        )
        return Version(
            *("", turn, data, f"{digest}-{len(parts)}", self.tags),
            headers=self.headers,
            checksum=checksum,
            parts=stored,
            upload=self.id,
        )


def list_uploads(
    uploads: Iterable[Upload], prefix: str, delimiter: str, key_marker: str, upload_marker: str, limit: int
) -> Page:
    """ListMultipartUploads.

    :param uploads: all there ever were, the oldest first.
    """
    there = sorted((each for each in uploads if not each.ended), key=lambda each: each.key.encode())
    after = [
        each
        for each in there
        if each.key.encode() > key_marker.encode()
        or (each.key == key_marker and upload_marker and each.id > upload_marker)
    ]
    return page_of(after, prefix, delimiter, key_marker, limit)


def list_parts(upload: Upload, after: int, limit: int) -> tuple[list[int], bool]:
    """ListParts: the numbers, and whether there are more."""
    numbers = [number for number in upload.parts if number > after]
    return numbers[:limit], len(numbers) > limit > 0
