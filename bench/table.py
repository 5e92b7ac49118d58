"""The report as text: tables that read well in a terminal and are reStructuredText as well.  No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.results import Report, Row
from bench.samples import Sample

#: The server that the others are compared with.
OURS = "zs3"

#: In a cell without a figure (a hyphen would be a list in reStructuredText).
NOTHING = "\N{EN DASH}"

LEGEND = (
    "In brackets: zs3 divided by that server, so that more than 1 is in favour of zs3 for rates and against it for CPU "
    "and memory. ``g``: the load generator was the limit, the server can do more; ``f``: fewer than three answers per "
    "connection; ``e``: there were errors, see below; a dash: not measured."
)


def number(value: float) -> str:
    """Three digits that matter, thousands with commas."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A "simple table" of reStructuredText; the first `left` columns to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (titles, *rows)) for column in range(len(titles))]
    rule = "  ".join("=" * width for width in widths)

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join((rule, line(titles), rule, *map(line, rows), rule))


def _with_ratio(value: Callable[[Sample], float | None]) -> Callable[[Row, str], str]:
    def cell(row: Row, server: str) -> str:
        sample, ours = row.median(server), row.median(OURS)
        figure = value(sample) if sample else None
        if sample is None or figure is None:
            return NOTHING
        text = number(figure)
        reference = value(ours) if ours and server != OURS else None
        if reference is not None and figure:
            text += f" ({reference / figure:.2f})"
        marks = sample.doubt + ("e" if sample.errors else "")
        return f"{text} {marks}" if marks else text

    return cell


def _latency(row: Row, server: str) -> str:
    sample = row.median(server)
    if sample is None or "p99" not in sample.latency_ms:
        return NOTHING
    return f"{number(sample.latency_ms['p50'])} / {number(sample.latency_ms['p99'])}"


_METRICS: tuple[tuple[str, Callable[[Row, str], str]], ...] = (
    ("Requests per second", _with_ratio(lambda sample: sample.rate)),
    ("CPU time of the server per request, microseconds", _with_ratio(lambda sample: sample.cpu)),
    ("Latency, milliseconds: median / 99th percentile", _latency),
    (
        "Peak of resident memory, MB",
        _with_ratio(lambda sample: sample.memory / 1e6 if sample.memory is not None else None),
    ),
)


def render(report: Report) -> str:
    """All tables, with what is to be known to read them."""
    servers = report.measured()
    parts = ["\n".join(f"| {name}: {value}" for name, value in (report.machine | report.settings).items())]
    parts.append(_about(report, servers))
    parts.append(LEGEND)
    for title, cell in _METRICS:
        rows = [[row.title, str(row.connections), *(cell(row, name) for name in servers)] for row in report.rows]
        rows = [row for row in rows if any(text != NOTHING for text in row[2:])]
        if rows:
            parts.append(title)
            parts.append(grid(["request", "conn.", *servers], rows))
    troubles = [
        f"* {row.title}, {row.connections} connections, {name}: {trouble}"
        for row in report.rows
        for name, trouble in _troubles(row).items()
    ]
    if troubles:
        parts += ["Not as it should be:", "\n".join(troubles)]
    return "\n\n".join(parts) + "\n"


def _about(report: Report, servers: Sequence[str]) -> str:
    rows = []
    for name in servers:
        about = report.servers[name]
        started = NOTHING if about.started_in is None else f"{about.started_in:.2f}"
        memory = NOTHING if about.memory is None else number(about.memory / 1e6)
        rows.append([name, started, memory, about.version or NOTHING, about.note])
    return grid(["server", "starts in s", "idle MB", "version", "how"], rows, left=5)


def _troubles(row: Row) -> dict[str, str]:
    errors = {
        name: f"{errors} errors, {sum(sample.requests for sample in samples)} good answers"
        for name, samples in row.samples.items()
        if (errors := sum(sample.errors for sample in samples))
    }
    return row.refused | errors
