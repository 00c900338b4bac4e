"""What broadcast shows of itself: read from its deciders when somebody asks, so that a step pays next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric, counter, gauge

if TYPE_CHECKING:
    from streams.stages.broadcast import BroadcastDecider

PHASES = ("LOADING", "RUNNING", "PAUSED")


class BroadcastCollector(Collector):
    """Shows the partitions that this worker has right now. The counts are its own, since it got the partition."""

    def __init__(self, deciders: Callable[[], Mapping[int, BroadcastDecider]]) -> None:
        self._deciders = deciders

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        unfinished, users = gauge(Metric.BROADCAST_UNFINISHED), counter(Metric.BROADCAST_USERS_TOTAL)
        difference = gauge(Metric.BROADCAST_LEDGER_DIFFERENCE)
        for partition, decider in sorted(self._deciders().items()):
            label = str(partition)
            phases = [each.progress.phase for each in decider.book.unfinished.values()]
            for phase in PHASES:
                unfinished.add_metric([label, phase], phases.count(phase))  # type: ignore[arg-type] # one of the phases
            for event, count in decider.teller.counted._asdict().items():
                users.add_metric([label, event], count)
            difference.add_metric([label], decider.teller.difference)
        return unfinished, users, difference
