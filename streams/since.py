"""Where the records since an instant begin."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from aiokafka.structs import TopicPartition


class Since(NamedTuple):
    """By partition: the offset of the first record since then, and the end that there was; the same where none was."""

    first: dict[TopicPartition, int]
    ends: dict[TopicPartition, int]


async def records_since(consumer: Any, partitions: Collection[TopicPartition], at: int) -> Since:
    """Look where the records since `at` (milliseconds since the epoch) begin, and where they end. Raises KafkaError.

    The ends come first. The other way round, the first record of a partition, written between the two questions, would
    lie before the end from which it is read: it would never be read.
    """
    ends = dict(await consumer.end_offsets(list(partitions)))
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, at))
    return Since({tp: ends[tp] if found[tp] is None else found[tp].offset for tp in partitions}, ends)
