"""The rows as the JSON that Grafana imports."""

from __future__ import annotations

import json
from typing import Any

from scripts.dashboard.first_row import FIRST_ROW
from scripts.dashboard.machinery import PROMISE, WORKERS
from scripts.dashboard.panel import Panel, Step
from scripts.dashboard.work import EVENTS, KEPT, LATENESS, PROVIDERS

ROWS = (FIRST_ROW, EVENTS, LATENESS, PROVIDERS, KEPT, WORKERS, PROMISE)
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24


def dashboard() -> dict[str, Any]:
    """The whole dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in ROWS:
        panels.append({"type": "row", "title": row.title, "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}})
        y, x = y + 1, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + row.height
            panels.append({**_panel(panel), "gridPos": {"x": x, "y": y, "w": panel.width, "h": row.height}})
            x += panel.width
        y += row.height
    return {
        "title": "ringonce",
        "uid": "ringonce",
        "description": "Push notifications: is it healthy, how late is it, who is failing.",
        "tags": ["ringonce"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "datasource": DATASOURCE,
                    "enable": True,
                    "iconColor": "red",
                    "expr": 'ALERTS{alertname=~"Ringonce.*",alertstate="firing"}',
                    "titleFormat": "{{alertname}}",
                }
            ]
        },
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


def _thresholds(steps: tuple[Step, ...]) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _panel(panel: Panel) -> dict[str, Any]:
    instant = panel.kind != "timeseries"
    mappings: list[dict[str, Any]] = [
        {"type": "value", "options": {value: {"text": text, "color": colour}}} for value, text, colour in panel.words
    ]
    if panel.otherwise:
        result = {"text": panel.otherwise, "color": panel.steps[-1][1]}
        mappings.append({"type": "range", "options": {"from": panel.steps[-1][0], "to": None, "result": result}})
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": _thresholds(panel.steps),
        "mappings": mappings,
        "min": 0 if panel.title != "Clock" else None,
    }
    if panel.empty:
        defaults["noValue"] = panel.empty
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none"}
        defaults["custom"] = {"fillOpacity": 20 if panel.stacked else 0, "stacking": stacking, "showPoints": "never"}
    if panel.kind == "table":
        defaults["custom"] = {"cellOptions": {"type": "color-text"}}
    overrides = [
        {
            "matcher": {"id": "byName", "options": legend},
            "properties": [{"id": "thresholds", "value": _thresholds(steps)}],
        }
        for legend, steps in panel.overrides
    ]
    made: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": instant,
                "range": not instant,
            }
            for index, (expression, legend) in enumerate(panel.queries)
        ],
    }
    if panel.kind == "stat":
        made["options"] = {
            "reduceOptions": {"calcs": ["lastNotNull"]},
            "colorMode": "background" if len(panel.steps) > 1 else "value",
            "textMode": "value_and_name" if len(panel.queries) > 1 else "value",
        }
    if panel.kind == "table":  # each series is one line: its legend, and how much
        made["transformations"] = [
            {"id": "reduce", "options": {"reducers": ["lastNotNull"], "labelsToFields": False}},
            {"id": "organize", "options": {"renameByName": dict(zip(("Field", "Last *"), panel.columns, strict=True))}},
        ]
    return made


def page() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
