"""The assembly of the daemon from its parts, as one process that serves or as one that supervises those.

Assembles, no more: what the parts do is told in their modules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import execute
from twisted.logger import Logger

from zs3.auth.credentials import UsersFileChecker
from zs3.auth.generated import credentials_path, ensure_users_file
from zs3.metrics.shared import SharedDirectory
from zs3.process import Controls, Options, Server, cannot_use, certificates_in_use, make_store
from zs3.sdnotify import Notifier
from zs3.service import CallService, NotifyService, SignalService, in_sequence, require
from zs3.web.accesslog import AccessLog
from zs3.workers import WorkersService

log = Logger()


def server(
    options: Options,
    reactor: Any,
    prepare: Callable[[], object],
    control: Callable[[Controls], Sequence[Service]],
    *,
    worker: Mapping[str, Any] | None = None,
    lost: Callable[[], object] = lambda: None,
) -> IService:
    """What serves in one process, see `zs3.process.Server`."""
    return Server(options, reactor, worker=worker, lost=lost).service(prepare, control)


def supervisor(options: Options, reactor: Any, notifier: Notifier) -> IService:
    """What keeps several processes that serve.

    What can go wrong before they serve goes wrong here, in one process, with one line.
    """

    def prepare() -> None:
        store = make_store(options, reactor, execute)
        require(store.start(), reactor, cannot_use(options))
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
    return in_sequence(
        CallService(prepare),
        *(() if directory is None else (CallService(directory.make, directory.remove),)),
        workers,
        NotifyService(reactor, notifier, workers.alive),
        SignalService(reactor, workers.reload, workers.hurry),  # stopped first: who hears STOPPING may hurry
    )


def first_start(options: Options) -> Callable[[], None]:
    """What is done and told once the store has started."""
    users = options["users"]

    def start() -> None:
        if isinstance(users, UsersFileChecker):
            if users.path == credentials_path(options["data"]) and ensure_users_file(users.path):
                log.info("new credentials were made: see {path}", path=users.path)
            users.reload()
            log.info("credentials are those of {path}", path=users.path)
        for each in certificates_in_use(options):
            each.announce()
        day = options["lifecycle-day"]
        if not day.is_real:
            log.warn("--lifecycle-day={seconds}: lifecycle rules count in days of that length", seconds=day.seconds)
        if options["sync"] == "off":
            log.warn("--sync=off: writes that were answered may be lost in a power failure")

    return start
