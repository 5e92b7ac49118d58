"""The addresses of clients: which of them stand for one client, and networks of them.  Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def network_of(host: str | None) -> bytes | None:
    """What stands for the client at an address: the IPv4 address, or the /64 that an IPv6 one is in.

    None where there is no address, as on a Unix socket.
    """
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address.packed
    return address.packed[:8] if address.ipv4_mapped is None else address.ipv4_mapped.packed


class Networks:
    """A set of networks.

    :param texts: an address or a network each, as ``192.0.2.7`` or ``2001:db8::/32``.
    :raises ValueError: one of them is neither, with a message for the user.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks = [_network(text) for text in texts]

    def __contains__(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from None
