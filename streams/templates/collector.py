"""What the metrics say of the templates of a worker."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams import metrics
from streams.templates.library import SOURCES, TemplateLibrary


class TemplatesCollector(Collector):
    """Shows what a library holds, and what it has refused."""

    def __init__(self, library: TemplateLibrary) -> None:
        self._library = library

    def collect(self) -> Iterable[Metric]:
        """Return the families with their values."""
        names = metrics.Metric
        held = GaugeMetricFamily(names.TEMPLATES, "Types whose template is from here now.", labels=["source"])
        for source, count in self._library.counts().items():
            held.add_metric([source], count)
        refused = CounterMetricFamily(
            names.TEMPLATES_REFUSED_TOTAL.removesuffix("_total"),
            "Versions of templates that could not be used. The log says why, and the ones before them stay.",
            labels=["source"],
        )
        for source in SOURCES:
            refused.add_metric([source], self._library.refused[source])
        return held, refused
