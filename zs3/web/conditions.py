"""Preconditions: of GET and HEAD, of the source of a copy, and of writes.

Pure.  Whether a write's condition holds is decided by the store, under the key's lock;
here its headers only become a `WriteCondition`.

Sources: RFC 9110 section 13 (13.2.2 for the precedence); Amazon S3 API Reference, GetObject,
CopyObject, PutObject and DeleteObject; User Guide, "Conditional requests".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zs3.errors import S3Error
from zs3.store.values import ObjectInfo, WriteCondition
from zs3.web.dates import NS, parse_http_date, parse_iso_date

#: A request header as text, or None if there is none.
Header = Callable[[str], str | None]

ANY = "*"
#: Possessive throughout: no header may cost more than one look at each of its characters.
_ITEM = re.compile(r'[ \t]*+(?:(W/)?"([^"]*+)"|([^",]++))[ \t]*+(?:,|$)').match
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag as a header names it; `value` is without quotes."""

    value: str
    weak: bool = False


def parse_etags(text: str) -> list[ETag] | None:
    """The entity tags of an `If-Match` or `If-None-Match` header; None stands for ``*``.

    S3's clients also send tags without quotes.  What cannot be read as a tag is one that no object has.
    """
    text = text.strip(" \t")
    if text == ANY:
        return None
    tags = []
    position = 0
    while position < len(text):
        item = _ITEM(text, position)
        if item is None:
            following = text.find(",", position)
            position = len(text) if following < 0 else following + 1
            continue
        tags.append(ETag(item[2] if item[2] is not None else item[3].rstrip(" \t"), item[1] is not None))
        position = item.end()
    return tags


def _has_strong(tags: Sequence[ETag] | None, etag: str) -> bool:
    return tags is None or any(tag.value == etag and not tag.weak for tag in tags)


def _has_weak(tags: Sequence[ETag] | None, etag: str) -> bool:
    return tags is None or any(tag.value == etag for tag in tags)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """:ivar failed: the header that a precondition failed at, else "".
    :ivar unmodified: whether the client has this very representation already.
    """

    failed: str = ""
    unmodified: bool = False


def _evaluate(header: Header, prefix: str, info: ObjectInfo) -> _Outcome:
    """The order of RFC 9110, 13.2.2, which is also S3's: a tag overrules the date beside it."""
    modified = info.mtime_ns // NS
    if (text := header(prefix + "if-match")) is not None:
        if not _has_strong(parse_etags(text), info.etag):
            return _Outcome(failed="If-Match")
    elif (text := header(prefix + "if-unmodified-since")) is not None:
        limit = parse_http_date(text)
        if limit is not None and modified > limit:
            return _Outcome(failed="If-Unmodified-Since")
    if (text := header(prefix + "if-none-match")) is not None:
        return _Outcome(unmodified=_has_weak(parse_etags(text), info.etag))
    if (text := header(prefix + "if-modified-since")) is not None:
        limit = parse_http_date(text)
        return _Outcome(unmodified=limit is not None and modified <= limit)
    return _Outcome()


def is_not_modified(header: Header, info: ObjectInfo) -> bool:
    """Whether a GET or HEAD of `info` is to be answered 304.

    :raises S3Error: PreconditionFailed.
    """
    outcome = _evaluate(header, "", info)
    if outcome.failed:
        raise S3Error("PreconditionFailed", Condition=outcome.failed)
    return outcome.unmodified


def range_applies(header: Header, info: ObjectInfo) -> bool:
    """Whether `If-Range`, where there is one, lets the `Range` beside it count (RFC 9110, 13.1.5)."""
    text = header("if-range")
    if text is None:
        return True
    date = parse_http_date(text)
    if date is not None:
        return date == info.mtime_ns // NS
    tags = parse_etags(text)
    return tags is not None and len(tags) == 1 and _has_strong(tags, info.etag)


def check_copy_source(header: Header, info: ObjectInfo) -> None:
    """Hold the source of a copy against the `x-amz-copy-source-if-*` headers.

    :raises S3Error: PreconditionFailed; there is no 304 for a copy.
    """
    prefix = "x-amz-copy-source-"
    outcome = _evaluate(header, prefix, info)
    if outcome.failed or outcome.unmodified:
        failed = outcome.failed or (
            "If-None-Match" if header(prefix + "if-none-match") is not None else "If-Modified-Since"
        )
        raise S3Error("PreconditionFailed", Condition=prefix + failed)


def _refuse(name: str) -> S3Error:
    return S3Error("NotImplemented", Header=name)


def write_condition(header: Header) -> WriteCondition:
    """What PutObject, CopyObject and CompleteMultipartUpload must find at their key.

    As in S3, `If-Match` knows only one tag.  `If-None-Match` may have one too, as in RFC 9110, while S3 has only
    ``*``.  A condition that would be ignored is refused.

    :raises S3Error: NotImplemented for any other; InvalidRequest for both at once.
    """
    match, none_match = header("if-match"), header("if-none-match")
    if header("if-unmodified-since") is not None:
        raise _refuse("If-Unmodified-Since")
    if match is not None and none_match is not None:
        raise S3Error("InvalidRequest", "If-Match and If-None-Match cannot be combined in one write.")
    excluded = _one_tag("If-None-Match", none_match)
    return WriteCondition(
        if_match=_strong(_one_tag("If-Match", match)), if_none_match=None if excluded is None else excluded.value
    )


def delete_condition(header: Header) -> WriteCondition:
    """What DeleteObject must find.

    :raises S3Error: NotImplemented for a condition S3 does not know here; InvalidArgument for a size or time that is
        none.
    """
    for name in ("If-None-Match", "If-Unmodified-Since"):
        if header(name.lower()) is not None:
            raise _refuse(name)
    return entry_condition(
        header("if-match"), header("x-amz-if-match-size"), header("x-amz-if-match-last-modified-time")
    )


def entry_condition(etag: str | None, size: str | None, modified: str | None) -> WriteCondition:
    """What one entry of DeleteObjects must find.

    :raises S3Error: NotImplemented for several tags; InvalidArgument for a size or time that is none.
    """
    mtime_s = None
    if modified is not None:
        mtime_s = parse_http_date(modified)
        if mtime_s is None:
            mtime_s = parse_iso_date(modified)
        if mtime_s is None:
            raise S3Error("InvalidArgument", ArgumentName="LastModifiedTime", ArgumentValue=modified)
    if size is not None and not _DIGITS(size):
        raise S3Error("InvalidArgument", ArgumentName="Size", ArgumentValue=size)
    return WriteCondition(
        if_match=_strong(_one_tag("If-Match", etag)), size=None if size is None else int(size), mtime_s=mtime_s
    )


def _one_tag(name: str, text: str | None) -> ETag | None:
    """The only tag of a header, whose value is ``*`` for any."""
    if text is None:
        return None
    tags = parse_etags(text)
    if tags is None:
        return ETag(ANY)
    if len(tags) != 1:
        raise _refuse(name)
    return tags[0]


def _strong(tag: ETag | None) -> str | None:
    """A weak tag never matches where bytes are meant, as an empty one never does (RFC 9110, 13.1.1)."""
    return None if tag is None else "" if tag.weak else tag.value
