"""A worker with broadcast and deliver, whose directory it reads: for tests that kill it and benchmarks that time it.

    python -m tests.broadcast_worker '{"bootstrap": "127.0.0.1:9092", "app_id": "…", "data_dir": "…"}' [stage …]

As `tests.schedule_worker`. Nothing that is told is delivered: there is no suppress to pass it on. `stage`: others than
these two, for a worker of a version that does not know broadcasts yet.
"""

from __future__ import annotations

import json
import logging
import sys

import uvloop

from streams.settings import load_settings
from tests.schedule_worker import run

STAGES = frozenset({"broadcast", "deliver"})


def main() -> None:
    """Run with the settings of the first argument, and the stages of the others."""
    logging.basicConfig(level=logging.WARNING)
    settings = load_settings(**json.loads(sys.argv[1]))
    sys.exit(uvloop.run(run(settings, frozenset(sys.argv[2:]) or STAGES)))


if __name__ == "__main__":
    main()
