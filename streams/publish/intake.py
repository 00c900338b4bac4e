"""Takes records from callers who wait until Kafka has them, and says no when more wait than it can take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from schemas.keys import partition_of
from streams.publish.messages import Message
from streams.settings import Settings, kafka_client_options

UNDER_WAY_MAX: Final = 5_000  # records that one worker has under way; at 100 ms an acknowledgement 50,000/s
CONFIRM_SECONDS_MAX: Final = 10.0


class BusyError(Exception):
    """Kafka is slower than the callers: nothing was taken, try again later."""


class Intake:
    """An idempotent producer with acks=all, started by the first message. The bound is over all topics."""

    def __init__(self, settings: Settings, under_way_max: int = UNDER_WAY_MAX) -> None:
        self._settings = settings
        self._under_way_max = under_way_max
        self._starting = asyncio.Lock()
        self._producer: Any = None
        self.under_way = 0

    async def take(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when Kafka has stored all of them on the topic for good.

        Raises BusyError, and then nothing was taken; KafkaError or TimeoutError, and then any of them may have been.
        """
        if self.under_way + len(messages) > self._under_way_max:
            raise BusyError(f"{self.under_way} records wait for Kafka already")
        self.under_way += len(messages)
        try:
            async with asyncio.timeout(CONFIRM_SECONDS_MAX):
                producer = await self._started()
                partitions = self._settings.partitions
                sent = [
                    await producer.send(
                        topic,
                        message.value,
                        message.key,
                        partition_of(message.key, partitions),
                        headers=list(message.headers),
                    )
                    for message in messages
                ]
                await asyncio.gather(*sent)
        finally:
            self.under_way -= len(messages)

    async def _started(self) -> Any:
        async with self._starting:
            if self._producer is None:
                options = kafka_client_options(self._settings)
                producer = AIOKafkaProducer(acks="all", enable_idempotence=True, linger_ms=2, **options)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer

    async def close(self) -> None:
        """Let go of the connection."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
