"""Standby: follows the changelogs of other workers' partitions, so that taking them over reads next to nothing.

Faust's own standby keeps up to a thousand chunks of each table in memory, takes an exception for a warning, and may
apply a chunk that it had queued to a partition that has become active and gone on since. Here nothing is held back, and
`halt` ends it at once: not one more row is written after it returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from .changelog import ChangelogReader
from .table import LaneTable

logger = logging.getLogger(__name__)

WAIT_MS = 500
# Nobody waits for a standby, and a fetch over all that it follows costs as much for one record as for a thousand.
FETCH_WAIT_MS = 250
FETCH_BYTES_MIN = 1024 * 1024
AGAIN_SECONDS = 0.5
AGAIN_SECONDS_MAX = 30.0


class StandbyFollower:
    """Follows some table partitions until told to stop; what goes wrong is tried again, with growing pauses.

    `applied`: records since it was made. `tables`: what it follows now.
    """

    def __init__(self, consumer_options: Mapping[str, Any]) -> None:
        self._consumer_options = dict(consumer_options)
        self._task: asyncio.Task[None] | None = None
        self._reader: ChangelogReader | None = None
        self._halted = True
        self.tables: Mapping[TP, LaneTable] = {}
        self.applied = 0

    def start(self, tables: Mapping[TP, LaneTable]) -> None:
        """Follow these. Must not be running."""
        assert self._task is None, "stop comes before the next start"
        self._halted = False
        self.tables = dict(tables)
        if tables:
            self._task = asyncio.create_task(self._run(), name="standby")

    def halt(self) -> None:
        """Write nothing more, from now on; `stop` must follow."""
        self._halted = True
        if self._reader is not None:
            self._reader.halt()

    async def stop(self) -> None:
        """Follow nothing any more."""
        self.halt()
        task, self._task = self._task, None
        self.tables = {}
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        pause = AGAIN_SECONDS
        while not self._halted:
            reader = self._reader = ChangelogReader(self._consumer_options, self.tables, FETCH_WAIT_MS, FETCH_BYTES_MIN)
            try:
                await reader.start()
                while not self._halted:
                    before = reader.read
                    if await reader.apply_next(reader.partitions, WAIT_MS):
                        self.applied += reader.read - before
                        pause = AGAIN_SECONDS
            except Exception as error:
                # Whoever takes over meanwhile reads the rest from the changelog: that is slower, and never wrong.
                logger.warning("standby: %r; again in %.1f s", error, pause)
            finally:
                await reader.stop()
            await asyncio.sleep(pause)
            pause = min(AGAIN_SECONDS_MAX, 2 * pause)
