"""What a worker reads again when it starts, and when it takes over partitions: only what it does not have."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.settings import load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.oracle import verify
from tests.benchmarks.workload import Feed, Workload, make_workload
from tests.benchmarks.workload import ends as workload_ends
from tests.integration.test_suppress_kill import until_all_committed

EVENTS = 20_000
PARTITIONS = 4
SECONDS_MAX = 60.0


class Worker:
    """A worker with the suppress stage, and what it said: (partitions, records, seconds) of each recovery, and the
    position in each changelog that it follows."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.recovered: list[tuple[int, int, float]] = []
        self.standby: dict[int, int] = {}
        self.ended = False
        self._said = asyncio.Condition()

    async def listen(self) -> None:
        """Note what it says until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            word, *numbers = line.decode().split()
            async with self._said:
                if word == "recovered":
                    self.recovered.append((int(numbers[0]), int(numbers[1]), float(numbers[2])))
                elif word == "standby":
                    self.standby[int(numbers[0])] = int(numbers[1])
                self._said.notify_all()
        async with self._said:
            self.ended = True
            self._said.notify_all()

    async def until(self, so: Callable[[], bool]) -> None:
        """Wait until it has said what makes this so; an AssertionError when it ends before."""
        try:
            async with asyncio.timeout(SECONDS_MAX), self._said:
                await self._said.wait_for(lambda: self.ended or so())
        except TimeoutError:
            raise AssertionError(f"recovered {self.recovered}, standby {self.standby}") from None
        assert so(), "the worker ended before"


@asynccontextmanager
async def worker(options: dict[str, Any], directory: Path) -> AsyncIterator[Worker]:
    """A worker with its state there; killed at the end."""
    arguments = json.dumps({**options, "data_dir": str(directory)})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.suppress_worker", arguments), stdout=asyncio.subprocess.PIPE
    )
    found = Worker(process)
    listening = asyncio.create_task(found.listen())
    try:
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), SECONDS_MAX)
        await listening


async def changelog_ends(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> dict[int, int]:
    """Where the changelog of each partition ends, transaction markers included."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        found = await consumer.end_offsets([TopicPartition(topic, number) for number in range(partitions)])
        return {tp.partition: end for tp, end in found.items()}
    finally:
        await consumer.stop()


def options_of(kafka: str, prefix: str) -> dict[str, Any]:
    """The settings of all workers of one test, but for their directory."""
    return {
        "bootstrap": kafka,
        "topic_prefix": prefix,
        "app_id": f"{prefix}app",
        "partitions": PARTITIONS,
        "session_timeout_seconds": 6.0,
        "heartbeat_seconds": 2.0,
    }


async def play(options: dict[str, Any], workload: Workload) -> None:
    """Put the events on Kafka; return when the workers have committed them."""
    names = TopicNames.of(load_settings(**options))
    async with Feed(options["bootstrap"], names.notifications, workload) as feed:
        await feed.fill()
        await feed.release()
    await until_all_committed(options, names.notifications, workload_ends(workload))


def test_with_its_disk_a_worker_reads_only_what_is_new_and_without_it_everything(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """Killed and started again it finds its rows and the offset that goes with them; without them, the changelog."""
    options, workload = options_of(kafka, prefix), make_workload(EVENTS, PARTITIONS)

    async def scenario() -> None:
        settings = load_settings(**options)
        names = TopicNames.of(settings)
        await ensure_topics(settings)
        async with worker(options, tmp_path / "state") as first:
            await play(options, workload)
            assert [recovered[:2] for recovered in first.recovered] == [(PARTITIONS, 0)]
        async with worker(options, tmp_path / "state") as second:
            await second.until(lambda: bool(second.recovered))
            # Killed between a commit and its own write, a partition lacks the rows of that step at the most.
            kept = second.recovered[0][1]
        shutil.rmtree(tmp_path / "state")
        async with worker(options, tmp_path / "state") as third:
            await third.until(lambda: bool(third.recovered))
            rebuilt = third.recovered[0][1]
        assert rebuilt >= workload.slots, "one row for each slot, and blocks"
        assert kept < rebuilt / 2
        (await verify(kafka, names.statuses, names.outbox, workload)).assert_exact()

    asyncio.run(scenario())


def test_a_standby_takes_over_with_what_it_has(kafka: str, prefix: str, tmp_path: Path) -> None:
    """The second worker follows the changelogs of the first; when that is killed it reads next to nothing again.

    first   |----------events----------x
    second         |..follows..........|--its own, and those of the first: recovered with few records
    """
    options, workload = options_of(kafka, prefix), make_workload(EVENTS, PARTITIONS)

    async def scenario() -> None:
        settings = load_settings(**options)
        names = TopicNames.of(settings)
        await ensure_topics(settings)
        async with worker(options, tmp_path / "second") as second:
            async with worker(options, tmp_path / "first") as first:
                await first.until(lambda: bool(first.recovered) and first.recovered[-1][0] == PARTITIONS // 2)
                await second.until(lambda: len(second.standby) == PARTITIONS // 2)
                await play(options, workload)
                ends = await changelog_ends(kafka, names.changelog("slots"))
                await second.until(lambda: all(at >= ends[number] for number, at in second.standby.items()))
                before = len(second.recovered)
            await second.until(lambda: len(second.recovered) > before and second.recovered[-1][0] == PARTITIONS)
            partitions, records, _ = second.recovered[-1]
        assert (partitions, records) == (PARTITIONS, 0)
        (await verify(kafka, names.statuses, names.outbox, workload)).assert_exact()

    asyncio.run(scenario())
