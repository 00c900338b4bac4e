"""What schedule shows of itself: read from its deciders when somebody asks, so that a step pays next to nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from streams import metrics
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


class Lateness:
    """How long after its due time each notification was released, in buckets. One for all partitions of a worker."""

    __slots__ = ("counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENESS_BOUNDS_MS) + 1)
        self.sum_ms = 0

    def note(self, late_ms: int) -> None:
        """Note one release."""
        self.counts[bisect_left(LATENESS_BOUNDS_MS, late_ms)] += 1
        self.sum_ms += late_ms


class Ledgered(Protocol):
    """The part of a decider that is shown."""

    counts: Counts
    rows_difference: int


class ScheduleCollector(Collector):
    """Shows the ledgers of all partitions that this worker has right now.

    The counts are those of the partition since it began: they go on where an earlier owner left off.
    """

    def __init__(self, ledgers: Callable[[], Mapping[int, Ledgered]], lateness: Lateness) -> None:
        self._ledgers = ledgers
        self._lateness = lateness

    def describe(self) -> Iterable[Metric]:
        """Return the families without their values: nothing is counted before the worker has started."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Return the families with their values."""
        pending, total, difference, lateness = self._families()
        for partition, ledger in sorted(self._ledgers().items()):
            labels, counts = [str(partition)], ledger.counts
            pending.add_metric([*labels, "notification"], counts.pending)
            pending.add_metric([*labels, "retry"], counts.retries_pending)
            for event in EVENTS:
                total.add_metric([*labels, event], getattr(counts, event))
            difference.add_metric([*labels, "counts"], counts.difference())
            difference.add_metric([*labels, "rows"], ledger.rows_difference)
        reached, buckets = 0, []
        for bound, count in zip(LATENESS_BOUNDS_MS, self._lateness.counts, strict=False):
            reached += count
            buckets.append((f"{bound / 1000:g}", reached))
        buckets.append(("+Inf", sum(self._lateness.counts)))
        lateness.add_metric([], buckets, self._lateness.sum_ms / 1000)
        return pending, total, difference, lateness

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily]:
        names = metrics.Metric
        return (
            GaugeMetricFamily(names.SCHEDULE_PENDING, "What waits for its time.", labels=["partition", "kind"]),
            CounterMetricFamily(
                names.SCHEDULE_TOTAL.removesuffix("_total"),
                "What schedule has done with what it took, since the partition began.",
                labels=["partition", "event"],
            ),
            GaugeMetricFamily(
                names.SCHEDULE_LEDGER_DIFFERENCE,
                "By how much the counts contradict each other, or the rows of the table; anything but 0 is a mistake.",
                labels=["partition", "against"],
            ),
            HistogramMetricFamily(
                names.SCHEDULE_LATENESS_SECONDS, "From the due time of a notification to the step that released it."
            ),
        )
