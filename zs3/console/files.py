"""The files of the page, as they were built: read once, and kept with what is sent of them.

What lies in ``assets/`` has a name that changes with its content, so browsers
keep it; everything else they ask for again.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

INDEX = "index.html"

_FOREVER = b"public, max-age=31536000, immutable"
_ASK_AGAIN = b"no-cache"
#: Of what is smaller, or compressed already, less is not less.
_WORTH_COMPRESSING = 1024
_TEXTS = ("text/", "application/json", "application/manifest+json", "image/svg+xml")


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page.

    :ivar compressed: by gzip; None where that is not worth it.
    :ivar etag: a strong one of `content`; what is compressed has another.
    """

    content: bytes
    compressed: bytes | None
    content_type: bytes
    cache_control: bytes
    etag: bytes


def read_files() -> dict[str, File]:
    """The files by their path below the root of the page, without a leading slash.

    :raises ValueError: the package was installed without them.
    """
    found = dict(_walk(files("zs3.console") / "static", ""))
    if INDEX not in found:
        raise ValueError("the files of the console are missing from this installation")
    return found


def _walk(directory: Traversable, prefix: str) -> Iterator[tuple[str, File]]:
    if not directory.is_dir():
        return
    for each in directory.iterdir():
        path = prefix + each.name
        if each.is_dir():
            yield from _walk(each, path + "/")
        else:
            yield path, make_file(path, each.read_bytes())


def make_file(path: str, content: bytes) -> File:
    """The file `path` with that content."""
    content_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    is_text = content_type.startswith(_TEXTS)
    if content_type.startswith("text/"):
        content_type += "; charset=utf-8"
    return File(
        content,
        gzip.compress(content, mtime=0) if is_text and len(content) >= _WORTH_COMPRESSING else None,
        content_type.encode("ascii"),
        _FOREVER if path.startswith("assets/") else _ASK_AGAIN,
        b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode("ascii"),
    )
