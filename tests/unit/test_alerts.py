"""Alerts, runbook and dashboard name what there is: metrics, sections, labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.metrics import Kind, Metric

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "ringonce.json").read_text(encoding="utf-8"))
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])
]
NAMED = {str(metric): metric for metric in Metric}
SERIES = {"ALERTS", "up"} | {
    name
    for metric in Metric
    for name in (
        [f"{metric}_bucket", f"{metric}_count", f"{metric}_sum"] if metric.kind is Kind.HISTOGRAM else [str(metric)]
    )
}


def _series(expression: str) -> set[str]:
    """What an expression selects: names before a selector, a range or the end of a call."""
    bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"|\[[^\]]*\]", " ", expression)
    return set(re.findall(r"\b(?:ringonce|process)_\w+|\bALERTS\b|\bup\b", bare))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_series_that_is_asked_for_exists(expression: str) -> None:
    """A metric that is renamed takes its panels and alerts along, or this fails."""
    assert _series(expression), expression
    assert _series(expression) <= SERIES


def _labels(expression: str) -> Iterator[tuple[str, set[str]]]:
    for name, matchers in re.findall(r"((?:ringonce|process)_\w+)\{([^}]*)\}", expression):
        yield name, set(re.findall(r"(\w+)\s*[=!]", matchers))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_label_that_is_matched_exists(expression: str) -> None:
    """A label that is gone would select nothing, and an alert would be silent for ever."""
    for name, labels in _labels(expression):
        metric = NAMED.get(name) or NAMED[re.sub(r"_(bucket|count|sum)$", "", name)]
        assert labels <= {*metric.labels, "le", "job", "instance"}, name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """How urgent it is, what it means, and a section of the runbook with all three parts."""
    assert rule["labels"]["severity"] in ("page", "ticket")
    annotations = rule["annotations"]
    assert annotations["summary"] and annotations["description"].endswith(".")
    page, anchor = annotations["runbook_url"].split("#")
    assert anchor == rule["alert"].lower()
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S))
    for part in ("*Means:*", "*Look:*", "*Do:*"):
        assert part in sections[rule["alert"]]


def test_the_runbook_has_no_section_without_an_alert() -> None:
    """What is gone from the rules is gone from the page."""
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (\S+)$", text, re.M)) == {rule["alert"] for rule in RULES}


def test_the_runbook_names_what_there_is() -> None:
    """Metrics, panels and settings that it sends people to exist."""
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(ringonce_\w+)`", text)) <= {*map(str, Metric)}
    titles = {panel["title"].rstrip("?") for panel in DASHBOARD["panels"]}
    text = re.sub(r"\*(Means|Look|Do):\*", "", text)
    named = {name.rstrip("?") for name in re.findall(r"\*([^*:\n]+)\*", text)}
    assert len(named) > 5
    assert {name for name in named if not any(title.startswith(name) for title in titles)} == set()
