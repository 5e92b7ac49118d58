"""Keys and the paths they live at: a pure mapping, one to one, both ways.

Ordinary keys keep ordinary paths.  What a file system cannot name gets an
escaped name; the grammar of one segment of a key is

    SEG             natural: 1..255 bytes, not "." or "..", not beginning with ".zs3"
    .zs3=SEG        escaped, file or directory ("" is ".zs3=", so the key ``a/`` is ``a/.zs3=``)
    .zs3@SEG        the object SEG beside the directory SEG
    .zs3+PIECE/...  a continuation directory for what does not fit in 255 bytes: PIECE is the longest
                    prefix of at most 250 bytes on a character boundary; inside it, only ``.zs3+``,
                    ``.zs3=`` and ``.zs3@`` with the rest.  Bare ``.zs3`` is never produced.

A name is an object's only if encoding the decoded key gives the same name
back; everything else is invisible.  No I/O here.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from zs3.errors import S3Error

NAME_MAX = 255
PIECE_MAX = 250
KEY_MAX = 1024

INTERNAL = b".zs3"
ESCAPED = b".zs3="
BESIDE = b".zs3@"
CONTINUED = b".zs3+"

#: Characters that XML 1.0 cannot carry (https://www.w3.org/TR/xml/#charsets), so no listing could.
_UNLISTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

#: Keys whose path is the key itself, of those in printable ASCII: no segment is empty, too long or begins with a dot.
_PLAIN = re.compile(r"[ !-\-0-~][ -.0-~]{0,254}(?:/[ !-\-0-~][ -.0-~]{0,254})*").fullmatch

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def is_key(key: str) -> bool:
    """Whether `key` can be an object's: 1 to 1024 bytes of UTF-8 that XML 1.0 can carry."""
    if not key or len(key) > KEY_MAX or _UNLISTABLE.search(key):
        return False
    return len(key.encode()) <= KEY_MAX


def check(key: str) -> None:
    """:raises S3Error: for what can be no object's key."""
    if not is_key(key):
        if len(key.encode("utf-8", "surrogatepass")) > KEY_MAX:
            raise S3Error("KeyTooLongError", MaxSizeAllowed=str(KEY_MAX))
        raise S3Error("InvalidArgument", "This key is empty or has characters that XML 1.0 cannot carry.")


def is_listable(text: str) -> bool:
    """Whether a key could begin with `text`, as far as its characters go."""
    return not _UNLISTABLE.search(text)


@dataclass(frozen=True, slots=True)
class KeyPath:
    """Where the object of a key lives, relative to its bucket's directory.

    :ivar key: the key.
    :ivar parent: the names of the directories above the object.
    :ivar name: its natural name N in the last of them.
    :ivar beside: the names from the last of them to its other place E, used while N is a directory.
    """

    key: str
    parent: tuple[bytes, ...]
    name: bytes
    beside: tuple[bytes, ...]


def _cut(segment: bytes) -> int:
    """The length of the longest prefix of at most `PIECE_MAX` bytes that ends on a character boundary."""
    end = PIECE_MAX
    while segment[end] & 0xC0 == 0x80:
        end -= 1
    return end


def _is_natural(segment: bytes) -> bool:
    return 0 < len(segment) <= NAME_MAX and segment not in (b".", b"..") and not segment.startswith(INTERNAL)


def encode_segment(segment: bytes) -> tuple[bytes, ...]:
    """The names that one segment of a key takes, as a directory or as an object's natural name."""
    if _is_natural(segment):
        return (segment,)
    names = []
    while len(segment) > PIECE_MAX:
        end = _cut(segment)
        names.append(CONTINUED + segment[:end])
        segment = segment[end:]
    names.append(ESCAPED + segment)
    return tuple(names)


def _beside(name: bytes) -> tuple[bytes, ...]:
    """The names from the parent of the natural name `name` to the place beside it."""
    if name.startswith(ESCAPED):
        return (BESIDE + name[len(ESCAPED) :],)
    if len(name) <= PIECE_MAX:
        return (BESIDE + name,)
    end = _cut(name)
    return (CONTINUED + name[:end], BESIDE + name[end:])


def directory_names(prefix: str) -> tuple[bytes, ...]:
    """The names of the directories that hold the keys beginning with `prefix`, "" or ending in ``/``."""
    return tuple(name for segment in prefix.encode().split(b"/")[:-1] for name in encode_segment(segment))


def encode(key: str) -> KeyPath:
    """The place of a key for which `is_key` holds."""
    names = [name for segment in key.encode().split(b"/") for name in encode_segment(segment)]
    name = names.pop()
    return KeyPath(key, tuple(names), name, _beside(name))


def plain_path(key: str) -> bytes | None:
    """The natural path of an ordinary key, at little cost; None for any other, which `encode` must look at."""
    return key.encode("ascii") if len(key) <= KEY_MAX and _PLAIN(key) else None


def ancestors(key: str) -> list[str]:
    """The keys whose natural paths are directories above that of `key`, shortest first."""
    return [key[:at] for at, character in enumerate(key) if character == "/"]


class Kind(enum.Enum):
    """What a name in a directory can stand for."""

    INVISIBLE = 0
    #: the natural name N of a segment: an object if it is a file, else a directory of keys
    NATURAL = 1
    #: the object E beside a directory; only a file
    BESIDE = 2
    #: a continuation directory; only a directory
    CONTINUED = 3


def decode_name(chain: tuple[bytes, ...], name: bytes) -> tuple[Kind, bytes]:
    """What `name` stands for.

    :param chain: the continuation directories between the directory of keys and that of `name`.
    :returns: its kind, and the segment it names (for CONTINUED its beginning, so far).
    """
    if not name.startswith(INTERNAL):
        return (Kind.NATURAL, name) if not chain and _is_natural(name) and _is_text(name) else (Kind.INVISIBLE, b"")
    marker, rest = name[: len(ESCAPED)], name[len(ESCAPED) :]
    segment = b"".join(link[len(CONTINUED) :] for link in chain) + rest
    if not _is_text(rest):
        return Kind.INVISIBLE, b""
    if marker == CONTINUED:
        return Kind.CONTINUED, segment
    names = encode_segment(segment)
    if marker == ESCAPED and names == (*chain, name):
        return Kind.NATURAL, segment
    if marker == BESIDE and (*names[:-1], *_beside(names[-1])) == (*chain, name):
        return Kind.BESIDE, segment
    return Kind.INVISIBLE, b""


def _is_text(name: bytes) -> bool:
    if name.isascii():
        return not _CONTROL.search(name)
    try:
        return not _UNLISTABLE.search(name.decode())
    except UnicodeDecodeError:
        return False


# Histories ------------------------------------------------------------------------------------------------------------

#: What the directory of the older versions of an object is called, behind the object's own name (as RCS has it).
HISTORY = b",v"


def _is_natural_directory(segment: bytes) -> bool:
    return _is_natural(segment) and not segment.endswith(HISTORY)


def _history_names(segment: bytes, marker: bytes) -> tuple[bytes, ...]:
    """The names of a segment that is not called so simply.

    :param marker: `BESIDE` for the directory of an object's versions, `ESCAPED` for one of keys.
    """
    names = []
    while len(segment) > PIECE_MAX:
        end = _cut(segment)
        names.append(CONTINUED + segment[:end])
        segment = segment[end:]
    return (*names, marker + segment)


def _history_segment(segment: bytes) -> tuple[bytes, ...]:
    if _is_natural(segment) and len(segment) <= NAME_MAX - len(HISTORY):
        return (segment + HISTORY,)
    return _history_names(segment, BESIDE)


def _history_directory(segment: bytes) -> tuple[bytes, ...]:
    return (segment,) if _is_natural_directory(segment) else _history_names(segment, ESCAPED)


def history_directory_names(prefix: str) -> tuple[bytes, ...]:
    """As `directory_names`, among the histories."""
    return tuple(name for segment in prefix.encode().split(b"/")[:-1] for name in _history_directory(segment))


def encode_history(key: str) -> tuple[bytes, ...]:
    """The names of the directories that lead to the older versions of a key, from the root of a bucket's histories.

    ``2024/cat.jpg,v`` for ``2024/cat.jpg``.  What is there are directories but for the versions in the last of them.
    """
    prefix, _, last = key.rpartition("/")
    above = history_directory_names(prefix + "/") if prefix or key.startswith("/") else ()
    return (*above, *_history_segment(last.encode()))


def decode_history_name(chain: tuple[bytes, ...], name: bytes) -> tuple[Kind, bytes]:
    """As `decode_name`, for a directory among the histories: that of an object's versions counts as the object.

    :returns: BESIDE and the object's segment, NATURAL and the segment of a directory of keys, CONTINUED, or INVISIBLE.
    """
    if not name.startswith(INTERNAL):
        if chain or not _is_text(name):
            return Kind.INVISIBLE, b""
        if name.endswith(HISTORY):
            segment = name[: -len(HISTORY)]
            return (Kind.BESIDE, segment) if _history_segment(segment) == (name,) else (Kind.INVISIBLE, b"")
        return (Kind.NATURAL, name) if _is_natural(name) else (Kind.INVISIBLE, b"")
    marker, rest = name[: len(ESCAPED)], name[len(ESCAPED) :]
    segment = b"".join(link[len(CONTINUED) :] for link in chain) + rest
    if not _is_text(rest):
        return Kind.INVISIBLE, b""
    if marker == CONTINUED:
        return Kind.CONTINUED, segment
    if marker == BESIDE and _history_segment(segment) == (*chain, name):
        return Kind.BESIDE, segment
    if marker == ESCAPED and _history_directory(segment) == (*chain, name):
        return Kind.NATURAL, segment
    return Kind.INVISIBLE, b""
