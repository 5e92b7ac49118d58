"""`zs3 lifecycle`: what the lifecycle rules of buckets ask for at this time, shown or done.

The same pass that the daemon makes each day, whether one runs or not.  It is no
substitute for that one: the daemon makes it nevertheless.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import TextIO, TypeVar

from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.task import Clock, deferLater
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from zs3.errors import S3Error
from zs3.lifecycle.evaluation import Day
from zs3.lifecycle.ledger import Ledger
from zs3.lifecycle.passes import Action, Counts, Pass
from zs3.store.deferred import FilesystemStore

_T = TypeVar("_T")


def add_command(parser: argparse.ArgumentParser) -> None:
    """Make the parser that of `zs3 lifecycle`."""
    parser.description = (
        "Does at once what the lifecycle rules of buckets ask for at this time. The daemon does it by itself each day."
    )
    parser.add_argument("--data", metavar="DIR", required=True, help="the daemon's data directory")
    parser.add_argument("--bucket", metavar="NAME", help="only this bucket")
    parser.add_argument("--dry-run", action="store_true", help="do nothing, and show what would be done")
    parser.add_argument("--json", action="store_true", help="answer in JSON, one object on each line")
    parser.set_defaults(run=_run)


class _Clock(Clock):
    """A clock without a reactor: whoever waits on it, waits."""

    def seconds(self) -> float:
        return time.time()

    def wait_for(self, work: Deferred[_T]) -> _T:
        """What `work` fires with, however long that takes."""
        results: list[_T | Failure] = []
        work.addBoth(results.append)
        while not results:
            time.sleep(max(0.0, min(call.getTime() for call in self.getDelayedCalls()) - time.time()))
            self.advance(0)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]


def _run(options: argparse.Namespace, output: TextIO) -> None:
    if not os.path.isdir(os.path.join(options.data, ".zs3")):
        raise ValueError(f"{options.data} is no data directory of a daemon")
    clock = _Clock()
    store = FilesystemStore(options.data, execute, clock)
    show = _show_json if options.json else _show

    def report(action: Action) -> None:
        show(output, action, dry_run=options.dry_run)

    making = Pass(
        store,
        time.time,
        Day(),
        pause=lambda took: deferLater(clock, took, lambda: None),
        save=lambda _bucket, _key: succeed(None),
        report=report,
        dry_run=options.dry_run,
    )
    troubles = _Troubles()
    globalLogPublisher.addObserver(troubles)
    try:
        if options.dry_run:
            counts = clock.wait_for(Deferred.fromCoroutine(making.run(only=options.bucket)))
        else:
            counts = _make(making, store, clock, options)
    except S3Error as error:
        raise ValueError(error.message) from None
    finally:
        globalLogPublisher.removeObserver(troubles)
    _show_counts(output, counts, options)
    if troubles.told:
        raise ValueError("; ".join(troubles.told))


def _make(making: Pass, store: FilesystemStore, clock: _Clock, options: argparse.Namespace) -> Counts:
    """Make the pass as the only one."""
    clock.wait_for(store.start())
    ledger = Ledger(options.data)
    try:
        if not ledger.acquire():
            raise ValueError("a daemon is at it just now: try again later")
        return clock.wait_for(Deferred.fromCoroutine(making.run(only=options.bucket)))
    finally:
        ledger.release()
        clock.wait_for(store.stop())


@implementer(ILogObserver)
class _Troubles:
    """Hears what the pass tells a daemon's log of its troubles."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.warn:
            self.told.append(formatEvent(event))


def _show(output: TextIO, action: Action, *, dry_run: bool) -> None:
    which = f" version {action.version}" if action.version else ""
    if action.upload_id:
        which = f" upload {action.upload_id}"
    name = "".join(each if each.isprintable() else "?" for each in f"{action.bucket}/{action.key}")
    output.write(f"{'would ' if dry_run else ''}{action.what.value} {name}{which} (rule {action.rule!r})\n")


def _show_json(output: TextIO, action: Action, *, dry_run: bool) -> None:
    found = {
        "action": action.what.value,
        "done": not dry_run,
        "rule": action.rule,
        "bucket": action.bucket,
        "key": action.key,
        "version": action.version or None,
        "upload": action.upload_id or None,
        "size": None if action.upload_id else action.size,
        "time": action.mtime_ns / 1_000_000_000,
    }
    output.write(json.dumps(found) + "\n")


def _show_counts(output: TextIO, counts: Counts, options: argparse.Namespace) -> None:
    if options.json:
        found = {"buckets": counts.buckets, "looked_at": counts.looked_at, "changed": counts.changed}
        output.write(json.dumps({**found, "failed": counts.failed}) + "\n")
    else:
        output.write(f"{counts}\n")
