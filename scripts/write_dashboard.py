"""Write deploy/grafana/ringonce.json from the rows below, so that a change of it can be read.

The first row answers three questions, each with one panel: is it healthy, how late is it, who is failing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "deploy" / "grafana" / "ringonce.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24

Kind = Literal["stat", "timeseries", "table"]
Step = tuple[float | None, str]


@dataclass(frozen=True)
class Panel:
    """A panel: its queries, each with the legend of its series. `steps`: from which value on it has which colour.

    `empty`: what it says where there is nothing to show.
    """

    title: str
    text: str
    queries: tuple[tuple[str, str], ...]
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 8
    steps: tuple[Step, ...] = ((None, "green"),)
    empty: str = ""
    words: tuple[tuple[str, str, str], ...] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """Panels side by side under a title; `height` in units of Grafana's grid."""

    title: str
    panels: tuple[Panel, ...]
    height: int = 8


def _quantile(quantile: float, metric: str, by: str = "", match: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({labels}) (rate({metric}_bucket{match}[$__rate_interval])))"


def _rate(metric: str, by: str, match: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{match}[$__rate_interval]))"


NOT_BULK = '{topic!~".*outbox-bulk"}'
# What is shown first must not depend on the zoom: five minutes, whatever the range.
WITHIN = " + ".join(
    f"(histogram_quantile(0.99, sum by (le) (rate({metric}_bucket{match}[5m]))) >= 0 or vector(0))"
    for metric, match in (
        ("ringonce_event_to_admitted_seconds", ""),
        ("ringonce_admitted_to_claimed_seconds", '{priority!="bulk"}'),
        ("ringonce_claimed_to_accepted_seconds", ""),
    )
)

ROWS = (
    Row(
        "Is it healthy? How late is it? Who is failing?",
        (
            Panel(
                "Is it healthy?",
                "Alerts that want a person now (severity page); docs/runbook.md has a section for each.",
                (
                    (
                        'count(ALERTS{alertname=~"Ringonce.*",alertstate="firing",severity="page"}) or vector(0)',
                        "alerts",
                    ),
                ),
                kind="stat",
                width=5,
                steps=((None, "green"), (1, "red")),
                words=(("0", "healthy", "green"),),
            ),
            Panel(
                "Workers ready",
                "Of those that are scraped, and promises that the audit has seen broken (must stay 0).",
                (
                    ("sum(ringonce_ready)", "ready"),
                    ('count(up{job="ringonce"})', "known"),
                    ("sum(ringonce_audit_violations_total)", "broken promises"),
                ),
                kind="stat",
                width=4,
            ),
            Panel(
                "How late is it?",
                "Within this time 99 % of events are accepted by a provider, over five minutes (the sum of the "
                "steps' percentiles); and the age of the oldest record that waits. Bulk counts for neither.",
                (
                    (WITHIN, "99 % within"),
                    (f"max(ringonce_lag_seconds{NOT_BULK})", "oldest waits"),
                    ("max(ringonce_schedule_overdue_seconds)", "schedule overdue"),
                ),
                kind="stat",
                unit="s",
                width=7,
                steps=((None, "green"), (10, "orange"), (60, "red")),
            ),
            Panel(
                "Who is failing?",
                "What was not accepted in five minutes, a second, by provider and its own word; services whose breaker "
                "is open; stages that give up records. Empty: nobody.",
                (
                    (
                        "topk(10, sum by (provider, outcome, reason) (rate(ringonce_sends_failed_total[5m])) > 0)",
                        "{{provider}} {{outcome}}: {{reason}}",
                    ),
                    ("max by (service) (ringonce_provider_breaker_open) > 0", "{{service}}: left alone"),
                    ("sum by (stage) (rate(ringonce_dead_letters_total[5m])) > 0", "dead letters of {{stage}}"),
                ),
                kind="table",
                width=8,
                empty="nobody",
            ),
        ),
        height=7,
    ),
    Row(
        "What comes in and what becomes of it",
        (
            Panel(
                "Events by decision",
                "What suppress decides.",
                ((_rate("ringonce_events_total", "decision"), "{{decision}}"),),
                unit="ops",
                stacked=True,
            ),
            Panel(
                "Endings in deliver",
                "How admitted notifications end.",
                ((_rate("ringonce_ended_total", "state"), "{{state}}"),),
                unit="ops",
                stacked=True,
            ),
            Panel(
                "Events by type",
                "Types that the types file names; all others are one.",
                ((f"topk(10, {_rate('ringonce_events_total', 'type')})", "{{type}}"),),
                unit="ops",
            ),
        ),
    ),
    Row(
        "How late, step by step",
        (
            Panel(
                "Event → admitted",
                "From when it is in Kafka to the decision.",
                tuple((_quantile(q, "ringonce_event_to_admitted_seconds"), f"p{q * 100:g}") for q in (0.5, 0.99)),
                unit="s",
                width=6,
            ),
            Panel(
                "Admitted → claimed, 99 %",
                "In the outbox, waiting for its turn, a place at its provider, a profile.",
                ((_quantile(0.99, "ringonce_admitted_to_claimed_seconds", "priority"), "{{priority}}"),),
                unit="s",
                width=6,
            ),
            Panel(
                "Claimed → accepted, 99 %",
                "The commit of the claim, and the provider.",
                ((_quantile(0.99, "ringonce_claimed_to_accepted_seconds", "provider"), "{{provider}}"),),
                unit="s",
                width=6,
            ),
            Panel(
                "Due → released",
                "How late schedule releases.",
                tuple((_quantile(q, "ringonce_schedule_lateness_seconds"), f"p{q * 100:g}") for q in (0.5, 0.99)),
                unit="s",
                width=6,
            ),
            Panel(
                "Age of the oldest record, by topic",
                "Read and not worked on yet.",
                (("max by (stage, topic) (ringonce_lag_seconds)", "{{stage}} {{topic}}"),),
                unit="s",
                width=12,
            ),
            Panel(
                "Lag",
                "Offsets that are not committed, transaction markers included.",
                (("sum by (stage, topic) (ringonce_lag_records)", "{{stage}} {{topic}}"),),
                width=12,
            ),
        ),
    ),
    Row(
        "Providers",
        (
            Panel(
                "Sends by provider and outcome",
                "Attempts, one for each device.",
                ((_rate("ringonce_sends_total", "provider, outcome"), "{{provider}} {{outcome}}"),),
                unit="ops",
            ),
            Panel(
                "UNKNOWN",
                "The share of sends of which nobody knows whether they arrived. It counts as sent.",
                (
                    (
                        _rate("ringonce_sends_total", "provider", '{outcome="unknown"}')
                        + f" / {_rate('ringonce_sends_total', 'provider')}",
                        "{{provider}}",
                    ),
                ),
                unit="percentunit",
            ),
            Panel(
                "Retries",
                "Attempts that were put off to a later one, by type.",
                ((_rate("ringonce_retries_total", "type"), "{{type}}"),),
                unit="ops",
            ),
            Panel(
                "In flight, and places",
                "Pushes that were claimed and not answered, and how many there may be.",
                (
                    ("sum by (service) (ringonce_provider_in_flight)", "{{service}}"),
                    ("sum by (service) (ringonce_provider_places)", "{{service}} places"),
                ),
            ),
            Panel(
                "Answers",
                "How long providers take, on average.",
                (("max by (service) (ringonce_provider_answer_seconds)", "{{service}}"),),
                unit="s",
            ),
            Panel(
                "Breakers",
                "1: it fails and is left alone, or is being tried.",
                (
                    ("max by (service) (ringonce_provider_breaker_open)", "{{service}}"),
                    ("max(ringonce_profile_breaker_open)", "user service"),
                ),
            ),
        ),
    ),
    Row(
        "What waits, and what is kept",
        (
            Panel(
                "Scheduled",
                "Notifications that wait for their time, and retries.",
                (("sum by (kind) (ringonce_schedule_pending)", "{{kind}}"),),
            ),
            Panel("Slots", "Slots that are held or blocked.", (("sum(ringonce_slots)", "slots"),)),
            Panel(
                "Rows",
                "Local rows by table, standbys included, as RocksDB estimates them.",
                (("sum by (table) (ringonce_table_rows)", "{{table}}"),),
            ),
            Panel(
                "Dead letters",
                "By the stage that gave them up.",
                ((_rate("ringonce_dead_letters_total", "stage"), "{{stage}}"),),
                unit="ops",
            ),
            Panel(
                "Broadcasts",
                "That have not ended, and users told a second.",
                (
                    ("sum by (state) (ringonce_broadcast_unfinished)", "{{state}}"),
                    (_rate("ringonce_broadcast_users_total", "event"), "users {{event}}"),
                ),
            ),
            Panel(
                "User service",
                "Lookups by outcome, and requests.",
                (
                    (_rate("ringonce_profile_lookups_total", "outcome"), "{{outcome}}"),
                    ("sum(rate(ringonce_profile_requests_total[$__rate_interval]))", "requests"),
                ),
                unit="ops",
            ),
        ),
    ),
    Row(
        "Workers and Kafka",
        (
            Panel(
                "Partitions",
                "By worker; they move when workers come and go.",
                (('sum by (instance) (ringonce_partitions{stage="deliver"})', "{{instance}}"),),
                width=6,
            ),
            Panel(
                "Commits, 99 %",
                "How long Kafka takes for a transaction.",
                ((_quantile(0.99, "ringonce_commit_seconds", "stage"), "{{stage}}"),),
                unit="s",
                width=6,
            ),
            Panel(
                "CPU",
                "Cores in use.",
                (('rate(process_cpu_seconds_total{job="ringonce"}[$__rate_interval])', "{{instance}}"),),
                width=6,
            ),
            Panel(
                "Memory",
                "Resident.",
                (('process_resident_memory_bytes{job="ringonce"}', "{{instance}}"),),
                unit="bytes",
                width=6,
            ),
            Panel(
                "Recovery",
                "Changelog records still to be applied, and how long the last recovery took.",
                (
                    ("ringonce_recovery_remaining_records", "{{instance}} to go"),
                    ("ringonce_recovery_seconds", "{{instance}} seconds"),
                ),
                width=6,
            ),
            Panel(
                "Clock",
                "By how much it is off the broker's, at least.",
                (
                    ("ringonce_clock_offset_seconds", "{{instance}}"),
                    ("max(ringonce_clock_offset_max_seconds)", "limit"),
                ),
                unit="s",
                width=6,
            ),
            Panel(
                "Restarts",
                "In place, in a row.",
                (("ringonce_restarts", "{{instance}}"),),
                width=6,
            ),
            Panel(
                "Queued",
                "Records in memory that no step has taken.",
                (("sum by (stage) (ringonce_queued_records)", "{{stage}}"),),
                width=6,
            ),
        ),
    ),
    Row(
        "The promise, looked at all the time",
        (
            Panel(
                "Violations",
                "Anything but 0 is a mistake of ringonce, or of whoever else writes to its topics.",
                (("sum by (promise) (ringonce_audit_violations_total)", "{{promise}}"),),
            ),
            Panel(
                "Ledgers",
                "By how much they do not close; anything but 0 is a mistake.",
                (
                    ("max by (against) (abs(ringonce_schedule_ledger_difference))", "schedule, {{against}}"),
                    ("max(abs(ringonce_broadcast_ledger_difference))", "broadcasts"),
                ),
            ),
            Panel(
                "The audit",
                "Statuses looked at a second, and the part of all slots that is looked at.",
                (
                    ("sum(rate(ringonce_audit_statuses_total[$__rate_interval]))", "statuses"),
                    ("min(ringonce_audit_sample_ratio)", "share of slots"),
                ),
            ),
        ),
    ),
)


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


def _panel(panel: Panel) -> dict[str, Any]:
    instant = panel.kind != "timeseries"
    mappings = [
        {"type": "value", "options": {value: {"text": text, "color": colour}}} for value, text, colour in panel.words
    ]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": colour} for value, colour in panel.steps],
        },
        "mappings": mappings,
        "min": 0 if panel.title != "Clock" else None,
    }
    if panel.empty:
        defaults["noValue"] = panel.empty
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none"}
        defaults["custom"] = {"fillOpacity": 20 if panel.stacked else 0, "stacking": stacking, "showPoints": "never"}
    made: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
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
            "colorMode": "background" if panel.words or len(panel.steps) > 1 else "value",
            "textMode": "value_and_name" if len(panel.queries) > 1 else "value",
        }
    if panel.kind == "table":  # each series is one line: its legend, and how much
        made["transformations"] = [
            {"id": "reduce", "options": {"reducers": ["lastNotNull"], "labelsToFields": False}},
            {"id": "organize", "options": {"renameByName": {"Field": "who", "Last *": "a second"}}},
        ]
    return made


def page() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
