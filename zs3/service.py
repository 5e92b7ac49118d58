"""The daemon's life as services: start in order, drain, stop in the opposite order.

Nothing here knows S3, and nothing imports the global reactor: `zs3.tap` puts
the pieces together and hands it in.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from twisted.application.service import IService, MultiService, Service
from twisted.internet import defer
from twisted.internet.defer import Deferred, execute, gatherResults, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from zs3.sdnotify import Notifier
from zs3.threads import Threads

if TYPE_CHECKING:
    from zs3.web.site import Site

_P = ParamSpec("_P")
_R = TypeVar("_R")

log = Logger()


class StartError(SystemExit, Exception):
    """The daemon cannot start, and why in one line.

    The line is logged where this is raised; the exit status is 1.  As a `SystemExit` it ends the process without a
    traceback; as an `Exception` it lets twistd remove its pid file and tell a waiting parent process.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 1
        log.critical("{message}", message=message)


class Part(Protocol):
    """Something with a beginning and an end, e.g. the store."""

    def start(self) -> Deferred[Any]: ...
    def stop(self) -> Deferred[Any]: ...


class SequentialService(MultiService):
    """Services of which each needs those before it: one is stopped only when all after it have."""

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)  # not MultiService's, which stops all at once
        return Deferred.fromCoroutine(self._stop_in_turn())

    async def _stop_in_turn(self) -> None:
        for each in reversed(list(self)):
            try:
                await maybeDeferred(IService(each).stopService)
            except Exception:
                # The others hold what must not be lost.
                log.failure("stopping {service} failed", service=each)


def in_sequence(*services: Service) -> SequentialService:
    """One service of several, of which each needs those before it."""
    together = SequentialService()
    for each in services:
        each.setServiceParent(together)
    return together


class PoolService(Service):
    """The pool of threads that block on the disk.

    :param size: the most threads there are; they are made when they are first needed.
    :param watch: of `Threads`.
    """

    def __init__(self, reactor: Any, size: int, watch: Callable[[int], object] | None = None) -> None:
        self._reactor = reactor
        self._threads = Threads(reactor.callFromThread, size, "zs3", watch)
        self._started = False

    def hop(self, f: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_R]:
        """Run `f` in a thread; fires with its result.

        While the reactor does not run yet, or the pool has stopped, it runs here and now: so what the store does at the
        start can still fail the start, and nothing waits for a thread that is no more.
        """
        if not self._started:
            return execute(f, *args, **kwargs)
        return self._threads.call(f, *args, **kwargs)

    def startService(self) -> None:
        super().startService()
        # Not before: until then `hop` does its work at once.
        self._reactor.callWhenRunning(self._start_threads)

    def _start_threads(self) -> None:
        self._started = bool(self.running)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self._started = False
        self._threads.stop()
        # The threads' last results are on their way to the reactor: let them arrive.
        return deferLater(self._reactor, 0, lambda: None)


class PartService(Service):
    """A `Part` that the daemon cannot be without.

    :param what: what failed if it cannot start, for the message.
    """

    def __init__(self, part: Part, reactor: Any, what: str) -> None:
        self._part, self._reactor, self._what = part, reactor, what

    def startService(self) -> None:
        super().startService()
        require(maybeDeferred(self._part.start), self._reactor, self._what)

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        return self._part.stop()


class CallService(Service):
    """Calls one function at the start and another at the end.

    An `OSError` or a `ValueError` of the first ends the start with its message.
    """

    def __init__(self, start: Callable[[], object], stop: Callable[[], object] = lambda: None) -> None:
        self._start, self._stop = start, stop

    def startService(self) -> None:
        super().startService()
        try:
            self._start()
        except (OSError, ValueError) as error:
            raise StartError(describe(error)) from None

    def stopService(self) -> None:
        super().stopService()
        self._stop()


class ListeningService(Service):
    """Listens on endpoints, and ends so that no response is cut.

    :param listeners: (what serves there, (as the user wrote it, endpoint) of each place).
    :param drain_timeout: seconds that running requests are given to end.
    :param announce: whether it is logged where it listens.
    """

    def __init__(
        self,
        reactor: Any,
        listeners: Sequence[tuple[Site, Sequence[tuple[str, IStreamServerEndpoint]]]],
        drain_timeout: float,
        *,
        announce: bool = True,
    ) -> None:
        self._reactor, self._listeners = reactor, listeners
        self._drain_timeout, self._announce = drain_timeout, announce
        self._ports: list[tuple[Site, IListeningPort, str]] = []
        self._bound = self._hurried = False
        self._draining: Deferred[None] | None = None

    def privilegedStartService(self) -> None:
        """Bind while the process may still bind ports below 1024."""
        self._bound = True
        for site, endpoints in self._listeners:
            listen(self._reactor, endpoints, site, partial(self._is_bound, site), announce=self._announce)

    def _is_bound(self, site: Site, port: IListeningPort, description: str) -> None:
        self._ports.append((site, port, description))

    def places(self, site: Site) -> list[tuple[str, IAddress]]:
        """Where `site` is served: (as the user wrote it, the address)."""
        return [(description, port.getHost()) for each, port, description in self._ports if each is site]

    def startService(self) -> None:
        super().startService()
        if not self._bound:  # `twist` has no privileged phase
            self.privilegedStartService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        await gatherResults([maybeDeferred(port.stopListening) for _, port, _ in ports])
        self._draining = self._drain()
        if self._hurried:
            self._draining.cancel()
        try:
            await self._draining.addTimeout(self._drain_timeout, self._reactor)
        except (defer.TimeoutError, defer.CancelledError):
            log.warn("requests that were still running are cut")
            self._draining = None
            for site, _ in self._listeners:
                site.abort()
            try:
                await self._drain().addTimeout(1, self._reactor)
            except defer.TimeoutError:
                log.error("connections are left that do not end")

    def _drain(self) -> Deferred[None]:
        draining = [site.drain() for site, _ in self._listeners]

        async def wait() -> None:
            for each in draining:
                await each

        return Deferred.fromCoroutine(wait())

    def hurry(self) -> None:
        """Wait no longer for running requests."""
        self._hurried = not self.running
        if self._draining is not None:
            self._draining.cancel()


class SignalService(Service):
    """SIGHUP reloads; while the daemon drains, another SIGTERM or SIGINT ends the waiting.

    Twisted handles the first SIGTERM and SIGINT itself and leaves SIGHUP to its default, which is death.
    """

    def __init__(self, reactor: Any, reload: Callable[[], object], hurry: Callable[[], object]) -> None:
        self._reactor, self._reload, self._hurry = reactor, reload, hurry

    def startService(self) -> None:
        super().startService()
        self._handle(signal.SIGHUP, self._reload)

    def stopService(self) -> None:
        super().stopService()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes must not cut the drain
        for number in (signal.SIGTERM, signal.SIGINT):
            self._handle(number, self._hurry)

    def _handle(self, number: signal.Signals, f: Callable[[], object]) -> None:
        def handler(_number: int, _frame: FrameType | None) -> None:
            self._reactor.callFromThread(f)

        signal.signal(number, handler)


class NotifyService(Service):
    """Tells the service manager READY once the reactor runs, then that it still turns, and STOPPING.

    :param alive: asks the others that have to be well; its Deferred fires when they are.
    """

    def __init__(
        self, reactor: Any, notifier: Notifier, alive: Callable[[], Deferred[None]] = lambda: succeed(None)
    ) -> None:
        self._reactor, self._notifier, self._alive = reactor, notifier, alive
        self._watchdog = LoopingCall(lambda: Deferred.fromCoroutine(self._beat()))
        self._watchdog.clock = reactor

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._ready)

    def _ready(self) -> None:
        if not self.running:
            return
        self._notifier.send("READY=1")
        if self._notifier.watchdog_seconds is not None:
            self._watchdog.start(self._notifier.watchdog_seconds / 2)

    async def _beat(self) -> None:
        await self._alive()
        if self.running:
            self._notifier.send("WATCHDOG=1")

    def stopService(self) -> None:
        super().stopService()
        if self._watchdog.running:
            self._watchdog.stop()
        self._notifier.send("STOPPING=1")


def reloader(parts: Mapping[str, Callable[[], object]]) -> Callable[[], None]:
    """A function that reloads each of `parts`; one that fails is reported and leaves the others alone."""

    def reload() -> None:
        for name, part in parts.items():
            try:
                part()
            except (OSError, ValueError) as error:
                log.error("{name} not reloaded: {reason}", name=name, reason=describe(error))
            else:
                log.info("{name} reloaded", name=name)

    return reload


def listen(
    reactor: Any,
    endpoints: Sequence[tuple[str, IStreamServerEndpoint]],
    factory: IProtocolFactory,
    listening: Callable[[IListeningPort, str], object],
    *,
    announce: bool = True,
) -> None:
    """Listen on endpoints, of which each is told with what the user wrote; a daemon does not live without them.

    :param listening: is called with each port that listens, and as what; where that is is logged if `announce`.
    :raises StartError: if that fails.
    """

    def bound(port: IListeningPort, description: str) -> None:
        listening(port, description)
        if announce:
            log.info("listening on {address} ({description})", address=show(port.getHost()), description=description)

    for description, endpoint in endpoints:
        deferred = maybeDeferred(endpoint.listen, factory)
        deferred.addCallback(bound, description)
        require(deferred, reactor, f"cannot listen on {description}")


def require(deferred: Deferred[Any], reactor: Any, what: str) -> None:
    """See to it that the daemon does not live without the result of `deferred`.

    :raises StartError: if it has failed already; if it fails later the reactor is stopped.
    """
    starting = True
    failures: list[Failure] = []

    def failed(failure: Failure) -> None:
        if starting:
            failures.append(failure)
        else:
            log.critical("{what}: {reason}", what=what, reason=describe(failure.value))
            reactor.stop()

    deferred.addErrback(failed)
    starting = False
    if failures:
        raise StartError(f"{what}: {describe(failures[0].value)}")


def describe(error: BaseException | None) -> str:
    """An error in a user's words, in one line."""
    if isinstance(error, CannotListenError):
        return describe(error.socketError)
    if isinstance(error, OSError) and error.strerror:
        name = error.filename2 or error.filename  # of two, what was to be made
        return f"{os.fsdecode(name) if isinstance(name, bytes) else name}: {error.strerror}" if name else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def show(address: IAddress) -> str:
    """An address as a user writes it."""
    host, port, name = (getattr(address, each, None) for each in ("host", "port", "name"))
    if host is None:
        return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
