"""The mutants fit the product as it is now."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.apply import ROOT, MutantDoesNotApplyError, apply, target
from tests.mutants.mutants import MUTANTS, SIMULATION, Mutant


def _id(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=_id)
def test_a_mutant_applies_and_is_python(mutant: Mutant) -> None:
    """What it replaces is there exactly once, and what comes out can be parsed and is another program."""
    text = target(mutant, ROOT).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(text.replace(mutant.old, mutant.new))) != ast.dump(ast.parse(text))


@pytest.mark.parametrize("mutant", MUTANTS, ids=_id)
def test_the_suites_of_a_mutant_exist(mutant: Mutant) -> None:
    """The whole-system simulation is among them, unless it is said why it can't see it."""
    assert all(suite == SIMULATION or (ROOT / suite).exists() for suite in mutant.suites)
    assert bool(mutant.silent) == (SIMULATION not in mutant.suites)
    assert mutant.breaks in ("P1", "P2", "P3", "P4")


def test_names_are_unique_and_every_promise_is_broken_by_some() -> None:
    """A name stands for one mutant."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.breaks for mutant in MUTANTS} == {"P1", "P2", "P3", "P4"}


@pytest.mark.parametrize("text", ["nothing of the kind", "old and old again"])
def test_a_mutant_that_does_not_fit_says_so(tmp_path: Path, text: str) -> None:
    """Missing or twice: it is not applied, and its name is in the error."""
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(MutantDoesNotApplyError, match="misfit"):
        apply(Mutant("misfit", "P1", "*.py", "old", "new", ()), tmp_path)
    assert (tmp_path / "a.py").read_text() == text
