"""How a broadcast to very many users does: speed, memory, and killed in the middle. Every user is verified.

    python -m tests.benchmarks.bench_broadcast [--users 1000000] [--kills 3] [--partitions 4] [--json FILE]

One worker with broadcast, and deliver for its directory, in a process of its own; broker, feed and worker share the
machine. Nothing reads what is told: it is the way into the pipeline that is measured.
1. `--users` users register a device each, with preferences for some, over the topics: loading; memory.
2. A dry run of a filter over devices and preferences. It fills RocksDB's cache, which has its bound.
3. A broadcast to all: from its start to the totals; memory while it runs.
4. A broadcast to all, killed (SIGKILL) so many times in the middle: each user is told exactly once.
Resident memory is looked at several times a second while something runs. Paced far above what one worker can do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from connectors.embedded_kafka import EmbeddedKafka
from schemas.codec import Codec
from streams.publish.broadcasts import BroadcastCommands
from streams.publish.messages import Message
from streams.publish.publisher import Publisher
from streams.settings import Settings, load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.results import measured_on, write_table
from tests.benchmarks.schedule_record import ends, until_read
from tests.benchmarks.worker_process import WorkerProcess, delete_topics, own_options, worker

WORKER: Final = "tests.broadcast_worker"
CODEC: Final = Codec()
KIND: Final = "order_ready"
FASTEST: Final = 1_000_000
ENDED_SECONDS_MAX: Final = 900.0
LOOK_SECONDS: Final = 0.2
FILTER: Final = "language = 'de' and provider = 'fcm' and not time_zone = 'Europe/Vienna'"


@dataclass(frozen=True, slots=True)
class Found:
    """One run. Memory is resident, in megabytes."""

    users: int
    loaded_per_second: int
    rss_megabytes_empty: float
    rss_megabytes_loaded: float
    told_per_second: int
    told_cpu_us: float
    rss_megabytes_told_max: float
    rss_megabytes_first_tenth: float
    rss_megabytes_last_tenth: float
    counted_per_second: int
    matched: int
    kills: int
    killed_seconds: float
    missing: int
    twice: int


def _user(number: int) -> str:
    return f"user-{number:09d}"


def _devices(number: int) -> Message:
    user = _user(number)
    provider = ("APNS", "FCM", "WEBPUSH")[number % 3]
    device = {"device_id": "phone", "provider": provider, "address": f"{number:064x}", "registered_at": 1}
    return Message(user.encode(), CODEC.encode("Devices", {"user_id": user, "devices": [device]}))


def _preferences(number: int) -> Message:
    user = _user(number)
    zone = ("Europe/Vienna", "Europe/Berlin")[number // 4 % 2]
    wishes = {"user_id": user, "locale": "de-AT", "time_zone": zone}
    return Message(user.encode(), CODEC.encode("Preferences", wishes))


def _matches(number: int) -> bool:
    """What the filter says, written here once more."""
    return number % 4 == 0 and number % 3 == 1 and number // 4 % 2 == 1


@dataclass(slots=True)
class Bench:
    """Where it takes place."""

    bootstrap: str
    settings: Settings
    options: dict[str, Any]
    users: int

    @property
    def names(self) -> TopicNames:
        """The names of the topics."""
        return TopicNames.of(self.settings)

    async def load(self) -> None:
        """Register all users, and wait until the worker has them."""
        for topic, messages in (
            (self.names.devices, (_devices(number) for number in range(self.users))),
            (self.names.preferences, (_preferences(number) for number in range(0, self.users, 4))),
        ):
            async with Publisher(self.settings, topic) as publisher:
                for message in messages:
                    await publisher.publish(message)
            found = await ends(self.bootstrap, topic, self.settings.partitions)
            await until_read(self.bootstrap, self.settings.app_id, topic, found)

    async def told(self) -> int:
        """About how many are told: markers count."""
        found = await ends(self.bootstrap, self.names.notifications, self.settings.partitions)
        return sum(found.values())

    async def run(self, **others: Any) -> dict[str, Any]:
        """Start a broadcast and wait for its totals."""
        broadcast: Any = {
            "broadcast_id": uuid.uuid4().hex,
            "type": KIND,
            "requested_at": time.time_ns() // 1_000_000,
            "requested_by": "bench",
            "audience": "ALL",
            "per_second": FASTEST,
            "data": {"order": "A-0000001"},
            **others,
        }
        async with BroadcastCommands(self.settings, CODEC) as commands:
            total = await commands.totals(broadcast, ENDED_SECONDS_MAX)
        assert total is not None, "no totals in time"
        assert total["state"] == "DONE", total
        return {**total}

    async def count_each(self, broadcast_id: str) -> tuple[int, int]:
        """Read all copies; return how many users are missing, and how many were told more than once."""
        seen = bytearray(self.users)
        twice = 0
        async for value in _values(self.bootstrap, self.names.notifications, self.settings.partitions):
            copy = CODEC.decode_own(value, "Notification")
            if copy["notification_id"] == broadcast_id:
                number = int(copy["user_id"].removeprefix("user-"))
                twice += seen[number]
                seen[number] = 1
        return self.users - sum(seen), twice


async def _values(bootstrap: str, topic: str, partitions: int) -> AsyncIterator[bytes]:
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        last = await consumer.end_offsets(places)
        while any([await consumer.position(place) < last[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    yield record.value
    finally:
        await consumer.stop()


class Memory:
    """The resident memory of a process over time."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process
        self.megabytes: list[float] = []

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.megabytes.append(self._process.rss_bytes() / 2**20)
            await asyncio.sleep(LOOK_SECONDS)

    def tenths(self) -> Iterator[float]:
        """The mean of the first and of the last tenth of the time."""
        size = max(1, len(self.megabytes) // 10)
        for part in (self.megabytes[:size], self.megabytes[-size:]):
            yield sum(part) / len(part)


async def measure(bootstrap: str, users: int, kills: int, partitions: int) -> Found:
    """One run, on topics of its own, verified. Raises AssertionError where anybody is missing or told twice."""
    with tempfile.TemporaryDirectory() as directory:
        options = own_options(bootstrap, directory, partitions)
        options |= {"session_timeout_seconds": 3.0, "heartbeat_seconds": 0.75}
        settings = load_settings(**options)
        await ensure_topics(settings)
        try:
            return await _measure(Bench(bootstrap, settings, options, users), kills)
        finally:
            await delete_topics(bootstrap, options["topic_prefix"])


async def _measure(bench: Bench, kills: int) -> Found:
    found: dict[str, Any] = {"users": bench.users, "kills": kills}
    async with worker(WORKER, bench.options) as process:
        found["rss_megabytes_empty"] = process.rss_bytes() / 2**20
        started_at = time.perf_counter()
        await bench.load()
        found["loaded_per_second"] = bench.users / (time.perf_counter() - started_at)
        found["rss_megabytes_loaded"] = process.rss_bytes() / 2**20
        _say(f"loaded {found['loaded_per_second']:.0f}/s, {found['rss_megabytes_loaded']:.0f} MB")
        started_at = time.perf_counter()
        dry = await bench.run(audience="FILTER", filter=FILTER, dry_run=True)
        found["counted_per_second"] = bench.users / (time.perf_counter() - started_at)
        found["matched"] = dry["matched"]
        assert dry["matched"] == sum(map(_matches, range(bench.users)))
        _say(f"counted {found['counted_per_second']:.0f}/s")
        found |= await _tell(bench, process)
        _say(f"told {found['told_per_second']:.0f}/s, {found['rss_megabytes_told_max']:.0f} MB at the most")
    found |= await _killed(bench, kills)
    kinds = Found.__annotations__
    return Found(**{name: round(value) if kinds[name] == "int" else round(value, 1) for name, value in found.items()})


async def _tell(bench: Bench, process: WorkerProcess) -> dict[str, Any]:
    memory = Memory(process)
    watching = asyncio.create_task(memory.watch())
    cpu, started_at = process.cpu_seconds(), time.perf_counter()
    total = await bench.run()
    seconds = time.perf_counter() - started_at
    watching.cancel()
    missing, twice = await bench.count_each(total["broadcast_id"])
    assert (missing, twice, total["emitted"]) == (0, 0, bench.users)
    first, last = memory.tenths()
    return {
        "told_per_second": bench.users / seconds,
        "told_cpu_us": (process.cpu_seconds() - cpu) * 1e6 / bench.users,
        "rss_megabytes_told_max": max(memory.megabytes),
        "rss_megabytes_first_tenth": first,
        "rss_megabytes_last_tenth": last,
    }


async def _killed(bench: Bench, kills: int) -> dict[str, Any]:
    async with contextlib.AsyncExitStack() as workers:
        process = await workers.enter_async_context(worker(WORKER, bench.options))
        before = await bench.told()
        started_at = time.perf_counter()
        running = asyncio.create_task(bench.run())
        for number in range(1, kills + 1):
            wanted = before + number * bench.users // (kills + 1)
            while not running.done() and await bench.told() < wanted:  # noqa: ASYNC110 (Kafka sends no signal)
                await asyncio.sleep(0.05)
            assert not running.done(), "it must be killed in the middle"
            process.kill()
            process = await workers.enter_async_context(worker(WORKER, bench.options))
            _say(f"killed {number} times")
        total = await running
        seconds = time.perf_counter() - started_at
        missing, twice = await bench.count_each(total["broadcast_id"])
        assert (missing, twice, total["emitted"]) == (0, 0, bench.users)
    return {"killed_seconds": seconds, "missing": missing, "twice": twice}


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def write_results(runs: Sequence[Found], command: str, partitions: int, json_file: Path | None) -> str:
    """The table in Markdown, of the run with the median speed; written with all runs in JSON, given a file."""
    one = sorted(runs, key=lambda run: run.told_per_second)[len(runs) // 2]
    on = measured_on(command, partitions)
    lines = [
        "| what | measured | wanted |",
        "|---|---:|---:|",
        f"| users told, of {one.users:,} | {one.told_per_second:,}/s, {one.told_cpu_us:.0f} µs CPU | ≥ 10,000/s |",
        f"| memory of the worker: empty / all users loaded | {one.rss_megabytes_empty:.0f} / "
        f"{one.rss_megabytes_loaded:.0f} MB | |",
        f"| while it tells them: first tenth / last tenth / most | {one.rss_megabytes_first_tenth:.0f} / "
        f"{one.rss_megabytes_last_tenth:.0f} / {one.rss_megabytes_told_max:.0f} MB | flat |",
        f"| dry run of a filter, {one.matched:,} of them match, at most 10,000/s in each partition | "
        f"{one.counted_per_second:,}/s | |",
        f"| killed {one.kills} times in the middle: missing / told twice | {one.missing} / {one.twice} | 0 / 0 |",
        f"| the same, from start to totals | {one.killed_seconds:.0f} s | |",
        f"| devices and preferences loaded over their topics | {one.loaded_per_second:,} users/s | |",
        "",
        f"{len(runs)} run{'s' if len(runs) > 1 else ''}, every user verified; {partitions} partitions, one process. "
        "Broker, feed and worker share the machine.",
    ]
    return write_table(lines, [asdict(run) for run in runs], on, json_file)


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md")
    parser.add_argument("--bootstrap", help="a Kafka that runs already, instead of an embedded one")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        bootstrap = arguments.bootstrap or stack.enter_context(EmbeddedKafka()).bootstrap
        runs = [
            asyncio.run(measure(bootstrap, arguments.users, arguments.kills, arguments.partitions))
            for _ in range(arguments.runs)
        ]
    command = f"python -m tests.benchmarks.bench_broadcast {' '.join(sys.argv[1:])}".strip()
    print(write_results(runs, command, arguments.partitions, arguments.json))


if __name__ == "__main__":
    main()
