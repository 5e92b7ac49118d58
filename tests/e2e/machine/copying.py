"""CopyObject and UploadPartCopy: of current objects and of versions, onto others and onto themselves."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.e2e.machine.base import CONDITIONS, HEADERS, TAGS, WRITE_CONDITIONS, keys, picks, same, sides
from tests.e2e.machine.multipart import Multipart, has_uploads
from tests.e2e.machine.reading import Reading
from tests.e2e.machine.writing import tagging
from tests.objectmodel import (
    FAILED,
    INVALID,
    NO_KEY,
    NO_RANGE,
    NO_UPLOAD,
    NO_VERSION,
    Refusal,
    copy_of,
    read_outcome,
    refused_write,
)
from tests.versionmodel import Version


class Copying(Reading, Multipart):
    def source(
        self, key: str, named: bool, how: tuple[str, str, int, int], pick: int
    ) -> tuple[Version | None, dict[str, str], Refusal | None]:
        """What is to be copied, the headers that say so, and why it cannot be."""
        version, query = self.found(key, named, pick)
        told = "".join(f"?{name}={value}" for name, value in query.items())
        headers = {"x-amz-copy-source": f"/{self.bucket}/{quote(key)}{told}"}
        if version is None:
            return None, headers, NO_VERSION if named else NO_KEY
        if version.marker:
            return None, headers, INVALID
        condition, more = self.condition(key, version, how, pick)
        headers |= {f"x-amz-copy-source-{name}": value for name, value in more.items()}
        return version, headers, None if read_outcome(condition, version) == 200 else FAILED

    @rule(number=keys, into=keys, times=st.integers(1, 3), side=sides)
    def copy(self, number: int, into: int, times: int, side: int) -> None:
        for at in range(times):
            self.copy_somehow(self.likely_key(number + at), self.key(into), side)

    def copy_somehow(self, source: str, key: str, side: int) -> None:
        choose, pick = self.chance.choice, self.chance.randrange(1 << 16)
        named, how = choose((False, False, True)), choose((*[("", "", 0, 0)] * 3, choose(CONDITIONS)))
        version, headers, refusal = self.source(source, named, how, pick)
        condition, conditional = self.write_condition(key, choose(WRITE_CONDITIONS), pick)
        replaces, given = choose((False, True)), choose(HEADERS)
        retagged, tags = choose((False, True)), choose(TAGS)
        algorithm = choose(("", "", "", "SHA256", "CRC64NVME"))
        changes = replaces or any(name.startswith("x-amz-") and "meta" not in name for name, _ in given)
        illegal = INVALID if source == key and not changes and not (named and self.state) else None
        asked = {
            **headers,
            **conditional,
            **dict(given),
            **tagging(tags),
            "x-amz-metadata-directive": "REPLACE" if replaces else "COPY",
            "x-amz-tagging-directive": "REPLACE" if retagged else "COPY",
            **({"x-amz-checksum-algorithm": algorithm} if algorithm else {}),
        }
        turn = self.turn()
        answer = self.ask(side, "PUT", key, headers=asked)
        if not self.ended(answer, illegal or refusal or refused_write(condition, self.histories[key].current)):
            self.check(key, 1 - side)
            return
        assert version is not None
        new = copy_of(
            version, turn, given=given, replaces=replaces, tags=tags if retagged else None, algorithm=algorithm
        )
        same(self.document(answer).findtext("ETag"), f'"{new.etag}"')
        self.put_version(key, new, answer, side)

    @has_uploads
    @rule(upload=picks, part=st.sampled_from((1, 2, 3)), side=sides)
    def copy_part(self, upload: int, part: int, side: int) -> None:
        self.copy_part_somehow(self.picked(upload), part, side)

    def copy_part_somehow(self, at: int, part: int, side: int) -> None:
        choose, pick = self.chance.choice, self.chance.randrange(1 << 16)
        before, how = self.uploads[at], choose((("", "", 0, 0), ("", "", 0, 0), choose(CONDITIONS)))
        version, headers, refusal = self.source(self.likely_key(pick), choose((False, False, True)), how, pick)
        span = choose((None, None, (0, 0), (2, 5), (0, 4999), (3, 99_999_999)))
        if span:
            headers["x-amz-copy-source-range"] = f"bytes={span[0]}-{span[1]}"
        query = {"partNumber": str(part), "uploadId": before.id}
        answer = self.ask(side, "PUT", before.key, query=query, headers=headers)
        if version is not None and span is not None and span[1] >= len(version.data):
            refusal = refusal or NO_RANGE
        if self.ended(answer, NO_UPLOAD if before.ended else refusal):
            assert version is not None
            data = version.data if span is None else version.data[span[0] : span[1] + 1]
            etag = (self.document(answer).findtext("ETag") or "").strip('"')
            if len(data) == len(version.data) and "-" not in version.etag:
                same(etag, version.etag)
            self.uploads[at] = before.put_copy(part, version, data, etag)
