"""The endpoint strings ``ssl:`` and ``tls:``, in place of Twisted's.

They mean what they mean there, but for their certificates being read again when they
change, and for what only old clients need.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, wrapServerTLS
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.protocols.haproxy import proxyEndpoint
from zope.interface import implementer

from zs3.door import DoorEndpoint
from zs3.tls.certificates import CertificateDirectory, CertificateFiles, Certificates

#: Connections that may wait to be accepted, unless an endpoint says otherwise.  Of Twisted's own 50, more clients that
#: come in one moment than that wait for a second, until they ask again.
BACKLOG = 1024


@implementer(IStreamServerEndpoint)
class SecureEndpoint:
    """TLS on top of another endpoint.

    :ivar certificates: what it shows.
    """

    def __init__(self, reactor: Any, certificates: Certificates, below: IStreamServerEndpoint) -> None:
        self.certificates = certificates
        self._endpoint = wrapServerTLS(certificates, below, reactor)

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        return self._endpoint.listen(factory)


def ssl_endpoint(
    reactor: Any,
    default: Callable[[], str],
    arguments: Sequence[str],
    named: Mapping[str, str],
    *,
    proxied: bool = False,
) -> SecureEndpoint:
    """What ``ssl:PORT:privateKey=:certKey=:interface=:backlog=:extraCertChain=`` stands for.

    :param default: gives the file of both key and certificate where no key is named.
    :param proxied: HAProxy's PROXY protocol is spoken first, and TLS after it.
    :raises TypeError: if there are other arguments.
    :raises ValueError: if they are wrong or there is no usable certificate.
    """

    def make(
        port: str,
        privateKey: str | None = None,
        certKey: str | None = None,
        sslmethod: None = None,
        interface: str = "",
        backlog: str | int = BACKLOG,
        extraCertChain: str | None = None,
        dhParameters: None = None,
    ) -> SecureEndpoint:
        if sslmethod is not None:
            raise ValueError("sslmethod is not known here: it is TLS 1.2 or 1.3 that is spoken")
        if dhParameters is not None:
            raise ValueError("dhParameters is not known here: the keys are those of elliptic curves")
        below = TCP4ServerEndpoint(reactor, int(port), int(backlog), interface)
        key = os.path.abspath(privateKey or default())
        files = CertificateFiles(
            key, os.path.abspath(certKey or key), os.path.abspath(extraCertChain) if extraCertChain else None
        )
        return _secure(reactor, files, below, proxied=proxied)

    return make(*arguments, **named)  # type: ignore[arg-type]  # of the two that are refused


def tls_endpoint(
    reactor: Any, arguments: Sequence[str], named: Mapping[str, str], *, proxied: bool = False
) -> SecureEndpoint:
    """What ``tls:DIRECTORY:port=:backlog=:interface=`` stands for.  As `ssl_endpoint`."""

    def make(path: str, port: str = "443", backlog: str | int = BACKLOG, interface: str = "::") -> SecureEndpoint:
        below = TCP6ServerEndpoint(reactor, int(port), int(backlog), interface)
        return _secure(reactor, CertificateDirectory(os.path.abspath(path)), below, proxied=proxied)

    return make(*arguments, **named)


def _secure(reactor: Any, certificates: Certificates, below: IStreamServerEndpoint, *, proxied: bool) -> SecureEndpoint:
    certificates.reload()
    return SecureEndpoint(reactor, certificates, proxyEndpoint(below) if proxied else DoorEndpoint(below))


def certificates_of(endpoints: Iterable[object]) -> Sequence[Certificates]:
    """Those that the endpoints among `endpoints` show which speak TLS."""
    return [each.certificates for each in endpoints if isinstance(each, SecureEndpoint)]


def reload_all(certificates: Sequence[Certificates]) -> None:
    """Read all of them again.

    :raises ValueError: if one of them could not be, after all have been tried.
    """
    wrong = []
    for each in certificates:
        try:
            each.reload()
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(dict.fromkeys(wrong)))
