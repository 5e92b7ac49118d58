"""What tests of verifying share: a run, and damage as a disk does it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from zs3.verify.findings import Finding, Verdict
from zs3.verify.ledger import Selection
from zs3.verify.reading import Throttle
from zs3.verify.run import Run


def verify(
    data: Path, *buckets: str, prefix: str = "", adopting: bool = False, **options: Any
) -> tuple[Run, list[Finding]]:
    """A run over a data directory, and what it reported."""
    found: list[Finding] = []
    selection = Selection(tuple(sorted(buckets)), prefix, adopting)
    defaults: dict[str, Any] = {"throttle": Throttle(), "report": found.append}
    run = Run(str(data), selection, **(defaults | options))
    run.make()
    return run, found


def verdicts(found: list[Finding]) -> dict[str, Verdict]:
    """The verdicts by path."""
    assert len({each.path for each in found}) == len(found)
    return {each.path: each.verdict for each in found}


def rot(path: Path, offset: int = 0) -> None:
    """Flip a bit of a file, and let it look as before."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes((byte ^ 1,)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def age(*files: Path) -> None:
    """Wait until nothing can change files within the tick in which they were changed: as long as adopting asks for.

    The change time is the kernel's; only waiting makes it older.
    """
    from zs3.verify import check

    latest = max(path.stat().st_ctime_ns for path in files)
    while time.time_ns() < latest + check.YOUNG_NS:
        time.sleep(0.005)
