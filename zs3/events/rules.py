"""The rules of a bucket's notification configuration: which events of which keys go to which target.  Pure.

Source: Amazon S3 User Guide, "Supported event types", "Configuring event
notifications using object key name filtering".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from zs3.store.values import Configuration

#: The rules in a bucket's configuration.
NOTIFICATION = "notification"

# What happens to objects here, without the ``s3:`` of configurations.
CREATED_PUT, CREATED_POST, CREATED_COPY = "ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy"
CREATED_UPLOAD = "ObjectCreated:CompleteMultipartUpload"
REMOVED, REMOVED_BY_MARKER = "ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated"
TAGS_PUT, TAGS_DELETED = "ObjectTagging:Put", "ObjectTagging:Delete"
ACL_PUT = "ObjectAcl:Put"
RETENTION_PUT = "ObjectRetention:Put"
EXPIRED, EXPIRED_BY_MARKER = "LifecycleExpiration:Delete", "LifecycleExpiration:DeleteMarkerCreated"

_HAPPENING = (
    *(CREATED_PUT, CREATED_POST, CREATED_COPY, CREATED_UPLOAD, REMOVED, REMOVED_BY_MARKER, TAGS_PUT, TAGS_DELETED),
    *(ACL_PUT, RETENTION_PUT, EXPIRED, EXPIRED_BY_MARKER),
)
#: What a configuration may name though it never happens here: nothing is archived, replicated or moved.
_NEVER = (
    *("ReducedRedundancyLostObject", "LifecycleTransition", "IntelligentTiering"),
    *("ObjectRestore:Post", "ObjectRestore:Completed", "ObjectRestore:Delete"),
    *("Replication:OperationFailedReplication", "Replication:OperationNotTracked"),
    *("Replication:OperationMissedThreshold", "Replication:OperationReplicatedAfterThreshold"),
    *("ObjectAnnotation:Put", "ObjectAnnotation:Delete"),
)
#: Families that have a wildcard.
_FAMILIES = (
    *("ObjectCreated", "ObjectRemoved", "ObjectTagging", "LifecycleExpiration"),
    *("ObjectRestore", "Replication", "ObjectAnnotation"),
)
#: All that a configuration may name.
NAMES = frozenset("s3:" + name for name in (*_HAPPENING, *_NEVER, *(family + ":*" for family in _FAMILIES)))


@dataclass(frozen=True, slots=True)
class Rule:
    """One QueueConfiguration or TopicConfiguration.

    :ivar kind: ``Queue`` or ``Topic``: they mean the same here, and are given back as they came.
    :ivar arn: of the target.
    :ivar events: of `NAMES`, in the order in which they were given.
    :ivar prefix: of the keys it is about; None where none was given.
    :ivar suffix: likewise.
    """

    id: str
    kind: str
    arn: str
    events: tuple[str, ...]
    prefix: str | None = None
    suffix: str | None = None

    @property
    def target(self) -> str:
        """The name of the target: the last part of its ARN."""
        return self.arn.rpartition(":")[2]

    def is_about(self, event: str, key: str) -> bool:
        """Whether an event of a key goes to the target.

        :param event: without ``s3:``.
        """
        return names_event(self.events, event) and key.startswith(self.prefix or "") and key.endswith(self.suffix or "")

    def overlaps(self, other: Rule) -> bool:
        """Whether there can be an event that both are about."""
        return (
            _overlap(self.prefix or "", other.prefix or "")
            and _overlap((self.suffix or "")[::-1], (other.suffix or "")[::-1])
            and _share(frozenset(self.events), frozenset(other.events))
        )


def names_event(names: Iterable[str], event: str) -> bool:
    """Whether an event, without ``s3:``, is among those of names with it, wildcards among them."""
    return "s3:" + event in names or f"s3:{event.partition(':')[0]}:*" in names


def _share(some: frozenset[str], others: frozenset[str]) -> bool:
    # Not each with each: there may be 100 rules of all events.
    return not some.isdisjoint(others) or _stands_for(some, others) or _stands_for(others, some)


def _stands_for(names: frozenset[str], others: frozenset[str]) -> bool:
    """Whether one of names is a wildcard for one of the others."""
    return any(family + ":*" in names for family in {name.rpartition(":")[0] for name in others})


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def overlapping(rules: Sequence[Rule]) -> tuple[Rule, Rule] | None:
    """Two rules that one event could be about, if there are any: without them an event has one target at most."""
    return next(((one, other) for one, other in combinations(rules, 2) if one.overlaps(other)), None)


# In a bucket's configuration -----------------------------------------------------------------------------------------


def kept(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """The rules as they are in a bucket's configuration."""
    return [
        {"id": rule.id, "kind": rule.kind, "arn": rule.arn, "events": list(rule.events)}
        | {name: value for name, value in (("prefix", rule.prefix), ("suffix", rule.suffix)) if value is not None}
        for rule in rules
    ]


def rules_of(configuration: Configuration) -> Iterator[Rule]:
    """What `kept` made.

    :raises ValueError: it is something else.
    """
    try:
        for each in configuration.get(NOTIFICATION, ()):
            yield Rule(**{**each, "events": tuple(each["events"])})
    except (TypeError, KeyError) as error:
        raise ValueError("a notification configuration is damaged") from error
