"""Cancels, moves and erasures: a command is written to Kafka, and its answers awaited on `answers`."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self, cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaTimeoutError
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from schemas.keys import check_notification_id, check_user_id, partition_of, slot_key
from schemas.poison import PoisonError
from schemas.records import ForgetAnswer, ScheduleAnswer
from streams.group_offsets import offsets_of_group
from streams.kafka_consumer import stop_consumer
from streams.settings import Settings, kafka_client_options
from streams.stages.device_change import check_request
from streams.stages.forgetting import Forget, write_forget
from streams.topics import TopicNames

logger = logging.getLogger(__name__)

# What the stages read of a user: as long as something of it is unread, a command to erase would overtake it.
READ_FIRST: Final = ("notifications", "devices", "preferences", "profiles")
EVERYWHERE: Final = ("suppress", "schedule")  # stages that have something of a user in any partition
READ_SECONDS_MAX: Final = 10.0  # a partition whose last record is a transaction marker is committed after 5 s
LOOK_SECONDS: Final = 0.1
CONFIRM_SECONDS_MAX: Final = 10.0


class Target(NamedTuple):
    """Which notification a command is for."""

    user_id: str
    type: str
    notification_id: str

    @property
    def slot(self) -> bytes:
        """The key of its slot. Raises PoisonError INVALID_FIELD for names that cannot be."""
        return slot_key(self.user_id, self.type)


class Asked(NamedTuple):
    """A command that is on Kafka; `answer` is None where none came in time: it will be carried out all the same."""

    request_id: str
    answer: ScheduleAnswer | None


class Forgotten(NamedTuple):
    """An erasure that is on Kafka: what has answered, and which (stage, partition) have not yet.

    `unread`: records that were there before and had not been read when the command was written; they come after it.
    """

    request_id: str
    answers: list[ForgetAnswer]
    pending: list[tuple[str, int]]
    unread: int = 0

    def total(self, field: Literal["removed", "kept"]) -> dict[str, int]:
        """Add up what all have removed, or kept, by kind."""
        found: Counter[str] = Counter()
        for answer in self.answers:
            found.update(answer[field])
        return dict(found)

    @property
    def slots_kept_until(self) -> int | None:
        """When the last of the slots is free that had to be kept, milliseconds since the epoch; None: none was."""
        instants = [at for answer in self.answers if (at := answer.get("slots_kept_until")) is not None]
        return max(instants, default=None)


async def _in_time(asking: Awaitable[Any]) -> None:
    """Wait for Kafka, and not for ever. Raises KafkaTimeoutError."""
    try:
        async with asyncio.timeout(CONFIRM_SECONDS_MAX):
            await asking
    except TimeoutError:
        raise KafkaTimeoutError(f"not confirmed within {CONFIRM_SECONDS_MAX:g} s") from None


class Collector:
    """Collects the answers to one erasure, the first of each partition."""

    def __init__(self, wanted: set[tuple[str, int]]) -> None:
        self.wanted = wanted
        self.answers: list[ForgetAnswer] = []
        self.complete = asyncio.Event()

    def add(self, answer: ForgetAnswer) -> None:
        """Note one."""
        place = (answer["stage"], answer["partition"])
        if place in self.wanted:
            self.wanted.discard(place)
            self.answers.append(answer)
        if not self.wanted:
            self.complete.set()


class ScheduleCommands:
    """Writes commands and finds their answers; whichever worker decides, and wherever its partition moves meanwhile.

    Raises what aiokafka raises when Kafka cannot be reached. Start it once, use it for many.
    """

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self._topics = TopicNames.of(settings)
        self._waiting: dict[str, asyncio.Future[ScheduleAnswer]] = {}
        self._collecting: dict[str, Collector] = {}
        self._starting = asyncio.Lock()
        self._producer: Any = None
        self._consumer: Any = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Connect, and read answers from now on. Doing it again does nothing, unless reading has ended since."""
        async with self._starting:
            if self._reading is not None and not self._reading.done():
                return
            await self.close()
            options = kafka_client_options(self._settings)
            self._producer = AIOKafkaProducer(acks="all", enable_idempotence=True, **options)
            self._consumer = AIOKafkaConsumer(isolation_level="read_committed", enable_auto_commit=False, **options)
            try:
                await self._producer.start()
                await self._consumer.start()
                partitions = [
                    TopicPartition(self._topics.answers, number) for number in range(self._settings.partitions)
                ]
                self._consumer.assign(partitions)
                for tp, end in (await self._consumer.end_offsets(partitions)).items():
                    self._consumer.seek(tp, end)
            except BaseException:
                await self.close()
                raise
            self._reading = asyncio.create_task(self._read(self._consumer))

    async def close(self) -> None:
        """Let go of the connections; who still waits gets no answer."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        producer, self._producer = self._producer, None
        consumer, self._consumer = self._consumer, None
        if producer is not None:
            await producer.stop()
        if consumer is not None:
            await stop_consumer(consumer)

    async def cancel(self, target: Target, requested_by: str, seconds: float, request_id: str | None = None) -> Asked:
        """Cancel, and wait for the answer at most so long. Raises PoisonError for a command that would be refused."""
        return await self._ask("Cancel", target, requested_by, seconds, request_id, {})

    async def move(
        self, target: Target, due_at: int, requested_by: str, seconds: float, request_id: str | None = None
    ) -> Asked:
        """Move to `due_at`, milliseconds since the epoch, and wait for the answer. Raises as `cancel`."""
        return await self._ask("Move", target, requested_by, seconds, request_id, {"due_at": due_at})

    async def forget(self, user_id: str, requested_by: str, seconds: float, request_id: str | None = None) -> Forgotten:
        """Remove everything of a user, and collect what the partitions say for at most so long.

        Raises PoisonError for a command that would be refused.
        """
        request_id = request_id or uuid.uuid4().hex
        try:
            user = user_id.encode()
            check_user_id(user)
            check_request(request_id, requested_by)
        except UnicodeEncodeError as error:
            raise PoisonError("INVALID_FIELD", f"user_id is not UTF-8: {error.reason}") from None
        forget = Forget(user, request_id, requested_by, time.time_ns() // 1_000_000)
        partitions, topics = self._settings.partitions, self._topics
        own = partition_of(user, partitions)
        await self.start()
        give_up_at = asyncio.get_running_loop().time() + seconds
        unread = await self._until_read(min(seconds / 2, READ_SECONDS_MAX))
        wanted = {("deliver", own), *((stage, number) for stage in EVERYWHERE for number in range(partitions))}
        collector = self._collecting.setdefault(request_id, Collector(wanted))
        try:
            value = write_forget(self._codec, forget, topics.device_changes)
            await self._producer.send_and_wait(topics.device_changes, value, user, own)
            async with asyncio.timeout_at(give_up_at):
                await collector.complete.wait()
        except TimeoutError:
            logger.info("%s: no answer yet from %s", request_id, sorted(collector.wanted))
        finally:
            self._collecting.pop(request_id, None)
        return Forgotten(request_id, collector.answers, sorted(collector.wanted), unread)

    async def _until_read(self, seconds: float) -> int:
        """Wait until what is on the topics of events and users now has been read, at most so long.

        Returns how many records have not: what they bring of a user would come after a command that is written now.
        """
        topics = [self._topics.topic(name) for name in READ_FIRST]
        wanted = [TopicPartition(topic, number) for topic in topics for number in range(self._settings.partitions)]
        ends = await self._consumer.end_offsets(wanted)
        admin: Any = AIOKafkaAdminClient(**kafka_client_options(self._settings))
        await admin.start()
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + seconds
        try:
            while True:
                committed = await offsets_of_group(admin, self._settings.app_id)
                unread = sum(max(0, int(end) - committed.get(tp, 0)) for tp, end in ends.items())
                if not unread or loop.time() > give_up_at:
                    return unread
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await admin.close()

    async def _ask(
        self,
        name: str,
        target: Target,
        requested_by: str,
        seconds: float,
        request_id: str | None,
        rest: dict[str, int],
    ) -> Asked:
        slot = target.slot
        try:
            check_notification_id(target.notification_id.encode())
        except UnicodeEncodeError as error:
            raise PoisonError("INVALID_FIELD", f"notification_id is not UTF-8: {error.reason}") from None
        request_id = request_id or uuid.uuid4().hex
        for field, text in (("request_id", request_id), ("requested_by", requested_by)):
            if len(text.encode(errors="surrogatepass")) > 128:
                raise PoisonError("INVALID_FIELD", f"{field} has more than 128 bytes")
        command = {
            **target._asdict(),
            "request_id": request_id,
            "requested_by": requested_by,
            "requested_at": time.time_ns() // 1_000_000,
            **rest,
        }
        value = self._codec.encode(name, command, self._topics.scheduled)
        await _in_time(self.start())
        answer = self._waiting.setdefault(request_id, asyncio.get_running_loop().create_future())
        try:
            partition = partition_of(slot, self._settings.partitions)
            await _in_time(self._producer.send_and_wait(self._topics.scheduled, value, slot, partition))
            async with asyncio.timeout(seconds):
                return Asked(request_id, await asyncio.shield(answer))
        except TimeoutError:
            return Asked(request_id, None)
        finally:
            if self._waiting.get(request_id) is answer:
                del self._waiting[request_id]

    async def _read(self, consumer: Any) -> None:
        decode: Callable[..., Any] = self._codec.decode
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    try:
                        name, found = decode(record.value, ("ScheduleAnswer", "ForgetAnswer"))
                    except PoisonError as error:
                        logger.warning("%s-%d@%d: %s", record.topic, record.partition, record.offset, error)
                        continue
                    if name == "ForgetAnswer":
                        collector = self._collecting.get(found["request_id"])
                        if collector is not None:
                            collector.add(cast(ForgetAnswer, found))
                        continue
                    answer = cast(ScheduleAnswer, found)
                    waiting = self._waiting.get(answer["request_id"])
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)
