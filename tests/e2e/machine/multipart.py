"""Multipart uploads in any interleaving: several of a key and of several keys, each step of them by either daemon."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.e2e.machine.base import HEADERS, SIZES, TAGS, Base, keys, picks, same, sides
from tests.e2e.machine.writing import PROOFS, Sent, tagging
from tests.e2e.signed import elements, texts
from tests.objectmodel import (
    COMPOSITE,
    FULL_OBJECT,
    INVALID,
    NO_UPLOAD,
    SMALLEST_PART,
    Headers,
    Tags,
    Upload,
    list_parts,
    refused_write,
)

FIRST_PART = bytes(SMALLEST_PART)

#: Algorithm and type of the checksum that an upload is to have.
CHECKSUMS = (
    *[("", FULL_OBJECT)] * 3,
    ("CRC32", COMPOSITE),
    ("CRC32C", FULL_OBJECT),
    ("CRC64NVME", FULL_OBJECT),
    ("SHA256", COMPOSITE),
)
#: Parts of 5 MiB take long.
large = st.integers(1, 20).map(lambda number: number == 7)
has_uploads = precondition(lambda self: self.uploads)


def part_list(parts: Sequence[tuple[int, str]]) -> bytes:
    """What completes an upload: numbers of parts and their ETags."""
    told = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload>{told}</CompleteMultipartUpload>".encode()


class Multipart(Base):
    def picked(self, pick: int) -> int:
        """The place of an upload that is under way, or now and then one of the last, which may have ended."""
        ways = [at for at, each in enumerate(self.uploads) if not each.ended]
        if not ways or pick % 5 == 0:
            ways = list(range(len(self.uploads)))[-3:]
        return ways[pick % len(ways)]

    def begin_upload(
        self, key: str, side: int, headers: Headers = (), tags: Tags = (), algorithm: str = "", kind: str = FULL_OBJECT
    ) -> int:
        """The place of the upload among all."""
        asked = {**dict(headers), **tagging(tags)}
        if algorithm:
            asked |= {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
        document = self.document(self.ask(side, "POST", key, query={"uploads": ""}, headers=asked))
        same(document.findtext("Key"), key)
        self.uploads.append(Upload(key, document.findtext("UploadId") or "", headers, tags, algorithm, kind))
        return len(self.uploads) - 1

    def put_part(self, at: int, number: int, data: bytes, side: int, proof: str = "") -> None:
        upload = self.uploads[at]
        sent = Sent(data, proof)
        query = {"partNumber": str(number), "uploadId": upload.id}
        answer = self.ask(
            side, "PUT", upload.key, query=query, headers=sent.headers, body=sent.body, payload=sent.payload
        )
        other = upload.algorithm and sent.algorithm not in ("", upload.algorithm)
        if self.ended(answer, NO_UPLOAD if upload.ended else None, INVALID if other else None, sent.refusal):
            self.uploads[at] = upload.put(number, data)
            same(answer.headers["ETag"], f'"{self.uploads[at].parts[number].etag}"')

    @rule(number=keys, side=sides)
    def begin(self, number: int, side: int) -> None:
        choose = self.chance.choice
        self.begin_upload(self.key(number), side, choose(HEADERS), choose(TAGS), *choose(CHECKSUMS))

    @has_uploads
    @rule(pick=picks, number=st.sampled_from((1, 1, 2, 3, 10_000)), large=large, side=sides)
    def part(self, pick: int, number: int, large: bool, side: int) -> None:
        at = self.picked(pick)
        self.turn()
        data = FIRST_PART if large and number == 1 else self.body(self.chance.choice(SIZES))
        self.put_part(at, number, data, side, self.chance.choice(PROOFS))

    @has_uploads
    @rule(pick=picks, side=sides)
    def abort(self, pick: int, side: int) -> None:
        at = self.picked(pick)
        upload = self.uploads[at]
        answer = self.ask(side, "DELETE", upload.key, query={"uploadId": upload.id})
        self.ended(answer, NO_UPLOAD if upload.ended else None)
        self.uploads[at] = upload.end()

    @has_uploads
    @rule(pick=picks, side=sides)
    def complete(self, pick: int, side: int) -> None:
        choose = self.chance.choice
        chosen = choose(("all", "all", "last", "one", "swapped", "wrong", "missing", "twice"))
        how = choose(("", "", "", "create", "match", "match other", "not other", "size", "wrong size"))
        at = self.picked(pick)
        parts = [(number, each.etag) for number, each in self.uploads[at].parts.items()]
        if chosen == "one":
            parts = parts[:1]
        elif chosen == "last":
            parts = parts[-1:]
        elif chosen == "swapped":
            parts.reverse()
        elif chosen == "wrong" and parts:
            parts[-1] = (parts[-1][0], "0" * 32)
        elif chosen == "twice":
            parts = parts[:1] * 2
        if chosen == "missing" or not parts:
            parts.append((9_999, "0" * 32))
            parts.sort()
        self.complete_upload(at, parts, side, how, pick)

    def complete_upload(
        self, at: int, parts: Sequence[tuple[int, str]], side: int, how: str = "", pick: int = 0
    ) -> None:
        upload = self.uploads[at]
        key, history = upload.key, self.histories[upload.key]
        sized = how.endswith("size")
        condition, headers = self.write_condition(key, "" if sized else how, pick)
        size = sum(len(upload.parts[number].data) for number, _ in parts if number in upload.parts)
        if sized:
            headers["x-amz-mp-object-size"] = str(size + (how != "size"))
        turn = self.turn()
        query = {"uploadId": upload.id}
        answer = self.ask(side, "POST", key, query=query, headers=headers, body=part_list(parts))
        if upload.ended:
            # It may have been this that made the object, and the client that does not know.
            if history.current is None or history.current.upload != upload.id:
                self.refused(answer, NO_UPLOAD)
            else:
                same(elements(self.ok(answer).body).findtext("ETag"), f'"{history.current.etag}"')
            self.check(key, 1 - side)
            return
        refusal = upload.refused(parts) or (INVALID if how == "wrong size" else None)
        if not self.ended(answer, refusal or refused_write(condition, history.current)):
            self.check(key, 1 - side)
            return
        new = upload.complete(turn, [number for number, _ in parts])
        document = elements(answer.body)
        kind = document.findtext("ChecksumType")
        if new.checksum is None:
            assert kind is None
        else:
            told = document.findtext(f"Checksum{new.checksum.algorithm}")
            same((told, kind), (new.checksum.text, new.checksum.kind))
        same(document.findtext("ETag"), f'"{new.etag}"')
        same(document.findtext("Key"), key)
        self.uploads[at] = upload.end()
        self.put_version(key, new, answer, side)

    @has_uploads
    @rule(pick=picks, side=sides)
    def list_parts(self, pick: int, side: int) -> None:
        self.list_parts_somehow(self.picked(pick), side)

    def list_parts_somehow(self, at: int, side: int) -> None:
        upload = self.uploads[at]
        limit, marker = self.chance.choice((0, 1, 2, 1000)), self.chance.choice((0, 0, 1, 2, 9_999))
        query = {"max-parts": str(limit), "part-number-marker": str(marker), "uploadId": upload.id}
        answer = self.ask(side, "GET", upload.key, query=query)
        if not self.ended(answer, NO_UPLOAD if upload.ended else None):
            return
        document = elements(answer.body)
        told = [tuple(texts(each, "PartNumber", "ETag", "Size")) for each in document.iterchildren("Part")]
        numbers, truncated = list_parts(upload, marker, limit)
        wanted = [(number, upload.parts[number]) for number in numbers]
        same(told, [(str(number), f'"{part.etag}"', str(len(part.data))) for number, part in wanted])
        following = str(numbers[-1] if numbers else 0), str(truncated).lower()
        same(tuple(texts(document, "NextPartNumberMarker", "IsTruncated")), following)
        same(document.findtext("Key"), upload.key)
        same(document.findtext("ChecksumAlgorithm") or "", upload.algorithm)
