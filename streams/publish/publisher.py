"""Many messages onto one topic, fast: batches that Kafka has confirmed, in the order of each key."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from schemas.keys import partition_of
from streams.publish.messages import Message
from streams.publish.partition_writer import PartitionWriter
from streams.settings import Settings


class Publisher:
    """A PartitionWriter for one topic, in which a message's key decides its partition, as for every Kafka client.

    `confirmed` counts the messages that Kafka has stored for good. Leaving the context confirms all.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._writer = PartitionWriter(settings)
        self._topic = topic

    @property
    def confirmed(self) -> int:
        return self._writer.confirmed

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        self._partitions = await self._writer.partitions(self._topic)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._writer.__aexit__(kind, error, traceback)

    async def publish(self, message: Message) -> None:
        """Take one message. Raises KafkaError when an earlier one could not be confirmed."""
        partition = partition_of(message.key, self._partitions)
        await self._writer.put(self._topic, partition, message.key, message.value, message.headers)

    async def flush(self) -> None:
        """Return when everything taken so far is confirmed. Raises KafkaError."""
        await self._writer.flush()
