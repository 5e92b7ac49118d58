"""All that the protocol lets happen: ``python -m proof.protocol [--seconds N] [--family NAME] [--without RULE]``.

Without RULE, all scenarios of all families with all rules, until N seconds are over for each family; then each rule is
taken out, and a scenario is looked for that goes wrong.  With RULE, the shortest way to each violation.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from proof.protocol import buckets, objects, uploads, versions
from proof.protocol.search import Scenario, Violation, explore

FAMILIES = {module.__name__.rpartition(".")[2]: module for module in (objects, versions, uploads, buckets)}


class Tally(NamedTuple):
    """:ivar cut: how many scenarios had more states than were looked at."""

    scenarios: int
    states: int
    cut: int
    violations: dict[str, tuple[Scenario, Violation]]


def shuffled(name: str) -> list[Scenario]:
    """The scenarios of a family, small and large ones in no order."""
    scenarios = list(FAMILIES[name].scenarios())
    random.Random(1).shuffle(scenarios)
    return scenarios


def search(name: str, without: str, seconds: float, *, journal: bool = False, first_only: bool = False) -> Tally:
    """:param without: a rule, or ""."""
    rules = frozenset(FAMILIES[name].RULES) - {without}
    found: dict[str, tuple[Scenario, Violation]] = {}
    scenarios = states = cut = 0
    end = time.monotonic() + seconds
    for scenario in shuffled(name):
        outcome = explore(scenario, rules, journal=journal)
        scenarios, states, cut = scenarios + 1, states + outcome.states, cut + outcome.cut
        for kind, violation in outcome.violations.items():
            if kind not in found or len(violation.trace) < len(found[kind][1].trace):
                found[kind] = scenario, violation
        if time.monotonic() > end or (first_only and found):
            break
    return Tally(scenarios, states, cut, found)


def _lines(options: argparse.Namespace, name: str) -> Iterator[str]:
    """What is found of a family."""
    rules = [options.without] if options.without else ["", *FAMILIES[name].RULES]
    for rule in rules:
        journal = options.journal and not rule
        tally = search(name, rule, options.seconds, journal=journal, first_only=bool(rule) and not options.without)
        shortest = min((len(violation.trace) for _, violation in tally.violations.values()), default=0)
        yield (
            f"{name:9} {'without ' + rule if rule else 'all rules':38} {tally.scenarios:6,} {tally.cut:4,}"
            f" {tally.states:12,} {', '.join(sorted(tally.violations)) or 'none'}"
            + (f" (of {shortest} calls)" if shortest else "")
        )
        for kind, (scenario, violation) in tally.violations.items() if options.without or not rule else ():
            yield f"{kind}: {' | '.join('; '.join(each) for each in scenario.threads)}: {violation.told}"
            yield from (f"    {step}" for step in violation.trace)
        if bool(tally.violations) != bool(rule):
            options.wrong = True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proof.protocol", description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=600, help="for each family, and each rule taken out")
    parser.add_argument("--family", choices=FAMILIES, action="append")
    parser.add_argument("--without", metavar="RULE", help="take this rule out, and tell how it goes wrong")
    parser.add_argument("--journal", action="store_true", help="a crash keeps some first changes of all directories")
    options = parser.parse_args(namespace=argparse.Namespace(wrong=False))
    print(f"{'family':9} {'rules':38} {'scenarios':>6} {'cut':>4} {'states':>9} violations")
    for name in options.family or FAMILIES:
        if options.without and options.without not in FAMILIES[name].RULES:
            continue
        for line in _lines(options, name):
            print(line, flush=True)
    return bool(options.wrong)


if __name__ == "__main__":
    sys.exit(main())
