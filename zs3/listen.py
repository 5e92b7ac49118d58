"""Endpoint strings: what Twisted makes of them, with messages a user can act on.

Every kind of string that `twisted.internet.endpoints.serverFromString` knows is
taken as it is, but for `ssl:` and `tls:`: see `zs3.tls.endpoints`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint

from zs3.door import DoorEndpoint
from zs3.service import describe
from zs3.tls.endpoints import BACKLOG, ssl_endpoint, tls_endpoint

_SSL_HELP = "ssl:PORT:privateKey=FILE:certKey=FILE names the PEM files of a private key and its certificate"
_PROXY = "haproxy:"
#: Of the kinds that have a backlog: how many arguments without a name come before it.
_BEFORE_BACKLOG = {"tcp": 2, "tcp6": 1, "unix": 2}
#: Where `zs3 cert --data DIR` puts what it makes.
_MADE = "/.zs3/tls/server.pem"


def make_endpoint(reactor: Any, description: str, certificates: Sequence[str]) -> IStreamServerEndpoint:
    """The server endpoint that `description` stands for; it does not listen yet.

    :param certificates: where a PEM file with both key and certificate is looked for if `ssl:` names none; the
        first that exists is taken.
    :raises ValueError: if there is none or it cannot be used, with a message for the user.
    """
    (kind, *arguments), named = _split(description.removeprefix(_PROXY))
    proxied = description.startswith(_PROXY)
    try:
        if kind.lower() == "ssl":
            return ssl_endpoint(reactor, lambda: _first_existing(certificates), arguments, named, proxied=proxied)
        if kind.lower() == "tls":
            return tls_endpoint(reactor, arguments, named, proxied=proxied)
        says_backlog = "backlog" in named or len(arguments) > _BEFORE_BACKLOG.get(kind.lower(), -1)
        more = "" if says_backlog else f":backlog={BACKLOG}"
        endpoint = IStreamServerEndpoint(serverFromString(reactor, description + more))
        return endpoint if proxied else DoorEndpoint(endpoint)
    except Exception as error:  # each kind of endpoint raises what it likes
        raise ValueError(f"{description}: {_explain(kind.lower(), error)}") from None


def _split(description: str) -> tuple[list[str], dict[str, str]]:
    """The arguments without a name, of which the first is the kind, and those with one.

    As `serverFromString`: a backslash takes its meaning from what follows it.
    """
    arguments: list[str] = []
    named: dict[str, str] = {}
    name: str | None = None
    text = ""
    characters = iter(description + ":")
    for each in characters:
        if each == "\\":
            text += next(characters)
        elif each == "=" and name is None:
            name, text = text, ""
        elif each != ":":
            text += each
        else:
            if name is None:
                arguments.append(text)
            else:
                named[name] = text
            name, text = None, ""
    if text or not arguments:  # it ends with a backslash
        arguments.append(text)
    return arguments, named


def _first_existing(paths: Sequence[str]) -> str:
    for path in paths:
        if os.path.exists(path):
            return path
    made = [path.removesuffix(_MADE) for path in paths if path.endswith(_MADE)]
    how = "".join(f"`zs3 cert --data {data}` makes one for a LAN; " for data in made)
    raise ValueError(f"there is no {' and no '.join(paths)}; {how}{_SSL_HELP}")


def _explain(kind: str, error: Exception) -> str:
    if kind == "systemd" and isinstance(error, LookupError):
        return "systemd passed no such socket"
    if isinstance(error, TypeError | AttributeError):
        return f"these are not the arguments of {kind}:"
    text = describe(error)
    return f"{text}; {_SSL_HELP}" if kind == "ssl" and _SSL_HELP not in text else text
