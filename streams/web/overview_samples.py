"""What a worker's metrics were, every other second of the last minutes: so that a plot has a past when it is opened.

A sample is taken beside the work, from what the metrics say of themselves anyway; the hot path counts nothing for it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from prometheus_client.metrics_core import Metric as Family

from streams.web.overview_series import SERIES, Kind, Series

TICK_MS = 2_000  # of all workers the same instants, so that their samples add up
TICKS_MAX = 300  # ten minutes
UNSEEN_TICKS = 4  # while nobody looks, one sample for so many: a sample takes some milliseconds of the event loop
SEEN_SECONDS = 60.0
LABELS_MAX = 40  # of one series: origins of Web Push are many; what comes beyond is not shown
DIGITS = 4  # more than a plot can show

Values = dict[str, dict[str, float]]
"""By series, then by its labels, joined by a blank; those of a histogram's bucket are its bounds."""


class Sample(NamedTuple):
    """What was measured up to a tick; `tick` is in milliseconds since the epoch."""

    tick: int
    values: Values


class Sampler:
    """Takes the samples of one worker, and keeps the last ones."""

    def __init__(self, families: Callable[[], Iterable[Family]], series: Iterable[Series] = SERIES) -> None:
        self._families = families
        self._series: dict[str, list[Series]] = {}
        for each in series:
            self._series.setdefault(each.metric.removesuffix("_total"), []).append(each)
        self._counted: dict[tuple[str, tuple[str, ...]], float] = {}
        self._counted_at: int | None = None
        self._seen_at = -math.inf
        self.samples: deque[Sample] = deque(maxlen=TICKS_MAX)

    async def run(self) -> None:
        """Take a sample at each tick while somebody looks, and at some of them otherwise, until cancelled."""
        while True:
            now = _now_ms()
            await asyncio.sleep((TICK_MS - now % TICK_MS) / 1000)
            now = _now_ms()
            is_seen = time.monotonic() - self._seen_at < SEEN_SECONDS
            if is_seen or nearest_tick(now) // TICK_MS % UNSEEN_TICKS == 0:
                self.take(now)

    def take(self, now: int) -> None:
        """Take a sample for the tick that has just come."""
        before, self._counted = self._counted, {}
        seconds = None if self._counted_at is None else max(now - self._counted_at, 1) / 1000
        values: Values = {}
        for family in self._families():
            for series in self._series.get(family.name, ()):
                found = self._values(series, family, before, seconds)
                if found:
                    values[series.name] = found
        self._counted_at = now
        tick = nearest_tick(now)
        if not self.samples or tick > self.samples[-1].tick:
            self.samples.append(Sample(tick, values))

    def _values(
        self, series: Series, family: Family, before: dict[tuple[str, tuple[str, ...]], float], seconds: float | None
    ) -> dict[str, float]:
        found: dict[str, float] = {}
        reached: dict[tuple[str, ...], tuple[str, float]] = {}
        for name, labels, value, *_ in family.samples:
            if series.kind is Kind.LATENCY:
                if not name.endswith("_bucket"):
                    continue
                # The buckets hold each other; what is kept of each is only what it has more than the one before.
                others = tuple(sorted(item for item in labels.items() if item[0] != "le"))
                rest = tuple(f"{label}={text}" for label, text in others)
                lower, so_far = reached.get(rest, ("0", 0.0))
                reached[rest] = (labels["le"], value)
                key, label, counted = (name, (*rest, labels["le"])), f"{lower} {labels['le']}", value - so_far
            else:
                key = (name, tuple(labels.values()))
                label, counted = " ".join(labels.get(each, "") for each in series.by), value
            if series.kind in (Kind.RATE, Kind.LATENCY):
                self._counted[key] = counted
                counted = _more(counted, before.get(key), "partition" in labels, seconds)
                if series.kind is Kind.RATE:
                    counted /= seconds or 1.0
            if label not in found and len(found) >= LABELS_MAX:
                continue
            if series.kind is Kind.LARGEST:
                found[label] = max(found.get(label, -math.inf), counted)
            else:
                found[label] = found.get(label, 0.0) + counted
        if series.kind is Kind.LATENCY:
            return {label: value for label, value in found.items() if value}
        return {label: float(f"{value:.{DIGITS}g}") if value % 1 else value for label, value in found.items()}

    def since(self, tick: int) -> list[Sample]:
        """Return the samples from this tick on, to somebody who looks."""
        self._seen_at = time.monotonic()
        return [each for each in self.samples if each.tick >= tick]


def _more(now: float, before: float | None, of_partition: bool, seconds: float | None) -> float:
    """Return how much was counted since the last sample.

    What a partition has counted comes along with it, from before this worker had it; what the process counts itself
    begins at 0, and begins again at 0.
    """
    if seconds is None:
        return 0.0
    if before is None:
        return 0.0 if of_partition else now
    return now - before if now >= before else (0.0 if of_partition else now)


def nearest_tick(now: int) -> int:
    """Return the tick that has just come, or is about to."""
    return (now + TICK_MS // 2) // TICK_MS * TICK_MS


def part_of(samples: Iterable[Sample]) -> list[list[Any]]:
    """Return samples for JSON."""
    return [[each.tick, each.values] for each in samples]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
