"""A worker with the schedule stage alone, as a process of its own: for tests that kill it and benchmarks that time it.

    python -m tests.schedule_worker '{"bootstrap": "127.0.0.1:9092", "app_id": "…", "data_dir": "…"}'

The argument holds settings by their names. It prints `ready` when its partitions are assigned and recovered, works
until SIGTERM, and ends with code 1 when the worker crashed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys

import uvloop

from streams.app import AppParts, create_app
from streams.settings import Settings, load_settings
from streams.types_file import NotificationTypes

LOOK_SECONDS = 0.2


async def run(settings: Settings, stages: frozenset[str] = frozenset({"schedule"})) -> int:
    """Work until told to stop. Returns the exit code."""
    app = create_app(AppParts(settings, NotificationTypes.load(), stages=stages, faust={"web_enabled": False}))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app.finalize()
    await app.start()
    await app.lanes.opened.wait()
    print("ready", flush=True)
    while not stop.is_set() and app.failure is None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue
    await app.stop()
    return 0 if app.failure is None else 1


def main() -> None:
    """Run with the settings of the first argument."""
    logging.basicConfig(level=logging.WARNING)
    settings = load_settings(**json.loads(sys.argv[1]))
    sys.exit(uvloop.run(run(settings)))  # as the product's worker does


if __name__ == "__main__":
    main()
