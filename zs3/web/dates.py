"""Times as HTTP and S3 write them.  Pure.

Inside zs3 a time is an integer of nanoseconds since the epoch.
"""

from __future__ import annotations

import functools
import re
import time
from datetime import UTC, datetime

NS = 1_000_000_000

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_HTTP_DATES = [
    re.compile(form, re.ASCII).fullmatch
    for form in (
        # IMF-fixdate, which everybody sends, then the two obsolete forms a recipient must still accept.
        rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_CLOCK} (?:GMT|UTC)",
        rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_CLOCK} GMT",
        rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_CLOCK} (?P<year>[0-9]{{4}})",
    )
]
_ISO = re.compile(
    rf"(?P<year>[0-9]{{4}})-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})T{_CLOCK}(?:\.[0-9]{{1,9}})?(?:Z|\+00:00)",
    re.ASCII,
).fullmatch


def http_date(ns: int) -> str:
    """An IMF-fixdate, which knows no fractions: they are cut, as in every comparison here."""
    return _http_date(ns // NS)


@functools.lru_cache(maxsize=4096)
def _http_date(second: int) -> str:
    when = time.gmtime(second)
    return (
        f"{_DAYS[when.tm_wday]}, {when.tm_mday:02} {_MONTHS[when.tm_mon - 1]} {when.tm_year:04}"
        f" {when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02} GMT"
    )


def iso_date(ns: int) -> str:
    """A time as in S3's XML.  Its fraction is cut as S3 does, so that it is the `Last-Modified` of the same object."""
    when = time.gmtime(ns // NS)
    return (
        f"{when.tm_year:04}-{when.tm_mon:02}-{when.tm_mday:02}T{when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02}.000Z"
    )


def parse_http_date(text: str, *, now: float | None = None) -> int | None:
    """Seconds since the epoch of an HTTP-date in any of its three forms, or None if it is not one.

    A year of two digits is the latest one that is no more than fifty years ahead (RFC 9110, 5.6.7).

    :param now: what counts as today for that, in seconds since the epoch; by default the machine's clock.
    """
    for match in _HTTP_DATES:
        if parts := match(text):
            year = int(parts["year"])
            if len(parts["year"]) == 2:
                latest = time.gmtime(now).tm_year + 50
                year = latest - (latest - year) % 100
            return _seconds(parts, year, _MONTHS.index(parts["month"]) + 1)
    return None


def parse_iso_date(text: str) -> int | None:
    """Seconds since the epoch of an ISO 8601 time in UTC, its fraction cut, or None if it is not one."""
    parts = _ISO(text)
    return _seconds(parts, int(parts["year"]), int(parts["month"])) if parts else None


def _seconds(parts: re.Match[str], year: int, month: int) -> int | None:
    # A leap second is that minute's last but one, for want of a better place.
    second = min(int(parts["second"]), 59) if parts["second"] == "60" else int(parts["second"])
    try:
        when = datetime(year, month, int(parts["day"]), int(parts["hour"]), int(parts["minute"]), second, tzinfo=UTC)
    except ValueError:
        return None
    return int(when.timestamp())
