"""The machine, as far as a reader of the figures has to know it.  No names of hosts or people."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe(directory: Path) -> dict[str, str]:
    """Processor, memory, kernel, file system of the data directory, Python, how busy it was at the start."""
    return {
        "processor": f"{os.cpu_count()} x {_first('/proc/cpuinfo', 'model name') or platform.machine()}",
        "memory": f"{int((_first('/proc/meminfo', 'MemTotal') or '0 kB').split()[0]) // 1024} MiB",
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "file system": filesystem(directory),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load at the start": f"{os.getloadavg()[0]:.2f}",
    }


def filesystem(directory: Path) -> str:
    """The type of the file system that a directory is on, and its options."""
    path = str(directory.resolve())
    best, found = "", "unknown"
    for line in Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines():
        _, place, kind, options = line.split()[:4]
        if (path == place or path.startswith(place.rstrip("/") + "/")) and len(place) >= len(best):
            best, found = place, f"{kind} ({options})"
    return found


def _first(path: str, name: str) -> str | None:
    for line in Path(path).read_text("utf-8", "replace").splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return None
