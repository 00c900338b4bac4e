"""What a sink of the history shows of itself, within a worker and as a process of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from prometheus_client.registry import Collector

from streams.metrics import Metric, counter, gauge


class Shown(Protocol):
    """A sink, by what is counted of it."""

    def counts(self) -> tuple[int, int, int]:
        """Return how many statuses were written, erased and passed over."""

    @property
    def down(self) -> bool:
        """Whether it cannot write."""


class HistoryCollector(Collector):
    """Shows one sink; None: there is none, and the families are empty."""

    def __init__(self, sink: Shown | None) -> None:
        self._sink = sink

    def collect(self) -> Iterable[Any]:
        """Return the families with their values."""
        written, erased = counter(Metric.HISTORY_WRITTEN_TOTAL), counter(Metric.HISTORY_ERASED_TOTAL)
        poison, down = counter(Metric.HISTORY_PASSED_OVER_TOTAL), gauge(Metric.HISTORY_DOWN)
        if self._sink is not None:
            for family, count in zip((written, erased, poison), self._sink.counts(), strict=True):
                family.add_metric([], count)
            down.add_metric([], float(self._sink.down))
        return written, erased, poison, down
