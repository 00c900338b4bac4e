"""The first row: one panel for each of three questions. Is it healthy, how late is it, who is failing.

What is shown first must not depend on the zoom: five minutes, whatever the range. And nothing may look well only
because there is nothing to be seen: without a worker that is ready it is not healthy, and where nothing was accepted no
time is shown.
"""

from __future__ import annotations

from scripts.dashboard.panel import Panel, Row

FIRING = 'ALERTS{alertname=~"Ringonce.*",alertstate="firing"}'
PAGES = 'ALERTS{alertname=~"Ringonce.*",alertstate="firing",severity="page"}'
NOBODY = "absent(ringonce_ready == 1)"
NOT_BULK = '{topic!~".*outbox-bulk"}'
ACCEPTED = "sum(rate(ringonce_claimed_to_accepted_seconds_count[5m])) > 0"
WITHIN = " + ".join(
    f"(histogram_quantile(0.99, sum by (le) (rate({metric}_bucket{match}[5m]))) >= 0 or vector(0))"
    for metric, match in (
        ("ringonce_event_to_admitted_seconds", ""),
        ("ringonce_admitted_to_claimed_seconds", '{priority!="bulk"}'),
        ("ringonce_claimed_to_accepted_seconds", ""),
    )
)
BAD = ((None, "red"),)
LATE = ((None, "green"), (10, "orange"), (60, "red"))

FIRST_ROW = Row(
    "Is it healthy? How late is it? Who is failing?",
    (
        Panel(
            "Is it healthy?",
            "No: an alert wants a person now (severity page), or no worker is ready.",
            ((f"(count({PAGES}) or vector(0)) + ({NOBODY} or vector(0))", "reasons why not"),),
            kind="stat",
            width=3,
            steps=((None, "green"), (1, "red")),
            words=(("0", "yes", "green"),),
            otherwise="NO",
        ),
        Panel(
            "Alerts",
            "What fires: `page` wants a person now, `ticket` in the next days. docs/runbook.md has a section for each.",
            (
                (f"count by (alertname, severity) ({FIRING})", "{{alertname}} ({{severity}})"),
                (NOBODY, "no worker is ready"),
            ),
            kind="table",
            width=5,
            steps=BAD,
            empty="none",
            columns=("what", "how many"),
        ),
        Panel(
            "Workers ready",
            "Of those that are scraped, and promises that the audit has seen broken (must stay 0).",
            (
                ("sum(ringonce_ready) or vector(0)", "ready"),
                ('count(up{job="ringonce"}) or vector(0)', "known"),
                ("sum(ringonce_audit_violations_total)", "broken promises"),
            ),
            kind="stat",
            width=3,
            overrides=(
                ("ready", ((None, "red"), (1, "green"))),
                ("broken promises", ((None, "green"), (1, "red"))),
            ),
        ),
        Panel(
            "How late is it?",
            "Within this time 99 % of events are accepted by a provider, over five minutes (the sum of the steps' "
            "percentiles), where any are; and the age of the oldest record that waits. Bulk counts for neither.",
            (
                (f"({WITHIN}) and on() ({ACCEPTED})", "99 % within"),
                (f"max(ringonce_lag_seconds{NOT_BULK})", "oldest waits"),
                ("max(ringonce_schedule_overdue_seconds)", "schedule overdue"),
            ),
            kind="stat",
            unit="s",
            width=6,
            steps=LATE,
            empty="not known",
        ),
        Panel(
            "Who is failing?",
            "What was not accepted in five minutes, a second, by provider and its own word; services that are left "
            "alone; stages that give up records; workers.",
            (
                (
                    # A series that is new has no rate yet: what it counts is what has failed.
                    "topk(10, sum by (provider, outcome, reason) "
                    "((ringonce_sends_failed_total unless ringonce_sends_failed_total offset 5m) / 300 "
                    "or rate(ringonce_sends_failed_total[5m])) > 0)",
                    "{{provider}} {{outcome}}: {{reason}}",
                ),
                ("max by (service) (ringonce_provider_breaker_open) > 0", "{{service}}: left alone"),
                ("max(ringonce_profile_breaker_open) > 0", "user service: left alone"),
                ("max(ringonce_history_down) > 0", "history: its database cannot be used"),
                ("sum by (stage) (rate(ringonce_dead_letters_total[5m])) > 0", "dead letters of {{stage}}"),
                ('up{job="ringonce"} == 0', "{{instance}}: does not answer"),
                ("ringonce_ready == 0", "{{instance}}: not ready"),
                ("max_over_time(ringonce_restarts[5m]) >= 3", "{{instance}}: starts anew again and again"),
            ),
            kind="table",
            width=7,
            steps=BAD,
            empty="nobody",
            columns=("who", "how much"),
        ),
    ),
    height=7,
)
