"""One run: the cluster, the events at a steady rate, the faults at their times, and the audit when all has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiokafka
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from schemas.records import FINAL_STATES
from streams.audit.auditor import AuditOptions
from streams.audit.reading import decoder
from streams.audit.report import Report
from streams.commands.audit import run_audit
from streams.demo.workload import Message as DeviceMessage
from streams.demo.workload import Plan, addresses_needed, devices
from streams.settings import kafka_client_options
from tests.chaos.cluster import PARTITIONS, Cluster
from tests.chaos.plan import UNKNOWN_MAKERS, Fault, plan_faults
from tests.chaos.strikes import strike
from tests.chaos.workload import Events, Message, Workload, preferences
from tests.integration.kafka_records import until_read

END_SECONDS_MAX = 150.0  # a window of hold, two rebalances and a restart in place, on a busy machine
TICK_SECONDS = 0.1
BURST_EVENTS = 300
AUDIT_WAIT_SECONDS = 30.0
SETTLE_SECONDS = 90.0  # how long a verdict may be under way while workers are down


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run is; with the seed, all of its plan. `rate`: events per second."""

    seed: int
    events: int
    faults: int
    workers: int
    matrix: str
    rate: float
    users: int


@dataclass(slots=True)
class Result:
    """What came of it. `surprises` are sentences about processes that did what they must not do."""

    report: Report = field(default_factory=Report)
    timeline: list[str] = field(default_factory=list)
    produced: int = 0
    ended: int = 0
    restarts: int = 0
    struck: dict[str, int] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def struck_unknown(self) -> int:
        """Requests whose outcome a fault of a provider left unknown."""
        return sum(count for name, count in self.struck.items() if name in UNKNOWN_MAKERS)

    @property
    def kept(self) -> bool:
        """Whether the promise was kept, and everything came to its end in time."""
        return not self.report.violations and not self.surprises and self.ended >= self.produced


class Run:
    """One run in one directory."""

    def __init__(self, options: RunOptions, directory: Path, say: Callable[[str], None]) -> None:
        self._options = options
        self._directory = directory
        self._say = say
        self._ends: set[tuple[int, int]] = set()
        self._produced: set[tuple[int, int]] = set()
        self._acks: set[asyncio.Future[Any]] = set()
        self._events = Events(Workload(options.seed, options.events, options.users, PARTITIONS))
        self._result = Result()

    async def run(self) -> Result:
        """Run it, within a limited time, and return what came of it."""
        started_at = time.monotonic()
        options = self._options
        async with Cluster(self._directory, options.workers) as cluster:
            self._say(f"cluster up after {time.monotonic() - started_at:.0f} s, in {self._directory}")
            producer = aiokafka.AIOKafkaProducer(
                **kafka_client_options(cluster.settings),
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                request_timeout_ms=120_000,
            )
            await producer.start()
            tasks: list[asyncio.Task[Any]] = []
            try:
                await self._register_devices(cluster, producer)
                await self._register_preferences(cluster, producer)
                tasks = [asyncio.create_task(self._follow(cluster)), asyncio.create_task(self._supervise(cluster))]
                await self._play(cluster, producer)
                await self._wait_for_the_end(tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await producer.stop()
            await self._judge(cluster)
        self._result.seconds = time.monotonic() - started_at
        return self._result

    async def _register_devices(self, cluster: Cluster, producer: aiokafka.AIOKafkaProducer) -> None:
        plan = Plan(users=self._options.users, events=0, seed=0, schedule_seconds=0)
        addresses = await cluster.control("/devices", {"count": addresses_needed(plan)})
        messages: Iterable[DeviceMessage] = devices(Codec(), plan, addresses, time.time_ns() // 1_000_000)
        topic = f"{cluster.settings.topic_prefix}devices"
        acks = [await producer.send(topic, key=message.key, value=message.value) for message in messages]
        await asyncio.gather(*acks)
        # Not waited for: who has no device yet ends as NO_DEVICE, which is an end as well.

    async def _register_preferences(self, cluster: Cluster, producer: aiokafka.AIOKafkaProducer) -> None:
        topic = f"{cluster.settings.topic_prefix}preferences"
        found = preferences(self._options.users, time.time_ns() // 1_000_000)
        await asyncio.gather(*[await producer.send(topic, key=each.key, value=each.value) for each in found])
        # A local time of a user whose zone is not known yet would be hours away.
        await until_read(cluster.settings.bootstrap or "", cluster.settings.app_id, [topic])

    async def _play(self, cluster: Cluster, producer: aiokafka.AIOKafkaProducer) -> None:
        options = self._options
        seconds = options.events / options.rate
        topic = f"{cluster.settings.topic_prefix}notifications"
        faults = plan_faults(options.seed, options.faults, seconds, options.workers, options.matrix)
        started_at = time.monotonic()

        async def burst() -> None:
            for message in self._events.burst(time.time_ns() // 1_000_000, BURST_EVENTS):
                await self._send(producer, topic, message)

        async def do(fault: Fault) -> None:
            await asyncio.sleep(max(0.0, started_at + fault.at - time.monotonic()))
            self._say(f"{time.monotonic() - started_at:6.1f} s  {fault}")
            await strike(cluster, fault, burst)

        strikes = [asyncio.create_task(do(fault)) for fault in faults]
        try:
            sent = 0
            while sent < options.events:
                wanted = min(options.events, int((time.monotonic() - started_at) * options.rate))
                while sent < wanted:
                    await self._send(producer, topic, self._events.make(time.time_ns() // 1_000_000))
                    sent += 1
                await asyncio.sleep(TICK_SECONDS)
            await asyncio.gather(*strikes)
        finally:
            for task in strikes:
                task.cancel()
            await asyncio.gather(*strikes, return_exceptions=True)
        await asyncio.gather(*self._acks)
        self._result.produced = len(self._produced)
        self._say(f"{time.monotonic() - started_at:6.1f} s  all {len(self._produced)} events are produced")

    async def _send(self, producer: aiokafka.AIOKafkaProducer, topic: str, message: Message) -> None:
        ack = await producer.send(topic, key=message.key, value=message.value, partition=message.partition)
        self._acks.add(ack)
        ack.add_done_callback(self._acked)

    def _acked(self, ack: asyncio.Future[Any]) -> None:
        if not ack.cancelled() and ack.exception() is None:
            metadata = ack.result()
            self._produced.add((metadata.partition, metadata.offset))
            self._acks.discard(ack)

    async def _supervise(self, cluster: Cluster) -> None:
        while True:
            for worker in cluster.workers:
                if not worker.changing.locked():
                    worker.supervise()
            await asyncio.sleep(1.0)

    async def _follow(self, cluster: Cluster) -> None:
        decode = decoder(Codec(), "Status")
        consumer = aiokafka.AIOKafkaConsumer(
            **kafka_client_options(cluster.settings),
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            topic = f"{cluster.settings.topic_prefix}statuses"
            consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
            while True:
                try:
                    batches = await consumer.getmany(timeout_ms=500, max_records=5_000)
                except KafkaError:
                    await asyncio.sleep(0.5)  # the broker is being killed
                    continue
                for records in batches.values():
                    for record in records:
                        status = decode(record.value)
                        if status["state"] in FINAL_STATES:
                            self._ends.add((status["origin_partition"], status["origin_offset"]))
        finally:
            await consumer.stop()

    async def _wait_for_the_end(self, tasks: list[asyncio.Task[Any]]) -> None:
        started_at = time.monotonic()
        while (missing := len(self._produced - self._ends)) and time.monotonic() - started_at < END_SECONDS_MAX:
            await asyncio.sleep(0.5)
            for task in tasks:
                if task.done():
                    task.result()
        self._result.ended = self._result.produced - missing
        waited = time.monotonic() - started_at
        self._say(f"{self._result.ended} of {self._result.produced} ended, {waited:.0f} s after the last event")

    async def _judge(self, cluster: Cluster) -> None:
        result = self._result
        await asyncio.gather(*(worker.leave() for worker in cluster.workers))
        counts = await cluster.control("/counts")
        for faults in counts["struck"].values():
            for name, count in faults.items():
                result.struck[name] = result.struck.get(name, 0) + count
        await asyncio.sleep(0.5)  # the simulators write their log at least this often
        options = AuditOptions(push_log=cluster.push_log, settle_seconds=SETTLE_SECONDS, complete=True)
        settings = cluster.settings
        result.report, result.timeline = await run_audit(settings, options, AUDIT_WAIT_SECONDS)
        result.restarts = sum(worker.restarts() for worker in cluster.workers)
        result.surprises = [surprise for worker in cluster.workers for surprise in worker.surprises]
        result.surprises += [said for worker in cluster.workers for said in worker.audit_errors()]
