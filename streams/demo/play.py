"""Plays the stream into Kafka and follows what becomes of it, until every event has ended or time is up."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiokafka
import aiokafka.admin
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from streams.demo.tally import Tally
from streams.demo.workload import Message, Plan, addresses_needed, devices, events
from streams.group_offsets import offsets_of_group
from streams.kafka_consumer import stop_consumer
from streams.settings import Settings, kafka_client_options
from streams.topics import TopicNames

IN_FLIGHT_MAX = 2_000
DEVICES_SECONDS_MAX = 60.0


@dataclass(slots=True)
class Played:
    """What was produced, and what became of it so far."""

    produced: dict[tuple[int, int], bool] = field(default_factory=dict)
    scheduled: int = 0
    poison: int = 0
    tally: Tally = field(default_factory=Tally)
    started_at: float = 0.0
    ended_at: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether everything that was produced has ended."""
        return len(self.tally.ended) >= len(self.produced)


def new_addresses(control_url: str, plan: Plan) -> dict[str, list[Any]]:
    """Let the simulators register the devices."""
    request = urllib.request.Request(
        f"{control_url}/devices", json.dumps({"count": addresses_needed(plan)}).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        addresses: dict[str, list[Any]] = json.load(response)
    return addresses


async def play(
    settings: Settings,
    plan: Plan,
    addresses: dict[str, list[Any]],
    show: Callable[[Played, str], None],
    seconds_max: float,
) -> Played:
    """Register the devices, play the events, and follow the statuses to the end."""
    codec, topics = Codec(), TopicNames.of(settings)
    options = kafka_client_options(settings)
    played = Played()
    producer = aiokafka.AIOKafkaProducer(
        **options, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=256 * 1024
    )
    await producer.start()
    try:
        show(played, "registering devices")
        now = time.time_ns() // 1_000_000
        ends = await _produce(producer, topics.devices, devices(codec, plan, addresses, now), None)
        await wait_until_read(options, settings.app_id, topics.devices, ends)
        following = asyncio.create_task(_follow(options, topics.statuses, settings.partitions, codec, played, show))
        try:
            async with asyncio.timeout(seconds_max):
                await _play_events(producer, topics.notifications, codec, plan, played)
                while not played.is_complete:
                    await asyncio.wait([following], timeout=0.2)
                    if following.done():
                        following.result()
        except TimeoutError:
            show(played, f"not complete after {seconds_max:.0f} s")
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            played.ended_at = time.monotonic()
    finally:
        await producer.stop()
    return played


async def _play_events(
    producer: aiokafka.AIOKafkaProducer, topic: str, codec: Codec, plan: Plan, played: Played
) -> None:
    played.started_at = time.monotonic()

    def noted() -> Iterable[Message]:
        for message in events(codec, plan, time.time_ns() // 1_000_000):
            played.poison += message.identity is None
            yield message

    await _produce(producer, topic, noted(), played)


async def _produce(
    producer: aiokafka.AIOKafkaProducer, topic: str, messages: Iterable[Message], played: Played | None
) -> dict[int, int]:
    """Produce all, acknowledged by Kafka; return the end of each partition."""
    ends: dict[int, int] = {}
    acks: list[asyncio.Future[Any]] = []

    async def settle() -> None:
        for metadata in await asyncio.gather(*acks):
            ends[metadata.partition] = max(ends.get(metadata.partition, 0), metadata.offset + 1)
            if played is not None:
                played.produced[metadata.partition, metadata.offset] = True
        acks.clear()

    for message in messages:
        # A record needs a key or a value; the one without a value has a key.
        acks.append(await producer.send(topic, key=message.key, value=message.value))
        if len(acks) >= IN_FLIGHT_MAX:
            await settle()
    await settle()
    return ends


async def wait_until_read(
    options: Mapping[str, Any],
    group: str,
    topic: str,
    ends: Mapping[int, int],
    seconds_max: float = DEVICES_SECONDS_MAX,
    look_seconds: float = 0.2,
) -> None:
    """Wait until the workers have committed past these offsets. Raises TimeoutError."""
    admin = aiokafka.admin.AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        async with asyncio.timeout(seconds_max):
            while True:
                offsets = await offsets_of_group(admin, group)
                read = {tp.partition: offset for tp, offset in offsets.items() if tp.topic == topic}
                if all(read.get(partition, 0) >= end for partition, end in ends.items()):
                    return
                await asyncio.sleep(look_seconds)
    finally:
        await admin.close()


async def _follow(
    options: dict[str, Any],
    topic: str,
    partitions: int,
    codec: Codec,
    played: Played,
    show: Callable[[Played, str], None],
) -> None:
    consumer = aiokafka.AIOKafkaConsumer(
        **options, isolation_level="read_committed", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        while True:
            batches = await consumer.getmany(timeout_ms=250, max_records=5_000)
            for records in batches.values():
                for record in records:
                    played.tally.add(codec.decode(record.value, ("Status",)).record)
            show(played, "playing")
    finally:
        await stop_consumer(consumer)
