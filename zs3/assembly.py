"""The assembly of the daemon from its parts, as one process that serves or as one that supervises those.

Assembles, no more: what the parts do is told in their modules.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.application.service import IService, Service
from twisted.cred.checkers import AllowAnonymousAccess
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, execute
from twisted.logger import Logger

from zs3.auth.credentials import UsersFileChecker
from zs3.auth.generated import credentials_path, ensure_users_file
from zs3.console.assembly import make_console
from zs3.events.expiry import expiry_announcer
from zs3.events.service import EventsService
from zs3.events.targets import load as load_targets
from zs3.health import Health
from zs3.lifecycle.ledger import Ledger
from zs3.lifecycle.service import LifecycleService
from zs3.metrics.shared import SharedDirectory
from zs3.sdnotify import Notifier
from zs3.service import (
    CallService,
    ListeningService,
    NotifyService,
    PartService,
    PoolService,
    SequentialService,
    SignalService,
    StartError,
    reloader,
    require,
)
from zs3.store.deferred import FilesystemStore
from zs3.store.diskspace import DiskProbe
from zs3.store.observer import LossObserver, StoreObserver
from zs3.store.readers import Hop
from zs3.tls.certificates import Certificates
from zs3.tls.endpoints import certificates_of, reload_all
from zs3.web import health as health_resources
from zs3.web.accesslog import AccessLog
from zs3.web.documents import DEFAULT_REGION
from zs3.web.guard import S3Guard
from zs3.web.resources import Realm
from zs3.web.site import Site
from zs3.workers import WorkersService

if TYPE_CHECKING:
    from zs3.metrics.setup import Setup

log = Logger()

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


def server(
    options: Options,
    reactor: Any,
    prepare: Callable[[], object],
    control: Callable[[Controls], Sequence[Service]],
    *,
    worker: Mapping[str, Any] | None = None,
    lost: Callable[[], object] = lambda: None,
) -> IService:
    """What serves in one process.

    :param prepare: is called when the store has started.
    :param control: makes what controls it.
    :param worker: of a worker, the settings of `supervisor`.
    :param lost: is called in any thread when the disk has failed.
    """
    setup = _metrics(options, worker or {})
    metrics = None if setup is None else setup.instruments
    pool = PoolService(reactor, options["threads"], None if metrics is None else metrics.pending)
    store = _store(options, reactor, pool.hop, metrics if worker is None else LossObserver(metrics, lost))
    probe = DiskProbe(os.fsencode(options["data"]), read_only=options["read-only"])
    health = Health(reactor, pool.hop, probe.look, lambda: store.healthy and events.healthy)
    if worker is not None and worker.get("failed"):
        health.fail()
    path = options["event-targets"]
    events = EventsService(
        reactor,
        options["data"],
        pool.hop,
        lambda: {} if path is None else load_targets(path),
        options["region"] or DEFAULT_REGION,
        sync=options["sync"] == "on",
    )
    lifecycle = LifecycleService(
        reactor, store, Ledger(options["data"]), pool.hop, options["lifecycle-day"], expiry_announcer(store, events)
    )
    users = options["users"]
    access_log = AccessLog(options["access-log"], options["access-log-format"])
    checkers = [users, AllowAnonymousAccess()]
    guard = partial(
        S3Guard,
        region=options["region"],
        sigv2=not options["no-sigv2"],
        clock=reactor,
        ownership=options["object-ownership"],
        lifecycle_day=options["lifecycle-day"],
        rules_seen=lifecycle.rules_seen,
        events=events,
    )
    s3 = guard(
        Portal(Realm(store, users), checkers),
        domains=options["domain"],
        website_domains=options["website-domain"],
        beside=health_resources.resources(health),
    )
    connections = raise_file_limit() - _RESERVED_FILES - options["threads"] * 4
    make_site = partial(Site, clock=reactor, access_log=access_log, observer=metrics, max_connections=connections)
    listeners = [(make_site(s3), options["endpoints"]["listen"])]
    if options["endpoints"]["console"]:
        try:
            console = make_console(
                guard,
                checkers,
                store,
                pool.hop,
                data=options["data"],
                s3_url=options["s3-url"],
                places=lambda: listening.places(listeners[0][0]),
            )
        except ValueError as error:
            raise StartError(f"--console: {error}") from None
        listeners.append((make_site(console), options["endpoints"]["console"]))
    if setup is not None:
        listeners.append((setup.site(reactor, health), options["endpoints"]["metrics"]))
    for site, _ in listeners:
        site.noisy = False  # the listening service says it better
    listening = ListeningService(reactor, listeners, options["drain-timeout"], announce=worker is None)
    parts: dict[str, Callable[[], object]] = {"users": users.reload, "access log": access_log.open}
    if certificates := _certificates(options):
        parts["certificates"] = lambda: reload_all(certificates)
    if path is not None:
        parts["event targets"] = events.reload
    reload = reloader(parts)
    return _in_sequence(
        pool,
        CallService(access_log.open, access_log.close),
        PartService(store, reactor, _cannot_use(options)),
        CallService(prepare),
        CallService(probe.start),
        *(() if options["read-only"] else (events,)),
        listening,
        # Streams end before the waiting for running requests begins.
        CallService(lambda: None, events.streams.end_streams),
        *(() if options["read-only"] or options["no-watch"] else (events.watcher(store),)),
        # Nobody without the right to write can do what the rules ask for.
        *(() if options["read-only"] else (lifecycle,)),
        *control(Controls(reload, listening.hurry, health.beat, health.fail)),
    )


def supervisor(options: Options, reactor: Any, notifier: Notifier) -> IService:
    """What keeps several processes that serve.

    What can go wrong before they serve goes wrong here, in one process, with one line.
    """

    def prepare() -> None:
        store = _store(options, reactor, execute)
        require(store.start(), reactor, _cannot_use(options))
        try:
            access_log = AccessLog(options["access-log"], options["access-log-format"])
            access_log.open()
            access_log.close()
            first_start(options)()
        finally:
            store.stop()

    endpoints = [each for some in options["endpoints"].values() for each in some]
    directory = SharedDirectory(os.environ) if options["endpoints"]["metrics"] else None
    settings = {
        "arguments": options.arguments,
        "directory": options.directory,
        "access-log": options["access-log"],
        "sockets": len(endpoints),
        "metrics": None if directory is None else directory.path,
    }
    ended = (lambda _: None) if directory is None else directory.worker_ended
    workers = WorkersService(reactor, endpoints, options["workers"], settings, options["drain-timeout"], ended)
    return _in_sequence(
        CallService(prepare),
        *(() if directory is None else (CallService(directory.make, directory.remove),)),
        workers,
        NotifyService(reactor, notifier, workers.alive),
        SignalService(reactor, workers.reload, workers.hurry),  # stopped first: who hears STOPPING may hurry
    )


def raise_file_limit() -> int:
    """Raise this process's limit of open files as far as it may be, and useful; gives what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _FILES if soft == resource.RLIM_INFINITY else soft


def first_start(options: Options) -> Callable[[], None]:
    """What is done and told once the store has started."""
    users = options["users"]

    def start() -> None:
        if isinstance(users, UsersFileChecker):
            if users.path == credentials_path(options["data"]) and ensure_users_file(users.path):
                log.info("new credentials were made: see {path}", path=users.path)
            users.reload()
            log.info("credentials are those of {path}", path=users.path)
        for each in _certificates(options):
            each.announce()
        day = options["lifecycle-day"]
        if not day.is_real:
            log.warn("--lifecycle-day={seconds}: lifecycle rules count in days of that length", seconds=day.seconds)
        if options["sync"] == "off":
            log.warn("--sync=off: writes that were answered may be lost in a power failure")

    return start


def _certificates(options: Options) -> Sequence[Certificates]:
    return certificates_of(endpoint for some in options["endpoints"].values() for _, endpoint in some)


def _metrics(options: Options, worker: Mapping[str, Any]) -> Setup | None:
    """What counts, if somebody wants to know."""
    if not options["endpoints"]["metrics"]:
        return None
    from zs3.metrics.setup import Setup  # takes memory

    return Setup(options["threads"], worker.get("metrics"), worker.get("number", 0))


def _store(options: Options, reactor: Any, hop: Hop, observer: StoreObserver | None = None) -> FilesystemStore:
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


def _cannot_use(options: Options) -> str:
    return f"cannot use {options['data']}"


def _in_sequence(*services: Service) -> IService:
    daemon = SequentialService()
    for each in services:
        each.setServiceParent(daemon)
    return daemon
