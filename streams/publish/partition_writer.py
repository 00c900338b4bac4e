"""Many records into chosen partitions, fast: batches that Kafka has confirmed, in the order of each partition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from streams.settings import Settings, kafka_client_options

BATCH_BYTES: Final = 256 * 1024  # Larger ones gain nothing on one connection.
BATCHES_IN_FLIGHT: Final = 32  # At 256 kB each this bounds what a slow cluster makes the writer hold.
NO_HEADERS: Final[Sequence[tuple[str, bytes]]] = ()


class PartitionWriter:
    """An idempotent producer with acks=all. `confirmed` counts the records that Kafka has stored for good.

    Leaving the context without an error confirms all.
    """

    def __init__(self, settings: Settings) -> None:
        self._options = kafka_client_options(settings)
        self._open: dict[tuple[str, int], Any] = {}
        self._in_flight: set[asyncio.Task[None]] = set()
        self.confirmed = 0

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **self._options, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
        )
        await self._producer.start()
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

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return len(await self._producer.partitions_for(topic))

    async def put(
        self,
        topic: str,
        partition: int,
        key: bytes,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = NO_HEADERS,
    ) -> None:
        """Take one record. Raises KafkaError when an earlier one could not be confirmed, ValueError for one that is
        too large."""
        place = (topic, partition)
        batch = self._open.get(place)
        if batch is None or self._append(batch, key, value, headers) is None:
            if batch is not None:
                await self._send(place, batch)
            batch = self._open[place] = self._producer.create_batch()
            if self._append(batch, key, value, headers) is None:
                raise ValueError(f"{topic}-{partition}: a record does not fit into a batch of {BATCH_BYTES:,} bytes")

    async def flush(self) -> None:
        """Return when everything taken so far is confirmed. Raises KafkaError."""
        for place, batch in list(self._open.items()):
            await self._send(place, batch)
        self._open.clear()
        while self._in_flight:
            await self._settle()

    def _append(self, batch: Any, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> Any:
        """None: the batch is full."""
        return batch.append(key=key, value=value, timestamp=None, headers=[*headers])

    async def _send(self, place: tuple[str, int], batch: Any) -> None:
        while len(self._in_flight) >= BATCHES_IN_FLIGHT:
            await self._settle()
        # Handing over in turn keeps the order of a partition; only the confirmation is waited for aside.
        confirmation = await self._producer.send_batch(batch, place[0], partition=place[1])
        self._in_flight.add(asyncio.create_task(self._confirm(confirmation, batch.record_count())))

    async def _confirm(self, confirmation: asyncio.Future[Any], count: int) -> None:
        await confirmation
        self.confirmed += count

    async def _settle(self) -> None:
        done, self._in_flight = await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
