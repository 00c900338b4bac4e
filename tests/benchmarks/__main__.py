"""`make bench`: the benchmarks one after the other, each with its results in `results/`.

    python -m tests.benchmarks [suppress | growth | spread | schedule | recovery | broadcast | …] [its arguments]
    python -m tests.benchmarks regress

Without a name all run, as their results were made; but `regress`, which is a short `suppress` for CI.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

# Each with the arguments of `make bench`.
BENCHMARKS: Final[dict[str, list[str]]] = {
    "suppress": [],
    "growth": [],
    "spread": [],
    "schedule": [],
    "recovery": [],
    "render": [],
    "broadcast": [],
    "state": [],
    "gateway": [],
    "history": [],
    "storage": [],
    "line": [],
    "deliver": ["--provider", "apns", "fcm", "webpush", "--answer-ms", "0", "50", "--in-flight", "1000"],
}
SHORT: Final = "regress"


def main() -> int:
    """Run what is asked for; return the highest exit code."""
    chosen, arguments = (sys.argv[1:2], sys.argv[2:]) if sys.argv[1:2] else (list(BENCHMARKS), None)
    if not set(chosen) <= {SHORT, *BENCHMARKS}:
        print(__doc__, file=sys.stderr)
        return 2
    results = Path(__file__).parent.joinpath("results").relative_to(Path.cwd())
    codes = []
    for name in chosen:
        own = arguments if arguments else BENCHMARKS.get(name, [])
        output = [] if "--json" in own or name == SHORT else ["--json", str(results / f"{name}.json")]
        codes.append(subprocess.call([sys.executable, "-m", f"tests.benchmarks.bench_{name}", *own, *output]))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
