"""The command line of `python -m bench`: which servers, which cases, how long, and where the report goes."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from bench import chart, copies, machine, table
from bench.cases import Case, Scale, all_cases
from bench.large import LargeCase, Source, large_cases
from bench.loop import Loop
from bench.peers import SERVERS, find_program, installed
from bench.results import Report
from bench.session import Generator, Session, Settings
from bench.wrk import Wrk

_QUICK_CASES = "get-1k,get-1m,head-1k,put-1k,put-1m,delete,list-first,put-large,get-large"
_QUICK_SERVERS = "zs3,zs3-nosync,before,original,rclone,nginx"


def parser() -> argparse.ArgumentParser:
    """The options."""
    names = [case.name for case in [*all_cases(Scale(keys=10_000)), *copies.cases()]]
    names += [case.name for case in large_cases(1024**3)]
    known = [server.name for server in SERVERS]
    options = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures zs3 and the other servers of S3 that are installed, side by side on this machine.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = options.add_argument
    add("--quick", action="store_true", help="about two minutes: fewer servers, fewer cases, smaller buckets")
    add("--servers", help=f"names with commas, of {', '.join(known)}; by default all that are found")
    add("--cases", help=f"names or patterns with commas, of {', '.join(names)}; by default all")
    add("--connections", default="1,50", help="numbers with commas")
    add("--seconds", type=int, default=2, help="for each measurement, whole seconds")
    add(
        "--rounds",
        type=int,
        default=3,
        help="each measurement is made so often, going round the servers; the median counts",
    )
    add("--keys", type=int, default=100_000, help="in the large buckets of the listings, a multiple of 10,000")
    add("--huge", default="", metavar="KEYS",
        help="more large buckets, e.g. 1000000,10000000; made twice for every server, flat and as a tree, which "
             "takes minutes and as many inodes; the cases are called list-flat-1000000 and so on")  # fmt: skip
    add("--longest", type=int, default=10, help="seconds for each measurement where an answer takes long")
    add("--deletes", type=int, default=1000, help="objects that are deleted in a measurement")
    add("--large", type=int, default=1024, help="size of the large object in MiB")
    add("--workers", type=int, default=1, help="processes of zs3 and of nginx, 0 for one per core")
    add("--program", action="append", default=[], metavar="NAME=PATH",
        help="where a server's program is, or wrk; original=PATH and before=DIRECTORY (another checkout of zs3) are "
             "only known by this")  # fmt: skip
    add(
        "--directory",
        type=Path,
        help="where the data is put for the time of the run; by default that for temporary files",
    )
    add(
        "--output", type=Path, default=Path("bench-report"), help="directory for report.json, report.txt and report.svg"
    )
    return options


def chosen(names: Sequence[str], patterns: str | None) -> list[str]:
    """Those of the names that one of the patterns, separated by commas, fits; `ValueError` if a pattern fits none."""
    if patterns is None:
        return list(names)
    wanted = [pattern.strip() for pattern in patterns.split(",")]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"{pattern}: there is only {', '.join(names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = parser()
    given = options.parse_args(arguments)
    if given.quick:
        quicken(given)
    # Whichever way it is ended, the servers end too.
    before = signal.signal(signal.SIGTERM, _end)
    try:
        return _run(given)
    except ValueError as error:
        options.error(str(error))
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def quicken(given: argparse.Namespace) -> None:
    """What was not given otherwise gets smaller."""
    defaults = parser().parse_args([])
    quick = {"connections": "50", "seconds": 1, "keys": 20_000, "deletes": 300, "large": 64, "longest": 3}
    for name, value in quick.items():
        if getattr(given, name) == getattr(defaults, name):
            setattr(given, name, value)
    if given.cases is None:
        given.cases = _QUICK_CASES


def _tell(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def _run(given: argparse.Namespace) -> int:
    programs = dict(each.partition("=")[::2] for each in given.program)
    unknown = programs.keys() - {"wrk", *(server.name for server in SERVERS)}
    if unknown:
        raise ValueError(f"--program: {', '.join(unknown)} is not known")
    found = installed(programs)
    names = chosen(list(found), given.servers)
    if given.quick and given.servers is None:
        names = [name for name in names if name in _QUICK_SERVERS.split(",")]
    huge = tuple(int(each) for each in given.huge.split(",") if each)
    if any(keys < 10_000 or keys % 10_000 for keys in (given.keys, *huge)):
        raise ValueError("--keys and --huge: multiples of 10,000 are needed")
    connections = [int(each) for each in given.connections.split(",")]
    cases: list[Case] = [*all_cases(Scale(given.keys, given.deletes, huge)), *copies.cases()]
    large: list[LargeCase] = large_cases(given.large * 1024**2)
    selected = chosen([case.name for case in cases] + [case.name for case in large], given.cases)
    cases = [case for case in cases if case.name in selected]
    large = [case for case in large if case.name in selected]

    with tempfile.TemporaryDirectory(prefix="zs3-bench-", dir=given.directory) as place:
        home = Path(place).resolve()
        wrk = find_program("wrk", programs)
        generator: Generator = Wrk(wrk, home) if wrk else Loop()
        report = Report(
            machine.describe(home),
            {
                "load generator": f"{generator.title}, on the same machine; for HEAD a loop in Python",
                "each figure": f"median of {given.rounds} rounds of {given.seconds} s",
                "workers of zs3 and nginx": str(given.workers or "one per core"),
            },
        )
        session = Session(report, Settings(connections, given.seconds, given.longest, given.rounds), home, _tell)
        kinds = {server.name: server for server in SERVERS}
        try:
            session.start((kinds[name](found[name], home / name, workers=given.workers) for name in names), cases)
            session.measure(cases, generator, loop=True)
            if large:
                source = Source(home / "source", given.large * 1024**2)
                session.measure_large(large, source, limit=True)
        except KeyboardInterrupt:
            _tell("interrupted: the report has what was measured so far")
        finally:
            session.stop()
    _write(report, given.output)
    return 0


def _write(report: Report, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    text = table.render(report)
    (output / "report.txt").write_text(text, "utf-8")
    (output / "report.json").write_text(json.dumps(report.as_json(), indent=1), "utf-8")
    if chart.available():
        chart.draw(report, output / "report.svg")
    else:
        _tell("no picture: matplotlib is not installed (pip install -e '.[bench]')")
    sys.stdout.write(text)
