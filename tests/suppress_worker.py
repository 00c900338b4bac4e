"""A worker with the suppress stage alone, as a process of its own: for tests that kill it and benchmarks that time it.

    python -m tests.suppress_worker '{"bootstrap": "127.0.0.1:9092", "app_id": "…", "data_dir": "…"}'

The argument holds settings by their names. It prints `recovered <partitions> <changelog records> <seconds>` after each
recovery, `standby <partition> <position>` as it follows a changelog of another worker, and `ready` when all partitions
are assigned and recovered. With `stories_hours` it tells stories too, and prints `told <statuses>`. It works until
SIGTERM, and ends with code 1 when it crashed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from typing import cast

import uvloop

from schemas.codec import Codec
from streams.app import AppParts, create_app
from streams.lane.app import LaneApp
from streams.lane.recovery import ChangelogReplay, LaneTableManager
from streams.settings import Settings, load_settings
from streams.stories.follower import Stories
from streams.types_file import NotificationTypes

LOOK_SECONDS = 0.02


async def run(settings: Settings, with_stories: bool) -> int:
    """Work until told to stop. Returns the exit code."""
    app = create_app(
        AppParts(settings, NotificationTypes.load(), stages=frozenset({"suppress"}), faust={"web_enabled": False})
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app.finalize()
    await app.start()
    stories = Stories(app, settings, Codec())
    telling = asyncio.create_task(stories.run()) if with_stories else None
    said, told = False, 0
    recovery: ChangelogReplay | None = None
    standby: dict[int, int] = {}
    while not stop.is_set() and app.failure is None:
        if app.replay is not recovery and app.lanes.opened.is_set():
            recovery = app.replay
            partitions = len(app.lanes.lanes("suppress"))
            if recovery is not None:
                print(f"recovered {partitions} {recovery.replayed} {recovery.seconds:.3f}", flush=True)
        for partition, position in _followed(app).items():
            if standby.get(partition) != position:
                print(f"standby {partition} {position}", flush=True)
                standby[partition] = position
        if said and stories.applied != told:
            told = stories.applied
            print(f"told {told}", flush=True)
        if not said and _is_ready(app, settings.partitions):
            print("ready", flush=True)
            said = True
        try:
            async with asyncio.timeout(LOOK_SECONDS if not said else 0.2):
                await stop.wait()
        except TimeoutError:
            continue
    if telling is not None:
        telling.cancel()
        await asyncio.wait([telling])
    await app.stop()
    return 0 if app.failure is None else 1


def _is_ready(app: LaneApp, partitions: int) -> bool:
    return len(app.lanes.lanes("suppress")) == partitions


def _followed(app: LaneApp) -> dict[int, int]:
    follower = cast(LaneTableManager, app.tables).recovery.follower
    return {tp.partition: table.changelog_position(tp.partition) for tp, table in follower.tables.items()}


def main() -> None:
    """Run with the settings of the first argument."""
    logging.basicConfig(level=logging.WARNING)
    given = json.loads(sys.argv[1])
    sys.exit(uvloop.run(run(load_settings(**given), "stories_hours" in given)))  # as the product's worker does


if __name__ == "__main__":
    main()
