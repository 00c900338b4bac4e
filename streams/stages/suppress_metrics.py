"""What suppress counts: its decisions by type, and how long events waited for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from schemas.records import State
from streams.metrics import Buckets, Metric, counter, gauge, histogram
from streams.policies.suppression import OTHER_TYPES
from streams.stages.slots_table import PLACE_PREFIX, SlotsTable

DECISIONS: Final[tuple[State, ...]] = ("ADMITTED", "SUPPRESSED", "DUPLICATE", "DEFERRED", "EXPIRED", "DEAD")
ROWS_MAX: Final = 10_000  # counted for one scrape, some 10 ms
PLACES_END: Final = bytes((PLACE_PREFIX[0] + 1,))


class SuppressCounts:
    """The counts of all partitions of a worker since it started. A step adds its own once it is committed."""

    def __init__(self, types: Iterable[str] = ()) -> None:
        self.decisions: Counter[tuple[str, str]] = Counter()
        self.types = (*sorted(types), OTHER_TYPES)
        self.waited_ms = Buckets()

    def note(self, decided: Mapping[State, Sequence[str]], waited_ms: Sequence[int]) -> None:
        """Note a step: the types of the events by decision, and how long those waited that were admitted."""
        for decision, types in decided.items():
            for name, count in Counter(types).items():
                self.decisions[name, decision] += count
        self.waited_ms.note(waited_ms)


class SlotCounter:
    """Counts the slots that are held, a slice for each scrape: nothing is paid for it in a step."""

    def __init__(self, table: SlotsTable, partitions: Callable[[], Iterable[int]]) -> None:
        self._table = table
        self._partitions = partitions
        self._counts: dict[int, int] = {}  # of the last pass over each partition
        self._counting = 0
        self._at: tuple[int, bytes] = (-1, PLACE_PREFIX)

    def count(self) -> int:
        """Go on from where the last slice ended, and return the sum of what was counted last."""
        partitions = sorted(self._partitions())
        self._counts = {partition: self._counts.get(partition, 0) for partition in partitions}
        left = ROWS_MAX
        for partition in [each for each in partitions if each >= self._at[0]] or partitions:
            start = self._at[1] if partition == self._at[0] else PLACE_PREFIX
            if start == PLACE_PREFIX:
                self._counting = 0
            counted, last = self._table.count(partition, start, PLACES_END, left)
            self._counting += counted
            left -= counted
            if left <= 0:
                self._at = (partition, last + b"\0")
                return sum(self._counts.values())
            self._counts[partition] = self._counting
        self._at = (-1, PLACE_PREFIX)
        return sum(self._counts.values())


class SuppressCollector(Collector):
    """Shows the counts of a worker."""

    def __init__(self, counts: SuppressCounts, slots: SlotCounter) -> None:
        self._counts = counts
        self._slots = slots

    def describe(self) -> Iterable[Family]:
        """Return nothing: the tables are not there yet when this is added."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Return the families with their values; what has not happened yet is there with 0, or its first would be no
        increase."""
        counts = self._counts
        events, waited, slots = (
            counter(Metric.EVENTS_TOTAL),
            histogram(Metric.EVENT_TO_ADMITTED_SECONDS),
            gauge(Metric.SLOTS),
        )
        for name in counts.types:
            for decision in DECISIONS:
                events.add_metric([name, decision.lower()], counts.decisions[name, decision])
        counts.waited_ms.show(waited)
        slots.add_metric([], self._slots.count())
        return events, waited, slots
