"""The additional checksums of S3: algorithms, values, and running hashers.

Ground floor and pure.  CRC32C, CRC64NVME and the xxHashes come from awscrt
(the library that AWS's own SDKs use, kept by AWS, wheels for every platform);
CRC32 from zlib, which is faster still; MD5 and SHA from hashlib.  All values
are big-endian, which is the canonical form of an xxHash too.

Source: Amazon S3 User Guide, "Checking object integrity in Amazon S3".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"

#: algorithm -> length of its value in bytes, in the order of the record's codes (append only)
ALGORITHMS: dict[str, int] = {
    "CRC32": 4,
    "CRC32C": 4,
    "CRC64NVME": 8,
    "SHA1": 20,
    "SHA256": 32,
    "SHA512": 64,
    "MD5": 16,
    "XXHASH64": 8,
    "XXHASH3": 8,
    "XXHASH128": 16,
}

#: What an object is given whose client sends none.
DEFAULT = "CRC64NVME"

HEADER_PREFIX = "x-amz-checksum-"
#: header name in lower case -> algorithm
HEADERS: dict[str, str] = {HEADER_PREFIX + name.lower(): name for name in ALGORITHMS}


class Hasher(Protocol):
    """What `hashlib` objects offer, as far as it is used here."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


def _crt() -> Any:
    """awscrt's checksums.

    Imported where the first byte is hashed, in a thread: it takes a tenth of a second and 5 MiB of memory, which a
    daemon that only reads has no need of.
    """
    from awscrt import checksums

    return checksums


class _Crc:
    """A CRC with the interface of a hashlib object.

    :param function: gives the function that goes on from a value, with the bytes and that.
    """

    def __init__(self, function: Callable[[], Callable[[bytes | memoryview, int], int]], size: int) -> None:
        self._function, self._size, self._value = function, size, 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._function()(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class _XxHash:
    """One of awscrt's xxHashes with the interface of a hashlib object."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._hash: Any = None

    def _started(self) -> Any:
        if self._hash is None:
            self._hash = getattr(_crt().XXHash, self._name)()
        return self._hash

    def update(self, data: bytes | memoryview, /) -> None:
        # It takes no view.
        self._started().update(bytes(data))

    def digest(self) -> bytes:
        value: bytes = self._started().finalize()
        return value


_NEW: dict[str, Callable[[], Hasher]] = {
    "CRC32": lambda: _Crc(lambda: zlib.crc32, 4),
    "CRC32C": lambda: _Crc(lambda: _crt().crc32c, 4),
    "CRC64NVME": lambda: _Crc(lambda: _crt().crc64nvme, 8),
    "XXHASH64": lambda: _XxHash("new_xxhash64"),
    "XXHASH3": lambda: _XxHash("new_xxhash3_64"),
    "XXHASH128": lambda: _XxHash("new_xxhash3_128"),
}


def new(algorithm: str) -> Hasher:
    """A running hasher for one of `ALGORITHMS`."""
    make = _NEW.get(algorithm)
    return make() if make else hashlib.new(algorithm.lower(), usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Checksum:
    """An object's or part's additional checksum.

    :ivar algorithm: a key of `ALGORITHMS`.
    :ivar value: the raw digest.
    :ivar kind: `FULL_OBJECT`, or `COMPOSITE` for a checksum of the parts' checksums.
    :ivar parts: the number of parts of a COMPOSITE, else 0; also for one part of such an object.
    """

    algorithm: str
    value: bytes
    kind: str = FULL_OBJECT
    parts: int = 0

    @property
    def text(self) -> str:
        """The value as S3 writes it: base64, and ``-N`` behind a COMPOSITE."""
        text = base64.b64encode(self.value).decode("ascii")
        return f"{text}-{self.parts}" if self.parts else text

    @property
    def header(self) -> str:
        """The name of its header, in lower case."""
        return HEADER_PREFIX + self.algorithm.lower()

    @property
    def element(self) -> str:
        """The name of its XML element, e.g. ``ChecksumCRC32``."""
        return "Checksum" + self.algorithm


def decode(algorithm: str, text: str) -> bytes | None:
    """The raw digest that `text` is the strict base64 of, or None if it is not one of this algorithm."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == ALGORITHMS[algorithm] else None


def types(algorithm: str) -> tuple[str, ...]:
    """What the checksum of an object made of parts can be, the default first.

    The checksum of a whole follows from those of its parts for a CRC only.
    Source: User Guide, "Checking object integrity", table of full object and composite checksum types.
    """
    if algorithm == "CRC64NVME":
        return (FULL_OBJECT,)
    return (COMPOSITE, FULL_OBJECT) if algorithm.startswith("CRC") else (COMPOSITE,)


def composite(algorithm: str, values: Sequence[bytes]) -> Checksum:
    """The checksum of the parts' checksums, as S3 writes it for a multipart upload."""
    hasher = new(algorithm)
    hasher.update(b"".join(values))
    return Checksum(algorithm, hasher.digest(), COMPOSITE, len(values))


def combine(algorithm: str, parts: Sequence[tuple[bytes, int]]) -> Checksum:
    """The checksum of a whole from the (value, size in bytes) of its parts, in order; that of a CRC."""
    combiner: Callable[[int, int, int], int] = getattr(_crt(), f"combine_{algorithm.lower()}")
    total = 0
    for value, size in parts:
        total = combiner(total, int.from_bytes(value, "big"), size)
    return Checksum(algorithm, total.to_bytes(ALGORITHMS[algorithm], "big"))
