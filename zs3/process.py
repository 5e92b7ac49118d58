"""The parts of a process that serves, each made of those before it, and their order.

Assembles, no more: what the parts do is told in their modules.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.application.service import IService, Service
from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamServerEndpoint

from zs3.events.expiry import expiry_announcer
from zs3.events.service import EventsService
from zs3.events.targets import load as load_targets
from zs3.health import Health
from zs3.lifecycle.ledger import Ledger
from zs3.lifecycle.service import LifecycleService
from zs3.memory import MemoryService, tune
from zs3.service import CallService, ListeningService, PartService, PoolService, StartError, in_sequence, reloader
from zs3.store.deferred import FilesystemStore
from zs3.store.diskspace import DiskProbe
from zs3.store.observer import LossObserver, StoreObserver
from zs3.store.readers import Hop
from zs3.tls.certificates import Certificates
from zs3.tls.endpoints import certificates_of, reload_all
from zs3.web import health as health_resources
from zs3.web.accesslog import AccessLog
from zs3.web.admission import Admission
from zs3.web.documents import DEFAULT_REGION
from zs3.web.guard import S3Guard
from zs3.web.limits import Limits
from zs3.web.resources import Realm
from zs3.web.site import Site

if TYPE_CHECKING:
    from zs3.metrics.setup import Setup

#: The most open files that there is any use for, and how many of them are for other things than connections.
_FILES = 65_536
_RESERVED_FILES = 256

#: As `zs3.tap` has checked them; its `Options` would be a circle.
Options = Any


class Controls(NamedTuple):
    """What may be done with a daemon from outside.

    :ivar reload: reads again what may have changed.
    :ivar hurry: waits no longer for running requests.
    :ivar beat: says that it lives.
    :ivar fail: takes note that another process has seen the disk fail.
    """

    reload: Callable[[], object]
    hurry: Callable[[], object]
    beat: Callable[[], Deferred[None]]
    fail: Callable[[], object]


class Server:
    """The parts of a process that serves.

    :param worker: of a worker, the settings of `zs3.assembly.supervisor`.
    :param lost: is called in any thread when the disk has failed.
    """

    def __init__(
        self,
        options: Options,
        reactor: Any,
        *,
        worker: Mapping[str, Any] | None = None,
        lost: Callable[[], object] = lambda: None,
    ) -> None:
        self._options, self._reactor = options, reactor
        self._setup = _metrics(options, worker or {})
        metrics = None if self._setup is None else self._setup.instruments
        self._pool = PoolService(reactor, options["threads"], None if metrics is None else metrics.pending)
        self._memory = MemoryService(reactor, self._pool.hop)
        observer = metrics if worker is None else LossObserver(metrics, lost)
        self._store = make_store(options, reactor, self._pool.hop, observer)
        self._events = self._make_events(observer)
        self._probe = DiskProbe(os.fsencode(options["data"]), read_only=options["read-only"])
        self._health = Health(reactor, self._pool.hop, self._probe.look, self._is_healthy)
        if worker is not None and worker.get("failed"):
            self._health.fail()
        self._lifecycle = LifecycleService(
            reactor,
            self._store,
            Ledger(options["data"]),
            self._pool.hop,
            options["lifecycle-day"],
            expiry_announcer(self._store, self._events),
        )
        self._access_log = AccessLog(options["access-log"], options["access-log-format"])
        listeners = list(self._listeners(metrics))
        self._listening = ListeningService(reactor, listeners, options["drain-timeout"], announce=worker is None)

    def service(self, prepare: Callable[[], object], control: Callable[[Controls], Sequence[Service]]) -> IService:
        """All of it, in order.

        :param prepare: is called when the store has started.
        :param control: makes what controls it.
        """
        options = self._options
        # Nobody without the right to write can queue events, or do what lifecycle rules ask for.
        writes = not options["read-only"]
        return in_sequence(
            CallService(lambda: tune(os.environ)),
            self._pool,
            self._memory,
            CallService(self._access_log.open, self._access_log.close),
            PartService(self._store, self._reactor, cannot_use(options)),
            CallService(prepare),
            CallService(self._probe.start),
            *((self._events,) if writes else ()),
            self._listening,
            # Streams end before the waiting for running requests begins.
            CallService(lambda: None, self._events.streams.end_streams),
            *((self._events.watcher(self._store),) if writes and not options["no-watch"] else ()),
            *((self._lifecycle,) if writes else ()),
            *control(Controls(self._reloader(), self._listening.hurry, self._health.beat, self._health.fail)),
        )

    def _is_healthy(self) -> bool:
        return self._store.healthy and self._events.healthy

    def _make_events(self, observer: StoreObserver | None) -> EventsService:
        options = self._options
        path = options["event-targets"]
        return EventsService(
            self._reactor,
            options["data"],
            self._pool.hop,
            lambda: {} if path is None else load_targets(path),
            options["region"] or DEFAULT_REGION,
            sync=options["sync"] == "on",
            observer=observer,
        )

    def _listeners(self, observer: Any) -> Iterator[tuple[Site, Sequence[tuple[str, IStreamServerEndpoint]]]]:
        """What serves, and where: S3, and whatever else was asked for."""
        options, endpoints = self._options, self._options["endpoints"]
        connections = raise_file_limit() - _RESERVED_FILES - options["threads"] * 4
        if options["max-connections"]:
            connections = min(connections, options["max-connections"])
        make_site = partial(
            Site,
            clock=self._reactor,
            access_log=self._access_log,
            observer=observer,
            memory=self._memory,
            limits=Limits(
                idle=options["idle-timeout"],
                head=options["head-timeout"],
                body=options["body-timeout"],
                stall=options["send-timeout"],
            ),
            max_connections=connections,
            admission=Admission(
                self._reactor.seconds,
                connections=options["address-connections"],
                requests=options["address-requests"],
                unlimited=options["unlimited"],
            ),
        )
        checkers = [options["users"], AllowAnonymousAccess()]
        make_guard = partial(
            S3Guard,
            region=options["region"],
            sigv2=not options["no-sigv2"],
            clock=self._reactor,
            ownership=options["object-ownership"],
            lifecycle_day=options["lifecycle-day"],
            rules_seen=self._lifecycle.rules_seen,
            events=self._events,
        )
        s3 = make_site(
            make_guard(
                Portal(Realm(self._store, options["users"]), checkers),
                domains=options["domain"],
                website_domains=options["website-domain"],
                beside=health_resources.resources(self._health),
            )
        )
        yield s3, endpoints["listen"]
        if endpoints["console"]:
            from zs3.console.assembly import make_console  # takes memory

            try:
                console = make_console(
                    make_guard,
                    checkers,
                    self._store,
                    self._pool.hop,
                    health=self._health,
                    read_only=options["read-only"],
                    s3_url=options["s3-url"],
                    places=lambda: self._listening.places(s3),
                )
            except ValueError as error:
                raise StartError(f"--console: {error}") from None
            yield make_site(console), endpoints["console"]
        if self._setup is not None:
            yield self._setup.site(self._reactor, self._health), endpoints["metrics"]

    def _reloader(self) -> Callable[[], None]:
        options = self._options
        parts: dict[str, Callable[[], object]] = {
            "users": options["users"].reload,
            "access log": self._access_log.open,
        }
        if certificates := certificates_in_use(options):
            parts["certificates"] = lambda: reload_all(certificates)
        if options["event-targets"] is not None:
            parts["event targets"] = self._events.reload
        return reloader(parts)


def raise_file_limit() -> int:
    """Raise this process's limit of open files as far as it may be, and useful; gives what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _FILES if soft == resource.RLIM_INFINITY else soft


def certificates_in_use(options: Options) -> Sequence[Certificates]:
    return certificates_of(endpoint for some in options["endpoints"].values() for _, endpoint in some)


def _metrics(options: Options, worker: Mapping[str, Any]) -> Setup | None:
    """What counts, if somebody wants to know."""
    if not options["endpoints"]["metrics"]:
        return None
    from zs3.metrics.setup import Setup  # takes memory

    return Setup(options["threads"], worker.get("metrics"), worker.get("number", 0))


def make_store(options: Options, reactor: Any, hop: Hop, observer: StoreObserver | None = None) -> FilesystemStore:
    return FilesystemStore(
        options["data"],
        hop,
        sync=options["sync"] == "on",
        file_mode=options["file-mode"],
        dir_mode=options["dir-mode"],
        immutable=bool(options["immutable"]),
        clock=reactor,
        cache_size=options["cache-size"] << 20,
        copies=max(1, options["threads"] // 2),
        observer=observer,
    )


def cannot_use(options: Options) -> str:
    return f"cannot use {options['data']}"
