"""The conditions of policies: operators, and values held against what a request has of a key.  Pure and total.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators", "Multivalued context keys".
"""

from __future__ import annotations

import base64
import binascii
import functools
import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from zs3.addresses import address_of
from zs3.auth.patterns import (
    Automaton,
    Token,
    Wild,
    as_prefix,
    as_text,
    compile_pattern,
    has_variables,
    normal_key,
    resolve,
    tokenize,
)
from zs3.auth.policy_names import is_known_key


class Context(Protocol):
    """What a request has to say to conditions."""

    def values(self, key: str) -> Sequence[str] | None:
        """What it has of a condition key; none, or None, where it has no such key.

        :param key: in its normal form: lower case up to a slash.
        """


class Nothing:
    """The context of a request of which nothing is known."""

    def values(self, key: str) -> None:  # noqa: ARG002
        return None


NOTHING = Nothing()


class Overlay:
    """A context with values in place of some of another's.

    :param above: normal forms of keys, and their values.
    """

    __slots__ = ("_above", "_below")

    def __init__(self, above: Mapping[str, Sequence[str]], below: Context) -> None:
        self._above, self._below = above, below

    def values(self, key: str) -> Sequence[str] | None:
        values = self._above.get(key)
        return self._below.values(key) if values is None else values


def one_value(context: Context, key: str) -> str | None:
    """The value of a variable: of what has several, there is none."""
    values = context.values(key)
    return values[0] if values and len(values) == 1 else None


#: Whether one value of the request is one of those that the policy names.
_Test = Callable[[str, Context], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """One key under one operator.

    :ivar operator: as the policy spells it.
    :ivar key: in its normal form.
    :ivar values: as the policy names them.
    :ivar holds: whether it does, for a request.
    """

    operator: str
    key: str
    values: tuple[str, ...]
    holds: Callable[[Context], bool]


def parse_condition(name: str, key: str, values: tuple[str, ...], *, variables: bool) -> Condition:
    """The condition that a policy states.

    :param name: of the operator.
    :param values: at least one.
    :param variables: whether the policy's version has them.
    :raises ValueError: says what is wrong.
    """
    normal = normal_key(key)
    if not is_known_key(normal):
        raise ValueError("Policy has an invalid condition key")
    if name == "Null":
        wanted = {_boolean(value) for value in values}
        return Condition(name, normal, values, lambda context: (not context.values(normal)) in wanted)
    found = _OPERATOR(name)
    if found is None or found["base"] not in _OPERATORS:
        raise ValueError(f"Invalid Condition type : {name}")
    family, negated = _OPERATORS[found["base"]]
    try:
        test = family(values, variables)
    except ValueError as error:
        raise ValueError(f"Invalid value for condition {name}: {error}") from None
    # Of several values each must differ; one that fits is enough.
    every = found["set"] == "ForAllValues:" if found["set"] else negated
    absent = bool(found["if_exists"]) or found["set"] == "ForAllValues:" or (negated and not found["set"])
    return Condition(name, normal, values, _holder(normal, test, negated, every, absent))


_OPERATOR = re.compile(r"(?P<set>ForAllValues:|ForAnyValue:)?(?P<base>[A-Za-z]+?)(?P<if_exists>IfExists)?").fullmatch


def _holder(key: str, test: _Test, negated: bool, every: bool, absent: bool) -> Callable[[Context], bool]:
    """Whether a condition holds.

    :param negated: whether a value is to fail the test.
    :param every: whether all values are to be so, or only one.
    :param absent: what it is to a request that has no such key.
    """

    def holds(context: Context) -> bool:
        values = context.values(key)
        if not values:
            return absent
        for value in values:
            if test(value, context) is negated:
                if every:
                    return False
            elif not every:
                return True
        return every

    return holds


# Text -------------------------------------------------------------------------------------------------------------


def _equal(values: tuple[str, ...], variables: bool) -> _Test:
    return _text(values, variables, wildcards=False)


def _like(values: tuple[str, ...], variables: bool) -> _Test:
    return _text(values, variables, wildcards=True)


def _text(values: tuple[str, ...], variables: bool, *, wildcards: bool) -> _Test:
    patterns = [tokenize(value, wildcards=wildcards, variables=variables) for value in values]
    return either([patterns_test(patterns)])


def _equal_ignoring_case(values: tuple[str, ...], variables: bool) -> _Test:
    folded = [tokenize(value, wildcards=False, variables=variables) for value in values]
    same = frozenset(text.casefold() for tokens in folded if (text := as_text(tokens)) is not None)
    varying = [tokens for tokens in folded if has_variables(tokens)]

    def test(value: str, context: Context) -> bool:
        value = value.casefold()
        if value in same:
            return True
        lookup = functools.partial(one_value, context)
        found = (resolve(tokens, lookup) for tokens in varying)
        return any(tokens is not None and (as_text(tokens) or "").casefold() == value for tokens in found)

    return test


def patterns_test(patterns: Sequence[tuple[Token, ...]]) -> _Test:
    """Whether a text matches one of some patterns."""
    known = [tokens for tokens in patterns if not has_variables(tokens)]
    varying = [tokens for tokens in patterns if has_variables(tokens)]
    same = frozenset(text for tokens in known if (text := as_text(tokens)) is not None)
    # Most patterns are the beginning of what they stand for, and many of these are tried in one go.
    prefixes = tuple(prefix for tokens in known if (prefix := as_prefix(tokens)) is not None)
    others = [tokens for tokens in known if as_text(tokens) is None and as_prefix(tokens) is None]
    if not varying and not others:
        if not same:
            return lambda value, _: value.startswith(prefixes)
        return lambda value, _: value in same or value.startswith(prefixes)
    matchers = [compile_pattern(tokens) for tokens in others if Wild.ONE not in tokens]
    together = [tokens for tokens in others if Wild.ONE in tokens]
    if together:
        matchers.append(Automaton(*together).accepts)

    def test(value: str, context: Context) -> bool:
        if value in same or value.startswith(prefixes):
            return True
        for matches in matchers:
            if matches(value):
                return True
        return bool(varying) and _matches_varying(varying, value, context)

    return test


def _matches_varying(patterns: Sequence[tuple[Token, ...]], value: str, context: Context) -> bool:
    lookup = functools.partial(one_value, context)
    for tokens in patterns:
        resolved = resolve(tokens, lookup)
        if resolved is not None and compile_pattern(resolved)(value):
            return True
    return False


def either(tests: Sequence[_Test]) -> _Test:
    """Whether one of some tests says so."""
    if len(tests) == 1:
        return tests[0]
    return lambda value, context: any(test(value, context) for test in tests)


#: The parts of an ARN are held against each other one by one; only the last may have colons itself.
_ARN_PARTS = 6


def _arn(values: tuple[str, ...], variables: bool) -> _Test:
    return either([_arn_test(_split(tokenize(value, wildcards=True, variables=variables))) for value in values])


def _arn_test(parts: Sequence[tuple[Token, ...]]) -> _Test:
    tests = [patterns_test([part]) for part in parts]

    def test(value: str, context: Context) -> bool:
        found = value.split(":", _ARN_PARTS - 1)
        return len(found) == len(tests) and all(
            matches(part, context) for matches, part in zip(tests, found, strict=True)
        )

    return test


def _split(tokens: Sequence[Token]) -> list[tuple[Token, ...]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if not isinstance(token, str):
            parts[-1].append(token)
            continue
        first, *others = token.split(":", _ARN_PARTS - len(parts))
        parts[-1].append(first)
        parts += [[other] for other in others]
    if len(parts) != _ARN_PARTS:
        raise ValueError("it is no ARN")
    return [tuple(part for part in each if part != "") for each in parts]


# Numbers, dates and the rest ------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?[0-9]{1,32}(?:\.[0-9]{1,32})?", re.ASCII).fullmatch


@functools.lru_cache(maxsize=1024)
def _number(text: str) -> Decimal:
    if not _NUMBER(text):
        raise ValueError(f"{text!r} is no number")
    return Decimal(text)


_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(?:Z|([+-][0-9]{2}):([0-9]{2})))?)?)?",
    re.ASCII,
).fullmatch


@functools.lru_cache(maxsize=256)  # of many conditions most are held against the same time
def _instant(text: str) -> Decimal:
    """Seconds since the epoch, which a policy may also name as such; a year is four digits."""
    found = _DATE(text)
    if found is None:
        return _number(text)
    numbers = [int(each) if each else None for each in found.groups()]
    year, month, day, hour, minute, second, _, zone_hours, zone_minutes = numbers
    moment = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=UTC)
    offset = (abs(zone_hours or 0) * 60 + (zone_minutes or 0)) * 60
    whole = int(moment.timestamp()) + (offset if (found[8] or "").startswith("-") else -offset)
    return Decimal(whole) + Decimal(f"0.{found[7] or 0}")


def _compared(
    convert: Callable[[str], Decimal], compare: Callable[[Decimal, Decimal], bool]
) -> Callable[[tuple[str, ...], bool], _Test]:
    def family(values: tuple[str, ...], _: bool) -> _Test:
        limits = [convert(value) for value in values]

        def test(value: str, _: Context) -> bool:
            try:
                given = convert(value)
            except ValueError:
                return False
            for limit in limits:  # noqa: SIM110 - as above
                if compare(given, limit):
                    return True
            return False

        return test

    return family


def _boolean(text: str) -> bool:
    value = {"true": True, "false": False}.get(text.lower())
    if value is None:
        raise ValueError(f"{text!r} is neither true nor false")
    return value


def _bool(values: tuple[str, ...], _: bool) -> _Test:
    wanted = frozenset(str(_boolean(value)).lower() for value in values)
    return lambda value, _: value.lower() in wanted


@functools.lru_cache(maxsize=1024)
def _address(text: str) -> tuple[int, int] | None:
    """Version and number of an address; of one of version 4 that is written as one of version 6, its own."""
    address = address_of(text.partition("%")[0])
    return None if address is None else (address.version, int(address))


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """An address or a range of them in CIDR notation.  ValueError."""
    return ipaddress.ip_network(text, strict=False)


def _ip(values: tuple[str, ...], _: bool) -> _Test:
    networks = tuple(
        (network.version, int(network.netmask), int(network.network_address)) for network in map(parse_network, values)
    )

    def test(value: str, _: Context) -> bool:
        found = _address(value)
        if found is None:
            return False
        version, number = found
        for kind, mask, base in networks:  # noqa: SIM110 - as above
            if number & mask == base and kind == version:
                return True
        return False

    return test


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{text!r} is no base64") from None


def _binary(values: tuple[str, ...], _: bool) -> _Test:
    wanted = frozenset(map(_bytes, values))

    def test(value: str, _: Context) -> bool:
        try:
            return _bytes(value) in wanted
        except ValueError:
            return False

    return test


_Family = Callable[[tuple[str, ...], bool], _Test]


def _ordered(name: str, convert: Callable[[str], Decimal]) -> dict[str, tuple[_Family, bool]]:
    return {
        f"{name}Equals": (_compared(convert, operator.eq), False),
        f"{name}NotEquals": (_compared(convert, operator.eq), True),
        f"{name}LessThan": (_compared(convert, operator.lt), False),
        f"{name}LessThanEquals": (_compared(convert, operator.le), False),
        f"{name}GreaterThan": (_compared(convert, operator.gt), False),
        f"{name}GreaterThanEquals": (_compared(convert, operator.ge), False),
    }


#: Each operator: what makes its test, and whether it holds where that fails.
_OPERATORS: Mapping[str, tuple[_Family, bool]] = {
    "StringEquals": (_equal, False),
    "StringNotEquals": (_equal, True),
    "StringEqualsIgnoreCase": (_equal_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equal_ignoring_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    **_ordered("Numeric", _number),
    **_ordered("Date", _instant),
    "Bool": (_bool, False),
    "BinaryEquals": (_binary, False),
    "IpAddress": (_ip, False),
    "NotIpAddress": (_ip, True),
    "ArnEquals": (_arn, False),
    "ArnNotEquals": (_arn, True),
    "ArnLike": (_arn, False),
    "ArnNotLike": (_arn, True),
}
