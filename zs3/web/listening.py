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
#: A stream ends after so long: who goes on has to ask again, and then policies are asked, too.
_LONGEST_S = 3600.0
#: Milliseconds after which a browser comes back.
_RETRY_MS = 2000

_NUMBER = re.compile(r"[0-9a-f]{16}", re.ASCII).fullmatch
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@implementer(IPushProducer)
class _Stream:
    """What a client is sent, as fast as it takes it.

    :ivar listening: what hears the events.
    :ivar paused: whether the client has yet to take what it was sent.
    :ivar ended: fires once nothing more is sent.
    """

    listening: Any

    def __init__(self, request: Request, names: Sequence[str], prefix: str, suffix: str) -> None:
        self._request, self._names, self._prefix, self._suffix = request, names, prefix, suffix
        self.paused = False
        self.ended: Deferred[None] = Deferred()

    def hear(self, number: int, document: Mapping[str, Any]) -> None:
        """Something happened; see `zs3.events.streams`."""
        name, key = document["name"], document["key"]
        wanted = not self._names or names_event(self._names, name)
        if wanted and key.startswith(self._prefix) and key.endswith(self._suffix):
            self.send(b"id: %016x\nevent: %b\ndata: %b\n\n" % (number, name.encode(), encode(document["record"])))

    def send(self, data: bytes) -> None:
        """Send it, unless this has ended."""
        if not self.ended.called:
            self._request.write(data)

    def beat(self) -> None:
        """Say that the stream is there; a client that has yet to take something sees that."""
        if not self.paused:
            self.send(b":\n\n")

    def end(self) -> None:
        """Send no more."""
        if not self.ended.called:
            self.ended.callback(None)

    # For the transport

    def pauseProducing(self) -> None:
        self.paused = True
        self.listening.pause()

    def resumeProducing(self) -> None:
        self.paused = False
        self.listening.resume()

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


def _is_same_user(call: Call) -> bool:
    """Whether who signed the request still is, and may do what was possible then."""
    user = call.principal.user
    return user is None or call.users.lookup(user.access_key) == user


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
    stream.listening = listening

    def beat() -> None:
        if _is_same_user(call):
            stream.beat()
        else:
            stream.end()

    heart = LoopingCall(beat)
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
    if stream.paused:
        # It takes too little: nobody waits until it has taken the rest.
        request.abort()
    elif not request.gone and not request.finished:
        request.finish()
