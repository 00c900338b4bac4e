"""Broadcasts, lists and commands for them onto all partitions of `broadcasts`, and what the partitions answer."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from schemas.keys import partition_of
from schemas.poison import PoisonError
from schemas.records import Broadcast, BroadcastReport
from streams.kafka_consumer import stop_consumer
from streams.policies.broadcasting import Action
from streams.settings import Settings, kafka_client_options
from streams.stages.broadcast_records import check_text
from streams.topics import TopicNames

logger = logging.getLogger(__name__)

CONFIRM_SECONDS_MAX: Final = 10.0
TRANSACTION_MS_MAX: Final = 10_000  # a process that dies in one keeps the commands of others waiting for so long
STOP_SECONDS_MAX: Final = 5.0
LISTED_MAX: Final = 500  # users in one record
RECORDS_UNDER_WAY_MAX: Final = 32  # of a list: at 500 users each this bounds what a slow cluster makes it hold


class Controlled(NamedTuple):
    """A command that is on Kafka, and what the partitions have answered in time, by their numbers."""

    request_id: str
    reports: Mapping[int, BroadcastReport]


class BroadcastCommands:
    """Writes to all partitions at once: a broadcast begins in all of them or in none.

    Raises what aiokafka raises when Kafka cannot be reached, and TimeoutError. Connects when it is first needed.
    """

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self._topics = TopicNames.of(settings)
        self._lock = asyncio.Lock()
        self._producer: Any = None
        self._lists: Any = None
        self._consumer: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._listeners: set[Callable[[BroadcastReport], None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._stop_reading()
        for name in ("_producer", "_lists"):
            producer = getattr(self, name)
            setattr(self, name, None)
            if producer is not None:
                await producer.stop()

    # --- writing

    async def start(self, broadcast: Broadcast) -> None:
        """Write it to all partitions; returns when Kafka has it. The same id again is the same broadcast.

        The users of a list are written before: see `list_users`.
        """
        await self._everywhere("Broadcast", broadcast)

    async def control(
        self, broadcast_id: str, action: Action, requested_by: str, seconds: float, request_id: str | None = None
    ) -> Controlled:
        """Pause, resume or cancel, and wait for the answers of the partitions at most so long.

        Raises PoisonError for a command that would be refused.
        """
        request_id = request_id or uuid.uuid4().hex
        check_text("broadcast_id", broadcast_id, 1)
        check_text("request_id", request_id, 1)
        check_text("requested_by", requested_by, 0)
        command = {
            "broadcast_id": broadcast_id,
            "action": action,
            "request_id": request_id,
            "requested_by": requested_by,
            "requested_at": _now_ms(),
        }
        reports: dict[int, BroadcastReport] = {}
        complete = asyncio.Event()

        def listen(report: BroadcastReport) -> None:
            if report.get("request_id") == request_id and report["partition"] is not None:
                reports[report["partition"]] = report
                if len(reports) == self._settings.partitions:
                    complete.set()

        with await self._listening(listen):
            await self._everywhere("BroadcastControl", command)
            await _within(seconds, complete.wait())
        return Controlled(request_id, reports)

    async def totals(self, broadcast: Broadcast, seconds: float) -> BroadcastReport | None:
        """Start it and wait for its totals, at most so long; None: there are none yet."""
        found: list[BroadcastReport] = []
        complete = asyncio.Event()

        def listen(report: BroadcastReport) -> None:
            if report["partition"] is None and report["broadcast_id"] == broadcast["broadcast_id"]:
                found.append(report)
                complete.set()

        with await self._listening(listen):
            await self.start(broadcast)
            await _within(seconds, complete.wait())
        return found[0] if found else None

    async def list_users(self, broadcast_id: str, users: AsyncIterator[Sequence[str]]) -> int:
        """Write users of a list as they come, holding few of them; returns how many, once Kafka has them.

        Writing the same users again changes nothing, and neither does it once the broadcast has begun.
        """
        check_text("broadcast_id", broadcast_id, 1)
        producer = await self._list_producer()
        waiting: dict[int, list[str]] = {}
        under_way: set[asyncio.Future[Any]] = set()
        count = 0

        async def send(partition: int) -> None:
            nonlocal under_way
            record = {"broadcast_id": broadcast_id, "users": waiting.pop(partition)}
            value = self._codec.encode("BroadcastUsers", record, self._topics.broadcasts)
            key = broadcast_id.encode()
            under_way.add(await producer.send(self._topics.broadcasts, value, key, partition))
            if len(under_way) >= RECORDS_UNDER_WAY_MAX:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()

        try:
            async for some in users:
                for user in some:
                    partition = partition_of(user.encode(), self._settings.partitions)
                    part = waiting.setdefault(partition, [])
                    part.append(user)
                    count += 1
                    if len(part) == LISTED_MAX:
                        await send(partition)
            for partition in list(waiting):
                await send(partition)
            await asyncio.gather(*under_way)
        finally:
            for each in under_way:
                each.cancel()  # where one has failed, nobody asks for the others any more
        return count

    async def _list_producer(self) -> Any:
        async with self._lock:
            if self._lists is None:
                options = kafka_client_options(self._settings)
                producer = AIOKafkaProducer(acks="all", enable_idempotence=True, linger_ms=5, **options)
                self._lists = await _started(producer)
        return self._lists

    async def _everywhere(self, name: str, record: Mapping[str, Any]) -> None:
        """Write the same record to each partition, in one transaction."""
        topic, key = self._topics.broadcasts, record["broadcast_id"].encode()
        value = self._codec.encode(name, record, topic)
        async with self._lock, asyncio.timeout(CONFIRM_SECONDS_MAX):
            if self._producer is None:
                self._producer = await _started(
                    AIOKafkaProducer(
                        # Of this process alone: two that write at the same time must not fence each other.
                        transactional_id=f"{self._settings.app_id}-broadcasts-{uuid.uuid4().hex}",
                        transaction_timeout_ms=TRANSACTION_MS_MAX,
                        **kafka_client_options(self._settings),
                    )
                )
            try:
                async with self._producer.transaction():
                    partitions = range(self._settings.partitions)
                    sent = [await self._producer.send(topic, value, key, partition) for partition in partitions]
                    await asyncio.gather(*sent)
            except BaseException:
                producer, self._producer = self._producer, None  # Kafka aborts in time what is left of its transaction
                await _within(STOP_SECONDS_MAX, producer.stop())
                raise

    # --- reading

    async def _listening(self, listen: Callable[[BroadcastReport], None]) -> AbstractContextManager[None]:
        """Hand it all reports that are written from now on, until the context is left."""
        await self._read_on()

        @contextmanager
        def registered() -> Iterator[None]:
            self._listeners.add(listen)
            try:
                yield
            finally:
                self._listeners.discard(listen)

        return registered()

    async def _read_on(self) -> None:
        """Read reports from now on. Doing it again does nothing, unless reading has ended since."""
        async with self._lock:
            if self._reading is not None and not self._reading.done():
                return
            await self._stop_reading()
            options = kafka_client_options(self._settings)
            consumer: Any = AIOKafkaConsumer(isolation_level="read_committed", enable_auto_commit=False, **options)
            try:
                await consumer.start()
                topic = self._topics.broadcast_reports
                partitions = [TopicPartition(topic, number) for number in range(self._settings.partitions)]
                consumer.assign(partitions)
                for tp, end in (await consumer.end_offsets(partitions)).items():
                    consumer.seek(tp, end)
            except BaseException:
                await stop_consumer(consumer)
                raise
            self._consumer = consumer
            self._reading = asyncio.create_task(self._read(consumer))

    async def _stop_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)

    async def _read(self, consumer: Any) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    try:
                        found = self._codec.decode(record.value, ("BroadcastReport",)).record
                    except PoisonError as error:
                        logger.warning("%s-%d@%d: %s", record.topic, record.partition, record.offset, error)
                        continue
                    for listen in list(self._listeners):
                        listen(cast(BroadcastReport, found))


async def _started(producer: Any) -> Any:
    try:
        await producer.start()
    except (KafkaError, asyncio.CancelledError):
        await producer.stop()
        raise
    return producer


async def _within(seconds: float, what: Awaitable[Any]) -> None:
    """Wait for it, at most so long."""
    try:
        async with asyncio.timeout(seconds):
            await what
    except TimeoutError:
        return


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
