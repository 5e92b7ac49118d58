"""The addresses of hosts: which of them stand for one client, and networks of them.  Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

#: Where IPv6 has the addresses of IPv4 (RFC 4291 section 2.5.5.2).
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, of which one that IPv6 maps is the IPv4 address; None for what is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def network_of(host: str | None) -> bytes | None:
    """What stands for the client at an address: the IPv4 address, or the /64 that an IPv6 one is in.

    None where there is no address, as on a Unix socket.
    """
    address = address_of(host or "")
    # All four bytes of an IPv4 address.
    return None if address is None else address.packed[:8]


class Networks:
    """A set of networks.

    :param texts: an address or a network each, as ``192.0.2.7`` or ``2001:db8::/32``.
    :raises ValueError: one of them is neither, with a message for the user.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks = [_network(text) for text in texts]

    def __contains__(self, host: str) -> bool:
        address = address_of(host)
        return address is not None and any(address in network for network in self._networks)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        # No address is in it, see `address_of`.
        raise ValueError(f"{text}: this is a network of IPv4, and is written as one")
    return network
