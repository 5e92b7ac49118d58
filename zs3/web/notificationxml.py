"""The notification configuration of a bucket as a document, both ways.  Pure.

Sources: Amazon S3 API Reference, PutBucketNotificationConfiguration,
NotificationConfiguration; "Error responses", list of Amazon S3 notification errors.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from zs3.errors import S3Error
from zs3.events.rules import NAMES, Rule, overlapping
from zs3.web import xml
from zs3.web.xml import Node

MAX_RULES = 100
#: The most bytes of a document; S3 names no limit.
SIZE = 512 * 1024
_MAX_ID = 255
_MAX_VALUE = 1024

_SERVICES = {"Queue": "sqs", "Topic": "sns"}
#: ``arn:aws:sqs:REGION:ACCOUNT:NAME``; the region and the account may be empty.
_ARN = re.compile(
    r"arn:aws[a-z-]*:(?P<service>sqs|sns):[a-z0-9-]{0,63}:(?:[0-9]{12})?:(?P<name>[A-Za-z0-9_-]{1,64})", re.ASCII
).fullmatch
_OVERLAP = "Configurations overlap. Configurations on the same bucket cannot share a common event type."


def new_id() -> str:
    """An Id for a rule that came without."""
    return secrets.token_urlsafe(36)


def parse(body: bytes, targets: Collection[str], *, make_id: Callable[[], str] = new_id) -> tuple[Rule, ...]:
    """The rules of a NotificationConfiguration, each with an Id; none, to have none.

    :param targets: the names of those that there are.
    :raises S3Error: MalformedXML and InvalidArgument as S3; NotImplemented for functions and EventBridge.
    """
    root = xml.parse(body, "NotificationConfiguration", max_elements=SIZE // len("<Event/>"))
    root.only("TopicConfiguration", "QueueConfiguration", "CloudFunctionConfiguration", "EventBridgeConfiguration")
    for name, what in (("CloudFunctionConfiguration", "functions"), ("EventBridgeConfiguration", "EventBridge")):
        if any(True for _ in root.each(name)):
            raise S3Error("NotImplemented", f"Notifications of {what} are not implemented: use a queue or a topic.")
    if len(root.children) > MAX_RULES:
        raise S3Error("InvalidArgument", f"A bucket can have up to {MAX_RULES} notification configurations.")
    rules = tuple(_rule(node, node.name.removesuffix("Configuration"), targets, make_id) for node in root.children)
    twice = next((name for name, count in Counter(rule.id for rule in rules).items() if count > 1), None)
    if twice is not None:
        raise _wrong("Same ID used for multiple configurations. IDs must be unique", "Id", twice)
    both = overlapping(rules)
    if both is not None:
        raise _wrong(_OVERLAP, "Id", " ".join(rule.id for rule in both))
    return rules


def _wrong(message: str, name: str, value: str) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value)


def _rule(node: Node, kind: str, targets: Collection[str], make_id: Callable[[], str]) -> Rule:
    node.only("Id", kind, "Event", "Filter")
    identifier = node.value("Id") or make_id()
    if len(identifier) > _MAX_ID:
        raise _wrong(f"The ID must not be longer than {_MAX_ID} characters", "Id", identifier)
    arn = (node.value(kind) or "").strip()
    events = tuple(dict.fromkeys(each.text.strip() for each in node.each("Event") if not each.children))
    if not arn or not events:
        raise S3Error("MalformedXML")
    for event in events:
        if event not in NAMES:
            raise _wrong("A specified event is not supported for notifications.", "Event", event)
    found = _ARN(arn)
    if found is None or found["service"] != _SERVICES[kind] or found["name"] not in targets:
        raise _wrong(
            "A specified destination ARN does not exist or is not well-formed. Verify the destination ARN.", kind, arn
        )
    prefix, suffix = _filter(node)
    return Rule(identifier, kind, arn, events, prefix, suffix)


def _filter(node: Node) -> tuple[str | None, str | None]:
    """The prefix and the suffix of a rule, None for one that it does not say."""
    found: dict[str, str] = {}
    filters = list(node.each("Filter"))
    keys = [key for each in filters for key in each.only("S3Key").children]
    if len(filters) > 1 or len(keys) > 1:
        raise S3Error("MalformedXML")
    for rule in (rule for key in keys for rule in key.only("FilterRule").children):
        name, value = rule.only("Name", "Value").value("Name"), rule.value("Value")
        if name is None or value is None:
            raise S3Error("MalformedXML")
        name = name.strip().lower()
        if name not in ("prefix", "suffix"):
            raise _wrong("filter rule name must be either prefix or suffix", "FilterRule.Name", name)
        if name in found:
            raise _wrong(f"Cannot specify more than one {name} rule in a filter.", "FilterRule.Name", name)
        if len(value.encode("utf-8")) > _MAX_VALUE:
            message = f"Size of filter rule value cannot exceed {_MAX_VALUE} bytes in UTF-8 representation"
            raise _wrong(message, "FilterRule.Value", value)
        found[name] = value
    return found.get("prefix"), found.get("suffix")


def document(rules: Sequence[Rule]) -> bytes:
    """The document of rules; an empty one where there are none."""
    root = xml.root("NotificationConfiguration")
    for rule in sorted(rules, key=lambda rule: rule.kind == "Queue"):  # topics come first in S3's
        element = root.add(rule.kind + "Configuration")
        element.add("Id", rule.id)
        element.add(rule.kind, rule.arn)
        for event in rule.events:
            element.add("Event", event)
        if rule.prefix is not None or rule.suffix is not None:
            key = element.add("Filter").add("S3Key")
            for name, value in (("Prefix", rule.prefix), ("Suffix", rule.suffix)):
                if value is not None:
                    entry = key.add("FilterRule")
                    entry.add("Name", name)
                    entry.add("Value", value)
    return root.document()
