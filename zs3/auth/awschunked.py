"""The aws-chunked framing: a decoder that checks every chunk's and the trailer's signature on the way.

Bytes in, bytes out, in constant memory: a chunk's bytes are handed on while
they are hashed, and its signature is judged at its end, so what came out is
only good once `finish` has said so.  Nothing here knows HTTP or the object.

Source: Amazon S3 API Reference, "Signature Calculations for the Authorization
Header: Transferring Payload in Multiple Chunks", and the same with "trailing
headers".
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from collections.abc import Collection

from zs3.auth.wire import EMPTY_SHA256, Signer
from zs3.errors import S3Error

#: the longest chunk header in bytes, and the most that all trailers together may take
MAX_HEADER, MAX_TRAILERS = 1024, 4096

_SIGNATURE_TRAILER = "x-amz-trailer-signature"
_SIGNED_HEADER = re.compile(rb"([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})")
_UNSIGNED_HEADER = re.compile(rb"([0-9A-Fa-f]{1,16})")


class _State(enum.Enum):
    """What the next byte belongs to."""

    HEADER = enum.auto()
    DATA = enum.auto()
    DATA_END = enum.auto()
    TRAILERS = enum.auto()
    LAST_LINE = enum.auto()
    SPARE_LINE = enum.auto()
    NOTHING = enum.auto()
    FAILED = enum.auto()


class _Chain:
    """The signatures of a body, each one made over the one before it."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._previous = signer.seed

    def check(self, what: str, rest: str, claimed: str) -> bool:
        """Whether `claimed` is the next signature, over ``what`` ("PAYLOAD" or "TRAILER") and its hashes."""
        prefix = f"AWS4-HMAC-SHA256-{what}\n{self._signer.timestamp}\n{self._signer.scope}\n{self._previous}\n"
        self._previous = self._signer.sign(prefix + rest)
        return hmac.compare_digest(self._previous, claimed)


class ChunkedDecoder:
    """Decodes one body, in pieces cut anywhere.

    :param length: the length of the decoded body in bytes, as the client declared it.
    :param signer: of the request, if chunks and trailers are signed; None if they are not.
    :param trailers: the names of the trailers that must come, in lower case; None for the form without trailers.
    """

    def __init__(self, length: int, *, signer: Signer | None, trailers: Collection[str] | None) -> None:
        self._length = length
        self._chain = _Chain(signer) if signer else None
        self._declared = trailers
        self._state = _State.HEADER
        self._line = b""  # the beginning of a line whose end has not come yet
        self._announced = 0  # bytes of all chunks so far
        self._left = 0  # bytes of this chunk to come
        self._claimed = ""  # the signature that this chunk is said to have
        self._hash = hashlib.sha256()  # of this chunk, if it is signed
        self._trailers: dict[str, str] = {}
        self._trailer_room = MAX_TRAILERS
        self._trailer_signed = False
        self._trailer_gap = False

    def feed(self, data: bytes) -> list[bytes | memoryview]:
        """Take encoded bytes, give the decoded ones they hold: slices of `data`, which is not copied.

        :raises S3Error: IncompleteBody for a broken frame or more bytes than declared, SignatureDoesNotMatch,
            MalformedTrailerError.  The decoder is of no use then.
        """
        pieces: list[bytes | memoryview] = []
        position, end = 0, len(data)
        view = memoryview(data)
        while position < end:
            if self._state is _State.DATA:
                piece = view[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                pieces.append(piece)
                if self._chain:
                    self._hash.update(piece)
                if not self._left:
                    self._check_chunk()
                    self._state = _State.DATA_END
            else:
                position = self._take_line(data, position)
        return pieces

    def finish(self) -> dict[str, str]:
        """There is no more: the trailers by name.  IncompleteBody if the end of the frame has not come."""
        if self._state not in (_State.SPARE_LINE, _State.NOTHING) or self._line:
            raise self._broken("The request body terminated unexpectedly")
        return self._trailers

    def _take_line(self, data: bytes, position: int) -> int:
        """Go on with the line under way; the position behind what was taken of `data`.

        Whether a line is too long is decided by its own bytes only, so it does
        not matter how they are cut.
        """
        if self._state is _State.HEADER:
            room = MAX_HEADER
        elif self._state is _State.TRAILERS:
            room = self._trailer_room
        else:
            room = 2  # an empty line with its CRLF
        room -= len(self._line)
        newline = data.find(b"\n", position, position + room)
        if newline < 0:
            if len(data) - position >= room:
                raise self._not_a_line()
            self._line += data[position:]
            return len(data)
        line, self._line = self._line + data[position:newline], b""
        self._end_line(line)
        return newline + 1

    def _end_line(self, line: bytes) -> None:
        """Act on a whole line, which is without its LF."""
        if self._state is _State.TRAILERS:
            self._trailer_room -= len(line) + 1
            self._take_trailer(line.removesuffix(b"\r"))
        elif not line.endswith(b"\r"):
            raise self._not_a_line()
        elif self._state is _State.HEADER:
            self._begin_chunk(line[:-1])
        elif self._state is _State.DATA_END:
            self._state = _State.HEADER
        elif self._state is _State.LAST_LINE:
            self._state = _State.SPARE_LINE
        elif self._state is _State.SPARE_LINE:  # minio-go sends one empty line more than the format has
            self._state = _State.NOTHING
        else:
            raise self._not_a_line()

    def _begin_chunk(self, header: bytes) -> None:
        found = (_SIGNED_HEADER if self._chain else _UNSIGNED_HEADER).fullmatch(header)
        if not found:
            raise self._broken("A chunk header of the request body is malformed")
        self._left = int(found[1], 16)
        if self._chain:
            self._claimed = found[2].decode("ascii")
            self._hash = hashlib.sha256()
        self._announced += self._left
        if self._announced > self._length:
            raise self._wrong_length()
        if self._left:
            self._state = _State.DATA
            return
        self._check_chunk()
        if self._announced != self._length:
            raise self._wrong_length()
        self._state = _State.LAST_LINE if self._declared is None else _State.TRAILERS

    def _check_chunk(self) -> None:
        hashes = f"{EMPTY_SHA256}\n{self._hash.hexdigest()}"
        if self._chain and not self._chain.check("PAYLOAD", hashes, self._claimed):
            raise self._mismatch()

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            if self._chain is None or self._trailer_signed:
                self._end_trailers()
            elif self._trailer_gap:
                raise self._malformed_trailer()
            else:  # minio-go sends an empty line between the trailers and their signature
                self._trailer_gap = True
            return
        raw_name, colon, raw_value = line.partition(b":")
        try:
            name, value = raw_name.decode("ascii").lower(), raw_value.strip(b" \t").decode("ascii")
        except UnicodeDecodeError:
            raise self._malformed_trailer() from None
        if not colon or self._trailer_signed:
            raise self._malformed_trailer()
        if name == _SIGNATURE_TRAILER and self._chain:
            canonical = "".join(f"{key}:{text}\n" for key, text in self._trailers.items())
            if not self._chain.check("TRAILER", hashlib.sha256(canonical.encode("ascii")).hexdigest(), value):
                raise self._mismatch()
            self._trailer_signed = True
        elif self._trailer_gap or name in self._trailers or name not in (self._declared or ()):
            raise self._malformed_trailer()
        else:
            self._trailers[name] = value

    def _end_trailers(self) -> None:
        if self._trailers.keys() != set(self._declared or ()):
            raise self._malformed_trailer()
        self._state = _State.SPARE_LINE

    def _not_a_line(self) -> S3Error:
        """The error of a line that is not what must stand there."""
        if self._state is _State.TRAILERS:
            return self._malformed_trailer()
        return self._broken("The request body is not well-formed aws-chunked data")

    def _wrong_length(self) -> S3Error:
        return self._broken(
            "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header"
        )

    def _broken(self, message: str) -> S3Error:
        self._state = _State.FAILED
        return S3Error("IncompleteBody", message)

    def _mismatch(self) -> S3Error:
        self._state = _State.FAILED
        return S3Error(
            "SignatureDoesNotMatch",
            "The signature of a chunk or of the trailers of the request body does not match. "
            "Check your key and signing method.",
        )

    def _malformed_trailer(self) -> S3Error:
        self._state = _State.FAILED
        return S3Error(
            "MalformedTrailerError",
            "The request contained trailing data that was not well-formed or did not conform to our published schema.",
        )
