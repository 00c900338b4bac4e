"""Run all tests in three processes side by side: most of them wait most of the time. Arguments go to each pytest.

Then, alone, those that hold a running Prometheus against the clock. Each process has a broker of its own, and what it
prints is shown when it has ended; the last line has the sums.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
ALONE = {"tests/integration/test_rehearsals.py"}
SECONDS_MAX = 3600  # of all together; each single test has a limit of its own


def groups() -> list[list[str]]:
    """Return the parts: what needs no broker, with the browser's tests, and two halves of what needs one."""
    integration = sorted({str(path) for path in Path("tests/integration").glob("test_*.py")} - ALONE)
    rest = ["tests/browser", "tests/contract", "tests/simulation", "tests/properties", "tests/mutants", "tests/unit"]
    return [rest, integration[::2], integration[1::2]]


def run(parts: list[list[str]], until: float, counts: Counter[str]) -> int:
    """Run these beside each other, add up their counts, and return 0 when all have passed."""
    running = []
    for part in parts:
        said = tempfile.TemporaryFile()  # noqa: SIM115 (it is read below, and goes with this process)
        command = [sys.executable, "-m", "pytest", *sys.argv[1:], *part]
        running.append((subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=ROOT), said))
    codes = []
    for process, said in running:
        try:
            codes.append(process.wait(max(0.0, until - time.monotonic())))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            codes.append(1)
            print(f"ended after {SECONDS_MAX} s, before its tests had:", flush=True)
        said.seek(0)
        text = said.read().decode(errors="replace")
        print(text, flush=True)
        for count, what in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", text.rstrip().rpartition("\n")[2]):
            counts[what] += int(count)
    return max(codes)


def main() -> int:
    """Return 0 when all have passed."""
    until, counts = time.monotonic() + SECONDS_MAX, Counter[str]()
    codes = [run(groups(), until, counts), run([sorted(ALONE)], until, counts)]
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
