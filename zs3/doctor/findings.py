"""What an examination finds: a measured fact, what it is worth, and what to change.

Plain values, which the command line prints.  The names of checks and of their
values are an interface: scripts read them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Verdict(enum.Enum):
    """What a fact is worth.

    A note is good to know, a warning is a restriction that the administrator should have chosen, and with a problem
    the daemon does not work, or loses data.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination.

    :ivar check: what was looked at, as `filesystem.locks`.
    :ivar fact: what was measured, for people, in one line.
    :ivar advice: what to change: a command or a setting.  All but what is in order has one.
    :ivar values: what was measured, for programs: as JSON has them.
    """

    check: str
    verdict: Verdict
    fact: str
    advice: str = ""
    values: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.advice) == (self.verdict is Verdict.OK):
            raise ValueError(f"{self.check}: there is advice if and only if something is to be changed")


def ok(check: str, fact: str, **values: object) -> Finding:
    return Finding(check, Verdict.OK, fact, values=values)


def note(check: str, fact: str, advice: str, **values: object) -> Finding:
    return Finding(check, Verdict.NOTE, fact, advice, values)


def warning(check: str, fact: str, advice: str, **values: object) -> Finding:
    return Finding(check, Verdict.WARNING, fact, advice, values)


def problem(check: str, fact: str, advice: str, **values: object) -> Finding:
    return Finding(check, Verdict.PROBLEM, fact, advice, values)


def size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
