"""The events that every implementation of suppression is given: the same bytes in the same order.

They are written to a topic in one transaction that is committed only when the worker is ready. So a worker starts warm,
all events become readable at once, and nobody produces while it works: it has the machine for itself and the broker.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaProducer

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key

PASS_SHARE: Final = 0.3
TYPES: Final = ("order_ready", "price_alert", "chat_message", "daily_digest")
BATCH_BYTES: Final = 256 * 1024
TRANSACTION_MS_MAX: Final = 600_000  # from the first event written until the worker is ready, with room


class Event(NamedTuple):
    """One event: its slot, which is its Kafka key; its id; the Avro value."""

    slot: bytes
    notification_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Workload:
    """The events of each partition in their order: the index of an event is its offset on a new topic."""

    partitions: Sequence[Sequence[Event]]

    @property
    def count(self) -> int:
        """How many events there are."""
        return sum(map(len, self.partitions))

    @property
    def slots(self) -> int:
        """How many different slots there are: so many events pass."""
        return len({event.slot for events in self.partitions for event in events})


def make_workload(
    count: int, partitions: int, seed: int = 1, pass_share: float = PASS_SHARE, first: int = 0
) -> Workload:
    """So many events, of which this share are the first of their slot; the others are spread over the slots.

    `first`: the number of the first slot, so that two workloads can share none.
    """
    chance = random.Random(seed)
    slots = max(1, int(count * pass_share))
    order = [first + slot for slot in (*range(slots), *(chance.randrange(slots) for _ in range(count - slots)))]
    chance.shuffle(order)
    codec, now = Codec(), time.time_ns() // 1_000_000
    events: list[list[Event]] = [[] for _ in range(partitions)]
    for index, slot in enumerate(order):
        event = _event(codec, chance, slot, index, now)
        events[partition_of(event.slot, partitions)].append(event)
    return Workload(events)


def _event(codec: Codec, chance: random.Random, slot: int, index: int, now: int) -> Event:
    user_id, type = f"user-{slot // len(TYPES):07d}", TYPES[slot % len(TYPES)]
    notification_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    record = {
        "notification_id": notification_id,
        "user_id": user_id,
        "type": type,
        "created_at": now + index // 100,
        "data": {"name": f"Customer {slot % 1000}", "order": f"A-{index:08d}"},
    }
    return Event(slot_key(user_id, type), notification_id, codec.encode("Notification", record))


class Feed:
    """The workload on a topic, unseen by read-committed readers until `release`."""

    def __init__(self, bootstrap: str, topic: str, workload: Workload) -> None:
        self._topic = topic
        self._workload = workload
        self._producer: Any = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            transactional_id=f"feed-{topic}",
            transaction_timeout_ms=TRANSACTION_MS_MAX,
            max_batch_size=BATCH_BYTES,
            linger_ms=5,
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def fill(self) -> None:
        """Write all events, without committing them."""
        await self._producer.begin_transaction()
        for partition, events in enumerate(self._workload.partitions):
            sent: list[asyncio.Future[Any]] = []
            batch = self._producer.create_batch()
            for event in events:
                if batch.append(key=event.slot, value=event.value, timestamp=None) is None:
                    sent.append(await self._send(batch, partition))
                    batch = self._producer.create_batch()
                    batch.append(key=event.slot, value=event.value, timestamp=None)
            if events:
                sent.append(await self._send(batch, partition))
            await asyncio.gather(*sent)

    async def _send(self, batch: Any, partition: int) -> asyncio.Future[Any]:
        batch.close()
        future: asyncio.Future[Any] = await self._producer.send_batch(batch, self._topic, partition=partition)
        return future

    async def release(self) -> None:
        """Commit: from now on the events can be read."""
        await self._producer.commit_transaction()


def ends(workload: Workload) -> Mapping[int, int]:
    """The offset after the last event, by partition."""
    return {partition: len(events) for partition, events in enumerate(workload.partitions)}
