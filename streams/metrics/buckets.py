"""A histogram that is filled in bulk: prometheus_client's own costs a call and a lock for each value."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from prometheus_client.core import HistogramMetricFamily

LATENCY_BOUNDS_MS: Final = (10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000)


class Buckets:
    """Durations in milliseconds, counted by the bounds that they do not exceed."""

    __slots__ = ("bounds_ms", "count", "counts", "sum_ms")

    def __init__(self, bounds_ms: Sequence[int] = LATENCY_BOUNDS_MS) -> None:
        self.bounds_ms = tuple(bounds_ms)
        self.counts = [0] * len(self.bounds_ms)  # cumulative, as Prometheus wants them
        self.count = 0
        self.sum_ms = 0.0

    def note(self, values: Sequence[float]) -> None:
        """Note many at once: sorting them costs less than looking for the bucket of each."""
        if len(values) > 1:
            values = sorted(values)
        for index, bound in enumerate(self.bounds_ms):
            self.counts[index] += bisect_right(values, bound)
        self.count += len(values)
        self.sum_ms += sum(values)

    def show(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Add the values to what is scraped, in seconds."""
        buckets = [
            (f"{bound / 1000:g}", float(count)) for bound, count in zip(self.bounds_ms, self.counts, strict=True)
        ]
        family.add_metric(labels, [*buckets, ("+Inf", float(self.count))], self.sum_ms / 1000)
