"""The database as a sink asks it: from a thread, one thing at a time; an outage is said once, and waited for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from streams.history.database import Database, DatabaseDownError

logger = logging.getLogger(__name__)

AGAIN_SECONDS_MAX: Final = 30.0
Done = TypeVar("Done")


class SinkDatabase:
    """One thread, one connection. `down`: it could not be used when it was asked last."""

    def __init__(self, database: Database, again_seconds: float) -> None:
        self._database = database
        self._again_seconds = again_seconds
        self._thread = ThreadPoolExecutor(1, "history")
        self._asking = asyncio.Lock()
        self._down_since: float | None = None
        self._pause = 0.0

    @property
    def down(self) -> bool:
        """Whether it could not be used when it was asked last."""
        return self._down_since is not None

    async def ask(self, work: Callable[[Database], Done]) -> Done:
        """Do it on the thread. Raises what the database raises."""
        async with self._asking:
            done = await asyncio.get_running_loop().run_in_executor(self._thread, work, self._database)
        if self._down_since is not None:
            logger.warning("history: the database answers again, after %.0f s", time.monotonic() - self._down_since)
            self._down_since, self._pause = None, 0.0
        return done

    async def outage(self, error: DatabaseDownError, stop: asyncio.Event) -> None:
        """Wait before the next try, longer each time; it is said once."""
        if self._down_since is None:
            self._down_since = time.monotonic()
            logger.error("history: the database cannot be used, and is waited for: %s", error)
        self._pause = min(AGAIN_SECONDS_MAX, max(self._again_seconds, 2 * self._pause))
        await wait(stop, self._pause)

    def interrupt(self) -> None:
        """End what is under way."""
        self._database.interrupt()

    def close(self) -> None:
        """Let go of the connection and the thread; what is still under way has been interrupted."""
        self._thread.submit(self._database.close)
        self._thread.shutdown(wait=False)


async def wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait for so long, or until told to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
