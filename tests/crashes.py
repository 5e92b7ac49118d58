"""A process that ends at the n-th call that changes something on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract.support import open_client
from zs3.store import kernel

MUTATING = (
    *("open", "rename", "unlink", "link", "mkdir", "rmdir", "setxattr", "fsync", "utime", "write", "pwrite"),
    *("copy_file_range", "sendfile", "ftruncate", "chmod", "fchmod"),
)


def crash_at(
    data: Path, operation: Callable[[Any], Any], step: int, opened: Callable[[Path], Any] = open_client
) -> bool:
    """Run an operation in a process that dies before its `step`-th change; whether it got to its end instead.

    :param opened: makes what the operation is given.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, 77), code
        return code == 0
    try:
        client = opened(data)
        left = step

        def counting(real: Callable[..., Any], *, only_made: bool = False) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                if not only_made or args[1] & os.O_CREAT:
                    left -= 1
                    if left == 0:
                        os._exit(77)
                return real(*args, **kwargs)

            return call

        for name in MUTATING:
            setattr(os, name, counting(getattr(os, name), only_made=name == "open"))
        kernel.rename_new = counting(kernel.rename_new)
        operation(client)
        os._exit(0)
    finally:
        os._exit(1)
