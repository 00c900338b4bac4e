"""Where records since an instant begin, on a log that grows while it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from aiokafka.structs import OffsetAndTimestamp, TopicPartition

from streams.since import records_since

PLACE = TopicPartition("statuses", 0)


class GrowingLog:
    """Behind each answer comes a record of now."""

    def __init__(self, times: Sequence[int], now: int) -> None:
        self.times = list(times)
        self.now = now

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        ends = dict.fromkeys(partitions, len(self.times))
        self.times.append(self.now)
        return ends

    async def offsets_for_times(
        self, times: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        found: dict[TopicPartition, OffsetAndTimestamp | None] = {}
        for place, at in times.items():
            offset = next((offset for offset, time in enumerate(self.times) if time >= at), None)
            found[place] = None if offset is None else OffsetAndTimestamp(offset, self.times[offset])
        self.times.append(self.now)
        return found


@pytest.mark.parametrize(
    ("times", "at", "first", "end"),
    [
        ([], 50, 0, 0),
        ([10, 20], 50, 2, 2),
        ([10, 60, 70], 50, 1, 3),
        ([60], 50, 0, 1),
        ([], 200, 0, 0),  # a clock that is ahead: what is there now is older than it says
        ([10, 20], 200, 2, 2),
    ],
)
def test_nothing_that_comes_meanwhile_is_passed_over(times: list[int], at: int, first: int, end: int) -> None:
    """All that was written after the question began is behind `first`, also the first record that there ever was."""
    log = GrowingLog(times, now=100)
    found = asyncio.run(records_since(log, [PLACE], at))
    assert found.first == {PLACE: first}
    assert found.ends == {PLACE: end}
    assert found.first[PLACE] <= len(times)
