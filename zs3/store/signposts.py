"""Where the histories of a bucket are, and how people find them by its name.

Blocking.  They belong to the bucket's id.  ``.zs3/versions/photos`` is a
symbolic link for who looks with ``ls``: nothing here ever follows it, and one
that is missing or wrong harms nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress

from zs3.store import layout

#: In the bucket's internals: the histories of its keys; or a file, if they are inside the bucket, which is then on a
#: file system of its own.
NAME = b"versions"
#: Where in the bucket they are then.
INSIDE = (layout.INTERNAL, NAME)


def put(home: bytes, name: str) -> None:
    """Let people find the histories of a bucket by its name, if it has any.

    :param home: the directory of the bucket's internals.
    """
    place = os.path.join(home, NAME)
    if not os.path.lexists(place):
        return
    remove(home)
    posts, target = _posts(home), os.path.join(b"..", b"..", name.encode(), *INSIDE)
    if os.path.isdir(place):
        target = os.path.relpath(place, posts)
    with suppress(OSError):
        os.makedirs(posts, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(posts, name.encode()))
        os.symlink(target, os.path.join(posts, name.encode()))


def remove(home: bytes) -> None:
    """Remove what `put` made of a bucket, whatever it was called then."""
    posts, identifier = _posts(home), os.path.basename(home)
    with suppress(OSError):
        for name in os.listdir(posts):
            path = os.path.join(posts, name)
            with suppress(OSError):
                if identifier in os.readlink(path).split(b"/"):
                    os.unlink(path)


def _posts(home: bytes) -> bytes:
    return os.path.join(os.path.dirname(os.path.dirname(home)), NAME)
