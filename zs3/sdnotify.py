"""What systemd is told of the daemon's life, and how often it wants to hear of it.

The protocol is one datagram per message; see sd_notify(3) and
sd_watchdog_enabled(3).  Without a supervisor that asks for it nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends states to the service manager.

    :param environ: the process's environment, `os.environ`.
    :ivar watchdog_seconds: the manager takes the daemon for hung after this long without ``WATCHDOG=1``;
        None if it does not watch.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_seconds = _watchdog_seconds(environ) if self._address else None

    def send(self, state: str) -> None:
        """Send lines of ``NAME=value``.  A manager that does not listen is no reason to fail."""
        if self._address[:1] not in ("/", "@"):
            return
        # An address that begins with @ is in the abstract namespace, where the first byte is a NUL.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(state.encode("utf-8"), address)
            except OSError:
                pass


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for another process of the service
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) > 0 else None
