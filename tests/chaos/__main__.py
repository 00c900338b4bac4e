"""Chaos runs: `python -m tests.chaos --seed 7 --events 200000 --faults 50 --workers 3`, or `--short`.

The plan of faults and the events are functions of the seed; what a fault meets is not, so a second run with the same
seed strikes at the same times, not at the same records.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
from pathlib import Path

from streams.commands.audit import counts_table, show_violations
from streams.commands.terminal import out
from streams.policies.delivering import OWNER_LOST
from tests.chaos.plan import MATRICES, SECONDS, plan_faults
from tests.chaos.run import Result, Run, RunOptions

SHORT_SEEDS = (1, 2, 3)
SHORT = RunOptions(seed=0, events=15_000, faults=5, workers=2, matrix="short", rate=400, users=400)


def main() -> int:
    """Run one seed, or the short matrix. 0: the promise was kept in all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="default: one by chance")
    parser.add_argument("--seeds", type=int, default=1, help="so many runs, with seeds from the first one on")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--users", type=int, default=800)
    parser.add_argument("--rate", type=float, default=400.0, help="events per second")
    parser.add_argument("--matrix", choices=[*MATRICES, *SECONDS], default="long", help="or one kind of fault")
    parser.add_argument("--short", action="store_true", help="a few minutes with three fixed seeds")
    parser.add_argument("--plan", action="store_true", help="only print the plan")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the logs in any case")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is killed is no news here
    for options in _runs(arguments):
        if not _run(options, arguments.plan, arguments.keep):
            return 1
    return 0


def _runs(arguments: argparse.Namespace) -> list[RunOptions]:
    if arguments.short:
        seeds = SHORT_SEEDS if arguments.seed is None else (arguments.seed,)
        return [_with_seed(SHORT, seed) for seed in seeds]
    first = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    options = RunOptions(
        first,
        arguments.events,
        arguments.faults,
        arguments.workers,
        arguments.matrix,
        arguments.rate,
        arguments.users,
    )
    return [_with_seed(options, first + number) for number in range(arguments.seeds)]


def _with_seed(options: RunOptions, seed: int) -> RunOptions:
    return RunOptions(
        seed, options.events, options.faults, options.workers, options.matrix, options.rate, options.users
    )


def _say(text: str) -> None:
    print(text, flush=True)


def _run(options: RunOptions, only_plan: bool, keep: bool) -> bool:
    _say(f"seed {options.seed}: {options}")
    if only_plan:
        seconds = options.events / options.rate
        for fault in plan_faults(options.seed, options.faults, seconds, options.workers, options.matrix):
            _say(str(fault))
        return True
    directory = Path(tempfile.mkdtemp(prefix=f"ringonce-chaos-{options.seed}-"))
    kept = False
    try:
        result = asyncio.run(Run(options, directory, _say).run())
        kept = result.kept
        _show(options, result)
    finally:
        if kept and not keep:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            _say(f"seed {options.seed}: logs and data are in {directory}")
    return kept


def _show(options: RunOptions, result: Result) -> None:
    report = result.report
    out.print(counts_table(report))
    lost = report.unknown_reasons[OWNER_LOST]
    other = sum(report.unknown_reasons.values()) - lost
    _say(
        f"UNKNOWN: {other} answers, {result.struck_unknown} requests met a fault that leaves it unknown; "
        f"{lost} claims of workers that were killed or paused"
    )
    _say(f"faults of the providers: {result.struck}; workers started anew in place {result.restarts} times")
    for surprise in result.surprises:
        _say(f"surprise: {surprise}")
    if report.violations:
        show_violations(report, result.timeline)
    if result.ended < result.produced:
        _say(f"{result.produced - result.ended} events did not end in time")
    verdict = "kept" if result.kept else "BROKEN"
    _say(
        f"seed {options.seed}: {verdict}: {report.events} events, {options.faults} faults, {report.pushes} pushes, "
        f"{len(report.violations)} violations, UNKNOWN {100 * report.unknown_share:.2f} %, {result.seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
