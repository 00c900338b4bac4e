"""`python -m tests.simulation --seed 7 --trace`: a world of many workers; `--seeds 200`: that many worlds.

A world is a function of its seed alone: what failed once fails again, and says the same.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from streams.audit.rows import Violation
from tests.simulation.judge import Judge, Judgement
from tests.simulation.scenario import Scenario, scenario_of
from tests.simulation.simulated_loop import StuckError
from tests.simulation.world import simulated


def play(
    seed: int, directory: Path, trace: list[str] | None = None, hours: float | None = None
) -> tuple[Judgement, float]:
    """Play the world of a seed; return what came of it, and how many hours it lasted."""
    return play_scenario(scenario_of(seed, hours), directory, trace)


def play_scenario(scenario: Scenario, directory: Path, trace: list[str] | None = None) -> tuple[Judgement, float]:
    """Play a world. One that gets stuck has broken P3."""
    with simulated(scenario, directory, trace) as world:
        try:
            world.run()
        except StuckError as error:
            stuck = Violation("P3", f"the world is stuck: {error}", world.broker.now_ms(), None, ())
            return Judgement(violations=[stuck]), world.loop.time() / 3600
        return Judge(world).judge(), world.loop.time() / 3600


def main() -> int:
    """Play worlds until one breaks the promise. 0: none did."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--seeds", type=int, default=1, help="so many, one after the other")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further one after so many")
    parser.add_argument("--hours", type=float, help="simulated, before all is healed; default: as the seed says")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument("--verbose", action="store_true", help="a line for each seed")
    parser.add_argument("--go-on", action="store_true", help="after a failure too")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # failures of workers are no news here
    started_at, hours, events, pushes, broken = time.perf_counter(), 0.0, 0, 0, 0
    seed = arguments.seed
    directory = Path(tempfile.mkdtemp(prefix="ringonce-simulation-"))
    try:
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            if time.perf_counter() - started_at > arguments.seconds:
                break
            trace: list[str] | None = [] if arguments.trace else None
            began_at = time.perf_counter()
            judgement, lasted = play(seed, directory / str(seed), trace, arguments.hours)
            hours, events, pushes = hours + lasted, events + judgement.events, pushes + judgement.pushes
            if trace is not None:
                digest = hashlib.sha256("\n".join(trace).encode()).hexdigest()
                print("\n".join(trace))
                print(f"trace of seed {seed}: {len(trace)} lines, {digest}")
            if arguments.verbose or judgement.violations:
                print(
                    f"seed {seed}: {judgement.events} events, {judgement.pushes} pushes, {dict(judgement.final)}, "
                    f"{lasted:.0f} h in {time.perf_counter() - began_at:.2f} s",
                    flush=True,
                )
            for violation in judgement.violations:
                print(f"  {violation.promise} {violation.slot!r}: {violation.sentence}")
            if judgement.violations:
                broken += 1
                print(f"seed {seed} BROKEN; again: python -m tests.simulation --seed {seed} --trace", flush=True)
                if not arguments.go_on:
                    return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    took = time.perf_counter() - started_at
    print(
        f"{hours:.0f} simulated hours, {events} events, {pushes} pushes, {broken} broken, {took:.1f} s, "
        f"{60 * hours / took:.0f} simulated hours a minute"
    )
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
