"""What metrics and traces cost suppression: its steps with the code of two checkouts, in turns.

    python -m tests.benchmarks.bench_metrics --against CHECKOUT [--rounds 14] [--events 12000]

CHECKOUT is one from before there were any. Each measurement is a process of its own that takes the least of ten
passes (suppress_steps.py); each round has one of each kind, so that a busy minute of the machine strikes all of them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SCRIPT: Final = Path(__file__).with_name("suppress_steps.py")
PASSES: Final = 10
SECONDS_MAX: Final = 300


def measure(checkout: Path, events: int, *ratio: str) -> float:
    """Microseconds of CPU for each event."""
    command = [sys.executable, str(SCRIPT), str(events), str(PASSES), *ratio]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Measure in rounds, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=14)
    parser.add_argument("--events", type=int, default=12_000)
    arguments = parser.parse_args()
    kinds: dict[str, tuple[Path, tuple[str, ...]]] = {
        "without": (arguments.against.resolve(), ()),
        "metrics, traces off": (ROOT, ()),
        "metrics, traces of 1 %": (ROOT, ("0.01",)),
    }
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(arguments.rounds):
        for name, (checkout, ratio) in kinds.items():
            found[name].append(measure(checkout, arguments.events, *ratio))
            print(f"{name:24} {found[name][-1]:7.3f} us", file=sys.stderr, flush=True)
    print("| | CPU of a step, us/event, median | least | more than without, median of the rounds |")
    print("| --- | --- | --- | --- |")
    for name, values in found.items():
        more = statistics.median(value - base for value, base in zip(values, found["without"], strict=True))
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {more:+.3f} us |")


if __name__ == "__main__":
    main()
