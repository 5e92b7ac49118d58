"""Reads what the metrics say, as Prometheus does."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """The samples of one answer of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in self.families.values():
            for sample in family.samples:
                self.samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all samples of a metric that have these labels; 0 if there is none."""
        found = self.samples.get(name, [])
        return math.fsum(value for own, value in found if labels.items() <= own.items())

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label has."""
        return {own[label] for own, _ in self.samples.get(name, [])}


def check(text: str) -> None:
    """That it is as Prometheus wants it: what `promtool check metrics` looks at, and that itself where it is there."""
    scrape = Scrape(text)
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for family in scrape.families.values():
        assert family.documentation, f"{family.name} has no help"
        assert family.type in ("counter", "gauge", "histogram"), family
        # The library takes that off the name.
        assert not family.name.endswith("_total"), family.name
        for word in ("milliseconds", "minutes", "kib", "mib", "counter", "gauge", "histogram"):
            assert word not in family.name.split("_"), family.name
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in seen, f"{key} is there twice"
            seen.add(key)
            if family.type == "counter":
                assert sample.name == family.name + "_total"
                assert sample.value >= 0
            elif family.type == "gauge":
                assert not sample.name.endswith(("_total", "_count", "_sum", "_bucket"))
        if family.type == "histogram":
            _check_histogram(family)
    promtool = shutil.which("promtool")
    if promtool:
        done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def _check_histogram(family) -> None:
    last: dict[frozenset[tuple[str, str]], float] = {}
    for sample in family.samples:
        labels = frozenset((name, value) for name, value in sample.labels.items() if name != "le")
        if sample.name.endswith("_bucket"):
            assert sample.value >= last.get(labels, 0.0), "buckets count up"
            last[labels] = sample.value
        elif sample.name.endswith("_count"):
            assert sample.value == last[labels], "the last bucket has all"
