"""What a process leaves of a small file that it dies in writing."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crashes import crash_at
from zs3.lifecycle.ledger import Ledger as LifecycleLedger
from zs3.lifecycle.ledger import Progress
from zs3.store.durability import Durability
from zs3.store.internals import Internals
from zs3.verify.ledger import Ledger as VerifyLedger
from zs3.verify.ledger import Progress as VerifyProgress
from zs3.verify.ledger import Selection


def lifecycle(data: Path, number: int) -> int | None:
    """Note a number, and give the one before."""
    ledger = LifecycleLedger(str(data))
    before = ledger.read()
    ledger.write(Progress(number))
    return before and before.number


def verify(data: Path, number: int) -> int | None:
    ledger = VerifyLedger(os.fsencode(data))
    before = ledger.read(Selection())
    ledger.write(Selection(), VerifyProgress(seconds=number))
    return before and round(before.seconds)


def file(data: Path, number: int) -> int | None:
    path = data / ".zs3" / "file"
    before = int(path.read_text()) if path.exists() else None
    internals = Internals(os.fsencode(data), Durability(enabled=True, report=lambda _: None))
    internals.write_file(os.fsencode(path), b"%d" % number, alone=True)
    return before


@pytest.mark.parametrize("write", [lifecycle, verify, file])
def test_the_next_one_finds_the_old_or_the_new_and_leaves_nothing_else(
    data: Path, write: Callable[[Path, int], int | None]
) -> None:
    (data / ".zs3").mkdir()
    write(data, 0)
    names = sorted(os.listdir(data / ".zs3"))
    for step in itertools.count(1):
        done = crash_at(data, lambda data, step=step: write(data, step), step, Path)
        found = write(data, 0)
        assert found in (0, step)
        assert sorted(os.listdir(data / ".zs3")) == names
        if done:
            break
    assert found == step
    assert step > 2
