"""docs/quick-start.md: every command of it, in its order, in one shell, and what it says comes true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.embedded_kafka.ports import free_ports
from tests.integration.required_tools import tool

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "quick-start.md").read_text(encoding="utf-8")
SECONDS_MAX = 180
PORT = "6066"
MARK = "----- next step"


def _shell(directory: Path, script: str, port: int) -> str:
    """What a shell prints that runs this where `deploy` is, with the tests' Python and another port than usual."""
    (directory / "deploy").symlink_to(ROOT / "deploy")
    commands = directory / "bin"
    commands.mkdir()
    (commands / "ringonce").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streams "$@"\n', encoding="utf-8")
    (commands / "ringonce").chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    cache = {"RINGONCE_CACHE": os.environ["RINGONCE_CACHE"]} if "RINGONCE_CACHE" in os.environ else {}
    own = {
        "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RINGONCE_WEB_PORT": str(port),
        "COLUMNS": "200",
    }
    # What the shell has started ends with it, however it ends: none of it survives this test.
    whole = f"set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{script}"
    process = subprocess.Popen(
        ["bash", "-c", whole],
        cwd=directory,
        env={**clean, **cache, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = process.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.terminate()
        said, _ = process.communicate(timeout=60)
        log = directory / ".ringonce" / "worker.log"
        pytest.fail(f"not done after {SECONDS_MAX} s:\n{said}\n{log.read_text() if log.exists() else ''}")
    assert process.returncode == 0, said
    return said


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    """One push, whose second is explained by the first, and an audit that finds all in order."""
    tool("curl", "curl")
    steps = re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S)
    assert len(steps) == 7
    (port,) = free_ports(1)
    script = f"echo {MARK}\n".join(step.replace(PORT, str(port)) for step in steps)
    _, _, _, sent, asked, checked, _ = _shell(tmp_path, script, port).split(f"{MARK}\n")
    pushes = re.findall(r'"notification_id":"([\w-]+)"', sent)
    assert pushes == ["o-1234"]
    assert "o-1235 was not sent: o-1234 blocked its slot until" in asked
    assert '"free_places": 0' in asked
    assert "kept: P1 at most once" in checked
    assert "broken" not in checked
