"""The dashboard and the alerts of contrib/, and what they ask Prometheus for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CONTRIB = Path(__file__).parent.parent / "contrib"
RULES = CONTRIB / "prometheus" / "zs3.rules.yml"

#: A metric of ours in a query, and what stands in the braces behind it.
_METRIC = re.compile(r"\b((?:zs3|process)_[a-z_]+)\b(?:\{([^}]*)\})?")
_LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRIB / "grafana" / "zs3.json").read_text("utf-8"))
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def queries() -> Iterator[str]:
    """All that is asked for."""
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (variable.get("definition", "") for variable in dashboard()["templating"]["list"])
    yield from (rule["expr"] for rule in rules())


def asked_for(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics in a query, each with the labels that it is chosen by."""
    for name, selector in _METRIC.findall(query):
        yield name, set(_LABEL.findall(selector))
