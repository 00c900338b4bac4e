"""Run all tests, file by file, in three processes side by side. Arguments go to each pytest.

Then, alone, those that hold a running Prometheus against the clock. Each process has a broker of its own; the last line
has the sums.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROCESSES = 3
ALONE = "tests/integration/test_rehearsals.py"
# What takes minutes a file comes first, so that none of it is left when the other processes have nothing to do.
FIRST = ("integration", "browser", "simulation", "properties")
SECONDS_MAX = 3600.0  # of all together; each single test has a limit of its own


def side_by_side() -> tuple[str, ...]:
    """Return what says how to run all but those."""
    others = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")} - set(FIRST)
    folders = [f"tests/{name}" for name in (*FIRST, *sorted(others))]
    return ("-n", str(PROCESSES), "--dist", "loadfile", "--no-loadscope-reorder", "--ignore", ALONE, *folders)


def run(arguments: tuple[str, ...], until: float, counts: Counter[str]) -> int:
    """Run these, add up their counts, and return 0 when all have passed."""
    command = [sys.executable, "-m", "pytest", *sys.argv[1:], *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace", cwd=ROOT) as process:
        limit = threading.Timer(max(0.0, until - time.monotonic()), process.kill)
        limit.daemon = True  # else who interrupts this waits for it
        limit.start()
        last = ""
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line if line.strip() else last
        limit.cancel()
    for count, what in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", last):
        counts[what] += int(count)
    if process.returncode < 0:
        print(f"ended after {SECONDS_MAX:.0f} s, before its tests had", flush=True)
    return abs(process.returncode)


def main() -> int:
    """Return 0 when all have passed."""
    until, counts = time.monotonic() + SECONDS_MAX, Counter[str]()
    codes = [run(side_by_side(), until, counts), run((ALONE,), until, counts)]
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
