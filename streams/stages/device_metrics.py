"""What became of devices on this worker, for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric, counter

CHANGES: Final = ("registered", "refreshed", "removed", "gone", "given_way", "unchanged")


class DeviceChangesCollector(Collector):
    """Shows the counts of all deliver lanes of a worker, since it started; what was not committed is not counted."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Family]:
        """Return the counts as they are now."""
        family = counter(Metric.DEVICE_CHANGES_TOTAL)
        for change in CHANGES:
            family.add_metric([change], self._counts.get(change, 0))
        return (family,)
