"""Shows on `/metrics` how far stories are told."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric
from streams.metrics.families import counter, gauge
from streams.stories.follower import Stories


class StoriesCollector(Collector):
    """Shows the stories of this worker; None: it tells none."""

    def __init__(self, stories: Stories | None) -> None:
        self._stories = stories

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        told, behind = counter(Metric.STORIES_TOLD_TOTAL), gauge(Metric.STORIES_BEHIND)
        if self._stories is not None:
            told.add_metric([], self._stories.applied)
            behind.add_metric([], self._stories.behind)
        return told, behind
