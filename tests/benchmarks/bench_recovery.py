"""How long a worker takes to have its state again: with its disk, without it, and as a standby.

    python -m tests.benchmarks.bench_recovery [--slots 1000000] [--partitions 4] [--json FILE]

One worker with the suppress stage admits one event for each slot. Then it is killed and started again with its disk;
killed, its disk thrown away, and started again; and at last killed while a second worker follows it. The figures are
the records of the changelogs that were read again and the time that it took to read them, without the start of the
process and the rebalance, which do not grow with the state.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from connectors.embedded_kafka import EmbeddedKafka
from streams.settings import load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.results import measured_on, write_table
from tests.benchmarks.worker_process import own_options
from tests.benchmarks.workload import Feed, make_workload
from tests.integration.test_recovery import changelog_ends, worker
from tests.integration.test_suppress_kill import until_all_committed

PORTION = 100_000  # events in memory at once


class Recovered(NamedTuple):
    """One recovery. `records` of the changelogs, `seconds` to read them."""

    how: str
    slots: int
    records: int
    seconds: float


async def fill(options: dict[str, Any], slots: int, partitions: int) -> float:
    """Admit one event for each slot; return the seconds that it took."""
    names = TopicNames.of(load_settings(**options))
    started_at, ends = time.perf_counter(), dict.fromkeys(range(partitions), 0)
    for portion in range(0, slots, PORTION):
        workload = make_workload(min(PORTION, slots - portion), partitions, seed=portion, pass_share=1.0, first=portion)
        async with Feed(options["bootstrap"], names.notifications, workload) as feed:
            await feed.fill()
            await feed.release()
        for partition, events in enumerate(workload.partitions):
            # Each portion is a transaction, and ends with a marker.
            ends[partition] += len(events) + (1 if portion and events else 0)
        await until_all_committed(options, names.notifications, ends)
    return time.perf_counter() - started_at


async def measure(bootstrap: str, slots: int, partitions: int, directory: Path) -> list[Recovered]:
    """Recover in each way, once."""
    options = own_options(bootstrap, str(directory), partitions)
    options |= {"session_timeout_seconds": 6.0, "heartbeat_seconds": 2.0}
    names = TopicNames.of(load_settings(**options))
    await ensure_topics(load_settings(**options))
    found: list[Recovered] = []

    def note(how: str, recovered: tuple[int, int, float], of: int) -> None:
        found.append(Recovered(how, of, recovered[1], recovered[2]))
        print(f"{how:20} {of:10,} slots {recovered[1]:10,} records {recovered[2]:8.2f} s", file=sys.stderr, flush=True)

    async with worker(options, directory / "first"):
        seconds = await fill(options, slots, partitions)
        print(f"{slots:,} slots admitted in {seconds:.0f} s", file=sys.stderr, flush=True)
    async with worker(options, directory / "first") as again:
        await again.until(lambda: bool(again.recovered))
        note("with its disk", again.recovered[0], slots)
    shutil.rmtree(directory / "first")
    async with worker(options, directory / "first") as rebuilt:
        await rebuilt.until(lambda: bool(rebuilt.recovered))
        note("without its disk", rebuilt.recovered[0], slots)
        ends = await changelog_ends(bootstrap, names.changelog("slots"), partitions)
        async with worker(options, directory / "second") as standby:
            await standby.until(lambda: bool(standby.recovered) and bool(standby.standby))
            await standby.until(lambda: all(at >= ends[number] - 1 for number, at in standby.standby.items()))
            before = len(standby.recovered)
            rebuilt.process.kill()
            await standby.until(lambda: len(standby.recovered) > before and standby.recovered[-1][0] == partitions)
            # What it takes over is what it had as a standby; the rest was its own already.
            note("standby", standby.recovered[-1], slots)
    return found


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md")
    arguments = parser.parse_args()
    with EmbeddedKafka() as broker, tempfile.TemporaryDirectory() as directory:
        runs = asyncio.run(measure(broker.bootstrap, arguments.slots, arguments.partitions, Path(directory)))
    command = f"python -m tests.benchmarks.bench_recovery {' '.join(sys.argv[1:])}".strip()
    on = measured_on(command, arguments.partitions)
    lines = [
        "| how | slots | changelog records read | seconds | seconds per million slots |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {run.how} | {run.slots:,} | {run.records:,} | {run.seconds:.2f} | {run.seconds * 1e6 / run.slots:.1f} |"
            for run in runs
        ),
        "",
        f"One run of each, {arguments.partitions} partitions, one process, the embedded broker on the same machine.",
    ]
    print(write_table(lines, [run._asdict() for run in runs], on, arguments.json))


if __name__ == "__main__":
    main()
