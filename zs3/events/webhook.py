"""Sends messages to a target: one POST each, to the one URL that the administrator has named.

No redirect is followed, certificates are verified, and of the answer no more is
read than what keeps the connection usable.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import crypto
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IConsumer, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from zs3.events.targets import Target

#: An answer may have so many bytes, or its connection is not used again.
_MOST = 64 << 10
_CONNECT_S = 5.0
_PEM_END = b"-----END CERTIFICATE-----"


class Refused(Exception):
    """The target answered, and did not take it."""


@implementer(IBodyProducer)
class _Body:
    """A message as a body."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is all written."""

    resumeProducing = stopProducing = pauseProducing


class _Drain(Protocol):
    """Reads an answer and forgets it.

    :ivar ended: fires when there is no more.
    """

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred(lambda _: self._lose())
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _MOST:
            self._lose()

    def _lose(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: ARG002, B008
        # However it ends: the status was told before.
        if not self.ended.called:
            self.ended.callback(None)


@implementer(IStreamClientEndpoint)
class _Quiet:
    """An endpoint whose connections do not say in the log that they begin and end."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        protocolFactory.noisy = False
        return self._endpoint.connect(protocolFactory)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """How a target is connected to."""

    def __init__(self, reactor: Any, policy: BrowserLikePolicyForHTTPS) -> None:
        self._reactor, self._policy = reactor, policy

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        endpoint: Any = HostnameEndpoint(self._reactor, uri.host, uri.port, _CONNECT_S)
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
        return _Quiet(endpoint)


def _certificates(path: str) -> list[Certificate]:
    with open(path, "rb") as file:
        parts = file.read().split(_PEM_END)[:-1]
    return [Certificate(crypto.load_certificate(crypto.FILETYPE_PEM, part + _PEM_END)) for part in parts]


class Webhook:
    """A target, with the connections to it.

    :param agent: in place of one that connects; for tests.
    :raises ValueError: its certificates cannot be read.
    """

    def __init__(self, reactor: Any, target: Target, agent: IAgent | None = None) -> None:
        self._reactor, self.target = reactor, target
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = 1
        self._pool.cachedConnectionTimeout = 30
        endpoints = _Endpoints(reactor, _policy(target))
        self._agent = agent or Agent.usingEndpointFactory(reactor, endpoints, self._pool)

    def send(self, message: bytes) -> Deferred[None]:
        """Fires when the target has taken it, by a status of 2xx; fails with `Refused`, or what went wrong."""
        sending = Deferred.fromCoroutine(self._send(message))
        return sending.addTimeout(self.target.timeout, self._reactor, _timed_out)

    async def _send(self, message: bytes) -> None:
        headers = Headers({b"Content-Type": [b"application/json"], b"User-Agent": [b"zs3"]})
        if self.target.authorization:
            headers.setRawHeaders(b"Authorization", [self.target.authorization.encode("ascii")])
        url = self.target.url.encode("ascii")
        response: IResponse = await self._agent.request(b"POST", url, headers, _Body(message))
        drain = _Drain()
        response.deliverBody(IProtocol(drain))
        await drain.ended
        if not 200 <= response.code < 300:
            raise Refused(f"it answered {response.code}")

    def close(self) -> Deferred[Any]:
        """Give the connections back."""
        closing: Deferred[Any] = self._pool.closeCachedConnections()
        return closing


def _timed_out(result: Any, _seconds: float) -> Any:
    # A request that is cancelled fails with the state that it was in; an answer whose end does not come is one.
    return Failure(TimeoutError("it did not answer in time")) if isinstance(result, Failure) else result


def _policy(target: Target) -> BrowserLikePolicyForHTTPS:
    if not target.ca:
        return BrowserLikePolicyForHTTPS()
    try:
        found = _certificates(target.ca)
    except (OSError, crypto.Error) as error:
        raise ValueError(
            f"targets.{target.name}: {target.ca}: {getattr(error, 'strerror', None) or 'no PEM'}"
        ) from None
    if not found:
        raise ValueError(f"targets.{target.name}: {target.ca}: there is no certificate in it")
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(found))
