"""The request as the resources see it: what was received, decoded where S3 says how, and its body.

The response side is that of `twisted.web.http.Request`; `zs3.web.responses`
holds what is S3's about it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.error import UnsupportedMethod
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from zope.interface import implementer

from zs3.auth.wire import Wire
from zs3.errors import S3Error
from zs3.web.accesslog import RequestLog
from zs3.web.body import Body
from zs3.web.channel import Channel
from zs3.web.http1 import Head, header_text
from zs3.web.query import Query
from zs3.web.responses import send_error

if TYPE_CHECKING:
    from zs3.web.forms import Form
    from zs3.web.site import Site


_UNSAFE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search


def new_request_id() -> str:
    """64 random bits in hexadecimal.  They tell requests apart and are no secret."""
    return f"{random.getrandbits(64):016X}"


@implementer(IRequest)
class Request(server.Request):
    """A request whose head is complete and whose body may still be on its way.

    A handler reads `body` or leaves it; answers through `zs3.web.responses` or `zs3.web.producers`, early or late;
    and finds out from `notifyFinish` that the client went away.

    :ivar wire: method, target and headers as received, for the signature.
    :ivar values: the headers by name, in lower case; several lines of one name joined by a comma.
    :ivar raw_path: the path as received, without the query.
    :ivar query: the query, decoded.
    :ivar content_length: the declared length of the body in bytes; None without one.
    :ivar has_body: whether there is a body of at least one byte, or a chunked one.
    :ivar body: the body.
    :ivar form: the browser's form that the body is, its fields read; None for any other.
    :ivar control: whether it is of the API of S3 Control, see `zs3.web.control`.
    :ivar request_id: unique; ``x-amz-request-id`` of the answer.
    :ivar received_s: when the head was complete, in seconds since the epoch.
    :ivar log: what the access log shall say.
    :ivar gone: whether the connection was lost before the answer was complete.
    :ivar nosniff: whether the client is told to believe the type of the content.
    :ivar standing_headers: of the answer, whatever it says: a success or an error.  By name in lower case.
    """

    channel: Channel
    site: Site
    defaultContentType = None

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel, parsePOSTFormSubmission=False)
        del self.requestHeaders  # made on demand, see below
        self.site = channel.site
        self.request_id = new_request_id()
        self.received_s: float = self.site.reactor.seconds()
        self.log = RequestLog()
        self.form: Form | None = None
        self.gone = False
        self.nosniff = True
        self.control = False
        self.standing_headers: Mapping[str, bytes] = {}

    def receive(self, head: Head, body: Body) -> None:
        """For the channel: this is what was received."""
        self._take(head.method, head.target, head.version, head.fields)
        self.values: Mapping[bytes, bytes] = head.values
        self.content_length = head.declared_length
        self.has_body = head.length != 0
        self.body = body

    def refuse(self, error: S3Error, method: bytes, target: bytes) -> None:
        """For the channel: this was no request; answer `error`."""
        self._take(method, target, b"HTTP/1.1", ())
        self.values = {}
        self.content_length, self.has_body = None, False
        self.body = Body(self.channel)
        self.body.end()
        send_error(self, error)

    def turn_away(self, error: S3Error) -> None:
        """For the channel: answer `error`, whatever is asked for."""
        send_error(self, error)

    def _take(self, method: bytes, target: bytes, version: bytes, fields: tuple[tuple[bytes, bytes], ...]) -> None:
        self.method, self.uri, self.clientproto = method, target, version
        self.raw_path, _, self._raw_query = target.partition(b"?")
        self.path = self.raw_path
        self.wire = Wire(method.decode("ascii"), target, fields)

    @cached_property
    def requestHeaders(self) -> Headers:  # type: ignore[override]
        """The headers as Twisted keeps them, for resources that are not ours."""
        headers = Headers()
        for name, value in self.wire.headers:
            headers.addRawHeader(name, value)
        return headers

    def header(self, name: str) -> str | None:
        """The value of a header as text (UTF-8, or else Latin-1), several lines joined by a comma; None without it."""
        value = self.values.get(name.lower().encode("ascii"))
        return None if value is None else header_text(value)

    @property
    def query_text(self) -> str:
        """The query as received; "" for none."""
        return self._raw_query.decode("ascii")

    def process(self) -> None:
        """Find the resource and render it; what is raised becomes the answer."""
        self.prepath = []
        self.postpath = [unquote_to_bytes(segment) for segment in self.raw_path[1:].split(b"/")]
        try:
            if self.raw_path == b"*":  # RFC 9110 section 9.3.7: no particular resource
                raise S3Error("MethodNotAllowed", Method=self.wire.method)
            self.query = Query(self._raw_query)
            self.render(self.site.getResourceFor(self))
        except Exception:
            send_error(self, Failure())

    def render(self, resrc: IResource) -> None:
        """Let a resource answer: with bytes, or later with NOT_DONE_YET."""
        try:
            body = resrc.render(self)
        except UnsupportedMethod as error:
            allowed = b", ".join(error.allowedMethods).decode("ascii")
            raise S3Error("MethodNotAllowed", headers={"Allow": allowed}, Method=self.wire.method) from error
        if body is server.NOT_DONE_YET:
            return
        if not isinstance(body, bytes):
            raise TypeError(f"{resrc!r} rendered {type(body)!r}")
        if body or self.method != b"HEAD":
            self.setHeader(b"Content-Length", b"%d" % len(body))
        self.write(body)  # http.Request.write leaves the body of an answer to HEAD out
        self.finish()

    def processingFailed(self, reason: Failure) -> Failure:
        """For Twisted's own deferred resources: answer the failure."""
        send_error(self, reason)
        return reason

    def answer(self, status: int, headers: Mapping[str, bytes], content: bytes = b"") -> None:
        """Answer as a whole and finish: cheaper than `setHeader`, `write` and `finish`, and the same on the wire.

        :param headers: all there are, Content-Length among them where there is one.
        :param content: nothing where there can be none.
        """
        self.begin_answer(status, headers, content)
        self.finish()

    def begin_answer(self, status: int, headers: Mapping[str, bytes], content: bytes = b"") -> None:
        """The same without the end."""
        if self.standing_headers:
            headers = {**headers, **self.standing_headers}
        if next(self.responseHeaders.getAllRawHeaders(), None) or _UNSAFE(b"".join(headers.values())):
            # Rare: headers that were set before, or characters that no line may hold.
            for name, value in headers.items():
                self.setHeader(name.encode("ascii"), value)
            self.setResponseCode(status)
            self.write(content)
            return
        self.code, self.code_message = status, RESPONSES.get(status, b"Unknown Status")
        self.startedWriting = 1
        self.sentLength = len(content)
        self.channel.write_answer(self.clientproto, status, self.code_message, headers, content)

    def write(self, data: bytes) -> None:
        """Write content, after the head if that was not sent yet."""
        if not self.startedWriting:
            for name, value in self.standing_headers.items():
                self.setHeader(name.encode("ascii"), value)
        super().write(data)

    def abort(self) -> None:
        """Drop the connection at once: the only way to tell the client that a response is not what was announced."""
        if not self.gone and not self.finished:
            self.channel.abort()

    def connectionLost(self, reason: Failure) -> None:
        """For the channel: the client went away."""
        self.gone = True
        self.body.fail(Failure(S3Error("IncompleteBody")))
        super().connectionLost(reason)
        self.site.log(self)
