"""Messages between the parent and a worker: what each of them reads and writes at its end of a socket pair.

One packet is one message, a JSON array that begins with a word: ``start``,
``stop``, ``hurry``, ``reload`` and ``ping`` go to a worker; ``ready``, ``pong``
and ``log`` come from it; ``failed``, of the disk, goes from one to all.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

#: More than the kernel takes as one packet.
_MOST = 1 << 20


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a new connection that keeps packets apart."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return one, other


@implementer(IReadDescriptor)
class MessageChannel:
    """One end of the connection; a reader for a reactor, or to be read by hand.

    :param connection: of `socket_pair`.
    :ivar received: is called with each message, a list.
    :ivar ended: is called once, when the other process has closed its end or is gone.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._open = True
        self.received: Callable[[list[Any]], object] = lambda _: None
        self.ended: Callable[[], object] = lambda: None

    def send(self, *message: object) -> bool:
        """Send one message, from any thread, without waiting.

        :returns: False if it is lost, because the other process is gone or does not read.
        """
        try:
            self._connection.send(json.dumps(message).encode("ascii"), socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def receive(self) -> list[Any]:
        """Wait for one message.  `EOFError` if there will be none."""
        try:
            packet = self._connection.recv(_MOST)
        except ConnectionResetError:
            # The other process has ended without reading all that it was sent.  That is told once, and before what
            # the other had sent itself.
            packet = self._connection.recv(_MOST)
        if not packet:
            raise EOFError
        message: list[Any] = json.loads(packet)
        return message

    def read(self) -> bool:
        """Wait for one message and hand it to `received`; False, after `ended`, if there will be none."""
        try:
            message = self.receive()
        except EOFError:
            if self._open:
                self._open = False
                self.ended()
            return False
        self.received(message)
        return True

    def read_rest(self) -> None:
        """Hand out what a process that is gone had still sent."""
        self._connection.setblocking(False)
        try:
            while self._open and self.read():
                pass
        except BlockingIOError:  # another process has the other end as well
            pass

    def close(self) -> None:
        """Close this end; `ended` is not called any more."""
        self._open = False
        self._connection.close()

    # IReadDescriptor

    def fileno(self) -> int:
        return self._connection.fileno()

    def doRead(self) -> Any:  # the interface says Failure, and all that implement it return an exception
        return None if self.read() else CONNECTION_DONE

    def connectionLost(self, reason: Failure) -> None:
        """The reactor reads no more: `doRead` has said so, or the reactor has stopped."""

    def logPrefix(self) -> str:
        return "zs3"
