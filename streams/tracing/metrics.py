"""What a worker shows of its traces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric, counter

if TYPE_CHECKING:
    from streams.tracing.otlp import OtlpSink


class TracingCollector(Collector):
    """Shows what became of spans; None: no traces are exported, and the family is empty."""

    def __init__(self, sink: OtlpSink | None) -> None:
        self._sink = sink

    def collect(self) -> Iterable[Family]:
        """Return the family with its values."""
        spans, sink = counter(Metric.TRACE_SPANS_TOTAL), self._sink
        if sink is not None:
            spans.add_metric(["exported"], sink.counted.exported)
            spans.add_metric(["failed"], sink.counted.failed)
            spans.add_metric(["dropped"], sink.dropped)
        return (spans,)
