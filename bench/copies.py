"""What a server makes of bytes that it has already: CopyObject, and CompleteMultipartUpload.

Two sizes of each show whether the time follows the size.  Where the file system shares blocks (xfs, btrfs) it need not.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import ClassVar

from bench.cases import Case, content, require
from bench.samples import Work
from bench.server import BUCKET, Server
from bench.signing import Call, sha256

_MIB = 1024**2
_PART = 16 * _MIB


def _put(server: Server, path: str, body: bytes, query: tuple[tuple[str, str], ...] = ()) -> str:
    """PUT an object or a part; its ETag."""
    answer = server.call(Call("PUT", path, query, len(body), sha256(body)), body)
    require(answer.status == 200, answer, f"PUT {path}")
    return answer.headers["ETag"]


def _check_size(server: Server, path: str, size: int) -> None:
    answer = server.call(Call("HEAD", path))
    require(answer.headers["Content-Length"] == str(size), answer, f"the size of {path}")


@dataclass(frozen=True)
class Complete(Case):
    """CompleteMultipartUpload of parts of 16 MiB, one upload in a measurement."""

    parts: int

    most: ClassVar[int] = 1
    writes: ClassVar[bool] = True

    @property
    def _path(self) -> str:
        return f"/{BUCKET}/complete-{self.parts}"

    def _upload(self, server: Server) -> tuple[Call, bytes]:
        """Put the parts; the call that completes them, and its body."""
        answer = server.call(Call("POST", self._path, (("uploads", ""),), 0))
        require(answer.status == 200, answer, "CreateMultipartUpload")
        upload = ET.fromstring(answer.body).findtext("{*}UploadId") or ""
        body, named = content(_PART), []
        for number in range(1, self.parts + 1):
            etag = _put(server, self._path, body, (("partNumber", str(number)), ("uploadId", upload)))
            named.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        document = f"<CompleteMultipartUpload>{''.join(named)}</CompleteMultipartUpload>".encode()
        return Call("POST", self._path, (("uploadId", upload),), len(document), sha256(document)), document

    def check(self, server: Server) -> None:
        call, document = self._upload(server)
        answer = server.call(call, document)
        # An error may come after the status, which is sent early to keep the client.
        require(answer.status == 200 and b"<ETag>" in answer.body, answer, "CompleteMultipartUpload")
        _check_size(server, self._path, self.parts * _PART)

    def work(self, server: Server, connections: int) -> Work:
        call, document = self._upload(server)
        return Work([server.signer().head(call)], document, once=True)


@dataclass(frozen=True)
class Copy(Case):
    """CopyObject of one object over and over."""

    size: int

    most: ClassVar[int] = 1
    writes: ClassVar[bool] = True

    def _call(self) -> Call:
        source = f"/{BUCKET}/copied-{self.size}"
        return Call("PUT", f"{source}-copy", length=0, headers=(("x-amz-copy-source", source),))

    def prepare(self, server: Server) -> None:
        _put(server, f"/{BUCKET}/copied-{self.size}", content(_MIB) * (self.size // _MIB))

    def check(self, server: Server) -> None:
        answer = server.call(self._call())
        require(answer.status == 200 and b"<ETag>" in answer.body, answer, "CopyObject")
        _check_size(server, self._call().path, self.size)

    def work(self, server: Server, connections: int) -> Work:
        return Work([server.signer().head(self._call())])


def cases() -> list[Case]:
    """All of them."""
    return [
        *(Complete(f"complete-{parts}", f"Complete {parts} x 16 MiB", parts) for parts in (1, 16, 64)),
        *(Copy(f"copy-{mib}m", f"Copy {mib} MiB", mib * _MIB) for mib in (16, 256)),
    ]
