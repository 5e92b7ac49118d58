"""PutObject, with all that a client may store with an object, and prove of it."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.e2e.machine.base import (
    HEADERS,
    SIZES,
    TAGS,
    WRITE_CONDITIONS,
    Base,
    headers_of_new,
    keys,
    same,
    sides,
    sizes,
)
from tests.objectmodel import BAD_DIGEST, Headers, Refusal, Tags, checksum_of, object_of, refused_write
from tests.unit.signing import encode_chunks

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "XXHASH128")
#: How the bytes are proven: nothing, or a digest of them, which may be that of others.
PROOFS = (
    *([""] * 12),
    *("md5", "wrong md5", "chunks", "wrong chunks", *ALGORITHMS, *map("wrong {}".format, ALGORITHMS)),
)


def tagging(tags: Tags) -> dict[str, str]:
    """The header of these tags."""
    return {"x-amz-tagging": urlencode(tags)} if tags else {}


class Sent:
    """How bytes are sent.

    :ivar algorithm: of the checksum, "" for none.
    :ivar headers: that say so.
    """

    def __init__(self, data: bytes, proof: str) -> None:
        kind = proof.removeprefix("wrong ")
        claimed = data + b"!" if kind != proof else data
        self.refusal: Refusal | None = BAD_DIGEST if kind != proof else None
        self.headers: dict[str, str] = {}
        self.algorithm, self.payload, self.body = "", "UNSIGNED-PAYLOAD", data
        if kind == "md5":
            self.headers["Content-MD5"] = base64.b64encode(hashlib.md5(claimed).digest()).decode()
        elif kind == "chunks":
            self.algorithm, name = "CRC32", "x-amz-checksum-crc32"
            middle = len(data) // 2
            pieces = [piece for piece in (data[:middle], data[middle:]) if piece]
            self.body = encode_chunks(pieces, trailers=[(name, checksum_of("CRC32", claimed).text)])
            self.payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
            self.headers = {"x-amz-decoded-content-length": str(len(data)), "x-amz-trailer": name}
        elif kind:
            self.algorithm = kind
            self.headers[f"x-amz-checksum-{kind.lower()}"] = checksum_of(kind, claimed).text


class Writing(Base):
    @rule(number=keys, times=st.integers(1, 3), side=sides)
    def put(self, number: int, times: int, side: int) -> None:
        for _ in range(times):
            self.put_somehow(self.key(number), side)

    def put_somehow(self, key: str, side: int) -> None:
        choose, pick = self.chance.choice, self.chance.randrange(1 << 16)
        how, headers, tags = choose(WRITE_CONDITIONS), choose(HEADERS), choose(TAGS)
        condition, conditional = self.write_condition(key, how, pick)
        turn = self.turn()
        data = self.body(choose(SIZES))
        sent = Sent(data, choose(PROOFS))
        asked = {**dict(headers), **tagging(tags), **conditional, **sent.headers}
        answer = self.ask(side, "PUT", key, headers=asked, body=sent.body, payload=sent.payload)
        if not self.ended(answer, sent.refusal, refused_write(condition, self.histories[key].current)):
            self.check(key, 1 - side)
            return
        new = object_of(turn, data, headers, tags, sent.algorithm)
        same(answer.headers["ETag"], f'"{new.etag}"')
        told = {name: answer.headers[name] for name in self.checksum_headers(new)}
        same(told, self.checksum_headers(new))
        self.put_version(key, new, answer, side)

    @rule(number=keys, size=sizes, headers=headers_of_new, side=sides)
    def put_simply(self, number: int, size: int, headers: Headers, side: int) -> None:
        self.fill(self.key(number), size, headers, side)
