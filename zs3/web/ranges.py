"""Which bytes of an object a request asks for: `Range`, `partNumber`, `x-amz-copy-source-range`.

Pure.  Digits are ASCII digits and nothing else, and no number is too long.

Sources: RFC 9110 section 14; Amazon S3 API Reference, GetObject and UploadPartCopy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from zs3.errors import S3Error
from zs3.store.values import MAX_PARTS

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.ASCII | re.IGNORECASE).fullmatch
_COPY_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)", re.ASCII).fullmatch
_PART_NUMBER = re.compile(r"0*([0-9]{1,9})", re.ASCII).fullmatch

#: Larger than any file; what more digits say is cut to this, so that `int` never meets its limit of 4300.
_HUGE = 1 << 80


@dataclass(frozen=True, slots=True)
class Span:
    """`size` bytes from the offset `first`."""

    first: int
    size: int

    @property
    def last(self) -> int:
        """The offset of the last byte; the span must not be empty."""
        return self.first + self.size - 1

    def content_range(self, total: int) -> str:
        """The value of `Content-Range` for this part of an object of `total` bytes."""
        return f"bytes {self.first}-{self.last}/{total}"


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 24 else _HUGE


def resolve_range(text: str, total: int) -> Span | None:
    """The bytes that a `Range` header means in an object of `total` bytes.

    None where the header is to be ignored and the whole object sent: another unit, no range at all, a last byte
    before the first, or several ranges (which S3 does not serve).

    :raises S3Error: InvalidRange if it is a range but none of its bytes exist.
    """
    match = _RANGE(text)
    if match is None or match[0][6:] == "-":
        return None
    low, high = match.groups()
    if not low:
        size = min(_number(high), total)
        first, last = total - size, total - 1
    else:
        first, last = _number(low), min(_number(high), total - 1) if high else total - 1
        if high and _number(high) < first:
            return None
    if first >= total:
        raise S3Error(
            "InvalidRange",
            headers={"Content-Range": f"bytes */{total}"},
            RangeRequested=text,
            ActualObjectSize=str(total),
        )
    return Span(first, last - first + 1)


def parse_copy_range(text: str) -> tuple[int, int]:
    """The first and last byte (both included) that `x-amz-copy-source-range` names.

    :raises S3Error: InvalidArgument for any other form than ``bytes=first-last``.
    """
    match = _COPY_RANGE(text)
    first, last = (_number(match[1]), _number(match[2])) if match else (1, 0)
    if last < first:
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the"
            " zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=text,
        )
    return first, last


def parse_part_number(text: str) -> int:
    """The part number (1 to 10000) that a query parameter names.

    :raises S3Error: InvalidArgument.
    """
    match = _PART_NUMBER(text)
    number = int(match[1]) if match else 0
    if not 1 <= number <= MAX_PARTS:
        raise S3Error(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=text,
        )
    return number


def part_span(number: int, part_sizes: Sequence[int], total: int) -> Span:
    """The bytes of part `number` of an object of `total` bytes.

    An object that was not made of parts is its own only part.

    :raises S3Error: InvalidPartNumber if it has no such part.
    """
    sizes = part_sizes or (total,)
    if number > len(sizes):
        raise S3Error("InvalidPartNumber", ActualPartCount=str(len(sizes)), PartNumberRequested=str(number))
    return Span(sum(sizes[: number - 1]), sizes[number - 1])
