"""twistd on a disk that is slow where it is told to be: what is called ``slow...`` is not read before a file is there.

Usage: python slow_disk.py GATE TWISTD-ARGUMENTS...  A byte is written to the named pipe GATE.waiting for each read
that begins to wait, and all go on when the named pipe GATE has a writer.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.scripts.twistd import run

from zs3.store import lookup
from zs3.store.hot import HotFiles

gate = sys.argv.pop(1)
_find, _open_now = lookup.find, HotFiles.open
waiting = os.open(gate + ".waiting", os.O_WRONLY)


def find(bucket: Any, key: str) -> Any:
    """In a thread of the pool."""
    if key.startswith("slow"):
        os.write(waiting, b".")
        # Until there is a writer.
        os.close(os.open(gate, os.O_RDONLY))
    return _find(bucket, key)


def open_now(files: HotFiles, bucket: str, key: str) -> Any:
    """In the reactor's thread: what only the disk knows is left to the pool."""
    return None if key.startswith("slow") else _open_now(files, bucket, key)


lookup.find = find
HotFiles.open = open_now  # type: ignore[method-assign]
run()
