"""What the metrics say of the templates of a worker."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric, counter, gauge
from streams.templates.library import SOURCES, TemplateLibrary


class TemplatesCollector(Collector):
    """Shows what a library holds, and what it has refused."""

    def __init__(self, library: TemplateLibrary) -> None:
        self._library = library

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        held, refused = gauge(Metric.TEMPLATES), counter(Metric.TEMPLATES_REFUSED_TOTAL)
        for source, count in self._library.counts().items():
            held.add_metric([source], count)
        for source in SOURCES:
            refused.add_metric([source], self._library.refused[source])
        return held, refused
