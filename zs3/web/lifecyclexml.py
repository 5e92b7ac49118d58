"""The lifecycle configuration of a bucket as a document, both ways, and the headers that tell of what is due.  Pure.

Whatever S3 refuses is refused with the same code, transitions last of all: there
is one kind of storage here, and objects that are not moved must not seem to be.

Sources: Amazon S3 API Reference, PutBucketLifecycleConfiguration, LifecycleRule, LifecycleExpiration, GetObject,
CreateMultipartUpload; where they leave it open, what S3 itself was seen to answer.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote

from zs3.errors import S3Error
from zs3.lifecycle.evaluation import Due
from zs3.lifecycle.rules import Filter, Lifecycle, Rule
from zs3.web import tags, xml
from zs3.web.dates import NS, http_date, iso_date, parse_iso_date
from zs3.web.xml import Element, Node

MAX_RULES = 1000
MAX_ID_LENGTH = 255
#: The most bytes of a document; S3 names no limit.
SIZE = 512 * 1024

MINIMUM_SIZE = "x-amz-transition-default-minimum-object-size"
DEFAULT_MINIMUM_SIZE = "all_storage_classes_128K"
_MINIMUM_SIZES = (DEFAULT_MINIMUM_SIZE, "varies_by_storage_class")

#: What a rule can be told to move objects to.
_CLASSES = ("GLACIER", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER_IR")
_MAX_DAYS = 2**31 - 1
_MAX_VERSIONS = 100
_MAX_SIZE = 1000 * 1024**4

_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII).fullmatch
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII).fullmatch
#: A fraction of a second that is none; the clock of `parse_iso_date` cuts it.
_FRACTION = re.compile(r"\.[0-9]*[1-9]", re.ASCII).search
_DAY_S = 86_400

_RULE = (
    *("ID", "Prefix", "Filter", "Status", "Expiration", "Transition", "NoncurrentVersionTransition"),
    *("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"),
)
_CONDITIONS = ("Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan")


# From a request -------------------------------------------------------------------------------------------------------


def parse_minimum_size(text: str | None) -> str:
    """What the header `MINIMUM_SIZE` sets: "" for S3's default.  InvalidRequest."""
    if text is not None and text not in _MINIMUM_SIZES:
        raise S3Error("InvalidRequest", "Invalid TransitionDefaultMinimumObjectSize found")
    return "" if text in (None, DEFAULT_MINIMUM_SIZE) else text or ""


def new_id() -> str:
    """An ID for a rule that came without, which nobody has guessed."""
    return secrets.token_urlsafe(36)


def parse(body: bytes, *, make_id: Callable[[], str] = new_id) -> tuple[Rule, ...]:
    """The rules of a LifecycleConfiguration, each with an ID.

    :raises S3Error: MalformedXML, InvalidArgument and InvalidRequest as S3; NotImplemented for transitions.
    """
    root = xml.parse(body, "LifecycleConfiguration", max_elements=SIZE // len("<Tag/>"))
    nodes = root.only("Rule").children
    if not nodes:
        raise S3Error("MalformedXML")
    if len(nodes) > MAX_RULES:
        message = f"The number of lifecycle rules must not exceed the allowed limit of {MAX_RULES} rules."
        raise S3Error("InvalidRequest", message)
    rules = tuple(_parse_rule(node, make_id) for node in nodes)
    twice = next((name for name, count in Counter(rule.id for rule in rules).items() if count > 1), None)
    if twice is not None:
        raise _wrong_argument("Rule ID must be unique. Found same ID for more than one rule", "ID", twice)
    if len({rule.old_form for rule in rules}) > 1:
        raise S3Error(
            "InvalidRequest",
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
        )
    if any(True for node in nodes for name in _RULE if name.endswith("Transition") for _ in node.each(name)):
        raise S3Error("NotImplemented", "Transitions are not implemented: there is one kind of storage here.")
    return rules


def _wrong_argument(message: str, name: str, value: str) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value)


def _child(node: Node, name: str, *names: str) -> Node | None:
    """The only child of that name, with no other children than those named.  MalformedXML."""
    found = list(node.each(name))
    if len(found) > 1:
        raise S3Error("MalformedXML")
    return found[0].only(*names) if found else None


def _number(node: Node, name: str) -> int | None:
    text = node.value(name)
    if text is None:
        return None
    if not _NUMBER(text.strip()):
        raise S3Error("MalformedXML")
    return int(text)


def _positive(node: Node, name: str, action: str) -> int | None:
    """A number of days."""
    number = _number(node, name)
    if number is not None and not 0 < number <= _MAX_DAYS:
        raise _wrong_argument(f"'{name}' for {action} action must be a positive integer", name, str(number))
    return number


def _midnight(node: Node) -> int | None:
    """The element Date, in seconds since the epoch.  MalformedXML, InvalidArgument."""
    text = node.value("Date")
    if text is None:
        return None
    text = text.strip()
    second = parse_iso_date(text + "T00:00:00Z" if _DATE(text) else text)
    if second is None:
        raise S3Error("MalformedXML")
    if second % _DAY_S or _FRACTION(text):
        raise _wrong_argument("'Date' must be at midnight GMT", "Date", text)
    return second


def _parse_rule(node: Node, make_id: Callable[[], str]) -> Rule:
    node.only(*_RULE)
    identifier = node.value("ID") or make_id()
    if len(identifier) > MAX_ID_LENGTH:
        raise _wrong_argument(f"ID length should not exceed allowed limit of {MAX_ID_LENGTH}", "ID", identifier)
    status = node.value("Status")
    if status not in ("Enabled", "Disabled"):
        raise S3Error("MalformedXML")
    prefix, stated = node.value("Prefix"), _child(node, "Filter", *_CONDITIONS, "And")
    if prefix is None and stated is None:
        raise S3Error("MalformedXML")
    if prefix is not None and stated is not None:
        raise S3Error(
            "InvalidRequest",
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
        )
    about = Filter(prefix) if stated is None else _parse_filter(stated)
    if not any(True for name in _RULE[4:] for _ in node.each(name)):
        raise S3Error("InvalidRequest", "At least one action needs to be specified in a rule")
    days, date_s, markers = _parse_expiration(node)
    noncurrent, newer = _parse_noncurrent(node)
    abort = _parse_abort(node)
    if markers is not None:
        _check_unfiltered(about, "ExpiredObjectDeleteMarker")
    if abort is not None:
        _check_unfiltered(about, "AbortIncompleteMultipartUpload")
    _check_transitions(node)
    enabled, old_form = status == "Enabled", stated is None
    return Rule(identifier, enabled, about, old_form, days, date_s, markers, noncurrent, newer, abort)


def _check_unfiltered(about: Filter, action: str) -> None:
    """Refuse conditions on what neither delete markers nor uploads have."""
    if about.tags:
        raise S3Error("InvalidRequest", f"{action} cannot be specified with Tags.")
    if about.larger_than is not None or about.smaller_than is not None:
        raise S3Error("InvalidRequest", f"{action} cannot be specified with Object Size.")


def _parse_expiration(rule: Node) -> tuple[int | None, int | None, bool | None]:
    """Days, Date and ExpiredObjectDeleteMarker, of which S3 takes one."""
    node = _child(rule, "Expiration", "Days", "Date", "ExpiredObjectDeleteMarker")
    if node is None:
        return None, None, None
    if len(node.children) != 1:
        raise S3Error("MalformedXML")
    text = node.value("ExpiredObjectDeleteMarker")
    markers = None if text is None else {"true": True, "false": False}.get(text.strip().lower())
    if text is not None and markers is None:
        raise S3Error("MalformedXML")
    return _positive(node, "Days", "Expiration"), _midnight(node), markers


def _parse_noncurrent(rule: Node) -> tuple[int | None, int | None]:
    node = _child(rule, "NoncurrentVersionExpiration", "NoncurrentDays", "NewerNoncurrentVersions")
    if node is None:
        return None, None
    days = _positive(node, "NoncurrentDays", "NoncurrentVersionExpiration")
    if days is None:
        raise S3Error("MalformedXML")
    return days, _newer(node)


def _newer(node: Node) -> int | None:
    newer = _number(node, "NewerNoncurrentVersions")
    if newer is not None and not 1 <= newer <= _MAX_VERSIONS:
        raise _wrong_argument(
            f"'NewerNoncurrentVersions' must be between 1 and {_MAX_VERSIONS}", "NewerNoncurrentVersions", str(newer)
        )
    return newer


def _parse_abort(rule: Node) -> int | None:
    node = _child(rule, "AbortIncompleteMultipartUpload", "DaysAfterInitiation")
    if node is None:
        return None
    days = _positive(node, "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
    if days is None:
        raise S3Error("MalformedXML")
    return days


def _check_transitions(rule: Node) -> None:
    """Whether transitions are said as S3 wants them: who says them wrongly is told what is wrong."""
    for node in rule.each("Transition"):
        days, date = _number(node.only("Date", "Days", "StorageClass"), "Days"), _midnight(node)
        if node.value("StorageClass") not in _CLASSES or (days is None) == (date is None):
            raise S3Error("MalformedXML")
        if days is not None and days < 0:
            raise _wrong_argument("'Days' for Transition action must be nonnegative", "Days", str(days))
    for node in rule.each("NoncurrentVersionTransition"):
        days = _number(node.only("NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"), "NoncurrentDays")
        if node.value("StorageClass") not in _CLASSES or days is None:
            raise S3Error("MalformedXML")
        if days < 0:
            message = "'NoncurrentDays' for NoncurrentVersionTransition action must be nonnegative"
            raise _wrong_argument(message, "NoncurrentDays", str(days))
        _newer(node)


# Filters


def _parse_filter(node: Node) -> Filter:
    """What a Filter says, all of it at once: S3 refuses one with several conditions that are not in an And.

    Taken together they mean the fewest objects of all that can be meant.
    """
    conjunction = _child(node, "And", *_CONDITIONS)
    if conjunction is not None and not conjunction.children:
        raise S3Error("MalformedXML")
    nodes = [node] if conjunction is None else [node, conjunction]
    pairs = [pair for each in nodes for pair in tags.pairs_of([Node("Tags", children=list(each.each("Tag")))])]
    if len({name for name, _ in pairs}) < len(pairs):
        raise S3Error("InvalidRequest", "Duplicate Tag Keys are not allowed.")
    larger = _sizes(nodes, "ObjectSizeGreaterThan", 0)
    smaller = _sizes(nodes, "ObjectSizeLessThan", 1)
    if larger and smaller and max(larger) >= min(smaller):
        message = "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'."
        raise S3Error("InvalidRequest", message)
    return Filter(
        _prefix([prefix for each in nodes if (prefix := each.value("Prefix")) is not None]),
        tuple(tags.checked(pairs, tags.MAX_OBJECT_TAGS).items()),
        max(larger, default=None),
        min(smaller, default=None),
    )


def _prefix(said: Sequence[str]) -> str | None:
    longest = max(said, key=len, default=None)
    if longest is not None and not all(longest.startswith(each) for each in said):
        raise S3Error("MalformedXML")
    return longest


def _sizes(nodes: Iterable[Node], name: str, least: int) -> list[int]:
    found = [size for node in nodes if (size := _number(node, name)) is not None]
    if any(not least <= size <= _MAX_SIZE for size in found):
        raise S3Error("InvalidRequest", f"'{name}' should be between {least} and {_MAX_SIZE}.")
    return found


# Into an answer -------------------------------------------------------------------------------------------------------


def document(lifecycle: Lifecycle) -> bytes:
    """The LifecycleConfiguration that says this."""
    root = xml.root("LifecycleConfiguration")
    for rule in lifecycle.rules:
        _add_rule(root.add("Rule"), rule)
    return root.document()


def _add_rule(parent: Element, rule: Rule) -> None:
    if rule.days is not None or rule.date_s is not None or rule.expired_markers is not None:
        expiration = parent.add("Expiration")
        if rule.date_s is not None:
            expiration.add("Date", iso_date(rule.date_s * NS))
        _add_number(expiration, "Days", rule.days)
        _add_number(expiration, "ExpiredObjectDeleteMarker", rule.expired_markers)
    parent.add("ID", rule.id)
    if rule.old_form:
        parent.add("Prefix", rule.filter.prefix or "")
    else:
        _add_filter(parent.add("Filter"), rule.filter)
    parent.add("Status", "Enabled" if rule.enabled else "Disabled")
    if rule.noncurrent_days is not None:
        noncurrent = parent.add("NoncurrentVersionExpiration")
        noncurrent.add("NoncurrentDays", rule.noncurrent_days)
        _add_number(noncurrent, "NewerNoncurrentVersions", rule.newer_versions)
    if rule.abort_days is not None:
        parent.add("AbortIncompleteMultipartUpload").add("DaysAfterInitiation", rule.abort_days)


def _add_number(parent: Element, name: str, value: int | bool | None) -> None:
    if value is not None:
        parent.add(name, value)


def _add_filter(parent: Element, about: Filter) -> None:
    said = sum(each is not None for each in (about.prefix, about.larger_than, about.smaller_than)) + len(about.tags)
    if said > 1:
        parent = parent.add("And")
    if about.prefix is not None:
        parent.add("Prefix", about.prefix)
    for name, value in about.tags:
        tag = parent.add("Tag")
        tag.add("Key", name)
        tag.add("Value", value)
    _add_number(parent, "ObjectSizeGreaterThan", about.larger_than)
    _add_number(parent, "ObjectSizeLessThan", about.smaller_than)


def expiration_header(due: Due) -> str:
    """The value of `x-amz-expiration`."""
    return f'expiry-date="{_date(due)}", rule-id="{quote(due.rule, safe="")}"'


def abort_headers(due: Due) -> dict[str, str]:
    """`x-amz-abort-date` and `x-amz-abort-rule-id`."""
    return {"x-amz-abort-date": _date(due), "x-amz-abort-rule-id": quote(due.rule, safe="")}


def _date(due: Due) -> str:
    # Not before it happens.
    return http_date(due.at_ns + -due.at_ns % NS)
