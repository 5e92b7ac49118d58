"""What the bytes of a file prove of its record: hashing them, and comparing.  Pure.

A record knows an ETag, and mostly a checksum.  The ETag of a multipart upload
is made of the parts' MD5s, unless a part was copied and not read; then it is
only a number, which proves nothing when it differs, and a checksum counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from zs3 import checksums
from zs3.checksums import COMPOSITE, DEFAULT, Checksum, Hasher
from zs3.store.metadata import Record
from zs3.store.values import Digests

ETAG = "ETag"


class Evidence(NamedTuple):
    """What was found.

    :ivar differs: what the record says that the content is not: `ETAG`, algorithms.
    :ivar agrees: what it says that the content is.
    :ivar parts: the numbers of the parts that differ, as far as their checksums are known.
    """

    differs: tuple[str, ...] = ()
    agrees: tuple[str, ...] = ()
    parts: tuple[int, ...] = ()


def _md5() -> Hasher:
    return hashlib.md5(usedforsecurity=False)


class _Pieces:
    """Hashes a file piece by piece.

    :param sizes: of the pieces, in bytes; None for one, whatever its size.
    :ivar values: of the pieces that are complete.
    """

    def __init__(self, new: Callable[[], Hasher], sizes: tuple[int, ...] | None) -> None:
        self._new, self._sizes = new, sizes
        self._hasher = new()
        self._left = sizes[0] if sizes else 0
        self.values: list[bytes] = []

    def feed(self, data: memoryview) -> None:
        if self._sizes is None:
            self._hasher.update(data)
            return
        while data:
            if not self._left:
                self._next()
            piece, data = data[: self._left], data[self._left :]
            self._hasher.update(piece)
            self._left -= len(piece)

    def _next(self) -> None:
        """The piece is complete: begin the next one that is not empty."""
        while not self._left:
            self.values.append(self._hasher.digest())
            self._hasher = self._new()
            self._left = self._sizes[len(self.values)] if self._sizes else 0

    def finish(self) -> list[bytes]:
        """The values of all pieces."""
        while len(self.values) < (1 if self._sizes is None else len(self._sizes)):
            self.values.append(self._hasher.digest())
            self._hasher = self._new()
        return self.values


class Hashing:
    """Hashes a file that is read from its beginning to its end, as far as its record asks for it.

    :param record: None if there is none, or none that counts.
    :param part: the record is that of a part of an upload.
    :param adopting: `digests` will be wanted.
    """

    def __init__(self, record: Record | None, *, part: bool = False, adopting: bool = False) -> None:
        self._record, self._part = record, part
        self._size = 0
        self._sizes = _usable_sizes(record) if record else None
        self._etag = self._checksum = self._second = self._md5 = None
        if record is not None:
            if not record.suffix or self._sizes is not None:
                self._etag = _Pieces(_md5, self._sizes)
            self._checksum = self._of(record.checksum)
            self._second = self._of(record.second)
        if adopting:
            self._md5 = _Pieces(_md5, None)
            self._default = _Pieces(lambda: checksums.new(DEFAULT), None)
        self._all: list[_Pieces] = [
            each for each in (self._etag, self._checksum, self._second, self._md5) if each is not None
        ]
        if adopting:
            self._all.append(self._default)

    def _of(self, checksum: Checksum | None) -> _Pieces | None:
        if checksum is None:
            return None
        by_part = self._sizes is not None and checksum.algorithm.startswith("CRC")
        if checksum.kind == COMPOSITE:
            by_part = True
            if self._sizes is None or len(self._sizes) != checksum.parts:
                # It is known of what parts it was made, but not where they end.
                return None
        return _Pieces(lambda: checksums.new(checksum.algorithm), self._sizes if by_part else None)

    def feed(self, data: memoryview) -> None:
        """Take the next bytes."""
        self._size += len(data)
        for each in self._all:
            each.feed(data)

    def evidence(self) -> Evidence:
        """What they prove, once all are there; they are as many as the record says."""
        record = self._record
        if record is None:
            return Evidence()
        results: list[tuple[str, bool]] = []
        parts: list[int] = []
        for checksum, pieces in ((record.checksum, self._checksum), (record.second, self._second)):
            if checksum is not None and pieces is not None:
                values = pieces.finish()
                results.append((checksum.algorithm, self._whole(checksum, values) == checksum.value))
                known = record.part_checksums.values
                if not results[-1][1] and len(known) == len(b"".join(values)):
                    size = len(checksum.value)
                    parts = [at + 1 for at, each in enumerate(values) if known[at * size : (at + 1) * size] != each]
        if self._etag is not None:
            digests = self._etag.finish()
            digest = (
                digests[0] if self._sizes is None else hashlib.md5(b"".join(digests), usedforsecurity=False).digest()
            )
            # A part that was copied may have a number that is no MD5, and so may what was made of it.
            if digest == record.digest or not (record.suffix or self._part):
                results.insert(0, (ETAG, digest == record.digest))
        return Evidence(
            tuple(name for name, same in results if not same),
            tuple(name for name, same in results if same),
            tuple(parts) if self._sizes else (),
        )

    def _whole(self, checksum: Checksum, values: list[bytes]) -> bytes:
        if checksum.kind == COMPOSITE:
            return checksums.composite(checksum.algorithm, values).value
        if len(values) == 1:
            return values[0]
        return checksums.combine(checksum.algorithm, list(zip(values, self._sizes or (), strict=True))).value

    def digests(self) -> Digests:
        """The MD5 and the usual checksum of what was read."""
        if self._md5 is None:
            raise ValueError("not asked for")
        return Digests(self._md5.finish()[0], self._size, Checksum(DEFAULT, self._default.finish()[0]))


def _usable_sizes(record: Record) -> tuple[int, ...] | None:
    """The sizes of the parts, if the ETag is made of these."""
    sizes = record.part_sizes
    return sizes if sizes and len(sizes) == record.suffix and sum(sizes) == record.size else None
