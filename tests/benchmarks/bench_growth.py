"""Whether suppression slows down, or grows, with the slots that it has: ten thousand, a million, ten million.

    python -m tests.benchmarks growth [--slots 10000 1000000 10000000] [--events 300000] [--runs 6] [--json FILE]

For each size a worker of its own admits one event for each slot, and stays. Then rounds go over all of them in turn:
so many events, seven of ten for slots that it has, anywhere among them, the others for new ones. Every status of these
events is checked. All sizes are in every round, so that a busy minute of the machine strikes all of them; a small one
has a worker of its own in each round, or it would have become a large one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shlex
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from connectors.embedded_kafka import EmbeddedKafka
from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from streams.settings import load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.results import measured_on, write_table
from tests.benchmarks.worker_process import WorkerProcess, delete_topics, own_options, worker
from tests.benchmarks.workload import PASS_SHARE, TYPES, Event, Feed, Workload
from tests.integration.test_suppress_kill import until_all_committed

PORTION: Final = 250_000  # events in memory at once
ID_MARK: Final = str(uuid.UUID(int=0))
USER_MARK: Final = "user-0000000"
READ_SECONDS_MAX: Final = 300.0
FRESH_MAX: Final = 100_000  # slots; a round brings nearly as many new ones, and more ids, so that these begin anew


@dataclass(frozen=True, slots=True)
class Growth:
    """One round at one size. Memory is what is resident after it; `disk` what is in the data directory."""

    slots: int
    round: int
    events_per_second: int
    cpu_us_per_event: float
    rss_megabytes: float
    disk_megabytes: float


class Slots:
    """Events of any slot, made from a template for each type: ten million are too many to encode one by one."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._templates = [self._split(kind) for kind in TYPES]

    def _split(self, kind: str) -> list[bytes]:
        record = {
            "notification_id": ID_MARK,
            "user_id": USER_MARK,
            "type": kind,
            "created_at": time.time_ns() // 1_000_000,
            "data": {"name": "Customer", "order": "A-00000001"},
        }
        before, _, rest = Codec().encode("Notification", record).partition(ID_MARK.encode())
        between, _, after = rest.partition(USER_MARK.encode())
        return [before, between, after]

    def workload(self, slots: Iterator[int], salt: int) -> Workload:
        """An event for each, in this order. `salt` makes ids that no other workload has."""
        partitions: list[list[Event]] = [[] for _ in range(self.partitions)]
        for index, slot in enumerate(slots):
            kind = slot % len(TYPES)
            before, between, after = self._templates[kind]
            notification_id, user = f"{salt:012d}-{index:012d}-{slot:010d}", f"user-{slot // len(TYPES):07d}"
            value = before + notification_id.encode() + between + user.encode() + after
            key = slot_key(user, TYPES[kind])
            partitions[partition_of(key, self.partitions)].append(Event(key, notification_id, value))
        return Workload(partitions)


@dataclass(slots=True)
class Sized:
    """A worker with so many slots."""

    slots: int
    options: dict[str, Any]
    process: WorkerProcess
    ends: dict[int, int] = field(default_factory=dict)

    async def feed(self, workload: Workload) -> float:
        """Let the worker do these events; return how long it took."""
        names = TopicNames.of(load_settings(**self.options))
        async with Feed(self.options["bootstrap"], names.notifications, workload) as feed:
            await feed.fill()
            started_at = time.perf_counter()
            await feed.release()
            for partition, events in enumerate(workload.partitions):
                self.ends[partition] = self.ends.get(partition, 0) + len(events) + bool(events)  # the marker counts
            wanted = {partition: end - 1 for partition, end in self.ends.items() if end}
            await until_all_committed(self.options, names.notifications, wanted)
        return time.perf_counter() - started_at

    def disk_bytes(self) -> int:
        """What is in its data directory."""
        return sum(path.stat().st_size for path in Path(self.options["data_dir"]).rglob("*") if path.is_file())


@asynccontextmanager
async def statuses_of(sized: Sized) -> Any:
    """The states that are told within the block, by the ids of the events."""
    settings = load_settings(**sized.options)
    topic, codec = TopicNames.of(settings).statuses, Codec()
    partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for each in partitions:
            await consumer.position(each)
        told: dict[str, str] = {}
        yield told
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(READ_SECONDS_MAX):
            while any([await consumer.position(each) < end for each, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        status = codec.decode(record.value, ("Status",)).record
                        told[status["notification_id"]] = status["state"]
    finally:
        await consumer.stop()


async def measure(sized: Sized, slots: Slots, events: int, number: int) -> Growth:
    """One round at one size. Raises AssertionError when a status is wrong."""
    chance, fresh = random.Random(number), int(events * PASS_SHARE)
    order = [chance.randrange(sized.slots) for _ in range(events - fresh)]
    order += range(sized.slots + number * fresh, sized.slots + (number + 1) * fresh)
    chance.shuffle(order)
    workload = slots.workload(iter(order), 1_000 + number)
    async with statuses_of(sized) as told:
        cpu = sized.process.cpu_seconds()
        seconds = await sized.feed(workload)
        cpu = sized.process.cpu_seconds() - cpu
    wanted = {
        event.notification_id: "SUPPRESSED" if int(event.notification_id[-10:]) < sized.slots else "ADMITTED"
        for its in workload.partitions
        for event in its
    }
    wrong = [(id, state, told.get(id)) for id, state in wanted.items() if told.get(id) != state]
    assert not wrong, f"{len(wrong)} of {events} statuses are not as they must be: {wrong[:5]}"
    return Growth(
        slots=sized.slots,
        round=number,
        events_per_second=round(events / seconds),
        cpu_us_per_event=round(cpu * 1e6 / events, 2),
        rss_megabytes=round(sized.process.rss_bytes() / 2**20, 1),
        disk_megabytes=round(sized.disk_bytes() / 2**20, 1),
    )


@asynccontextmanager
async def filled(bootstrap: str, size: int, slots: Slots) -> AsyncIterator[Sized]:
    """A worker that has admitted one event for each of so many slots."""
    with tempfile.TemporaryDirectory() as directory:
        options = own_options(bootstrap, directory, slots.partitions)
        await ensure_topics(load_settings(**options))
        try:
            async with worker("tests.suppress_worker", options) as process:
                sized = Sized(size, options, process)
                started_at = time.perf_counter()
                for first in range(0, size, PORTION):
                    await sized.feed(slots.workload(iter(range(first, min(size, first + PORTION))), first))
                print(f"{size:,} slots in {time.perf_counter() - started_at:.0f} s", file=sys.stderr, flush=True)
                yield sized
        finally:
            await delete_topics(bootstrap, options["topic_prefix"])


async def growth(bootstrap: str, sizes: Sequence[int], partitions: int, events: int, rounds: int) -> list[Growth]:
    """Fill a worker for each size, and then measure all of them in turn; the small ones anew in each round."""
    slots, found = Slots(partitions), []
    async with AsyncExitStack() as stack:
        workers = {
            size: await stack.enter_async_context(filled(bootstrap, size, slots)) for size in sizes if size > FRESH_MAX
        }
        for number in range(rounds):
            for size in sizes if number % 2 == 0 else sizes[::-1]:
                async with AsyncExitStack() as once:
                    sized = workers.get(size)
                    if sized is None:
                        sized = await once.enter_async_context(filled(bootstrap, size, slots))
                    one = await measure(sized, slots, events, number)
                found.append(one)
                print(
                    f"round {number + 1} {one.slots:12,} slots {one.events_per_second:8,}/s"
                    f" {one.cpu_us_per_event:6.1f} us {one.rss_megabytes:6.0f} MB, disk {one.disk_megabytes:6.0f} MB",
                    file=sys.stderr,
                    flush=True,
                )
    return found


def _overall(found: Sequence[Growth], slots: int) -> float:
    """Events a second over all rounds, which have the same number of events."""
    return statistics.harmonic_mean([one.events_per_second for one in found if one.slots == slots])


def table_of(found: Sequence[Growth]) -> list[str]:
    """Medians by size; speed also next to the smallest, pair by pair, and over all rounds: RocksDB merges its files in
    some rounds for all of them, so that what one round lost is no outlier."""
    smallest = {one.round: one for one in found if one.slots == min(each.slots for each in found)}
    lines = [
        "| slots | events/s | next to the smallest | over all rounds | CPU µs/event | RSS MB | on disk MB |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    overall = {slots: _overall(found, slots) for slots in {one.slots for one in found}}
    for slots in sorted({one.slots for one in found}):
        its = [one for one in found if one.slots == slots]
        ratio = statistics.median(one.events_per_second / smallest[one.round].events_per_second for one in its)
        lines.append(
            f"| {slots:,} | {statistics.median(one.events_per_second for one in its):,.0f} | {ratio:.2f} "
            f"| {overall[slots] / overall[min(overall)]:.2f} "
            f"| {statistics.median(one.cpu_us_per_event for one in its):.1f} "
            f"| {max(one.rss_megabytes for one in its):.0f} | {max(one.disk_megabytes for one in its):.0f} |"
        )
    return lines


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md")
    given = parser.parse_args()
    with EmbeddedKafka() as kafka:
        found = asyncio.run(growth(kafka.bootstrap, given.slots, given.partitions, given.events, given.runs))
    on = measured_on(f"python -m tests.benchmarks growth {shlex.join(sys.argv[1:])}".strip(), given.partitions)
    lines = [
        *table_of(found),
        "",
        f"Medians of {given.runs} rounds of {given.events:,} events each, one process for each size, anew in each "
        f"round up to {FRESH_MAX:,} slots, "
        f"{given.partitions} partitions; every status verified; RSS and disk the highest.",
    ]
    print(write_table(lines, [asdict(one) for one in found], on, given.json))


if __name__ == "__main__":
    main()
