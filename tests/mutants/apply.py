"""Putting a mutant into a tree."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.mutants.mutants import Mutant

ROOT = Path(__file__).parents[2]
_LEFT_OUT = (".git", ".venv", ".ringonce", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")


class MutantDoesNotApplyError(Exception):
    """The text that it replaces is not there, or more than once: the product has changed, and the mutant must too."""


def target(mutant: Mutant, tree: Path) -> Path:
    """Return the file that a mutant changes. Raises MutantDoesNotApplyError."""
    found = [(path, path.read_text(encoding="utf-8").count(mutant.old)) for path in sorted(tree.glob(mutant.where))]
    matching = [path for path, count in found if count]
    if sum(count for _, count in found) != 1:
        raise MutantDoesNotApplyError(
            f"{mutant.name}: {sum(count for _, count in found)} places in {mutant.where} match, it must be one: "
            f"{[str(path.relative_to(tree)) for path in matching]}"
        )
    return matching[0]


def apply(mutant: Mutant, tree: Path) -> None:
    """Change the tree. Raises MutantDoesNotApplyError."""
    path = target(mutant, tree)
    path.write_text(path.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")


def copy_tree(to: Path) -> None:
    """Copy what is needed to run tests."""
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*_LEFT_OUT))
