"""`--workers`: a parent that binds and supervises, and processes that serve.

The parent serves nothing.  It holds the listening sockets, so that nobody is
refused while a worker is replaced, writes the log of all, and passes on what it
is told.  Workers know nothing of each other: what they share is the file system.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import ProcessProtocol, ServerFactory
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from zs3.messages import MessageChannel, socket_pair
from zs3.service import StartError, describe, listen
from zs3.worker import CHANNEL_FD, FIRST_SOCKET_FD

#: A worker that lived this long was well; what ended it will not end the next one at once.
_WELL_S = 10.0
#: How long the place of one that was not stays empty: first not at all, then this long, doubled each time.
_FIRST_PAUSE_S = 0.5
_LAST_PAUSE_S = 30.0
#: What a worker may take beyond the time for its requests, before it is killed.
_GRACE_S = 5.0

#: The parent's own: whom systemd hears, and whose sockets these are.
_NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

log = Logger()


def pause_after(deaths: int) -> float:
    """Seconds until a worker is started again after so many short lives in a row."""
    return min(_FIRST_PAUSE_S * 2 ** min(deaths - 2, 10), _LAST_PAUSE_S) if deaths > 1 else 0.0


class Worker(ProcessProtocol):
    """One process, from its start to its end.

    :ivar pid: of the process.
    :ivar ready: whether it serves, or has.
    :ivar reason: in one that never served, why, as far as it said.
    :ivar awaited: whether it was asked and has not answered yet.
    """

    def __init__(self, number: int, channel: MessageChannel, now: float, supervisor: WorkersService) -> None:
        self.number = number
        self.started_at = now
        self.channel = channel
        self.pid = 0
        self.ready = self.awaited = self.gone = False
        self.reason = ""
        self._supervisor = supervisor
        channel.received = self._received

    def _received(self, message: list[Any]) -> None:
        word, *arguments = message
        if word == "log":
            self._log(*arguments)
        elif word == "ready":
            self.ready = True
            log.info("worker {number} serves: process {pid}", number=self.number, pid=self.pid)
        elif word == "failed":
            self._supervisor.disk_failed()
        elif word == "pong":
            self.awaited = False
            self._supervisor.answered()

    def _log(self, level: str, namespace: str, text: str) -> None:
        severity = LogLevel.lookupByName(level)
        if severity is LogLevel.critical and not self.ready and not self.reason:
            self.reason = text
            if self._supervisor.starting:
                return  # the start fails with it
        system = f"worker {self.number}, {namespace}#{level}"
        Logger(namespace).emit(severity, "{text}", text=text, log_system=system)

    def ask(self) -> None:
        """Ask for a sign of life."""
        self.awaited = True
        self.channel.send("ping")

    def kill(self) -> None:
        """End the process whatever it does."""
        if self.transport is not None:
            self.transport.signalProcess("KILL")

    def processEnded(self, reason: Failure) -> None:
        self.channel.read_rest()
        self.gone = True
        self.awaited = False
        self._supervisor.worker_ended(self, reason)


class WorkersService(Service):
    """Binds the endpoints, and keeps `count` workers that serve them.

    :param endpoints: (as the user wrote it, endpoint).
    :param settings: what `zs3.tap.run_worker` is told.
    :param drain_timeout: seconds that running requests are given to end when the daemon stops.
    :param ended: is called with the number of a worker whose process is no more, before another takes its place.
    :ivar starting: whether the first workers are being started; what they fail with fails the start.
    """

    def __init__(
        self,
        reactor: Any,
        endpoints: Sequence[tuple[str, IStreamServerEndpoint]],
        count: int,
        settings: Mapping[str, object],
        drain_timeout: float,
        ended: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._reactor, self._endpoints, self._count = reactor, endpoints, count
        self._settings = {**settings, "reactor": type(reactor).__module__}
        self._drain_timeout, self._ended = drain_timeout, ended
        self._ports: list[Any] = []
        self._bound = False
        self._workers: dict[int, Worker] = {}
        self._pauses: dict[int, IDelayedCall] = {}
        self._deaths: dict[int, int] = {}
        self._asking: Deferred[None] | None = None
        self._all_ended: Deferred[None] | None = None
        self._killing: IDelayedCall | None = None
        self.starting = False

    # Start

    def privilegedStartService(self) -> None:
        """Bind while the process may still bind ports below 1024."""
        self._bound = True
        listen(self._reactor, self._endpoints, _Workers(), self._is_bound)

    def _is_bound(self, port: IListeningPort, _description: str) -> None:
        port.stopReading()  # type: ignore[attr-defined]  # the workers accept
        self._ports.append(port)

    def startService(self) -> None:
        """Start the workers, and return when all of them serve.

        :raises StartError: if one cannot, with what it said.
        """
        super().startService()
        if not self._bound:  # `twist` has no privileged phase
            self.privilegedStartService()
        self.starting = True
        for number in range(1, self._count + 1):
            self._start(number)
        self._wait_until_all_serve()
        self.starting = False
        for worker in self._workers.values():
            self._reactor.addReader(worker.channel)

    def _wait_until_all_serve(self) -> None:
        # Before the reactor runs, so that a worker that cannot serve is a daemon that cannot start: with its line in
        # the log, twistd's exit status, and no pid file.
        waiting = {worker.channel.fileno(): worker for worker in self._workers.values()}
        poll = select.poll()
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while waiting:
            for fd, _ in poll.poll():
                worker = waiting[fd]
                if not worker.channel.read():
                    raise StartError(worker.reason or "a worker ended before it served")
                if worker.ready:
                    poll.unregister(fd)
                    del waiting[fd]

    def _start(self, number: int) -> None:
        self._pauses.pop(number, None)
        ours, theirs = socket_pair()
        worker = Worker(number, MessageChannel(ours), self._reactor.seconds(), self)
        sockets = {FIRST_SOCKET_FD + each: port.fileno() for each, port in enumerate(self._ports)}
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            process = self._reactor.spawnProcess(
                worker,
                sys.executable,
                # -P: the current directory is no place to import from.
                [sys.executable, "-P", "-m", "zs3.worker"],
                env=_environment(),
                childFDs={0: nothing, 1: 1, 2: 2, CHANNEL_FD: theirs.fileno(), **sockets},
            )
        except OSError as error:
            worker.channel.close()
            if self.starting:
                raise StartError(f"cannot start a worker: {describe(error)}") from None
            log.error("worker {number} cannot be started: {reason}", number=number, reason=describe(error))
            self._start_later(number)
            return
        finally:
            os.close(nothing)
            theirs.close()
        worker.pid = process.pid
        worker.channel.send("start", {**self._settings, "number": number})
        self._workers[number] = worker
        if not self.starting:
            self._reactor.addReader(worker.channel)
        if self._asking is not None:
            worker.ask()

    def _start_later(self, number: int) -> float:
        self._deaths[number] = self._deaths.get(number, 0) + 1
        pause = pause_after(self._deaths[number])
        self._pauses[number] = self._reactor.callLater(pause, self._start, number)
        return pause

    # What the workers do

    def worker_ended(self, worker: Worker, reason: Failure) -> None:
        """For a worker: its process is no more, and all that it sent has been read."""
        self._reactor.removeReader(worker.channel)
        worker.channel.close()
        del self._workers[worker.number]
        self._ended(worker.number)
        if self._all_ended is not None or not self.running:
            if not reason.check(ProcessDone):
                log.error("{worker} ended badly: {reason}", worker=_name(worker), reason=_reason(reason))
            if not self._workers and self._all_ended is not None:
                self._all_ended.callback(None)
            return
        if self._reactor.seconds() - worker.started_at >= _WELL_S:
            self._deaths.pop(worker.number, None)
        pause = self._start_later(worker.number)
        log.emit(
            LogLevel.info if reason.check(ProcessDone) else LogLevel.error,  # by a SIGTERM to it alone
            "{worker} ended ({reason}), another is started {when}",
            worker=_name(worker),
            reason=_reason(reason),
            when=f"in {pause:g} s" if pause else "now",
        )
        self.answered()

    def answered(self) -> None:
        """For a worker: one answered, or is no longer waited for."""
        if self._asking is not None and self._workers and not any(each.awaited for each in self._workers.values()):
            asking, self._asking = self._asking, None
            asking.callback(None)

    # What the workers are told

    def alive(self) -> Deferred[None]:
        """Fires when every worker has answered, and there is one; perhaps never."""
        if self._asking is None:
            self._asking = Deferred()
            for worker in self._workers.values():
                worker.ask()
        return self._asking

    def _tell(self, word: str) -> None:
        for worker in self._workers.values():
            worker.channel.send(word)

    def disk_failed(self) -> None:
        """For a worker: it has seen that the disk does not keep what it is given.  All others shall know, and all that
        come after them.
        """
        self._settings["failed"] = True
        self._tell("failed")

    def reload(self) -> None:
        """Let all workers reload."""
        self._tell("reload")

    def hurry(self) -> None:
        """Wait no longer for running requests."""
        if self._all_ended is not None and self._workers:
            self._tell("hurry")
            self._kill_in(_GRACE_S)

    # End

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for each in self._pauses.values():
            each.cancel()
        self._pauses.clear()
        ports, self._ports = self._ports, []
        closing = [maybeDeferred(port.stopListening) for port in ports]
        if self._workers:
            self._all_ended = Deferred()
            self._tell("stop")
            self._kill_in(self._drain_timeout + _GRACE_S)
            await self._all_ended
            if self._killing is not None:
                self._killing.cancel()
        await DeferredList(closing, consumeErrors=True)

    def _kill_in(self, seconds: float) -> None:
        if self._killing is not None:
            self._killing.cancel()
        self._killing = self._reactor.callLater(seconds, self._kill)

    def _kill(self) -> None:
        self._killing = None
        for worker in self._workers.values():
            log.error("{worker} does not end: it is killed", worker=_name(worker))
            worker.kill()
        # One that even then does not end waits for a broken disk.
        self._killing = self._reactor.callLater(_GRACE_S, self._give_up)

    def _give_up(self) -> None:
        self._killing = None
        log.error("there are workers that cannot be killed")
        if self._all_ended is not None:
            self._all_ended.callback(None)
            self._all_ended = Deferred()  # for those that end after all


class _Workers(ServerFactory):
    """What the parent listens with: it never accepts."""

    noisy = False

    def logPrefix(self) -> str:
        return "zs3"


def _name(worker: Worker) -> str:
    return f"worker {worker.number} (process {worker.pid})"


def _reason(reason: Failure) -> str:
    signal = getattr(reason.value, "signal", None)
    return f"signal {signal}" if signal else f"exit status {getattr(reason.value, 'exitCode', None)}"


def _environment() -> dict[str, str]:
    """This process's, less what is meant for it alone; a worker finds its modules where this process does."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return kept | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
