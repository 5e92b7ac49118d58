"""What is measured, and the median of it.  No I/O."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: Above this share of the time of its threads a generator is taken for the limit.
SATURATED = 0.9


@dataclass(frozen=True)
class Work:
    """Requests for a generator.

    :ivar heads: each with its signature.
    :ivar body: the same one follows every head.
    :ivar once: each is sent once, and when all are answered it is over; else they are sent round and round.
    :ivar bodiless: the responses have no body, because it is HEAD.
    """

    heads: Sequence[bytes]
    body: bytes = b""
    once: bool = False
    bodiless: bool = False


@dataclass(frozen=True)
class Sent:
    """What a generator saw.

    :ivar latency_ms: by name: p50, p90, p99, max.
    :ivar cpu: seconds that the generator itself used.
    :ivar saturated: it could hardly have sent more.
    """

    requests: int
    seconds: float
    errors: int
    latency_ms: dict[str, float]
    cpu: float
    saturated: bool


@dataclass(frozen=True)
class Sample:
    """One measurement of one server.

    :ivar rate: requests per second; for large transfers MB (a million bytes) per second.
    :ivar cpu: microseconds of the server per request; for large transfers milliseconds per GB (10^9 bytes).
    :ivar memory: the most that was resident, in bytes.
    :ivar requests: how many were answered.
    :ivar doubt: why to take it with care: ``g`` the generator was the limit, ``f`` fewer than three answers per
        connection; empty if there is nothing.
    """

    rate: float
    cpu: float | None
    memory: int | None
    requests: int
    errors: int
    latency_ms: dict[str, float]
    doubt: str = ""


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each figure for itself; errors are added, and a doubt about one is a doubt."""

    def middle(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    memory = [sample.memory for sample in samples if sample.memory is not None]
    names = dict.fromkeys(name for sample in samples for name in sample.latency_ms)
    return Sample(
        rate=statistics.median(sample.rate for sample in samples),
        cpu=middle([sample.cpu for sample in samples]),
        memory=max(memory) if memory else None,
        requests=sum(sample.requests for sample in samples),
        errors=sum(sample.errors for sample in samples),
        latency_ms={
            name: statistics.median(sample.latency_ms[name] for sample in samples if name in sample.latency_ms)
            for name in names
        },
        doubt="".join(sorted({letter for sample in samples for letter in sample.doubt})),
    )


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The latencies of `Sent` from one figure per answer."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    last = len(ordered) - 1
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: ordered[round(share * last)] * 1000 for name, share in shares.items()}
