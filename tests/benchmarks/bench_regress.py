"""A minute for CI: ringonce next to the plain loop. Fails on a wrong output, never on time alone.

    python -m tests.benchmarks regress [--events 40000] [--runs 3] [--json FILE]

The same measurement as `suppress`, with few events. What is reported is the ratio of the two, because a shared machine
has good and bad minutes, which strike both. A ratio far from the one in results/suppress.md is worth a look: measure
that version beside this one, with `suppress --against`. Rounds that no longer fit into the time are left out, and said.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import time
from pathlib import Path
from typing import Final

from connectors.embedded_kafka import EmbeddedKafka
from tests.benchmarks.bench_suppress import measure
from tests.benchmarks.implementations import IMPLEMENTATIONS
from tests.benchmarks.results import Run, write_results
from tests.benchmarks.workload import make_workload

MEASURED: Final = ("ringonce", "plain loop")
SECONDS: Final = 40.0  # no round starts later; with the start of the broker and the last round it stays under a minute
PARTITIONS: Final = 4


async def regress(bootstrap: str, events: int, rounds: int) -> list[Run]:
    """Interleaved rounds of both. Raises AssertionError when an output is wrong."""
    workload, found, started_at = make_workload(events, PARTITIONS), [], time.monotonic()
    both = [one for one in IMPLEMENTATIONS if one.name in MEASURED]
    for number in range(rounds):
        if time.monotonic() - started_at > SECONDS:
            print(f"a slow machine: {number} of {rounds} rounds", file=sys.stderr)
            break
        for one in both if number % 2 == 0 else both[::-1]:
            found.append(await measure(one, bootstrap, workload, number))
    return sorted(found, key=lambda run: MEASURED.index(run.implementation))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md, and .svg")
    arguments = parser.parse_args()
    with EmbeddedKafka() as kafka:
        runs = asyncio.run(regress(kafka.bootstrap, arguments.events, arguments.runs))
    command = f"python -m tests.benchmarks regress {shlex.join(sys.argv[1:])}".strip()
    print(write_results(runs, command, PARTITIONS, arguments.json))


if __name__ == "__main__":
    main()
