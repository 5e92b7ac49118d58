"""twistd, but for an fsync: ``launcher.py KIND ARGUMENT...``.

KIND is one of `KINDS`.  Parts of an upload may be of a few bytes: what they hold changes nothing, and the log of the
device stays small.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from typing import Any

from twisted.scripts.twistd import run

from zs3.store import completion


def _is_directory(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)


def _is_internal(path: str) -> bool:
    return any(part.startswith((".zs3", ".uploads")) for part in path.split("/"))


#: What the fsyncs are of that are left out, by path and status.
KINDS: dict[str, Callable[[str, os.stat_result], bool]] = {
    "nothing": lambda *_: False,
    "files": lambda _, status: not _is_directory(status),
    "directories": lambda _, status: _is_directory(status),
    "objects' directories": lambda path, status: _is_directory(status) and not _is_internal(path),
    "internal directories": lambda path, status: _is_directory(status) and _is_internal(path),
    "versions' directories": lambda path, status: _is_directory(status) and "/versions" in path,
    "uploads' directories": lambda path, status: _is_directory(status) and "/.uploads" in path,
    "everything": lambda *_: True,
}


def main() -> None:
    kind = KINDS[sys.argv[1]]
    real = os.fsync

    def fsync(fd: Any) -> None:
        number = fd if isinstance(fd, int) else fd.fileno()
        if not kind(os.readlink(f"/proc/self/fd/{number}"), os.fstat(number)):
            real(fd)

    os.fsync = fsync
    completion.MIN_PART_SIZE = 1  # type: ignore[attr-defined]
    sys.argv = ["twistd", *sys.argv[2:]]
    run()


if __name__ == "__main__":
    main()
