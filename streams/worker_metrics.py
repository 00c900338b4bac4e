"""What a worker shows of its process: which version runs, and how often it has started anew in place."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric, gauge


def installed_version() -> str:
    """Return the version that runs."""
    try:
        return version("ringonce")
    except PackageNotFoundError:
        return "source"


class WorkerCollector(Collector):
    """Shows the process."""

    def __init__(self, restarts: int) -> None:
        self._restarts = restarts
        self._version = installed_version()

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        build, restarts = gauge(Metric.BUILD_INFO), gauge(Metric.RESTARTS)
        build.add_metric([self._version], 1)
        restarts.add_metric([], self._restarts)
        return build, restarts
