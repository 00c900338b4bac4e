"""The sink within a worker, for small installations: on a thread and an event loop of its own.

It rests for as long as it works, so that what it has to catch up with does not take the worker's time, and whatever
becomes of it the worker goes on. Where the database refuses, that is said, and tried again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from schemas.codec import Codec
from streams.history.database import DatabaseRefusesError, history_address, open_database
from streams.history.sink import HistorySink, SinkOptions
from streams.history.sink_database import wait
from streams.settings import Settings

logger = logging.getLogger(__name__)

RECORDS_MAX: Final = 1_000  # each batch is decoded in one go, and holds Python's lock for so long
REST: Final = 0.5
AGAIN_SECONDS: Final = 60.0
STOP_SECONDS_MAX: Final = 20.0


class SinkBeside:
    """Runs one sink until it is closed. `ready`: it has partitions."""

    def __init__(self, settings: Settings, codec: Callable[[], Codec]) -> None:
        self._settings = settings
        self._codec = codec
        self._options = SinkOptions(logger.info, records_max=RECORDS_MAX, rest=REST)
        self._thread = threading.Thread(target=self._run, name="history-sink", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopped = False
        self._sink: HistorySink | None = None
        self._counted = (0, 0, 0)  # by sinks that have ended
        self.refused = False

    async def run(self, begin: asyncio.Event, end: asyncio.Event) -> None:
        """Start it when the first is set, and tell it to stop when the second is, or when this is cancelled."""
        await begin.wait()
        self._thread.start()
        try:
            await end.wait()
        finally:
            self.ask_to_stop()

    def ask_to_stop(self) -> None:
        """Tell it to stop, and return at once."""
        self._stopped = True
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def close(self) -> None:
        """Return when it has ended; what it has not written by then is read again by the next one."""
        self.ask_to_stop()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, STOP_SECONDS_MAX)

    def counts(self) -> tuple[int, int, int]:
        """Return how many statuses were written, erased and passed over."""
        sink = self._sink
        now = (0, 0, 0) if sink is None else sink.counts()
        written, erased, poison = (before + since for before, since in zip(self._counted, now, strict=True))
        return written, erased, poison

    @property
    def down(self) -> bool:
        """Whether it cannot write."""
        return self.refused or (self._sink is not None and self._sink.down)

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except Exception:
            logger.exception("history: the sink has ended; the worker goes on without it")
            self.refused = True

    async def _work(self) -> None:
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        while not self._stopped and not self._stop.is_set():
            database = open_database(history_address(self._settings))
            self._sink = HistorySink(self._settings, self._codec(), database, self._options)
            try:
                await self._sink.run(self._stop)
            except DatabaseRefusesError as error:
                if not self.refused:
                    logger.error("history: RINGONCE_HISTORY_URL: %s; tried again every %g s", error, AGAIN_SECONDS)
                self.refused = True
                await wait(self._stop, AGAIN_SECONDS)
            self._counted, self._sink = self.counts(), None
            self._options = replace(self._options, say=self._mended)

    def _mended(self, text: str) -> None:
        if self.refused:
            logger.warning("history: the database does not refuse any more; %s", text)
            self.refused = False
