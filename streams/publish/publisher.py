"""Many messages onto one topic, fast: batches that Kafka has confirmed, in the order of each key."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from schemas.keys import partition_of
from streams.publish.messages import Message
from streams.settings import Settings, kafka_client_options

BATCH_BYTES: Final = 256 * 1024  # Larger ones gain nothing on one connection.
BATCHES_IN_FLIGHT: Final = 32  # At 256 kB each this bounds what a slow cluster makes the publisher hold.


class Publisher:
    """An idempotent producer with acks=all. `confirmed` counts the messages that Kafka has stored for good.

    Its key's hash decides the partition of a message, as for every Kafka client. Leaving the context confirms all.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._options = kafka_client_options(settings)
        self._topic = topic
        self._open: dict[int, Any] = {}
        self._in_flight: set[asyncio.Task[None]] = set()
        self.confirmed = 0

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **self._options, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
        )
        await self._producer.start()
        self._partitions = len(await self._producer.partitions_for(self._topic))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.flush()
        finally:
            for task in self._in_flight:
                task.cancel()
            await asyncio.gather(*self._in_flight, return_exceptions=True)
            await self._producer.stop()

    async def publish(self, message: Message) -> None:
        """Take one message. Raises KafkaError when an earlier one could not be confirmed."""
        partition = partition_of(message.key, self._partitions)
        batch = self._open.get(partition)
        if batch is None or self._append(batch, message) is None:
            if batch is not None:
                await self._send(partition, batch)
            batch = self._open[partition] = self._producer.create_batch()
            self._append(batch, message)

    async def flush(self) -> None:
        """Return when everything taken so far is confirmed. Raises KafkaError."""
        for partition, batch in list(self._open.items()):
            await self._send(partition, batch)
        self._open.clear()
        while self._in_flight:
            await self._settle()

    def _append(self, batch: Any, message: Message) -> Any:
        """None: the batch is full."""
        return batch.append(key=message.key, value=message.value, timestamp=None)

    async def _send(self, partition: int, batch: Any) -> None:
        while len(self._in_flight) >= BATCHES_IN_FLIGHT:
            await self._settle()
        # Handing over in turn keeps the order of a partition; only the confirmation is waited for aside.
        confirmation = await self._producer.send_batch(batch, self._topic, partition=partition)
        self._in_flight.add(asyncio.create_task(self._confirm(confirmation, batch.record_count())))

    async def _confirm(self, confirmation: asyncio.Future[Any], count: int) -> None:
        await confirmation
        self.confirmed += count

    async def _settle(self) -> None:
        done, self._in_flight = await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
