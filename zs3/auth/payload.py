"""The body of a request on its way to becoming an object: decoded, hashed, and held against all that was claimed.

`make_payload` judges the headers before the first byte; a `Payload` then takes
the bytes and is what `zs3.store.values.Ingest` asks for.  Pure: it may run
in any thread, one call at a time.

Source: Amazon S3 API Reference, "Signature Calculations for the Authorization
Header" (x-amz-content-sha256), and "Checking object integrity".
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from zs3 import checksums
from zs3.auth.awschunked import ChunkedDecoder
from zs3.auth.integrity import Integrity, read_integrity
from zs3.auth.wire import (
    STREAMING_SIGNED,
    STREAMING_SIGNED_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED_PAYLOAD,
    Signer,
    Wire,
    echo,
)
from zs3.checksums import Checksum
from zs3.errors import S3Error

_LENGTH = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Digests:
    """What is known once the last byte was accepted.

    :ivar md5: the raw MD5 of the object's bytes.
    :ivar size: their number.
    :ivar checksum: the additional checksum that the client claimed or the server wanted, or None.
    :ivar second: the one that the server wanted beside that, or None.
    """

    md5: bytes
    size: int
    checksum: Checksum | None = None
    second: Checksum | None = None


class Payload:
    """One body.  Made by `make_payload`.

    :ivar decoded_length: the object's size in bytes, if the headers tell it.
    """

    def __init__(
        self,
        *,
        content_length: int | None,
        decoded_length: int | None,
        sha256: str,
        decoder: ChunkedDecoder | None,
        integrity: Integrity,
        algorithm: str,
        second: str,
    ) -> None:
        self.decoded_length = decoded_length
        self._content_length = content_length
        self._sha256 = sha256
        self._decoder = decoder
        self._integrity = integrity
        self._algorithm = algorithm
        self._received = 0
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashers: list[checksums.Hasher] = [self._md5]
        self._sha: checksums.Hasher | None = None
        if sha256:
            self._sha = hashlib.sha256()
            self._hashers.append(self._sha)
        self._checksum = self._hasher(algorithm)
        self._second = (second, self._hasher(second)) if second != algorithm else ("", None)

    def _hasher(self, algorithm: str) -> checksums.Hasher | None:
        """What computes a checksum: one that runs already, if there is."""
        if algorithm == "MD5":
            return self._md5
        if algorithm == "SHA256" and self._sha:
            return self._sha
        if not algorithm:
            return None
        hasher = checksums.new(algorithm)
        self._hashers.append(hasher)
        return hasher

    def split(self) -> Callable[[bytes], object] | None:
        """Leave the slowest hash to who calls, before the first byte: what is returned must be fed as `feed` is.

        None for aws-chunked, whose bytes must be decoded first.
        """
        if self._decoder is not None:
            return None
        slowest = self._sha or self._md5
        self._hashers.remove(slowest)
        return slowest.update

    def feed(self, data: bytes, /) -> list[bytes | memoryview]:
        """Take bytes of the body, give the object's bytes they hold.

        They are good only once `finish` has said so.

        :raises S3Error: for what cannot become right any more: IncompleteBody, SignatureDoesNotMatch,
            MalformedTrailerError.
        """
        self._received += len(data)
        pieces: list[bytes | memoryview] = self._decoder.feed(data) if self._decoder else [data]
        for piece in pieces:
            self._size += len(piece)
            for hasher in self._hashers:
                hasher.update(piece)
        return pieces

    def finish(self) -> Digests:
        """There is no more: hold what came against what was claimed.

        :raises S3Error: IncompleteBody, MalformedTrailerError, XAmzContentSHA256Mismatch, BadDigest, InvalidRequest.
        """
        if self._content_length is not None and self._received != self._content_length:
            raise S3Error(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP header",
                NumberBytesExpected=str(self._content_length),
                NumberBytesProvided=str(self._received),
            )
        trailers = self._decoder.finish() if self._decoder else {}
        if self._sha and self._sha.digest().hex() != self._sha256:
            raise S3Error(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                ClientComputedContentSHA256=self._sha256,
                S3ComputedContentSHA256=self._sha.digest().hex(),
            )
        md5 = self._md5.digest()
        if self._integrity.md5 not in (None, md5):
            raise S3Error(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                ExpectedDigest=base64.b64encode(self._integrity.md5 or b"").decode("ascii"),
                CalculatedDigest=base64.b64encode(md5).decode("ascii"),
            )
        checksum = self._check_checksum(trailers)
        algorithm, hasher = self._second
        return Digests(md5, self._size, checksum, Checksum(algorithm, hasher.digest()) if hasher else None)

    def _check_checksum(self, trailers: dict[str, str]) -> Checksum | None:
        if self._checksum is None:
            return None
        expected = self._integrity.checksum
        for name, text in trailers.items():
            expected = checksums.decode(self._algorithm, text)
            if expected is None:
                raise S3Error("InvalidRequest", f"Value for {name} trailing header is invalid.")
        value = self._checksum.digest()
        if expected not in (None, value):
            raise S3Error("BadDigest", f"The {self._algorithm} you specified did not match the calculated checksum.")
        return Checksum(self._algorithm, value)


def make_payload(
    wire: Wire,
    signer: Signer | None,
    *,
    content_length: int | None,
    payload_hash: str,
    default_algorithm: str = "",
    second_algorithm: str = "",
    checksum_headers: bool = True,
) -> Payload:
    """What takes the body of a request, from its headers alone.

    :param signer: what the verified claim gave; None for an anonymous request.
    :param content_length: None where the length is not known beforehand (Transfer-Encoding: chunked).
    :param payload_hash: of the claim; ``UNSIGNED-PAYLOAD`` for an anonymous request.
    :param default_algorithm: the checksum to compute where the client sends none, or "".
    :param second_algorithm: the one to compute in any case, or "".
    :param checksum_headers: False where x-amz-checksum-* is not about this body: CompleteMultipartUpload has there
        the checksum of the object.
    :raises S3Error: InvalidDigest, InvalidArgument, InvalidRequest, MissingContentLength, AccessDenied.
    """
    signed = payload_hash in (STREAMING_SIGNED, STREAMING_SIGNED_TRAILER)
    with_trailers = payload_hash in (STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER)
    chunked = signed or with_trailers
    if signed and (signer is None or not signer.scope):
        raise S3Error("AccessDenied", f"{payload_hash} needs a request that is signed with AWS4-HMAC-SHA256.")
    decoded_length = _decoded_length(wire)
    if chunked and decoded_length is None:
        raise S3Error("MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header.")
    if not chunked:
        # Where the two differ, the body is framed without saying how, and the frames would be stored.
        if decoded_length not in (None, content_length):
            raise S3Error("InvalidRequest", "x-amz-decoded-content-length needs a streaming x-amz-content-sha256.")
        decoded_length = content_length
    integrity = read_integrity(wire, trailers_possible=with_trailers, checksum_headers=checksum_headers)
    decoder = None
    if chunked and decoded_length is not None:
        decoder = ChunkedDecoder(
            decoded_length, signer=signer if signed else None, trailers=integrity.trailers if with_trailers else None
        )
    return Payload(
        content_length=content_length,
        decoded_length=decoded_length,
        sha256="" if chunked or payload_hash == UNSIGNED_PAYLOAD else payload_hash,
        decoder=decoder,
        integrity=integrity,
        algorithm=integrity.algorithm or default_algorithm,
        second=second_algorithm,
    )


def _decoded_length(wire: Wire) -> int | None:
    value = wire.single(b"x-amz-decoded-content-length")
    if value is None:
        return None
    if not _LENGTH.fullmatch(value):
        raise S3Error(
            "InvalidArgument",
            "x-amz-decoded-content-length must be a number of bytes.",
            ArgumentName="x-amz-decoded-content-length",
            ArgumentValue=echo(value),
        )
    return int(value)
