"""What of a worker's metrics the overview shows, and how what several workers say becomes one figure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from streams.metrics import Metric


class Kind(Enum):
    """How a metric is shown and put together."""

    RATE = auto()  # a counter, as how much of it came in a second; of all workers together
    TOTAL = auto()  # a counter, as it stands; of all workers together
    SUM = auto()  # a gauge that adds up
    LARGEST = auto()  # a gauge of which the worst counts: one worker that leaves a provider alone is enough
    LATENCY = auto()  # a histogram, as quantiles over the buckets of all workers


@dataclass(frozen=True, slots=True)
class Series:
    """One plot or figure: `by` are the labels that are kept, what differs in others is put together."""

    name: str
    metric: str
    kind: Kind
    by: tuple[str, ...] = ()


SERIES = (
    Series("events", Metric.EVENTS_TOTAL, Kind.RATE, ("decision",)),
    Series("sends", Metric.SENDS_TOTAL, Kind.RATE, ("provider", "outcome")),
    Series("ended", Metric.ENDED_TOTAL, Kind.RATE, ("state",)),
    Series("retries", Metric.RETRIES_TOTAL, Kind.RATE),
    Series("event_to_admitted", Metric.EVENT_TO_ADMITTED_SECONDS, Kind.LATENCY),
    Series("admitted_to_claimed", Metric.ADMITTED_TO_CLAIMED_SECONDS, Kind.LATENCY),
    Series("claimed_to_accepted", Metric.CLAIMED_TO_ACCEPTED_SECONDS, Kind.LATENCY),
    Series("lag", Metric.LAG_RECORDS, Kind.SUM, ("stage",)),
    Series("lag_seconds", Metric.LAG_SECONDS, Kind.LARGEST, ("stage",)),
    Series("slots", Metric.SLOTS, Kind.SUM),
    Series("schedule", Metric.SCHEDULE_TOTAL, Kind.RATE, ("event",)),
    Series("pending", Metric.SCHEDULE_PENDING, Kind.SUM, ("kind",)),
    Series("schedule_difference", Metric.SCHEDULE_LEDGER_DIFFERENCE, Kind.SUM, ("against",)),
    Series("lateness", Metric.SCHEDULE_LATENESS_SECONDS, Kind.LATENCY),
    Series("breakers", Metric.PROVIDER_BREAKER_OPEN, Kind.LARGEST, ("service",)),
    Series("in_flight", Metric.PROVIDER_IN_FLIGHT, Kind.SUM, ("service",)),
    Series("places", Metric.PROVIDER_PLACES, Kind.SUM, ("service",)),
    Series("answer_seconds", Metric.PROVIDER_ANSWER_SECONDS, Kind.LARGEST, ("service",)),
    Series("dead_letters", Metric.DEAD_LETTERS_TOTAL, Kind.RATE, ("stage",)),
    Series("letters_total", Metric.DEAD_LETTERS_TOTAL, Kind.TOTAL),
    Series("letters_paused", Metric.DEAD_LETTERS_PAUSED, Kind.SUM, ("stage",)),
    Series("profile_lookups", Metric.PROFILE_LOOKUPS_TOTAL, Kind.RATE, ("outcome",)),
    Series("profile_breaker", Metric.PROFILE_BREAKER_OPEN, Kind.LARGEST),
    Series("broadcasts", Metric.BROADCAST_UNFINISHED, Kind.SUM, ("state",)),
    Series("broadcast_users", Metric.BROADCAST_USERS_TOTAL, Kind.RATE, ("event",)),
    Series("broadcast_difference", Metric.BROADCAST_LEDGER_DIFFERENCE, Kind.SUM),
    Series("device_changes", Metric.DEVICE_CHANGES_TOTAL, Kind.RATE, ("change",)),
    Series("violations", Metric.AUDIT_VIOLATIONS_TOTAL, Kind.TOTAL, ("promise",)),
    Series("audited", Metric.AUDIT_STATUSES_TOTAL, Kind.TOTAL),
    Series("overdue", Metric.AUDIT_OVERDUE, Kind.SUM),
    Series("templates_refused", Metric.TEMPLATES_REFUSED_TOTAL, Kind.TOTAL),
)
