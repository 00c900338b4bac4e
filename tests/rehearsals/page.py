"""The table of docs/rehearsals.md, with what the last run of each day measured. What stands before it is by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.rehearsals.rehearsal import Rehearsed
from tests.rehearsals.table import REHEARSALS

PAGE = Path(__file__).parents[2] / "docs" / "rehearsals.md"
TABLE_HEAD = (
    "| Alert | Day | Fault | Fires after | Step of the runbook | Over after |\n| --- | --- | --- | --- | --- | --- |\n"
)
Seconds = tuple[str, str]


def measured(page: str) -> dict[str, Seconds]:
    """What a page says of each alert: when it fired, when it was over."""
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| .*? \| ([^|]*) \| .*? \| ([^|]*) \|$", page, re.M)
    return {alert: (fired, over) for alert, fired, over in rows}


def shown(rehearsed: Mapping[str, Rehearsed]) -> dict[str, Seconds]:
    """The same of what was rehearsed just now."""
    found = {}
    for alert, noted in rehearsed.items():
        assert noted.resolved_seconds is not None, f"{alert} was not seen to end"
        found[alert] = (f"{noted.fired_seconds:.0f} s", f"{noted.resolved_seconds:.0f} s")
    return found


def page(written: str, seconds: Mapping[str, Seconds]) -> str:
    """The page as it was written, with another table at its end."""
    rows = []
    for alert, (day, fault, step) in REHEARSALS.items():
        fired, over = seconds.get(alert, ("", ""))
        rows.append(f"| `{alert}` | {day} | {fault} | {fired} | “{step}” | {over} |\n")
    return written.partition("| Alert |")[0] + TABLE_HEAD + "".join(rows)
