"""Takes records from callers who wait until Kafka has them, and says no when Kafka is slower than they are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.keys import partition_of
from streams.publish.messages import Message
from streams.settings import Settings, kafka_client_options

logger = logging.getLogger(__name__)

UNDER_WAY_MAX: Final = 5_000  # records that one worker has under way; at 100 ms an acknowledgement 50,000/s
CONFIRM_SECONDS_MAX: Final = 10.0
# What has waited for so long for a partition keeps the next ones from waiting behind it: an election takes less.
SLOW_SECONDS: Final = 2.0
REQUEST_MS_MAX: Final = 15_000  # longer than anybody waits: what is given up after it has no caller any more
CLOSE_SECONDS_MAX: Final = 5.0  # of a worker that ends; what is still under way then has nobody who waits


class BusyError(Exception):
    """Kafka is slower than the callers: nothing was taken, try again later."""


class Waiting:
    """Since when callers wait for which partition of which topic."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._since: dict[tuple[str, int], dict[object, float]] = {}

    def seconds(self, topic: str, partitions: Collection[int]) -> float:
        """How long somebody has waited for one of these by now; the longest counts."""
        firsts = [next(iter(of.values())) for each in partitions if (of := self._since.get((topic, each)))]
        return self._now() - min(firsts) if firsts else 0.0

    def begin(self, topic: str, partitions: Collection[int]) -> object:
        """Note that somebody waits from now on; what is returned ends it."""
        caller, now = object(), self._now()
        for each in partitions:
            self._since.setdefault((topic, each), {})[caller] = now
        return caller

    def end(self, topic: str, partitions: Collection[int], caller: object) -> None:
        """Note that it waits no longer."""
        for each in partitions:
            of = self._since[topic, each]
            del of[caller]
            if not of:
                del self._since[topic, each]


class Intake:
    """An idempotent producer with acks=all, started by the first message. The bound is over all topics."""

    def __init__(self, settings: Settings, under_way_max: int = UNDER_WAY_MAX) -> None:
        self._settings = settings
        self._under_way_max = under_way_max
        self._starting = asyncio.Lock()
        self._producer: Any = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._waiting = Waiting()
        self.under_way = 0

    async def take(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when Kafka has stored all of them on the topic for good.

        Raises BusyError, and then nothing was taken; KafkaError or TimeoutError, and then any of them may have been.
        """
        if self.under_way + len(messages) > self._under_way_max:
            raise BusyError(f"{self.under_way} records wait for Kafka already")
        placed = [(message, partition_of(message.key, self._settings.partitions)) for message in messages]
        partitions = {partition for _, partition in placed}
        waited = self._waiting.seconds(topic, partitions)
        if waited > SLOW_SECONDS:
            raise BusyError(f"Kafka has not confirmed what was sent {waited:.1f} s ago")
        self.under_way += len(messages)
        caller = self._waiting.begin(topic, partitions)
        producer = None
        try:
            async with asyncio.timeout(CONFIRM_SECONDS_MAX):
                producer = await self._started()
                sent = [
                    await producer.send(topic, message.value, message.key, partition, headers=list(message.headers))
                    for message, partition in placed
                ]
                await asyncio.gather(*sent)
        except KafkaError:
            self._let_go(producer)
            raise
        finally:
            self._waiting.end(topic, partitions, caller)
            self.under_way -= len(messages)

    async def _started(self) -> Any:
        async with self._starting:
            if self._producer is None:
                options = kafka_client_options(self._settings)
                options |= {"request_timeout_ms": REQUEST_MS_MAX, "linger_ms": 2}
                producer = AIOKafkaProducer(acks="all", enable_idempotence=True, **options)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer

    def _let_go(self, producer: Any) -> None:
        """Let the next caller have a new producer: one that gave up a record refuses all that come after it."""
        if producer is not None and producer is self._producer:
            self._producer = None
            stopping = asyncio.create_task(_stop(producer))
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)

    async def close(self) -> None:
        """Let go of the connections."""
        self._let_go(self._producer)
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=CLOSE_SECONDS_MAX)


async def _stop(producer: Any) -> None:
    """Stop it: what it has under way ends within the time that a request may take."""
    try:
        await producer.stop()
    except KafkaError as error:
        logger.warning("a producer of the gateway could not be stopped well: %r", error)
