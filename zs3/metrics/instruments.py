"""The instruments: what the store, the threads and the sites tell, counted.

They are called for every request, so they look up as little as they can, and
keep what they have found.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import NamedTuple

from zs3.metrics import definitions
from zs3.metrics.buckets import OTHER, BucketNames
from zs3.metrics.definitions import HISTOGRAM, Definition
from zs3.metrics.table import Table
from zs3.web.accesslog import RequestLog
from zs3.web.admission import LIMITS

#: The errors of requests whose sender is not known, or not believed.
_NOT_AUTHENTICATED = (
    *("AccessDenied", "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "InvalidAccessKeyId"),
    *("RequestTimeTooSkewed", "SignatureDoesNotMatch"),
)
#: The errors that are the server's fault.
_SERVER_ERRORS = ("InternalError", "ServiceUnavailable", "SlowDown", "StorageFull")
#: What requests make of multipart uploads.
_UPLOAD_EVENTS = {
    "CreateMultipartUpload": "created",
    "CompleteMultipartUpload": "completed",
    "AbortMultipartUpload": "aborted",
}

#: They last as long as somebody listens, which says nothing of how fast anything is.
_LASTING = frozenset(("ListenBucketNotification",))

_DURATIONS, _FSYNCS = definitions.DURATION.bounds, definitions.FSYNC.bounds
#: Of the numbers of a histogram, how many are in each interval, the last is the sum of all values.
_DURATION_SUM, _FSYNC_SUM = len(_DURATIONS) + 1, len(_FSYNCS) + 1


class _Series(NamedTuple):
    """Where it is that requests of one kind are counted; `duration` is None where that says nothing."""

    requests: int
    duration: int | None
    received: int
    sent: int


class Instruments:
    """Counts: a `StoreObserver`, a `SiteObserver`, and what watches `Threads`.

    Its methods may be called in any thread where that is said of them by whom they are for.

    :param threads: the most threads there are.
    """

    def __init__(self, table: Table, buckets: BucketNames, threads: int) -> None:
        self._table, self._buckets, self._threads = table, buckets, threads
        self._cells = table.cells
        for each in definitions.COUNTED:
            if each.kind == definitions.GAUGE and each is not definitions.LOST:
                # Another worker's, that has ended with all that was under way in it.
                self._cells[self._place(each)] = 0.0
        self._in_flight = self._place(definitions.IN_FLIGHT)
        self._connections = self._place(definitions.CONNECTIONS)
        self._busy_threads = self._place(definitions.BUSY)
        self._queue = self._place(definitions.QUEUE)
        self._fsync = self._place(definitions.FSYNC)
        self._lost = self._place(definitions.LOST)
        # What is not there before it counts shows no increase when it does.
        self._errors = {code: self._place(definitions.ERRORS, code) for code in _SERVER_ERRORS}
        self._failures = {code: self._place(definitions.FAILURES, code) for code in _NOT_AUTHENTICATED}
        self._refused = {limit: self._place(definitions.REFUSED, limit) for limit in LIMITS}
        self._uploads = {name: self._place(definitions.UPLOADS, event) for name, event in _UPLOAD_EVENTS.items()}
        self._hits, self._misses = (self._place(definitions.LOOKUPS, each) for each in ("hit", "miss"))
        self._series: dict[tuple[str, int, str], _Series] = {}
        self._at_once: dict[str, int] = {}
        self._lock = threading.Lock()
        self._cells[self._place(definitions.THREADS)] = threads

    def _place(self, definition: Definition, *labels: str) -> int:
        count = len(definition.bounds) + 2 if definition.kind == HISTOGRAM else 1
        return self._table.place(definition.name, labels, count)

    # SiteObserver

    def record(
        self,
        log: RequestLog,
        *,
        received_ns: int,  # noqa: ARG002 - as for the access log
        remote: str,  # noqa: ARG002
        status: int,
        seconds: float,
        request_id: str,  # noqa: ARG002
    ) -> None:
        """Count one request that is over."""
        cells, operation, error = self._cells, log.operation or "-", log.error
        found = self._series.get((operation, status, log.bucket))
        if found is None:
            found = self._find(operation, status, log.bucket, used=0 < status < 400 and not error)
        requests, duration, received, sent = found
        cells[requests] += 1
        if duration is not None:
            # A clock that was set back makes no time negative.
            if seconds < 0:
                seconds = 0.0
            cells[duration + bisect_left(_DURATIONS, seconds)] += 1
            cells[duration + _DURATION_SUM] += seconds
        if log.bytes_in:
            cells[received] += log.bytes_in
        if log.bytes_out:
            cells[sent] += log.bytes_out
        if log.at_once:
            place = self._at_once.get(operation)
            if place is None:
                place = self._at_once[operation] = self._place(definitions.AT_ONCE, operation)
            cells[place] += 1
        if error:
            self._count_error(error, log.operation)
        elif operation in self._uploads and status in (200, 204):
            cells[self._uploads[operation]] += 1

    def _find(self, operation: str, status: int, bucket: str, *, used: bool) -> _Series:
        label = self._buckets.label(bucket, used=used)
        series = _Series(
            self._place(definitions.REQUESTS, operation, str(status), label),
            None if operation in _LASTING else self._place(definitions.DURATION, operation),
            self._place(definitions.RECEIVED, label),
            self._place(definitions.SENT, label),
        )
        # Of those that have no label there may be any number, and one may get a label yet.
        if label != OTHER:
            self._series[operation, status, bucket] = series
        return series

    def _count_error(self, code: str, operation: str) -> None:
        place = self._errors.get(code)
        if place is None:
            place = self._errors[code] = self._place(definitions.ERRORS, code)
        self._cells[place] += 1
        # What somebody may do is decided once the operation is known.
        if code in self._failures and (code != "AccessDenied" or not operation):
            self._cells[self._failures[code]] += 1

    def connections(self, change: int) -> None:
        """There is one connection more or less."""
        self._cells[self._connections] += change

    def requests(self, change: int) -> None:
        """There is one request more or less under way."""
        self._cells[self._in_flight] += change

    def refused(self, limit: str) -> None:
        """A connection or request was refused."""
        self._cells[self._refused[limit]] += 1

    # For Threads

    def pending(self, count: int) -> None:
        """So many calls have no result yet."""
        busy = min(count, self._threads)
        self._cells[self._busy_threads] = busy
        self._cells[self._queue] = count - busy

    # StoreObserver

    def synced(self, seconds: float) -> None:
        """An fsync has ended."""
        with self._lock:
            self._cells[self._fsync + bisect_left(_FSYNCS, seconds)] += 1
            self._cells[self._fsync + _FSYNC_SUM] += seconds

    def lost(self) -> None:
        """An fsync has failed."""
        self._cells[self._lost] = 1

    def looked_up(self, *, remembered: bool) -> None:
        """A listing needed a directory."""
        with self._lock:
            self._cells[self._hits if remembered else self._misses] += 1
