"""A system of worker processes on the tests' broker, with the provider simulators, under names of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import Codec
from schemas.keys import slot_key
from schemas.records import FINAL_STATES
from streams.demo.play import new_addresses, wait_until_read
from streams.demo.processes import (
    Process,
    first_line,
    provider_environment,
    start,
    stopped_at_the_end,
    wait_for_log,
)
from streams.demo.workload import Plan, devices
from streams.kafka_consumer import stop_consumer
from streams.publish.messages import Message
from streams.publish.publisher import Publisher
from streams.settings import Settings, kafka_client_options, load_settings
from streams.topics import TopicNames, ensure_topics

SECONDS_MAX = 120.0  # for everything that is waited for; usually it takes a few
PARTITIONS = 6  # two workers have three each, a third one takes one of each: Faust's share is rounded up
USERS = 60
SESSION_SECONDS = 4.0
EventId = tuple[int, int]


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def event(user: str, kind: str, notification_id: str, **fields: Any) -> Message:
    """Return a notification as it is produced, with other fields than the usual where that is asked for."""
    record = {
        "notification_id": notification_id,
        "user_id": user,
        "type": kind,
        "created_at": now_ms(),
        "data": {"name": "Ada", "order": notification_id},
        **fields,
    }
    return Message(slot_key(user, kind), Codec().encode("Notification", record))


def forged(user: str, kind: str, notification_id: str, offset: int) -> Message:
    """Return a status that no stage wrote: a notification, of an event that is not there, is being sent."""
    record = {
        "notification_id": notification_id,
        "user_id": user,
        "type": kind,
        "state": "SENDING",
        "reason": "forged",
        "at": now_ms(),
        "stage": "deliver",
        "origin_partition": 0,
        "origin_offset": offset,
        "attempt": 1,
    }
    return Message(slot_key(user, kind), Codec().encode("Status", record))


@dataclass(slots=True)
class Statuses:
    """What `statuses` says so far. `places`: partition and offset of each record."""

    records: list[dict[str, Any]] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)

    def final(self) -> dict[EventId, list[str]]:
        """The final states of each event that was read; one each is as it must be."""
        ends: dict[EventId, list[str]] = {}
        for status in self.records:
            if status["state"] in FINAL_STATES:
                ends.setdefault((status["origin_partition"], status["origin_offset"]), []).append(status["state"])
        return ends

    def states(self, notification_id: str) -> list[str]:
        """All states of one notification."""
        return [status["state"] for status in self.records if status["notification_id"] == notification_id]


@dataclass(slots=True)
class System:
    """Settings, simulators and workers."""

    settings: Settings
    directory: Path
    environment: dict[str, str]
    processes: list[Process]
    simulators: Mapping[str, Any] = field(default_factory=dict)

    def worker(self, name: str, ready: bool = True) -> Process:
        """Start a worker and wait until it has its partitions."""
        environment = {**self.environment, "RINGONCE_DATA_DIR": str(self.directory / name)}
        process = start(name, ["streams", "worker"], self.directory, environment)
        self.processes.append(process)
        if ready:
            wait_for_log(process, "ready:")
        return process

    def wait_for_devices(self) -> None:
        """Wait until the workers know all devices, so that no notification finds its user without any."""
        asyncio.run(self.until_read(self.topics.devices))

    async def until_read(self, topic: str) -> None:
        """Wait until the workers have read all that is on a topic now."""
        options = kafka_client_options(self.settings)
        consumer = AIOKafkaConsumer(**options)
        await consumer.start()
        try:
            ends = await consumer.end_offsets(
                [TopicPartition(topic, number) for number in range(self.settings.partitions)]
            )
        finally:
            await stop_consumer(consumer)
        wanted = {tp.partition: end for tp, end in ends.items() if end}
        await wait_until_read(options, self.settings.app_id, topic, wanted)

    def produce(self, messages: Iterable[Message]) -> int:
        """Put notifications on Kafka; return their number once it has confirmed them."""
        return asyncio.run(self.produce_to(self.topics.notifications, messages))

    async def produce_to(self, topic: str, messages: Iterable[Message]) -> int:
        async with Publisher(self.settings, topic) as publisher:
            for message in messages:
                await publisher.publish(message)
            await publisher.flush()
            return publisher.confirmed

    @property
    def topics(self) -> TopicNames:
        """The names of the topics."""
        return TopicNames.of(self.settings)

    def statuses(self, until: Callable[[Statuses], bool]) -> Statuses:
        """Read `statuses` from its beginning until this is so. Raises TimeoutError."""
        return asyncio.run(self.follow(until))

    async def follow(self, until: Callable[[Statuses], bool]) -> Statuses:
        """As `statuses`."""
        codec, seen = Codec(), Statuses()
        consumer = AIOKafkaConsumer(
            **kafka_client_options(self.settings), isolation_level="read_committed", auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            consumer.assign(
                [TopicPartition(self.topics.statuses, number) for number in range(self.settings.partitions)]
            )
            async with asyncio.timeout(SECONDS_MAX):
                while not until(seen):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        seen.records += [codec.decode(record.value, ("Status",)).record for record in records]
                        seen.places += [(record.partition, record.offset) for record in records]
        finally:
            await stop_consumer(consumer)
        return seen

    def ended(self, count: int) -> Statuses:
        """Wait until so many events have come to an end."""
        return self.statuses(lambda seen: len(seen.final()) >= count)


def web_url(worker: Process) -> str:
    """Where a worker that said `ready` answers."""
    found = re.findall(r"ready: .*; web (\S+)", worker.log_file.read_text(encoding="utf-8"))
    return str(found[-1]).rstrip("/")


def end_by_force(worker: Process) -> None:
    """SIGKILL, in any state."""
    worker.popen.send_signal(signal.SIGKILL)
    worker.popen.wait()


@contextmanager
def system(kafka: str, prefix: str, directory: Path, security: Mapping[str, str] | None = None) -> Iterator[System]:
    """Start the simulators, create the topics and register a device for each of `user-000000` … ; no worker yet.

    `security`: further settings for Kafka, by their names without `RINGONCE_`.
    """
    security = security or {}
    own = {
        **{f"RINGONCE_{name}": value for name, value in security.items()},
        "RINGONCE_BOOTSTRAP": kafka,
        "RINGONCE_TOPIC_PREFIX": prefix,
        "RINGONCE_APP_ID": f"{prefix}app",
        "RINGONCE_PARTITIONS": str(PARTITIONS),
        "RINGONCE_SESSION_TIMEOUT_SECONDS": f"{SESSION_SECONDS:g}",
        "RINGONCE_HEARTBEAT_SECONDS": "0.5",
        "RINGONCE_WEB_PORT": "0",
    }
    secured = {name.lower(): value for name, value in security.items()}
    settings = load_settings(
        bootstrap=kafka, topic_prefix=prefix, app_id=f"{prefix}app", partitions=PARTITIONS, **secured
    )
    with stopped_at_the_end() as processes:
        simulators = start(
            "simulators", ["connectors.simulators", "--directory", str(directory / "simulators")], directory, {}
        )
        processes.append(simulators)
        asyncio.run(ensure_topics(settings))
        where = first_line(simulators)
        found = System(settings, directory, {**own, **provider_environment(where)}, processes, where)
        plan = Plan(users=USERS, events=0, seed=1, schedule_seconds=0)
        addresses = new_addresses(where["control_url"], plan)
        registered = [Message(m.key or b"", m.value or b"") for m in devices(Codec(), plan, addresses, now_ms())]
        asyncio.run(found.produce_to(found.topics.devices, registered))
        yield found
