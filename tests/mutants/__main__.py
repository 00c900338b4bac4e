"""`python -m tests.mutants`: put each mutant into a copy of the tree, run what must notice, and write it down.

0: all were found. A mutant that survives is a test that is missing.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.mutants import MUTANTS, Mutant
from tests.mutants.report import load, save
from tests.mutants.run import Verdict, check_unchanged, judge

WORLD_SECONDS = 240.0


def main() -> int:
    """Run all mutants, or some."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="part of a name; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="so many at once")
    parser.add_argument("--world-seconds", type=float, default=WORLD_SECONDS, help="of simulation for each, at most")
    parser.add_argument("--unchecked", action="store_true", help="don't see first that all pass on the unchanged tree")
    parser.add_argument("--list", action="store_true", help="only name them")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not arguments.only or any(part in mutant.name for part in arguments.only)]
    if arguments.list:
        print("\n".join(f"{mutant.breaks} {mutant.name}" for mutant in chosen))
        return 0
    if not arguments.unchecked:
        suites = list(dict.fromkeys(suite for mutant in chosen for suite in mutant.suites))
        failing = check_unchanged(suites, arguments.world_seconds / 4)
        for run in failing:
            print(f"{run.suite} fails on the unchanged tree ({run.what}): it can tell nothing of mutants")
        if failing:
            return 2
        print(f"{len(suites)} suites pass on the unchanged tree", flush=True)
    verdicts = load()
    survived = 0

    def judged(mutant: Mutant) -> Verdict:
        return judge(mutant, arguments.world_seconds)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        for verdict in pool.map(judged, chosen):
            verdicts[verdict.name] = verdict
            survived += verdict.found_by is None
            _show(verdict)
            save(verdicts)
    print(f"{len(chosen) - survived} of {len(chosen)} found")
    return int(survived > 0)


def _show(verdict: Verdict) -> None:
    by = verdict.found_by
    found = "SURVIVED" if by is None else f"found by {by.suite} ({by.what}) after {by.seconds:.0f} s"
    simulated = verdict.simulation
    alone = ""
    if simulated is not None:
        alone = f"; simulation: {simulated.what if simulated.found else 'NOT FOUND'}, {simulated.seconds:.0f} s"
    print(f"{verdict.name}: {found}{alone}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
