"""Listening sockets that another process has bound, in place of those that an endpoint would bind.

A worker makes its endpoints of the same descriptions as its parent, with the
same TLS and PROXY protocol around them, but of a reactor that listens on a given
socket whatever the description says.

Not `reactor.adoptStreamPort`: as of Twisted 26.10 that gives a Unix socket the
mode 666 and removes it from the file system when one of several processes ends.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort, IReadDescriptor, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from zs3.listen import make_endpoint

#: Not enough descriptors or memory: the client waits in the queue meanwhile.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_S = 0.1


@implementer(IListeningPort, IReadDescriptor)
class InheritedPort:
    """Accepts the connections of a bound socket that other processes accept from too.

    One connection a turn: the load is spread, since who is busy comes back later.

    :param fd: of the listening socket; belongs to the port from now on.
    """

    _log = Logger()

    def __init__(self, reactor: Any, fd: int, factory: Factory[Any]) -> None:
        self._reactor, self._factory = reactor, factory
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._socket.set_inheritable(False)
        self._exhausted = False
        self._pausing: IDelayedCall | None = None
        self._listening = False

    def startListening(self) -> None:
        self._factory.doStart()
        self._listening = True
        self._reactor.addReader(self)

    def stopListening(self) -> Deferred[None]:
        if self._listening:
            self._listening = False
            if self._pausing is not None:
                self._pausing.cancel()
                self._pausing = None
            self._reactor.removeReader(self)
            self._socket.close()
            self._factory.doStop()
        return succeed(None)

    def getHost(self) -> IAddress:
        address = self._socket.getsockname()
        if self._socket.family == socket.AF_UNIX:
            return UNIXAddress(os.fsencode(address))
        return (IPv6Address if self._socket.family == socket.AF_INET6 else IPv4Address)("TCP", *address)

    def fileno(self) -> int:
        return self._socket.fileno()

    def doRead(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._pause(error)
            return  # another process was faster, or the client has gone again
        with connection:
            connection.setblocking(False)
            try:
                self._reactor.adoptStreamConnection(connection.fileno(), connection.family, self._factory)
                self._exhausted = False
            except OSError as error:
                if error.errno in _EXHAUSTED:  # it takes another descriptor
                    self._pause(error)
                elif error.errno != errno.ENOTCONN:
                    self._log.failure("a connection was not taken")

    def _pause(self, error: OSError) -> None:
        if not self._exhausted:
            self._exhausted = True
            self._log.error("no connection can be accepted: {reason}", reason=error.strerror)
        self._reactor.removeReader(self)
        self._pausing = self._reactor.callLater(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._pausing = None
        self._reactor.addReader(self)

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002 - the interface's
        """The reactor ends."""
        self.stopListening()

    def logPrefix(self) -> str:
        return "zs3"


class _InheritingReactor:
    """A reactor that listens on `fd`, whatever it is asked to listen on."""

    def __init__(self, reactor: Any, fd: int) -> None:
        self._reactor, self._fd = reactor, fd

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def _listen(self, factory: Factory[Any]) -> InheritedPort:
        port = InheritedPort(self._reactor, self._fd, factory)
        port.startListening()
        return port

    def listenTCP(self, _port: int, factory: Factory[Any], *_: object, **__: object) -> InheritedPort:
        return self._listen(factory)

    def listenUNIX(self, _address: str, factory: Factory[Any], *_: object, **__: object) -> InheritedPort:
        return self._listen(factory)


def inherit_endpoint(reactor: Any, description: str, certificates: Sequence[str], fd: int) -> IStreamServerEndpoint:
    """As `make_endpoint`, but what is made listens on the socket `fd`, which was bound for the same description."""
    wrapper = "haproxy:" if description.startswith("haproxy:") else ""
    if description.removeprefix(wrapper).startswith("systemd:"):
        description = wrapper + "tcp:0"  # systemd passed the socket to the parent alone
    return make_endpoint(_InheritingReactor(reactor, fd), description, certificates)
