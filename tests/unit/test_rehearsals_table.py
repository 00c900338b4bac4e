"""No alert without a rehearsal: the table, the rules, the runbook and the page of what was measured agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.rehearsals.page import PAGE, measured, page
from tests.rehearsals.table import REHEARSALS

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.M | re.S))


def test_every_alert_is_rehearsed() -> None:
    """A new alert wants a fault, and one that is gone takes its rehearsal along."""
    assert list(REHEARSALS) == ALERTS


@pytest.mark.parametrize("alert", REHEARSALS)
def test_its_day_has_it_and_the_runbook_has_its_step(alert: str) -> None:
    """The day waits for the alert by name, and what is done then is what the section says."""
    day, _, step = REHEARSALS[alert]
    source = (ROOT / "tests" / "rehearsals" / f"{day}_day.py").read_text(encoding="utf-8")
    assert f'"{alert}"' in source
    section = re.sub(r"\s+", " ", SECTIONS[alert]).lower()
    assert step.lower() in section, f"docs/runbook.md does not say “{step}” under {alert}"


def test_the_page_has_what_was_measured_of_every_alert() -> None:
    """docs/rehearsals.md is what `make rehearse` has written, for all of them."""
    written = PAGE.read_text(encoding="utf-8")
    seconds = measured(written)
    assert list(seconds) == ALERTS
    assert all(re.fullmatch(r"\d+ s", each) for pair in seconds.values() for each in pair), "run `make rehearse`"
    assert written == page(written, seconds), "run `make rehearse`"
