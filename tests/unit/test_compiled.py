"""What is compiled is listed, exists, and is all machine code or none."""

from __future__ import annotations

import importlib
import os
import tomllib
from pathlib import Path

import pytest

from streams.compiled import is_compiled

ROOT = Path(__file__).resolve().parent.parent.parent
PATHS: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ringonce"]["compiled"]


def test_the_list_is_sorted_and_names_files() -> None:
    assert sorted(set(PATHS)) == PATHS
    assert [path for path in PATHS if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("path", PATHS)
def test_all_of_them_or_none(path: str) -> None:
    """As a run on the compiled wheel says it is; elsewhere a leftover beside a source would be imported instead."""
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    first = os.environ.get("PYTHONPATH", "").split(os.pathsep)[0]
    assert is_compiled(module) is (first == str(ROOT / ".ringonce" / "compiled"))


def test_a_module_of_python_is_not_taken_for_machine_code() -> None:
    assert not is_compiled(importlib.import_module("streams.compiled"))
    assert is_compiled(importlib.import_module("_testcapi" if os.name == "nt" else "_ssl"))
