"""Deferrals as suppress writes them, as many as wanted, unseen by the worker until they are released together."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from schemas.notification import write_deferral

TYPE: Final = "order_ready"
BATCH_BYTES: Final = 256 * 1024
TRANSACTION_MS_MAX: Final = 600_000
IN_FLIGHT_MAX: Final = 32  # batches: bounds the memory of the producer


class ScheduleFeed:
    """Deferrals on `scheduled`. The offset of origin is the number of the deferral, by which it is known later."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions
        self._codec = Codec()
        self._producer: Any = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            transactional_id=f"feed-{topic}",
            transaction_timeout_ms=TRANSACTION_MS_MAX,
            max_batch_size=BATCH_BYTES,
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def fill(self, numbers: range, due_at: Callable[[int], int]) -> None:
        """Write the deferrals with these numbers, without committing them."""
        await self._producer.begin_transaction()
        batches = [self._producer.create_batch() for _ in range(self._partitions)]
        sent: list[asyncio.Future[Any]] = []
        for number in numbers:
            slot, value = self._deferral(number, due_at(number))
            partition = partition_of(slot, self._partitions)
            if batches[partition].append(key=slot, value=value, timestamp=None) is None:
                sent.append(await self._send(batches[partition], partition))
                batches[partition] = self._producer.create_batch()
                batches[partition].append(key=slot, value=value, timestamp=None)
                if len(sent) >= IN_FLIGHT_MAX:
                    await asyncio.gather(*sent)
                    sent.clear()
        sent += [await self._send(batch, number) for number, batch in enumerate(batches) if batch.record_count()]
        await asyncio.gather(*sent)

    async def release(self) -> None:
        """Commit: from now on they can be read."""
        await self._producer.commit_transaction()

    async def _send(self, batch: Any, partition: int) -> asyncio.Future[Any]:
        batch.close()
        future: asyncio.Future[Any] = await self._producer.send_batch(batch, self._topic, partition=partition)
        return future

    def _deferral(self, number: int, due_at: int) -> tuple[bytes, bytes]:
        user_id = f"user-{number:07d}"
        notification = {
            "notification_id": str(uuid.UUID(int=number)),
            "user_id": user_id,
            "type": TYPE,
            "created_at": time.time_ns() // 1_000_000,
            "send_at": due_at,
            "data": {"name": f"Customer {number % 1000}", "order": f"A-{number:08d}"},
        }
        body = self._codec.encode("Notification", notification)[10:]
        return slot_key(user_id, TYPE), write_deferral(due_at, 0, number, body)
