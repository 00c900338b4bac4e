"""What became of devices on this worker, for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from streams import metrics

CHANGES: Final = ("registered", "refreshed", "removed", "gone", "given_way", "unchanged")


class DeviceChangesCollector(Collector):
    """Shows the counts of all deliver lanes of a worker, since it started; what was not committed is not counted."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Return the names, without looking at anything: the registry asks when the collector is added."""
        return (self._family(),)

    def collect(self) -> Iterable[Metric]:
        """Return the counts as they are now."""
        family = self._family()
        for change in CHANGES:
            family.add_metric([change], self._counts.get(change, 0))
        return (family,)

    def _family(self) -> CounterMetricFamily:
        doc = "Changes of devices: by request, by a provider that said gone, given way to newer ones, without effect."
        return CounterMetricFamily(metrics.Metric.DEVICE_CHANGES_TOTAL.removesuffix("_total"), doc, labels=["change"])
