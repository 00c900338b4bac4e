"""Samples of a worker's metrics, and what those of several workers are together."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from streams import metrics
from streams.web.overview_merge import merged, quantile
from streams.web.overview_samples import LABELS_MAX, TICK_MS, TICKS_MAX, Sampler, part_of
from streams.web.overview_series import SERIES, Kind, Series

START = 1_700_000_000_000  # a tick
EVENTS = Series("events", "events_total", Kind.RATE, ("decision",))
MOVED = Series("moved", "moved_total", Kind.RATE)
WAITING = Series("waiting", "waiting", Kind.SUM)
OPEN = Series("open", "open", Kind.LARGEST, ("service",))
LATE = Series("late", "late_seconds", Kind.LATENCY)
ALL = (EVENTS, MOVED, WAITING, OPEN, LATE)


def counter(name: str, labels: list[str], values: dict[tuple[str, ...], float]) -> CounterMetricFamily:
    """A counter with these values by its labels."""
    family = CounterMetricFamily(name, "words", labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


class World:
    """Metrics that a test sets, and a sampler over them."""

    def __init__(self, series: Iterable[Series] = ALL) -> None:
        self.families: list[Family] = []
        self.sampler = Sampler(lambda: self.families, series)
        self.at = START

    def tick(self, *families: Family, ticks: int = 1) -> dict[str, dict[str, float]]:
        """Show these metrics at the next tick, and return what the sampler makes of them."""
        self.families = list(families)
        self.at += ticks * TICK_MS
        self.sampler.take(self.at)
        return self.sampler.samples[-1].values


def test_a_counter_is_shown_as_what_came_in_a_second() -> None:
    """The first sample knows no past; what is labelled alike is put together, whatever else tells it apart."""
    world = World()
    labels = ["type", "decision"]
    assert world.tick(counter("events", labels, {("a", "ADMITTED"): 100}))["events"] == {"ADMITTED": 0.0}
    second = world.tick(counter("events", labels, {("a", "ADMITTED"): 110, ("b", "ADMITTED"): 4}))
    assert second["events"] == {"ADMITTED": 7.0}, "10 and 4 in two seconds"


def test_a_worker_that_began_anew_counts_from_nothing() -> None:
    """A smaller count is that of a new process, and no negative rate."""
    world = World()
    world.tick(counter("events", ["decision"], {("ADMITTED",): 100}))
    assert world.tick(counter("events", ["decision"], {("ADMITTED",): 6}))["events"] == {"ADMITTED": 3.0}


def test_what_a_partition_has_counted_before_it_came_is_no_rate() -> None:
    """A partition brings its count along, from before this worker had it."""
    world = World()
    world.tick(counter("moved", ["partition"], {("0",): 5}))
    assert world.tick(counter("moved", ["partition"], {("0",): 9, ("1",): 1_000_000}))["moved"] == {"": 2.0}
    assert world.tick(counter("moved", ["partition"], {("1",): 1_000_002}))["moved"] == {"": 1.0}


def test_a_rate_is_of_the_time_that_has_passed() -> None:
    """A tick that was missed makes the next one longer, and not its rate higher."""
    world = World()
    world.tick(counter("events", ["decision"], {("ADMITTED",): 0}))
    assert world.tick(counter("events", ["decision"], {("ADMITTED",): 30}), ticks=3)["events"] == {"ADMITTED": 5.0}


def test_of_too_many_labels_the_first_ones_are_shown() -> None:
    """Origins of Web Push have no bound; a sample has."""
    family = GaugeMetricFamily("open", "words", labels=["service"])
    for number in range(LABELS_MAX + 100):
        family.add_metric([f"origin-{number}"], 1.0)
    assert len(World().tick(family)["open"]) == LABELS_MAX


def test_so_many_samples_are_kept_and_no_more() -> None:
    """Ten minutes, however long the worker runs."""
    world = World()
    for number in range(TICKS_MAX + 50):
        world.tick(GaugeMetricFamily("waiting", "words", value=number))
    samples = world.sampler.samples
    assert len(samples) == TICKS_MAX
    assert samples[-1].values == {"waiting": {"": TICKS_MAX + 49.0}}
    assert [each.tick for each in world.sampler.since(world.at - TICK_MS)] == [world.at - TICK_MS, world.at]


def test_rates_and_gauges_of_workers_add_up_and_the_worst_of_a_breaker_counts() -> None:
    """At each tick over all workers that were there."""
    one = [[START, {"events": {"ADMITTED": 2.0}, "waiting": {"": 5.0}, "open": {"apns": 0.0}}]]
    two = [[START, {"events": {"ADMITTED": 1.5, "DEAD": 1.0}, "waiting": {"": 1.0}, "open": {"apns": 1.0}}]]
    found = merged([one, two], 0, ALL)
    assert found["ticks"] == [START]
    assert found["reporting"] == [2]
    assert found["series"] == {
        "events": {"ADMITTED": [3.5], "DEAD": [1.0]},
        "waiting": {"": [6.0]},
        "open": {"apns": [1.0]},
    }


def test_a_tick_that_has_not_come_to_everybody_is_not_shown_yet() -> None:
    """Half of a rate would look like a drop; one worker that is gone for longer does not hold the others back."""
    one = [[START + n * TICK_MS, {"waiting": {"": 1.0}}] for n in range(4)]
    assert merged([one, one[:3]], 0, ALL)["ticks"] == [START, START + TICK_MS, START + 2 * TICK_MS]
    assert merged([one, one[:2]], 0, ALL)["series"]["waiting"][""] == [2.0, 2.0, 1.0, 1.0]


def test_a_tick_that_a_busy_worker_has_missed_is_no_drop() -> None:
    """Its next sample stands for it, but for what fell into buckets: that is told once."""
    whole = [[START + n * TICK_MS, {"waiting": {"": 1.0}, "late": {"0 1": 1.0}}] for n in range(4)]
    found = merged([whole, [whole[0], whole[3]]], 0, ALL)
    assert found["series"]["waiting"][""] == [2.0] * 4
    assert found["latencies"]["late"]["per_second"] == [1.0, 0.75, round(4 / 6, 4), 0.75]


def test_only_what_is_asked_for_is_answered() -> None:
    """A quantile still knows the ticks before."""
    part = [[START + n * TICK_MS, {"late": {"0 1": 10.0} if n == 0 else {"1 2": 1.0}}] for n in range(3)]
    found = merged([part], START + 2 * TICK_MS, ALL)
    assert found["ticks"] == [START + 2 * TICK_MS]
    assert found["latencies"]["late"]["p99"] == [1.94]
    assert found["latencies"]["late"]["p50"] == [0.6]


def test_a_series_that_is_not_known_is_passed_over() -> None:
    """A newer worker may have more to say."""
    assert merged([[[START, {"new": {"": 1.0}, "waiting": {"": 1.0}}]]], 0, ALL)["series"] == {"waiting": {"": [1.0]}}


def test_a_histogram_becomes_quantiles() -> None:
    """Between the bounds of a bucket it is taken to be spread evenly, whatever labels the histogram has."""
    world = World()

    def late(counts: tuple[int, int, int]) -> HistogramMetricFamily:
        family = HistogramMetricFamily("late_seconds", "words", labels=["provider"])
        for provider in ("apns", "fcm"):
            reached = [sum(counts[: end + 1]) for end in range(3)]
            family.add_metric([provider], list(zip(("0.1", "1", "+Inf"), reached, strict=True)), 1.0)
        return family

    world.tick(late((5, 5, 5)))
    assert world.tick(late((55, 54, 6)))["late"] == {"0 0.1": 100.0, "0.1 1": 98.0, "1 +Inf": 2.0}
    found = merged([part_of(world.sampler.samples)], 0, ALL)["latencies"]["late"]
    assert found["p50"] == [None, 0.1]
    assert found["p99"] == [None, 1.0]


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({(0.0, 1.0): 0.0}, 0.5, None),
        ({(0.0, 1.0): 4.0}, 0.5, 0.5),
        ({(0.0, 1.0): 1.0, (2.0, 4.0): 1.0}, 0.99, 3.96),
        ({(0.0, 1.0): 1.0, (8.0, float("inf")): 9.0}, 0.5, 8.0),
    ],
)
def test_a_quantile_of_buckets(buckets: dict[tuple[float, float], float], share: float, expected: float | None) -> None:
    """Of what is above the last bound only that bound is known; of nothing, nothing."""
    assert quantile(buckets, share) == pytest.approx(expected)


def test_samples_go_from_worker_to_worker_as_json() -> None:
    """What is merged is the same whether a part has been another worker's or not."""
    world = World()
    world.tick(GaugeMetricFamily("waiting", "words", value=2))
    part = part_of(world.sampler.samples)
    assert merged([json.loads(json.dumps(part))], 0, ALL) == merged([part], 0, ALL)


def test_each_series_is_of_a_metric_that_there_is() -> None:
    """And each has a name of its own."""
    assert {each.metric for each in SERIES} <= set(metrics.Metric)
    assert len({each.name for each in SERIES}) == len(SERIES)
