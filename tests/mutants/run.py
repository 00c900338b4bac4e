"""Running the suites on a mutant, in a copy of the tree that is thrown away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.apply import apply, copy_tree
from tests.mutants.mutants import SIMULATION, Mutant

SUITE_SECONDS_MAX = 300.0
WORLDS_MAX = 1_000
_SEED = re.compile(r"^seed (\d+) BROKEN", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """One suite on one tree. `found`: a test failed, or it never came to its end. `what`: the first that says so."""

    suite: str
    found: bool
    seconds: float
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: the suites that were run, up to the first that found it, and the simulation alone."""

    name: str
    runs: list[Run]
    simulation: Run | None

    @property
    def found_by(self) -> Run | None:
        """The first suite that found it, None: it survived."""
        runs = [*self.runs, *([] if self.simulation is None else [self.simulation])]
        return next((run for run in runs if run.found), None)


def judge(mutant: Mutant, world_seconds: float) -> Verdict:
    """Put a mutant into a copy of the tree and run its suites; then the simulation, whatever they found."""
    with tempfile.TemporaryDirectory(prefix="ringonce-mutant-") as directory:
        tree = Path(directory) / "tree"
        copy_tree(tree)
        apply(mutant, tree)
        runs: list[Run] = []
        for suite in mutant.suites:
            if suite == SIMULATION:
                continue
            runs.append(run_suite(suite, tree))
            if runs[-1].found:
                break
        simulated = None if mutant.silent else run_simulation(tree, world_seconds)
        return Verdict(mutant.name, runs, simulated)


def check_unchanged(suites: list[str], world_seconds: float) -> list[Run]:
    """Run the suites on an unchanged copy; return those that fail there, which could tell nothing of a mutant."""
    with tempfile.TemporaryDirectory(prefix="ringonce-mutant-") as directory:
        tree = Path(directory) / "tree"
        copy_tree(tree)
        runs = [run_suite(suite, tree) for suite in suites if suite != SIMULATION]
        return [run for run in (*runs, run_simulation(tree, world_seconds)) if run.found]


def run_suite(suite: str, tree: Path) -> Run:
    """Run a file or a folder of tests."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", suite]
    output, code, seconds = _run(command, tree)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    what = failed[1].rpartition("::")[2] if failed else ("it never ends" if code is None else f"exit code {code}")
    return Run(suite, code != 0, seconds, what if code != 0 else "")


def run_simulation(tree: Path, world_seconds: float) -> Run:
    """Play worlds until one is broken, or the time is over."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", f"{WORLDS_MAX}", "--seconds", f"{world_seconds}"]
    output, code, seconds = _run(command, tree)
    seed = _SEED.search(output)
    what = f"seed {seed[1]}" if seed else ("it never ends" if code is None else "a world that ends in an error")
    return Run(SIMULATION, code != 0, seconds, what if code != 0 else "")


def _run(command: list[str], tree: Path) -> tuple[str, int | None, float]:
    began_at = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SUITE_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", None, time.monotonic() - began_at
    return done.stdout, done.returncode, time.monotonic() - began_at
