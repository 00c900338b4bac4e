"""Stopping an aiokafka consumer in the moment in which it does not notice."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.kafka_consumer import stop_consumer

SECONDS_MAX = 60.0


async def just_reassigned(kafka: str, topic: str) -> AIOKafkaConsumer:
    """A consumer that is about to cancel its fetch and to wait for it, because its assignment has changed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, fetch_max_wait_ms=5_000)
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.seek_to_beginning()
    async with asyncio.timeout(SECONDS_MAX):
        while not consumer._fetcher._pending_tasks:  # noqa: ASYNC110 (aiokafka has no event for it)
            await asyncio.sleep(0.01)
    consumer.assign([TopicPartition(topic, 1)])
    return consumer


def test_a_consumer_that_was_just_reassigned_stops(kafka: str, prefix: str) -> None:
    """It stops, while aiokafka's own stop would wait for ever for a task that took its cancellation for another's."""

    async def scenario() -> None:
        consumer = await just_reassigned(kafka, f"{prefix}topic")
        async with asyncio.timeout(SECONDS_MAX):
            await stop_consumer(consumer)
        assert consumer._fetcher._fetch_task.done()

    asyncio.run(scenario())


def test_aiokafka_still_needs_it(kafka: str, prefix: str) -> None:
    """When this fails, aiokafka has mended it, and `stop_consumer` can go."""

    async def scenario() -> bool:
        consumer = await just_reassigned(kafka, f"{prefix}topic")
        stopping = asyncio.ensure_future(consumer.stop())
        stopped, _ = await asyncio.wait([stopping], timeout=2)
        consumer._fetcher._fetch_task.cancel()
        with suppress(asyncio.CancelledError):
            await stopping
        return bool(stopped)

    assert asyncio.run(scenario()) is False
