"""Who is at the other end, and where S3 is from there.

The links that the page makes are for the origin of S3, which is another one than
its own: the same host at another port, unless the administrator says where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from zs3.addresses import address_of
from zs3.web.request import Request

#: A host as in a URL, and nothing that would mean something in a policy.
_HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII).fullmatch
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?", re.ASCII).fullmatch


def is_origin(url: str) -> bool:
    """Whether a URL is of a host alone, without a path."""
    return _ORIGIN(url) is not None


#: What proxies add to what they pass on (RFC 9110 section 7.6.3, RFC 7239, and what came before that).
_PROXIED = ("via", "forwarded", "x-forwarded-for", "x-forwarded-proto")


def is_private(request: Request) -> bool:
    """Whether nobody on the way can read what is answered: over TLS, or within this machine.

    What a proxy on this machine passes on came from elsewhere: it must say that it did so over TLS.  These headers are
    nobody's proof, and make nothing private that without them were not.
    """
    if request.isSecure():
        return True
    if any(request.header(name) is not None for name in _PROXIED) and request.header("x-forwarded-proto") != "https":
        return False
    host = getattr(request.client, "host", None)
    if host is None:
        return True  # a Unix socket
    address = address_of(host.partition("%")[0])
    return address is not None and address.is_loopback


class S3Origin:
    """Tells at which origin the client of a request reaches S3.

    :param configured: what the administrator says it is; None to find it out.
    :param listening: gives (whether it is TLS, the port) of each place where S3 is served.
    """

    def __init__(self, configured: str | None, listening: Callable[[], Sequence[tuple[bool, int]]]) -> None:
        self._configured, self._listening = configured, listening

    def __call__(self, request: Request) -> str | None:
        """The origin, e.g. ``http://nas.lan:9000``; None if that is not known."""
        if self._configured is not None:
            return self._configured
        host = _HOST(request.header("host") or "")
        places = self._listening()
        if host is None or not places:
            return None
        # A page that came over TLS may not show what comes without.
        secure = bool(request.isSecure())
        is_tls, port = next((each for each in places if each[0] == secure), places[0])
        return f"{'https' if is_tls else 'http'}://{host[1]}:{port}"
