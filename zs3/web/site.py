"""The site: the factory of the connections, what they share, and how they come to an end."""

from __future__ import annotations

import base64
import math
import secrets
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.web import http, server
from twisted.web.resource import IResource

from zs3.web.accesslog import AccessLog, RequestLog
from zs3.web.admission import CONNECTIONS, Admission
from zs3.web.channel import Channel
from zs3.web.http1 import Head
from zs3.web.limits import Limits
from zs3.web.request import Request

#: Seconds between two lines of the log that tell of it.
_QUIET_S = 60.0

_log = Logger()


class Recorder(Protocol):
    """Is told of every answer that is over, as `AccessLog` is."""

    def record(
        self, log: RequestLog, *, received_ns: int, remote: str, status: int, seconds: float, request_id: str
    ) -> None: ...


class SiteObserver(Recorder, Protocol):
    """Is told of all that goes on at a site."""

    def connections(self, change: int) -> None:
        """There is one connection more (1) or less (-1)."""

    def requests(self, change: int) -> None:
        """There is one request more (1) or less (-1) under way; those that are answered at once never are."""

    def refused(self, limit: str) -> None:
        """A connection or request was refused for a limit: one of `zs3.web.admission.LIMITS`."""


class Site(server.Site):
    """Serves one tree of resources over any number of connections.

    :param resource: the root of the tree.
    :param clock: for time limits and dates; the reactor, or a `task.Clock`.
    :param access_log: told of every request that is over, also of those whose client went away.
    :param observer: told of these too, and of what is under way.
    :param memory: told of these as well.
    :param limits: the time limits of a connection.
    :param max_connections: of more, idle ones are closed, or if there are none, the newest.
    :param admission: how much of it each address may have; by default any.
    """

    protocol = Channel  # type: ignore[assignment]
    noisy = False  # who listens says it better

    def __init__(
        self,
        resource: IResource,
        *,
        clock: IReactorTime,
        access_log: AccessLog | None = None,
        observer: SiteObserver | None = None,
        memory: Recorder | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        max_connections: int = 10_000,
        admission: Admission | None = None,
    ) -> None:
        super().__init__(resource, parsePOSTFormSubmission=False, reactor=clock)
        self.timeOut = None  # the channel has its own limits
        self.limits = limits
        #: x-amz-id-2 and HostId: which daemon answered, since it was started
        self.host_id = base64.b64encode(secrets.token_bytes(32)).decode("ascii")
        recorders: tuple[Recorder | None, ...] = (access_log, observer, memory)
        self._recorders = tuple(each for each in recorders if each is not None)
        self._observer = observer
        self._max_connections = max_connections
        self.admission = Admission(clock.seconds) if admission is None else admission
        self._quiet_until = -math.inf
        # In the order of their opening.
        self._channels: dict[Channel, None] = {}
        self._drained: list[Deferred[None]] = []
        self._draining = False
        self._second = -1
        self._common = b""

    # HTTPFactory would open a log file and tick once a second for the times in it.
    def startFactory(self) -> None:
        """Nothing to start."""

    def stopFactory(self) -> None:
        """Nothing to stop."""

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/1.1 alone: HTTP/2 in Twisted costs four times the CPU, and no S3 client asks for it."""
        return [b"http/1.1"]

    def log(self, request: http.Request) -> None:
        """A request is over, or its client went away."""
        assert isinstance(request, Request)  # noqa: S101 - for mypy: it is what requestFactory makes
        record = request.log
        record.bytes_in, record.bytes_out = request.body.received, request.sentLength
        status = request.code if request.startedWriting else 0
        if self._observer is not None:
            self._observer.requests(-1)
        self.log_answer(record, request.client, request.received_s, status, request.request_id)

    def log_answer(self, record: RequestLog, client: object, received_s: float, status: int, request_id: str) -> None:
        """Tell the access log, and who else wants to know, of an answer that is over."""
        for recorder in self._recorders:
            recorder.record(
                record,
                received_ns=int(received_s * 1e9),
                remote=getattr(client, "host", ""),
                status=status,
                seconds=self.reactor.seconds() - received_s,
                request_id=request_id,
            )

    def serve_at_once(self, head: Head, channel: Channel) -> bool:
        """For the channel: answer a request without a body, if `resource` knows how to do that without a `Request`.

        A resource may have a method of this name.  It answers by `Channel.answer_at_once` or begins a request of its
        own; or it does nothing and says False.
        """
        at_once: Callable[[Head, Channel], bool] | None = getattr(self.resource, "serve_at_once", None)
        return at_once is not None and at_once(head, channel)

    def common_headers(self, request_id: str, *, nosniff: bool = True) -> bytes:
        """The header lines of every response; made once a second but for the request's id.

        :param nosniff: whether the client is told to believe the type of the content.
        """
        second = int(self.reactor.seconds())
        if second != self._second:
            self._second = second
            self._common = b"Server: zs3\r\nDate: %b\r\nx-amz-id-2: %b\r\nx-amz-request-id: " % (
                http.datetimeToString(second),
                self.host_id.encode("ascii"),
            )
        extra = b"X-Content-Type-Options: nosniff\r\n" if nosniff else b""
        return b"%b%b\r\n%b" % (self._common, request_id.encode("ascii"), extra)

    # Connections

    def make_request(self, channel: Channel) -> Request:
        """For the channel: something begins to arrive."""
        if self._observer is not None:
            self._observer.requests(1)
        return Request(channel)

    def admits(self, address: IAddress) -> bool:
        """For who accepts connections: whether it is worth while to make one of it."""
        host = getattr(address, "host", None)
        network = self.admission.network(host)
        limit = "" if network is None else self.admission.refusal(network)
        if limit:
            self.refused(limit, host)
        return not limit

    def refused(self, limit: str, host: object) -> None:
        """For the channel: take note that something was refused for one of `zs3.web.admission.LIMITS`."""
        if self._observer is not None:
            self._observer.refused(limit)
        now = self.reactor.seconds()
        # Who floods must not fill the log.
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_S
            _log.warn("{host} was refused for the limit of {limit}", host=host, limit=limit.replace("_", " "))

    def opened(self, channel: Channel) -> None:
        """For the channel: it is connected."""
        if len(self._channels) >= self._max_connections:
            # The oldest that waits for its next request, else this one: descriptors must be left for files.
            idle = next((each for each in self._channels if each.is_idle), channel)
            idle.retire()
            if idle is channel:
                self.refused(CONNECTIONS, getattr(channel.getPeer(), "host", ""))
        self._channels[channel] = None
        if self._observer is not None:
            self._observer.connections(1)
        if self._draining:
            channel.retire()

    def closed(self, channel: Channel) -> None:
        """For the channel: its connection is gone."""
        self._channels.pop(channel, None)
        if self._observer is not None:
            self._observer.connections(-1)
        if not self._channels:
            waiting, self._drained = self._drained, []
            for deferred in waiting:
                deferred.callback(None)

    @property
    def is_draining(self) -> bool:
        """Whether the daemon is about to end."""
        return self._draining

    def drain(self) -> Deferred[None]:
        """Close idle connections now and the others after the request they are busy with.

        Fires when all are gone; that may take as long as the longest transfer.  A connection that is accepted
        afterwards is closed.
        """
        self._draining = True
        for channel in list(self._channels):
            channel.retire()
        if not self._channels:
            return succeed(None)
        deferred: Deferred[None] = Deferred()
        self._drained.append(deferred)
        return deferred

    def abort(self) -> None:
        """Drop all connections, whatever they are busy with."""
        for channel in list(self._channels):
            channel.abort()
