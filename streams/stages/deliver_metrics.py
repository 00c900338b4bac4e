"""What deliver shows of the providers: read from its services when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric, gauge
from streams.stages.deliver_services import Services


class ServicesCollector(Collector):
    """Shows each service that this worker sends to."""

    def __init__(self, services: Services, now_ms: Callable[[], int]) -> None:
        self._services = services
        self._now_ms = now_ms

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        is_open, in_flight = gauge(Metric.PROVIDER_BREAKER_OPEN), gauge(Metric.PROVIDER_IN_FLIGHT)
        places, answer = gauge(Metric.PROVIDER_PLACES), gauge(Metric.PROVIDER_ANSWER_SECONDS)
        now = self._now_ms()
        for service in self._services.all():
            breaker = service.breaker
            is_open.add_metric([service.name], float(breaker.open_until > 0))
            in_flight.add_metric([service.name], service.under_way)
            places.add_metric([service.name], breaker.allowed(now))
            answer.add_metric([service.name], service.answer_ms / 1000)
        return is_open, in_flight, places, answer
