"""What the integration tests ask of a real Kafka: topics, records to an end, committed offsets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from streams.group_offsets import offsets_of_group

WAIT_SECONDS_MAX = 60.0  # a busy machine may take long; nothing here waits for time to pass
LOOK_SECONDS = 0.1


async def create_topics(bootstrap: str, topics: Mapping[str, int], configs: Mapping[str, str] | None = None) -> None:
    """Create topics with so many partitions each."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        wanted = [NewTopic(name, count, 1, topic_configs=dict(configs or {})) for name, count in topics.items()]
        await admin.create_topics(wanted)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            # Kafka gives no sign when they are there.
            while not _are_there(await admin.describe_topics(list(topics))):  # noqa: ASYNC110 (Kafka sends no signal)
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        await admin.close()


def _are_there(described: Sequence[Mapping[str, Any]]) -> bool:
    return all(
        not topic["error_code"] and all(partition["leader"] >= 0 for partition in topic["partitions"])
        for topic in described
    )


@asynccontextmanager
async def producing(bootstrap: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer, stopped afterwards."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def read_all(bootstrap: str, topic: str, isolation: str = "read_committed") -> list[Any]:
    """All records that are on a topic now, partition by partition; by default those that are committed."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(await _partitions(consumer, topic))]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[TopicPartition, list[Any]] = {tp: [] for tp in partitions}
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[tp] += [record for record in records if record.offset < ends[tp]]
        return [record for tp in partitions for record in found[tp]]
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not (known := consumer.partitions_for_topic(topic)):
            await consumer._client.force_metadata_update()
            consumer._client.add_topic(topic)
        return set(known)


async def committed(bootstrap: str, group: str) -> dict[tuple[str, int], int]:
    """The offsets that a group has committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return {(tp.topic, tp.partition): offset for tp, offset in (await offsets_of_group(admin, group)).items()}
    finally:
        await admin.close()


async def ends(bootstrap: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """Where the partitions of these topics end; those that are empty are left out."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic, number) for topic in topics for number in await _partitions(consumer, topic)
        ]
        found = await consumer.end_offsets(partitions)
        return {(tp.topic, tp.partition): end for tp, end in found.items() if end}
    finally:
        await consumer.stop()


async def until_read(
    bootstrap: str, group: str, topics: Sequence[str], check: Callable[[], None] = lambda: None
) -> None:
    """Wait until the group has committed everything on these topics, twice in a row: nothing follows from the last.

    `check` may raise, so that a worker that has failed ends the wait.
    """
    quiet: dict[tuple[str, int], int] | None = None
    async with asyncio.timeout(2 * WAIT_SECONDS_MAX):
        while True:
            check()
            last = await ends(bootstrap, topics)
            done = await committed(bootstrap, group)
            if all(done.get(place) == end for place, end in last.items()):
                if quiet == last:
                    return
                quiet = last
            else:
                quiet = None
            await asyncio.sleep(LOOK_SECONDS)
