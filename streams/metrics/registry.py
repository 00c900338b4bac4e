"""One registry for each app, so that two in a process never meet."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class Metrics:
    """The registry of one app. What is added is asked when somebody scrapes, and costs nothing before."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    def add(self, collector: Collector) -> None:
        """Add what one part of the worker shows of itself."""
        self._registry.register(collector)

    def families(self) -> Iterable[Metric]:
        """Return all metrics as they are now."""
        return self._registry.collect()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
