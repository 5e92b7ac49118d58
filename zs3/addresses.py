"""The addresses of clients: which of them stand for one client.  Pure."""

from __future__ import annotations

import ipaddress


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
