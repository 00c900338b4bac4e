"""What a worker shows of its lookups at the user service."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from streams import metrics
from streams.profiles.user_service import OUTCOMES, UserService


class UserServiceCollector(Collector):
    """Shows the lookups of one worker."""

    def __init__(self, service: UserService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        """Return the families with their values."""
        names, service = metrics.Metric, self._service
        lookups = CounterMetricFamily(
            names.PROFILE_LOOKUPS_TOTAL.removesuffix("_total"),
            "Profiles that were asked for at the user service, or remembered.",
            labels=["outcome"],
        )
        for outcome in OUTCOMES:
            lookups.add_metric([outcome], service.counts[outcome])
        requests = CounterMetricFamily(
            names.PROFILE_REQUESTS_TOTAL.removesuffix("_total"), "Requests to the user service, repeated ones included."
        )
        requests.add_metric([], service.requests)
        breaker = GaugeMetricFamily(
            names.PROFILE_BREAKER_OPEN, "1 while the user service does not answer and is left alone."
        )
        breaker.add_metric([], float(service.is_open))
        cached = GaugeMetricFamily(names.PROFILES_CACHED, "Users of whom something is remembered.")
        cached.add_metric([], service.users_cached)
        return lookups, requests, breaker, cached
