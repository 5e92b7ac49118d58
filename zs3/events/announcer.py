"""Where those who change objects announce it: an event is on the disk before they go on.

Knows the rules and the queues, and neither requests nor how events are sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger

from zs3.errors import S3Error
from zs3.events.queue import Writer
from zs3.events.records import Event, encode, envelope, record
from zs3.events.rules import Rule, rules_of
from zs3.store.values import Configuration

Hop = Callable[..., Deferred[Any]]
#: Is given the number of an event, and its `zs3.events.records.envelope`.
Hear = Callable[[int, Mapping[str, Any]], object]
#: A number and a document, see `zs3.events.queue`.
Numbered = tuple[int, bytes]

log = Logger()


class Numbers:
    """Gives ascending numbers: the time in nanoseconds since the epoch, or more."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        self._last = max(self._clock(), self._last + 1)
        return self._last


class Appender:
    """Appends to one queue: what comes while the disk is busy goes together.

    :param appended: is called with how many older entries had to go, each time that something was appended.
    """

    def __init__(self, writer: Writer, hop: Hop, appended: Callable[[int], object]) -> None:
        self._writer, self._hop, self._appended = writer, hop, appended
        self._waiting: list[tuple[Sequence[Numbered], Deferred[None]]] = []
        self._busy = self._leaves = False

    def append(self, entries: Sequence[Numbered]) -> Deferred[None]:
        """Fires once they are on the disk; fails with `OSError`.

        :param entries: with numbers greater than those of any call before.
        """
        appended: Deferred[None] = Deferred()
        self._waiting.append((entries, appended))
        if not self._busy:
            self._flush()
        return appended

    def _flush(self) -> None:
        self._busy = True
        waiting, self._waiting = self._waiting, []
        entries = [entry for each, _ in waiting for entry in each]
        flushing = self._hop(self._writer.append, entries)

        def flushed(result: Any) -> None:
            self._busy = False
            if self._waiting:
                self._flush()
            elif self._leaves:
                self.close()
            if isinstance(result, int):
                self._appended(result)
            for _, deferred in waiting:
                if isinstance(result, int):
                    deferred.callback(None)
                else:
                    deferred.errback(result)

        flushing.addBoth(flushed)

    def close(self) -> None:
        """Append no more to the file at hand, but for what was given to it before."""
        # Not while a thread writes to it: its descriptor might be that of another file by then.
        self._leaves = self._busy
        if not self._busy:
            self._writer.close()


class Streams(Protocol):
    """What is told everything of some buckets, see `zs3.events.streams`."""

    def wanted(self, bucket: str) -> bool: ...
    def append(self, entries: Sequence[Numbered]) -> Deferred[None]: ...


class Events(Protocol):
    """What operations are given to announce what they did."""

    @property
    def targets(self) -> Collection[str]:
        """The names of those that there are."""

    def wanted(self, configuration: Configuration, bucket: str) -> bool:
        """Whether anybody wants to know what happens in a bucket."""

    def announce(self, configuration: Configuration, owner: str, events: Sequence[Event]) -> Deferred[None]:
        """Announce what has happened, of one bucket; fires once that is not lost any more.  Never fails.

        :param owner: the account that owns the bucket.
        """

    def send(self, target: str, message: bytes) -> Deferred[bool]:
        """Send a message to a target at once; fires with whether it took it."""

    def configured(self) -> Deferred[None]:
        """Somebody may want to know of other buckets now.  Never fails."""

    def listen(
        self, bucket: str, identifier: str, hear: Hear, ended: Callable[[], object], after: int | None = None
    ) -> Deferred[tuple[Any, bool]]:
        """See `zs3.events.streams.Streams.listen`."""


class NoEvents:
    """For who has nobody to tell."""

    targets: Collection[str] = ()

    def wanted(self, configuration: Configuration, bucket: str) -> bool:  # noqa: ARG002
        return False

    def announce(self, configuration: Configuration, owner: str, events: Sequence[Event]) -> Deferred[None]:  # noqa: ARG002
        return succeed(None)

    def send(self, target: str, message: bytes) -> Deferred[bool]:  # noqa: ARG002
        return succeed(False)

    def configured(self) -> Deferred[None]:
        return succeed(None)

    def listen(self, *_: object) -> Deferred[tuple[Any, bool]]:
        raise S3Error("ServiceUnavailable", "Nothing is announced here.")


class Announcer:
    """Makes records of events and has them appended to the queues of their targets.

    :param appender_of: gives the queue of a target by its name; None for one that is no more.
    :param region: the one that records name.
    :param streams: those that are told everything of the buckets that they are about.
    :ivar failed: how many events could not be kept.
    """

    def __init__(
        self, appender_of: Callable[[str], Appender | None], region: str, streams: Streams | None = None
    ) -> None:
        self._appender_of, self._region, self._streams = appender_of, region, streams
        self._numbers = Numbers()
        self.failed = 0
        self._lost_of: dict[str, int] = {}

    def announce(self, configuration: Configuration, owner: str, events: Sequence[Event]) -> Deferred[None]:
        """See `Events`."""
        rules: Sequence[Rule] = ()
        try:
            rules = tuple(rules_of(configuration))
        except ValueError as error:
            log.error("events of the bucket {bucket} are lost: {error}", bucket=events[0].bucket, error=str(error))
        streams = self._streams if self._streams is not None and self._streams.wanted(events[0].bucket) else None
        queued: dict[str, list[Numbered]] = {}
        streamed: list[Numbered] = []
        for event in events:
            rule = next((rule for rule in rules if rule.is_about(event.name, event.key)), None)
            if rule is None and streams is None:
                continue
            number = self._numbers.next()
            what = record(event, region=self._region, owner=owner, rule_id=rule.id if rule else "", at_ns=number)
            if rule is not None:
                queued.setdefault(rule.target, []).append((number, encode(what)))
            if streams is not None:
                streamed.append((number, encode(envelope(event, what))))
        waiting = [self._append(target, entries) for target, entries in queued.items()]
        if streams is not None:
            waiting.append(streams.append(streamed))
        return gatherResults(waiting).addCallback(lambda _: None)

    def _append(self, target: str, entries: Sequence[Numbered]) -> Deferred[None]:
        appender = self._appender_of(target)
        if appender is None:
            self._lost(target, len(entries), "there is no such target any more")
            return succeed(None)
        return appender.append(entries).addCallbacks(
            self._kept, self._not_kept, callbackArgs=(target,), errbackArgs=(target, len(entries))
        )

    def _kept(self, _: None, target: str) -> None:
        count = self._lost_of.pop(target, 0)
        if count:
            log.error("{count} events for the target {target} were lost", count=count, target=target)

    def _not_kept(self, failure: Any, target: str, count: int) -> None:
        # What was written is written; the request must not fail for it.
        self._lost(target, count, getattr(failure.value, "strerror", None) or str(failure.value))

    def _lost(self, target: str, count: int, reason: str) -> None:
        if target not in self._lost_of:
            log.error("events for the target {target} are lost: {reason}", target=target, reason=reason)
        self._lost_of[target] = self._lost_of.get(target, 0) + count
        self.failed += count
