"""What deliver shows of the providers: read from its services when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams import metrics
from streams.stages.deliver_services import Services


class ServicesCollector(Collector):
    """Shows each service that this worker sends to."""

    def __init__(self, services: Services, now_ms: Callable[[], int]) -> None:
        self._services = services
        self._now_ms = now_ms

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the families without their values: no service is known before the first push."""
        return self._families()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the families with their values."""
        is_open, in_flight, places, answer = self._families()
        now = self._now_ms()
        for service in self._services.all():
            breaker = service.breaker
            is_open.add_metric([service.name], float(breaker.open_until > 0))
            in_flight.add_metric([service.name], service.under_way)
            places.add_metric([service.name], breaker.allowed(now))
            answer.add_metric([service.name], service.answer_ms / 1000)
        return is_open, in_flight, places, answer

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        names = metrics.Metric
        return (
            GaugeMetricFamily(
                names.PROVIDER_BREAKER_OPEN, "1: it fails, and is left alone or being tried.", labels=["service"]
            ),
            GaugeMetricFamily(names.PROVIDER_IN_FLIGHT, "Pushes that were claimed, not answered.", labels=["service"]),
            GaugeMetricFamily(
                names.PROVIDER_PLACES, "Pushes that may be under way; rises with each answer.", labels=["service"]
            ),
            GaugeMetricFamily(
                names.PROVIDER_ANSWER_SECONDS, "How long answers take, of the last ones.", labels=["service"]
            ),
        )
