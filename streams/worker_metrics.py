"""What a worker shows of its process: which version runs, and how often it has started anew in place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
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
    """Shows the process. `good_run_seconds`: after a run of this length the restarts before it are over."""

    def __init__(self, restarts: int, good_run_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._restarts = restarts
        self._version = installed_version()
        self._monotonic = monotonic
        self._good_at = monotonic() + good_run_seconds

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        build, restarts = gauge(Metric.BUILD_INFO), gauge(Metric.RESTARTS)
        build.add_metric([self._version], 1)
        # As the next failure would count: else the alert would stay until somebody starts a worker that is well.
        restarts.add_metric([], self._restarts if self._monotonic() < self._good_at else 0)
        return build, restarts
