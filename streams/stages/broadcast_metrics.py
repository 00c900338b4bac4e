"""What broadcast shows of itself: read from its deciders when somebody asks, so that a step pays next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams import metrics

if TYPE_CHECKING:
    from streams.stages.broadcast import BroadcastDecider

PHASES = ("LOADING", "RUNNING", "PAUSED")


class BroadcastCollector(Collector):
    """Shows the partitions that this worker has right now. The counts are its own, since it got the partition."""

    def __init__(self, deciders: Callable[[], Mapping[int, BroadcastDecider]]) -> None:
        self._deciders = deciders

    def describe(self) -> Iterable[Metric]:
        """Return the families without their values: nothing is counted before the worker has started."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Return the families with their values."""
        unfinished, users, difference = self._families()
        for partition, decider in sorted(self._deciders().items()):
            label = str(partition)
            phases = [each.progress.phase for each in decider.book.unfinished.values()]
            for phase in PHASES:
                unfinished.add_metric([label, phase], phases.count(phase))  # type: ignore[arg-type] # one of the phases
            for event, count in decider.teller.counted._asdict().items():
                users.add_metric([label, event], count)
            difference.add_metric([label], decider.teller.difference)
        return unfinished, users, difference

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, CounterMetricFamily, GaugeMetricFamily]:
        names = metrics.Metric
        return (
            GaugeMetricFamily(
                names.BROADCAST_UNFINISHED, "Broadcasts that have not ended.", labels=["partition", "state"]
            ),
            CounterMetricFamily(
                names.BROADCAST_USERS_TOTAL.removesuffix("_total"),
                "Users that broadcasts looked at, and what became of them.",
                labels=["partition", "event"],
            ),
            GaugeMetricFamily(
                names.BROADCAST_LEDGER_DIFFERENCE,
                "By how much the counts of a broadcast contradicted each other; anything but 0 is a mistake.",
                labels=["partition"],
            ),
        )
