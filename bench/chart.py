"""The report as a picture, where matplotlib is installed."""

from __future__ import annotations

from pathlib import Path

from bench.results import Report


def available() -> bool:
    """Whether there can be a picture."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def draw(report: Report, path: Path) -> None:
    """Bars for each row and server: rate and CPU per request, on logarithmic scales."""
    from matplotlib.figure import Figure  # without pyplot: it wants no display

    servers = report.measured()
    rows = list(reversed(report.rows))
    figure = Figure(figsize=(15, 2 + 0.09 * len(rows) * (len(servers) + 1)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    height = 0.85 / max(1, len(servers))
    for place, server in enumerate(servers):
        medians = [row.median(server) for row in rows]
        at = [index + 0.4 - place * height for index in range(len(rows))]
        left.barh(at, [sample.rate if sample else 0 for sample in medians], height, label=server)
        right.barh(at, [(sample.cpu or 0) if sample else 0 for sample in medians], height)
    left.set_yticks(range(len(rows)), [f"{row.title}, {row.connections} conn." for row in rows], fontsize=8)
    for axes, title in ((left, "requests/s (more is better)"), (right, "server's CPU us per request (less is better)")):
        axes.set_xscale("log")
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", alpha=0.3)
    left.legend(fontsize=8)
    figure.savefig(path)
