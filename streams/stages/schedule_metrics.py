"""What schedule shows of itself: read from its deciders when somebody asks, so that a step pays next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Buckets, Metric, counter, gauge, histogram
from streams.policies.scheduling import Counts

LATENESS_BOUNDS_MS: Final = (5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 60_000, 3_600_000)
EVENTS: Final = (
    "scheduled",
    "released",
    "cancelled",
    "expired",
    "moved",
    "duplicates",
    "retries_taken",
    "retries_released",
)


class Ledgered(Protocol):
    """The part of a decider that is shown."""

    counts: Counts
    rows_difference: int

    @property
    def next_due_at(self) -> int | None:
        """When the next notification is due."""


class ScheduleCollector(Collector):
    """Shows the ledgers of all partitions that this worker has right now.

    The counts are those of the partition since it began: they go on where an earlier owner left off.
    """

    def __init__(
        self, ledgers: Callable[[], Mapping[int, Ledgered]], lateness: Buckets, now_ms: Callable[[], int]
    ) -> None:
        self._ledgers = ledgers
        self._lateness = lateness
        self._now_ms = now_ms

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        pending, total = gauge(Metric.SCHEDULE_PENDING), counter(Metric.SCHEDULE_TOTAL)
        difference, overdue = gauge(Metric.SCHEDULE_LEDGER_DIFFERENCE), gauge(Metric.SCHEDULE_OVERDUE_SECONDS)
        now = self._now_ms()
        for partition, ledger in sorted(self._ledgers().items()):
            labels, counts = [str(partition)], ledger.counts
            pending.add_metric([*labels, "notification"], counts.pending)
            pending.add_metric([*labels, "retry"], counts.retries_pending)
            for event in EVENTS:
                total.add_metric([*labels, event], getattr(counts, event))
            difference.add_metric([*labels, "counts"], counts.difference())
            difference.add_metric([*labels, "rows"], ledger.rows_difference)
            due_at = ledger.next_due_at
            overdue.add_metric(labels, 0.0 if due_at is None else max(0, now - due_at) / 1000)
        lateness = histogram(Metric.SCHEDULE_LATENESS_SECONDS)
        self._lateness.show(lateness)
        return pending, total, difference, overdue, lateness
