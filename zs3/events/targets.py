"""The targets that events can be sent to, and the TOML file in which the administrator names them.

Pure but for reading that one file.  The file::

    [targets.photos-hook]
    url = "https://hooks.example/photos"
    token = "a secret"              # optional: sent as Authorization: Bearer
    ca = "/etc/zs3/hooks-ca.pem"    # optional: who signed its certificate, in place of those the system trusts
    timeout = 10                    # optional: seconds for one request
    batch = 1                       # optional: the most records in one request
    queue = 64                      # optional: MiB of events that wait on the disk at most
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from zs3.auth.users import MAX_FILE_SIZE, check_trust, parse_data

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII).fullmatch
_URL = re.compile(r"https?://[!#$%&'()*+,./0-9:;=?A-Z\[\]_a-z~-]+", re.ASCII).fullmatch
_HEADER = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,4094}[\x21-\x7e])?", re.ASCII).fullmatch
#: Numbers: the least, the most.
_NUMBERS = {"timeout": (1, 300), "batch": (1, 1000), "queue": (1, 65_536)}
_TEXTS = ("url", "token", "authorization", "ca")


@dataclass(frozen=True, slots=True)
class Target:
    """Where events are sent to.

    :ivar authorization: the value of that header; "" for none.
    :ivar ca: the path of a file of certificates in PEM; "" for those that the system trusts.
    :ivar timeout: seconds that one request may take.
    :ivar batch: the most records in one request.
    :ivar queue: MiB that wait on the disk at most.
    """

    name: str
    url: str
    authorization: str = field(default="", repr=False)
    ca: str = ""
    timeout: int = 10
    batch: int = 1
    queue: int = 64

    @property
    def place(self) -> str:
        """The URL without its path, in which there may be a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def _target(name: str, entry: Mapping[str, Any]) -> Target:
    unknown = sorted(entry.keys() - {*_NUMBERS, *_TEXTS})
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r}")
    for key in _TEXTS:
        if not isinstance(entry.get(key, ""), str):
            raise ValueError(f"{key} must be a text")
    for key, (least, most) in _NUMBERS.items():
        value = entry.get(key, least)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{key} must be a whole number from {least} to {most}")
    numbers = {key: entry[key] for key in _NUMBERS if key in entry}
    if "token" in entry and "authorization" in entry:
        raise ValueError("token and authorization are one header: leave out one of them")
    authorization = entry.get("authorization") or (f"Bearer {entry['token']}" if "token" in entry else "")
    if authorization and not _HEADER(authorization):
        raise ValueError("token and authorization must be printable ASCII")
    ca = entry.get("ca", "")
    if ca and not os.path.isabs(ca):
        raise ValueError("ca must be an absolute path")
    return Target(name, _url(entry.get("url", "")), authorization, ca, **numbers)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = bool(_URL(text) and parts.hostname and parts.port != 0 and not parts.fragment)
    except ValueError:
        good = False
    if not good:
        raise ValueError("url must be one of http or https; a user or password in it would be seen by others")
    return text


def parse(text: str) -> dict[str, Target]:
    """The targets by name.

    :raises ValueError: with a message that names the entry, and no secret.
    """
    document = tomllib.loads(text)
    unknown = sorted(document.keys() - {"targets"})
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r}: every target is a table [targets.NAME]")
    entries = document.get("targets", {})
    if not isinstance(entries, dict):
        raise ValueError("every target is a table [targets.NAME]")
    targets = {}
    for name, entry in entries.items():
        try:
            if not _NAME(name):
                raise ValueError("a name is 1 to 64 letters, digits or any of - _")
            if not isinstance(entry, dict):
                raise ValueError(f"must be a table [targets.{name}]")
            targets[name] = _target(name, entry)
        except ValueError as error:
            raise ValueError(f"targets.{name}: {error}") from None
    return targets


def load(path: str) -> dict[str, Target]:
    """The targets of the file `path` by name.

    :raises ValueError: if it is wrong, or others could read it; the message names the file.
    """
    try:
        # O_NONBLOCK: a FIFO must not stop the daemon before it is refused.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            check_trust(file.fileno(), path, os.geteuid())
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    return parse_data(path, data, parse)
