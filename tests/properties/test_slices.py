"""Records by the slice are those that aiokafka hands out one by one, and leave it at the same position."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.lane.slices import SLICE_RECORDS, take_records

TP = TopicPartition("notifications", 0)
ATTRIBUTES_AT, CONTROL = 21, 0x20
ABORT, COMMIT = 0, 1


@dataclass
class Position:
    """What aiokafka keeps of an assigned partition."""

    position: int
    paused: bool = False

    def consumed_to(self, position: int) -> None:
        self.position = position


class Assignment:
    """One partition that stays assigned."""

    active = True

    def __init__(self, position: int) -> None:
        self.state = Position(position)

    def state_value(self, tp: TopicPartition) -> Position:
        return self.state


@dataclass(frozen=True)
class Written:
    """One batch. `producer`: of a transaction, None: of none. `ends`: its transaction ends behind it, by this marker.
    `missing`: offsets at its end that compaction has removed."""

    records: int
    producer: int | None
    ends: int | None
    missing: int


def batch(base: int, records: int, producer: int | None, marker: int | None = None, missing: int = 0) -> bytes:
    """A batch as a broker has it on its disk."""
    builder = DefaultRecordBatchBuilder(
        2, 0, int(producer is not None), -1 if producer is None else producer, 0, 0, 1 << 20
    )
    for offset in range(records):
        key = b"%d" % (base + offset) if marker is None else struct.pack(">hh", 0, marker)
        assert builder.append(offset, 1_000, key, b"value", []) is not None
    raw = bytearray(builder.build())
    raw[:8] = struct.pack(">q", base)
    if marker is not None:
        raw[ATTRIBUTES_AT + 1] |= CONTROL
    raw[23:27] = struct.pack(">i", records - 1 + missing)
    return bytes(raw)


def log(batches: list[Written]) -> tuple[list[tuple[int, bytes]], list[tuple[int, int]], int]:
    """A log of these, each with the offset behind it; what was aborted (producer, first offset); where it ends."""
    raw, aborted, open_since, end = list[tuple[int, bytes]](), [], dict[int, int](), 0
    for one in batches:
        if one.producer is not None:
            open_since.setdefault(one.producer, end)
        raw.append((end + one.records + one.missing, batch(end, one.records, one.producer, missing=one.missing)))
        end = raw[-1][0]
        if one.producer is not None and one.ends is not None:
            if one.ends == ABORT:
                aborted.append((one.producer, open_since[one.producer]))
            del open_since[one.producer]
            raw.append((end + 1, batch(end, 1, one.producer, one.ends)))
            end += 1
    return raw, aborted, end


def fetched(
    raw: list[tuple[int, bytes]], aborted: list[tuple[int, int]], position: int
) -> tuple[FetchResult, Position]:
    """What aiokafka makes of an answer, which begins with the batch that the position is in. Checksums are not looked
    at, as the batches were changed after they had one."""
    answer = b"".join(each for end, each in raw if end > position)
    records = PartitionRecords(TP, MemoryRecords(answer), aborted, position, None, None, False, READ_COMMITTED)
    assignment = Assignment(position)
    return FetchResult(TP, assignment=assignment, partition_records=records, backoff=0), assignment.state


written = st.builds(
    Written,
    records=st.sampled_from([1, 2, 99, 100, 101, 250]),
    producer=st.sampled_from([None, 7, 8]),
    ends=st.sampled_from([None, ABORT, COMMIT]),
    missing=st.sampled_from([0, 0, 3]),
)


@given(st.lists(written, max_size=8), st.floats(0, 1), st.sampled_from([SLICE_RECORDS, 300, 2_000]))
def test_the_same_records_up_to_the_same_position(batches: list[Written], where: float, count: int) -> None:
    """From any offset on, whatever was aborted or removed; and each portion starts where the last one ended."""
    raw, aborted, end = log(batches)
    start = int(end * where)
    whole, position = fetched(raw, aborted, start)
    expected = [record.offset for record in whole.getall()]
    sliced, state = fetched(raw, aborted, start)
    taken: list[Any] = []
    before = start
    while sliced.has_more():
        some = take_records(sliced, count)
        assert len(some) <= count
        offsets = [record.offset for record in some]
        assert all(before <= offset < state.position for offset in offsets)
        before, taken = state.position, taken + offsets
    assert taken == expected
    assert state.position == position.position
