"""Run all tests in three processes side by side: most of them wait most of the time. Arguments go to each pytest.

Each process has a broker of its own, and what it prints is shown when it has ended; the last line has the sums.
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
SECONDS_MAX = 3600  # of all together; each single test has a limit of its own


def groups() -> list[list[str]]:
    """Return the parts: what needs no broker, with the browser's tests, and two halves of what needs one."""
    integration = sorted(str(path) for path in Path("tests/integration").glob("test_*.py"))
    rest = ["tests/browser", "tests/contract", "tests/simulation", "tests/properties", "tests/mutants", "tests/unit"]
    return [rest, integration[::2], integration[1::2]]


def main() -> int:
    """Return 0 when all have passed."""
    running, until = [], time.monotonic() + SECONDS_MAX
    for group in groups():
        said = tempfile.TemporaryFile()  # noqa: SIM115 (it is read below, and goes with this process)
        command = [sys.executable, "-m", "pytest", *sys.argv[1:], *group]
        running.append((subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=ROOT), said))
    codes, counts = [], Counter[str]()
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
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
