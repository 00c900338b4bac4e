"""What the schedule keeps: ids once, rows that the ledger knows, a front that no start goes behind, and a pace."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.policies.pacing import BURST_SECONDS
from streams.stages.schedule_ledger import PASS_INTERVAL_MS, SLICE_INTERVAL_MS, SLICE_ROWS_MAX
from streams.stages.schedule_metrics import ScheduleCollector
from streams.stages.schedule_table import DEFERRALS, Pending, pending_key
from tests.simulation.schedule_world import START, TOPICS, Scheduling


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Scheduling]:
    """One partition."""
    made = Scheduling(tmp_path)
    yield made
    made.close()


def test_another_event_of_the_same_id_is_a_duplicate(world: Scheduling) -> None:
    """suppress forgets ids after a day, and this one waits for longer: the first one stays, the second one ends."""
    first = world.defer("n", 10_000)
    second = world.defer("n", 5_000)
    world.run()
    world.run(10_000)
    found = [(each["state"], each["origin_offset"]) for each in world.read(TOPICS.statuses, "Status")]
    assert found == [("DUPLICATE", second), ("RELEASED", first)]
    assert (world.counts.scheduled, world.counts.duplicates) == (1, 1)


def test_the_same_event_again_counts_with_its_newer_time(world: Scheduling) -> None:
    """It is one notification, and is released once."""
    origin = world.defer("n", 1_000)
    world.run()
    world.defer("n", 3_000, origin=origin)
    world.run()
    world.run(1_000)
    assert world.released() == []
    world.run(2_000)
    assert (world.released(), world.states("n")) == (["n"], ["RELEASED"])


def test_what_was_released_can_come_back(world: Scheduling) -> None:
    """Quiet hours: delivery gives it back, and it waits once more."""
    origin = world.defer("n", 1_000)
    world.run()
    world.run(1_000)
    world.defer("n", 1_000, origin=origin)
    world.run()
    world.run(1_000)
    assert world.released() == ["n", "n"]
    assert (world.counts.scheduled, world.counts.released, world.counts.difference()) == (2, 2, 0)


def test_after_an_hour_away_all_overdue_is_released_in_due_order_and_at_the_pace(tmp_path: Path) -> None:
    """What is of no use any more says so at once, and costs none of the pace.

    0                           1 h                 1 h + 10 s
    |all due here, one by one|   |100 a second, in due order|
    """
    world = Scheduling(tmp_path, per_second=100.0)
    try:
        for number in range(1_000):
            useless = number % 10 == 3
            world.defer(f"n-{number}", 1 + (number * 7919) % 1_000, expires_in=1_500 if useless else None)
        world.stages[0].step(records_max=2_000)
        world.take_over()
        world.now += 3_600_000
        by_second: Counter[int] = Counter()
        began = world.now
        while world.counts.pending:
            before = world.counts.released
            world.run()
            by_second[(world.now - began) // 1_000] += world.counts.released - before
            world.now += 25
        due = [each["due_at"] for each in world.read(TOPICS.due, "Due")]
        assert due == sorted(due) and len(due) == 900
        assert (world.counts.expired, world.counts.difference()) == (100, 0)
        assert all(count <= 100 * (1 + BURST_SECONDS) + 1 for count in by_second.values())
        assert all(by_second[second] >= 95 for second in range(8))
    finally:
        world.close()


def test_retries_do_not_wait_behind_a_burst(tmp_path: Path) -> None:
    """They have a last instant: the pace is for what is scheduled."""
    world = Scheduling(tmp_path, per_second=1.0)
    try:
        for number in range(100):
            world.defer(f"n-{number}", 10)
        world.retry("r", 10)
        world.run()
        world.run(10)
        assert len(world.log.records(TOPICS.outbox)) == 1
        assert len(world.released()) <= 2
    finally:
        world.close()


@pytest.mark.parametrize("disk_lost", [False, True])
def test_a_new_owner_begins_at_the_front(world: Scheduling, disk_lost: bool) -> None:
    """No scan goes over the tombstones of what was released; what comes in before the front lowers it."""
    for number in range(300):
        world.defer(f"n-{number}", number)
    world.defer("last", 10_000)
    world.run()
    world.run(500)
    world.take_over(disk_lost)
    (decider,) = world.deciders
    assert decider.deferrals.front >= pending_key(Pending(START + 299, 0, b"u:t", b""))
    world.defer("early", -400)
    world.run()
    world.run()
    assert world.released()[-1] == "early"
    world.run(10_000)
    assert world.released()[-1] == "last"


def test_the_front_passes_what_was_cancelled(world: Scheduling) -> None:
    """A million cancels leave nothing to walk over either."""
    for number in range(50):
        world.defer(f"n-{number}", 100 + number)
    world.defer("last", 10_000)
    world.run()
    for number in range(50):
        world.command(f"n-{number}")
    world.run()
    world.run(200)
    (decider,) = world.deciders
    assert decider.deferrals.front == pending_key(Pending(START + 10_000, 50, b"u:t", b"last"))
    assert decider.next_at_ms() is not None


def test_rows_are_counted_slice_by_slice_while_they_come_and_go(world: Scheduling) -> None:
    """The count is that of the ledger whatever happens between two slices; nothing is counted when nothing changes."""
    total = 2 * SLICE_ROWS_MAX + 200
    for number in range(total):
        world.defer(f"n-{number}", 10_000_000 + number)
    while world.stages[0].has_work():
        world.stages[0].step()
    world.now += PASS_INTERVAL_MS
    world.stages[0].step()  # the first slice
    for number in (0, 500, SLICE_ROWS_MAX + 5, total - 1):
        world.command(f"n-{number}")
    world.defer("first", 9_000_000)
    world.retry("r", 50_000_000)
    for _ in range(6):
        world.run(SLICE_INTERVAL_MS)
    (decider,) = world.deciders
    assert decider.rows_difference == 0
    assert world.counts.pending == total - 3
    first_at = START + PASS_INTERVAL_MS + 9_000_000
    world.run(PASS_INTERVAL_MS)
    for _ in range(6):
        world.run(SLICE_INTERVAL_MS)
    assert decider.next_at_ms() == first_at, "the first release, and no count before it"


def test_a_row_that_the_ledger_does_not_know_is_reported(world: Scheduling, caplog: pytest.LogCaptureFixture) -> None:
    """With numbers, as an error, once; and shown as a metric until it is mended."""
    world.defer("n", 10_000_000)
    world.defer("m", 10_000_000)
    world.run()
    store = world.table.store.partition(0)
    store.delete(pending_key(Pending(START + 10_000_000, 0, b"u:t", b"n")))
    store.put(pending_key(Pending(START + 20_000_000, 7, b"u:t", b"x")), b"")
    store.put(pending_key(Pending(START + 30_000_000, 7, b"u:t", b"y")), b"")
    world.defer("another", 10_000_000)
    with caplog.at_level(logging.ERROR):
        world.run(PASS_INTERVAL_MS)
        world.defer("one more", 10_000_000)
        world.run(PASS_INTERVAL_MS)
    (decider,) = world.deciders
    assert decider.rows_difference == 1
    (record,) = caplog.records
    assert "schedule-0: 3 deferrals and 0 retries" in record.getMessage() and "pending=2" in record.getMessage()
    shown = ScheduleCollector(lambda: {0: decider}, decider.lateness, lambda: START).collect()
    samples = {
        (sample.name, sample.labels.get("against") or sample.labels.get("kind") or sample.labels.get("event")): sample
        for family in shown
        for sample in family.samples
    }
    assert samples["ringonce_schedule_ledger_difference", "rows"].value == 1
    assert samples["ringonce_schedule_ledger_difference", "counts"].value == 0
    assert samples["ringonce_schedule_pending", "notification"].value == 4
    assert samples["ringonce_schedule_total", "scheduled"].value == 4


def test_counts_that_do_not_close_are_reported(world: Scheduling, caplog: pytest.LogCaptureFixture) -> None:
    """The invariant is looked at in each step that changes anything."""
    world.defer("n", 100_000)
    world.run()
    (decider,) = world.deciders
    decider.counts = decider.counts._replace(released=5)
    world.defer("m", 100_000)
    with caplog.at_level(logging.ERROR):
        world.run()
    assert "does not close" in caplog.text
    assert DEFERRALS in {key[:1] for key, _ in world.table.scan(0, b"", b"\xff", 10)}
