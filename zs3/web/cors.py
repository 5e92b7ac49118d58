"""The CORS configuration of a bucket: its document both ways, and what its rules allow a page of another origin.

Pure.  What a browser is told comes from here; that requests are allowed at all
is decided elsewhere, CORS or not.

Sources: Amazon S3 API Reference, PutBucketCors, CORSRule, "OPTIONS object"; User Guide, "Elements of a CORS
configuration"; where they leave it open, what S3 itself was seen to answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zs3.errors import S3Error
from zs3.web import xml
from zs3.web.bodies import CONFIGURATION_SIZE
from zs3.web.xml import Node

METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
MAX_RULES = 100
MAX_ID_LENGTH = 255
MAX_AGE = 2**31 - 1

#: The most names of headers that a preflight may ask for: browsers list what a script has set, and each is held
#: against all that the rules say, for clients that nobody knows.
MAX_REQUESTED = 100

#: The most of their patterns in all rules together, for the same reason; S3 names no limit.
MAX_PATTERNS = 200

#: What answers to pages of other origins depend on.
_VARY = b"Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

#: What may be repeated in the header of an answer: RFC 9110, 5.6.2, and an origin as browsers write it.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII).fullmatch
_ORIGIN = re.compile(r"[!-~]+", re.ASCII).fullmatch
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Rule:
    """A CORSRule; "" and None for what it does not say.

    :ivar origins: with at most one ``*`` each, which stands for any characters.
    :ivar methods: of `METHODS`.
    :ivar headers: names of request headers, likewise.
    :ivar exposed: names of response headers.
    :ivar max_age: in seconds.
    """

    origins: Sequence[str]
    methods: Sequence[str]
    headers: Sequence[str] = ()
    exposed: Sequence[str] = ()
    id: str = ""
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a rule is held against.

    :ivar origin: of the page.
    :ivar method: of the request that it makes, or wants to make.
    :ivar headers: the names of headers that it wants to send, as it spells them.
    """

    origin: str
    method: str
    headers: tuple[str, ...] = ()


# The document --------------------------------------------------------------------------------------------------------


def parse(body: bytes) -> list[Rule]:
    """The rules of a CORSConfiguration, at least one.

    :raises S3Error: MalformedXML; InvalidRequest for what the schema allows and S3 does not.
    """
    root = xml.parse(body, "CORSConfiguration", max_elements=CONFIGURATION_SIZE // len("<AllowedOrigin/>"))
    rules = [_parse_rule(node) for node in root.only("CORSRule").children]
    if not rules:
        raise S3Error("MalformedXML")
    if len(rules) > MAX_RULES:
        raise S3Error(
            "InvalidRequest", f"The number of CORS rules should not exceed allowed limit of {MAX_RULES} rules."
        )
    if sum("*" in header for rule in rules for header in rule.headers) > MAX_PATTERNS:
        raise S3Error("InvalidRequest", f"There cannot be more than {MAX_PATTERNS} AllowedHeaders with a wildcard.")
    return rules


def _parse_rule(node: Node) -> Rule:
    node.only("AllowedHeader", "AllowedMethod", "AllowedOrigin", "ExposeHeader", "ID", "MaxAgeSeconds")
    if any(child.children for child in node.children):
        raise S3Error("MalformedXML")
    headers, methods, origins, exposed = (
        [child.text for child in node.each(name)]
        for name in ("AllowedHeader", "AllowedMethod", "AllowedOrigin", "ExposeHeader")
    )
    if not origins or not methods:
        raise S3Error("MalformedXML")
    for method in methods:
        if method not in METHODS:
            raise S3Error(
                "InvalidRequest", f"Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            )
    for name, patterns in (("AllowedOrigin", origins), ("AllowedHeader", headers)):
        for pattern in patterns:
            if pattern.count("*") > 1:
                raise S3Error("InvalidRequest", f'{name} "{pattern}" can not have more than one wildcard.')
    for header in exposed:
        if "*" in header:
            raise S3Error(
                "InvalidRequest",
                f'ExposeHeader "{header}" contains wildcard. We currently do not support wildcard for ExposeHeader.',
            )
        if not _TOKEN(header):
            raise S3Error("InvalidRequest", f'ExposeHeader "{header}" contains invalid character.')
    identifier = node.value("ID") or ""
    if len(identifier) > MAX_ID_LENGTH:
        raise S3Error("InvalidRequest", f"The ID of a CORS rule has at most {MAX_ID_LENGTH} characters.")
    return Rule(origins, methods, headers, exposed, identifier, _parse_age(node.value("MaxAgeSeconds")))


def _parse_age(text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER(text.strip()) or int(text) > MAX_AGE:
        raise S3Error("MalformedXML")
    return int(text)


def document(rules: Iterable[Rule]) -> bytes:
    """The CORSConfiguration that says this."""
    root = xml.root("CORSConfiguration")
    for rule in rules:
        element = root.add("CORSRule")
        for name, values in (
            ("AllowedHeader", rule.headers),
            ("AllowedMethod", rule.methods),
            ("AllowedOrigin", rule.origins),
            ("ExposeHeader", rule.exposed),
        ):
            for value in values:
                element.add(name, value)
        element.add_if("ID", rule.id)
        if rule.max_age is not None:
            element.add("MaxAgeSeconds", rule.max_age)
    return root.document()


# What is allowed -----------------------------------------------------------------------------------------------------


def ask(origin: str, method: str, requested_method: str | None, requested_headers: str | None) -> Question | None:
    """The question that the headers of a request put, preflight or not; None if no rule can be the answer.

    What a request says of the one that it prepares counts for more than what it is.

    :param requested_method: the value of Access-Control-Request-Method.
    :param requested_headers: the value of Access-Control-Request-Headers.
    """
    names = dict.fromkeys(name.strip(" \t") for name in (requested_headers or "").split(","))
    names.pop("", None)
    if not _ORIGIN(origin) or len(names) > MAX_REQUESTED or not all(map(_TOKEN, names)):
        return None
    return Question(origin, method if requested_method is None else requested_method, tuple(names))


def allow(rules: Iterable[Rule], question: Question | None) -> dict[str, bytes] | None:
    """The headers of the answer where a rule fits, by name in lower case; None where none does.

    The first rule that fits counts.  Only a page that the rule names, be it by a pattern, may send credentials.
    """
    if question is None:
        return None
    for rule in rules:
        origin = next((each for each in rule.origins if _fits(_split(each), question.origin)), None)
        if origin is not None and question.method in rule.methods and _covers(rule.headers, question.headers):
            return _headers(rule, question, everyone=origin == "*")
    return None


def _headers(rule: Rule, question: Question, *, everyone: bool) -> dict[str, bytes]:
    lines = {
        "access-control-allow-origin": "*" if everyone else question.origin,
        "access-control-allow-methods": ", ".join(rule.methods),
    }
    if question.headers:
        lines["access-control-allow-headers"] = ", ".join(question.headers)
    if rule.exposed:
        lines["access-control-expose-headers"] = ", ".join(rule.exposed)
    if rule.max_age is not None:
        lines["access-control-max-age"] = str(rule.max_age)
    if not everyone:
        lines["access-control-allow-credentials"] = "true"
    return {**{name: value.encode("ascii") for name, value in lines.items()}, "vary": _VARY}


def _covers(allowed: Sequence[str], requested: Sequence[str]) -> bool:
    """Whether each of the headers is allowed; letters of either case are the same."""
    names = {name.lower() for name in allowed}
    patterns = [_split(name) for name in names if "*" in name]
    return all(name in names or any(_fits(pattern, name) for pattern in patterns) for name in map(str.lower, requested))


def _split(pattern: str) -> tuple[str, str | None]:
    """What is before the ``*`` of a pattern and what is behind it; None without one."""
    head, star, tail = pattern.partition("*")
    return head, tail if star else None


def _fits(pattern: tuple[str, str | None], text: str) -> bool:
    """Whether `text` is the pattern with anything in place of its ``*``."""
    head, tail = pattern
    if not text.startswith(head):
        return False
    return text == head if tail is None else len(text) >= len(head) + len(tail) and text.endswith(tail)


# As kept in the bucket's configuration -------------------------------------------------------------------------------

_KEPT = "cors"


def rules_of(configuration: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules that are configured of a bucket, in order."""
    return (Rule(**each) for each in configuration.get(_KEPT, ()))


def set_rules(configuration: dict[str, Any], rules: Sequence[Rule]) -> None:
    """Replace the rules among what is configured of a bucket."""
    configuration.pop(_KEPT, None)
    if rules:
        configuration[_KEPT] = [asdict(rule) for rule in rules]
