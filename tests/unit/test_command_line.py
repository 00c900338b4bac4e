"""The command line: what is listed is there, and who runs one command waits for that one alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import streams.commands
from streams.cli import COMMANDS, command_line

SECONDS_MAX = 60.0
# Runs a command to its end, and prints which modules that took.
LOADED = """
import json, sys
from streams.cli import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]))
"""


def loaded(*arguments: str) -> tuple[int, set[str]]:
    """The exit code of a command, and the modules that it has imported."""
    command = [sys.executable, "-c", LOADED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    return code, set(modules)


def test_every_command_is_listed() -> None:
    """A file in streams/commands/ that has `register` is a command."""
    files = Path(streams.commands.__path__[0]).glob("*.py")
    found = {path.stem.replace("_", "-") for path in files if "\ndef register(" in path.read_text(encoding="utf-8")}
    assert found == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_alone_is_the_same(name: str) -> None:
    """As it is among all of them."""
    alone, among = (CliRunner().invoke(app, [name, "--help"]) for app in (command_line([name]), command_line()))
    assert (alone.exit_code, alone.stdout) == (0, among.stdout)
    assert name in alone.stdout


def test_one_command_imports_no_other() -> None:
    """Nor Faust, which only a worker runs on."""
    code, modules = loaded("history", "search", "--help")
    assert code == 0
    assert {name for name in modules if name.startswith("streams.commands.")} == {
        f"streams.commands.{name}" for name in ("asking", "history", "terminal")
    }
    assert "faust" not in modules


@pytest.mark.parametrize("arguments", [(), ("--help",), ("histry",)])
def test_without_one_all_are_there(arguments: tuple[str, ...]) -> None:
    """For the list of them, and for what is like one."""
    _, modules = loaded(*arguments)
    assert {f"streams.commands.{name.replace('-', '_')}" for name in COMMANDS} <= modules
