"""The results of the last run of each mutant, as data and as the table in docs/proof.md."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.mutants.mutants import MUTANTS, SIMULATION, Mutant
from tests.mutants.run import Run, Verdict

RESULTS: Final = Path(__file__).with_name("results.json")
PAGE: Final = Path(__file__).parents[2] / "docs" / "proof.md"
_BEGIN: Final = "<!-- written by `make mutants` -->\n"
_END: Final = "<!-- end -->\n"


def load() -> dict[str, Verdict]:
    """Return the verdicts that are kept, by name."""
    if not RESULTS.exists():
        return {}
    return {each["name"]: _verdict(each) for each in json.loads(RESULTS.read_text(encoding="utf-8"))}


def _verdict(each: dict[str, Any]) -> Verdict:
    simulation = None if each["simulation"] is None else Run(**each["simulation"])
    return Verdict(each["name"], [Run(**run) for run in each["runs"]], simulation)


def save(verdicts: dict[str, Verdict]) -> None:
    """Keep the verdicts on mutants that there are, and write the table."""
    kept = [verdicts[mutant.name] for mutant in MUTANTS if mutant.name in verdicts]
    RESULTS.write_text(json.dumps([dataclasses.asdict(each) for each in kept], indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}{table(kept)}{_END}{after}", encoding="utf-8")


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the summary and the table, in Markdown."""
    mutants = {mutant.name: mutant for mutant in MUTANTS}
    found = sum(verdict.found_by is not None for verdict in verdicts)
    must = [verdict for verdict in verdicts if verdict.simulation is not None]
    alone = sum(verdict.simulation is not None and verdict.simulation.found for verdict in must)
    lines = [
        "",
        f"{found} of {len(verdicts)} mutants were found. Of the {len(must)} that the simulation can see, it found "
        f"{alone} by itself.",
        "",
        "| mutant | breaks | found by | s | simulation alone | s |",
        "|---|---|---|--:|---|--:|",
        *(_line(mutants[verdict.name], verdict) for verdict in verdicts),
        "",
    ]
    return "\n".join(lines) + "\n"


def _line(mutant: Mutant, verdict: Verdict) -> str:
    by = verdict.found_by
    first = "**nobody** |" if by is None else f"{_name(by)} | {by.seconds:.0f}"
    simulated = verdict.simulation
    if simulated is None:
        second = f"{mutant.silent} |"
    else:
        second = f"{simulated.what if simulated.found else 'not found'} | {simulated.seconds:.0f}"
    return f"| {mutant.name} | {mutant.breaks} | {first} | {second} |"


def _name(run: Run) -> str:
    return f"simulation, {run.what}" if run.suite == SIMULATION else f"`{run.suite}`: {run.what.partition('[')[0]}"
