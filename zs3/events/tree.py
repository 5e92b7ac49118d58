"""The directories of a bucket as they are watched: which watch is where, and which keys the files in them have."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from zs3.store import layout, paths
from zs3.store.layout import Kind

#: The names of directories and perhaps a file, from the bucket on.
Names = tuple[bytes, ...]


def key_of(names: Sequence[bytes]) -> str | None:
    """The key of the object whose file is at these names, both of its places; None where none can be.  Pure."""
    segments: list[bytes] = []
    chain: Names = ()
    *above, last = names
    for name in above:
        kind, segment = layout.decode_name(chain, name)
        if kind is Kind.CONTINUED:
            chain = (*chain, name)
        elif kind is Kind.NATURAL:
            segments.append(segment)
            chain = ()
        else:
            return None
    kind, segment = layout.decode_name(chain, last)
    if kind not in (Kind.NATURAL, Kind.BESIDE):
        return None
    key = b"/".join((*segments, segment)).decode("utf-8")
    return key if layout.is_key(key) else None


@dataclass
class Scan:
    """What was found below a directory.

    :ivar watches: where each watch is.
    :ivar files: those that were asked for.
    :ivar failed: why not all directories are watched; None if they are.
    """

    watches: dict[int, Names] = field(default_factory=dict)
    files: list[Names] = field(default_factory=list)
    failed: OSError | None = None


def scan(bucket: bytes, start: Names, watch: Callable[[bytes], int], since_ns: int | None) -> Scan:
    """Watch a directory of a bucket, and all below it.  Blocking.

    A directory is read once it is watched, so that no file is missed.

    :param bucket: the path of the bucket's directory; that may be a link, and none below it is followed.
    :param watch: watches the directory at a path, and gives the number of the watch.
    :param since_ns: files that changed then or later are given, by their ctime; None for none.
    """
    found = Scan()
    try:
        root = os.open(bucket, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return found
    with paths.opened(root):
        waiting = [start]
        while waiting:
            names = waiting.pop()
            try:
                fd = paths.open_below(root, names, paths.DIRECTORY | os.O_CLOEXEC)
            except OSError:
                continue  # it has gone, or is no directory any more
            with paths.opened(fd):
                if found.failed is None:
                    try:
                        found.watches[watch(b"/proc/self/fd/%d" % fd)] = names
                    except OSError as error:
                        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                            found.failed = error
                if found.failed is not None and since_ns is None:
                    return found
                for name, is_directory in _entries(fd, since_ns):
                    (waiting if is_directory else found.files).append((*names, name))
    return found


def _entries(fd: int, since_ns: int | None) -> Iterator[tuple[bytes, bool]]:
    """The directories in one, and the files that are asked for."""
    with suppress(OSError), os.scandir(fd) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if name == layout.INTERNAL:
                continue
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield name, True
                elif (
                    since_ns is not None
                    and entry.is_file(follow_symlinks=False)
                    and entry.stat(follow_symlinks=False).st_ctime_ns >= since_ns
                ):
                    yield name, False


def is_linked_file(bucket: bytes, names: Names) -> bool:
    """Whether there is a file of several names: one that may have come by a link, without being written to."""
    try:
        with (
            paths.opened(os.open(bucket, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root,
            paths.opened(paths.open_below(root, names[:-1], paths.DIRECTORY | os.O_CLOEXEC)) as directory,
        ):
            status = paths.look(directory, names[-1])
    except OSError:
        return False
    return status is not None and stat.S_ISREG(status.st_mode) and status.st_nlink > 1
