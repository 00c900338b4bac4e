"""What does it: workers and Kafka, and the promise that is looked at all the time."""

from __future__ import annotations

from scripts.dashboard.panel import Panel, Row, quantile

WORKERS = Row(
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
            ((quantile(0.99, "ringonce_commit_seconds", "stage"), "{{stage}}"),),
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
)
PROMISE = Row(
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
)
