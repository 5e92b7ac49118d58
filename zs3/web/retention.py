"""The rules of Object Lock: what may be configured and asked for, what it comes to, and what may change.

Pure: nothing here knows a request or a store.  Times are nanoseconds since the
epoch, always whole milliseconds: what is told of a lock is what is kept of it.

Sources: Amazon S3 User Guide, "Locking objects with Object Lock"; API Reference,
PutObjectLockConfiguration, PutObjectRetention, PutObjectLegalHold, PutObject.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from zs3.errors import S3Error
from zs3.store.values import COMPLIANCE, GOVERNANCE, OBJECT_LOCK, Lock
from zs3.web import xml
from zs3.web.dates import NS
from zs3.web.xml import Node

MODES = (GOVERNANCE, COMPLIANCE)
MAX_DAYS, MAX_YEARS = 36_500, 100

MODE = "x-amz-object-lock-mode"
UNTIL = "x-amz-object-lock-retain-until-date"
LEGAL_HOLD = "x-amz-object-lock-legal-hold"

# The condition keys of policies
KEY_MODE, KEY_UNTIL = "s3:object-lock-mode", "s3:object-lock-retain-until-date"
KEY_DAYS, KEY_LEGAL_HOLD = "s3:object-lock-remaining-retention-days", "s3:object-lock-legal-hold"
KEYS = (KEY_MODE, KEY_UNTIL, KEY_DAYS, KEY_LEGAL_HOLD)

_MS = 1_000_000
_DAY = 24 * 60 * 60 * NS
#: The last moment that a date of four digits names.
_LAST = 253_402_300_799 * NS + 999 * _MS
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
).fullmatch
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII).fullmatch
#: What S3 has beside these, and is not to be had here.
_EVENT_HOLDS = ("EventHold", "EventHoldDuration", "DefaultEventHold")


class GarbledError(ValueError):
    """What a bucket has configured of locks cannot be understood: nothing may be concluded from it."""


# Dates ----------------------------------------------------------------------------------------------------------------


def parse_date(text: str) -> int | None:
    """The time of an ISO 8601 date with its zone, or None if it is not one.

    A fraction finer than milliseconds counts as one more: nothing is kept for less than was asked.
    """
    found = _ISO(text)
    if found is None:
        return None
    try:
        # Without its fraction, which counts as far as nanoseconds.
        whole = datetime.fromisoformat(found[1] + found[3])
        seconds = int(whole.astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        return None
    fraction = int((found[2] or "").ljust(9, "0"))
    return seconds * NS + _whole_ms(fraction)


def _whole_ms(ns: int) -> int:
    return -(-ns // _MS) * _MS


def lock_date(ns: int) -> str:
    """A time as `parse_date` reads it; what others wrote into a record on the disk makes no other form of it."""
    ns = min(max(ns, 0), _LAST)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ns // NS))}.{ns % NS // _MS:03}Z"


# Buckets --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DefaultRetention:
    """How long a new version is kept if nothing is said of it: for `days`, or else for `years`."""

    mode: str
    days: int = 0
    years: int = 0

    def lock(self, now_ns: int) -> Lock:
        """What a version has that is made now."""
        until = _whole_ms(now_ns) + self.days * _DAY
        return Lock(self.mode, _years_later(until, self.years) if self.years else until)


def _years_later(ns: int, years: int) -> int:
    """The same day and time in another year; of 29 February, the day after."""
    second, rest = divmod(ns, NS)
    then = datetime.fromtimestamp(second, UTC)
    try:
        then = then.replace(year=then.year + years)
    except ValueError:
        then = then.replace(year=then.year + years, month=3, day=1)
    return int(then.timestamp()) * NS + rest


@dataclass(frozen=True, slots=True)
class BucketLock:
    """That the versions in a bucket can be locked.

    :ivar default: what new ones have; None if they are not locked by themselves.
    """

    default: DefaultRetention | None = None

    @property
    def configured(self) -> dict[str, Any]:
        """The value of the bucket's configuration that says this."""
        if self.default is None:
            return {}
        period = {"days": self.default.days} if self.default.days else {"years": self.default.years}
        return {"mode": self.default.mode, **period}


def bucket_lock(configuration: Mapping[str, Any]) -> BucketLock | None:
    """What the configuration of a bucket says of locks; None if there are none in it.

    :raises GarbledError: it says something else; then there are locks, and it is not known which.
    """
    if OBJECT_LOCK not in configuration:
        return None
    said = configuration[OBJECT_LOCK]
    if said == {}:
        return BucketLock()
    if not isinstance(said, dict) or said.get("mode") not in MODES:
        raise GarbledError("a bucket's lock configuration is garbled")
    default = DefaultRetention(said["mode"], _period(said, "days", MAX_DAYS), _period(said, "years", MAX_YEARS))
    found = BucketLock(default)
    if found.configured != said:
        raise GarbledError("a bucket's lock configuration is garbled")
    return found


def _period(said: Mapping[str, Any], name: str, limit: int) -> int:
    number = said.get(name, 0)
    if type(number) is not int or not 0 <= number <= limit:
        raise GarbledError("a bucket's lock configuration is garbled")
    return number


def no_bucket_lock() -> S3Error:
    """The error for what can only be asked in a bucket with Object Lock."""
    return S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")


def parse_configuration(body: bytes) -> BucketLock:
    """An ObjectLockConfiguration.

    :raises S3Error: MalformedXML; InvalidArgument for a period that cannot be; NotImplemented for event holds.
    """
    root = xml.parse(body, "ObjectLockConfiguration", max_elements=16)
    _refuse_event_holds(root)
    if root.only("ObjectLockEnabled", "Rule").value("ObjectLockEnabled") != "Enabled":
        raise S3Error("MalformedXML")
    rules = list(root.each("Rule"))
    if not rules:
        return BucketLock()
    retentions = rules[0].only("DefaultRetention").children
    if len(rules) != 1 or len(retentions) != 1:
        raise S3Error("MalformedXML")
    said = retentions[0].only("Mode", "Days", "Years")
    mode, days, years = said.value("Mode"), said.value("Days"), said.value("Years")
    if mode not in MODES or (days is None) == (years is None):
        raise S3Error("MalformedXML")
    if days is not None:
        return BucketLock(DefaultRetention(mode, days=_parse_period(days, "Days", MAX_DAYS)))
    return BucketLock(DefaultRetention(mode, years=_parse_period(years or "", "Years", MAX_YEARS)))


def _refuse_event_holds(node: Node) -> None:
    for child in node.children:
        if child.name in _EVENT_HOLDS:
            raise S3Error("NotImplemented", "Event holds are not implemented.", Header=child.name)
        _refuse_event_holds(child)


def _parse_period(text: str, name: str, limit: int) -> int:
    if not _INTEGER(text):
        raise S3Error("MalformedXML")
    number = int(text)
    if number > limit:
        raise S3Error(
            "InvalidArgument",
            f"Default retention period must be at most {MAX_DAYS} days or {MAX_YEARS} years",
            ArgumentName=name,
            ArgumentValue=text,
        )
    if number < 1:
        raise S3Error(
            "InvalidArgument",
            "Default retention period must be a positive integer value",
            ArgumentName=name,
            ArgumentValue=text,
        )
    return number


def configuration_document(lock: BucketLock) -> bytes:
    """The answer of GetObjectLockConfiguration."""
    root = xml.root("ObjectLockConfiguration")
    root.add("ObjectLockEnabled", "Enabled")
    if lock.default is not None:
        retention = root.add("Rule").add("DefaultRetention")
        retention.add("Mode", lock.default.mode)
        retention.add_if("Days", lock.default.days)
        retention.add_if("Years", lock.default.years)
    return root.document()


# Versions -------------------------------------------------------------------------------------------------------------


def requested_lock(header: Callable[[str], str | None], now_ns: int) -> tuple[Lock | None, bool | None]:
    """The retention and the legal hold that headers ask for; None for what they say nothing of.

    :raises S3Error: InvalidArgument.
    """
    mode, date, hold = header(MODE), header(UNTIL), header(LEGAL_HOLD)
    if hold not in (None, "ON", "OFF"):
        raise _invalid("Legal Hold must be either of 'ON' or 'OFF'", LEGAL_HOLD, hold)
    wanted = None if hold is None else hold == "ON"
    if mode is None and date is None:
        return None, wanted
    if mode is None or date is None:
        missing = MODE if mode is None else UNTIL
        raise _invalid(f"{UNTIL} and {MODE} must both be supplied", missing, "")
    if mode not in MODES:
        raise _invalid("Unknown wormMode directive.", MODE, mode)
    until = parse_date(date)
    if until is None:
        raise _invalid("The retain until date must be provided in ISO 8601 format", UNTIL, date)
    _check_future(until, now_ns, UNTIL, date)
    return Lock(mode, until), wanted


def _check_future(until_ns: int, now_ns: int, name: str, text: str) -> None:
    if until_ns <= now_ns:
        raise _invalid("The retain until date must be in the future!", name, text)


def _invalid(message: str, name: str, value: str | None) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value or "")


def parse_retention(body: bytes, now_ns: int) -> Lock:
    """A Retention; without a mode and a date, which takes away the one that there is, `NOT_LOCKED`.

    :raises S3Error: MalformedXML; InvalidArgument for a date that has passed; NotImplemented for event holds.
    """
    root = xml.parse(body, "Retention", max_elements=8)
    _refuse_event_holds(root)
    mode, date = root.only("Mode", "RetainUntilDate").value("Mode"), root.value("RetainUntilDate")
    if not mode and not date:
        return Lock()
    until = parse_date((date or "").strip())
    if mode not in MODES or until is None:
        raise S3Error("MalformedXML")
    _check_future(until, now_ns, "RetainUntilDate", date or "")
    return Lock(mode, until)


def parse_legal_hold(body: bytes) -> bool:
    """Whether a LegalHold is on.  MalformedXML."""
    status = xml.parse(body, "LegalHold", max_elements=4).only("Status").value("Status")
    if status not in ("ON", "OFF"):
        raise S3Error("MalformedXML")
    return status == "ON"


def retention_document(lock: Lock) -> bytes:
    """The answer of GetObjectRetention, of a version that has one."""
    root = xml.root("Retention")
    root.add("Mode", lock.mode)
    root.add("RetainUntilDate", lock_date(lock.until_ns))
    return root.document()


def legal_hold_document(lock: Lock) -> bytes:
    """The answer of GetObjectLegalHold."""
    root = xml.root("LegalHold")
    root.add("Status", hold_text(lock))
    return root.document()


def hold_text(lock: Lock) -> str:
    return "ON" if lock.legal_hold else "OFF"


def with_retention(lock: Lock, wanted: Lock, now_ns: int, *, bypass: bool) -> Lock:
    """A lock with another retention.  What holds is only made longer, whatever may be passed over; see `Lock`.

    :param lock: of the version as it is.
    :param wanted: the retention that it is to have; one without a mode takes it away.
    :param bypass: whether who asks may pass over `GOVERNANCE`.
    :raises S3Error: AccessDenied.
    """
    longer = wanted.mode == lock.mode and wanted.until_ns >= lock.until_ns
    if not longer and lock.is_retained(now_ns, bypass=bypass):
        raise S3Error("AccessDenied", "Access Denied because object protected by object lock.")
    return replace(lock, mode=wanted.mode, until_ns=wanted.until_ns)


def conditions_of(wanted: Lock, now_ns: int) -> dict[str, str]:
    """What the conditions of policies are told of a retention that is asked for."""
    if not wanted.mode:
        return {}
    return {
        KEY_MODE: wanted.mode,
        KEY_UNTIL: lock_date(wanted.until_ns),
        KEY_DAYS: str(remaining_days(wanted.until_ns, now_ns)),
    }


def remaining_days(until_ns: int, now_ns: int) -> int:
    """For how many days a version is kept; one that has begun counts."""
    return max(0, -(-(until_ns - now_ns) // _DAY))
