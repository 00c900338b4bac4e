"""What a panel of the dashboard shows at this moment, as Grafana would: names, values, words, colours."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from tests.rehearsals.prometheus_server import ROOT, Prometheus

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "ringonce.json").read_text(encoding="utf-8"))
PANELS: dict[str, dict[str, Any]] = {panel["title"]: panel for panel in DASHBOARD["panels"]}


class Line(NamedTuple):
    """One series."""

    name: str
    value: float
    text: str
    colour: str


def shown(server: Prometheus, title: str) -> dict[str, Line]:
    """The lines of a panel by their names; none: it says what it says where there is nothing."""
    panel = PANELS[title]
    lines = []
    for target in panel["targets"]:
        for series in server.query(target["expr"]):
            name = re.sub(r"{{(\w+)}}", lambda found: series["metric"].get(found[1], ""), target["legendFormat"])  # noqa: B023 (used at once)
            value = float(series["value"][1])
            lines.append(Line(name, value, *_look(panel["fieldConfig"], name, value)))
    return {line.name: line for line in lines}


def _look(config: dict[str, Any], name: str, value: float) -> tuple[str, str]:
    """The text and the colour of a value: by its words, else by its own thresholds, else by those of the panel."""
    defaults = config["defaults"]
    for mapping in defaults["mappings"]:
        options = mapping["options"]
        if mapping["type"] == "value" and f"{value:g}" in options:
            return options[f"{value:g}"]["text"], options[f"{value:g}"]["color"]
        if mapping["type"] == "range" and value >= options["from"]:
            return options["result"]["text"], options["result"]["color"]
    thresholds = defaults["thresholds"]
    for override in config["overrides"]:
        if override["matcher"]["options"] == name:
            thresholds = override["properties"][0]["value"]
    colours = [step["color"] for step in thresholds["steps"] if step["value"] is None or value >= step["value"]]
    return f"{value:g}", colours[-1]


def panels_without_data(server: Prometheus) -> list[str]:
    """The panels a query of which finds nothing, without those that list only what is wrong."""
    empty = []
    for title, panel in PANELS.items():
        if panel["type"] == "table":
            continue
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "60s")
            if not server.query(expression):
                empty.append(f"{title}: {expression}")
    return empty
