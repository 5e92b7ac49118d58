"""The patterns of policies: text with wildcards and variables.  Pure.

No pattern takes more time than its length times that of what it is held
against, and those without ``?`` far less: nothing here goes back and tries again.

Source: IAM User Guide, "IAM JSON policy elements: Resource", "Variables and tags".
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile

from zs3.auth.policy_names import is_known_key

Matcher = Callable[[str], bool]


class Wild(enum.Enum):
    """What stands for other characters."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """``${key}`` or ``${key, 'default'}``.

    :ivar key: of the request's context, in its normal form.
    """

    key: str
    default: str | None = None


Token = str | Wild | Variable
#: The value of a variable, or None.
Lookup = Callable[[str], str | None]

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_NAMED = re.compile(r"([A-Za-z0-9]+:[^,']+?)(?:\s*,\s*'([^']*)')?", re.ASCII).fullmatch


def tokenize(text: str, *, wildcards: bool, variables: bool) -> tuple[Token, ...]:
    """The parts of a pattern.

    :param wildcards: whether ``*`` and ``?`` stand for others.
    :param variables: whether there are any, ``${*}``, ``${?}`` and ``${$}`` for the characters themselves among them.
    :raises ValueError: for a variable that is none.
    """
    tokens: list[Token] = []
    at = 0
    for found in _VARIABLE.finditer(text) if variables else ():
        tokens += _plain(text[at : found.start()], wildcards)
        tokens.append(_variable(found[1]))
        at = found.end()
    tokens += _plain(text[at:], wildcards)
    return tuple(tokens)


def _plain(text: str, wildcards: bool) -> list[Token]:
    if not wildcards:
        return [text] if text else []
    return [Wild(part) if part in ("*", "?") else part for part in re.split(r"([*?])", text) if part]


def _variable(name: str) -> str | Variable:
    if name in ("*", "?", "$"):
        return name
    found = _NAMED(name)
    key = normal_key(found[1]) if found else ""
    if found is None or not is_known_key(key):
        raise ValueError(f"${{{name}}} is no policy variable")
    return Variable(key, found[2])


@functools.lru_cache(maxsize=1024)
def normal_key(name: str) -> str:
    """The one form of a condition key: case matters only in the name of a tag, behind a slash."""
    head, slash, tag = name.partition("/")
    return head.lower() + slash + tag


def has_variables(tokens: Sequence[Token]) -> bool:
    return any(isinstance(token, Variable) for token in tokens)


def resolve(tokens: Sequence[Token], lookup: Lookup) -> tuple[Token, ...] | None:
    """The tokens with values in place of variables; what a value holds stands for itself.

    :returns: None if there is a variable without a value.
    """
    resolved: list[Token] = []
    for token in tokens:
        if isinstance(token, Variable):
            value = lookup(token.key)
            if value is None:
                value = token.default
            if value is None:
                return None
            resolved.append(value)
        else:
            resolved.append(token)
    return tuple(resolved)


def as_text(tokens: Sequence[Token]) -> str | None:
    """The one text that tokens without variables stand for; None if there are wildcards."""
    texts = [token for token in tokens if isinstance(token, str)]
    return "".join(texts) if len(texts) == len(tokens) else None


def as_prefix(tokens: Sequence[Token]) -> str | None:
    """What all texts that tokens stand for, and no others, begin with; None if that is not how they are told."""
    return as_text(tokens[:-1]) if tokens and tokens[-1] is Wild.ANY else None


def lead(tokens: Sequence[Token]) -> str:
    """What all texts that tokens stand for begin with, as far as that is known before variables are."""
    return "".join(takewhile(lambda token: isinstance(token, str), tokens))  # type: ignore[arg-type]


def compile_pattern(tokens: Sequence[Token]) -> Matcher:
    """Whether a text is one of those that the tokens, without variables, stand for."""
    text = as_text(tokens)
    if text is not None:
        return text.__eq__
    if Wild.ONE in tokens:
        return Automaton(tokens).accepts
    pieces = [""]
    for token in tokens:
        if token is Wild.ANY:
            pieces.append("")
        else:
            pieces[-1] += str(token)
    first, *middle, last = pieces
    middle = [piece for piece in middle if piece]
    return functools.partial(_matches_pieces, first, tuple(middle), last)


def _matches_pieces(first: str, middle: tuple[str, ...], last: str, text: str) -> bool:
    """Whether a text begins and ends so, and has the others in between: where each comes first is as good as any."""
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return at <= end


class Automaton:
    """Patterns as the set of their places that can have been reached, one bit each: all are tried in one go."""

    def __init__(self, *patterns: Sequence[Token]) -> None:
        self._start = self._end = self._loops = self._any = 0
        self._same: dict[str, int] = {}
        place = 0
        for tokens in patterns:
            self._start |= 1 << place
            for token in chain.from_iterable(map(_characters, tokens)):
                if token is Wild.ANY:
                    self._loops |= 1 << place
                    continue
                if token is Wild.ONE:
                    self._any |= 1 << place
                else:
                    self._same[token] = self._same.get(token, 0) | 1 << place
                place += 1
            self._end |= 1 << place
            # Nothing leads from one pattern's last place to the next one's first.
            place += 1

    def reach(self, text: str) -> int:
        """The places that can have been reached behind a text; 0 if nothing that begins so matches."""
        places, same, one, loops = self._start, self._same, self._any, self._loops
        for character in text:
            places = (places & (same.get(character, 0) | one)) << 1 | places & loops
            if not places:
                break
        return places

    def accepts(self, text: str) -> bool:
        """Whether a pattern stands for a text."""
        return bool(self.reach(text) & self._end)


def _characters(token: Token) -> Iterator[str | Wild]:
    if isinstance(token, Variable):
        # For `Automaton.reach`, of which the caller asks what is possible.
        yield Wild.ANY
    elif isinstance(token, str):
        yield from token
    else:
        yield token
