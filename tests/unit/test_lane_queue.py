"""The queue of a lane: nothing missing, nothing twice, and a bound."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.lane.chunk import Chunk
from streams.lane.clock import PartitionClock
from streams.lane.lane import QUEUED_RECORDS_MAX, Lane, LaneContext, RecordsLostError


class QueueOnly(Lane):
    """A lane that does not work on what it takes."""

    async def run(self) -> None:
        """Nothing."""


class Holds:
    """What the consumer was told."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        context = LaneContext(
            stage="stage",
            partition=0,
            transaction=cast(Any, None),  # the queue commits nothing
            positions={"a": 10, "b": 0},
            hold=lambda topic, partition: self.topics.add(topic),
            release=lambda topic, partition: self.topics.discard(topic),
            wall_ms=lambda: 0,
            commit_seconds_max=1.0,
        )
        self.lane = QueueOnly(context)


def chunk(topic: str, start: int, end: int, records: int | None = None) -> Chunk:
    """A chunk over these offsets, with a record for each unless told otherwise."""
    count = end - start if records is None else records
    return Chunk(topic, 0, start, end, cast(Any, [SimpleNamespace(timestamp=start)] * count))


def test_a_chunk_that_went_missing_is_noticed() -> None:
    """The end of one chunk is the start of the next; a gap stops the partition before anything is decided."""
    lane = Holds().lane
    lane.offer(chunk("a", 10, 20))
    with pytest.raises(RecordsLostError, match="expected offset 20, got 25"):
        lane.offer(chunk("a", 25, 30))


def test_the_first_chunk_must_start_where_the_offsets_were_committed() -> None:
    """What was fetched and dropped before recovery ended would be lost otherwise."""
    with pytest.raises(RecordsLostError):
        Holds().lane.offer(chunk("a", 11, 20))


def test_a_chunk_seen_before_is_passed_over() -> None:
    """And the one after it fits."""
    lane = Holds().lane
    for start, end in ((10, 20), (10, 20), (20, 30)):
        lane.offer(chunk("a", start, end))
    assert [(each.start, each.end) for each in lane.take(1_000)] == [(10, 20), (20, 30)]


def test_topics_are_counted_each_on_its_own() -> None:
    """Positions of one say nothing of another."""
    lane = Holds().lane
    lane.offer(chunk("b", 0, 5))
    lane.offer(chunk("a", 10, 11))
    assert lane.queued_records == 6


def test_what_waits_is_as_old_as_the_oldest_chunk_that_is_not_committed() -> None:
    """A chunk that is committed in part still waits; one topic says nothing of another.

    10        20        30
    |---------|---------|      read
    |>>>>|>>>>>>>|>>>>>>|      committed in three steps
    """
    lane = Holds().lane
    for start, end in ((10, 20), (20, 30)):
        lane.offer(chunk("a", start, end))
    seen = []
    for offset in (15, 25, 30):
        seen.append(lane.progress.oldest_ms("a"))
        lane.progress.committed({("a", 0): offset})
    assert (*seen, lane.progress.oldest_ms("a"), lane.progress.oldest_ms("b")) == (10, 10, 20, None, None)
    assert lane.progress.offsets == {"a": 30, "b": 0}


def test_a_step_takes_at_least_one_chunk_and_no_more_than_it_may() -> None:
    """A chunk is never cut."""
    lane = Holds().lane
    for start in (10, 20, 30):
        lane.offer(chunk("a", start, start + 10))
    assert [each.start for each in lane.take(5)] == [10]
    assert [each.start for each in lane.take(20)] == [20, 30]
    assert lane.take(5) == []


def test_a_full_lane_holds_its_topics_and_releases_them_when_half_empty() -> None:
    """Memory is bounded by the lane, whatever arrives."""
    holds = Holds()
    half = QUEUED_RECORDS_MAX // 2
    holds.lane.offer(chunk("a", 10, 10 + half))
    assert holds.topics == set()
    holds.lane.offer(chunk("a", 10 + half, 10 + 2 * half))
    assert holds.topics == {"a"}
    holds.lane.take(1)
    assert holds.topics == {"a"}
    holds.lane.take(1)
    assert holds.topics == set()


def test_time_never_goes_back_within_a_partition() -> None:
    """Neither when the wall clock does, nor over a change of owner.

    wall:    5    3    7    6
    lane:    5    5    7    7        and from 10 on: 10   10   10   10
    """
    for latest, expected in ((0, [5, 5, 7, 7]), (10, [10, 10, 10, 10])):
        wall = iter([5, 3, 7, 6])
        clock = PartitionClock(lambda wall=wall: next(wall), latest)  # type: ignore[misc] # the default binds this one
        assert [clock.now_ms() for _ in range(4)] == expected
