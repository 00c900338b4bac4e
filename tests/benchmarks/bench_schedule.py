"""How the schedule stage does with very many pending: memory, speed, lateness. Every release is verified.

    python -m tests.benchmarks.bench_schedule [--pending 1000000] [--due 200000] [--per-second 1000] [--json FILE]

One worker with the schedule stage alone, in a process of its own, on the embedded broker; all three share the machine.
1. `--pending` deferrals, due in a day, become readable at once: insertion, to the last committed offset; memory.
2. On top of them `--due` more that are all due in the same millisecond: release, from then to the last one on record.
3. On top of them `--per-second` for half a minute, evenly: lateness.
4. The worker is started again: with its disk, and without, from the changelog alone.
Lateness is from the due time to the broker's own timestamp on the removal of the row, which is one transaction with the
release; below zero is early.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from connectors.embedded_kafka import EmbeddedKafka
from streams.settings import load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.results import measured_on
from tests.benchmarks.schedule_feed import ScheduleFeed
from tests.benchmarks.schedule_record import ends, releases, until_read, verify_due
from tests.benchmarks.worker_process import delete_topics, own_options, worker

DAY_MS: Final = 86_400_000
STEADY_SECONDS: Final = 30
HEAD_START_MS: Final = 10_000  # what is due must be in the table before
WORKER: Final = "tests.schedule_worker"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many of what."""

    pending: int
    due: int
    per_second: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Found:
    """One run. Memory is resident, at its peak; lateness in milliseconds of the broker's clock."""

    pending: int
    rss_megabytes_empty: float
    rss_megabytes_pending: float
    rss_megabytes_max: float
    inserted_per_second: int
    insert_cpu_us: float
    due: int
    released_per_second: int
    release_cpu_us: float
    burst_early: int
    steady_per_second: int
    steady_releases: int
    late_ms_p50: int
    late_ms_p99: int
    late_ms_max: int
    steady_early: int
    restart_seconds: float
    rebuild_seconds: float


async def measure(bootstrap: str, plan: Plan) -> Found:
    """One run, on topics of its own, verified. Raises AssertionError when a release is missing, double or early."""
    with tempfile.TemporaryDirectory() as directory:
        options = own_options(bootstrap, directory, plan.partitions)
        settings = load_settings(**options)
        await ensure_topics(settings)
        try:
            return await _measure(Bench(bootstrap, TopicNames.of(settings), plan), options)
        finally:
            await delete_topics(bootstrap, options["topic_prefix"])


@dataclass(frozen=True, slots=True)
class Bench:
    """Where it takes place."""

    bootstrap: str
    names: TopicNames
    plan: Plan

    async def ends(self, topic: str) -> dict[int, int]:
        """Where a topic ends now."""
        return await ends(self.bootstrap, topic, self.plan.partitions)

    async def until_read(self) -> None:
        """Wait until everything on `scheduled` is in the table."""
        topic = self.names.scheduled
        await until_read(self.bootstrap, self.names.app_id, topic, await self.ends(topic))


async def _measure(bench: Bench, options: dict[str, Any]) -> Found:
    plan, names, found = bench.plan, bench.names, dict[str, Any]()
    async with (
        ScheduleFeed(bench.bootstrap, names.scheduled, plan.partitions) as feed,
        worker(WORKER, options) as process,
    ):
        found["rss_megabytes_empty"] = process.rss_bytes_max() / 2**20
        far = time.time_ns() // 1_000_000 + DAY_MS
        await feed.fill(range(plan.pending), lambda number: far + number)
        _say("written, becomes readable")
        cpu, started_at = process.cpu_seconds(), time.perf_counter()
        await feed.release()
        await bench.until_read()
        seconds = time.perf_counter() - started_at
        found["inserted_per_second"] = plan.pending / seconds
        found["insert_cpu_us"] = (process.cpu_seconds() - cpu) * 1e6 / plan.pending
        found["rss_megabytes_pending"] = process.rss_bytes_max() / 2**20
        _say(f"inserted in {seconds:.1f} s, {found['rss_megabytes_pending']:.0f} MB")
        found |= await _burst(bench, feed, process)
        _say(f"released {found['released_per_second']:.0f}/s")
        found |= await _steady(bench, feed)
        _say(f"late by {found['late_ms_p50']} / {found['late_ms_p99']} ms")
        found["rss_megabytes_max"] = process.rss_bytes_max() / 2**20
    found["restart_seconds"] = await _restart(options)
    found["rebuild_seconds"] = await _restart({**options, "data_dir": options["data_dir"] + "/anew"})
    kinds = Found.__annotations__
    rounded = {name: round(value) if kinds[name] == "int" else round(value, 1) for name, value in found.items()}
    return Found(pending=plan.pending, due=plan.due, steady_per_second=plan.per_second, **rounded)


async def _burst(bench: Bench, feed: ScheduleFeed, process: Any) -> dict[str, float]:
    plan, names = bench.plan, bench.names
    starts = await bench.ends(names.due), await bench.ends(names.changelog("schedule"))
    numbers = range(plan.pending, plan.pending + plan.due)
    due_at = [0]
    # They are written first, with a time that leaves room for taking them in.
    due_at[0] = time.time_ns() // 1_000_000 + HEAD_START_MS + plan.due // 5
    await feed.fill(numbers, lambda number: due_at[0])
    await feed.release()
    await bench.until_read()
    assert time.time_ns() // 1_000_000 < due_at[0], "they were due before all of them were in the table"
    cpu = process.cpu_seconds()
    await verify_due(bench.bootstrap, names.due, starts[0], numbers)
    cpu = process.cpu_seconds() - cpu
    found = await releases(bench.bootstrap, names.changelog("schedule"), starts[1], plan.due)
    return {
        "released_per_second": plan.due * 1000 / (found.last_at - due_at[0]),
        "release_cpu_us": cpu * 1e6 / plan.due,
        "burst_early": sum(late < 0 for late in found.late_ms),
    }


async def _steady(bench: Bench, feed: ScheduleFeed) -> dict[str, float]:
    plan, names = bench.plan, bench.names
    starts = await bench.ends(names.due), await bench.ends(names.changelog("schedule"))
    count = plan.per_second * STEADY_SECONDS
    numbers = range(plan.pending + plan.due, plan.pending + plan.due + count)
    first = time.time_ns() // 1_000_000 + HEAD_START_MS + count // 5
    await feed.fill(numbers, lambda number: first + (number - numbers.start) * 1000 // plan.per_second)
    await feed.release()
    await bench.until_read()
    assert time.time_ns() // 1_000_000 < first, "some were due before all of them were in the table"
    await verify_due(bench.bootstrap, names.due, starts[0], numbers)
    late = sorted((await releases(bench.bootstrap, names.changelog("schedule"), starts[1], count)).late_ms)
    return {
        "steady_releases": count,
        "late_ms_p50": late[count // 2],
        "late_ms_p99": late[count * 99 // 100],
        "late_ms_max": late[-1],
        "steady_early": sum(each < 0 for each in late),
    }


async def _restart(options: dict[str, Any]) -> float:
    started_at = time.perf_counter()
    async with worker(WORKER, options):
        return time.perf_counter() - started_at


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def write_results(runs: Sequence[Found], command: str, partitions: int, json_file: Path | None) -> str:
    """The table in Markdown, of the run with the median insertion; written with all runs in JSON, given a file."""
    one = sorted(runs, key=lambda run: run.inserted_per_second)[len(runs) // 2]
    on = measured_on(command, partitions)
    machine, versions = on["machine"], ", ".join(f"{name} {number}" for name, number in on["versions"].items())
    grown = one.rss_megabytes_max - one.rss_megabytes_empty
    lines = [
        "| what | measured | wanted |",
        "|---|---:|---:|",
        f"| memory of the worker, empty | {one.rss_megabytes_empty:.0f} MB | |",
        f"| with {one.pending:,} pending, at its peak | {one.rss_megabytes_pending:.0f} MB | |",
        f"| at its peak over everything, more than empty | {grown:.0f} MB | ≤ 300 MB |",
        f"| insertion | {one.inserted_per_second:,}/s, {one.insert_cpu_us:.0f} µs CPU | ≥ 20,000/s |",
        f"| release of {one.due:,} that are due at once | {one.released_per_second:,}/s, {one.release_cpu_us:.0f} µs "
        "CPU | ≥ 10,000/s |",
        f"| lateness at {one.steady_per_second:,}/s, p50 / p99 / most | {one.late_ms_p50} / {one.late_ms_p99} / "
        f"{one.late_ms_max} ms | p99 < 250 ms |",
        f"| early, of {one.due + one.steady_releases:,} | {one.burst_early + one.steady_early} | 0 |",
        f"| start with the disk, until ready | {one.restart_seconds:.1f} s | |",
        f"| start without the disk, until ready | {one.rebuild_seconds:.1f} s | |",
        "",
        f"{len(runs)} run{'s' if len(runs) > 1 else ''}, every release verified: each once, none missing; "
        f"{partitions} partitions, one process. Lateness by the broker's clock. Broker, feed and worker share the "
        "machine.",
        f"{on['date']}, {machine['cpu']}, {machine['cores']} cores, load {on['load_average']} at the end; {versions}.",
        f"`{on['command']}`",
    ]
    table = "\n".join(lines)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(
            json.dumps({**on, "runs": [asdict(run) for run in runs]}, indent=2) + "\n", encoding="utf-8"
        )
        json_file.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    return table


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=200_000)
    parser.add_argument("--per-second", type=int, default=1_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md")
    parser.add_argument("--bootstrap", help="a Kafka that runs already, instead of an embedded one")
    arguments = parser.parse_args()
    plan = Plan(arguments.pending, arguments.due, arguments.per_second, arguments.partitions)
    with contextlib.ExitStack() as stack:
        bootstrap = arguments.bootstrap or stack.enter_context(EmbeddedKafka()).bootstrap
        runs = [asyncio.run(measure(bootstrap, plan)) for _ in range(arguments.runs)]
    command = f"python -m tests.benchmarks.bench_schedule {' '.join(sys.argv[1:])}".strip()
    print(write_results(runs, command, arguments.partitions, arguments.json))


if __name__ == "__main__":
    main()
