"""A target of event notifications: an HTTP server in a thread of the test."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from tests.e2e.daemon import PATIENCE

Record = dict[str, Any]


@dataclass
class Receiver:
    """What it was sent.

    :ivar status: what it answers.
    :ivar messages: those that it took.
    :ivar refused: how many it did not take.
    :ivar headers: of the last request.
    """

    port: int = 0
    secure: bool = False
    status: int = 200
    messages: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, message: dict[str, Any], headers: dict[str, str]) -> int:
        with self.changed:
            self.headers = headers
            if 200 <= self.status < 300:
                self.messages.append(message)
            else:
                self.refused += 1
            self.changed.notify_all()
            return self.status

    def records(self) -> list[Record]:
        return [record for message in self.messages for record in message.get("Records", ())]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until it was sent what makes the condition hold."""
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), self.messages

    def wait_for_keys(self, *keys: str) -> list[Record]:
        """Wait until of each key at least one record has come; all records."""
        self.wait(lambda: set(keys) <= {key_of(record) for record in self.records()})
        return self.records()

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}/hook"


def key_of(record: Record) -> str:
    return unquote_plus(record["s3"]["object"]["key"])


@contextmanager
def receiving(
    port: int = 0, receiver: Receiver | None = None, context: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """A target that listens as long as the block.

    :param context: for TLS.
    """
    receiver = receiver or Receiver()
    receiver.secure = context is not None

    connections: list[socket.socket] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(self.request)
            super().setup()

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = receiver.take(message, dict(self.headers))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not into the output of the tests."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        for connection in connections:
            with suppress(OSError):  # it has gone already
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def targets_file(directory: Path, url: str, *lines: str) -> Path:
    """A file that names one target, `hook`."""
    path = directory / "targets.toml"
    path.touch(0o600)
    path.write_text("\n".join((f'[targets.hook]\nurl = "{url}"', *lines, "")))
    return path
