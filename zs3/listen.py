"""Endpoint strings: what Twisted makes of them, with messages a user can act on.

Every kind of string that `twisted.internet.endpoints.serverFromString` knows is
taken as it is; only `ssl:` without a certificate is told where to find one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IStreamServerEndpoint

from zs3.service import describe

_SSL_HELP = "ssl:PORT:privateKey=FILE:certKey=FILE names the PEM files of a private key and its certificate"


def make_endpoint(reactor: Any, description: str, certificates: Sequence[str]) -> IStreamServerEndpoint:
    """The server endpoint that `description` stands for; it does not listen yet.

    :param certificates: where a PEM file with both key and certificate is looked for if `ssl:` names none; the
        first that exists is taken.
    :raises ValueError: if there is none or it cannot be used, with a message for the user.
    """
    kind, arguments = _split(description)
    complete = description
    try:
        if kind == "ssl" and not _names_key(arguments):
            file = quoteStringArgument(_first_existing(certificates))
            arguments.append(f"privateKey={file}")
            complete = f"{description}:privateKey={file}"
        elif kind == "tls" and arguments:
            _check_directory(os.path.abspath(arguments[0]))
        return IStreamServerEndpoint(serverFromString(reactor, complete))
    except Exception as error:  # each kind of endpoint raises what it likes
        raise ValueError(f"{description}: {_explain(kind, arguments, error)}") from None


def _split(description: str) -> tuple[str, list[str]]:
    """The kind of the endpoint, or of that within HAProxy's protocol, and its arguments."""
    kind, *arguments = re.split(r"(?<!\\):", description.removeprefix("haproxy:"))
    return kind, arguments


def _names_key(arguments: Sequence[str]) -> bool:
    """Whether there is a private key: by its name, or as what follows the port without a name."""
    return any("=" not in each or each.startswith("privateKey=") for each in arguments[1:])


def _first_existing(paths: Sequence[str]) -> str:
    for path in paths:
        if os.path.exists(path):
            return path
    raise ValueError(f"there is no {' and no '.join(paths)}; {_SSL_HELP}")


def _check_directory(path: str) -> None:
    """Twisted takes a directory without certificates, and then fails every handshake."""
    if not any(name.endswith(".pem") for _, _, names in os.walk(path) for name in names):
        raise ValueError(f"{path}: there is no .pem file in it")


def _explain(kind: str, arguments: Sequence[str], error: Exception) -> str:
    if kind == "systemd" and isinstance(error, LookupError):
        return "systemd passed no such socket"
    if isinstance(error, TypeError | AttributeError):
        return f"these are not the arguments of {kind}:"
    if isinstance(error, SSL.Error | crypto.Error | VerifyError):
        if kind == "tls":
            return f"no usable private key and certificate in the .pem files of {arguments[0]}"
        files = [each.rpartition("=")[2].replace("\\", "") for each in arguments[1:] if "interface=" not in each]
        return f"no usable private key and certificate in {' and '.join(files)}; {_SSL_HELP}"
    return f"{describe(error)}; {_SSL_HELP}" if kind == "ssl" and isinstance(error, OSError) else describe(error)
