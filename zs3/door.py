"""Refuses connections as soon as they are accepted, before anything is made for them.

To refuse one costs a fraction of what it costs to serve it, and a small one of what TLS costs.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory, IStreamServerEndpoint
from twisted.protocols.policies import WrappingFactory
from zope.interface import implementer


class _Door(WrappingFactory[Any]):
    """Asks the site behind all the factories that it is before.  What it lets in is not wrapped."""

    noisy = False

    def __init__(self, factory: Any) -> None:
        super().__init__(factory)
        while isinstance(factory, WrappingFactory):
            factory = factory.wrappedFactory
        self._admits = getattr(factory, "admits", lambda _: True)

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        """None closes the connection."""
        protocol: IProtocol | None = self.wrappedFactory.buildProtocol(addr) if self._admits(addr) else None
        return protocol


@implementer(IStreamServerEndpoint)
class DoorEndpoint:
    """Another endpoint, whose connections are those that the site admits: `zs3.web.site.Site.admits`.

    Not for one behind a proxy, whose connections all come from the same address.
    """

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen as the other endpoint does."""
        return self._endpoint.listen(_Door(protocolFactory))
