"""One registry for each app, so that two in a process never meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

STOP_SECONDS_MAX: Final = 5.0


class Metrics:
    """The registry of one app. What is added is asked when somebody scrapes, and costs nothing before."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    def add(self, collector: Collector) -> None:
        """Add what one part of the worker shows of itself."""
        self._registry.register(collector)

    def families(self) -> Iterable[Metric]:
        """Return all metrics as they are now."""
        return self._registry.collect()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[int]:
        """Serve them over HTTP, on threads of their own, for a process that has no web views; yield the port.

        Raises OSError where it cannot listen.
        """
        server, thread = start_http_server(port, host, self._registry)
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join(STOP_SECONDS_MAX)
