"""Event notifications as a service of every process that serves: queues to append to, and their delivery."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from zs3.events.announcer import Announcer, Appender, Hear, Hop
from zs3.events.delivery import Delivery, reason_of
from zs3.events.queue import Writer
from zs3.events.records import Event
from zs3.events.rules import NOTIFICATION
from zs3.events.streams import Streams
from zs3.events.targets import Target
from zs3.events.watch import Watcher
from zs3.events.webhook import Webhook
from zs3.store import layout
from zs3.store.durability import Durability
from zs3.store.internals import Internals
from zs3.store.observer import StoreObserver
from zs3.store.values import Configuration

_DIRECTORY, _QUEUES = b"events", b"queues"
#: Written to when a bucket was configured, for `zs3.events.watch`.
CONFIGURED = b"configured"

log = Logger()


class _Queue:
    """What one target has here.

    :param lost: is called with how many of its events had to go for others.
    """

    def __init__(self, service: EventsService, target: Target) -> None:
        self._service, self._lost = service, 0
        directory = os.path.join(service.directory, _QUEUES, target.name.encode("ascii"))
        writer = Writer(directory, service.internals, target.queue << 20)
        self.appender = Appender(writer, service.hop, self._appended)
        webhook = Webhook(service.reactor, target)
        self.delivery = Delivery(directory, service.internals, webhook, service.reactor, service.hop)
        self.target = target

    def _appended(self, lost: int) -> None:
        if lost and not self._lost:
            log.error("the queue of the target {name} is full: the oldest events are lost", name=self.target.name)
        self._lost += lost
        self.delivery.wake()

    def end(self) -> Deferred[Any]:
        if self._lost:
            log.error("{count} events for the target {name} were lost", count=self._lost, name=self.target.name)
        ended = self.delivery.stop()
        ended.addBoth(lambda _: self.appender.close())
        return ended


class EventsService(Service):
    """The `Events` of a daemon.

    :param data: the data directory.
    :param load: gives the targets by name; `ValueError` if what names them is wrong.
    :param sync: whether what was answered is to survive a power failure.
    :param observer: is told of each fsync, as by the store.
    :ivar directory: in which the queues are.
    :ivar streams: what streams of events listen to.
    """

    def __init__(
        self,
        reactor: Any,
        data: str,
        hop: Hop,
        load: Callable[[], Mapping[str, Target]],
        region: str,
        *,
        sync: bool,
        observer: StoreObserver | None = None,
    ) -> None:
        self.reactor, self.hop, self._load = reactor, hop, load
        self._data, path = data, os.fsencode(data)
        self.directory = os.path.join(path, layout.INTERNAL, _DIRECTORY)
        durability = Durability(
            enabled=sync, report=lambda message: log.error("events: {what}", what=message), observer=observer
        )
        # Records name users, addresses and keys, which the modes of the objects and their directories hide.
        self.internals = Internals(path, durability, confidential=True)
        self._queues: dict[str, _Queue] = {}
        self.streams = Streams(reactor, self.directory, self.internals, hop)
        self._announcer = Announcer(self._appender_of, region, self.streams)

    def _appender_of(self, name: str) -> Appender | None:
        queue = self._queues.get(name)
        return None if queue is None else queue.appender

    # A service

    def startService(self) -> None:
        super().startService()
        try:
            self.streams.start()
        except OSError as error:
            log.error("there are no streams of events: {reason}", reason=error.strerror)
        self.reload()
        # Not before: until then the threads are not there.
        self.reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        if self.running:
            for queue in self._queues.values():
                queue.delivery.wake()

    def reload(self) -> None:
        """Take the targets as they are named now.

        :raises ValueError: that is wrong; all is as it was.
        """
        if not self.running:
            return
        targets = self._load()
        made = {
            name: _Queue(self, target)
            for name, target in targets.items()
            if name not in self._queues or self._queues[name].target != target
        }
        for name in [name for name in self._queues if name not in targets or name in made]:
            self._queues.pop(name).end()
        self._queues |= made
        for name, queue in made.items():
            log.info("events can be sent to the target {name}: {place}", name=name, place=queue.target.place)
            queue.delivery.wake()

    def stopService(self) -> Deferred[Any]:
        """Fires when all deliveries have ended."""
        super().stopService()
        queues, self._queues = self._queues, {}
        return DeferredList([self.streams.stop(), *(queue.end() for queue in queues.values())], consumeErrors=True)

    def watcher(self, store: Any) -> Watcher:
        """What announces here what other programs change.

        :param store: an `IStore`.
        """
        return Watcher(self.reactor, self._data, self.directory, self.internals, store, self, self.streams, self.hop)

    @property
    def healthy(self) -> bool:
        """Whether the disk has kept what it was given."""
        return not self.internals.durability.broken

    # Events

    @property
    def targets(self) -> Collection[str]:
        """See `Events`."""
        return self._queues.keys()

    def wanted(self, configuration: Configuration, bucket: str) -> bool:
        """See `Events`."""
        return NOTIFICATION in configuration or self.streams.wanted(bucket)

    def announce(self, configuration: Configuration, owner: str, events: Sequence[Event]) -> Deferred[None]:
        """See `Events`."""
        return self._announcer.announce(configuration, owner, events)

    def send(self, target: str, message: bytes) -> Deferred[bool]:
        """See `Events`."""
        return Deferred.fromCoroutine(self._send(target, message))

    def configured(self) -> Deferred[None]:
        """See `Events`."""
        path = os.path.join(self.directory, CONFIGURED)
        return self.hop(self.internals.write_file, path, b"", durable=False).addErrback(
            lambda failure: log.warn("changes by others may be missed: {reason}", reason=str(failure.value))
        )

    def listen(
        self, bucket: str, identifier: str, hear: Hear, ended: Callable[[], object], after: int | None = None
    ) -> Deferred[tuple[Any, bool]]:
        """See `Events`."""
        return self.streams.listen(bucket, identifier, hear, ended, after)

    async def _send(self, target: str, message: bytes) -> bool:
        queue = self._queues.get(target)
        if queue is None:
            return False
        try:
            await queue.delivery.webhook.send(message)
        except Exception as error:  # whatever it is, it was not taken
            log.warn("the target {name} did not take a test: {reason}", name=target, reason=reason_of(error))
            return False
        queue.delivery.retry()
        return True
