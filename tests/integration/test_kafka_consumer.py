"""Stopping an aiokafka consumer when it does not notice, and when it notices too much."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connectors.embedded_kafka import EmbeddedKafka
from streams.kafka_consumer import stop_consumer

SECONDS_MAX = 60.0
LONG_BACKOFF_MS = 60_000


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


async def without_its_broker(broker: EmbeddedKafka) -> AIOKafkaConsumer:
    """A consumer whose broker is gone: its fetch has failed, and waits to be tried again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("topic", 1, 1)])
    await admin.close()
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, retry_backoff_ms=LONG_BACKOFF_MS)
    await consumer.start()
    consumer.assign([TopicPartition("topic", 0)])
    await consumer.seek_to_beginning()
    async with asyncio.timeout(SECONDS_MAX):
        while not consumer._fetcher._pending_tasks:  # noqa: ASYNC110 (aiokafka has no event for it)
            await asyncio.sleep(0.01)
    (fetch,) = consumer._fetcher._pending_tasks
    broker.kill()
    async with asyncio.timeout(SECONDS_MAX):
        while where(fetch) != "sleep":  # noqa: ASYNC110 (aiokafka has no event for it)
            await asyncio.sleep(0.01)
    return consumer


def where(task: asyncio.Task[None]) -> str:
    """The name of the coroutine that a task waits in, at the innermost."""
    waited: Any = task.get_coro()
    while getattr(waited, "cr_await", None) is not None and hasattr(waited.cr_await, "cr_code"):
        waited = waited.cr_await
    return str(waited.cr_code.co_name)


def test_a_consumer_whose_broker_is_gone_stops() -> None:
    """Nothing is raised, its tasks have ended, its connections are closed: a worker that lost its broker goes on."""

    async def scenario() -> None:
        with EmbeddedKafka(fast_start=True) as broker:
            consumer = await without_its_broker(broker)
            fetches = list(consumer._fetcher._pending_tasks)
            async with asyncio.timeout(SECONDS_MAX):
                await stop_consumer(consumer)
        assert fetches
        assert all(fetch.done() for fetch in fetches)
        assert consumer._client._conns == {}

    asyncio.run(scenario())


def test_aiokafka_still_needs_it_without_a_broker() -> None:
    """When this fails, aiokafka has mended it, and the second half of `stop_consumer` can go."""

    async def scenario() -> None:
        with EmbeddedKafka(fast_start=True) as broker:
            consumer = await without_its_broker(broker)
            with pytest.raises(asyncio.CancelledError):
                await consumer.stop()
            await consumer._client.close()

    asyncio.run(scenario())
