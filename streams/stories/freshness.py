"""Whether what is known here is all that there was when somebody asked: nothing is "not found" before that is so.

A notification that was taken is on `notifications`; once suppress has committed all that was there, its first status is
on `statuses`; once the stories are told up to where that ended then, its story is here. So two ends are looked up, one
after the other, and each is waited for. The ends are those of the log, not of what is committed: what was confirmed may
lie behind a transaction that is still open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import aiokafka
from aiokafka.structs import TopicPartition

from streams.kafka_consumer import stop_consumer
from streams.lane.app import LaneApp
from streams.settings import Settings, kafka_client_options
from streams.stories.follower import Stories
from streams.topics import TopicNames

WAIT_SECONDS_MAX: Final = 2.0
LOOK_SECONDS: Final = 0.005  # a lane tells nobody that it has committed
READ_SECONDS_MAX: Final = 2.0


class BehindError(Exception):
    """It is not known yet; the sentence says what is behind, and by how much."""


class Freshness:
    """Asks Kafka for the ends of topics, and waits until this worker has read that far."""

    def __init__(self, app: LaneApp, settings: Settings, stories: Stories) -> None:
        topics = TopicNames.of(settings)
        self._app = app
        self._stories = stories
        self._notifications, self._statuses = topics.notifications, topics.statuses
        self._options = kafka_client_options(settings)
        self._consumer: Any = None
        self._starting = asyncio.Lock()
        self._reading = asyncio.Lock()

    async def settle(self, partitions: Sequence[int]) -> None:
        """Return once these partitions are told as far as they went when this was called. Raises BehindError."""
        what = "Kafka has not said how far its topics go"
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                ends = await self._ends(self._notifications, partitions)
                what = "the events before are still being decided on"
                for partition, end in ends.items():
                    await self._decided(partition, end)
                ends = await self._ends(self._statuses, partitions)
                what = "the statuses before are still being read"
                for partition, end in ends.items():
                    if not await self._stories.until_told(partition, end):
                        raise BehindError("the partition is moving to another worker, or its stories are not open yet")
        except TimeoutError:
            raise BehindError(f"{what}: {self._describe(partitions)}") from None

    async def _decided(self, partition: int, end: int) -> None:
        while True:
            lane = self._app.lanes.lanes("suppress").get(partition)
            if lane is None:
                raise BehindError("the partition is moving to another worker")
            if lane.settled(self._notifications) >= end:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _describe(self, partitions: Sequence[int]) -> str:
        lanes = self._app.lanes.lanes("suppress")
        waiting = sum(lanes[number].queued_records for number in partitions if number in lanes)
        told = ", ".join(f"{number}@{self._stories.position(number)}" for number in partitions)
        return f"{waiting} records wait in memory, stories are told up to {told}"

    async def _ends(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        consumer = await self._started()
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in partitions])
        return {tp.partition: end for tp, end in ends.items()}

    async def event(self, partition: int, offset: int) -> Any:
        """Return the record at a place of `notifications`; None: there is none, not yet, not any more, or a marker.

        Raises TimeoutError.
        """
        tp = TopicPartition(self._notifications, partition)
        async with asyncio.timeout(READ_SECONDS_MAX), self._reading:
            consumer = await self._started()
            first, ends = await consumer.beginning_offsets([tp]), await consumer.end_offsets([tp])
            if not first[tp] <= offset < ends[tp]:
                return None
            consumer.assign([tp])
            consumer.seek(tp, offset)
            while await consumer.position(tp) <= offset:
                for record in (await consumer.getmany(tp, timeout_ms=100, max_records=1)).get(tp, []):
                    if record.offset >= offset:
                        consumer.assign([])
                        return record if record.offset == offset else None
        return None

    async def _started(self) -> Any:
        async with self._starting:
            if self._consumer is None:
                consumer = aiokafka.AIOKafkaConsumer(
                    enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50, **self._options
                )
                try:
                    await consumer.start()
                except BaseException:
                    await stop_consumer(consumer)
                    raise
                self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)
            self._consumer = None
