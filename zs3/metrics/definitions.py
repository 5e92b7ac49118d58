"""THE list of metrics: their names, what they tell, and by what they are parted.

The instruments, the collectors and the documentation are made from it.  Pure.

Source: Prometheus, "Metric and label naming" and "Instrumentation".
"""

from __future__ import annotations

from dataclasses import dataclass

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric.

    :ivar kind: `COUNTER`, `GAUGE` or `HISTOGRAM`.
    :ivar name: as it is told; of a histogram, without ``_bucket``, ``_sum`` and ``_count``.
    :ivar help: what it tells, in one sentence.
    :ivar labels: what parts it.
    :ivar bounds: of the buckets of a histogram, in seconds.
    """

    kind: str
    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


REQUESTS = Definition(
    COUNTER,
    "zs3_requests_total",
    "Requests that are over, by operation, HTTP status (0: the client left before there was one) and bucket.",
    ("operation", "status", "bucket"),
)
DURATION = Definition(
    HISTOGRAM,
    "zs3_request_duration_seconds",
    "The time from the complete head of a request to the end of its answer.",
    ("operation",),
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0),
)
RECEIVED = Definition(COUNTER, "zs3_received_bytes_total", "Bytes of the bodies of requests, by bucket.", ("bucket",))
SENT = Definition(COUNTER, "zs3_sent_bytes_total", "Bytes of the bodies of answers, by bucket.", ("bucket",))
ERRORS = Definition(COUNTER, "zs3_errors_total", "Requests that ended with an error, by S3's code for it.", ("code",))
FAILURES = Definition(
    COUNTER,
    "zs3_authentication_failures_total",
    "Requests that did not prove who sent them, by S3's code for what was wrong.",
    ("code",),
)
AT_ONCE = Definition(
    COUNTER,
    "zs3_answered_at_once_total",
    "Requests that were answered from memory without waiting for a thread or a disk, by operation.",
    ("operation",),
)
REFUSED = Definition(
    COUNTER,
    "zs3_refused_total",
    "Connections and requests that were refused for a limit: connections, connections_per_address or "
    "requests_per_address.",
    ("limit",),
)
UPLOADS = Definition(
    COUNTER,
    "zs3_multipart_uploads_total",
    "Multipart uploads that clients created, completed or aborted.",
    ("event",),
)
IN_FLIGHT = Definition(GAUGE, "zs3_requests_in_flight", "Requests and transfers that are under way.")
CONNECTIONS = Definition(GAUGE, "zs3_connections", "Open connections of S3 clients.")
THREADS = Definition(GAUGE, "zs3_threads", "The most threads that may work on the disk.")
BUSY = Definition(GAUGE, "zs3_threads_busy", "Threads that work on the disk.")
QUEUE = Definition(GAUGE, "zs3_thread_queue_length", "Work that waits for a thread.")
FSYNC = Definition(
    HISTOGRAM,
    "zs3_fsync_duration_seconds",
    "The time that an fsync of a file or directory took.",
    (),
    (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0),
)
LOST = Definition(
    GAUGE,
    "zs3_disk_failed",
    "1 if an fsync has failed since the start: what was answered before may not be on the disk.",
)
LOOKUPS = Definition(
    COUNTER,
    "zs3_listing_cache_lookups_total",
    "Directories that listings needed, by whether it was remembered what is in them.",
    ("result",),
)

#: What the daemon counts itself.
COUNTED = (
    *(REQUESTS, DURATION, RECEIVED, SENT, ERRORS, FAILURES, AT_ONCE, REFUSED, UPLOADS),
    *(IN_FLIGHT, CONNECTIONS, THREADS, BUSY, QUEUE, FSYNC, LOST, LOOKUPS),
)

DISK_SIZE = Definition(GAUGE, "zs3_disk_size_bytes", "The size of the file system of the data directory.")
DISK_AVAILABLE = Definition(
    GAUGE, "zs3_disk_available_bytes", "What is free of it for the user that the daemon runs as."
)
INODES = Definition(
    GAUGE, "zs3_disk_inodes", "The most files that the file system may hold; 0 if it has no such limit."
)
INODES_AVAILABLE = Definition(GAUGE, "zs3_disk_inodes_available", "How many more files it may hold.")
READY = Definition(GAUGE, "zs3_ready", "1 if the daemon is ready as /-/ready has it, else 0.")
BUILD = Definition(
    GAUGE, "zs3_build_info", "1; what the daemon is made of is in the labels.", ("version", "python", "twisted")
)
WORKERS = Definition(GAUGE, "zs3_workers", "Processes that serve.")
CPU = Definition(
    COUNTER,
    "process_cpu_seconds_total",
    "User and system time spent by a process; worker 0 is the one that was started.",
    ("worker",),
)
MEMORY = Definition(GAUGE, "process_resident_memory_bytes", "Memory that a process has in use.", ("worker",))
VIRTUAL = Definition(GAUGE, "process_virtual_memory_bytes", "Addresses that a process has in use.", ("worker",))
STARTED = Definition(
    GAUGE, "process_start_time_seconds", "When a process was started, in seconds since the epoch.", ("worker",)
)
OPEN_FILES = Definition(GAUGE, "process_open_fds", "File descriptors that a process has open.", ("worker",))
MOST_FILES = Definition(GAUGE, "process_max_fds", "The most file descriptors that it may have.", ("worker",))

#: What is looked up when it is asked for.
LOOKED_UP = (
    *(DISK_SIZE, DISK_AVAILABLE, INODES, INODES_AVAILABLE, READY, BUILD, WORKERS),
    *(CPU, MEMORY, VIRTUAL, STARTED, OPEN_FILES, MOST_FILES),
)
