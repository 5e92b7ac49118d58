"""Lifecycle rules: what they are, which objects they are about, and how a bucket's configuration keeps them.  Pure.

What they lead to is in `zs3.lifecycle.evaluation`, and their XML in
`zs3.web.lifecyclexml`.

Sources: Amazon S3 API Reference, LifecycleRule; User Guide, "Lifecycle configuration elements".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from zs3.store.memo import PER_VALUE, Memo

#: The name in the configuration of a bucket.
LIFECYCLE = "lifecycle"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects a rule is about: those that meet all that is said.

    :ivar prefix: None where nothing is said, which is as good as "".
    :ivar tags: names and values, all of which an object must have.
    :ivar larger_than: bytes, or None.
    :ivar smaller_than: bytes, or None.
    """

    prefix: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    larger_than: int | None = None
    smaller_than: int | None = None

    def covers(self, key: str, size: int, tags: Mapping[str, str]) -> bool:
        """Whether an object, or one of its versions, is meant.  A delete marker is empty and has no tags."""
        return (
            key.startswith(self.prefix or "")
            and all(tags.get(name) == value for name, value in self.tags)
            and (self.larger_than is None or size > self.larger_than)
            and (self.smaller_than is None or size < self.smaller_than)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; None for the actions that it has not.

    Of `days`, `date_s` and `expired_markers` it has at most one.

    :ivar old_form: whether its prefix came without a Filter, as in S3's first form.
    :ivar days: after so many days, an object expires.
    :ivar date_s: from this time on, objects expire: seconds since the epoch, a midnight UTC.
    :ivar expired_markers: whether delete markers are removed that stand for nothing any more; False was said too.
    :ivar noncurrent_days: after it was not current for so many days, a version is removed...
    :ivar newer_versions: ...if so many versions are newer that are not current either.
    :ivar abort_days: after so many days, a multipart upload that is not complete is aborted.
    """

    id: str
    enabled: bool = True
    filter: Filter = Filter()
    old_form: bool = False
    days: int | None = None
    date_s: int | None = None
    expired_markers: bool | None = None
    noncurrent_days: int | None = None
    newer_versions: int | None = None
    abort_days: int | None = None

    @property
    def is_about_versions(self) -> bool:
        """Whether objects, their versions or delete markers can be removed by it."""
        return any((self.days, self.date_s is not None, self.expired_markers, self.noncurrent_days))


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What is configured of a bucket.

    :ivar minimum_size: S3's setting of which objects are too small to be moved to another storage class; "" for its
        default.  Nothing is moved here; it is given back.
    """

    rules: tuple[Rule, ...] = ()
    minimum_size: str = ""

    @property
    def enabled(self) -> tuple[Rule, ...]:
        """The rules that count."""
        return tuple(rule for rule in self.rules if rule.enabled)


NO_LIFECYCLE = Lifecycle()


def lifecycle_of(configuration: Mapping[str, Any]) -> Lifecycle:
    """What a bucket's configuration says, in which that is a text.

    :raises ValueError: it is damaged.  No rule can be concluded from it then.
    """
    text = configuration.get(LIFECYCLE)
    return NO_LIFECYCLE if text is None else _parse(str(text))


def kept(lifecycle: Lifecycle) -> str:
    """The text that a bucket's configuration keeps."""
    rules = [{name: value for name, value in asdict(rule).items() if value is not None} for rule in lifecycle.rules]
    return json.dumps({"rules": rules, "minimum_size": lifecycle.minimum_size}, separators=(",", ":"))


#: It is asked for with every request to an object, and the same text each time; parsed it takes several times that.
_known = Memo(16 << 20)
_PER_CHARACTER = 8


def _parse(text: str) -> Lifecycle:
    found = _known.get(text)
    if found is None:
        found = (_parsed(text), PER_VALUE + _PER_CHARACTER * len(text))
        _known.keep([(text, found)])
    else:
        _known.touch((text,))
    lifecycle: Lifecycle = found[0]
    return lifecycle


def _parsed(text: str) -> Lifecycle:
    try:
        values = json.loads(text)
        return Lifecycle(tuple(_rule(each) for each in values["rules"]), values["minimum_size"])
    except (ValueError, TypeError, KeyError):
        raise ValueError("the lifecycle rules of a bucket are damaged") from None


def _rule(values: dict[str, Any]) -> Rule:
    said = dict(values["filter"])
    said["tags"] = tuple((name, value) for name, value in said["tags"])
    return Rule(**{**values, "filter": Filter(**said)})


def prefixes(rules: Iterable[Rule]) -> list[str]:
    """The prefixes that all the keys have which these rules are about, in order; no key has two of them."""
    found: list[str] = []
    # A prefix of another one comes before it.  In the order of UTF-8, which is that of listings.
    for prefix in sorted({rule.filter.prefix or "" for rule in rules}, key=str.encode):
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return found
