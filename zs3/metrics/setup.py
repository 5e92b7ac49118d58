"""From `--metrics` to what counts and what tells of it: the only module here that the assembly knows."""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import CollectorRegistry

from zs3.health import Health
from zs3.metrics import shared
from zs3.metrics.buckets import BucketNames
from zs3.metrics.collectors import Counted, LookedUp
from zs3.metrics.instruments import Instruments
from zs3.metrics.site import MetricsSite
from zs3.metrics.table import Table


class Setup:
    """The metrics of one process.

    :param threads: the most threads there are.
    :param directory: the shared directory of all workers, None for a process that serves alone.
    :param number: which worker this is.
    :ivar instruments: what counts.
    """

    def __init__(self, threads: int, directory: str | None = None, number: int = 0) -> None:
        if directory is None:
            table, buckets = Table(), BucketNames()
            counted = Counted(lambda: [(True, table.read())])
            self._looked_up = LookedUp(lambda: [(0, os.getpid())])
        else:
            table = shared.join(directory, number)
            buckets = BucketNames(path=os.path.join(directory, shared.BUCKETS))
            counted = Counted(lambda: shared.tables(directory))
            self._looked_up = LookedUp(lambda: shared.processes(directory))
        self.instruments = Instruments(table, buckets, threads)
        self.registry = CollectorRegistry()
        self.registry.register(counted)
        self.registry.register(self._looked_up)

    def site(self, reactor: Any, health: Health) -> MetricsSite:
        """What tells of it."""
        return MetricsSite(reactor, self.registry, self._looked_up, health)
