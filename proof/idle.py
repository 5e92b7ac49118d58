"""What the daemon does when nobody asks anything: ``python -m proof.idle [SECONDS]``.

Its system calls by strace, its memory, and how long it took to start, with one process and with two workers.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.e2e.daemon import Daemon
from tests.e2e.injection import strace
from tests.e2e.workers import pids


def calls_while_idle(processes: list[int], seconds: float) -> Counter[str]:
    """The system calls of processes and their threads in so many seconds, by name."""
    with strace(processes, "-f") as lines:
        time.sleep(seconds)
    # A call that was under way when strace came is resumed by nothing that was done.
    return Counter(found[1] for line in lines if (found := re.match(r"\d+ +(\w+)\(", line)))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            home = Path(name)
            (home / "data").mkdir()
            daemon = Daemon(home, home / "data", "--workers", str(workers))
            start = time.monotonic()
            daemon.start()
            took = time.monotonic() - start
            fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
            used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            try:
                processes = [daemon.pid, *pids(daemon).values()]
                time.sleep(2)
                for process in processes:
                    found = re.findall(
                        r"^(VmHWM|VmRSS):\s+(\d+)", Path(f"/proc/{process}/status").read_text(), re.MULTILINE
                    )
                    print(f"process {process}:", ", ".join(f"{what} {int(kib) / 1024:.1f} MiB" for what, kib in found))
                calls = calls_while_idle(processes, seconds)
                print(f"--workers {workers}: ready after {took:.2f} s, of CPU {used:.2f} s")
                print(f"in {seconds:.0f} s: {dict(calls)}", flush=True)
            finally:
                daemon.kill()


if __name__ == "__main__":
    main()
