"""plain_loop.py with our codec: the rest of the difference to ringonce is what the lane costs, and does."""

from __future__ import annotations

import json
import sys

import uvloop

from streams.settings import load_settings
from tests.benchmarks.plain_codec import OURS
from tests.benchmarks.plain_loop import run

if __name__ == "__main__":
    uvloop.run(run(load_settings(**json.loads(sys.argv[1])), OURS))
