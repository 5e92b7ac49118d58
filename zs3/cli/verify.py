"""`zs3 verify`: reads everything, and compares it with what was recorded when it was stored.

Exit status: 0, all is as it was stored; 1, something is not, whether or not the
run came to its end; 2, the command line is wrong; 3, nothing is known to be
wrong, but not everything could be looked at.
"""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, TextIO

from zs3.errors import S3Error
from zs3.verify.findings import Finding, Verdict
from zs3.verify.ledger import Ledger, Selection
from zs3.verify.reading import Stopped, Throttle
from zs3.verify.run import Run

_MIB = 1 << 20
_WRONG, _INCOMPLETE = 1, 3

#: What is said of a finding; of the others there are too many, or they are as they should be.
_TEXTS = {
    Verdict.DAMAGED: "the content differs, though size and time are as recorded",
    Verdict.LOST: "what was recorded of it is gone",
    Verdict.EDITED: "another program changed it after it was stored",
    Verdict.UNREADABLE: "it cannot be read",
    Verdict.INVISIBLE: "the name stands for no key: it is not served",
}
_SUMMARY = {
    Verdict.OK: "as stored",
    Verdict.DAMAGED: "damaged",
    Verdict.LOST: "without what was recorded",
    Verdict.EDITED: "edited",
    Verdict.FOREIGN: "from outside",
    Verdict.UNVERIFIABLE: "with nothing to compare with",
    Verdict.UNREADABLE: "unreadable",
    Verdict.CHANGING: "just changing",
    Verdict.INVISIBLE: "not served",
}


def add_command(parser: argparse.ArgumentParser) -> None:
    """Make the parser that of `zs3 verify`."""
    parser.description = (
        "Reads everything in a data directory and compares it with what was recorded when it was stored. "
        "Repairs nothing. A daemon may serve the directory meanwhile."
    )
    parser.add_argument("buckets", metavar="BUCKET", nargs="*", help="only these buckets")
    parser.add_argument("--data", metavar="DIR", required=True, help="the daemon's data directory")
    parser.add_argument("--prefix", default="", help="only keys that begin with this")
    parser.add_argument("--rate", metavar="MIB", type=_rate, help="read no more than so many MiB in a second")
    parser.add_argument("--json", action="store_true", help="answer in JSON, one object on each line")
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="give files that other programs made or changed their MD5 as ETag (one with several hard links is copied)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="begin anew, and do not go on where the last run was stopped"
    )
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar on a terminal")
    parser.set_defaults(run=_run, failure=_INCOMPLETE)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError("a rate is more than 0")
    return rate


def _run(options: argparse.Namespace, output: TextIO) -> int:
    internals = os.path.join(options.data, ".zs3")
    if not os.path.isdir(internals):
        raise ValueError(f"{options.data} is no data directory of a daemon")
    owner = os.stat(internals).st_uid
    # What root makes, the daemon could not change.
    by_root = os.geteuid() == 0 != owner
    if options.adopt and by_root:
        raise ValueError(f"--adopt must be run as the user that the daemon runs as: sudo -u '#{owner}' zs3 verify ...")
    if isinstance(output, io.TextIOWrapper):
        # A name that the terminal cannot show must not end a run of hours.
        output.reconfigure(errors="backslashreplace")
    selection = Selection(tuple(sorted(set(options.buckets))), options.prefix, options.adopt)
    show: Callable[[Finding], str | None] = _as_json if options.json else _as_text
    with _signals() as is_stopped, ExitStack() as stack:
        ledger = None if by_root else _ledger(options, stack)
        progress = None if ledger is None or options.restart else ledger.read(selection)
        bar = stack.enter_context(_bar(wanted=not options.no_progress))

        def report(finding: Finding) -> None:
            line = show(finding)
            if line is not None:
                bar.write(line, output)

        throttle = Throttle(options.rate and options.rate * _MIB, is_stopped)
        run = Run(
            options.data,
            selection,
            throttle=throttle,
            report=report,
            ledger=ledger,
            progress=progress,
            progressed=bar.advance,
        )
        if progress is not None:
            if not options.json:
                found = ", which found:" if progress.tally.kept else ""
                bar.write(f"going on where the last run was stopped{found}", output)
            for finding in progress.tally.kept:
                report(finding)
        try:
            bar.begin(run)
            run.make()
        except Stopped:
            pass
        except S3Error as error:
            raise ValueError(error.message) from None
    status = _status(run)
    noted = ledger is not None
    if options.json:
        output.write(_summary_json(run, status, resumed=progress is not None, noted=noted))
    else:
        output.write(_summary(run, noted=noted))
    return status


def _ledger(options: argparse.Namespace, stack: ExitStack) -> Ledger | None:
    """Where to note how far it has come, as the only run; None where this user may not write."""
    ledger = Ledger(os.path.realpath(os.fsencode(options.data)))
    try:
        if not ledger.acquire():
            raise ValueError("another zs3 verify is at it: try again later")
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        if options.adopt:
            raise ValueError("--adopt needs the right to write to the data directory") from None
        return None
    stack.callback(ledger.release)
    return ledger


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Let SIGINT and SIGTERM stop a run in good order, for a block; a second one ends the process at once."""
    stopped = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Bar:
    """No progress bar."""

    def begin(self, run: Run) -> None:
        """The run begins."""

    def advance(self, size: int) -> None:
        """Bytes were read."""

    def write(self, line: str, output: TextIO) -> None:
        """Write a line, though there be a bar."""
        output.write(line + "\n")
        output.flush()


class _RealBar(_Bar):
    """One on a terminal."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None

    def begin(self, run: Run) -> None:
        # A look at the sizes of all files: little beside reading them.
        sys.stderr.write("zs3: measuring ...\r")
        total = run.measure()
        done = run.tally.size
        sys.stderr.write("\x1b[K")
        self._bar = self._tqdm(
            total=done + total, initial=done, unit="B", unit_scale=True, unit_divisor=1024, dynamic_ncols=True
        )

    def advance(self, size: int) -> None:
        # More than was there before, or what is damaged, which is read twice.
        self._bar.total = max(self._bar.total, self._bar.n + size)
        self._bar.update(size)

    def write(self, line: str, output: TextIO) -> None:
        self._tqdm.write(line, file=output)
        output.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def _bar(*, wanted: bool) -> Iterator[_Bar]:
    if not wanted or not sys.stderr.isatty():
        yield _Bar()
        return
    from tqdm import tqdm

    # It would be a thread, for bars that stand still.
    tqdm.monitor_interval = 0
    bar = _RealBar(tqdm)
    try:
        yield bar
    finally:
        bar.close()


def _status(run: Run) -> int:
    if run.tally.wrong:
        return _WRONG
    return 0 if run.is_over and not run.tally.verdicts[Verdict.UNREADABLE] else _INCOMPLETE


# Output


def _as_json(finding: Finding) -> str:
    return json.dumps(finding.as_json())


def _as_text(finding: Finding) -> str | None:
    text = _TEXTS.get(finding.verdict)
    if finding.adopted or not (text or finding.reason):
        return None
    more = []
    if finding.differs:
        more.append(f"{', '.join(finding.differs)} differ{'s' if len(finding.differs) == 1 else ''}")
    if finding.differs and finding.agrees:
        more.append(f"but {', '.join(finding.agrees)} agrees: the record may be what is damaged")
    if finding.parts:
        more.append(f"part {', '.join(map(str, finding.parts))}")
    if finding.locked:
        more.append("though it is locked")
    if text and finding.reason:
        more.append(finding.reason)
    why = f" ({'; '.join(more)})" if more else ""
    if not finding.path:
        return f"{finding.verdict.value}: {_printable(finding.reason)}"
    return f"{finding.verdict.value} {_printable(_name(finding))}: {text or finding.reason}{_printable(why)}"


def _name(finding: Finding) -> str:
    if not finding.key:
        return finding.path
    which = f" version {finding.version}" if finding.version else ""
    if finding.upload:
        which = f" part {finding.part} of the upload {finding.upload}"
    return f"{finding.bucket}/{finding.key}{which}"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)


def _summary(run: Run, *, noted: bool) -> str:
    tally = run.tally
    counts = ", ".join(f"{tally.verdicts[each]} {text}" for each, text in _SUMMARY.items() if tally.verdicts[each])
    adopted = f"; {tally.adopted} adopted" if tally.adopted else ""
    size, took = tally.size / _MIB, run.seconds
    stopped = "" if run.is_over else "stopped, and the same command goes on from there: " if noted else "stopped: "
    return f"{stopped}{tally.files} files, {size:.1f} MiB in {took:.0f} s: {counts or 'nothing there'}{adopted}\n"


def _summary_json(run: Run, status: int, *, resumed: bool, noted: bool) -> str:
    found = {"summary": run.tally.as_json(), "complete": run.is_over, "resumed": resumed, "noted": noted}
    return json.dumps({**found, "seconds": round(run.seconds, 3), "status": status}) + "\n"
