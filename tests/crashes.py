"""A process that ends at the n-th call that changes something on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract.support import Client, open_client
from zs3.store import kernel

MUTATING = ("rename", "unlink", "link", "mkdir", "rmdir", "setxattr", "fsync", "utime", "write", "copy_file_range")


def crash_at(data: Path, operation: Callable[[Client], Any], step: int) -> bool:
    """Run an operation in a process that dies before its `step`-th change; whether it got to its end instead."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, 77), code
        return code == 0
    try:
        client = open_client(data)
        left = step

        def counting(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    os._exit(77)
                return real(*args, **kwargs)

            return call

        for name in MUTATING:
            setattr(os, name, counting(getattr(os, name)))
        kernel.rename_new = counting(kernel.rename_new)
        operation(client)
        os._exit(0)
    finally:
        os._exit(1)
