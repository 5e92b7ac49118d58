"""What the kernel tells of a server's processes: CPU time and memory, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: those behind the name, which may hold anything."""
    return (_PROC / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except (OSError, IndexError):  # it ended meanwhile
                continue
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """CPU time that the processes have used, user and system, in steps of a clock tick (mostly 10 ms)."""
    total = 0
    for pid in pids:
        fields = _stat(pid)
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def reset_peak(pids: list[int]) -> None:
    """Begin anew with `peak_memory`, where the kernel lets us."""
    for pid in pids:
        try:
            (_PROC / str(pid) / "clear_refs").write_text("5")
        except OSError:
            pass


def _memory(pids: list[int], field: str) -> int:
    total = 0
    for pid in pids:
        for line in (_PROC / str(pid) / "status").read_text("ascii", "replace").splitlines():
            if line.startswith(field):
                total += int(line.split()[1]) * 1024
    return total


def peak_memory(pids: list[int]) -> int:
    """The most memory that was resident since `reset_peak`, in bytes, added over the processes."""
    return _memory(pids, "VmHWM:")


def memory(pids: list[int]) -> int:
    """The memory that is resident, in bytes, added over the processes."""
    return _memory(pids, "VmRSS:")
