"""The policy of a browser's form upload: what its signer lets the form say, and for how long.

Pure.  Who signed it is not known here, nor how a form is read.

Source: Amazon S3 API Reference, "POST policy" and "Creating an HTML form".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from zs3.auth import dates
from zs3.errors import S3Error

EQ, STARTS_WITH, SIZE = "eq", "starts-with", "content-length-range"

#: Fields that need no condition: they are the signature, or what it is over.
_EXEMPT = frozenset(("awsaccesskeyid", "file", "policy", "signature", "x-amz-signature"))
#: The first as AWS has it.  A checksum changes nothing of what may be stored, it only proves that it arrived.
_EXEMPT_PREFIXES = ("x-ignore-", "x-amz-checksum-")

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
#: The escapes that AWS documents beside those of JSON.
_ESCAPES = {"$": "$", "v": r"\u000b"}
_SIZE = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Condition:
    """What one field must be.

    :ivar operator: `EQ` or `STARTS_WITH`.
    :ivar field: its name, in lower case.
    """

    operator: str
    field: str
    value: str

    def holds(self, fields: Mapping[str, str]) -> bool:
        """Whether the form has the field, and with such a value."""
        given = fields.get(self.field)
        if given is None:
            return False
        if self.operator == EQ:
            return given == self.value
        if not given.startswith(self.value):
            return False
        # A Content-Type with commas is a list, of which every member must begin so.
        return self.field != "content-type" or all(
            member.lstrip(" \t").startswith(self.value) for member in given.split(",")[1:]
        )

    def __str__(self) -> str:
        return json.dumps([self.operator, "$" + self.field, self.value], ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy document.

    :ivar expires_s: until when it is valid, in seconds since the epoch.
    :ivar conditions: all that must hold for the fields.
    :ivar least: the smallest size of the file in bytes.
    :ivar most: the largest; None for any.
    """

    expires_s: float
    conditions: tuple[Condition, ...]
    least: int = 0
    most: int | None = None

    def check(self, fields: Mapping[str, str], *, now: float) -> None:
        """Refuse a form that is not what was signed.

        :param fields: by their names in lower case, ``${filename}`` replaced; ``bucket`` is the one that the form is
            sent to, whatever it says itself.
        :param now: seconds since the epoch.
        :raises S3Error: AccessDenied.
        """
        if now > self.expires_s:
            raise _violated("Policy expired.")
        for condition in self.conditions:
            if not condition.holds(fields):
                raise _violated(f"Policy Condition failed: {condition}")
        covered = {condition.field for condition in self.conditions}
        extra = sorted(
            name
            for name in fields
            if name not in covered and name not in _EXEMPT and not name.startswith(_EXEMPT_PREFIXES)
        )
        if extra:
            raise _violated(f"Extra input fields: {', '.join(extra)}")

    def check_size(self, size: int, *, complete: bool) -> None:
        """Refuse a file of a size that was not allowed.

        :param size: the bytes so far.
        :param complete: whether there will be no more.
        :raises S3Error: EntityTooLarge, EntityTooSmall.
        """
        if self.most is not None and size > self.most:
            raise S3Error("EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed=str(self.most))
        if complete and size < self.least:
            raise S3Error("EntityTooSmall", ProposedSize=str(size), MinSizeAllowed=str(self.least))


def parse_policy(text: str) -> Policy:
    """The policy in a form's field.

    :param text: a JSON document in base64.
    :raises S3Error: InvalidPolicyDocument for anything but what AWS documents.
    """
    document = _parse_json(text)
    if not isinstance(document, dict):
        _invalid("Invalid JSON.")
    for name in ("expiration", "conditions"):
        if name not in document:
            _invalid(f"Policy missing {name}.")
    unexpected = sorted(document.keys() - {"expiration", "conditions"})
    if unexpected:
        _invalid(f"Unexpected: '{unexpected[0]}'")
    expiration = document["expiration"]
    expires_s = dates.parse_iso(expiration) if isinstance(expiration, str) else None
    if expires_s is None:
        _invalid(f"Invalid 'expiration' value: '{expiration}'")
    if not isinstance(document["conditions"], list):
        _invalid("Invalid 'conditions' value: must be a List.")
    conditions: list[Condition] = []
    least, most = 0, None
    for each in document["conditions"]:
        if isinstance(each, list) and each and _lower(each[0]) == SIZE:
            low, high = _size_range(each)
            least, most = max(least, low), high if most is None else min(most, high)
        else:
            conditions.append(_condition(each))
    return Policy(expires_s, tuple(conditions), least, most)


def _parse_json(text: str) -> Any:
    try:
        raw = base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        _invalid("Invalid Base64 or UTF-8.")
    standard = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), raw)
    try:
        return json.loads(standard, object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _invalid("Invalid JSON.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are all different: of two, which one counts would be a guess."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name comes twice")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _condition(each: object) -> Condition:
    if isinstance(each, dict):
        if len(each) != 1:
            _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((name, value),) = each.items()
        if not isinstance(value, str):
            _invalid("Invalid Simple-Condition: value must be a string.")
        return Condition(EQ, name.lower(), value)
    if not isinstance(each, list) or not each:
        _invalid("Invalid Condition: must be a List or an Object.")
    operator = _lower(each[0])
    if operator not in (EQ, STARTS_WITH):
        _invalid(f"Invalid Condition: unknown operation '{each[0]}'.")
    if len(each) != 3 or not isinstance(each[1], str) or not isinstance(each[2], str):
        _invalid(f"Invalid {operator} Condition: wrong number or type of arguments.")
    if not each[1].startswith("$"):
        _invalid(f"Invalid {operator} Condition: the name of a field begins with '$'.")
    return Condition(operator, each[1][1:].lower(), each[2])


def _size_range(each: list[Any]) -> tuple[int, int]:
    sizes = [str(size) for size in each[1:] if isinstance(size, int | str) and not isinstance(size, bool)]
    if len(each) != 3 or len(sizes) != 2 or not all(map(_SIZE, sizes)):
        _invalid(f"Invalid {SIZE}: it takes two sizes in bytes.")
    return int(sizes[0]), int(sizes[1])


def _lower(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""


def _invalid(why: str) -> NoReturn:
    raise S3Error("InvalidPolicyDocument", f"Invalid Policy: {why}")


def _violated(why: str) -> S3Error:
    return S3Error("AccessDenied", f"Invalid according to Policy: {why}")
