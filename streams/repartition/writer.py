"""Many records into chosen partitions: batches, acknowledged by all copies, a bounded number of them under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from streams.settings import Settings, kafka_client_options

BATCH_BYTES: Final = 256 * 1024
BATCHES_IN_FLIGHT: Final = 32


class PartitionWriter:
    """An idempotent producer with acks=all. Leaving the context without an error confirms all."""

    def __init__(self, settings: Settings) -> None:
        self._options = kafka_client_options(settings)
        self._open: dict[tuple[str, int], Any] = {}
        self._in_flight: set[asyncio.Future[Any]] = set()
        self.written = 0

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
            await self._producer.stop()

    async def put(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Take one record. Raises KafkaError when an earlier one could not be stored."""
        place = (topic, partition)
        batch = self._open.get(place)
        if batch is None or batch.append(key=key, value=value, timestamp=None, headers=[*headers]) is None:
            if batch is not None:
                await self._send(place, batch)
            batch = self._open[place] = self._producer.create_batch()
            if batch.append(key=key, value=value, timestamp=None, headers=[*headers]) is None:
                raise ValueError(f"{topic}-{partition}: a record of {len(value):,} bytes does not fit into a batch")
        self.written += 1

    async def flush(self) -> None:
        """Return when everything is stored. Raises KafkaError."""
        for place, batch in list(self._open.items()):
            await self._send(place, batch)
        self._open.clear()
        while self._in_flight:
            await self._settle()

    async def _send(self, place: tuple[str, int], batch: Any) -> None:
        while len(self._in_flight) >= BATCHES_IN_FLIGHT:
            await self._settle()
        self._in_flight.add(await self._producer.send_batch(batch, place[0], partition=place[1]))

    async def _settle(self) -> None:
        done, self._in_flight = await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        for future in done:
            future.result()
