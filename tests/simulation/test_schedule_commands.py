"""Cancelling and moving what is scheduled, at the instants where it is just possible and just too late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.keys import partition_of
from streams.policies.scheduling import REMEMBERED_MS
from streams.stages.origin import ORIGIN_HEADER
from tests.simulation.schedule_world import START, TOPICS, Scheduling
from tests.simulation.stage_partition import Crash


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Scheduling]:
    """One partition."""
    made = Scheduling(tmp_path)
    yield made
    made.close()


def test_what_is_pending_is_cancelled(world: Scheduling) -> None:
    """It is never released, its status names who wanted it so, and the answer says when it was due."""
    world.defer("n", 1_000)
    world.run()
    request = world.command("n")
    world.run()
    answer = world.answer(request)
    assert (answer["outcome"], answer["due_at_before"], answer["at"]) == ("CANCELLED", START + 1_000, START)
    world.run(10_000)
    assert world.released() == []
    assert world.states("n") == ["CANCELLED"]
    (status,) = world.read(TOPICS.statuses, "Status")
    assert (status["origin_partition"], status["origin_offset"]) == (0, 1)
    assert "ops" in status["reason"] and request in status["reason"]
    assert world.counts._asdict() | {"scheduled": 1, "cancelled": 1, "pending": 0} == world.counts._asdict()


@pytest.mark.parametrize(("later", "outcome"), [(999, "CANCELLED"), (1_000, "ALREADY_RELEASED")])
def test_in_the_instant_that_it_is_due_it_is_too_late(world: Scheduling, later: int, outcome: str) -> None:
    """A step releases first: a command meets what is due as released.

    0                    999   1,000
    |---------------------^----|
                     cancelled  released
    """
    world.defer("n", 1_000)
    world.run()
    world.now += later
    request = world.command("n")
    world.run()
    assert world.answer(request)["outcome"] == outcome
    world.run(10_000)
    assert world.states("n") == [outcome.removeprefix("ALREADY_")]


@pytest.mark.parametrize("disk_lost", [False, True])
def test_what_has_ended_is_told_for_a_day_by_whoever_owns_it(world: Scheduling, disk_lost: bool) -> None:
    """Released, cancelled, expired; a day later nothing is known of any, and nothing is kept."""
    world.defer("released", 0)
    world.defer("cancelled", 10_000)
    world.defer("expired", 20, expires_in=10)
    world.run()
    world.command("cancelled")
    world.run()
    world.take_over(disk_lost)
    requests = [world.command(name) for name in ("released", "cancelled", "expired")]
    world.run(5)
    answers = [world.answer(request) for request in requests]
    assert [answer["outcome"] for answer in answers] == ["ALREADY_RELEASED", "ALREADY_CANCELLED", "ALREADY_EXPIRED"]
    assert [answer["ended_at"] for answer in answers] == [START, START, START]
    world.run(REMEMBERED_MS)
    request = world.command("released", to_in=1)
    world.run()
    assert world.answer(request)["outcome"] == "UNKNOWN_ID"


def test_a_cancel_that_overtakes_its_own_event_holds(world: Scheduling) -> None:
    """The answer says that nothing is known, and until when it holds; the event that comes then ends as CANCELLED."""
    request = world.command("n")
    world.run()
    answer = world.answer(request)
    assert (answer["outcome"], answer["holds_until"]) == ("UNKNOWN_ID", START + REMEMBERED_MS)
    world.run(60_000)
    world.defer("n", 1_000)
    world.defer("m", 1_000)
    world.run(2_000)
    world.run()
    assert world.states("n") == ["CANCELLED"]
    assert world.released() == ["m"]
    again = world.command("n")
    world.run()
    assert world.answer(again)["outcome"] == "ALREADY_CANCELLED"
    assert world.counts.difference() == 0


def test_a_cancel_in_the_same_step_as_its_event(world: Scheduling) -> None:
    """The order in the topic counts, whether they meet in one step or in two."""
    world.defer("after", 1_000)
    world.command("after")
    world.command("before")
    world.defer("before", 1_000)
    world.defer("moved", 1_000)
    world.command("moved", to_in=500)
    world.command("moved", to_in=700)
    world.run()
    assert [world.answer(f"r-{number}")["outcome"] for number in (1, 2)] == ["CANCELLED", "UNKNOWN_ID"]
    assert world.answer("r-4")["due_at_before"] == START + 500
    world.run(700)
    assert world.released() == ["moved"]
    assert (world.states("after"), world.states("before")) == (["CANCELLED"], ["CANCELLED"])
    assert world.counts.pending == 0


@pytest.mark.parametrize("to_in", [100, 5_000])
def test_what_is_moved_is_released_at_its_new_time_only(world: Scheduling, to_in: int) -> None:
    """Earlier or later; the due time on `due` is the new one."""
    world.defer("n", 1_000)
    world.run()
    request = world.command("n", to_in=to_in)
    world.run()
    answer = world.answer(request)
    assert answer["outcome"] == "MOVED"
    assert (answer["due_at_before"], answer["due_at_after"]) == (START + 1_000, START + to_in)
    world.run(to_in - 1)
    assert world.released() == []
    world.run(1)
    (due,) = world.read(TOPICS.due, "Due")
    assert (due["due_at"], due["released_at"]) == (START + to_in, START + to_in)
    assert world.states("n") == ["DEFERRED", "RELEASED"]


def test_moved_into_the_past_it_is_due_at_once(world: Scheduling) -> None:
    """And released in the next step."""
    world.defer("n", 1_000)
    world.run()
    world.command("n", to_in=-5_000)
    world.run()
    assert world.released() == ["n"]


def test_nothing_is_moved_to_where_it_is_of_no_use(world: Scheduling) -> None:
    """It stays due when it was, and the answer says so."""
    world.defer("n", 1_000, expires_in=3_000)
    world.run()
    request = world.command("n", to_in=3_000)
    world.run()
    assert (world.answer(request)["outcome"], world.answer(request)["due_at_after"]) == ("WOULD_EXPIRE", START + 1_000)
    world.run(1_000)
    assert world.released() == ["n"]


def test_what_waits_for_its_next_attempt_was_released(world: Scheduling) -> None:
    """Its claim and its slot are the business of delivery: a command changes nothing, also in the same step."""
    world.retry("n", 1_000)
    at_once = world.command("n")
    world.run()
    requests = [at_once, world.command("n"), world.command("n", to_in=5)]
    world.run()
    assert [world.answer(request)["outcome"] for request in requests] == ["ALREADY_RELEASED"] * 3
    assert world.answer(requests[1])["ended_at"] is None
    world.run(1_000)
    assert len(world.log.records(TOPICS.outbox)) == 1
    request = world.command("n")
    world.run()
    assert world.answer(request)["ended_at"] == world.now


@pytest.mark.parametrize("crash", ["before the commit", "after the commit"])
@pytest.mark.parametrize("to_in", [None, 5_000])
@pytest.mark.parametrize("disk_lost", [False, True])
def test_a_crash_leaves_one_answer_and_one_end(
    world: Scheduling, crash: Crash, to_in: int | None, disk_lost: bool
) -> None:
    """Wherever it strikes: what the answer says is what happened."""
    world.defer("n", 1_000)
    world.run()
    request = world.command("n", to_in)
    world.stages[0].step(crash)
    world.take_over(disk_lost)
    world.run()
    assert world.answer(request)["outcome"] == ("CANCELLED" if to_in is None else "MOVED")
    world.run(5_000)
    assert world.released() == ([] if to_in is None else ["n"])
    assert world.counts.difference() == 0


def test_a_command_in_the_wrong_partition_is_sent_on(tmp_path: Path) -> None:
    """Its producer has another partitioner; it is answered all the same, once, where the slot lives."""
    world = Scheduling(tmp_path, partitions=2)
    try:
        world.defer("n", 1_000)
        world.run()
        right = partition_of(b"u:t", 2)
        request = world.command("n", partition=1 - right)
        world.run()
        assert world.answer(request)["outcome"] == "CANCELLED"
        (sent_on,) = [record for record in world.log.records(TOPICS.scheduled) if record.headers]
        assert sent_on.headers[0][0] == ORIGIN_HEADER
        assert len(world.log.partitions[TOPICS.answers, 1 - right]) == 0
    finally:
        world.close()


def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on(world: Scheduling) -> None:
    """A command that cannot be read is not answered; nobody knows whose it is."""
    for value in (None, b"", b"\xc3\x01garbage"):
        world.log.append(TOPICS.scheduled, 0, b"u:t", value, [])
    world.defer("n", 0)
    world.run()
    assert len(world.log.records(TOPICS.dead_letters)) == 3
    assert world.log.records(TOPICS.answers) == []
    assert world.released() == ["n"]
