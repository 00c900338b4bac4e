"""What Kafka has on record of a benchmark of schedule: what was released, when by the broker's clock, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from schemas.notification import read_due_head
from streams.demo.play import wait_until_read
from streams.stages.schedule_table import DEFERRALS, read_pending

SECONDS_MAX: Final = 600.0
LOOK_SECONDS: Final = 0.05  # how exactly the end of an insertion is known
_CODEC: Final = Codec()

Ends = Mapping[int, int]


class Releases(NamedTuple):
    """How late each release was, and when the last one was on record; milliseconds of the broker's clock."""

    late_ms: list[int]
    last_at: int


async def ends(bootstrap: str, topic: str, partitions: int) -> dict[int, int]:
    """Where the partitions of a topic end."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        found = await consumer.end_offsets([TopicPartition(topic, number) for number in range(partitions)])
        return {tp.partition: end for tp, end in found.items()}
    finally:
        await consumer.stop()


async def until_read(bootstrap: str, group: str, topic: str, last: Ends) -> None:
    """Wait until the group has committed everything but the transaction marker at the end."""
    ends = {partition: end - 1 for partition, end in last.items()}
    await wait_until_read({"bootstrap_servers": bootstrap}, group, topic, ends, SECONDS_MAX, LOOK_SECONDS)


async def verify_due(bootstrap: str, topic: str, start: Ends, numbers: range) -> None:
    """Wait until exactly these were released, each once. Raises AssertionError."""
    seen = bytearray(len(numbers))
    count = 0
    async for record in _read(bootstrap, topic, start):
        due = read_due_head(record.value, record.key, _CODEC)
        assert due.released_at >= due.due_at, "released early by the worker's own clock"
        assert due.origin_offset in numbers, f"{due.origin_offset} was not due"
        index = due.origin_offset - numbers.start
        assert not seen[index], f"{due.origin_offset} was released twice"
        seen[index] = 1
        count += 1
        if count == len(numbers):
            return


async def releases(bootstrap: str, changelog: str, start: Ends, count: int) -> Releases:
    """The removals of so many rows from the table, which are one transaction with their releases."""
    late, last_at = [], 0
    async for record in _read(bootstrap, changelog, start):
        if record.value is not None or not record.key.startswith(DEFERRALS):
            continue
        late.append(record.timestamp - read_pending(record.key).due_at)
        last_at = max(last_at, record.timestamp)
        if len(late) == count:
            break
    return Releases(late, last_at)


async def _read(bootstrap: str, topic: str, start: Ends) -> AsyncIterator[Any]:
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in start]
        consumer.assign(partitions)
        for tp in partitions:
            consumer.seek(tp, start[tp.partition])
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        yield record
    finally:
        await consumer.stop()
