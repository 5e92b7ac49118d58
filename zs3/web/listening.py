"""A stream of the events of a bucket, in the form that browsers call Server-Sent Events.

The operation is none of AWS's: MinIO has one of that name, whose action of IAM
this needs, too.

Source: HTML Living Standard, 9.2 "Server-sent events".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from zs3.errors import S3Error
from zs3.events.records import encode
from zs3.events.rules import NAMES, names_event
from zs3.web.call import Call
from zs3.web.headers import check_bucket_owner
from zs3.web.request import Request

#: Seconds without a byte; proxies give up after 30 and more.
_INTERVAL_S = 15.0
#: A stream ends after so long: who goes on has to ask again, and may by then.
_LONGEST_S = 3600.0
#: The most bytes that wait for a client that does not take them.
_MOST_WAITING = 1 << 20
#: Milliseconds after which a browser comes back.
_RETRY_MS = 2000

_NUMBER = re.compile(r"[0-9a-f]{16}", re.ASCII).fullmatch
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@implementer(IPushProducer)
class _Stream:
    """What a client is sent.

    :ivar ended: fires once nothing more is sent.
    """

    def __init__(self, request: Request, names: Sequence[str], prefix: str, suffix: str) -> None:
        self._request, self._names, self._prefix, self._suffix = request, names, prefix, suffix
        self._paused, self._waiting = False, 0
        self.ended: Deferred[None] = Deferred()

    def hear(self, number: int, document: Mapping[str, Any]) -> None:
        """Something happened; see `zs3.events.streams`."""
        name, key = document["name"], document["key"]
        wanted = not self._names or names_event(self._names, name)
        if wanted and key.startswith(self._prefix) and key.endswith(self._suffix):
            self.send(b"id: %016x\nevent: %b\ndata: %b\n\n" % (number, name.encode(), encode(document["record"])))

    def send(self, data: bytes) -> None:
        """Send it, or end with a client that has taken too little for too long."""
        if self.ended.called:
            return
        self._waiting = self._waiting + len(data) if self._paused else 0
        if self._waiting > _MOST_WAITING:
            self._request.abort()
            self.end()
        else:
            self._request.write(data)

    def end(self) -> None:
        """Send no more."""
        if not self.ended.called:
            self.ended.callback(None)

    # For the transport

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused, self._waiting = False, 0

    def stopProducing(self) -> None:
        self.end()


def _names(call: Call) -> list[str]:
    """The events that are asked for; none for all.  InvalidArgument."""
    names = [value for name, value in call.request.query.pairs if name == "events" and value]
    for name in names:
        if name not in NAMES:
            message = "A specified event is not supported for notifications."
            raise S3Error("InvalidArgument", message, ArgumentName="events", ArgumentValue=name)
    return names


def _last_event(call: Call) -> int | None:
    """The number of the last event that the client has seen; None if it says none.  InvalidArgument."""
    text = call.header("last-event-id")
    if not text:
        return None
    if not _NUMBER(text):
        raise S3Error("InvalidArgument", ArgumentName="Last-Event-ID", ArgumentValue=text)
    return int(text, 16)


async def listen_bucket_notification(call: Call) -> None:
    """ListenBucketNotification: sends what happens until the client goes, or the daemon is about to stop."""
    check_bucket_owner(call.header, call.owner.id)
    names, after, request, clock = _names(call), _last_event(call), call.request, call.settings.clock
    stream = _Stream(request, names, call.parameter("prefix") or "", call.parameter("suffix") or "")
    identifier = getattr(call.bucket, "identifier", "")
    listening, whole = await call.settings.events.listen(call.bucket, identifier, stream.hear, stream.end, after)
    if request.gone:
        listening.close()
        return
    heart = LoopingCall(stream.send, b":\n\n")
    heart.clock = clock
    longest = clock.callLater(_LONGEST_S, stream.end)
    request.notifyFinish().addErrback(lambda _: stream.end())
    for name, value in _HEADERS.items():
        request.setHeader(name, value)
    request.registerProducer(stream, True)
    try:
        stream.send(b"retry: %d\nid: %016x\n\n" % (_RETRY_MS, listening.after))
        if not whole:
            stream.send(b"event: gap\ndata: {}\n\n")
        listening.begin()
        heart.start(_INTERVAL_S, now=False)
        await stream.ended
    finally:
        listening.close()
        if heart.running:
            heart.stop()
        if longest.active():
            longest.cancel()
        if not request.gone:
            request.unregisterProducer()
    if not request.gone and not request.finished:
        request.finish()
