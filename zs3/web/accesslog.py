"""The access log: one line per request, as text or JSON, and the file it goes to.

Lines are written straight to a file descriptor: an event of `twisted.logger`
costs several times what the rest of a small request does.  Nothing a client
sends is written unescaped, so no key can forge a line; queries, signatures
and secrets are never handed to this module.
"""

from __future__ import annotations

import functools
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.logger import Logger

STDOUT = 1

_PLAIN = re.compile(r"[A-Za-z0-9._+/@:=,~-]+").fullmatch
_to_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(slots=True)
class RequestLog:
    """What the handlers of a request tell the access log; filled in while it is served.

    :ivar operation: the name in S3's words, e.g. ``PutObject``; "" if it was never found out.
    :ivar bucket: as decoded from the request.
    :ivar key: as decoded from the request.
    :ivar access_key: the access key id claimed, never the secret; "" for anonymous.
    :ivar bytes_in: body bytes received.
    :ivar bytes_out: body bytes sent.
    :ivar error: the S3 error code answered, "" for success.
    :ivar reason: why access was denied, which the client is not told; in JSON alone.
    :ivar at_once: whether it was answered from what the kernel had in memory; for the metrics alone.
    """

    operation: str = ""
    bucket: str = ""
    key: str = ""
    access_key: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    error: str = ""
    reason: str = ""
    at_once: bool = field(default=False, compare=False)


#: (what the handlers told, arrival in ns since the epoch, the client's address, status, seconds, request id) -> a line
Formatter = Callable[[RequestLog, int, str, int, float, str], str]


def escape(text: str) -> str:
    """`text` with backslash, double quote and all that is not printable as in a Python or JSON string.

    What `str.isprintable` refuses are controls, line and paragraph separators, lone surrogates and the
    marks that turn the direction of writing: whatever could end a line or make it read as another one.
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(c if c.isprintable() and c not in '"\\' else _escape_character(c) for c in text)


def _escape_character(c: str) -> str:
    if c in '"\\':
        return "\\" + c
    return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"


@functools.lru_cache(maxsize=256)  # addresses, users and operations come again and again
def _word(text: str) -> str:
    """One field without white space: itself, ``-`` if empty, in quotes if it is anything unusual."""
    if not text:
        return "-"
    return text if _PLAIN(text) else f'"{escape(text)}"'


def _utc(ns: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{_utc_second(seconds)}.{rest // 1_000_000:03}Z"


@functools.lru_cache(maxsize=16)  # many requests arrive in one second
def _utc_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def text_line(log: RequestLog, received_ns: int, remote: str, status: int, seconds: float, request_id: str) -> str:
    """Fields parted by a space; the resource is always in quotes, an absent field is ``-``.

    ``time remote access-key operation "bucket/key" status error bytes-in bytes-out seconds request-id``
    """
    resource = f"{log.bucket}/{log.key}" if log.key else log.bucket
    return (
        f"{_utc(received_ns)} {_word(remote)} {_word(log.access_key)} {_word(log.operation)} "
        f'"{escape(resource)}" {status} {_word(log.error)} {log.bytes_in} {log.bytes_out} {seconds:.6f} {request_id}\n'
    )


def json_line(log: RequestLog, received_ns: int, remote: str, status: int, seconds: float, request_id: str) -> str:
    """One JSON object (ASCII only) with the same members in every line."""
    record = {
        "time": _utc(received_ns),
        "remote": remote,
        "access_key": log.access_key,
        "operation": log.operation,
        "bucket": log.bucket,
        "key": log.key,
        "status": status,
        "error": log.error,
        "reason": log.reason,
        "bytes_in": log.bytes_in,
        "bytes_out": log.bytes_out,
        "seconds": round(seconds, 6),
        "request_id": request_id,
    }
    return _to_json(record) + "\n"


FORMATS: dict[str, Formatter] = {"text": text_line, "json": json_line}


class AccessLog:
    """Writes lines to a file, to standard output, or nowhere.

    Between `open` and `close`, `record` takes one request.  A line is one `write(2)` in append mode, so lines
    of several processes do not mix.  A log that cannot be written never fails a request: the first line
    lost is reported as an event, and so is the first one that is written again.

    :param path: a file's absolute path, ``-`` for standard output, or ``off``.
    :param form: a key of `FORMATS`.
    """

    _events = Logger()

    def __init__(self, path: str, form: str = "text") -> None:
        self.path = path
        self._line = FORMATS[form]
        self._fd = -1
        self._lost = 0

    def open(self) -> None:
        """Open the file, or after a rotation the new one of that name; if that fails, the old one stays.  `OSError`."""
        if self.path == "off":
            return
        if self.path == "-":
            # Not sys.stdout: twistd replaces that by something that makes an event of every line.
            self._fd = STDOUT
            return
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC, 0o640)
        self.close()
        self._fd = fd

    def close(self) -> None:
        """Write no more; harmless a second time."""
        if self._fd > STDOUT:
            os.close(self._fd)
        self._fd = -1

    def record(
        self, log: RequestLog, *, received_ns: int, remote: str, status: int, seconds: float, request_id: str
    ) -> None:
        """Write the line of one request that is over.

        :param received_ns: when it arrived, in ns since the epoch.
        :param remote: the client's address; "" where there is none (a Unix socket).
        :param status: the HTTP status answered; 0 if the client went before it got one.
        :param seconds: from its arrival to the end of its response.
        """
        if self._fd < 0:
            return
        # An IPv4 client of a socket for both is still told by its IPv4 address.
        line = self._line(log, received_ns, remote.removeprefix("::ffff:"), status, seconds, request_id)
        try:
            os.write(self._fd, line.encode("utf-8"))
        except OSError as error:
            if not self._lost:
                self._events.error("the access log {path} cannot be written: {error}", path=self.path, error=error)
            self._lost += 1
        else:
            if self._lost:
                self._events.warn(
                    "the access log {path} goes on, {lost} lines are missing", path=self.path, lost=self._lost
                )
                self._lost = 0
