"""What a group has committed, asked of real brokers: while a transaction is under way, and of the wrong one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaTimeoutError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from connectors.embedded_kafka import EmbeddedCluster
from streams.group_offsets import offsets_of_group, offsets_of_member
from tests.integration.kafka_records import create_topics

SHORT_SECONDS = 1.0


@asynccontextmanager
async def running(client: Any) -> AsyncIterator[Any]:
    """A client, started and stopped."""
    await client.start()
    try:
        yield client
    finally:
        await client.stop() if hasattr(client, "stop") else await client.close()


def member(bootstrap: str, group: str) -> Any:
    """A consumer that reads nothing."""
    return AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)


async def _while_a_transaction_is_under_way(bootstrap: str, prefix: str) -> None:
    topic, group = f"{prefix}t", f"{prefix}group"
    await create_topics(bootstrap, {topic: 2})
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with (
        running(member(bootstrap, group)) as consumer,
        running(AIOKafkaAdminClient(bootstrap_servers=bootstrap)) as admin,
        running(AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{prefix}id")) as producer,
    ):
        assert await offsets_of_member(consumer._coordinator, [first, second]) == {}
        assert await offsets_of_group(admin, group) == {}
        async with producer.transaction():
            await producer.send_offsets_to_transaction({first: OffsetAndMetadata(7, "")}, group)
        assert await offsets_of_member(consumer._coordinator, [first, second]) == {first: 7}
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({first: OffsetAndMetadata(9, "")}, group)
        with pytest.raises(KafkaTimeoutError, match=f"{topic}-0"):
            await offsets_of_member(consumer._coordinator, [first], SHORT_SECONDS)
        assert await offsets_of_member(consumer._coordinator, [second]) == {}
        assert await offsets_of_group(admin, group) == {first: 7}
        waiting = asyncio.create_task(offsets_of_member(consumer._coordinator, [first, second]))
        await asyncio.sleep(SHORT_SECONDS)
        assert not waiting.done()
        await producer.commit_transaction()
        assert await waiting == {first: 9}
        assert await offsets_of_group(admin, group) == {first: 9}


def test_a_transaction_that_has_not_ended_is_waited_for(kafka: str, prefix: str) -> None:
    """By who will go on at these offsets; who only looks is told what was committed before."""
    asyncio.run(_while_a_transaction_is_under_way(kafka, prefix))


async def _of_the_wrong_broker(bootstrap: str, brokers: int) -> None:
    await create_topics(bootstrap, {"t": 1})
    place = TopicPartition("t", 0)
    async with running(member(bootstrap, "group")) as consumer:
        coordinator = consumer._coordinator
        consumer.assign([place])
        await consumer.commit({place: 7})
        right = coordinator.coordinator_id
        for node in {1, 2, 3} - {right}:
            assert node <= brokers
            coordinator.coordinator_id = node
            assert await coordinator.fetch_committed_offsets([place]) == {}, "aiokafka looks at the error now"
            coordinator.coordinator_id = node
            assert await offsets_of_member(coordinator, [place]) == {place: 7}
            assert coordinator.coordinator_id == right


@pytest.mark.timeout(300)
def test_who_is_not_the_coordinator_is_not_believed(tmp_path: Path) -> None:
    """It says so for the whole group, without any partition: the right one is looked for, and asked."""
    with EmbeddedCluster(tmp_path, fast_start=True) as cluster:
        asyncio.run(_of_the_wrong_broker(cluster.bootstrap, len(cluster.brokers)))
