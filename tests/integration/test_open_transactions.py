"""A changelog with a transaction that has not ended: it is waited for, and nothing is read past it."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from streams.lane.open_transactions import ForgottenTransactionError, until_ended
from tests.integration.kafka_records import create_topics

SHORT_SECONDS = 0.5
LONG_SECONDS = 30.0


def test_a_transaction_that_is_open_after_the_fence_is_not_read_past(kafka: str, prefix: str) -> None:
    """It is named with its place, once it had the time to end; one that ends is waited for; so is none at all."""

    async def play() -> None:
        topic = f"{prefix}changelog"
        await create_topics(kafka, {topic: 2})
        options, changelogs = {"bootstrap_servers": kafka}, [TopicPartition(topic, 0), TopicPartition(topic, 1)]
        await until_ended(options, [], SHORT_SECONDS)
        await until_ended(options, changelogs, SHORT_SECONDS)
        producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{prefix}id")
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait(topic, b"1", partition=1)
            await until_ended(options, changelogs, LONG_SECONDS)
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"2", partition=1)
            with pytest.raises(ForgottenTransactionError, match=f"{topic}-1: a transaction is open at offset 2"):
                await until_ended(options, changelogs, SHORT_SECONDS)
            await until_ended(options, changelogs[:1], SHORT_SECONDS)
            waiting = asyncio.create_task(until_ended(options, changelogs, LONG_SECONDS))
            await asyncio.sleep(SHORT_SECONDS)
            assert not waiting.done()
            await producer.abort_transaction()
            await waiting
        finally:
            await producer.stop()

    asyncio.run(play())
