"""Many uploads at once, all in step: each sends its next piece when all have sent the last one."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.e2e.daemon import Endpoint
from tests.e2e.plainhttp import head, presigned_path
from tests.load.tally import Body

PIECE = 64 << 10
#: Seconds that an answer may take.
_PATIENCE_S = 300
#: Seconds that it may take until all have begun; some may have been refused.
_BEGIN_S = 30


@dataclass
class Upload:
    """One of them.

    :ivar status: of the answer, 0 if there was none.
    :ivar answer: its head, and what was read of its body.
    """

    path: str
    body: Body
    status: int = 0
    answer: str = ""
    seconds: float = 0.0

    @property
    def code(self) -> str:
        """What came of it: "" for success."""
        if self.status == 200:
            return ""
        return self.answer.partition("<Code>")[2].partition("</Code>")[0] or f"{self.status} {self.answer[:100]}"

    @property
    def etag(self) -> str:
        return self.answer.lower().partition('\netag: "')[2].partition('"')[0]


class _Connection:
    def __init__(self, upload: Upload, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.upload, self._reader, self.writer = upload, reader, writer

    async def send(self, piece: bytes) -> None:
        try:
            self.writer.write(piece)
            await self.writer.drain()
        except OSError:  # the answer tells why, if there is one
            pass

    async def read(self, start: float) -> None:
        """The answer to the upload."""
        try:
            text = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), _PATIENCE_S)
            self.upload.status = int(text[9:12])
            if self.upload.status != 200:
                text += await asyncio.wait_for(self._reader.read(4096), _PATIENCE_S)
            self.upload.answer = text.decode()
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.upload.answer = repr(error)
        self.upload.seconds = time.monotonic() - start

    def close(self) -> None:
        self.writer.transport.abort()


@dataclass
class Outcome:
    """:ivar seconds: that all took together.
    :ivar connecting: that it took until all were connected.
    """

    uploads: Sequence[Upload]
    connecting: float = 0.0
    seconds: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)


def send(endpoint: Endpoint, uploads: Sequence[Upload], are_under_way: Callable[[], bool]) -> Outcome:
    """Send all of them at once.

    :param are_under_way: whether the daemon has begun with all of them: the second half of the smallest waits for that.
    """
    # In a thread of its own: a browser of other tests may have left an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_send(endpoint, uploads, are_under_way))).result()


async def _send(endpoint: Endpoint, uploads: Sequence[Upload], are_under_way: Callable[[], bool]) -> Outcome:
    outcome = Outcome(uploads)
    context = ssl.create_default_context(cafile=str(endpoint.certificate)) if endpoint.secure else None
    start = time.monotonic()

    async def connect(upload: Upload) -> _Connection:
        opened = await asyncio.open_connection("127.0.0.1", endpoint.port, ssl=context, ssl_handshake_timeout=None)
        return _Connection(upload, *opened)

    connections = await asyncio.gather(*map(connect, uploads))
    outcome.connecting = time.monotonic() - start
    await asyncio.gather(*(each.send(_head(endpoint, each.upload)) for each in connections))
    sizes = [each.body.size for each in uploads]
    for at in range(0, max(sizes), PIECE):
        if at <= min(sizes) // 2 < at + PIECE:
            end = time.monotonic() + _BEGIN_S
            while not are_under_way() and time.monotonic() < end:
                await asyncio.sleep(0.05)
        # Made anew for each piece: all of all of them would not fit the memory.
        await asyncio.gather(
            *(each.send(each.upload.body.bytes(at, at + PIECE)) for each in connections if at < each.upload.body.size)
        )
    await asyncio.gather(*(each.read(start) for each in connections))
    outcome.seconds = time.monotonic() - start
    for each in connections:
        each.close()
    outcome.codes.update(each.code for each in uploads)
    return outcome


def _head(endpoint: Endpoint, upload: Upload) -> bytes:
    target = presigned_path(endpoint, "PUT", upload.path)
    return head("PUT", target, {"Host": endpoint.address, "Content-Length": str(upload.body.size)})


def wrong_bytes(read: Callable[[str], tuple[int, bytes]], uploads: Sequence[Upload]) -> list[str]:
    """Of the uploads that were answered 200, those of which something else is there.

    :param read: gives the status and the body of a path.
    """
    wrong = []
    for each in uploads:
        if each.status == 200:
            status, body = read(each.path)
            if status != 200 or hashlib.md5(body).hexdigest() != each.body.md5:
                wrong.append(f"{each.path}: {status}, {len(body)} bytes instead of {each.body}")
    return wrong
