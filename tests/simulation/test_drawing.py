"""The diagrams of docs/concepts.md show what the stages do."""

from __future__ import annotations

import re
from pathlib import Path

from tests.simulation.drawing import draw, stages_diagram, states_diagram

PAGE = Path(__file__).parents[2] / "docs" / "concepts.md"


def _drawn_on_the_page(name: str) -> set[str]:
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- drawn: {name} -->\n```mermaid\n(.*?)\n```\n<!-- end -->", text, flags=re.DOTALL)
    return {line.strip() for line in block.splitlines()}


def test_what_worlds_do_is_on_the_page() -> None:
    """Every arrow that a few worlds draw is there: a stage that does something new makes the page stale."""
    drawn = draw(range(1, 5))
    assert set(map(str.strip, stages_diagram(drawn).splitlines())) <= _drawn_on_the_page("stages"), "run `make docs`"
    arrows = {line.strip().partition(":")[0] for line in states_diagram(drawn).splitlines()}
    assert arrows <= {line.partition(":")[0] for line in _drawn_on_the_page("states")}, "run `make docs`"
    assert len(arrows) > 15
