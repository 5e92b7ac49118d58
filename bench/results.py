"""The results of a run: rows of samples by server, and their form in JSON.  No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.samples import Sample, median


@dataclass
class Row:
    """One case at one number of connections.

    :ivar samples: by server, one per round.
    :ivar refused: by server, why it was not measured.
    """

    case: str
    title: str
    connections: int
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, server: str, sample: Sample) -> None:
        self.samples.setdefault(server, []).append(sample)

    def median(self, server: str) -> Sample | None:
        """The median of the rounds, `None` where nothing was measured."""
        return median(self.samples[server]) if self.samples.get(server) else None


@dataclass(frozen=True)
class About:
    """What is to be known of a server beside its figures.

    :ivar started_in: seconds until the first answer.
    :ivar memory: resident then, in bytes.
    """

    note: str
    version: str = ""
    started_in: float | None = None
    memory: int | None = None


@dataclass
class Report:
    """A whole run."""

    machine: dict[str, str]
    settings: dict[str, str]
    servers: dict[str, About] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def measured(self) -> Sequence[str]:
        """The servers that have a figure."""
        return [name for name in self.servers if any(row.samples.get(name) for row in self.rows)]

    def as_json(self) -> dict[str, Any]:
        """All of it, for ``json.dumps``."""
        rows = [
            {
                "case": row.case,
                "title": row.title,
                "connections": row.connections,
                "median": {name: asdict(median(samples)) for name, samples in row.samples.items()},
                "rounds": {name: [asdict(sample) for sample in samples] for name, samples in row.samples.items()},
                "refused": row.refused,
            }
            for row in self.rows
        ]
        servers = {name: asdict(about) for name, about in self.servers.items()}
        return {"machine": self.machine, "settings": self.settings, "servers": servers, "rows": rows}
