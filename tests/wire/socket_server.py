"""A Site on real sockets, for tests/wire/test_transport_sockets.py: a process of its own, to tell its memory.

Serves GET /size/N, PUT /sum (answers size and MD5), PUT /deny, GET /peak (of resident memory, in KiB) and
GET /closed (answers once no reader is open).  GET /file/NAME[/FIRST/SIZE] sends a file of the directory that is its
second argument, and GET /cold/NAME does as if it were on a slow disk.  Says its ports on standard output: plain, TLS,
and a plain one whose clients must be quick; ends when standard input does.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time

from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Protocol
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from tests.wire.harness import Handler
from zs3.errors import S3Error
from zs3.store.hot import HotFiles
from zs3.store.interface import IObjectReader
from zs3.store.lookup import OpenObject
from zs3.store.readers import FileReader
from zs3.store.values import ObjectInfo
from zs3.web.limits import Limits
from zs3.web.producers import answer_object, send_object
from zs3.web.request import Request
from zs3.web.responses import send_xml
from zs3.web.site import Site

files = HotFiles(os.fsencode(sys.argv[2]))


@implementer(IObjectReader)
class Zeros:
    """An object of any size."""

    opened = 0
    waiting: list[Deferred[None]] = []

    def __init__(self, size: int) -> None:
        self.size = size
        Zeros.opened += 1

    def info(self) -> ObjectInfo:
        return ObjectInfo("k", self.size, 0, "e")

    def read(self, offset: int, size: int) -> Deferred[bytes]:
        return succeed(bytes(min(size, self.size - offset)))

    def unchanged(self) -> Deferred[bool]:
        return succeed(True)

    def close(self) -> None:
        Zeros.one_less()

    @staticmethod
    def one_less() -> None:
        Zeros.opened -= 1
        while Zeros.opened == 0 and Zeros.waiting:
            Zeros.waiting.pop().callback(None)


class File(FileReader):
    """A file; `Zeros` counts it as open."""

    def __init__(self, path: bytes) -> None:
        fd = os.open(path, os.O_RDONLY)
        status = os.fstat(fd)
        info = ObjectInfo("k", status.st_size, status.st_mtime_ns, "e")
        super().__init__(OpenObject(fd, info), deferToThread, files)
        self._counted = True
        Zeros.opened += 1

    def close(self) -> None:
        if self._counted:
            self._counted = False
            Zeros.one_less()
        super().close()


class ColdFile(File):
    """Never in memory, and every read takes a second."""

    def read_now(self, offset: int, size: int) -> bytes | None:
        return None

    def is_warm(self, offset: int, size: int) -> bool:
        return False

    def warm(self, offset: int, size: int) -> Deferred[bool]:
        return deferToThread(time.sleep, 1).addCallback(lambda _: super(ColdFile, self).warm(offset, size))


async def serve(request: Request) -> None:
    command, _, argument = request.raw_path[1:].partition(b"/")
    if command == b"size":
        request.setHeader("Content-Length", argument)
        await send_object(request, Zeros(int(argument)), 0, int(argument))
    elif command in (b"file", b"cold"):
        name, *span = argument.split(b"/")
        reader = (File if command == b"file" else ColdFile)(os.path.join(os.fsencode(sys.argv[2]), name))
        first, size = map(int, span) if span else (0, reader.info().size)
        await answer_object(request, 200, {"content-length": b"%d" % size}, reader, first, size)
    elif command == b"sum":
        digest, size = hashlib.md5(), 0
        while data := await request.body.read():
            digest.update(data)
            size += len(data)
        send_xml(request, f"{size} {digest.hexdigest()}".encode())
    elif command == b"peak":
        with open("/proc/self/status") as status:
            peak = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
        send_xml(request, peak.encode())
    elif command == b"closed":
        if Zeros.opened:
            Zeros.waiting.append(Deferred())
            await Zeros.waiting[-1]
        send_xml(request, b"closed")
    else:
        raise S3Error("AccessDenied")


class End(Protocol):
    """Stops the process with its parent."""

    def connectionLost(self, reason: object = None) -> None:
        reactor.stop()


async def main(pem: str) -> None:
    # However slow the machine is, the client of an early answer shall not be cut off.
    site = Site(Handler(serve), clock=reactor, limits=Limits(linger=60))
    impatient = Site(Handler(serve), clock=reactor, limits=Limits(stall=0.5))
    plain, tls = "tcp:0:interface=127.0.0.1", f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
    ports = [
        await serverFromString(reactor, endpoint).listen(each)
        for endpoint, each in ((plain, site), (tls, site), (plain, impatient))
    ]
    sys.stdout.write(" ".join(str(port.getHost().port) for port in ports) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    files.start()
    stdio.StandardIO(End())
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main(sys.argv[1])))
    reactor.run()
