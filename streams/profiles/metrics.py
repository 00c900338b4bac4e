"""What a worker shows of its lookups at the user service."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric, counter, gauge
from streams.profiles.user_service import OUTCOMES, UserService


class UserServiceCollector(Collector):
    """Shows the lookups of one worker; None: it has no user service, and the families are empty."""

    def __init__(self, service: UserService | None) -> None:
        self._service = service

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        lookups, requests = counter(Metric.PROFILE_LOOKUPS_TOTAL), counter(Metric.PROFILE_REQUESTS_TOTAL)
        breaker, cached = gauge(Metric.PROFILE_BREAKER_OPEN), gauge(Metric.PROFILES_CACHED)
        service = self._service
        if service is not None:
            for outcome in OUTCOMES:
                lookups.add_metric([outcome], service.counts[outcome])
            requests.add_metric([], service.requests)
            breaker.add_metric([], float(service.is_failing))
            cached.add_metric([], service.users_cached)
        return lookups, requests, breaker, cached
