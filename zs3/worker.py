"""A worker: `python -m zs3.worker`, started by `zs3.workers` and of no use without it.

It has the sockets that its parent bound, does what the parent says over the
`MessageChannel`, sends its log events there, and dies with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, eventAsText, globalLogBeginner
from twisted.python import usage
from twisted.python.reflect import namedModule
from zope.interface import implementer

from zs3.messages import MessageChannel

#: The descriptors that a worker is born with, besides standard output and error.
CHANNEL_FD = 3
FIRST_SOCKET_FD = 4

_PR_SET_PDEATHSIG = 1
#: Characters of a log event that are sent; a packet holds more.
_MOST_TEXT = 16_000

log = Logger("zs3.worker")  # also where it is run as __main__


class ObedientService(Service):
    """Tells the parent when this worker serves, and does what the parent says.

    :param hurry: waits no longer for running requests.
    :param asked: is called when the parent asks for a sign of life.
    :param failed: is called when a worker has seen the disk fail.
    :param die: ends the process at once; called when the parent is gone.
    """

    def __init__(
        self,
        reactor: Any,
        channel: MessageChannel,
        *,
        reload: Callable[[], object],
        hurry: Callable[[], object],
        asked: Callable[[], object] = lambda: None,
        failed: Callable[[], object] = lambda: None,
        die: Callable[[], object],
    ) -> None:
        self._reactor, self._channel, self._asked = reactor, channel, asked
        self._commands = {"ping": self._answer, "reload": reload, "hurry": hurry, "stop": self._stop, "failed": failed}
        channel.received = self._obey
        channel.ended = die

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._ready)

    def _ready(self) -> None:
        if self.running:
            # Not Twisted's own handler, which fails if the parent's word comes before it.
            signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self._stop))
            self._channel.send("ready")
        self._reactor.addReader(self._channel)

    def _obey(self, message: list[Any]) -> None:
        self._commands[message[0]]()

    def _answer(self) -> None:
        self._asked()
        self._channel.send("pong")

    def _stop(self) -> None:
        with suppress(ReactorNotRunning):  # it got a signal as well
            self._reactor.stop()


@implementer(ILogObserver)
class Forwarder:
    """Sends log events to the parent, which writes the log of all: what zs3 says, and warnings of others."""

    def __init__(self, channel: MessageChannel) -> None:
        self._channel = channel
        self._lost = 0

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level", LogLevel.info)
        namespace = event.get("log_namespace", "?")
        if level < (LogLevel.info if namespace.partition(".")[0] == "zs3" else LogLevel.warn):
            return
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)[:_MOST_TEXT]
        if self._lost:
            text = f"({self._lost} events before this one are lost) {text}"
        if self._channel.send("log", level.name, namespace, text):
            self._lost = 0
        else:
            self._lost += 1


def main() -> None:
    """Become a worker, until it is told to stop."""
    _die_with_parent()
    # What a terminal sends goes to the parent too, which decides.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    connection = socket.socket(fileno=CHANNEL_FD)
    connection.set_inheritable(False)
    channel = MessageChannel(connection)
    try:
        _, settings = channel.receive()
    except EOFError:
        sys.exit(1)
    globalLogBeginner.beginLoggingTo([Forwarder(channel)], redirectStandardIO=False)
    try:
        _run(channel, settings)
    except usage.UsageError as error:
        log.critical("{message}", message=str(error))
        sys.exit(1)
    except Exception:
        log.failure("a worker cannot go on", level=LogLevel.critical)
        sys.exit(1)


def _run(channel: MessageChannel, settings: Mapping[str, Any]) -> None:
    namedModule(settings["reactor"]).install()
    from zs3 import tap  # uses the reactor that is installed by now

    tap.run_worker(channel, settings)


def _die_with_parent() -> None:
    """Let the kernel kill this process, even one that hangs, when its parent dies."""
    # If that is not possible, or the parent is gone already, the end of the channel tells.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def die() -> None:
    """End as the parent did, which was not in good order: that would have been another way."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
