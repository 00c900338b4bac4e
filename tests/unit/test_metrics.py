"""The list of metrics, and what fills them: in bulk, bounded, and only with what is committed."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from streams.metrics import Buckets, Kind, Metric, counter, histogram
from streams.stages.deliver_counts import (
    OUTCOMES,
    PRIORITIES,
    REASONS_MAX,
    DeliverCollector,
    DeliverCounts,
    DeliverNoted,
)
from streams.stages.deliver_types import Priority
from streams.stages.suppress_metrics import SuppressCounts

UNITS = ("seconds", "bytes", "records", "ratio")


@pytest.mark.parametrize("metric", [*Metric])
def test_names_follow_the_rules_of_prometheus(metric: Metric) -> None:
    """Counters end in `_total`, nothing else does; histograms name their unit; labels and names are plain words."""
    assert re.fullmatch(r"(ringonce|process)_[a-z_]+", metric)
    assert metric.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.kind is not Kind.HISTOGRAM or metric.endswith(UNITS)
    assert all(re.fullmatch(r"[a-z_]+", label) for label in metric.labels)
    assert metric.help.endswith((".", "are.", "be."))


def test_a_family_has_the_kind_of_its_metric() -> None:
    """A gauge is not shown as a counter by mistake."""
    with pytest.raises(AssertionError):
        counter(Metric.READY)


def test_buckets_count_up_to_and_with_their_bounds() -> None:
    """In bulk it is the same as one by one, and the last bucket has all of them."""
    bulk, single = Buckets((10, 100)), Buckets((10, 100))
    values = [250, 10, 11, 100, 0, 101]
    bulk.note(values)
    for value in values:
        single.note([value])
    assert (bulk.counts, bulk.count, bulk.sum_ms) == (single.counts, single.count, single.sum_ms) == ([2, 4], 6, 472)
    family = histogram(Metric.SCHEDULE_LATENESS_SECONDS)
    bulk.show(family)
    shown = {(sample.name, sample.labels.get("le")): sample.value for sample in family.samples}
    name = Metric.SCHEDULE_LATENESS_SECONDS
    assert shown[f"{name}_bucket", "0.01"] == 2
    assert shown[f"{name}_bucket", "0.1"] == 4
    assert shown[f"{name}_bucket", "+Inf"] == shown[f"{name}_count", None] == 6
    assert shown[f"{name}_sum", None] == pytest.approx(0.472)


def test_noting_leaves_the_values_as_they_are() -> None:
    """Whoever hands them in may still need them in their order."""
    values = [3, 1, 2]
    Buckets().note(values)
    assert values == [3, 1, 2]


def test_priorities_are_named_by_their_order() -> None:
    """What a step notes by number is shown by name."""
    assert tuple(priority.name.lower() for priority in Priority) == PRIORITIES


def test_types_that_no_file_names_are_one() -> None:
    """A producer that makes up types makes no series."""
    counts = DeliverCounts(["order"])
    noted = DeliverNoted()
    noted.ended["order", "ACCEPTED"] = 1
    for number in range(1_000):
        noted.ended[f"made-up-{number}", "DEAD"] = 1
        noted.retries[f"made-up-{number}"] = 2
    counts.note(noted)
    assert dict(counts.ended) == {("order", "ACCEPTED"): 1, ("other", "DEAD"): 1_000}
    assert dict(counts.retries) == {"other": 2_000}


def test_what_providers_say_is_bounded() -> None:
    """A provider that answers with ever new words makes no series without end, and nothing is left out of the sum."""
    counts = DeliverCounts()
    for number in range(1_000):
        noted = DeliverNoted()
        noted.sends["webhook", "NOT_SENT", f"word-{number}"] = 1
        noted.sends["webhook", "NOT_SENT", "word-0"] += 1
        counts.note(noted)
    assert len(counts.failed) == REASONS_MAX + 1
    assert sum(counts.failed.values()) == counts.sends["webhook", "NOT_SENT"] == 2_000
    assert counts.failed["webhook", "NOT_SENT", "word-0"] == 1_001
    assert counts.failed["webhook", "NOT_SENT", "other"] == 1_000 - REASONS_MAX


def test_what_has_not_happened_yet_is_shown_as_zero() -> None:
    """Else the first failure would be no increase, and no alert would see it."""
    registry = CollectorRegistry()
    registry.register(DeliverCollector(DeliverCounts(["order"])))
    text = generate_latest(registry).decode()
    for outcome in OUTCOMES:
        assert f'ringonce_sends_total{{outcome="{outcome.lower()}",provider="apns"}} 0.0' in text
    assert 'ringonce_ended_total{state="dead",type="order"} 0.0' in text
    assert 'ringonce_admitted_to_claimed_seconds_count{priority="critical"} 0.0' in text


def test_a_reason_that_is_new_begins_at_zero() -> None:
    """Or the failures that brought it would be no increase, and the panel of who is failing empty."""
    counts = DeliverCounts()
    noted = DeliverNoted()
    noted.sends["fcm", "UNKNOWN", "timeout"] = 8
    counts.note(noted)
    registry = CollectorRegistry()
    registry.register(DeliverCollector(counts))
    line = 'ringonce_sends_failed_total{outcome="unknown",provider="fcm",reason="timeout"} '
    first = generate_latest(registry).decode()
    assert f"{line}0.0" in first
    assert f"{line}8.0" in generate_latest(registry).decode()


def test_suppress_notes_a_step_in_bulk() -> None:
    """Decisions by type, and how long those waited that were admitted."""
    counts = SuppressCounts(["order"])
    counts.note({"ADMITTED": ["order", "other"], "SUPPRESSED": ["order"] * 3}, [5, 7_200_000])
    counts.note({"ADMITTED": ["order"], "SUPPRESSED": []}, [20])
    assert dict(counts.decisions) == {
        ("order", "ADMITTED"): 2,
        ("other", "ADMITTED"): 1,
        ("order", "SUPPRESSED"): 3,
    }
    assert (counts.waited_ms.count, counts.waited_ms.counts[0], counts.waited_ms.counts[-1]) == (3, 1, 2)
