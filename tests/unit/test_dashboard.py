"""The dashboard: what is written is what the code says, and its first row can be read by somebody who never saw it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.dashboard.grafana import page

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "grafana" / "ringonce.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
TITLE, *FIRST_ROW = DASHBOARD["panels"][:6]
GREEN, ORANGE, RED = "green", "orange", "red"


def test_the_dashboard_is_fresh() -> None:
    """deploy/grafana/ringonce.json is what `make docs` would write."""
    assert FILE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_first_row_asks_the_three_questions() -> None:
    """Whoever opens it sees, before anything else: is it healthy, how late is it, who is failing."""
    assert TITLE["type"] == "row"
    asked = [panel["title"] for panel in FIRST_ROW if panel["title"].endswith("?")]
    assert asked == ["Is it healthy?", "How late is it?", "Who is failing?"]
    assert {panel["gridPos"]["y"] for panel in FIRST_ROW} == {1}
    assert sum(panel["gridPos"]["w"] for panel in FIRST_ROW) == 24, "nothing else beside it"


def _steps(thresholds: dict[str, Any]) -> list[tuple[float | None, str]]:
    return [(step["value"], step["color"]) for step in thresholds["steps"]]


def test_the_first_row_answers_in_words_units_and_colours() -> None:
    """Yes in green and NO in red; seconds that turn orange and red; names in red, and `nobody` where there are none."""
    panels = {panel["title"]: panel for panel in FIRST_ROW}
    shown = {title: panel["fieldConfig"]["defaults"] for title, panel in panels.items()}
    healthy, late, failing = (shown[title] for title in ("Is it healthy?", "How late is it?", "Who is failing?"))
    value, other = healthy["mappings"]
    assert value == {"type": "value", "options": {"0": {"text": "yes", "color": GREEN}}}
    assert other["options"] == {"from": 1, "to": None, "result": {"text": "NO", "color": RED}}
    assert late["unit"] == "s"
    assert _steps(late["thresholds"]) == [(None, GREEN), (10, ORANGE), (60, RED)]
    assert [each["legendFormat"] for each in panels["How late is it?"]["targets"]][:2] == [
        "99 % within",
        "oldest waits",
    ]
    assert _steps(failing["thresholds"]) == [(None, RED)]
    assert (failing["noValue"], shown["Alerts"]["noValue"]) == ("nobody", "none")
    overrides = {each["matcher"]["options"]: each for each in panels["Workers ready"]["fieldConfig"]["overrides"]}
    assert _steps(overrides["ready"]["properties"][0]["value"]) == [(None, RED), (1, GREEN)]
    assert _steps(overrides["broken promises"]["properties"][0]["value"]) == [(None, GREEN), (1, RED)]
    for panel in FIRST_ROW:
        assert panel["description"].endswith("."), "what it shows, for whoever points at it"
        assert all(target["instant"] for target in panel["targets"])
        assert "$__rate_interval" not in str(panel["targets"]), "what is shown first does not depend on the zoom"


def test_no_panel_lies_over_another() -> None:
    """Each has its own place in the grid of 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
