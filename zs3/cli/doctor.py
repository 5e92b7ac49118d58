"""`zs3 doctor`: what a daemon will find on this machine and in this directory, and what to change.

It changes nothing, and does not disturb a daemon that runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NoReturn, TextIO

from zs3.doctor.examination import examine
from zs3.doctor.findings import Finding, Verdict

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_command(parser: argparse.ArgumentParser) -> None:
    """Make the parser that of `zs3 doctor`."""
    parser.description = (
        "Looks at a data directory, its file system and this machine, and says what to change. It leaves nothing "
        "behind. Run it as the user of the daemon, before the first start or while one runs."
    )
    parser.add_argument("--data", metavar="DIR", required=True, help="the directory that holds the buckets, or will")
    parser.add_argument("--users", metavar="FILE", help="the users file that the daemon has as --auth zs3:FILE")
    parser.add_argument("--certificate", metavar="FILE", help="the PEM file of the certificate, or a directory of them")
    parser.add_argument(
        "--key", metavar="FILE", help="the PEM file of the private key, if it is not in that of the certificate"
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=_run, parser=parser)


def _run(options: argparse.Namespace, output: TextIO) -> None:
    data = os.path.abspath(options.data)
    if not os.path.isdir(data):
        options.parser.error(
            f"--data: {data} is {'not a directory' if os.path.lexists(data) else 'not there: mkdir it'}"
        )
    if options.key is not None and options.certificate is None:
        options.parser.error("--key goes with --certificate")
    findings = examine(data, users_file=options.users, certificate_file=options.certificate, key_file=options.key)
    with _cleaning_up(), closing(findings):
        counts = (_show_json if options.json else _show)(output, data, findings)
    found = counts[Verdict.PROBLEM]
    if found:
        raise ValueError(f"{found} problem{'' if found == 1 else 's'}")


@contextmanager
def _cleaning_up() -> Iterator[None]:
    """Let what ends this process end the block first: the scratch directory is removed then."""

    def end(number: int, _frame: object) -> NoReturn:
        # It is being done; a second one would leave something behind.
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(output: TextIO, data: str, findings: Iterator[Finding]) -> Counter[Verdict]:
    counts: Counter[Verdict] = Counter()
    output.write(f"{_printable(data)}\n")
    topic = ""
    for each in findings:
        counts[each.verdict] += 1
        group, _, name = each.check.partition(".")
        if group != topic:
            topic = group
            output.write(f"\n{group}\n")
        output.write(f"  {each.verdict.value:<8} {name:<16} {_printable(each.fact)}\n")
        if each.advice:
            output.write(f"  {'':<8} {'':<16} -> {_printable(each.advice)}\n")
        # A slow disk makes people wait.
        output.flush()
    told = ", ".join(f"{counts[each]} {each.value}" for each in Verdict)
    output.write(f"\n{told}\n")
    return counts


def _show_json(output: TextIO, data: str, findings: Iterator[Finding]) -> Counter[Verdict]:
    found = list(findings)
    counts = Counter(each.verdict for each in found)
    worst = max((each.verdict for each in found), key=list(Verdict).index)
    document = {
        "data": os.fsencode(data).decode("utf-8", "replace"),
        "verdict": worst.value,
        "counts": {each.value: counts[each] for each in Verdict},
        "findings": [
            {
                "check": each.check,
                "verdict": each.verdict.value,
                "fact": _printable(each.fact),
                "advice": _printable(each.advice) or None,
                "values": dict(each.values),
            }
            for each in found
        ],
    }
    output.write(json.dumps(document, indent=2) + "\n")
    return counts


def _printable(text: str) -> str:
    """What is told of names as one line, whatever is in them."""
    return "".join(each if each.isprintable() else "?" for each in text)
