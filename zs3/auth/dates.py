"""The forms of time in signed requests: strict readers and plain writers; on this side, seconds since the epoch.

Source: Amazon S3 API Reference, "Authenticating Requests"; RFC 9110, section 5.6.7.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime

_TIMESTAMP = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_HTTP_DATE = re.compile(
    r"(?:[A-Z][a-z]{2}, )?([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) (?:GMT|UTC|[+-]0000)"
)
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@functools.lru_cache(maxsize=64)  # the requests of one second have the same
def parse_timestamp(text: str) -> float | None:
    """The time of ``YYYYMMDDTHHMMSSZ``, or None for anything else."""
    found = _TIMESTAMP.fullmatch(text)
    return _epoch(*map(int, found.groups())) if found else None


def parse_http_date(text: str) -> float | None:
    """The time of an IMF-fixdate, whose zone may also be one that RFC 5322 writes; None for anything else."""
    found = _HTTP_DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, month, year, hour, minute, second = found.groups()
    return _epoch(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))


def parse_iso(text: str) -> float | None:
    """The time of ``YYYY-MM-DDTHH:MM:SS[.fraction]Z``, or None for anything else."""
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    *parts, fraction = found.groups()
    whole = _epoch(*map(int, parts))
    return None if whole is None else whole + float(f"0.{fraction or 0}")


def timestamp(seconds: float) -> str:
    """``YYYYMMDDTHHMMSSZ``, as Signature Version 4 signs it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


@functools.lru_cache(maxsize=64)  # as above
def iso(seconds: float) -> str:
    """``YYYY-MM-DDTHH:MM:SSZ``, as error documents have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _epoch(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float | None:
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None
