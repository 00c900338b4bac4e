"""The topics of a worker that delivers, from outside: its devices, and how far it has committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from schemas.keys import partition_of
from streams.demo.play import wait_until_read
from streams.settings import Settings, kafka_client_options
from streams.topics import TopicNames
from tests.benchmarks.deliver_workload import Target, devices_of

SECONDS_MAX: Final = 300.0
LOOK_SECONDS: Final = 0.05  # how exactly the end of a run is known


async def register(settings: Settings, names: TopicNames, targets: Sequence[Target]) -> Mapping[int, int]:
    """Put the devices on their topic; return its ends."""
    producer: Any = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, linger_ms=20, max_batch_size=256 * 1024)
    await producer.start()
    ends: dict[int, int] = {}
    try:
        for user, value in devices_of(targets):
            partition = partition_of(user, settings.partitions)
            await producer.send(names.devices, key=user, value=value, partition=partition)
            ends[partition] = ends.get(partition, 0) + 1
        await producer.flush()
    finally:
        await producer.stop()
    return ends


async def end_offsets_of(settings: Settings, topic: str) -> Mapping[int, int]:
    """Return where the topic ends now, by partition."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(settings.partitions)])
        return {tp.partition: end for tp, end in ends.items()}
    finally:
        await consumer.stop()


async def until_committed(settings: Settings, topic: str, ends: Mapping[int, int]) -> None:
    """Wait until the worker has committed so far. Raises TimeoutError."""
    await wait_until_read(kafka_client_options(settings), settings.app_id, topic, ends, SECONDS_MAX, LOOK_SECONDS)
