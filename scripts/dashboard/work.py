"""What is done: events, how late they are, providers, what waits."""

from __future__ import annotations

from scripts.dashboard.panel import Panel, Row, quantile, rate

EVENTS = Row(
    "What comes in and what becomes of it",
    (
        Panel(
            "Events by decision",
            "What suppress decides.",
            ((rate("ringonce_events_total", "decision"), "{{decision}}"),),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Endings in deliver",
            "How admitted notifications end.",
            ((rate("ringonce_ended_total", "state"), "{{state}}"),),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Events by type",
            "Types that the types file names; all others are one.",
            ((f"topk(10, {rate('ringonce_events_total', 'type')})", "{{type}}"),),
            unit="ops",
        ),
    ),
)
LATENESS = Row(
    "How late, step by step",
    (
        Panel(
            "Event → admitted",
            "From when it is in Kafka to the decision.",
            tuple((quantile(q, "ringonce_event_to_admitted_seconds"), f"p{q * 100:g}") for q in (0.5, 0.99)),
            unit="s",
            width=6,
        ),
        Panel(
            "Admitted → claimed, 99 %",
            "In the outbox, waiting for its turn, a place at its provider, a profile.",
            ((quantile(0.99, "ringonce_admitted_to_claimed_seconds", "priority"), "{{priority}}"),),
            unit="s",
            width=6,
        ),
        Panel(
            "Claimed → accepted, 99 %",
            "The commit of the claim, and the provider.",
            ((quantile(0.99, "ringonce_claimed_to_accepted_seconds", "provider"), "{{provider}}"),),
            unit="s",
            width=6,
        ),
        Panel(
            "Due → released",
            "How late schedule releases.",
            tuple((quantile(q, "ringonce_schedule_lateness_seconds"), f"p{q * 100:g}") for q in (0.5, 0.99)),
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
)
PROVIDERS = Row(
    "Providers",
    (
        Panel(
            "Sends by provider and outcome",
            "Attempts, one for each device.",
            ((rate("ringonce_sends_total", "provider, outcome"), "{{provider}} {{outcome}}"),),
            unit="ops",
        ),
        Panel(
            "UNKNOWN",
            "The share of sends of which nobody knows whether they arrived. It counts as sent.",
            (
                (
                    rate("ringonce_sends_total", "provider", '{outcome="unknown"}')
                    + f" / {rate('ringonce_sends_total', 'provider')}",
                    "{{provider}}",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            "Retries",
            "Attempts that were put off to a later one, by type.",
            ((rate("ringonce_retries_total", "type"), "{{type}}"),),
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
)
KEPT = Row(
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
            ((rate("ringonce_dead_letters_total", "stage"), "{{stage}}"),),
            unit="ops",
        ),
        Panel(
            "Broadcasts",
            "That have not ended, and users told a second.",
            (
                ("sum by (state) (ringonce_broadcast_unfinished)", "{{state}}"),
                (rate("ringonce_broadcast_users_total", "event"), "users {{event}}"),
            ),
        ),
        Panel(
            "User service",
            "Lookups by outcome, and requests.",
            (
                (rate("ringonce_profile_lookups_total", "outcome"), "{{outcome}}"),
                ("sum(rate(ringonce_profile_requests_total[$__rate_interval]))", "requests"),
            ),
            unit="ops",
        ),
        Panel(
            "History",
            "Statuses that a worker has written into it a second, and 1 where its database cannot be used.",
            (
                ("sum(rate(ringonce_history_written_total[$__rate_interval]))", "written"),
                ("max(ringonce_history_down)", "down"),
            ),
        ),
        Panel(
            "Refused requests",
            "By status, and entries of the audit log that could not be written.",
            (
                (rate("ringonce_http_refused_total", "status"), "{{status}}"),
                ("sum(rate(ringonce_audit_log_lost_total[$__rate_interval]))", "not in the audit log"),
            ),
            unit="ops",
        ),
    ),
)
