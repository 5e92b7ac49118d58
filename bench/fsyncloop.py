"""The limit for durable writing: temporary file, fsync, rename, fsync of the directory, and nothing else.

``python -m bench.fsyncloop DIRECTORY SIZE THREADS SECONDS`` prints what it did as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from pathlib import Path

from bench.cases import content
from bench.samples import percentiles


def loop(directory: Path, size: int, threads: int, seconds: float) -> dict[str, object]:
    """Write files of `size` bytes in so many threads for that long, over a thousand names as the case for PUT does."""
    data = content(size)
    numbers = itertools.count()
    latencies: list[float] = []
    began = time.perf_counter()

    def work(thread: int) -> None:
        temporary = directory / f"temporary-{thread}"
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        while (start := time.perf_counter()) < began + seconds:
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.write(file, data)
            os.fsync(file)
            os.close(file)
            temporary.rename(directory / f"{next(numbers) % 1000:04}")
            os.fsync(parent)
            latencies.append(time.perf_counter() - start)
        os.close(parent)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - began
    cpu = time.process_time()
    return {"count": len(latencies), "seconds": elapsed, "cpu": cpu, "latency_ms": percentiles(latencies)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(loop(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
