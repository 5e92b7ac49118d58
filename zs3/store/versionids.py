"""Version ids, and the names of the files of older versions.  Pure.

An id begins with the time at which the version was made, and that of a later
version of a key is greater.  The file of an older version is called by time and
id, so that a person finds yesterday's with ``ls``, and zs3 any one without
looking at the others.
"""

from __future__ import annotations

import datetime
import re
import secrets
from typing import NamedTuple

from zs3.store.values import NULL_VERSION

#: The delete marker of an object that is deleted now.
DELETED = b"deleted"
_SUFFIX = b"_deleted"
_NULL = NULL_VERSION.encode()

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII).fullmatch
_NAME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z_([0-9a-f]{32})(_deleted)?").fullmatch
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Entry(NamedTuple):
    """A version among the older ones of its key.

    :ivar version: its id.
    """

    version: str
    is_delete_marker: bool

    @property
    def name(self) -> bytes:
        """What its file is called."""
        suffix = _SUFFIX if self.is_delete_marker else b""
        if self.version == NULL_VERSION:
            return _NULL + suffix
        return _dated(sequence(self.version)) + self.version.encode() + suffix


def _dated(made_ns: int) -> bytes:
    made = _EPOCH + datetime.timedelta(seconds=made_ns // 1_000_000_000)
    return made.strftime("%Y-%m-%dT%H-%M-%SZ_").encode()


def is_id(version: str) -> bool:
    """Whether it can be the id of a version, and is not `NULL_VERSION`."""
    return _ID(version) is not None


def new_id(now_ns: int, after: int = -1) -> str:
    """An id that nobody can guess.

    :param now_ns: nanoseconds since the epoch.
    :param after: the greatest `sequence` of the key's versions so far.
    """
    return f"{max(now_ns, after + 1):016x}{secrets.token_hex(8)}"


def sequence(version: str) -> int:
    """What orders the versions of a key: when it was made, in nanoseconds since the epoch, or just later."""
    return int(version[:16], 16)


def parse_name(name: bytes) -> Entry | None:
    """The version whose file is called so; None for `DELETED`, and what is none."""
    if is_null(name):
        return Entry(NULL_VERSION, name != _NULL)
    match = _NAME(name)
    if match is None:
        return None
    entry = Entry(match[1].decode(), match[2] is not None)
    return entry if entry.name == name else None


#: Ends the marker of an object that is the current version without being the youngest, as one that was put back is.
_CURRENT = "-current"


def marker_of(version: str, *, first: bool) -> str:
    """Where a listing goes on behind a version, see `parse_marker`."""
    return version + _CURRENT if first else version


def parse_marker(marker: str) -> tuple[str, bool]:
    """The version behind which a listing goes on, and whether that was the first of its key though not the youngest.

    Once such a version is gone its id does not say what came behind it: all there is of the key.
    """
    return marker.removesuffix(_CURRENT), marker.endswith(_CURRENT)


# The order of the versions of a key is that of strings, which for nearly all are the names of their files.


def is_dated(name: bytes) -> bool:
    """Whether it may be the name of a version that has an id, which is as it sorts."""
    return name[:1].isdigit()


def is_null(name: bytes) -> bool:
    """Whether it is the name of the null version, or of its delete marker."""
    return name in (_NULL, _NULL + _SUFFIX)


def null_order(name: bytes, mtime_ns: int) -> bytes:
    """As what the null version, or its delete marker, sorts: by the modification time of its file."""
    return _dated(mtime_ns) + b"%016x" % mtime_ns + name


def parse_order(order: bytes) -> Entry | None:
    """The version that sorts as this; None if none does."""
    at = order.find(_NULL, len(_dated(0)))
    return parse_name(order if at < 0 else order[at:])
