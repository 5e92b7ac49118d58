"""Tags: as a document and a header name them, and what they may be.  Pure.

A set of tags has no order of its own: it is kept and told in that of its keys.

Sources: Amazon S3 API Reference, PutObjectTagging, PutBucketTagging, PutObject, Tag; User Guide,
"Categorizing your objects using tags".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from zs3.errors import S3Error
from zs3.web import xml
from zs3.web.query import Query
from zs3.web.xml import Node

TAGGING = "x-amz-tagging"
MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50
#: In UTF-16 units, as S3 counts.
_MAX_KEY, _MAX_VALUE = 128, 256

#: The most bytes of a document, every character escaped.
SIZE = 256 * 1024
_MAX_ELEMENTS = 1024


def parse_tagging(body: bytes, limit: int = MAX_OBJECT_TAGS) -> Mapping[str, str]:
    """The tags of a `Tagging` document.

    :param limit: the most there may be.
    :raises S3Error: MalformedXML, InvalidTag.
    """
    sets = xml.parse(body, "Tagging", max_elements=_MAX_ELEMENTS).only("TagSet").children
    if len(sets) != 1:
        raise S3Error("MalformedXML")
    return checked(pairs_of(sets), limit)


def pairs_of(sets: Iterable[Node]) -> list[tuple[str, str]]:
    """The keys and values of elements that hold elements `Tag`.  MalformedXML."""
    pairs = []
    for tag in (tag for each in sets for tag in each.only("Tag").children):
        key, value = tag.only("Key", "Value").value("Key"), tag.value("Value")
        if key is None or value is None:
            raise S3Error("MalformedXML")
        pairs.append((key, value))
    return pairs


def parse_header(text: str) -> Mapping[str, str]:
    """The tags of the header `x-amz-tagging`, which is written like the query of a URL.

    :raises S3Error: InvalidArgument, InvalidTag.
    """
    try:
        pairs = Query(text.encode("utf-8")).pairs
    except S3Error:
        raise _unreadable(text) from None
    if len(dict(pairs)) < len(pairs) or "" in dict(pairs):
        raise _unreadable(text)
    return checked(pairs, MAX_OBJECT_TAGS)


def _unreadable(text: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        "The header x-amz-tagging must hold tags in the form of a URL's query, percent-encoded UTF-8, each key once.",
        ArgumentName=TAGGING,
        ArgumentValue=text,
    )


def checked(pairs: Iterable[tuple[str, str]], limit: int) -> Mapping[str, str]:
    """These pairs as a set of tags.  InvalidTag."""
    tags: dict[str, str] = {}
    for key, value in sorted(pairs):
        if key in tags:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", TagKey=key)
        if key.startswith("aws:"):
            raise S3Error("InvalidTag", "Keys of tags that begin with aws: are reserved", TagKey=key)
        if not key or not _is_valid(key, _MAX_KEY):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", TagKey=key)
        if not _is_valid(value, _MAX_VALUE):
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", TagKey=key, TagValue=value)
        tags[key] = value
    if len(tags) > limit:
        raise S3Error("InvalidTag", f"There cannot be more than {limit} tags")
    return tags


def _is_valid(text: str, limit: int) -> bool:
    """Whether it is short enough and has only letters, numbers, separators (all by Unicode) and ``_.:/=+-@``."""
    if len(text.encode("utf-16-le", "surrogatepass")) > 2 * limit:
        return False
    return all(character in "_.:/=+-@" or unicodedata.category(character)[0] in "LNZ" for character in text)


def document(tags: Iterable[tuple[str, str]]) -> bytes:
    """The answer of GetObjectTagging and GetBucketTagging."""
    root = xml.root("Tagging")
    parent = root.add("TagSet")
    for key, value in tags:
        tag = parent.add("Tag")
        tag.add("Key", key)
        tag.add("Value", value)
    return root.document()
