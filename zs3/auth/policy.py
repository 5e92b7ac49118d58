"""Policies: documents in the language of AWS that allow and deny.  Pure; evaluation is total.

A document is read strictly: what is not understood is refused, never passed
over, for it may have been meant to deny.  Read once, it is asked with what is
known of a request, whose conditions it looks up only where a statement needs them.

Source: IAM User Guide, "IAM JSON policy element reference", "Grammar of the IAM JSON
policy language"; Amazon S3 User Guide, "Policies and permissions in Amazon S3",
"Blocking public access", the meaning of "public".
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, NoReturn

from zs3.auth import accounts
from zs3.auth.patterns import Automaton, Token, Wild, compile_pattern, lead, tokenize
from zs3.auth.policy_conditions import Condition, Context, parse_condition, parse_network, patterns_test
from zs3.auth.policy_names import (
    BUCKET_ACTIONS,
    EXISTING_TAG,
    LOCK_KEYS,
    OBJECT_ACTIONS,
    OTHER_ACTIONS,
    REQUEST_TAG,
    REQUEST_TAG_KEYS,
)
from zs3.errors import S3Error

#: S3's limit for the policy of a bucket, in bytes.
MAX_SIZE = 20 * 1024

_VARIABLES_SINCE = "2012-10-17"
_VERSIONS = ("2008-10-17", _VARIABLES_SINCE)

EVERYBODY = "*"
#: As whom nothing can be allowed.
NOBODY: frozenset[str] = frozenset()

_ACTIONS = {action.lower(): action for action in BUCKET_ACTIONS | OBJECT_ACTIONS | OTHER_ACTIONS}

_ARN = "arn:aws:s3:::"
#: An account stands in an ARN by its name; none is the one that there is when nobody made others.
_PRINCIPAL_ARN = re.compile(r"arn:aws:iam::([^:/*?]*):(?:root|user/([^*?]+))").fullmatch
_CANONICAL = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch


class Verdict(NamedTuple):
    """What a policy says of a request.

    :ivar statement: for the administrator: which one decided.
    """

    allows: bool
    statement: str


@functools.lru_cache(maxsize=1024)
def identities(account: str, user: str | None) -> frozenset[str]:
    """As whom policies can name who asks.

    :param user: the name of who signed the request; None if nobody did.
    """
    if user is None:
        return frozenset((EVERYBODY,))
    return frozenset((EVERYBODY, _account(account), _user(account, user), f"id {accounts.canonical_id(account)}"))


@functools.lru_cache(maxsize=1024)
def identities_of_user(account: str, user: str) -> frozenset[str]:
    """As whom a policy can allow something to a user of its own account who has no other right to it.

    To name the account is to leave it to the account which of its users may.
    """
    return frozenset((EVERYBODY, _user(account, user)))


def _account(account: str) -> str:
    return f"account {account}"


def _user(account: str, user: str) -> str:
    return f"user {account} {user}"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    :ivar label: for the administrator.
    :ivar others: whether it is about all but `principals`.
    :ivar actions: all that it is about, in the case of IAM.
    :ivar resources: whether it is about one.
    :ivar leads: each resource that it is about begins with one of these.
    :ivar needs_object: whether it may ask for a tag that the object has.
    :ivar needs_body: whether it may ask for the tags or the lock that the request gives.
    """

    label: str
    allows: bool
    principals: frozenset[str]
    others: bool
    actions: frozenset[str]
    resources: Callable[[str, Context], bool]
    leads: tuple[str, ...]
    conditions: tuple[Condition, ...]
    needs_object: bool
    needs_body: bool

    @property
    def is_public(self) -> bool:
        """Whether it allows anything to others than those whom it names, as S3 defines it."""
        return self.allows and EVERYBODY in self.principals and not any(map(_is_fixed, self.conditions))


class _Relevant(NamedTuple):
    """The statements about one action."""

    denying: tuple[Statement, ...]
    allowing: tuple[Statement, ...]
    needs_object: bool
    needs_body: bool


class _Step(NamedTuple):
    """What must be known of a statement to hold a request against it; one and the same wherever it is remembered."""

    verdict: Verdict
    resources: Callable[[str, Context], bool]
    conditions: tuple[Callable[[Context], bool], ...]
    leads: tuple[str, ...]


def _step(statement: Statement) -> _Step:
    holds = tuple(condition.holds for condition in statement.conditions)
    return _Step(Verdict(statement.allows, statement.label), statement.resources, holds, statement.leads)


class _Few:
    """Statements of one effect that are about one action and who asks, as `first` wants them.

    Most of a long policy is about other objects, and all of that is told by one look at how the resource begins.
    """

    __slots__ = ("_all", "_leads", "_wide")

    def __init__(self, statements: Iterable[_Step]) -> None:
        self._all = tuple(statements)
        self._wide = tuple(each for each in self._all if not _are_narrow(each.leads))
        narrow = (each.leads for each in self._all if _are_narrow(each.leads))
        self._leads = tuple(dict.fromkeys(chain.from_iterable(narrow)))

    def first(self, resource: str, context: Context) -> Verdict | None:
        """That of the first that is about a resource, and whose conditions hold."""
        statements = self._all if resource.startswith(self._leads) else self._wide
        if not statements:
            return None
        failed: set[Callable[[Context], bool]] = set()  # one that is in several statements is asked once
        for verdict, resources, conditions, _ in statements:
            if resources(resource, context) and failed.isdisjoint(conditions):
                for holds in conditions:
                    if not holds(context):
                        failed.add(holds)
                        break
                else:
                    return verdict
        return None


def _are_narrow(leads: tuple[str, ...]) -> bool:
    """Whether resources that begin so are some of a bucket, and not all that is in one."""
    return all(lead.partition("/")[2] for lead in leads)


#: Of each policy it is remembered for so many callers and actions which statements are about them; of long ones for
#: fewer, so that it is no more than about so many statements, as a bucket may have had many policies.
_REMEMBERED = 256
_REMEMBERED_STATEMENTS = 1 << 14


class Policy:
    """A policy that was read.

    :ivar is_public: as S3 defines it.
    """

    def __init__(self, statements: Iterable[Statement]) -> None:
        self.statements = tuple(statements)
        self.is_public = any(statement.is_public for statement in self.statements)
        self._by_action: dict[str, _Relevant] = {}
        self._by_who: dict[tuple[str, frozenset[str]], tuple[_Few, _Few]] = {}
        self._steps = {id(statement): _step(statement) for statement in self.statements}
        self._most = max(1, min(_REMEMBERED, _REMEMBERED_STATEMENTS // max(1, len(self.statements))))

    def _about(self, action: str) -> _Relevant:
        found = self._by_action.get(action)
        if found is None:
            about = [statement for statement in self.statements if action in statement.actions]
            found = _Relevant(
                tuple(statement for statement in about if not statement.allows),
                tuple(statement for statement in about if statement.allows),
                any(statement.needs_object for statement in about),
                any(statement.needs_body for statement in about),
            )
            if action in _ACTIONS.values():  # what is remembered is bounded
                self._by_action[action] = found
        return found

    def _few(self, action: str, who: frozenset[str]) -> tuple[_Few, _Few]:
        """What denies and what allows an action to somebody."""
        found = self._by_who.get((action, who))
        if found is None:
            about = self._about(action)
            found = self._concerning(about.denying, who), self._concerning(about.allowing, who)
            if len(self._by_who) >= self._most:
                self._by_who.clear()
            self._by_who[action, who] = found
        return found

    def _concerning(self, statements: tuple[Statement, ...], who: frozenset[str]) -> _Few:
        return _Few(self._steps[id(each)] for each in statements if each.principals.isdisjoint(who) is each.others)

    def needs_object(self, action: str) -> bool:
        """Whether what it says of an action can depend on the tags that the object has."""
        return self._about(action).needs_object

    def needs_body(self, action: str) -> bool:
        """Whether what it says of an action can depend on the tags or the lock that the request gives."""
        return self._about(action).needs_body

    def can_allow(self, who: frozenset[str], action: str) -> bool:
        """Whether there is a resource and a request for which it allows an action."""
        return any(not statement.principals.isdisjoint(who) for statement in self._about(action).allowing)

    def judge(
        self,
        who: frozenset[str],
        action: str,
        resource: str,
        context: Context,
        *,
        allowed: frozenset[str] | None = None,
    ) -> Verdict | None:
        """What it says of a request; None if nothing.

        :param who: `identities` of who asks.
        :param action: of IAM, e.g. ``s3:GetObject``.
        :param resource: ``bucket`` or ``bucket/key``; "" for what belongs to no bucket.
        :param allowed: as whom alone it can allow something, `NOBODY` if only denials count; None for `who`.
        """
        denying, allowing = self._few(action, who)
        found = denying.first(resource, context)
        if found is None and allowed is not NOBODY:
            if allowed is not None:
                allowing = self._few(action, allowed)[1]
            found = allowing.first(resource, context)
        return found


# Reading ----------------------------------------------------------------------------------------------------------


def _malformed(reason: str) -> S3Error:
    return S3Error("MalformedPolicy", reason)


def parse_policy(text: str, bucket: str | None) -> Policy:
    """The policy of a bucket, or of a user.

    :param bucket: None for one of a user: it is about all that the user asks for, and names no principal.
    :raises S3Error: MalformedPolicy, with the reason.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_SIZE:
        raise _malformed(f"Policy is larger than the {MAX_SIZE} bytes that it may have")
    document = _parse_json(text)
    _check_fields(document, "Version Id Statement")
    version = document.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise _malformed("The policy must contain a valid version string")
    _check_text(document, "Id")
    statements = document.get("Statement")
    if statements is None:
        raise _malformed("Missing required field Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise _malformed("Could not parse the policy: Statement is empty!")
    variables = version == _VARIABLES_SINCE
    condition = functools.cache(functools.partial(parse_condition, variables=variables))
    return Policy(
        _parse_statement(number, statement, bucket, variables, condition)
        for number, statement in enumerate(statements, 1)
    )


@functools.lru_cache(maxsize=128)
def stored_policy(text: str, bucket: str) -> Policy:
    """The policy that a bucket has kept; one that denies everything if it is none, or that of another bucket."""
    try:
        return parse_policy(text, bucket)
    except S3Error as error:
        return _closed(f"it is none of this bucket ({error.message})")


def _closed(reason: str) -> Policy:
    """A policy that denies everything."""
    everything = frozenset(_ACTIONS.values())
    return Policy(
        [Statement(reason, False, frozenset((EVERYBODY,)), False, everything, lambda *_: True, ("",), (), False, False)]
    )


CLOSED = _closed("it was not asked for")


class _Number(str):
    """A number, as the text that it is: conditions compare it in their own way."""


def _parse_json(text: str) -> dict[str, Any]:
    def pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _malformed("Policy has a key twice in one object")
        return found

    def constant(_: str) -> NoReturn:
        raise ValueError

    if not text.lstrip(" \t\r\n").startswith("{"):
        raise _malformed("Policies must be valid JSON and the first byte must be '{'")
    try:
        document = json.loads(
            text, object_pairs_hook=pairs, parse_constant=constant, parse_int=_Number, parse_float=_Number
        )
    except (ValueError, RecursionError):
        raise _malformed("This policy contains invalid Json") from None
    if not isinstance(document, dict):
        raise _malformed("This policy contains invalid Json")
    return document


def _check_fields(element: dict[str, Any], known: str) -> None:
    unknown = sorted(element.keys() - set(known.split()))
    if unknown:
        raise _malformed(f"Unknown field {unknown[0]}")


def _check_text(element: dict[str, Any], name: str) -> str:
    value = element.get(name, "")
    if type(value) is not str:
        raise _malformed(f"{name} must be a string")
    return value


def _texts(value: Any, refusal: str) -> tuple[str, ...]:
    """One text or a list of at least one."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(type(each) is str for each in found):
        raise _malformed(refusal)
    return tuple(found)


_MakeCondition = Callable[[str, str, tuple[str, ...]], Condition]


def _parse_statement(
    number: int, statement: Any, bucket: str | None, variables: bool, make_condition: _MakeCondition
) -> Statement:
    """One statement.

    :param make_condition: as `parse_condition`; what is said in several statements becomes one and the same.
    """
    if not isinstance(statement, dict):
        raise _malformed("Statement must be an object")
    _check_fields(statement, "Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition")
    effect = statement.get("Effect")
    if effect is None:
        raise _malformed("Missing required field Effect")
    if effect not in ("Allow", "Deny"):
        raise _malformed(f"Invalid effect : {effect}")
    allows = effect == "Allow"
    sid = _check_text(statement, "Sid")
    principal, others = _whom(statement, bucket)
    if others and allows:
        raise _malformed("Allow with NotPrincipal is not allowed.")
    actions = _parse_actions(*_one_of(statement, "Action"))
    named, all_but = _one_of(statement, "Resource")
    patterns = _parse_resources(named, bucket, variables)
    if not allows and not all_but:
        _check_effect(actions, patterns, bucket)
    conditions = _parse_conditions(statement.get("Condition", {}), make_condition)
    names = json.dumps(statement).lower()
    return Statement(
        label=f"statement {number}" + (f" ({sid})" if sid else ""),
        allows=allows,
        principals=_parse_principal(principal),
        others=others,
        actions=frozenset().union(*actions),
        resources=_all_but(patterns_test(patterns)) if all_but else patterns_test(patterns),
        leads=("",) if all_but else tuple(map(lead, patterns)),
        conditions=conditions,
        # A name that is only in a value does no harm: it is looked at then.
        needs_object=EXISTING_TAG in names,
        needs_body=any(name in names for name in (REQUEST_TAG, REQUEST_TAG_KEYS, LOCK_KEYS)),
    )


def _one_of(statement: dict[str, Any], name: str) -> tuple[Any, bool]:
    """What an element says, and whether it is the one that says what is not meant."""
    negative = f"Not{name}"
    if (name in statement) == (negative in statement):
        both = name in statement
        raise _malformed(f"Statement has both {name} and {negative}" if both else f"Missing required field {name}")
    return (statement[negative], True) if negative in statement else (statement[name], False)


def _whom(statement: dict[str, Any], bucket: str | None) -> tuple[Any, bool]:
    """What a statement says of principals, and whether it is about all others."""
    if bucket is not None:
        return _one_of(statement, "Principal")
    if "Principal" in statement or "NotPrincipal" in statement:
        raise _malformed("Policy document should not specify a principal.")
    return EVERYBODY, False


def _all_but(test: Callable[[str, Context], bool]) -> Callable[[str, Context], bool]:
    return lambda resource, context: not test(resource, context)


# Principals, actions, resources, conditions -------------------------------------------------------------------------


def _parse_principal(principal: Any) -> frozenset[str]:
    refusal = "Invalid principal in policy"
    if principal == EVERYBODY:
        return frozenset((EVERYBODY,))
    if not isinstance(principal, dict) or not principal:
        raise _malformed(refusal)
    found = set()
    for kind, value in principal.items():
        for name in _texts(value, refusal):
            if kind == "AWS":
                found.add(_parse_aws(name))
            elif kind == "CanonicalUser" and _CANONICAL(name):
                found.add(f"id {name}")
            elif kind in ("Service", "Federated") and name:
                found.add(f"{kind} {name}")  # of AWS: nobody here is one
            else:
                raise _malformed(refusal)
    return frozenset(found)


def _parse_aws(name: str) -> str:
    if name == EVERYBODY:
        return EVERYBODY
    found = _PRINCIPAL_ARN(name)
    account, user = (found[1] or accounts.DEFAULT, found[2]) if found else (name, None)
    if not accounts.is_account_name(account):
        raise _malformed("Invalid principal in policy")
    return _user(account, user) if user else _account(account)


def _parse_actions(value: Any, all_but: bool) -> list[frozenset[str]]:
    """The actions that each pattern stands for; those that none of them does, as one, where that is meant."""
    found = [_expand(name) for name in _texts(value, "Policy statement must contain actions")]
    return [frozenset(_ACTIONS.values()).difference(*found)] if all_but else found


@functools.lru_cache(maxsize=256)
def _expand(name: str) -> frozenset[str]:
    matches = compile_pattern(tokenize(name.lower(), wildcards=True, variables=False))
    found = frozenset(action for lower, action in _ACTIONS.items() if matches(lower))
    if not found:
        raise _malformed("Policy has invalid action")
    return found


def _parse_resources(value: Any, bucket: str | None, variables: bool) -> list[tuple[Token, ...]]:
    """The patterns, each of which can stand for a bucket or what is in it."""
    refusal = "Policy has invalid resource"
    patterns: list[tuple[Token, ...]] = []
    for name in _texts(value, "Policy statement must contain resources"):
        if name == "*":
            patterns.append((Wild.ANY,))
            continue
        if not name.startswith(_ARN):
            raise _malformed(refusal)
        try:
            tokens = tokenize(name.removeprefix(_ARN), wildcards=True, variables=variables)
        except ValueError:
            raise _malformed(refusal) from None
        if not any(_can_be(tokens, bucket)):
            raise _malformed(refusal)
        patterns.append(tokens)
    return patterns


def _can_be(tokens: tuple[Token, ...], bucket: str | None) -> tuple[bool, bool, bool]:
    """Whether a pattern can stand for a bucket, for an object, and for what belongs to no bucket.

    :param bucket: the only one that there is, None for any.
    """
    if bucket is not None:
        automaton = Automaton(tokens)
        return automaton.accepts(bucket), bool(automaton.reach(bucket + "/")), False
    open_ended = any(not isinstance(token, str) for token in tokens)
    slash = any(isinstance(token, str) and "/" in token for token in tokens)
    return bool(tokens) and not slash, open_ended or slash, all(token is Wild.ANY for token in tokens) and open_ended


def _check_effect(actions: list[frozenset[str]], patterns: list[tuple[Token, ...]], bucket: str | None) -> None:
    """Refuse a denial that denies nothing, for somebody relies on it.

    An allowance that allows nothing is taken: S3 would refuse that too, but it does no harm.
    """
    kinds = [any(can) for can in zip(*(_can_be(tokens, bucket) for tokens in patterns), strict=True)]
    about = (BUCKET_ACTIONS, OBJECT_ACTIONS, OTHER_ACTIONS)
    for meant in actions:
        if not any(can and meant & names for can, names in zip(kinds, about, strict=True)):
            raise _malformed("Action does not apply to any resource(s) in statement")


def _condition_text(value: Any) -> Any:
    """A value as text, if it is a number or a truth value."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, _Number) else value


def _parse_conditions(value: Any, make_condition: _MakeCondition) -> tuple[Condition, ...]:
    refusal = "Condition must be an object of operators, each one of keys with their values"
    if not isinstance(value, dict):
        raise _malformed(refusal)
    found = []
    for operator, keys in value.items():
        if not isinstance(keys, dict):
            raise _malformed(refusal)
        for key, given in keys.items():
            each = given if isinstance(given, list) else [given]
            texts = [_condition_text(one) for one in each]
            try:
                condition = make_condition(operator, key, _texts(texts, refusal))
            except ValueError as error:
                raise _malformed(str(error)) from None
            found.append(condition)
    return tuple(found)


# The meaning of "public" ----------------------------------------------------------------------------------------------

#: What names a fixed set of callers, where it is held against fixed values.  S3 counts the id of an encryption key
#: among these; here anybody could send that, and it would prove nothing.
_NAMING = frozenset(
    (
        *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"),
        *("aws:sourceaccount", "aws:sourcearn", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce"),
        *("aws:userid", "aws:username", "s3:dataaccesspointaccount", "s3:dataaccesspointarn"),
    )
)
_EQUAL = frozenset(("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"))
#: Wider ranges of addresses, in bits of the prefix, are as good as all.
_WIDEST = {4: 8, 6: 32}


def _is_fixed(condition: Condition) -> bool:
    """Whether a condition lets nobody pass but who is named."""
    if condition.key == "aws:sourceip":
        if condition.operator != "IpAddress":
            return False
        networks = [parse_network(value) for value in condition.values]
        return all(network.prefixlen >= _WIDEST[network.version] for network in networks)
    if condition.key not in _NAMING or condition.operator not in _EQUAL:
        return False
    return not any("*" in value or "?" in value or "${" in value for value in condition.values)
