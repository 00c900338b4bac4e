"""How fast suppression is, next to what others would write. Every output of every run is verified.

    python -m tests.benchmarks suppress [--events 300000] [--partitions 4] [--runs 3] [--warm 2] [--only NAME …]
                                  [--append]

`ringonce` is the product's suppress stage, `ringonce, stories` the same beside which stories are told, whose CPU time
counts until all of them are; `ringonce, counts only` is no mode of it: next to it, ringonce shows what telling the end
of each event costs. The others are described in their files in peers/ and in plain_loop.py,
plain_loop_our_codec.py and faust_tutorial.py. Only ringonce and the plain loops remember the ids of events, too.
What makes one command or one message of each event is given a tenth of the events. All work on the embedded broker, in
a process of their own, on equal bytes, from a warm start: the worker is assigned and recovered before the events become
readable. The time ends when the last offset is committed; for those that commit seldom, already when their last output
is on the topics. The runs are interleaved, so that a busy minute of the machine strikes all. The
first `--warm` runs, of the first of them, do not count: a broker that was just started takes twice the CPU until Java
has compiled it. With `--append` the rounds
are added to those that the results have. `--against` measures a checkout of another version beside this one: what a
change costs. Beside the results a table (.md) and a plot (.svg) are written.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from connectors.embedded_kafka import EmbeddedKafka
from streams.demo.play import wait_until_read
from streams.settings import Settings, kafka_client_options, load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.implementations import IMPLEMENTATIONS, Implementation, command_of, environment_of
from tests.benchmarks.oracle import verify
from tests.benchmarks.peers.packages import UnavailableError, versions
from tests.benchmarks.results import Run, commands_of, read_runs, write_results
from tests.benchmarks.worker_process import WorkerProcess, delete_topics, own_options, worker
from tests.benchmarks.workload import Feed, Workload, ends, make_workload

RUN_SECONDS_MAX: Final = 600.0
LOOK_SECONDS: Final = 0.02  # how exactly the end of a run is known


async def measure(implementation: Implementation, bootstrap: str, workload: Workload, number: int = 0) -> Run:
    """One run, on topics of its own, verified. Raises AssertionError when an output is wrong."""
    with tempfile.TemporaryDirectory() as directory:
        options = own_options(bootstrap, directory, len(workload.partitions))
        if implementation.tells_stories:
            options["stories_hours"] = 1
        settings = load_settings(**options)
        names = TopicNames.of(settings)
        await ensure_topics(settings)
        try:
            async with Feed(bootstrap, names.topic("notifications"), workload) as feed:
                if implementation.waits:
                    await feed.fill()
                async with worker(
                    implementation.module,
                    options,
                    environment_of(implementation),
                    implementation.checkout,
                    command_of(implementation, options, settings),
                ) as process:
                    cpu, started_at = process.cpu_seconds(), time.perf_counter()
                    if not implementation.waits:
                        await feed.fill()
                    await feed.release()
                    await _until_done(implementation, settings, names, workload)
                    seconds = time.perf_counter() - started_at
                    if implementation.tells_stories:
                        await _until_told(process, workload.count)
                        told_after = time.perf_counter() - started_at - seconds
                        print(f"all stories are told {told_after:.1f} s after the last event", file=sys.stderr)
                    cpu = process.cpu_seconds() - cpu
                    rss = process.rss_bytes_max()
            topics = (names.topic("statuses"), names.topic("outbox"))
            found = await verify(bootstrap, *topics, workload, counted=implementation.counts_only)
        finally:
            await delete_topics(bootstrap, options["topic_prefix"])
    found.assert_exact()
    assert found.admitted == workload.slots
    return Run(
        implementation=implementation.name,
        events=workload.count,
        admitted=found.admitted,
        events_per_second=round(workload.count / seconds),
        cpu_us_per_event=round(cpu * 1e6 / workload.count, 2),
        rss_megabytes_max=round(rss / 2**20, 1),
        round=number,
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
        options, topic = kafka_client_options(settings), names.topic("notifications")
        await wait_until_read(options, settings.app_id, topic, ends(workload), RUN_SECONDS_MAX, LOOK_SECONDS)
    else:
        # Producers send to both topics on their own, so the last delivery may come after the last status.
        wanted = {names.topic("statuses"): workload.count, names.topic("outbox"): workload.slots}
        consumer: Any = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
        await consumer.start()
        try:
            async with asyncio.timeout(RUN_SECONDS_MAX):
                for topic, count in wanted.items():
                    partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
                    while sum((await consumer.end_offsets(partitions)).values()) < count:  # noqa: ASYNC110 (no call back)
                        await asyncio.sleep(LOOK_SECONDS)
        finally:
            await consumer.stop()


async def bench(
    bootstrap: str,
    events: int,
    partitions: int,
    rounds: range,
    wanted: Sequence[Implementation],
    keep: Callable[[Sequence[Run]], None],
    warm: int = 0,
) -> None:
    """One run of each implementation in each round, interleaved: every second round the other way round, so that none
    is always the first. What is found is kept after each run: a long measurement may be cut off."""
    found: list[Run] = []
    workloads = {
        share: make_workload(int(events * share), partitions) for share in {one.events_share for one in wanted}
    }
    for _ in range(warm):
        await measure(wanted[0], bootstrap, workloads[wanted[0].events_share])
    for number in rounds:
        for implementation in wanted if number % 2 == 0 else wanted[::-1]:
            run = await measure(implementation, bootstrap, workloads[implementation.events_share], number)
            found.append(run)
            keep(found)
            print(
                f"round {number + 1}  {run.implementation:28} {run.events_per_second:8,}/s"
                f" {run.cpu_us_per_event:7.2f} us {run.rss_megabytes_max:6.0f} MB  exact",
                file=sys.stderr,
                flush=True,
            )


def available(wanted: Sequence[Implementation]) -> tuple[list[Implementation], dict[str, str]]:
    """Which of them can be measured here, and of the others why not."""
    found, left_out = [], {}
    for one in wanted:
        try:
            environment_of(one)
        except UnavailableError as error:
            left_out[one.name] = str(error)
            print(f"{one.name} is left out: {error}", file=sys.stderr)
        else:
            found.append(one)
    return found, left_out


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--warm", type=int, default=2)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md, and .svg")
    parser.add_argument("--append", action="store_true", help="to the rounds that the results have")
    parser.add_argument("--bootstrap", help="a Kafka that runs already, instead of an embedded one")
    parser.add_argument("--only", nargs="+", default=[], choices=[one.name for one in IMPLEMENTATIONS])
    parser.add_argument("--against", type=Path, help="a checkout of another version, measured beside this one")
    arguments = parser.parse_args()
    wanted, left_out = available([one for one in IMPLEMENTATIONS if not arguments.only or one.name in arguments.only])
    if arguments.against is not None:
        other = Implementation(
            "ringonce, other", "tests.suppress_worker", "commit", checkout=arguments.against.resolve()
        )
        wanted.append(other)
    before = read_runs(arguments.json) if arguments.append else []
    first = max((run.round + 1 for run in before), default=0)
    command = f"python -m tests.benchmarks.bench_suppress {shlex.join(sys.argv[1:])}".strip()
    if arguments.append:
        command = commands_of(arguments.json, command)
    order = [one.name for one in IMPLEMENTATIONS]
    tables: list[str] = []

    def keep(found: Sequence[Run]) -> None:
        runs = [*before, *found]
        runs.sort(key=lambda run: order.index(run.implementation) if run.implementation in order else len(order))
        tables.append(write_results(runs, command, arguments.partitions, arguments.json, left_out, versions()))

    with contextlib.ExitStack() as stack:
        bootstrap = arguments.bootstrap or stack.enter_context(EmbeddedKafka()).bootstrap
        rounds = range(first, first + arguments.runs)
        asyncio.run(bench(bootstrap, arguments.events, arguments.partitions, rounds, wanted, keep, arguments.warm))
    print(tables[-1] if tables else "nothing was measured")


if __name__ == "__main__":
    main()
