"""A real Prometheus scrapes a running worker: rehearsed faults make alerts fire, and the runbook's steps mend them.

The rules are those of deploy/prometheus/alerts.yml, made faster as tests/rehearsals/prometheus_server.py says.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.rehearsals import short_day
from tests.rehearsals.prometheus_server import RULES_FILE, scaled
from tests.rehearsals.rehearsal import Stage, stage
from tests.rehearsals.shown import PANELS, panels_without_data, shown
from tests.rehearsals.table import REHEARSALS


def test_the_rules_are_scaled_as_a_whole() -> None:
    """No duration stays as it is, and nothing else is another."""
    before = RULES_FILE.read_text(encoding="utf-8")
    rules = scaled(before)
    assert not re.search(r"\[\d+m\]|for: \d+m", rules)
    assert "for: 2s" in rules and "[20s]" in rules
    durations = r"for: \d+[ms]|\[\d+[ms]\]"
    assert re.sub(durations, "", rules) == re.sub(durations, "", before)


def while_well(made: Stage) -> None:
    """What the first row says of a system that is well."""
    (healthy,) = shown(made.server, "Is it healthy?").values()
    assert (healthy.text, healthy.colour) == ("yes", "green")
    assert shown(made.server, "Alerts") == {}
    workers = shown(made.server, "Workers ready")
    assert {name: (line.value, line.colour) for name, line in workers.items()} == {
        "ready": (1, "green"),
        "known": (1, "green"),
        "broken promises": (0, "green"),
    }
    late = shown(made.server, "How late is it?")
    assert set(late) == {"99 % within", "oldest waits", "schedule overdue"}
    assert {line.colour for line in late.values()} == {"green"}
    assert shown(made.server, "Who is failing?") == {}
    assert PANELS["Who is failing?"]["fieldConfig"]["defaults"]["noValue"] == "nobody"


def at_the_worst(made: Stage) -> None:
    """What it says when FCM and the user service are down and the others throttle: who, by name, and nobody else."""
    (healthy,) = shown(made.server, "Is it healthy?").values()
    assert (healthy.text, healthy.colour) == ("NO", "red")
    assert {"RingonceProviderBreakerOpen (page)", "RingonceUserServiceFails (ticket)"} <= set(
        shown(made.server, "Alerts")
    )
    failing = shown(made.server, "Who is failing?")
    assert {"fcm: left alone", "user service: left alone", "fcm unknown: UNAVAILABLE"} <= set(failing)
    assert {line.colour for line in failing.values()} == {"red"}
    assert not [name for name in failing if "unknown" in name and not name.startswith("fcm")], "only FCM said 503"
    assert not [name for name in failing if name.startswith(made.address)], "the worker is well"


def every_panel_shows_something(made: Stage) -> None:
    """No query of the dashboard finds nothing, while much has failed, refused requests included."""
    stranger = httpx.get(f"http://{made.address}/slots/ada/any", headers={"Host": "elsewhere.example"}, trust_env=False)
    assert stranger.status_code == 421, "so that there are refused requests to show"
    assert panels_without_data(made.server) == []


def while_nobody_works(made: Stage) -> None:
    """A worker that is gone is nothing that looks well: it is named, and no time is shown in green."""
    (healthy,) = shown(made.server, "Is it healthy?").values()
    assert (healthy.text, healthy.colour) == ("NO", "red")
    assert shown(made.server, "Workers ready")["ready"].colour == "red"
    assert f"{made.address}: does not answer" in shown(made.server, "Who is failing?")
    assert {"no worker is ready", "RingonceWorkerDown (page)"} <= set(shown(made.server, "Alerts"))


@pytest.mark.timeout(400)
def test_a_short_day_of_faults(tmp_path: Path) -> None:
    """Each alert of the short day fires for its fault and is over after the runbook's step; then all is well."""
    with stage(tmp_path, short_day.SETTINGS, short_day.TYPES) as made:
        short_day.play(
            made, short_day.Looks([while_well], [at_the_worst, every_panel_shows_something], [while_nobody_works])
        )
        expected = {alert for alert, rehearsal in REHEARSALS.items() if rehearsal.day == "short"}
        assert set(made.rehearsed) >= expected
        assert not [alert for alert in expected if made.rehearsed[alert].resolved_seconds is None]
