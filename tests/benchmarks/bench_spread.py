"""What suppression costs with more workers and with more partitions. Every output of every run is verified.

    python -m tests.benchmarks spread [--workers 1 2 4] [--partitions 12 120] [--events 200000] [--runs 3] [--json FILE]

The first number of partitions is measured with each number of workers, the others with the first number of workers.
A run has topics of its own. The workers share the partitions before the events become readable, and follow each other's
changelogs as standbys, as the settings have it. The time ends when the last offset is committed; CPU time and memory
are those of all workers together. Every second round goes the other way round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from connectors.embedded_kafka import EmbeddedKafka
from streams.demo.play import wait_until_read
from streams.settings import kafka_client_options, load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.oracle import verify
from tests.benchmarks.results import measured_on, write_table
from tests.benchmarks.worker_process import WorkerProcess, delete_topics, own_options
from tests.benchmarks.workload import Feed, Workload, ends, make_workload
from tests.integration.test_recovery import Worker, worker

RUN_SECONDS_MAX: Final = 600.0
SHARED_SECONDS_MAX: Final = 120.0
LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared."""

    workers: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Spread:
    """One run. CPU and memory are the sums over the workers, memory is at its peak. `smallest_share`: the partitions
    of the worker that has the fewest."""

    case: Case
    round: int
    events_per_second: int
    cpu_us_per_event: float
    rss_megabytes_max: float
    smallest_share: int


def shares(workers: Sequence[Worker]) -> list[int]:
    """How many partitions each has, as it said last."""
    return [each.recovered[-1][0] if each.recovered else 0 for each in workers]


async def measure(bootstrap: str, case: Case, workload: Workload, number: int) -> Spread:
    """One run. Raises AssertionError when an output is wrong."""
    with tempfile.TemporaryDirectory() as directory:
        options = own_options(bootstrap, directory, case.partitions)
        settings = load_settings(**options)
        names = TopicNames.of(settings)
        await ensure_topics(settings)
        try:
            async with Feed(bootstrap, names.notifications, workload) as feed, contextlib.AsyncExitStack() as stack:
                await feed.fill()
                workers: list[Worker] = []
                for index in range(case.workers):
                    workers.append(await stack.enter_async_context(worker(options, Path(directory, str(index)))))
                async with asyncio.timeout(SHARED_SECONDS_MAX):
                    while sum(shares(workers)) != case.partitions or not all(shares(workers)):  # noqa: ASYNC110 (of several)
                        await asyncio.sleep(LOOK_SECONDS)
                processes = [WorkerProcess(each.process) for each in workers]
                cpu, started_at = sum(each.cpu_seconds() for each in processes), time.perf_counter()
                await feed.release()
                client = kafka_client_options(settings)
                wanted = ends(workload)
                await wait_until_read(
                    client, settings.app_id, names.notifications, wanted, RUN_SECONDS_MAX, LOOK_SECONDS
                )
                seconds = time.perf_counter() - started_at
                cpu = sum(each.cpu_seconds() for each in processes) - cpu
                rss = sum(each.rss_bytes_max() for each in processes)
                share = min(shares(workers))
            found = await verify(bootstrap, names.statuses, names.outbox, workload)
        finally:
            await delete_topics(bootstrap, options["topic_prefix"])
    found.assert_exact()
    assert found.admitted == workload.slots
    return Spread(
        case=case,
        round=number,
        events_per_second=round(workload.count / seconds),
        cpu_us_per_event=round(cpu * 1e6 / workload.count, 2),
        rss_megabytes_max=round(rss / 2**20, 1),
        smallest_share=share,
    )


async def bench(bootstrap: str, cases: Sequence[Case], events: int, rounds: int) -> list[Spread]:
    """All cases in each round, every second round the other way round."""
    found = []
    workloads = {partitions: make_workload(events, partitions) for partitions in {case.partitions for case in cases}}
    for number in range(rounds):
        for case in cases if number % 2 == 0 else cases[::-1]:
            one = await measure(bootstrap, case, workloads[case.partitions], number)
            found.append(one)
            print(
                f"round {number + 1}  {case.workers} workers {case.partitions:4} partitions"
                f" {one.events_per_second:8,}/s {one.cpu_us_per_event:6.1f} us {one.rss_megabytes_max:6.0f} MB  exact",
                file=sys.stderr,
                flush=True,
            )
    return found


def table_of(found: Sequence[Spread]) -> list[str]:
    """Medians by case; speed also next to the first case, round by round."""
    cases = list(dict.fromkeys(one.case for one in sorted(found, key=lambda one: one.round)))
    first = {one.round: one.events_per_second for one in found if one.case == cases[0]}
    lines = [
        "| workers | partitions | events/s | next to the first line | CPU µs/event | peak RSS MB, all workers |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for case in cases:
        its = [one for one in found if one.case == case]
        ratio = statistics.median(one.events_per_second / first[one.round] for one in its)
        lines.append(
            f"| {case.workers} | {case.partitions} | {statistics.median(one.events_per_second for one in its):,.0f} "
            f"| {ratio:.2f} | {statistics.median(one.cpu_us_per_event for one in its):.1f} "
            f"| {max(one.rss_megabytes_max for one in its):.0f} |"
        )
    return lines


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--partitions", type=int, nargs="+", default=[12, 120])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md")
    given = parser.parse_args()
    cases = [Case(workers, given.partitions[0]) for workers in given.workers]
    cases += [Case(given.workers[0], partitions) for partitions in given.partitions[1:]]
    with EmbeddedKafka() as kafka:
        found = asyncio.run(bench(kafka.bootstrap, cases, given.events, given.runs))
    on = measured_on(f"python -m tests.benchmarks spread {shlex.join(sys.argv[1:])}".strip(), given.partitions[0])
    lines = [
        *table_of(found),
        "",
        f"Medians of {given.runs} interleaved rounds of {given.events:,} events, every output verified. All "
        f"workers and the broker share {psutil.cpu_count()} cores.",
    ]
    print(write_table(lines, [asdict(one) for one in found], on, given.json))


if __name__ == "__main__":
    main()
