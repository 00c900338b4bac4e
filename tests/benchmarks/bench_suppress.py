"""How fast suppression is, next to what one would write without ringonce. Every output of every run is verified.

    python -m tests.benchmarks.bench_suppress [--events 300000] [--partitions 4] [--runs 3] [--json FILE]

`ringonce` is the product's suppress stage, `ringonce, stories` the same beside which stories are told, whose CPU time
counts until all of them are, `plain loop` a good hand-written program on aiokafka, fastavro and rocksdict
(plain_loop.py), `plain loop, our codec` the same with the codec of ringonce, `faust tutorial` Faust as its
documentation writes it (faust_tutorial.py), on a tenth of the events. All work on the embedded broker, in
a process of their own, on equal bytes, from a warm start: the worker is assigned and recovered before the events
become readable. The time ends when the last offset is committed; for the tutorial, which commits every 2.8 s, already
when its last status is on the topic. The runs are interleaved, so that a busy minute of the machine strikes all.
`--against` measures a checkout of another version beside this one: what a change costs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from connectors.embedded_kafka import EmbeddedKafka
from streams.settings import Settings, load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.oracle import verify
from tests.benchmarks.results import Run, write_results
from tests.benchmarks.worker_process import WorkerProcess, delete_topics, worker
from tests.benchmarks.workload import Feed, Workload, ends, make_workload

RUN_SECONDS_MAX: Final = 600.0
LOOK_SECONDS: Final = 0.02  # how exactly the end of a run is known


@dataclass(frozen=True, slots=True)
class Implementation:
    """One way to do it. `events_share`: which part of the events it is given. `checkout`: whose code it is."""

    name: str
    module: str
    ends_with: Literal["commit", "status"]
    events_share: float = 1.0
    tells_stories: bool = False
    checkout: Path | None = None
    environment: tuple[tuple[str, str], ...] = ()


IMPLEMENTATIONS: Final = (
    Implementation("ringonce", "tests.suppress_worker", "commit"),
    Implementation("ringonce, stories", "tests.suppress_worker", "commit", tells_stories=True),
    Implementation("plain loop", "tests.benchmarks.plain_loop", "commit"),
    Implementation("plain loop, our codec", "tests.benchmarks.plain_loop_our_codec", "commit"),
    Implementation("faust tutorial", "tests.benchmarks.faust_tutorial", "status", 0.1),
)


async def measure(implementation: Implementation, bootstrap: str, workload: Workload) -> Run:
    """One run, on topics of its own, verified. Raises AssertionError when an output is wrong."""
    prefix = f"b{uuid.uuid4().hex[:8]}-"
    with tempfile.TemporaryDirectory() as directory:
        options: dict[str, Any] = {
            "bootstrap": bootstrap,
            "topic_prefix": prefix,
            "app_id": f"{prefix}app",
            "data_dir": directory,
            "partitions": len(workload.partitions),
        }
        if implementation.tells_stories:
            options["stories_hours"] = 1
        settings = load_settings(**options)
        names = TopicNames.of(settings)
        await ensure_topics(settings)
        try:
            async with Feed(bootstrap, names.topic("notifications"), workload) as feed:
                if implementation.ends_with == "commit":
                    await feed.fill()
                async with worker(
                    implementation.module, options, dict(implementation.environment), implementation.checkout
                ) as process:
                    cpu, started_at = process.cpu_seconds(), time.perf_counter()
                    if implementation.ends_with == "status":
                        await feed.fill()  # it reads what is not committed, and would not wait
                    await feed.release()
                    await _until_done(implementation, settings, names, workload)
                    seconds = time.perf_counter() - started_at
                    if implementation.tells_stories:
                        await _until_told(process, workload.count)
                        told_after = time.perf_counter() - started_at - seconds
                        print(f"all stories are told {told_after:.1f} s after the last event", file=sys.stderr)
                    cpu = process.cpu_seconds() - cpu
                    rss = process.rss_bytes_max()
            found = await verify(bootstrap, names.topic("statuses"), names.topic("outbox"), workload)
        finally:
            await delete_topics(bootstrap, prefix)
    found.assert_exact()
    assert found.admitted == workload.slots
    return Run(
        implementation=implementation.name,
        events=workload.count,
        admitted=found.admitted,
        events_per_second=round(workload.count / seconds),
        cpu_us_per_event=round(cpu * 1e6 / workload.count, 2),
        rss_megabytes_max=round(rss / 2**20, 1),
    )


async def _until_told(process: WorkerProcess, count: int) -> None:
    while line := await process.line():
        if line.startswith("told ") and int(line.split()[1]) >= count:
            return
    raise RuntimeError("the worker ended before its stories were told")


async def _until_done(
    implementation: Implementation, settings: Settings, names: TopicNames, workload: Workload
) -> None:
    if implementation.ends_with == "commit":
        topic, last = names.topic("notifications"), ends(workload)
        admin: Any = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
        await admin.start()
        try:
            async with asyncio.timeout(RUN_SECONDS_MAX):
                while True:
                    offsets = await admin.list_consumer_group_offsets(settings.app_id)
                    committed = {tp.partition: known.offset for tp, known in offsets.items() if tp.topic == topic}
                    if all(committed.get(partition, 0) >= end for partition, end in last.items()):
                        return
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            await admin.close()
    else:
        partitions = [TopicPartition(names.topic("statuses"), number) for number in range(settings.partitions)]
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
        await consumer.start()
        try:
            async with asyncio.timeout(RUN_SECONDS_MAX):
                wanted = workload.count
                while sum((await consumer.end_offsets(partitions)).values()) < wanted:  # noqa: ASYNC110 (no call back)
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            await consumer.stop()


async def bench(bootstrap: str, events: int, partitions: int, runs: int, wanted: Sequence[Implementation]) -> list[Run]:
    """So many runs of each implementation, interleaved: every second round the other way round, so that none is always
    the first."""
    found = []
    workloads = {one: make_workload(int(events * one.events_share), partitions) for one in wanted}
    for number in range(runs):
        for implementation in wanted if number % 2 == 0 else wanted[::-1]:
            run = await measure(implementation, bootstrap, workloads[implementation])
            found.append(run)
            print(
                f"run {number + 1}  {run.implementation:21} {run.events_per_second:8,}/s {run.cpu_us_per_event:7.2f} us"
                f" {run.rss_megabytes_max:6.0f} MB  exact",
                file=sys.stderr,
                flush=True,
            )
    return found


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md")
    parser.add_argument("--bootstrap", help="a Kafka that runs already, instead of an embedded one")
    parser.add_argument("--only", action="append", default=[], choices=[one.name for one in IMPLEMENTATIONS])
    parser.add_argument("--against", type=Path, help="a checkout of another version, measured beside this one")
    arguments = parser.parse_args()
    wanted = [one for one in IMPLEMENTATIONS if not arguments.only or one.name in arguments.only]
    if arguments.against is not None:
        other = Implementation(
            "ringonce, other", "tests.suppress_worker", "commit", checkout=arguments.against.resolve()
        )
        wanted.append(other)
    with contextlib.ExitStack() as stack:
        bootstrap = arguments.bootstrap or stack.enter_context(EmbeddedKafka()).bootstrap
        runs = asyncio.run(bench(bootstrap, arguments.events, arguments.partitions, arguments.runs, wanted))
    command = f"python -m tests.benchmarks.bench_suppress {' '.join(sys.argv[1:])}".strip()
    print(write_results(runs, command, arguments.partitions, arguments.json))


if __name__ == "__main__":
    main()
