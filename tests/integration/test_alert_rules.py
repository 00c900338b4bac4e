"""Each alert fires for what it is meant for and for nothing less, as promtool evaluates the rules."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.integration.required_tools import tool

ROOT = Path(__file__).parents[2]
RULES_FILE = ROOT / "deploy" / "prometheus" / "alerts.yml"
GROUPS = yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))["groups"]
ALERTS = [rule["alert"] for group in GROUPS for rule in group["rules"]]
MINUTES = 40


class Case(NamedTuple):
    """Series that make an alert fire, and others that are close to it and do not: (series, values by the minute)."""

    fires: dict[str, str]
    quiet: dict[str, str]


def flat(value: float) -> str:
    """The same all the time."""
    return f"{value}+0x{MINUTES}"


def rising(per_minute: float) -> str:
    """A counter."""
    return f"0+{per_minute}x{MINUTES}"


def buckets(name: str, labels: str, slow_per_minute: float, bound: str) -> dict[str, str]:
    """A histogram with 100 quick ones a minute, and some beyond a bound."""
    return {
        f'{name}_bucket{{{labels}le="0.1"}}': rising(100),
        f'{name}_bucket{{{labels}le="{bound}"}}': rising(100),
        f'{name}_bucket{{{labels}le="3600"}}': rising(100 + slow_per_minute),
        f'{name}_bucket{{{labels}le="+Inf"}}': rising(100 + slow_per_minute),
    }


def slow(name: str, labels: str, bound: str, never: str | None = None) -> Case:
    """A histogram of which 1 % must be beyond the bound. `never`: labels under which it says nothing."""
    quiet = buckets(name, labels, 0.5, bound)
    return Case(buckets(name, labels, 5, bound), quiet if never is None else buckets(name, never, 50, bound))


SENDS = "ringonce_sends_total"
FCM = 'provider="fcm",outcome='
CASES: dict[str, Case] = {
    "RingoncePromiseBroken": Case(
        {'ringonce_audit_violations_total{promise="P1"}': f"0x5 1x{MINUTES}"},
        {'ringonce_audit_violations_total{promise="P1"}': flat(0)},
    ),
    "RingonceLedgerDiffers": Case(
        {'ringonce_broadcast_ledger_difference{partition="3"}': flat(-1)},
        {'ringonce_schedule_ledger_difference{partition="3",against="rows"}': f"0x5 1 0x{MINUTES}"},
    ),
    "RingonceWorkerDown": Case(
        {'up{job="ringonce",instance="a"}': flat(0)},
        {'up{job="ringonce",instance="a"}': flat(1), 'up{job="another"}': flat(0)},
    ),
    "RingonceNotReady": Case(
        {'ringonce_ready{instance="a"}': flat(0)}, {'ringonce_ready{instance="a"}': f"0x4 1x{MINUTES}"}
    ),
    "RingonceRestarting": Case(
        {"ringonce_restarts": f"3 {'_ ' * 3}4 {'_ ' * 3}" * (MINUTES // 8)},  # three scrapes of four find nobody
        {"ringonce_restarts": flat(2)},
    ),
    "RingonceClockSkew": Case(
        {"ringonce_clock_offset_seconds": flat(-1.3), "ringonce_clock_offset_max_seconds": flat(2.5)},
        {"ringonce_clock_offset_seconds": flat(1.2), "ringonce_clock_offset_max_seconds": flat(2.5)},
    ),
    "RingonceLag": Case(
        {'ringonce_lag_seconds{stage="deliver",topic="x-outbox",partition="1"}': flat(61)},
        {
            'ringonce_lag_seconds{stage="deliver",topic="x-outbox",partition="1"}': flat(59),
            'ringonce_lag_seconds{stage="deliver",topic="x-outbox-bulk",partition="1"}': flat(6_000),
        },
    ),
    "RingonceLagGrows": Case(
        {'ringonce_lag_records{stage="suppress",topic="notifications",partition="1"}': rising(1_000)},
        {
            'ringonce_lag_records{stage="suppress",topic="notifications",partition="1"}': f"90000-1000x{MINUTES}",
            'ringonce_lag_records{stage="deliver",topic="outbox-bulk",partition="1"}': rising(1_000),
        },
    ),
    "RingonceAdmissionSlow": slow("ringonce_event_to_admitted_seconds", "", "30"),
    "RingonceSendingSlow": slow(
        "ringonce_admitted_to_claimed_seconds", 'priority="normal",', "30", never='priority="bulk",'
    ),
    "RingonceProviderSlow": slow("ringonce_claimed_to_accepted_seconds", 'provider="apns",', "10"),
    "RingonceReleasesLate": Case(
        {'ringonce_schedule_overdue_seconds{partition="0"}': flat(61)},
        {'ringonce_schedule_overdue_seconds{partition="0"}': f"0 90 0x{MINUTES}"},
    ),
    "RingonceCommitsSlow": slow("ringonce_commit_seconds", 'stage="deliver",', "2.5"),
    "RingonceDeadLetters": Case(
        {'ringonce_dead_letters_total{stage="suppress",partition="0"}': rising(2)},
        {'ringonce_dead_letters_total{stage="suppress",partition="0"}': rising(0.5)},
    ),
    "RingonceDeadLettersPaused": Case(
        {'ringonce_dead_letters_paused{stage="deliver",partition="0"}': flat(1)},
        {'ringonce_dead_letters_paused{stage="deliver",partition="0"}': flat(0)},
    ),
    "RingonceRetrySpike": Case(
        {'ringonce_retries_total{type="x"}': rising(30), f'{SENDS}{{{FCM}"accepted"}}': rising(100)},
        {'ringonce_retries_total{type="x"}': rising(10), f'{SENDS}{{{FCM}"accepted"}}': rising(100)},
    ),
    "RingonceUnknownShare": Case(
        {f'{SENDS}{{{FCM}"unknown"}}': rising(2), f'{SENDS}{{{FCM}"accepted"}}': rising(100)},
        {f'{SENDS}{{{FCM}"unknown"}}': rising(2), f'{SENDS}{{{FCM}"accepted"}}': rising(1_000)},
    ),
    "RingonceProviderBreakerOpen": Case(
        {'ringonce_provider_breaker_open{service="fcm"}': flat(1)},
        {'ringonce_provider_breaker_open{service="fcm"}': flat(0)},
    ),
    "RingonceUserServiceFails": Case(
        {"ringonce_profile_breaker_open": flat(1)}, {"ringonce_profile_breaker_open": f"1 0x{MINUTES}"}
    ),
    "RingonceTemplatesRefused": Case(
        {'ringonce_templates_refused_total{source="topic"}': f"0x10 1x{MINUTES}"},
        {'ringonce_templates_refused_total{source="topic"}': flat(3)},
    ),
    "RingonceHistoryDown": Case({"ringonce_history_down": flat(1)}, {"ringonce_history_down": f"1 1 0x{MINUTES}"}),
    "RingonceAuditLogLost": Case(
        {"ringonce_audit_log_lost_total": f"0x10 1x{MINUTES}"}, {"ringonce_audit_log_lost_total": flat(3)}
    ),
    "RingonceAuditOverwhelmed": Case(
        {"ringonce_audit_passed_over_total": f"0x10 200000x{MINUTES}"}, {"ringonce_audit_passed_over_total": flat(7)}
    ),
}


def test_every_alert_is_tested() -> None:
    """None without series that it fires for, and series that it is silent for."""
    assert set(CASES) == set(ALERTS)


def test_the_rules_and_the_settings_of_prometheus_are_sound() -> None:
    """promtool reads both."""
    promtool = tool("promtool", "prometheus")
    for command, name in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        command_line = [promtool, "check", command, name]
        done = subprocess.run(
            command_line, cwd=RULES_FILE.parent, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def document(alert: str, series: dict[str, str], firing: int) -> dict[str, Any]:
    """A test of promtool: so many are firing at the end."""
    expression = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    return {
        "rule_files": [str(RULES_FILE)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": expression,
                        "eval_time": f"{MINUTES - 10}m",
                        "exp_samples": [{"labels": "{}", "value": firing}],
                    }
                ],
            }
        ],
    }


def test_no_worker_at_all_is_a_worker_that_is_down(tmp_path: Path) -> None:
    """Where targets are discovered, those that are gone have no series that could be 0."""
    promtool = tool("promtool", "prometheus")
    file = tmp_path / "nobody.yml"
    file.write_text(yaml.safe_dump(document("RingonceWorkerDown", {'up{job="x"}': flat(1)}, 1)), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_it_fires_and_it_is_silent(alert: str, tmp_path: Path) -> None:
    """Half an hour of series on both sides of its threshold."""
    promtool = tool("promtool", "prometheus")
    case = CASES[alert]
    for name, series, firing in (("fires", case.fires, 1), ("quiet", case.quiet, 0)):
        file = tmp_path / f"{name}.yml"
        file.write_text(yaml.safe_dump(document(alert, series, firing)), encoding="utf-8")
        done = subprocess.run(
            [promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
