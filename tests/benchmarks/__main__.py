"""`make bench`: the benchmark of suppression, with its results beside it. Arguments are passed on to it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.bench_suppress import main

if __name__ == "__main__":
    if "--json" not in sys.argv:
        sys.argv += ["--json", str(Path(__file__).parent.joinpath("results", "suppress.json").relative_to(Path.cwd()))]
    main()
